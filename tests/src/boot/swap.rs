//! What a swap changes in the slots.

use super::boots::Pair;
use super::header::Header;
use super::tlv::Tlvs;
use super::upgrade::Plan;
use super::{Bootloader, Flag, Mode, Refusal, SwapType};

/// What changes places.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    /// Bytes of the longer image.
    size: usize,
    /// Unprotected TLVs of both.
    tlvs: [usize; 2],
    /// Sectors that each image takes, as swap using offset counts them.
    used: [usize; 2],
}

impl Bootloader {
    /// Swaps, and marks the swap as finished; whether there was room for it.
    pub(super) fn swap(&self, kind: SwapType, plan: &Plan, pair: &mut Pair<'_>) -> Result<bool, Refusal> {
        let extent = self.extent(plan, pair)?;
        let sectors = extent.size.div_ceil(self.sector_size).max(1);
        let free = pair.primary.len().saturating_sub(self.trailer_size()) / self.sector_size;
        let fits = match self.mode {
            Mode::Move => sectors < free,
            Mode::Offset => sectors <= free,
            _ => true,
        };
        if fits {
            match self.mode {
                Mode::Move => self.swap_by_move(kind, plan, &extent, sectors, pair),
                Mode::Offset => self.swap_by_offset(kind, plan, &extent, sectors, pair),
                _ => self.swap_by_scratch(kind, &extent, sectors, pair),
            }
        }
        if matches!(kind, SwapType::Perm | SwapType::Revert) {
            self.set_image_ok(pair.primary);
        }
        let trailer = self.trailer(pair.primary.len());
        trailer.set(pair.primary, trailer.copy_done);
        Ok(fits)
    }

    pub(super) fn set_image_ok(&self, slot: &mut [u8]) {
        let trailer = self.trailer(slot.len());
        if trailer.state(slot).image_ok == Flag::Unset {
            trailer.set(slot, trailer.image_ok);
        }
    }

    pub(super) fn erase_trailer(&self, slot: &mut [u8]) {
        let from = self.trailer_sectors(slot.len());
        slot[from..].fill(self.erased);
    }

    fn extent(&self, plan: &Plan, pair: &Pair<'_>) -> Result<Extent, Refusal> {
        let images = [&*pair.primary, &pair.secondary[plan.at..]];
        let headers = images.map(|image| self.header(image));
        let mut extent = Extent::default();
        for (index, (image, header)) in images.iter().zip(&headers).enumerate() {
            if header.is_image {
                let tlvs = Tlvs::of(image, header).map_err(|_| Refusal::Tlvs)?;
                extent.size = extent.size.max(tlvs.end());
                extent.tlvs[index] = tlvs.unprotected();
            }
        }
        if plan.is_begun && self.mode == Mode::Offset {
            extent.tlvs = self.trailer(pair.primary.len()).noted_tlvs(pair.primary);
        }
        let used = |header: &Header, tlvs: usize| (header.hashed() + tlvs).div_ceil(self.sector_size);
        extent.used = [used(&headers[0], extent.tlvs[0]), used(&headers[1], extent.tlvs[1])];
        Ok(extent)
    }

    /// Erases both trailers, and begins a swap in the primary slot's.
    fn open(&self, kind: SwapType, extent: &Extent, pair: &mut Pair<'_>) {
        let stays = self.trailer(pair.secondary.len()).state(pair.secondary).image_ok == Flag::Set;
        self.erase_trailer(pair.primary);
        self.erase_trailer(pair.secondary);
        let trailer = self.trailer(pair.primary.len());
        trailer.put_swap_info(pair.primary, kind, pair.index);
        if stays {
            trailer.set(pair.primary, trailer.image_ok);
        }
        trailer.put_sizes(pair.primary, extent.size, extent.tlvs);
        trailer.put_magic(pair.primary);
    }

    /// The same for a swap that may be begun already.
    fn open_once(&self, kind: SwapType, plan: &Plan, extent: &Extent, pair: &mut Pair<'_>) {
        if plan.is_begun {
            self.erase_trailer(pair.secondary);
        } else {
            self.open(kind, extent, pair);
        }
    }

    fn swap_by_move(&self, kind: SwapType, plan: &Plan, extent: &Extent, sectors: usize, pair: &mut Pair<'_>) {
        self.open_once(kind, plan, extent, pair);
        let (sector, end) = (self.sector_size, sectors * self.sector_size);
        // The last sector of the old image stays behind where it was moved to.
        pair.primary.copy_within(end - sector..end, end);
        pair.primary[..end].swap_with_slice(&mut pair.secondary[..end]);
    }

    fn swap_by_scratch(&self, kind: SwapType, extent: &Extent, sectors: usize, pair: &mut Pair<'_>) {
        let (length, sector) = (pair.primary.len(), self.sector_size);
        let (trailer, in_sector) = (length - self.trailer_size(), self.trailer_sectors(length));
        let mut end = sectors * sector;
        if end > in_sector {
            // A sector that image and trailer share is swapped up to the trailer, or that of the scratch area.
            end = trailer.min(in_sector + sector.saturating_sub(self.scratch_trailer_size()));
        }
        let (old, new) = (pair.primary[..end].to_vec(), pair.secondary[..end].to_vec());
        self.open(kind, extent, pair);
        pair.primary[..end].copy_from_slice(&new);
        pair.secondary[..end].copy_from_slice(&old);
    }

    fn swap_by_offset(&self, kind: SwapType, plan: &Plan, extent: &Extent, sectors: usize, pair: &mut Pair<'_>) {
        self.open_once(kind, plan, extent, pair);
        let [old, new] = extent.used;
        let sector = |index: usize| index * self.sector_size..(index + 1) * self.sector_size;
        if kind == SwapType::Revert {
            for index in (0..sectors).rev() {
                if index <= old {
                    pair.secondary[sector(index + 1)].copy_from_slice(&pair.primary[sector(index)]);
                }
                if index <= new {
                    pair.primary[sector(index)].copy_from_slice(&pair.secondary[sector(index)]);
                }
            }
            pair.secondary[sector(0)].fill(self.erased);
            self.erase_trailer(pair.secondary);
        } else {
            for index in 0..sectors {
                if index <= old {
                    pair.secondary[sector(index)].copy_from_slice(&pair.primary[sector(index)]);
                }
                if index <= new {
                    pair.primary[sector(index)].copy_from_slice(&pair.secondary[sector(index + 1)]);
                }
            }
        }
    }
}
