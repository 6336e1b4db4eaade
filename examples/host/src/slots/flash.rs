//! A slot's flash: the test kit's, at the slot's address, with power that fails at an operation.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use clap::ValueEnum;
use dfu_testkit::flash::{Cut, SimError, SimFlash, Tear};
use embedded_storage::nor_flash as blocking;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use serde::Serialize;

/// What becomes of the operation during which power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Torn {
    /// It does not happen
    None,
    /// Its first half happens
    Half,
    /// What it was to change reads as anything
    Garbage,
}

/// The power of both slots' flash.
#[derive(Debug)]
pub(crate) struct Power {
    /// How many writes and erases are still carried out.
    left: Cell<u64>,
    torn: Torn,
    seed: u64,
    off: Cell<bool>,
    done: Cell<u64>,
}

impl Power {
    /// Power that never fails.
    pub(crate) fn steady() -> Rc<Self> {
        Self::failing(u64::MAX, Torn::None)
    }

    /// Power that fails in this write or erase, counted from 1.
    pub(crate) fn failing(operation: u64, torn: Torn) -> Rc<Self> {
        let left = Cell::new(operation.saturating_sub(1));
        Rc::new(Self { left, torn, seed: operation, off: Cell::new(false), done: Cell::new(0) })
    }

    /// Whether it failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.off.get()
    }

    /// Writes and erases so far, with the one that it failed in.
    pub(crate) fn operations(&self) -> u64 {
        self.done.get()
    }

    fn check(&self) -> Result<(), FlashError> {
        if self.off.get() { Err(FlashError::PowerCut) } else { Ok(()) }
    }

    /// One more write or erase; `true`: power fails in it.
    fn fails(&self) -> bool {
        self.done.set(self.done.get() + 1);
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => self.off.set(true),
        }
        self.off.get()
    }
}

/// What was asked of a slot's flash.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Operations {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) erases: u64,
    pub(crate) bytes_written: u64,
}

/// Why it failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlashError {
    PowerCut,
    /// A word would be programmed twice between two erases, which flash with an ECC does not stand.
    Twice {
        /// Where it is.
        address: u32,
    },
}

/// The flash of one slot.
#[derive(Debug)]
pub(crate) struct SlotFlash<const W: usize, const E: usize> {
    sim: SimFlash<W, E>,
    /// Where it begins.
    address: u32,
    power: Rc<Power>,
    operations: Operations,
}

impl<const W: usize, const E: usize> SlotFlash<W, E> {
    /// A flash with these contents, which are whole erase units.
    pub(crate) fn new(bytes: &[u8], erased: u8, address: u32, power: &Rc<Power>) -> Self {
        let mut sim = SimFlash::new(bytes.len()).erased_value(erased);
        sim.load(0, bytes);
        Self { sim, address, power: Rc::clone(power), operations: Operations::default() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.sim.bytes()
    }

    pub(crate) fn operations(&self) -> Operations {
        self.operations
    }

    /// Whether all these words are erased.
    fn check_blank(&self, at: u32, len: u32) -> Result<(), FlashError> {
        match (at..at + len).step_by(W).find(|word| !self.sim.is_erased(*word..*word + W as u32)) {
            Some(word) => Err(FlashError::Twice { address: self.address + word }),
            None => Ok(()),
        }
    }

    /// Tears an operation over `units` words or erase units, of which `len` bytes are in all.
    fn tear(&mut self, at: u32, len: u32, units: u32, act: impl FnOnce(&mut SimFlash<W, E>) -> Result<(), SimError>) {
        match self.power.torn {
            Torn::None => {}
            Torn::Half => {
                let cut = if units.is_multiple_of(2) { Cut::Before } else { Cut::Torn(Tear::Front) };
                self.sim.cut_after((units / 2).into(), cut);
                // That it errs is what was asked for.
                let _ = act(&mut self.sim);
                self.sim.power_on();
            }
            Torn::Garbage => {
                let mut random = fastrand::Rng::with_seed(self.power.seed);
                self.sim.edit(at..at + len, |bytes| random.fill(bytes));
            }
        }
    }
}

impl<const W: usize, const E: usize> ErrorType for SlotFlash<W, E> {
    type Error = FlashError;
}

impl<const W: usize, const E: usize> ReadNorFlash for SlotFlash<W, E> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.power.check()?;
        self.operations.reads += 1;
        Ok(blocking::ReadNorFlash::read(&mut self.sim, offset - self.address, bytes)?)
    }

    fn capacity(&self) -> usize {
        self.address as usize + self.sim.bytes().len()
    }
}

impl<const W: usize, const E: usize> NorFlash for SlotFlash<W, E> {
    const WRITE_SIZE: usize = W;
    const ERASE_SIZE: usize = E;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.power.check()?;
        let (from, to) = (from - self.address, to - self.address);
        self.operations.erases += 1;
        if self.power.fails() {
            let erase = |sim: &mut SimFlash<W, E>| blocking::NorFlash::erase(sim, from, to);
            self.tear(from, to - from, (to - from) / E as u32, erase);
            return Err(FlashError::PowerCut);
        }
        Ok(blocking::NorFlash::erase(&mut self.sim, from, to)?)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.power.check()?;
        let (at, len) = (offset - self.address, bytes.len() as u32);
        self.check_blank(at, len)?;
        self.operations.writes += 1;
        if self.power.fails() {
            let write = |sim: &mut SimFlash<W, E>| blocking::NorFlash::write(sim, at, bytes);
            self.tear(at, len, len / W as u32, write);
            return Err(FlashError::PowerCut);
        }
        self.operations.bytes_written += u64::from(len);
        Ok(blocking::NorFlash::write(&mut self.sim, at, bytes)?)
    }
}

// What the library shows of it.
impl fmt::Debug for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerCut => f.write_str("the power is off"),
            Self::Twice { address } => write!(f, "the word at {address:#x} is programmed already"),
        }
    }
}

impl From<SimError> for FlashError {
    fn from(_: SimError) -> Self {
        // No faults are planned.
        Self::PowerCut
    }
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}
