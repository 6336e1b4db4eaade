//! A flash whose operations are written down.

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, ReadNorFlash};

use crate::event::{Event, length};
use crate::recorder::{Recorder, sum};
use crate::sink::Sink;

/// A flash, or a connector, of which each operation is written down before it is begun, and what came of it behind it.
///
/// # Cancellation
///
/// An operation that is dropped has no outcome in the trace.
#[derive(Debug)]
pub struct Traced<'r, T, S> {
    pub(crate) inner: T,
    pub(crate) recorder: &'r Recorder<S>,
}

impl<'r, T, S: Sink> Traced<'r, T, S> {
    /// Has `recorder` write down what is done with `inner`.
    pub fn new(inner: T, recorder: &'r Recorder<S>) -> Self {
        Self { inner, recorder }
    }

    /// What was wrapped.
    pub fn into_inner(self) -> T {
        self.inner
    }

    fn came<R, E: NorFlashError>(&self, result: &Result<R, E>, done: impl FnOnce() -> Event<'static>) {
        self.recorder.put(match result {
            Ok(_) => done(),
            Err(error) => Event::Failed(error.kind()),
        });
    }
}

impl<T: ErrorType, S> ErrorType for Traced<'_, T, S> {
    type Error = T::Error;
}

impl<T: ReadNorFlash, S: Sink> ReadNorFlash for Traced<'_, T, S> {
    const READ_SIZE: usize = T::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), T::Error> {
        self.recorder.put(Event::Read { at: offset, len: length(bytes.len()) });
        let result = self.inner.read(offset, bytes).await;
        self.came(&result, || Event::Fetched { sum: sum(bytes) });
        result
    }

    fn capacity(&self) -> usize {
        self.inner.capacity()
    }
}

impl<T: NorFlash, S: Sink> NorFlash for Traced<'_, T, S> {
    const WRITE_SIZE: usize = T::WRITE_SIZE;
    const ERASE_SIZE: usize = T::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), T::Error> {
        self.recorder.put(Event::Erase { at: from, len: to.saturating_sub(from) });
        let result = self.inner.erase(from, to).await;
        self.came(&result, || Event::Done);
        result
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), T::Error> {
        self.recorder.put(Event::Write { at: offset, len: length(bytes.len()), sum: sum(bytes) });
        self.recorder.data(self.recorder.flash_bytes, bytes);
        let result = self.inner.write(offset, bytes).await;
        self.came(&result, || Event::Done);
        result
    }
}
