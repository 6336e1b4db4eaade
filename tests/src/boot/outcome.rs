//! What a boot did.

use super::SwapType;
use crate::image::Version;

/// What a boot did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// What the trailers asked for; nothing in modes that select among the slots.
    pub asked: Option<SwapType>,
    /// What was carried out.
    pub swapped: Option<SwapType>,
    /// Why what was asked for was not carried out; or why the slot that was tried first does not run.
    pub refused: Option<Refusal>,
    /// The image that runs now; or why nothing does, and the device is dead.
    pub running: Result<Running, Refusal>,
    /// The security counter that the device has stored now, where it counts.
    pub counter: Option<u32>,
}

/// The image that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Where it runs, or was loaded from.
    pub slot: Slot,
    /// Its version.
    pub version: Version,
    /// Its length with header and TLVs; 0 where only its magic was looked at.
    pub size: usize,
    /// SHA-256 over header, payload and protected TLVs; zeros where only its magic was looked at.
    pub hash: [u8; 32],
}

/// One of an image's two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The first, where images run in most modes.
    Primary,
    /// The second, where new images are stored in most modes.
    Secondary,
}

/// Why an image may not run, or no upgrade happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The header's magic is erased.
    NoImage,
    /// The header says so.
    NotBootable,
    /// The header's magic is another one.
    Magic,
    /// Header, payload and protected TLVs do not fit in the slot.
    Size,
    /// The image is encrypted; the bootloader of this model has no key.
    Encrypted,
    /// The image is compressed; the bootloader of this model cannot.
    Compressed,
    /// The TLV areas contradict the header or themselves.
    Tlvs,
    /// With its TLVs the image is longer than the mode allows.
    TooLarge,
    /// There is no SHA-256.
    NoHash,
    /// The hash is another one.
    Hash,
    /// The slots do not fit each other or the bootloader: no image is looked at.
    Incompatible,
    /// There is no image in the primary slot, and these modes swap nothing then.
    NoPrimary,
    /// A new image begins at the secondary slot's start, where swap using offset keeps the old one.
    UploadAddress,
    /// The version is lower than that of the image that runs.
    Downgrade,
    /// There is no security counter, or it is lower than the one that the device has stored.
    Counter,
    /// An image that is needed is not there, or too old.
    Dependency,
    /// A revert, while another image goes forward.
    OthersUpgrade,
    /// The image was linked for another address, or may not be loaded to the one it names.
    Address,
    /// The image is none to be loaded to RAM.
    NotForRam,
    /// The trailer's magic is not good, and images without one do not run in this mode.
    NoTrailer,
    /// The image ran and did not confirm itself.
    Unconfirmed,
}

impl Slot {
    /// Both, in the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::Primary, Self::Secondary];
}
