//! One boot.

use alloc::vec::Vec;
use core::ops::Range;

use super::{Boot, Bootloader, Mode, SwapType, trailer};
use crate::flash::SimFlash;

/// The two slots of an image.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    /// Which image.
    pub(super) index: u8,
    pub(super) primary: &'a mut [u8],
    pub(super) secondary: &'a mut [u8],
    /// Where they lie.
    pub(super) at: [u32; 2],
}

impl Bootloader {
    /// What the trailers ask for, before the image is looked at.
    pub fn asked(&self, primary: &[u8], secondary: &[u8]) -> Option<SwapType> {
        if self.mode.selects() {
            return None;
        }
        self.begun(primary, secondary).or_else(|| self.tabled(primary, secondary))
    }

    /// One boot.
    pub fn boot(&self, primary: &mut [u8], secondary: &mut [u8]) -> Boot {
        let at = [0, primary.len() as u32];
        self.boot_at(at, primary, secondary)
    }

    /// One boot of several images: the first one's slots, then the next one's, all with these settings and each with
    /// a security counter of its own. The device starts only if all of them run.
    pub fn boot_group(&self, slots: &mut [(&mut [u8], &mut [u8])]) -> Vec<Boot> {
        let mut end = 0;
        let mut pairs = Vec::new();
        for (index, (primary, secondary)) in slots.iter_mut().enumerate() {
            let at = [end, end + primary.len() as u32];
            end = at[1] + secondary.len() as u32;
            pairs.push(Pair { index: index as u8, primary, secondary, at });
        }
        self.boot_pairs(&mut pairs)
    }

    /// One boot of slots in one flash. Where the bootloader changes nothing, nothing is touched.
    pub fn boot_in<const W: usize, const E: usize, const R: usize>(
        &self,
        flash: &mut SimFlash<W, E, R>,
        primary: Range<u32>,
        secondary: Range<u32>,
    ) -> Boot {
        let at = [primary.start, secondary.start];
        let before = [&flash.bytes()[bounds(&primary)], &flash.bytes()[bounds(&secondary)]];
        if !self.mode.selects() && self.asked(before[0], before[1]).is_none() {
            return self.plain_boot(before[0], before[1]);
        }
        let [mut first, mut second] = before.map(<[u8]>::to_vec);
        let boot = self.boot_at(at, &mut first, &mut second);
        if before != [&first[..], &second[..]] {
            flash.edit_two(primary, secondary, |primary, secondary| {
                primary.copy_from_slice(&first);
                secondary.copy_from_slice(&second);
            });
        }
        boot
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
        let at = [primary.start, secondary.start];
        let before = [&first.bytes()[bounds(&primary)], &second.bytes()[bounds(&secondary)]];
        if !self.mode.selects() && self.asked(before[0], before[1]).is_none() {
            return self.plain_boot(before[0], before[1]);
        }
        let [mut one, mut other] = before.map(<[u8]>::to_vec);
        let boot = self.boot_at(at, &mut one, &mut other);
        if before != [&one[..], &other[..]] {
            first.edit(primary, |slot| slot.copy_from_slice(&one));
            second.edit(secondary, |slot| slot.copy_from_slice(&other));
        }
        boot
    }

    fn boot_at(&self, at: [u32; 2], primary: &mut [u8], secondary: &mut [u8]) -> Boot {
        let at = self.addresses.unwrap_or(at);
        let mut boots = self.boot_pairs(&mut [Pair { index: self.image, primary, secondary, at }]);
        boots.remove(0)
    }

    fn boot_pairs(&self, pairs: &mut [Pair<'_>]) -> Vec<Boot> {
        if self.mode.selects() { self.select(pairs) } else { self.upgrade(pairs) }
    }

    /// What a swap that was begun and has not moved a sector is to be.
    pub(super) fn begun(&self, primary: &[u8], secondary: &[u8]) -> Option<SwapType> {
        let (one, other) = (self.trailer(primary.len()).state(primary), self.trailer(secondary.len()).state(secondary));
        trailer::begun(self.mode, &one, &other).then_some(one.swap_info?.0)
    }

    /// What MCUboot's table says.
    pub(super) fn tabled(&self, primary: &[u8], secondary: &[u8]) -> Option<SwapType> {
        let (primary, secondary) =
            (self.trailer(primary.len()).state(primary), self.trailer(secondary.len()).state(secondary));
        trailer::swap_type(&primary, &secondary, self.mode == Mode::Offset)
    }
}

fn bounds(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}
