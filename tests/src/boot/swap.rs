//! What a boot changes in the slots.

use super::trailer::{self, SwapType};
use super::validate::{self, Refusal};
use super::{Boot, Bootloader, Mode};

impl Bootloader {
    /// Does what was decided; what runs afterwards.
    pub(super) fn carry_out(
        &self,
        asked: Option<SwapType>,
        verdict: Result<(), Refusal>,
        primary: &mut [u8],
        secondary: &mut [u8],
    ) -> Boot {
        let mut swapped = None;
        match (asked, verdict) {
            (None, _) | (_, Err(Refusal::Incompatible)) => {}
            (Some(kind), Ok(())) => {
                if self.mode == Mode::Overwrite {
                    self.overwrite(primary, secondary);
                } else {
                    self.swap(kind, primary, secondary);
                }
                swapped = Some(kind);
            }
            (Some(kind), Err(Refusal::NoImage | Refusal::NotBootable)) => {
                if self.mode != Mode::Overwrite {
                    self.erase_trailer(secondary);
                    if self.mode == Mode::Move && kind == SwapType::Revert {
                        self.erase_trailer(primary);
                    }
                }
            }
            (Some(_), Err(_)) => secondary.fill(self.erased),
        }
        Boot { asked, swapped, refused: verdict.err(), running: self.running(primary) }
    }

    fn swap(&self, kind: SwapType, primary: &mut [u8], secondary: &mut [u8]) {
        let size = validate::size(primary).unwrap_or(0).max(validate::size(secondary).unwrap_or(0));
        let shorter = primary.len().min(secondary.len());
        let (trailer_at, sector) = (shorter - self.trailer_size(), self.sector_size);
        let whole = size.next_multiple_of(sector);
        // A sector that image and trailer share is swapped up to the trailer.
        let copied = if whole > trailer_at / sector * sector { trailer_at } else { whole };
        primary[..copied].swap_with_slice(&mut secondary[..copied]);
        for slot in [&mut *primary, secondary] {
            let at = slot.len() - self.trailer_size();
            let from = copied.max(at / sector * sector);
            slot[from..].fill(self.erased);
        }

        let trailer = self.trailer(primary.len());
        trailer.put_swap_size(primary, size as u32);
        trailer.put_swap_info(primary, kind, self.image);
        trailer.put_magic(primary);
        if matches!(kind, SwapType::Perm | SwapType::Revert) {
            primary[trailer.image_ok] = trailer::SET;
        }
        primary[trailer.copy_done] = trailer::SET;
    }

    fn overwrite(&self, primary: &mut [u8], secondary: &mut [u8]) {
        let size = validate::size(secondary).unwrap_or(0);
        let sector = self.sector_size;
        let erased = size.next_multiple_of(sector).min(primary.len());
        primary[..erased].fill(self.erased);
        self.erase_trailer(primary);
        // MCUboot adds a word where the size is a whole number of them.
        let copied = (size + self.write_size - size % self.write_size).min(erased);
        primary[..copied].copy_from_slice(&secondary[..copied]);
        self.trailer(primary.len()).put_magic(primary);
        secondary[..sector].fill(self.erased);
        let last = secondary.len() - sector;
        secondary[last..].fill(self.erased);
    }

    fn erase_trailer(&self, slot: &mut [u8]) {
        let from = (slot.len() - self.trailer_size()) / self.sector_size * self.sector_size;
        slot[from..].fill(self.erased);
    }
}
