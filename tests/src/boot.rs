//! [`Bootloader`]: what MCUboot makes of two slots at a reset, from their bytes alone.

mod swap;
mod trailer;
mod validate;

pub use trailer::{BadTrailer, Flag, Magic, State, SwapType, Trailer};
pub use validate::{Refusal, Running};

use core::ops::Range;

use crate::flash::SimFlash;

/// A build of MCUboot for one pair of slots, after its source: the swap type by its table, the checks of an image
/// with a SHA-256 and no signature, and the contents and trailers that a finished swap leaves.
///
/// It is a model of before and after: a swap is one step here, and its status bytes are not written. It shares no
/// code with the library under test.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootloader {
    mode: Mode,
    write_size: usize,
    sector_size: usize,
    max_align: usize,
    sectors: usize,
    erased: u8,
    image: u8,
    validates_primary: bool,
}

/// How the bootloader brings an image from the secondary slot to the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Swap by moving the primary up one sector.
    Move,
    /// Swap by way of a scratch area.
    Scratch,
    /// Copy over the primary, and no way back (`MCUBOOT_OVERWRITE_ONLY_FAST`, as Zephyr has it).
    Overwrite,
}

/// What a boot did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// What the trailers asked for.
    pub asked: Option<SwapType>,
    /// What was carried out.
    pub swapped: Option<SwapType>,
    /// Why what was asked for was not carried out.
    pub refused: Option<Refusal>,
    /// The image that runs now; or why nothing does, and the device is dead.
    pub running: Result<Running, Refusal>,
}

impl Bootloader {
    /// A bootloader for a flash with this write size and sector size: 128 sectors, `MCUBOOT_BOOT_MAX_ALIGN` 8 or
    /// the write size if that is more, erased bytes 0xff, image 0, the primary slot checked at each boot.
    pub fn new(mode: Mode, write_size: usize, sector_size: usize) -> Self {
        assert!(write_size.is_power_of_two() && write_size <= 32, "MCUboot has no write size of {write_size}");
        let max_align = write_size.max(8);
        Self { mode, write_size, sector_size, max_align, sectors: 128, erased: 0xff, image: 0, validates_primary: true }
    }

    /// `MCUBOOT_BOOT_MAX_ALIGN`: 8, 16 or 32, and not less than the write size.
    #[must_use]
    pub fn max_align(mut self, align: usize) -> Self {
        assert!(matches!(align, 8 | 16 | 32) && align >= self.write_size, "MCUboot has no such alignment, {align}");
        self.max_align = align;
        self
    }

    /// `MCUBOOT_MAX_IMG_SECTORS`.
    #[must_use]
    pub fn sectors(mut self, sectors: usize) -> Self {
        self.sectors = sectors;
        self
    }

    /// What erased bytes read as.
    #[must_use]
    pub fn erased_value(mut self, value: u8) -> Self {
        self.erased = value;
        self
    }

    /// Which image of several these slots are for.
    #[must_use]
    pub fn image(mut self, index: u8) -> Self {
        self.image = index;
        self
    }

    /// Whether the running image is checked at each boot (`MCUBOOT_VALIDATE_PRIMARY_SLOT`); its magic always is.
    #[must_use]
    pub fn validates_primary(mut self, on: bool) -> Self {
        self.validates_primary = on;
        self
    }

    /// What erased bytes read as.
    pub fn erased(&self) -> u8 {
        self.erased
    }

    /// Where the trailer's fields lie in a slot of `slot` bytes.
    pub fn trailer(&self, slot: usize) -> Trailer {
        Trailer::new(slot, self.max_align, self.erased)
    }

    /// The length of a trailer with its swap status.
    pub fn trailer_size(&self) -> usize {
        self.sectors * 3 * self.write_size + self.trailer_info_size()
    }

    /// The longest image, header and TLVs included, that these two slots take.
    pub fn max_image_size(&self, primary: usize, secondary: usize) -> usize {
        let (sector, trailer) = (self.sector_size, self.trailer_size());
        match self.mode {
            Mode::Move => {
                let trailer = trailer.next_multiple_of(sector);
                primary.saturating_sub(trailer + sector).min(secondary.saturating_sub(trailer))
            }
            Mode::Scratch => {
                // The scratch area has a trailer of its own, which the last sector copied has to leave room for.
                let start = primary.saturating_sub(trailer);
                let in_first_sector = sector - start % sector;
                let scratch_trailer = 3 * self.write_size + self.trailer_info_size();
                start.saturating_sub(scratch_trailer.saturating_sub(in_first_sector))
            }
            Mode::Overwrite => self.trailer(primary.min(secondary)).swap_info,
        }
    }

    /// What the trailers ask for, before the image is looked at.
    pub fn asked(&self, primary: &[u8], secondary: &[u8]) -> Option<SwapType> {
        let (primary, secondary) =
            (self.trailer(primary.len()).state(primary), self.trailer(secondary.len()).state(secondary));
        trailer::swap_type(&primary, &secondary)
    }

