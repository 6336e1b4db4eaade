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
