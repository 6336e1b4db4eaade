//! What two slots have room for.

use super::{Bootloader, Mode, Slot, Trailer};

impl Bootloader {
    /// Where the trailer's fields lie in a slot of `slot` bytes.
    pub fn trailer(&self, slot: usize) -> Trailer {
        Trailer::new(slot, self.max_align, self.erased, self.mode == Mode::Offset)
    }

    /// The length of a trailer with its swap status.
    pub fn trailer_size(&self) -> usize {
        let states = if self.mode == Mode::Offset { 2 } else { 3 };
        self.sectors * states * self.write_size + self.trailer_info_size()
    }

    /// The longest image, header and TLVs included, that these two slots take.
    pub fn max_image_size(&self, primary: usize, secondary: usize) -> usize {
        let (sector, trailer) = (self.sector_size, self.trailer_size());
        let whole = trailer.next_multiple_of(sector);
        match self.mode {
            Mode::Move => primary.saturating_sub(whole + sector).min(secondary.saturating_sub(whole)),
            Mode::Offset => primary.saturating_sub(whole).min(secondary.saturating_sub(whole + sector)),
            Mode::Scratch => {
                // The scratch area has a trailer of its own, which the last sector copied has to leave room for.
                let start = primary.saturating_sub(trailer);
                let in_first_sector = sector - start % sector;
                start.saturating_sub(self.scratch_trailer_size().saturating_sub(in_first_sector))
            }
            Mode::Overwrite | Mode::DirectXip | Mode::DirectXipRevert | Mode::RamLoad | Mode::RamLoadRevert => {
                self.trailer(primary.min(secondary)).swap_info
            }
        }
    }

    /// The longest image that may run from one of the slots, or be brought from it.
    pub(super) fn limit(&self, slot: Slot, primary: usize, secondary: usize) -> usize {
        match slot {
            _ if self.mode.swaps() => self.max_image_size(primary, secondary),
            Slot::Primary => self.trailer(primary).swap_info,
            Slot::Secondary => self.trailer(secondary).swap_info,
        }
    }

    /// Whether the slots fit each other; if not, MCUboot boots the primary and does nothing else.
    pub(super) fn compatible(&self, primary: usize, secondary: usize) -> bool {
        let sector = self.sector_size;
        let fit = match self.mode {
            Mode::Move => primary == secondary || primary == secondary + sector,
            Mode::Offset => primary == secondary || primary + sector == secondary,
            _ => primary == secondary,
        };
        let enough = primary > self.trailer_size() && secondary > self.trailer_size();
        fit && enough && primary.is_multiple_of(sector) && self.can_count(primary.max(secondary))
    }

    /// Whether a slot has no more sectors than the bootloader has room to note.
    pub(super) fn can_count(&self, slot: usize) -> bool {
        slot <= self.sectors * self.sector_size
    }

    /// Where the first of the sectors that the trailer lies in begins.
    pub(super) fn trailer_sectors(&self, slot: usize) -> usize {
        (slot - self.trailer_size()) / self.sector_size * self.sector_size
    }

    /// The trailer of the scratch area.
    pub(super) fn scratch_trailer_size(&self) -> usize {
        3 * self.write_size + self.trailer_info_size()
    }

    /// The trailer without the swap status: four fields or five, the keys and the magic.
    fn trailer_info_size(&self) -> usize {
        let fields = if self.mode == Mode::Offset { 5 } else { 4 };
        fields * self.max_align + 2 * self.key_space + 16_usize.next_multiple_of(self.max_align)
    }
}
