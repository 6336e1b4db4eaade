//! What no flash allows, by addresses alone.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use dfu_trace::{Event, Geometry};

use super::operation::{Channel, Operation, Trace};

/// What no flash allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// An address or a length that is no multiple of what it has to be.
    Unaligned,
    /// Beyond the end.
    OutOfBounds,
    /// A word that was programmed since its last erase.
    Twice {
        /// The first such byte.
        at: u32,
    },
}

impl Trace<'_> {
    /// What was done that no flash allows, by the number of its event; of what was there before the trace began nothing
    /// is known. Takes no bytes.
    pub fn violations(&self) -> Vec<(usize, Violation)> {
        let mut rules = Rules::new(self.geometry);
        let found = |operation: &Operation<'_>| Some((operation.event, rules.check(operation)?));
        self.of(Channel::Flash).filter_map(found).collect()
    }
}

/// What is programmed.
pub(super) struct Rules {
    geometry: Geometry,
    /// Since their last erase, in order.
    programmed: Vec<Range<u32>>,
}

impl Rules {
    pub(super) fn new(geometry: Geometry) -> Self {
        Self { geometry, programmed: Vec::new() }
    }

    /// What is wrong with the next operation.
    pub(super) fn check(&mut self, operation: &Operation<'_>) -> Option<Violation> {
        let Geometry { write, erase, read, capacity } = self.geometry;
        let (at, len, step) = match operation.asked {
            Event::Read { at, len } => (at, len, read),
            Event::Write { at, len, .. } => (at, len, write),
            Event::Erase { at, len } => (at, len, erase),
            _ => return None,
        };
        if !at.is_multiple_of(step) || !len.is_multiple_of(step) {
            return Some(Violation::Unaligned);
        }
        let Some(end) = at.checked_add(len).filter(|end| *end <= capacity) else { return Some(Violation::OutOfBounds) };
        match operation.asked {
            Event::Write { .. } => self.program(at..end).map(|at| Violation::Twice { at }),
            Event::Erase { .. } if operation.is_done() => {
                self.erase(&(at..end));
                None
            }
            _ => None,
        }
    }

    /// Programs a range; the first byte of it that was programmed before.
    pub(super) fn program(&mut self, range: Range<u32>) -> Option<u32> {
        if range.is_empty() {
            return None;
        }
        let twice = self.programmed.iter().find(|other| other.start < range.end && range.start < other.end);
        let twice = twice.map(|other| other.start.max(range.start));
        // Those that it touches become one with it.
        let from = self.programmed.partition_point(|other| other.end < range.start);
        let to = self.programmed.partition_point(|other| other.start <= range.end);
        let touching = &self.programmed[from..to];
        let start = touching.first().map_or(range.start, |first| first.start.min(range.start));
        let end = touching.last().map_or(range.end, |last| last.end.max(range.end));
        self.programmed.splice(from..to, core::iter::once(start..end));
        twice
    }

    fn erase(&mut self, range: &Range<u32>) {
        if range.is_empty() {
            return;
        }
        let programmed = core::mem::take(&mut self.programmed);
        self.programmed = programmed.into_iter().flat_map(|other| without(&other, range)).collect();
    }
}

/// What is left of a range.
pub(super) fn without(range: &Range<u32>, taken: &Range<u32>) -> impl Iterator<Item = Range<u32>> + use<> {
    let front = range.start..range.end.min(taken.start);
    let back = range.start.max(taken.end)..range.end;
    [front, back].into_iter().filter(|part| part.start < part.end)
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unaligned => f.write_str("not aligned"),
            Self::OutOfBounds => f.write_str("out of the flash"),
            Self::Twice { at } => write!(f, "what is at {at:#x} was programmed since its last erase"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_put_together_and_taken_apart_as_bytes_are() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            let mut rules = Rules::new(Geometry { write: 1, erase: 1, read: 1, capacity: 64 });
            let mut bytes = [false; 64];
            for _ in 0..100 {
                let (a, b) = (random.u32(0..=64), random.u32(0..=64));
                let range = a.min(b)..a.max(b);
                let cells = &mut bytes[range.start as usize..range.end as usize];
                if random.bool() && range.len() < 16 {
                    let twice = cells.iter().position(|used| *used).map(|at| range.start + at as u32);
                    cells.fill(true);
                    assert_eq!(rules.program(range), twice);
                } else {
                    cells.fill(false);
                    rules.erase(&range);
                }
                let covered: Vec<_> =
                    (0..64).map(|at| rules.programmed.iter().any(|range| range.contains(&at))).collect();
                assert_eq!(covered, bytes);
                assert!(rules.programmed.is_sorted_by(|a, b| a.end < b.start));
            }
        }
    }
}
