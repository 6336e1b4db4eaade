//! The chip's own flash.

use dfu_target::flash::yield_now;
use embassy_nrf::nvmc::{Error, FLASH_SIZE, Nvmc, PAGE_SIZE};
use embedded_storage::nor_flash::{NorFlash as Blocking, ReadNorFlash as _};
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// The chip's own flash, by its controller. While that writes or erases, the chip stands still if it executes from
/// flash, as it does: 41 µs for a word, 85 ms for a page. So others have a turn after each page, and after each 256
/// bytes.
///
/// # Cancellation
///
/// A future that is dropped has done what came before its last yield, and nothing behind it.
pub struct InternalFlash(Nvmc<'static>);

impl InternalFlash {
    pub(crate) const fn new(controller: Nvmc<'static>) -> Self {
        Self(controller)
    }
}

/// How much is written between two yields: 2.6 ms.
const PIECE: u32 = 256;

impl ErrorType for InternalFlash {
    type Error = Error;
}

impl ReadNorFlash for InternalFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        FLASH_SIZE
    }
}

impl NorFlash for InternalFlash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Error> {
        // As a whole: whether it is possible, before anything is done.
        self.0.erase(to, to).and(if from > to { Err(Error::OutOfBounds) } else { Ok(()) })?;
        for page in (from..to).step_by(PAGE_SIZE) {
            self.0.erase(page, page.saturating_add(PAGE_SIZE as u32))?;
            yield_now().await;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        if !bytes.len().is_multiple_of(Self::WRITE_SIZE) {
            return Err(Error::Unaligned);
        }
        for (at, piece) in (offset..).step_by(PIECE as usize).zip(bytes.chunks(PIECE as usize)) {
            self.0.write(at, piece)?;
            yield_now().await;
        }
        Ok(())
    }
}
