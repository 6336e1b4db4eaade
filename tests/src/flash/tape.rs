//! What a flash was made to change, in order, to be done again one by one.

use alloc::vec::Vec;

use super::{SimError, SimFlash};

/// One mutation point: a word that is programmed or a unit that is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<const WRITE: usize> {
    /// A word is programmed.
    Word {
        /// Where it begins.
        at: u32,
        /// What is written.
        bytes: Word<WRITE>,
    },
    /// A unit is erased.
    Unit {
        /// Where it begins.
        at: u32,
    },
}

/// The bytes of a word, aligned as a flash may want its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(4))]
pub struct Word<const WRITE: usize>(pub [u8; WRITE]);

impl<const WRITE: usize, const ERASE: usize, const READ: usize> SimFlash<WRITE, ERASE, READ> {
    /// Notes each change from now on, for [`take_tape`](Self::take_tape). A rollback leaves the notes.
    pub fn start_tape(&mut self) {
        self.tape = Some(Vec::new());
    }

    /// What was changed since [`start_tape`](Self::start_tape), one entry for each mutation point.
    pub fn take_tape(&mut self) -> Vec<Change<WRITE>> {
        self.tape.take().unwrap_or_default()
    }

    /// Does a change again, as the code under test did it: it is counted, and a cut or fault can hit it.
    pub fn apply(&mut self, change: &Change<WRITE>) -> Result<(), SimError> {
        match change {
            Change::Word { at, bytes } => self.program(*at, &bytes.0),
            Change::Unit { at } => self.wipe(*at, *at + ERASE as u32),
        }
    }

    pub(super) fn tape_words(&mut self, start: usize, bytes: &[u8]) {
        if let Some(tape) = &mut self.tape {
            let words = bytes.chunks_exact(WRITE).enumerate();
            tape.extend(words.map(|(n, word)| Change::Word {
                at: (start + n * WRITE) as u32,
                bytes: Word(core::array::from_fn(|at| word[at])),
            }));
        }
    }

    pub(super) fn tape_units(&mut self, start: usize, units: usize) {
        if let Some(tape) = &mut self.tape {
            tape.extend((0..units).map(|unit| Change::Unit { at: (start + unit * ERASE) as u32 }));
        }
    }
}
