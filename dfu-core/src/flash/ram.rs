//! A flash in RAM for the tests of this crate. It takes nothing that a NOR flash would not.

use std::ops::Range;
use std::vec;
use std::vec::Vec;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

/// Words of `W` bytes, erase units of `E`, reads of `R`.
#[derive(Debug)]
pub(crate) struct Ram<const W: usize, const E: usize, const R: usize = 1> {
    pub(crate) bytes: Vec<u8>,
    /// What was done, reads left out.
    pub(crate) done: Vec<Done>,
    /// After so many more operations, reads left out, one fails.
    pub(crate) fails_after: Option<usize>,
    /// What is written is stored otherwise.
    pub(crate) lies: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Done {
    Write(Range<u32>),
    Erase(Range<u32>),
}

impl<const W: usize, const E: usize, const R: usize> Ram<W, E, R> {
    /// So many units full of something else.
    pub(crate) fn new(units: usize) -> Self {
        Self { bytes: vec![0x11; units * E], done: Vec::new(), fails_after: None, lies: false }
    }

    /// What was done since the last look.
    pub(crate) fn done(&mut self) -> Vec<Done> {
        core::mem::take(&mut self.done)
    }

    fn place(&mut self, span: Range<u32>, unit: usize) -> &mut [u8] {
        let span = span.start as usize..span.end as usize;
        assert!(span.start.is_multiple_of(unit) && span.end.is_multiple_of(unit), "{span:x?} in units of {unit:x}");
        &mut self.bytes[span]
    }

    fn may(&mut self, done: Done) -> Result<(), NorFlashErrorKind> {
        if let Some(left) = &mut self.fails_after {
            *left = left.checked_sub(1).ok_or(NorFlashErrorKind::Other)?;
        }
        self.done.push(done);
        Ok(())
    }
}

impl<const W: usize, const E: usize, const R: usize> ErrorType for Ram<W, E, R> {
    type Error = NorFlashErrorKind;
}

impl<const W: usize, const E: usize, const R: usize> ReadNorFlash for Ram<W, E, R> {
    const READ_SIZE: usize = R;

    async fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let place = self.place(at..at + bytes.len() as u32, R);
        bytes.copy_from_slice(place);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const W: usize, const E: usize, const R: usize> NorFlash for Ram<W, E, R> {
    const WRITE_SIZE: usize = W;
    const ERASE_SIZE: usize = E;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.may(Done::Erase(from..to))?;
        self.place(from..to, E).fill(0xff);
        Ok(())
    }

    async fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let span = at..at + bytes.len() as u32;
        self.may(Done::Write(span.clone()))?;
        let lies = self.lies;
        let place = self.place(span, W);
        assert!(place.iter().all(|byte| *byte == 0xff), "{at:x}: a word is written once");
        place.copy_from_slice(bytes);
        if lies {
            place[0] ^= 1;
        }
        Ok(())
    }
}
