//! [`SimFlash`]: a NOR flash in memory that forgives nothing, and loses power where it is told to.

mod chip;
mod contents;
mod cut;
mod defects;
mod journal;
mod meter;
mod ops;
mod rules;
mod supply;
mod tape;

pub use chip::Chip;
pub use cut::{Cut, Tear};
pub use meter::{Counts, Timing};
pub use tape::{Change, Word};

pub(crate) use cut::tear_word;

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use core::time::Duration;

use embedded_storage::nor_flash::{NorFlashError, NorFlashErrorKind};

use cut::Planned;
use defects::Defects;
use journal::{Contents, Journal};
use meter::Part;
use rules::Rules;
use supply::Supply;

/// A NOR flash with words of `WRITE` bytes, erase units of `ERASE` bytes and reads in steps of `READ` bytes.
///
/// It implements the traits of `embedded-storage-async` and, by the same code, those of `embedded-storage`.
/// What the traits forbid (a misaligned or out-of-bounds operation, a word programmed twice between erases) is a
/// bug of the code under test, and panics with the address.
///
/// ```
/// use dfu_testkit::flash::{Cut, SimError, SimFlash, Tear};
/// use embedded_storage::nor_flash::NorFlash;
///
/// let mut flash = SimFlash::<4, 4096>::new(64 * 1024);
/// flash.checkpoint();
/// for point in 0.. {
///     flash.rollback();
///     flash.cut_after(point, Cut::Torn(Tear::Random));
///     let done = flash.erase(0, 4096).and_then(|()| flash.write(0, &[1, 2, 3, 4, 5, 6, 7, 8]));
///     if done.is_ok() {
///         assert_eq!(point, 3); // one erase, two words
///         break;
///     }
///     assert_eq!(done, Err(SimError::PowerCut));
///     flash.power_on();
///     // .. what does the code under test make of it?
/// }
/// ```
#[derive(Clone, Debug)]
pub struct SimFlash<const WRITE: usize, const ERASE: usize, const READ: usize = 1> {
    cells: Vec<u8>,
    /// For each word: it may not be programmed before the next erase.
    used: Vec<bool>,
    wear: Vec<u32>,
    state: State,
    journal: Journal,
    parts: Vec<Part>,
    part_counts: Vec<Counts>,
    allowed: Option<Vec<Range<u32>>>,
    rules: Rules,
    defects: Defects,
    tape: Option<Vec<Change<WRITE>>>,
    supply: Supply,
}

/// What a rollback restores besides the contents.
#[derive(Clone, Copy, Debug)]
struct State {
    counts: Counts,
    clock_ns: u64,
    longest_ns: u64,
    powered: bool,
    /// The point that is hit, as a number of points since the flash was made.
    cut_at: u64,
    cut: Cut,
    /// Whether the last cut left what no other kind of cut there leaves.
    cut_told: bool,
    planned: Option<Planned>,
}

/// Why a simulated flash refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SimError {
    /// The power is gone; nothing works before [`SimFlash::power_on`].
    PowerCut,
    /// The fault that was planned.
    Failed,
}

/// Something other than power that goes wrong once; see [`SimFlash::fault_after`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// An operation of any kind fails.
    Failed,
    /// A read fails.
    FailedRead,
    /// A write fails; nothing is programmed, yet its words are not clean any more.
    FailedWrite,
    /// An erase fails; nothing is erased, yet its units are not clean any more.
    FailedErase,
    /// A write reports success and programs nothing: its words are as clean as before.
    SilentWrite,
    /// An erase reports success and erases nothing; what is programmed next mixes with what is there.
    SilentErase,
    /// A write reports success, and one bit of it was not programmed.
    WeakWrite,
    /// A read delivers one wrong bit.
    FlippedRead,
}

