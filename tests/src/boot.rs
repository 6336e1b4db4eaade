//! [`Bootloader`]: what MCUboot makes of two slots at a reset, from their bytes alone.

mod boots;
mod dependency;
mod header;
mod layout;
mod mark;
mod outcome;
mod overwrite;
mod select;
mod settings;
mod swap;
mod tlv;
mod trailer;
mod upgrade;
mod validate;

use core::ops::Range;

pub use outcome::{Boot, Refusal, Running, Slot};
pub use trailer::{BadTrailer, Flag, Magic, State, SwapType, Trailer};

/// A build of MCUboot for one pair of slots or several, after its source: what the trailers ask for by its tables,
/// the checks of an image with a SHA-256 and no signature, and the contents and trailers that it leaves.
///
/// It is a model of before and after: a swap is one step here, its status bytes are not written, and those of a
/// swap that was cut short are not read. It shares no code with the library under test.
///
/// ```
/// use dfu_testkit::boot::{Bootloader, Mode, SwapType};
/// use dfu_testkit::image::ImageBuilder;
///
/// let mcuboot = Bootloader::new(Mode::Move, 4, 4096);
/// let (mut primary, mut secondary) = (vec![0xff; 0x10000], vec![0xff; 0x10000]);
/// let (old, new) = (ImageBuilder::new().build(), ImageBuilder::new().version(2, 0, 0, 0).build());
/// primary[..old.len()].copy_from_slice(&old);
/// secondary[..new.len()].copy_from_slice(&new);
///
/// assert_eq!(mcuboot.boot(&mut primary, &mut secondary).swapped, None);
/// mcuboot.mark_pending(&mut secondary, false).unwrap();
/// let boot = mcuboot.boot(&mut primary, &mut secondary);
/// assert_eq!(boot.swapped, Some(SwapType::Test));
/// assert_eq!(boot.running.unwrap().version.major, 2);
/// // Nobody confirms it.
/// let boot = mcuboot.boot(&mut primary, &mut secondary);
/// assert_eq!(boot.swapped, Some(SwapType::Revert));
/// assert_eq!(boot.running.unwrap().version.major, 1);
/// ```
///
/// Images that run where they are stored:
///
/// ```
/// use dfu_testkit::boot::{Bootloader, Mode, Slot};
/// use dfu_testkit::image::ImageBuilder;
///
/// let mcuboot = Bootloader::new(Mode::DirectXipRevert, 4, 4096);
/// let (mut primary, mut secondary) = (vec![0xff; 0x10000], vec![0xff; 0x10000]);
/// let (old, new) = (ImageBuilder::new().build(), ImageBuilder::new().version(2, 0, 0, 0).build());
/// primary[..old.len()].copy_from_slice(&old);
/// secondary[..new.len()].copy_from_slice(&new);
/// mcuboot.mark_pending(&mut primary, true).unwrap();
/// mcuboot.mark_pending(&mut secondary, false).unwrap();
///
/// assert_eq!(mcuboot.boot(&mut primary, &mut secondary).running.unwrap().slot, Slot::Secondary);
/// // Nobody confirms it: it is erased.
/// assert_eq!(mcuboot.boot(&mut primary, &mut secondary).running.unwrap().slot, Slot::Primary);
/// assert!(secondary.iter().all(|byte| *byte == 0xff));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootloader {
    mode: Mode,
    write_size: usize,
    sector_size: usize,
    max_align: usize,
    sectors: usize,
    erased: u8,
    image: u8,
    key_space: usize,
    validates_primary: bool,
    prevents_downgrade: bool,
    compares_build: bool,
    counter: Option<u32>,
    addresses: Option<[u32; 2]>,
    executable_ram: Range<u32>,
}

/// How the bootloader brings a new image to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Swap by moving the primary up one sector.
    Move,
    /// Swap by way of a scratch area of one sector.
    Scratch,
    /// Swap with the new image stored one sector into the secondary slot, as MCUboot has it since 2.3.0.
    Offset,
    /// Copy over the primary, and no way back (`MCUBOOT_OVERWRITE_ONLY_FAST`, as Zephyr has it).
    Overwrite,
    /// Run the highest version where it is stored.
    DirectXip,
    /// The same, and erase what was not confirmed when it ran (`MCUBOOT_DIRECT_XIP_REVERT`).
    DirectXipRevert,
    /// Copy the highest version to RAM and run it there.
    RamLoad,
    /// The same, and erase what was not confirmed when it ran (`MCUBOOT_RAM_LOAD_REVERT`).
    RamLoadRevert,
}

impl Mode {
    /// Whether the two images change places.
    pub fn swaps(self) -> bool {
        matches!(self, Self::Move | Self::Scratch | Self::Offset)
    }

    /// Whether images run from both slots, the highest version first.
    pub fn selects(self) -> bool {
        matches!(self, Self::DirectXip | Self::DirectXipRevert | Self::RamLoad | Self::RamLoadRevert)
    }

    fn erases_unconfirmed(self) -> bool {
        matches!(self, Self::DirectXipRevert | Self::RamLoadRevert)
    }

    fn runs_from_ram(self) -> bool {
        matches!(self, Self::RamLoad | Self::RamLoadRevert)
    }
}

#[cfg(test)]
mod tests;
