//! Bits that do not hold what they are told: unstable until they are written again, or stuck for good.

use alloc::vec::Vec;
use core::ops::Range;

/// Unstable bits: the byte's place and which of its bits, in the order of places.
pub(super) type Wavering = Vec<(usize, u8)>;

#[derive(Clone, Debug, Default)]
pub(super) struct Defects {
    pub(super) wavering: Wavering,
    /// The byte's place, which of its bits, and whether they are high.
    stuck: Vec<(usize, u8, bool)>,
}

impl Defects {
    /// The bits of these masks, from `at` on, are unstable.
    pub(super) fn unsettle(&mut self, at: usize, masks: impl Iterator<Item = u8>) {
        let new = masks.enumerate().map(|(n, mask)| (at + n, mask)).filter(|(_, mask)| *mask != 0);
        self.wavering.extend(new);
        self.wavering.sort_unstable();
        self.wavering.dedup_by(|next, entry| {
            let same = next.0 == entry.0;
            if same {
                entry.1 |= next.1;
            }
            same
        });
    }

    /// A range is erased, or somebody placed bytes there.
    pub(super) fn settle(&mut self, range: Range<usize>) {
        let range = self.find(&range);
        self.wavering.drain(range);
    }

    /// Bits that a write drives away from the erased value are what it says.
    pub(super) fn programmed(&mut self, at: usize, bytes: &[u8], erased: u8) {
        let range = self.find(&(at..at + bytes.len()));
        if !range.is_empty() {
            for (place, mask) in &mut self.wavering[range] {
                *mask &= !(bytes[*place - at] ^ erased);
            }
            self.wavering.retain(|(_, mask)| *mask != 0);
        }
    }

    /// Which bits of a byte are unstable.
    pub(super) fn unstable(&self, at: usize) -> u8 {
        self.wavering.binary_search_by_key(&at, |(place, _)| *place).map_or(0, |n| self.wavering[n].1)
    }

    /// Whether anything in a range is unstable.
    pub(super) fn waver_in(&self, range: &Range<usize>) -> bool {
        !self.wavering.is_empty() && !self.find(range).is_empty()
    }

    /// Which bytes of a range have unstable bits.
    pub(super) fn wavering_in(&self, range: &Range<usize>) -> impl Iterator<Item = usize> {
        self.wavering[self.find(range)].iter().map(|(place, _)| *place)
    }

    /// Gives the unstable bits of a range another value.
    pub(super) fn roll(&self, range: Range<usize>, cells: &mut [u8], rng: &mut fastrand::Rng) {
        for (place, mask) in &self.wavering[self.find(&range)] {
            cells[*place] = cells[*place] & !mask | rng.u8(..) & mask;
        }
    }

    pub(super) fn stick(&mut self, at: usize, mask: u8, high: bool, cells: &mut [u8]) {
        self.stuck.push((at, mask, high));
        self.hold(at..at + 1, cells);
    }

    pub(super) fn unstick(&mut self) {
        self.stuck.clear();
    }

    /// Puts stuck bits of a range to where they always are.
    pub(super) fn hold(&self, range: Range<usize>, cells: &mut [u8]) {
        for (at, mask, high) in self.stuck.iter().filter(|(at, ..)| range.contains(at)) {
            cells[*at] = if *high { cells[*at] | mask } else { cells[*at] & !mask };
        }
    }

    fn find(&self, range: &Range<usize>) -> Range<usize> {
        let end_of = |at: usize| self.wavering.partition_point(|(place, _)| *place < at);
        end_of(range.start)..end_of(range.end)
    }
}
