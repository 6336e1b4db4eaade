//! What the flash operations of a trace leave.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use dfu_trace::{Event, Geometry, sum};
use embedded_storage::nor_flash::NorFlash;

use super::operation::{Channel, Operation, Trace};
use super::rules::{Rules, Violation, without};
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
        let mut rules = Rules::new(of);
        for word in (0..of.capacity).step_by(W) {
            if !flash.is_erased(word..word + W as u32) {
                rules.program(word..word + W as u32);
            }
        }
        let mut state = State { flash, rules, found: Rewritten::default() };
        for operation in self.of(Channel::Flash) {
            state.step(operation)?;
        }
        Ok(state.found)
    }
}

struct State<'f, const W: usize, const E: usize, const R: usize> {
    flash: &'f mut SimFlash<W, E, R>,
    rules: Rules,
    found: Rewritten,
}

impl<const W: usize, const E: usize, const R: usize> State<'_, W, E, R> {
    fn step(&mut self, operation: &Operation<'_>) -> Result<(), Unfit> {
        let violation = self.rules.check(operation);
        self.found.violations.extend(violation.map(|violation| (operation.event, violation)));
        if let Some(Violation::Unaligned | Violation::OutOfBounds) = violation {
            return Ok(());
        }
        match operation.asked {
            Event::Read { at, len } => self.compare(operation, at..at + len),
            Event::Write { at, len, .. } => self.write(operation, at..at + len, violation.is_some())?,
            Event::Erase { at, len } => self.erase(operation, at..at + len),
            _ => {}
        }
        Ok(())
    }

    fn compare(&mut self, operation: &Operation<'_>, range: Range<u32>) {
        let unknown = self.found.unknown.iter().any(|other| other.start.max(range.start) < other.end.min(range.end));
        let there = sum(&self.flash.bytes()[range.start as usize..range.end as usize]);
        if let (Some(Event::Fetched { sum }), false) = (operation.came, unknown)
            && sum != there
        {
            self.found.unlike.push(operation.event);
        }
    }

    fn write(&mut self, operation: &Operation<'_>, range: Range<u32>, twice: bool) -> Result<(), Unfit> {
        if operation.given.len() != range.len() {
            return Err(Unfit::NoBytes(operation.event));
        }
        if !operation.is_done() {
            self.found.unknown.push(range);
        } else if twice {
            let bytes = operation.given.iter();
            self.flash.edit(range, |cells| cells.iter_mut().zip(bytes).for_each(|(cell, byte)| *cell &= byte));
        } else {
            self.flash.write(range.start, &operation.given).expect("a flash in RAM, within the rules");
        }
        Ok(())
    }

    fn erase(&mut self, operation: &Operation<'_>, range: Range<u32>) {
        let unknown = core::mem::take(&mut self.found.unknown);
        self.found.unknown = unknown.iter().flat_map(|other| without(other, &range)).collect();
        if operation.is_done() {
            self.flash.erase(range.start, range.end).expect("a flash in RAM, within the rules");
        } else if !range.is_empty() {
            self.found.unknown.push(range);
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
