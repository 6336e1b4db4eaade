//! The same API without an executor.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_storage::nor_flash as blocking;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// A flash driver that blocks, as the async one that this library asks for. Its futures never wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blocking<F>(pub F);

impl<F: blocking::ErrorType> ErrorType for Blocking<F> {
    type Error = F::Error;
}

impl<F: blocking::ReadNorFlash> ReadNorFlash for Blocking<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: blocking::NorFlash> NorFlash for Blocking<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.0.erase(from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.write(offset, bytes)
    }
}

/// Runs a future to its end on this thread, asking it again and again.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    block_on_with(future, || {})
}

/// The same, calling `on_pending` each time the future waits or yields: feed the watchdog there, or sleep until
/// the next interrupt. Long work of this library yields at least once per erase unit.
///
/// ```
/// use dfu_target::{blocking::block_on_with, flash::yield_now};
///
/// let mut fed = 0;
/// block_on_with(async { yield_now().await; yield_now().await }, || fed += 1);
/// assert_eq!(fed, 2);
/// ```
pub fn block_on_with<T>(future: impl Future<Output = T>, mut on_pending: impl FnMut()) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => on_pending(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // A test.
mod tests {
    use super::*;
    use blocking::NorFlashErrorKind::{self, OutOfBounds};

    /// Units of 4 bytes, erased to 0.
    struct Driver([u8; 8]);

    impl Driver {
        fn place(&mut self, from: u32, to: u32) -> Result<&mut [u8], NorFlashErrorKind> {
            self.0.get_mut(from as usize..to as usize).ok_or(OutOfBounds)
        }
    }

    impl blocking::ErrorType for Driver {
        type Error = NorFlashErrorKind;
    }

    impl blocking::ReadNorFlash for Driver {
        const READ_SIZE: usize = 1;

        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
            let place = self.place(offset, offset + bytes.len() as u32)?;
            bytes.copy_from_slice(place);
            Ok(())
        }

        fn capacity(&self) -> usize {
            self.0.len()
        }
    }

    impl blocking::NorFlash for Driver {
        const WRITE_SIZE: usize = 2;
        const ERASE_SIZE: usize = 4;

        fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
            self.place(from, to)?.fill(0);
            Ok(())
        }

        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
            self.place(offset, offset + bytes.len() as u32)?.copy_from_slice(bytes);
            Ok(())
        }
    }

    #[test]
    fn a_driver_that_blocks_does_all_that_it_is_asked_for_and_its_errors_are_heard() {
        type Flash = Blocking<Driver>;
        assert_eq!((Flash::READ_SIZE, Flash::WRITE_SIZE, Flash::ERASE_SIZE), (1, 2, 4));
        let mut flash = Blocking(Driver([9; 8]));
        assert_eq!(flash.capacity(), 8);
        block_on(async {
            flash.erase(4, 8).await.unwrap();
            flash.write(4, &[1, 2]).await.unwrap();
            let mut bytes = [0; 5];
            flash.read(3, &mut bytes).await.unwrap();
            assert_eq!(bytes, [9, 1, 2, 0, 0]);
            assert_eq!(flash.erase(4, 12).await, Err(OutOfBounds));
            assert_eq!(flash.write(8, &[1, 2]).await, Err(OutOfBounds));
            assert_eq!(flash.read(8, &mut bytes).await, Err(OutOfBounds));
        });
    }
}
