//! Several windows over one flash, without an allocator and without a lock that interrupts.

use core::cell::RefCell;
use core::fmt;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

use super::{Layout, Op, Plan, YIELD_EVERY, yield_now};

/// A flash that several [`Region`]s share, on one executor.
///
/// Two tasks may each hold a region. An operation while another one is under way is an error,
/// [`RegionError::Busy`], or waits for its turn: see [`waiting`](Self::waiting).
#[derive(Debug)]
pub struct Shared<F> {
    flash: RefCell<F>,
    wait: bool,
}

impl<F: NorFlash> Shared<F> {
    /// Shares a flash. An operation that finds it in use fails with [`RegionError::Busy`].
    pub const fn new(flash: F) -> Self {
        Self { flash: RefCell::new(flash), wait: false }
    }

    /// Shares a flash. An operation that finds it in use yields until it is free.
    pub const fn waiting(flash: F) -> Self {
        Self { flash: RefCell::new(flash), wait: true }
    }

    /// The windows of a layout, in its order.
    pub fn split<const N: usize>(&mut self, layout: &Layout<F, N>) -> [Region<'_, F>; N] {
        let shared = &*self;
        layout.windows.map(|(start, size)| Region { shared, start, size, moved: 0 })
    }

    /// Gives the flash back.
    pub fn into_inner(self) -> F {
        self.flash.into_inner()
    }
}

/// A window over a flash: a [`NorFlash`] of its own that reaches nothing outside.
#[derive(Debug)]
pub struct Region<'a, F> {
    shared: &'a Shared<F>,
    start: u32,
    size: u32,
    /// Bytes since the last yield; an erase counts as all of them.
    moved: u32,
}

impl<F: NorFlash> Region<'_, F> {
    /// Its size in bytes.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Where in the flash it begins, in bytes.
    pub const fn start(&self) -> u32 {
        self.start
    }

    /// Carries a plan out in this window, as [`flash::run`](super::run) does on a whole flash. The flash is taken
    /// for one operation at a time.
    // Held over the awaits on purpose: that is what makes the others find it busy.
    // And no `async fn`, which keeps its arguments twice.
    #[allow(clippy::await_holding_refcell_ref, clippy::manual_async_fn)]
    pub fn run(&mut self, plan: &mut dyn Plan) -> impl Future<Output = Result<(), RegionError<F::Error>>> {
        async move {
            while let Some(op) = plan.next() {
                let (at, len) = op.span();
                if at.checked_add(len).is_none_or(|end| end > self.size) {
                    return Err(RegionError::OutOfBounds);
                }
                let start = self.start;
                let mut wait = self.moved >= YIELD_EVERY as u32;
                let mut flash = loop {
                    if wait {
                        self.moved = 0;
                        yield_now().await;
                    }
                    if let Ok(flash) = self.shared.flash.try_borrow_mut() {
                        break flash;
                    }
                    if !self.shared.wait {
                        return Err(RegionError::Busy);
                    }
                    wait = true;
                };
                let moved = if matches!(op, Op::Erase(..)) { YIELD_EVERY as u32 } else { len };
                let result = match op {
                    Op::Read(at, into) => flash.read(at.wrapping_add(start), into).await,
                    Op::Write(at, bytes) => flash.write(at.wrapping_add(start), bytes).await,
                    Op::Erase(from, to) => flash.erase(from.wrapping_add(start), to.wrapping_add(start)).await,
                };
                result.map_err(RegionError::Flash)?;
                // At the worst a yield is left out.
                self.moved = self.moved.wrapping_add(moved);
            }
            Ok(())
        }
    }
}

/// One operation.
struct Once<'a>(Option<Op<'a>>);

impl Plan for Once<'_> {
    fn next(&mut self) -> Option<Op<'_>> {
        self.0.take()
    }
}

impl<F: NorFlash> ErrorType for Region<'_, F> {
    type Error = RegionError<F::Error>;
}

impl<F: NorFlash> ReadNorFlash for Region<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.run(&mut Once(Some(Op::Read(offset, bytes)))).await
    }

    fn capacity(&self) -> usize {
        self.size as usize
    }
}

impl<F: NorFlash> NorFlash for Region<'_, F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.run(&mut Once(Some(Op::Erase(from, to)))).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.run(&mut Once(Some(Op::Write(offset, bytes)))).await
    }
}

/// Why an operation on a [`Region`] failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RegionError<E> {
    /// The flash below failed.
    Flash(E),
    /// It would reach outside the window. Nothing was done.
    OutOfBounds,
    /// Another region's operation is under way. Nothing was done; later it may work.
    Busy,
}

impl<E: NorFlashError> NorFlashError for RegionError<E> {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Flash(error) => error.kind(),
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::Busy => NorFlashErrorKind::Other,
        }
    }
}

impl<E: fmt::Debug> fmt::Display for RegionError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "flash error: {error:?}"),
            Self::OutOfBounds => f.write_str("outside of the flash region"),
            Self::Busy => f.write_str("the flash is in use by another region"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for RegionError<E> {}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // Tests.
mod tests;
