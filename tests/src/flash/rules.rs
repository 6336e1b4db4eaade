//! What a simulated flash demands and how it behaves: the settings of [`SimFlash`].

use alloc::vec::Vec;
use core::ops::Range;

use super::SimFlash;
use super::meter::{Counts, Part, Timing};

#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) erased: u8,
    pub(super) overwrites: bool,
    pub(super) forgiving_tears: bool,
    pub(super) forgiving: Vec<Range<u32>>,
    pub(super) aligned_sources: bool,
    pub(super) yield_before: bool,
    pub(super) yield_after: bool,
    pub(super) timing: Timing,
    pub(super) seed: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            erased: 0xff,
            overwrites: false,
            forgiving_tears: false,
            forgiving: Vec::new(),
            aligned_sources: false,
            yield_before: false,
            yield_after: false,
            timing: Timing::default(),
            seed: 0,
        }
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> SimFlash<WRITE, ERASE, READ> {
    /// What erased bytes read as, 0xff or 0x00, instead of 0xff. For a flash that is still new: erases all of it.
    #[must_use]
    pub fn erased_value(mut self, value: u8) -> Self {
        assert!(value == 0xff || value == 0, "erased bytes are all ones or all zeros");
        self.rules.erased = value;
        self.cells.fill(value);
        self.used.fill(false);
        self
    }

    /// Lets words be programmed again without an erase, as a `MultiwriteNorFlash` does: bits only go one way.
    #[must_use]
    pub fn overwrites(mut self, allowed: bool) -> Self {
        self.rules.overwrites = allowed;
        self
    }

    /// Lets a word or unit that a cut or a failure hit be programmed without an erase, if it reads as erased.
    ///
    /// Otherwise it panics: such a cell need not keep its value, and only an erase makes it good.
    #[must_use]
    pub fn forgiving_tears(mut self, allowed: bool) -> Self {
        self.rules.forgiving_tears = allowed;
        self
    }

    /// [`forgiving_tears`](Self::forgiving_tears) within a range only: for marks whose design has them written
    /// where an erase would cost more than it saves.
    #[must_use]
    pub fn forgiving_tears_in(mut self, range: Range<u32>) -> Self {
        self.rules.forgiving.push(range);
        self
    }

    /// Demands that what is written lies in RAM at a multiple of 4, as DMA does.
    #[must_use]
    pub fn aligned_sources(mut self, demanded: bool) -> Self {
        self.rules.aligned_sources = demanded;
        self
    }

    /// Makes each async operation pending once, before it does anything.
    #[must_use]
    pub fn yields(mut self, on: bool) -> Self {
        self.rules.yield_before = on;
        self
    }

    /// Makes each async operation pending once, after it was done.
    #[must_use]
    pub fn yields_after(mut self, on: bool) -> Self {
        self.rules.yield_after = on;
        self
    }

    /// [`yields`](Self::yields) and [`yields_after`](Self::yields_after) for a flash that is in use.
    pub fn set_yields(&mut self, before: bool, after: bool) {
        self.rules.yield_before = before;
        self.rules.yield_after = after;
    }

    /// How long operations take, for [`elapsed`](Self::elapsed); no time at all otherwise.
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.rules.timing = timing;
        self
    }

    /// [`timing`](Self::timing) for a flash that is in use.
    pub fn set_timing(&mut self, timing: Timing) {
        self.rules.timing = timing;
    }

    /// Another choice of the random bits of torn points. The same seed and point give the same bits.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.rules.seed = seed;
        self
    }

    /// Counts what happens in `range` also by itself; see [`counts_of`](Self::counts_of). Ranges may overlap.
    #[must_use]
    pub fn region(mut self, name: &'static str, range: Range<u32>) -> Self {
        self.parts.push(Part { name, range });
        self.part_counts.push(Counts::default());
        self
    }

    /// From now on a write or erase that is not wholly within one of these ranges panics.
    pub fn guard(&mut self, allowed: &[Range<u32>]) {
        self.allowed = Some(allowed.to_vec());
    }

    /// Ends [`guard`](Self::guard).
    pub fn unguard(&mut self) {
        self.allowed = None;
    }
}
