//! A flash in RAM that does little, fast: it panics on what the traits forbid.

use std::convert::Infallible;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// Words of `W` bytes, erase units of `E` bytes, reads of `R` bytes.
#[derive(Clone, Debug)]
pub struct Ram<const W: usize, const E: usize, const R: usize> {
    pub cells: Vec<u8>,
    pub erased: u8,
    /// Words that do not read as erased may be written all the same.
    pub lenient: bool,
    /// How many reads, writes and erases there were.
    pub operations: usize,
}

impl<const W: usize, const E: usize, const R: usize> ErrorType for Ram<W, E, R> {
    type Error = Never;
}

impl<const W: usize, const E: usize, const R: usize> ReadNorFlash for Ram<W, E, R> {
    const READ_SIZE: usize = R;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Never> {
        let at = offset as usize;
        self.operations += 1;
        assert!(at.is_multiple_of(R) && bytes.len().is_multiple_of(R), "read of {} at {at:#x}", bytes.len());
        bytes.copy_from_slice(&self.cells[at..at + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.cells.len()
    }
}

impl<const W: usize, const E: usize, const R: usize> NorFlash for Ram<W, E, R> {
    const WRITE_SIZE: usize = W;
    const ERASE_SIZE: usize = E;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Never> {
        let (from, to) = (from as usize, to as usize);
        self.operations += 1;
        assert!(from < to && from.is_multiple_of(E) && to.is_multiple_of(E), "erase from {from:#x} to {to:#x}");
        self.cells[from..to].fill(self.erased);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Never> {
        let at = offset as usize;
        self.operations += 1;
        assert!(at.is_multiple_of(W) && bytes.len().is_multiple_of(W), "write of {} at {at:#x}", bytes.len());
        let cells = &mut self.cells[at..at + bytes.len()];
        let is_blank = cells.iter().all(|cell| *cell == self.erased);
        assert!(is_blank || self.lenient, "the words at {at:#x} are written without being erased");
        for (cell, byte) in cells.iter_mut().zip(bytes) {
            *cell = if self.erased == 0 { *cell | byte } else { *cell & byte };
        }
        Ok(())
    }
}

/// It does not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Never(Infallible);

impl embedded_storage_async::nor_flash::NorFlashError for Never {
    fn kind(&self) -> embedded_storage_async::nor_flash::NorFlashErrorKind {
        match self.0 {}
    }
}
