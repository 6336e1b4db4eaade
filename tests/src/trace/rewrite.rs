//! What the flash operations of a trace leave.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use dfu_trace::{Event, Geometry, sum};
use embedded_storage::nor_flash::NorFlash;

use super::operation::{Channel, Operation, Trace};
use crate::flash::SimFlash;

/// What a flash came to by a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// What was done that no flash allows, and the number of its event. What is out of the flash, or is not aligned,
    /// was left out; bits that were programmed twice are programmed if they were either time.
    pub violations: Vec<(usize, Violation)>,
    /// Reads that gave something else than what is there, by the numbers of their events: flash that went bad, or was
    /// not what it was taken for when the trace began.
    pub unlike: Vec<usize>,
    /// What nobody knows: a write or an erase of it failed, and no erase came since.
    pub unknown: Vec<Range<u32>>,
}

/// What no flash allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// An address or a length that is no multiple of what it has to be.
    Unaligned,
    /// Beyond the end.
    OutOfBounds,
    /// A word that was programmed since its last erase.
    Twice {
        /// The first such word.
        at: u32,
    },
}

/// Why a trace can't be used so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is of another flash.
    Geometry(Geometry),
    /// The bytes of this event were not kept.
    NoBytes(usize),
    /// So many events are missing.
    Lost(u32),
}

impl Trace<'_> {
    /// Does to `flash`, which holds what the device's held at first, all that was done.
    pub fn rewrite<const W: usize, const E: usize, const R: usize>(
        &self,
        flash: &mut SimFlash<W, E, R>,
    ) -> Result<Rewritten, Unfit> {
        let sizes = [W, E, R, flash.bytes().len()].map(|size| size as u32);
        let of = self.geometry;
        if sizes != [of.write, of.erase, of.read, of.capacity] {
            return Err(Unfit::Geometry(of));
        }
        if self.lost > 0 {
            return Err(Unfit::Lost(self.lost));
        }
        let words = flash.bytes().len() / W;
        let used = (0..words).map(|word| !flash.is_erased((word * W) as u32..((word + 1) * W) as u32)).collect();
        let mut state = State { flash, used, found: Rewritten::default() };
        for operation in self.of(Channel::Flash) {
            state.step(operation)?;
        }
        Ok(state.found)
    }
}

struct State<'f, const W: usize, const E: usize, const R: usize> {
    flash: &'f mut SimFlash<W, E, R>,
    /// Words that may not be programmed before an erase.
    used: Vec<bool>,
    found: Rewritten,
}

impl<const W: usize, const E: usize, const R: usize> State<'_, W, E, R> {
    fn step(&mut self, operation: &Operation<'_>) -> Result<(), Unfit> {
        let (at, len, step) = match operation.asked {
            Event::Read { at, len } => (at, len, R),
            Event::Write { at, len, .. } => (at, len, W),
            Event::Erase { at, len } => (at, len, E),
            _ => return Ok(()),
        };
        let violation = if !at.is_multiple_of(step as u32) || !len.is_multiple_of(step as u32) {
            Some(Violation::Unaligned)
        } else if u64::from(at) + u64::from(len) > self.flash.bytes().len() as u64 {
            Some(Violation::OutOfBounds)
        } else {
            None
        };
        if let Some(violation) = violation {
            self.found.violations.push((operation.event, violation));
            return Ok(());
        }
        let range = at..at + len;
        match operation.asked {
            Event::Read { .. } => self.compare(operation, range),
            Event::Write { .. } => self.write(operation, range)?,
            _ => self.erase(operation, range),
        }
        Ok(())
    }

    fn compare(&mut self, operation: &Operation<'_>, range: Range<u32>) {
        let unknown = self.found.unknown.iter().any(|other| other.start < range.end && range.start < other.end);
        let there = sum(&self.flash.bytes()[range.start as usize..range.end as usize]);
        if let (Some(Event::Fetched { sum }), false) = (operation.came, unknown)
            && sum != there
        {
            self.found.unlike.push(operation.event);
        }
    }

    fn write(&mut self, operation: &Operation<'_>, range: Range<u32>) -> Result<(), Unfit> {
        if operation.given.len() != range.len() {
            return Err(Unfit::NoBytes(operation.event));
        }
        let words = range.start as usize / W..range.end as usize / W;
        let twice = self.used[words.clone()].iter().position(|used| *used);
        if let Some(nth) = twice {
            let at = ((words.start + nth) * W) as u32;
            self.found.violations.push((operation.event, Violation::Twice { at }));
        }
        self.used[words].fill(true);
        if !operation.is_done() {
            self.found.unknown.push(range);
        } else if twice.is_some() {
            self.flash
                .edit(range, |cells| cells.iter_mut().zip(&operation.given).for_each(|(cell, byte)| *cell &= byte));
        } else {
            self.flash.write(range.start, &operation.given).expect("a flash in RAM, within the rules");
        }
        Ok(())
    }

    fn erase(&mut self, operation: &Operation<'_>, range: Range<u32>) {
        let done = operation.is_done();
        self.used[range.start as usize / W..range.end as usize / W].fill(!done);
        let unknown = core::mem::take(&mut self.found.unknown);
        self.found.unknown = unknown.into_iter().flat_map(|other| without(other, &range)).collect();
        if done {
            self.flash.erase(range.start, range.end).expect("a flash in RAM, within the rules");
        } else if !range.is_empty() {
            self.found.unknown.push(range);
        }
    }
}

/// What is left of a range.
fn without(range: Range<u32>, taken: &Range<u32>) -> impl Iterator<Item = Range<u32>> + use<> {
    let front = range.start..range.end.min(taken.start);
    let back = range.start.max(taken.end)..range.end;
    [front, back].into_iter().filter(|part| part.start < part.end)
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unaligned => f.write_str("not aligned"),
            Self::OutOfBounds => f.write_str("out of the flash"),
            Self::Twice { at } => write!(f, "the word at {at:#x} was programmed since its last erase"),
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Geometry(of) => write!(f, "a trace of another flash: {of:?}"),
            Self::NoBytes(event) => write!(f, "the bytes of event {event} were not kept"),
            Self::Lost(events) => write!(f, "{events} events are missing"),
        }
    }
}

impl core::error::Error for Unfit {}
