//! The mark at the end of a slot: what the bootloader reads of it, and what it asks for.

use dfu_target::flash::{Region, RegionError};
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};

use crate::Slots;

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
    /// What the mark in a secondary slot makes the bootloader do at the next reset, by MCUboot's table of swaps.
    pub fn asks(&self) -> Option<SwapType> {
        match (self.magic, self.image_ok, self.copy_done) {
            // Swap using offset alone, while it goes back; elsewhere MCUboot never leaves this.
            (Flag::Set, Flag::Unset, Flag::Set) => Some(SwapType::Revert),
            (Flag::Set, Flag::Unset, _) => Some(SwapType::Test),
            (Flag::Set, Flag::Set, _) => Some(SwapType::Permanent),
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

    fn is_magic(&self, bytes: &[u8; MAGIC_LEN]) -> bool {
        match self.config.align.bytes() {
            8 => *bytes == MAGIC,
            align => {
                let [low, high, end @ ..] = bytes;
                u32::from(u16::from_le_bytes([*low, *high])) == align && *end == MAGIC_END
            }
        }
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
        let pairs = bytes.iter().rev().zip(slots.request.iter().rev());
        pairs.take(slots.mark_len).for_each(|(byte, wanted)| {
            requested |= byte ^ wanted;
            blank |= byte ^ slots.config.erased;
        });
        if blank == 0 {
            return Self::Blank;
        }
        if requested == 0 {
            return Self::Requested;
        }
        let mark = slots.read(bytes);
        match mark.asks() {
            // A slot that was chosen before is an old one, whatever became of it.
            Some(_) if slots.mode().chooses() && mark.copy_done == Flag::Set => Self::Other,
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

pub(crate) const MAGIC_LEN: usize = 16;
pub(crate) const MAGIC: [u8; MAGIC_LEN] =
    [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
/// Behind two bytes with `BOOT_MAX_ALIGN`, where that is not 8.
pub(crate) const MAGIC_END: [u8; MAGIC_LEN - 2] =
    [0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a];