impl SimFlash<4, 4096> {
    /// The nRF9160's flash: 1 MiB, words of 4 bytes, pages of 4 KiB, its timing, word-aligned write sources.
    pub fn nrf9160() -> Self {
        Self::new(1024 * 1024).timing(Timing::NRF9160).aligned_sources(true)
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> SimFlash<WRITE, ERASE, READ> {
    /// An erased flash of `capacity` bytes, a whole number of erase units.
    pub fn new(capacity: usize) -> Self {
        const {
            assert!(WRITE > 0 && READ > 0 && ERASE > 0, "a size is never zero");
            assert!(ERASE.is_multiple_of(WRITE), "an erase unit is a whole number of words");
            assert!(ERASE.is_multiple_of(READ), "an erase unit is a whole number of reads");
        }
        assert!(
            capacity.is_multiple_of(ERASE),
            "a capacity of {capacity} is no whole number of erase units of {ERASE}"
        );
        assert!(u32::try_from(capacity).is_ok(), "a capacity of {capacity} does not fit 32 bits");
        Self {
            cells: vec![0xff; capacity],
            used: vec![false; capacity / WRITE],
            wear: vec![0; capacity / ERASE],
            state: State {
                counts: Counts::default(),
                clock_ns: 0,
                longest_ns: 0,
                powered: true,
                cut_at: u64::MAX,
                cut: Cut::Before,
                cut_told: false,
                planned: None,
            },
            journal: Journal::new(capacity, ERASE, WRITE),
            parts: Vec::new(),
            part_counts: Vec::new(),
            allowed: None,
            rules: Rules::default(),
            defects: Defects::default(),
            tape: None,
            supply: Supply::default(),
        }
    }

    /// Lets power fail at the mutation point that `points` more points precede: 0 hits the next one.
    ///
    /// Each word programmed is a point, and each unit erased. From then on every operation returns
    /// [`SimError::PowerCut`] until [`power_on`](Self::power_on).
    pub fn cut_after(&mut self, points: u64, cut: Cut) {
        self.state.cut_at = self.state.counts.points.saturating_add(points);
        self.state.cut = cut;
    }

    /// Ends a power cut, and drops a cut or fault that is still to come. Contents stay.
    pub fn power_on(&mut self) {
        self.switch(true);
        self.state.cut_at = u64::MAX;
        self.state.planned = None;
    }

    /// Whether the last cut made a difference: it hit a word or unit that was to change, and where it tore, it left
    /// neither what was there nor what was wanted.
    pub fn cut_made_a_difference(&self) -> bool {
        self.state.cut_told
    }

    /// Whether there is power.
    pub fn is_powered(&self) -> bool {
        self.supply.is_on()
    }

    /// Plans a fault: it strikes once, after `operations` operations that it could have struck.
    pub fn fault_after(&mut self, operations: u64, fault: Fault) {
        self.state.planned = Some(Planned { fault, spared: operations });
    }

    /// Whether a planned fault is still to come.
    pub fn fault_is_due(&self) -> bool {
        self.state.planned.is_some()
    }

    /// Remembers everything as it is now, for [`rollback`](Self::rollback). Checkpoints nest.
    ///
    /// Costs a copy of each 512 bytes (or erase unit) when they are first changed afterwards; nothing else.
    pub fn checkpoint(&mut self) {
        self.journal.open(self.state, self.part_counts.clone(), self.defects.wavering.clone());
    }

    /// Back to the newest checkpoint, which stays open: contents, wear, counters, clock, power and what was
    /// planned. Guard, regions, rules and stuck bits stay as they are now.
    pub fn rollback(&mut self) {
        let (cells, used, wear) = (&mut self.cells, &mut self.used, &mut self.wear);
        let contents = Contents { cells, used, wear, wavering: &mut self.defects.wavering };
        self.state = self.journal.undo(contents, &mut self.part_counts);
        self.switch(self.state.powered);
    }

    /// Forgets the newest checkpoint; what was done since stays.
    pub fn commit(&mut self) {
        self.journal.close();
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.state.counts
    }

    /// What was done so far in a [`region`](Self::region).
    pub fn counts_of(&self, name: &str) -> Counts {
        let at = self.parts.iter().position(|part| part.name == name);
        self.part_counts[at.unwrap_or_else(|| panic!("there is no region `{name}`"))]
    }

    /// Mutation points so far.
    pub fn points(&self) -> u64 {
        self.state.counts.points
    }

    /// Sets all counters and the clock to zero. Wear stays; a cut that is planned stays where it is.
    pub fn reset_counts(&mut self) {
        self.state.cut_at = match self.state.cut_at {
            u64::MAX => u64::MAX,
            at => at.saturating_sub(self.state.counts.points),
        };
        self.state.counts = Counts::default();
        self.part_counts.fill(Counts::default());
        self.state.clock_ns = 0;
        self.state.longest_ns = 0;
    }

    /// How often each erase unit was erased.
    pub fn wear(&self) -> &[u32] {
        &self.wear
    }

    /// The virtual time that all operations took.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.state.clock_ns)
    }

    /// The virtual time that the longest single operation took.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.state.longest_ns)
    }
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerCut => "simulated power cut",
            Self::Failed => "simulated flash failure",
        })
    }
}

impl core::error::Error for SimError {}

impl NorFlashError for SimError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

#[cfg(test)]
mod tests;