    /// One boot.
    pub fn boot(&self, primary: &mut [u8], secondary: &mut [u8]) -> Boot {
        let (asked, verdict) = self.decide(primary, secondary);
        self.carry_out(asked, verdict, primary, secondary)
    }

    /// One boot of slots in one flash. Where the bootloader changes nothing, nothing is touched.
    pub fn boot_in<const W: usize, const E: usize, const R: usize>(
        &self,
        flash: &mut SimFlash<W, E, R>,
        primary: Range<u32>,
        secondary: Range<u32>,
    ) -> Boot {
        let (from, to) = (&flash.bytes()[bounds(&primary)], &flash.bytes()[bounds(&secondary)]);
        let (asked, verdict) = self.decide(from, to);
        if asked.is_none() || verdict == Err(Refusal::Incompatible) {
            return Boot { asked, swapped: None, refused: verdict.err(), running: self.running(from) };
        }
        flash.edit_two(primary, secondary, |primary, secondary| self.carry_out(asked, verdict, primary, secondary))
    }

    /// One boot of slots in two flashes. Where the bootloader changes nothing, nothing is touched.
    pub fn boot_across<
        const W: usize,
        const E: usize,
        const R: usize,
        const V: usize,
        const F: usize,
        const S: usize,
    >(
        &self,
        (first, primary): (&mut SimFlash<W, E, R>, Range<u32>),
        (second, secondary): (&mut SimFlash<V, F, S>, Range<u32>),
    ) -> Boot {
        let (from, to) = (&first.bytes()[bounds(&primary)], &second.bytes()[bounds(&secondary)]);
        let (asked, verdict) = self.decide(from, to);
        if asked.is_none() || verdict == Err(Refusal::Incompatible) {
            return Boot { asked, swapped: None, refused: verdict.err(), running: self.running(from) };
        }
        first.edit(primary, |primary| {
            second.edit(secondary, |secondary| self.carry_out(asked, verdict, primary, secondary))
        })
    }

    /// What an application does with MCUboot's own `boot_set_pending`: the same bytes, in a slot that may be
    /// pending already.
    pub fn mark_pending(&self, secondary: &mut [u8], permanent: bool) -> Result<(), BadTrailer> {
        let trailer = self.trailer(secondary.len());
        match trailer.state(secondary).magic {
            Magic::Good => {}
            Magic::Bad => return Err(BadTrailer),
            Magic::Unset => {
                let kind = if permanent { SwapType::Perm } else { SwapType::Test };
                trailer.put_magic(secondary);
                if permanent {
                    secondary[trailer.image_ok] = trailer::SET;
                }
                trailer.put_swap_info(secondary, kind, self.image);
            }
        }
        Ok(())
    }

    /// What an application does with MCUboot's own `boot_set_confirmed`.
    pub fn confirm(&self, primary: &mut [u8]) -> Result<(), BadTrailer> {
        let trailer = self.trailer(primary.len());
        let state = trailer.state(primary);
        match state.magic {
            Magic::Good if state.image_ok == Flag::Unset => primary[trailer.image_ok] = trailer::SET,
            Magic::Good | Magic::Unset => {}
            Magic::Bad => return Err(BadTrailer),
        }
        Ok(())
    }

    fn decide(&self, primary: &[u8], secondary: &[u8]) -> (Option<SwapType>, Result<(), Refusal>) {
        let asked = self.asked(primary, secondary);
        let verdict = match asked {
            None => Ok(()),
            Some(_) if !self.compatible(primary.len(), secondary.len()) => Err(Refusal::Incompatible),
            Some(_) => {
                let max = self.max_image_size(primary.len(), secondary.len());
                validate::image(secondary, max, self.erased).map(drop)
            }
        };
        (asked, verdict)
    }

    fn running(&self, primary: &[u8]) -> Result<Running, Refusal> {
        if primary.len() > self.sectors * self.sector_size {
            return Err(Refusal::Incompatible);
        }
        if self.validates_primary {
            validate::image(primary, primary.len(), self.erased)
        } else {
            validate::magic(primary)
        }
    }

    /// Whether the slots fit each other; if not, MCUboot boots the primary and does nothing else.
    fn compatible(&self, primary: usize, secondary: usize) -> bool {
        let sector = self.sector_size;
        let fit = match self.mode {
            Mode::Move => primary == secondary || primary == secondary + sector,
            Mode::Scratch | Mode::Overwrite => primary == secondary,
        };
        let enough = primary > self.trailer_size() && secondary > self.trailer_size();
        fit && enough && primary.is_multiple_of(sector) && primary.max(secondary) <= self.sectors * sector
    }

    /// The trailer without the swap status: four fields and the magic.
    fn trailer_info_size(&self) -> usize {
        4 * self.max_align + 16_usize.next_multiple_of(self.max_align)
    }
}

fn bounds(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

#[cfg(test)]
mod tests;
