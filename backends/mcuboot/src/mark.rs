//! The mark at the end of a slot: what the bootloader reads of it, and what it asks for.

use dfu_target::flash::{Region, RegionError};
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};

use crate::{Mode, Slots, Upgrade};

/// What a slot's mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Mark {
    /// The magic is there.
    pub magic: Flag,
    /// The image confirmed itself, or need not.
    pub image_ok: Flag,
    /// The bootloader finished a swap, or chose this slot.
    pub copy_done: Flag,
    /// The swap it was or is to be; `None`: none that is known.
    pub swap: Option<SwapType>,
}

/// A field of the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Flag {
    /// As written by MCUboot.
    Set,
    /// Erased.
    Unset,
    /// Neither: half written, or something else's data.
    Bad,
}

/// MCUboot's swap types, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum SwapType {
    /// Run once, then confirm or go back.
    Test = 2,
    /// Run from now on.
    Permanent = 3,
    /// Back to the old image.
    Revert = 4,
}

impl SwapType {
    fn of(swap_info: u8) -> Option<Self> {
        match swap_info & 0xf {
            2 => Some(Self::Test),
            3 => Some(Self::Permanent),
            4 => Some(Self::Revert),
            _ => None,
        }
    }
}

impl Mark {
    /// What the mark of the slot that does not run makes the bootloader do at the next reset, if an image is there:
    /// by MCUboot's table of swaps; or, where it chooses by version, whether it lets the image run if it is higher.
    pub fn asks(&self, mode: Mode) -> Option<SwapType> {
        if !mode.has_trailer() {
            return Some(SwapType::Permanent);
        }
        match (self.magic, self.image_ok, self.copy_done) {
            (Flag::Set, Flag::Set, _) => Some(SwapType::Permanent),
            // It was chosen before and did not confirm itself: it will be erased.
            (Flag::Set, _, Flag::Set) if mode.chooses() => None,
            (Flag::Set, _, _) if mode.chooses() => Some(SwapType::Test),
            // Going back, and cut in between.
            (Flag::Set, Flag::Unset, Flag::Set) if matches!(mode, Mode::SwapOffset) => Some(SwapType::Revert),
            (Flag::Set, Flag::Unset, _) => Some(SwapType::Test),
            _ => None,
        }
    }
}

impl Slots {
    /// Reads a mark: the last bytes of a slot, 128 or as many as there are.
    pub fn read(&self, mark: &[u8]) -> Mark {
        let flag = |nth: u32| {
            let at = mark.len().checked_sub(self.distance(nth) as usize);
            at.and_then(|at| mark.get(at)).copied()
        };
        let state = |byte| match byte {
            Some(SET) => Flag::Set,
            Some(byte) if byte == self.config.erased => Flag::Unset,
            _ => Flag::Bad,
        };
        let magic = mark.last_chunk::<MAGIC_LEN>();
        Mark {
            magic: if magic.is_some_and(|magic| self.is_magic(magic)) {
                Flag::Set
            } else if magic == Some(&[self.config.erased; MAGIC_LEN]) {
                Flag::Unset
            } else {
                Flag::Bad
            },
            swap: flag(SWAP_INFO).filter(|byte| *byte != self.config.erased).and_then(SwapType::of),
            copy_done: state(flag(COPY_DONE)),
            image_ok: state(flag(IMAGE_OK)),
        }
    }

    /// The byte of a request that lies so far from the slot's end; the last one is 1.
    pub(crate) const fn wanted(&self, distance: u32) -> u8 {
        let permanent = matches!(self.config.upgrade, Upgrade::Permanent);
        if !self.mode().has_trailer() {
            self.config.erased
        } else if distance <= MAGIC_LEN as u32 {
            self.magic((MAGIC_LEN as u32).saturating_sub(distance))
        } else if distance == self.distance(SWAP_INFO) && !self.mode().chooses() {
            (self.config.index << 4) | if permanent { SwapType::Permanent } else { SwapType::Test } as u8
        } else if distance == self.distance(IMAGE_OK) && permanent {
            SET
        } else {
            self.config.erased
        }
    }

    /// A byte of the magic. Where `BOOT_MAX_ALIGN` is not 8, it begins with that.
    #[allow(clippy::indexing_slicing)] // Below the array's length, which is a power of two.
    const fn magic(&self, nth: u32) -> u8 {
        match (self.config.align.bytes(), nth) {
            (8, _) => MAGIC[nth as usize % MAGIC_LEN],
            (align, 0) => align as u8,
            (_, 1) => 0,
            _ => MAGIC_ALIGNED[nth as usize % MAGIC_LEN],
        }
    }

    fn is_magic(&self, bytes: &[u8; MAGIC_LEN]) -> bool {
        bytes.iter().zip(0..).all(|(byte, nth)| *byte == self.magic(nth))
    }
}

/// Reads the mark at the end of a slot.
pub(crate) async fn read_mark<F: NorFlash>(
    region: &mut Region<'_, F>,
    slots: &Slots,
) -> Result<Mark, RegionError<F::Error>> {
    const { assert!(F::READ_SIZE <= MAX_MARK, "a flash that reads 128 bytes or less at once") };
    // A whole number of reads, whatever their size.
    let mut buffer = [0; 2 * MAX_MARK];
    let bytes = buffer.get_mut(..const { MAX_MARK.next_multiple_of(F::READ_SIZE) }).unwrap_or_default();
    let at = region.size().saturating_sub(bytes.len() as u32);
    region.read(at, bytes).await?;
    Ok(slots.read(bytes))
}

/// What a slot's mark is, compared with the request that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// All erased.
    Blank,
    /// The request, whole.
    Requested,
    /// The request, but for the image's first word.
    Marked,
    /// Half written, or nothing of MCUboot's.
    Other,
    /// The image's first word is that of another image, or half written.
    Foreign,
    /// Another request, which the bootloader will follow.
    Pending(SwapType),
}

impl Found {
    /// Looks at the last bytes of a slot.
    pub(crate) fn of(slots: &Slots, bytes: &[u8]) -> Self {
        // The bits in which it differs from each.
        let (mut requested, mut blank) = (0, 0);
        bytes.iter().rev().zip(1..slots.mark_len.wrapping_add(1)).for_each(|(byte, distance)| {
            requested |= byte ^ slots.wanted(distance);
            blank |= byte ^ slots.config.erased;
        });
        if blank == 0 {
            return Self::Blank;
        }
        if requested == 0 {
            return Self::Requested;
        }
        match slots.read(bytes).asks(slots.mode()) {
            Some(swap) => Self::Pending(swap),
            None => Self::Other,
        }
    }
}

/// A flag's byte once it is set.
pub(crate) const SET: u8 = 0x01;
/// The longest mark: that of `BOOT_MAX_ALIGN` 32.
pub(crate) const MAX_MARK: usize = 128;

/// Fields in their order in the mark.
pub(crate) const SWAP_INFO: u32 = 0;
pub(crate) const COPY_DONE: u32 = 1;
pub(crate) const IMAGE_OK: u32 = 2;
pub(crate) const MAGIC_BLOCK: u32 = 3;

pub(crate) const MAGIC_LEN: usize = 16;
const MAGIC: [u8; MAGIC_LEN] =
    [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
/// The same where `BOOT_MAX_ALIGN` is not 8, but for the first two bytes.
const MAGIC_ALIGNED: [u8; MAGIC_LEN] =
    [0, 0, 0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a];
