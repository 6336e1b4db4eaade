//! Why an image is refused.

use core::fmt;

use dfu_target::ErrorKind;
use dfu_target::image::mcuboot::{HeaderError, Version, flags};

/// Why an image is refused. MCUboot would do the same after the reset, or run something that is not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// The header is not one that MCUboot accepts.
    Header(HeaderError),
    /// The image does not fit. A file as long as the slot was signed with `--pad`: sign it without.
    TooLarge {
        /// The least that the image needs, in bytes.
        size: u32,
        /// The largest image that the bootloader takes in this mode, in bytes.
        max: u32,
    },
    /// The file is shorter than its header says: the size that was announced, or where that is not known what came. Of
    /// the kind `Refused`, since the file is so, as a rule: to begin again brings the same for ever, and costs the whole
    /// download each time where no size is known.
    Truncated {
        /// How many bytes there are.
        have: u32,
        /// The least that the image needs, in bytes.
        need: u32,
    },
    /// The image is of a kind that the bootloader was not built for: these flags of its header say so.
    Flags(u32),
    /// The bootloader runs images from RAM, and this one is not made for that.
    NotForRam,
    /// The image does not fit in the RAM from which the bootloader runs it.
    Ram {
        /// Where the image wants to be.
        image: u32,
        /// How many bytes it takes at least.
        size: u32,
    },
    /// The image runs at another address than this slot's (`ROM_FIXED`).
    Address {
        /// Where the image wants to be.
        image: u32,
        /// Where the slot is.
        slot: u32,
    },
    /// The bootloader runs the higher version, and that is the one that runs now.
    Outranked {
        /// The version that runs.
        running: Version,
        /// The version of the refused image.
        offered: Version,
    },
    /// The caller's rule asks for another version.
    Version {
        /// The version that runs.
        running: Version,
        /// The version of the refused image.
        offered: Version,
    },
    /// The TLV areas behind the payload are not as they have to be.
    Tlv {
        /// What is wrong.
        fault: TlvFault,
        /// Where in the file that was found.
        offset: u32,
        /// The type that was read last.
        tlv: u16,
    },
    /// There is no hash of the kind that the bootloader checks.
    NoHash,
    /// The image's hash is not that of its bytes.
    Hash,
    /// The security counter is lower than the running image's.
    Counter {
        /// The least that is wanted.
        least: u32,
        /// The refused image's.
        offered: u32,
    },
    /// The image has no security counter, and one is wanted.
    NoCounter,
    /// The image needs another image in a version that will not be there.
    Dependency {
        /// The other image.
        image: u8,
        /// The version it should have at least.
        needs: Version,
        /// The version it will have after the reset, if that is known.
        has: Option<Version>,
    },
    /// The image is for another vendor's device, or does not say for whose.
    Vendor,
    /// The image is for another class of device, or does not say for which.
    Class,
    /// No signature of the kind and by a key that the bootloader accepts.
    Unsigned,
    /// The signature is not that of the image.
    Signature,
}

/// What is wrong with a TLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TlvFault {
    /// It reaches out of its area, is cut short or of a wrong length; or bytes follow the last one.
    Damaged,
    /// It may be there once, and is there twice.
    Twice,
    /// The bootloader takes it only where the hash covers it.
    Unprotected,
}

impl Refusal {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Tlv { .. } | Self::Hash => ErrorKind::Corrupt,
            _ => ErrorKind::Refused,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(error) => error.fmt(f),
            Self::TooLarge { size, max } => {
                write!(f, "the image needs {size} bytes, and this slot takes images of up to {max}")
            }
            Self::Truncated { have, need } => write!(f, "the image has {have} bytes and needs {need} or more"),
            Self::Flags(unfit) => {
                f.write_str("the bootloader was not built for such an image:")?;
                for (flag, name) in FLAGS {
                    if unfit & flag != 0 {
                        write!(f, " {name}")?;
                    }
                }
                Ok(())
            }
            Self::NotForRam => f.write_str("the bootloader runs images from RAM, and this one has no load address"),
            Self::Ram { image, size } => {
                write!(f, "the image wants {size} bytes of RAM at {image:#x}, which the bootloader has not")
            }
            Self::Address { image, slot } => {
                write!(f, "the image runs at {image:#x} only, and the slot is at {slot:#x}")
            }
            Self::Outranked { running, offered } => {
                write!(
                    f,
                    "the bootloader runs the higher version, and {offered} is not higher than {running}, which runs"
                )
            }
            Self::Version { running, offered } => {
                write!(f, "version {offered} is not wanted where {running} runs")
            }
            Self::Tlv { fault: TlvFault::Damaged, offset, .. } => {
                write!(f, "the TLVs are damaged at {offset:#x}, or bytes follow them")
            }
            Self::Tlv { fault: TlvFault::Twice, offset, tlv } => {
                write!(f, "TLV {tlv:#04x} is there twice, the second time at {offset:#x}")
            }
            Self::Tlv { fault: TlvFault::Unprotected, offset, tlv } => {
                write!(f, "the bootloader takes no TLV {tlv:#04x} that the hash does not cover, as at {offset:#x}")
            }
            Self::NoHash => f.write_str("the image has no hash of the kind that the bootloader checks"),
            Self::Hash => f.write_str("the image's hash is not that of its bytes"),
            Self::Counter { least, offered } => {
                write!(f, "the security counter is {offered}, and {least} is the least")
            }
            Self::NoCounter => f.write_str("the image has no security counter"),
            Self::Dependency { image, needs, has: Some(has) } => {
                write!(f, "it needs image {image} in version {needs}, and that will be {has}")
            }
            Self::Dependency { image, needs, has: None } => {
                write!(f, "it needs image {image} in version {needs}, and there is none")
            }
            Self::Vendor => f.write_str("the image is not for this vendor's devices"),
            Self::Class => f.write_str("the image is not for this class of device"),
            Self::Unsigned => f.write_str("no signature by a key that the bootloader has"),
            Self::Signature => f.write_str("the signature is not that of the image"),
        }
    }
}

impl core::error::Error for Refusal {}

const FLAGS: [(u32, &str); 5] = [
    (flags::ENCRYPTED_AES128, "encrypted (AES-128)"),
    (flags::ENCRYPTED_AES256, "encrypted (AES-256)"),
    (flags::NON_BOOTABLE, "not bootable"),
    (flags::RAM_LOAD, "loaded to RAM"),
    (flags::COMPRESSED, "compressed"),
];
