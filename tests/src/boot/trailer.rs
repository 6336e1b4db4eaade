//! The last bytes of a slot, and what they ask for.

use core::fmt;

use super::Mode;

/// Offsets of a trailer's fields in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The 16 bytes of magic, the slot's last.
    pub magic: usize,
    /// The image may stay.
    pub image_ok: usize,
    /// The swap is finished.
    pub copy_done: usize,
    /// Swap type and image number, to resume a swap.
    pub swap_info: usize,
    /// How many bytes were swapped.
    pub swap_size: usize,
    /// The lengths of both images' unprotected TLVs; only swap using offset notes them.
    pub tlv_sizes: Option<usize>,
    align: usize,
    erased: u8,
}

/// A trailer as MCUboot reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The magic.
    pub magic: Magic,
    /// The flag for an image that may stay.
    pub image_ok: Flag,
    /// The flag for a swap that is finished.
    pub copy_done: Flag,
    /// The swap type noted for a resume, and the image number.
    pub swap_info: Option<(SwapType, u8)>,
}

/// The state of a magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Magic {
    /// As it has to be.
    Good,
    /// Erased.
    Unset,
    /// Something else.
    Bad,
}

/// The state of a flag, which is one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// 0x01.
    Set,
    /// Erased.
    Unset,
    /// Something else.
    Bad,
}

/// What a bootloader does with the secondary slot's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SwapType {
    /// Run it once.
    Test = 2,
    /// Run it from now on.
    Perm = 3,
    /// Go back to it.
    Revert = 4,
}

/// The magic is neither good nor erased, and MCUboot's calls refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTrailer;

impl fmt::Display for BadTrailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the trailer's magic is neither good nor erased")
    }
}

impl core::error::Error for BadTrailer {}

impl State {
    /// Whether the image that runs from this slot is there to stay.
    pub(super) fn stays(&self) -> bool {
        self.magic != Magic::Good || self.image_ok == Flag::Set
    }
}

impl Trailer {
    /// The trailer of a slot of `slot` bytes, for MCUboot's maximum alignment `align`.
    pub(super) fn new(slot: usize, align: usize, erased: u8, notes_tlvs: bool) -> Self {
        let magic = slot - MAGIC_LEN;
        let image_ok = (magic - align) / align * align;
        let swap_info = image_ok - 2 * align;
        Self {
            magic,
            image_ok,
            copy_done: image_ok - align,
            swap_info,
            swap_size: swap_info - if notes_tlvs { 2 * align } else { align },
            tlv_sizes: notes_tlvs.then_some(swap_info - align),
            align,
            erased,
        }
    }

    /// Reads the trailer of a slot.
    pub fn state(&self, slot: &[u8]) -> State {
        let magic = &slot[self.magic..];
        State {
            magic: if magic.iter().all(|byte| *byte == self.erased) {
                Magic::Unset
            } else if magic == magic_for(self.align) {
                Magic::Good
            } else {
                Magic::Bad
            },
            image_ok: self.flag(slot[self.image_ok]),
            copy_done: self.flag(slot[self.copy_done]),
            swap_info: self.swap_info(slot[self.swap_info]),
        }
    }

    /// The bytes of a good magic.
    pub fn magic_bytes(&self) -> [u8; MAGIC_LEN] {
        magic_for(self.align)
    }

    /// Where the block that MCUboot writes the magic in begins; it goes to the slot's end.
    pub fn magic_block(&self) -> usize {
        self.magic / self.align * self.align
    }

    pub(super) fn put_magic(&self, slot: &mut [u8]) {
        self.program(slot, self.magic, &magic_for(self.align));
    }

    pub(super) fn put_swap_info(&self, slot: &mut [u8], kind: SwapType, image: u8) {
        self.program(slot, self.swap_info, &[image << 4 | kind as u8]);
    }

    pub(super) fn put_sizes(&self, slot: &mut [u8], swapped: usize, tlvs: [usize; 2]) {
        self.program(slot, self.swap_size, &(swapped as u32).to_le_bytes());
        if let Some(at) = self.tlv_sizes {
            self.program(slot, at, &(tlvs[0] as u16).to_le_bytes());
            self.program(slot, at + 2, &(tlvs[1] as u16).to_le_bytes());
        }
    }

    /// The lengths that [`put_sizes`](Self::put_sizes) noted.
    pub(super) fn noted_tlvs(&self, slot: &[u8]) -> [usize; 2] {
        let noted = |at: usize| usize::from(u16::from_le_bytes([slot[at], slot[at + 1]]));
        self.tlv_sizes.map_or([0, 0], |at| [noted(at), noted(at + 2)])
    }

    /// Sets a flag.
    pub(super) fn set(&self, slot: &mut [u8], flag: usize) {
        self.program(slot, flag, &[SET]);
    }

    /// Writes as the flash does, which turns bits in one direction only.
    pub(super) fn program(&self, slot: &mut [u8], at: usize, bytes: &[u8]) {
        for (cell, byte) in slot[at..].iter_mut().zip(bytes) {
            *cell = match self.erased {
                0x00 => *cell | byte,
                _ => *cell & byte,
            };
        }
    }

    fn flag(&self, byte: u8) -> Flag {
        match byte {
            byte if byte == self.erased => Flag::Unset,
            SET => Flag::Set,
            _ => Flag::Bad,
        }
    }

    fn swap_info(&self, byte: u8) -> Option<(SwapType, u8)> {
        let kind = match byte & 0xf {
            _ if byte == self.erased => return None,
            2 => SwapType::Test,
            3 => SwapType::Perm,
            4 => SwapType::Revert,
            _ => return None,
        };
        Some((kind, byte >> 4))
    }
}

/// The first row of MCUboot's table that holds for the two trailers. Swap using offset has one row more.
pub(super) fn swap_type(primary: &State, secondary: &State, by_offset: bool) -> Option<SwapType> {
    let is_asked = secondary.magic == Magic::Good && secondary.image_ok == Flag::Unset;
    if by_offset && is_asked && secondary.copy_done == Flag::Set {
        Some(SwapType::Revert)
    } else if is_asked {
        Some(SwapType::Test)
    } else if secondary.magic == Magic::Good && secondary.image_ok == Flag::Set {
        Some(SwapType::Perm)
    } else if primary.magic == Magic::Good && primary.image_ok == Flag::Unset && primary.copy_done == Flag::Set {
        Some(SwapType::Revert)
    } else {
        None
    }
}

/// Whether the primary slot's trailer tells how to go on, before any table is looked at: a swap was begun.
pub(super) fn begun(mode: Mode, primary: &State, secondary: &State) -> bool {
    let is_open = primary.copy_done == Flag::Unset;
    match mode {
        Mode::Move | Mode::Offset => primary.magic == Magic::Good && is_open && secondary.magic != Magic::Good,
        // Between two swaps there is no magic in the scratch area.
        Mode::Scratch => primary.magic != Magic::Bad && is_open,
        _ => false,
    }
}

fn magic_for(align: usize) -> [u8; MAGIC_LEN] {
    let mut magic = MAGIC_ALIGNED;
    if align == 8 {
        return MAGIC_8;
    }
    magic[..2].copy_from_slice(&(align as u16).to_le_bytes());
    magic
}

const SET: u8 = 1;
const MAGIC_LEN: usize = 16;
const MAGIC_8: [u8; MAGIC_LEN] =
    [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
/// Its first two bytes are the alignment.
const MAGIC_ALIGNED: [u8; MAGIC_LEN] =
    [0, 0, 0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a];
