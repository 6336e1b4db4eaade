//! Flash without surprises: windows over one device, any bytes in and whole words out, and the one loop that
//! waits for it.
//!
//! What to do with a flash is decided by plain code, a [`Plan`], that does no I/O: it names the next [`Op`] and
//! is asked again when that was done. [`run`] is the only place that awaits. So every power cut and every
//! dropped future falls between two ops of a plan, and code that would be spread over state machines is small.

mod layout;
mod region;
mod writer;

pub use layout::Layout;
pub use region::{Region, RegionError, Shared};
pub use writer::{FlashWriter, Writer, WriterError};

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use embedded_storage_async::nor_flash::NorFlash;

/// One operation on a flash. Addresses count from the start of that flash or region.
#[derive(Debug)]
pub enum Op<'a> {
    /// Reads from an address.
    Read(u32, &'a mut [u8]),
    /// Programs whole words at an address.
    Write(u32, &'a [u8]),
    /// Erases whole units, from the first address to before the second.
    Erase(u32, u32),
}

impl Op<'_> {
    /// Where it begins, and how far it reaches; too far where it ends before it begins.
    fn span(&self) -> (u32, u32) {
        match self {
            Op::Read(at, into) => (*at, into.len() as u32),
            Op::Write(at, bytes) => (*at, bytes.len() as u32),
            Op::Erase(from, to) => (*from, to.wrapping_sub(*from)),
        }
    }

    /// Moves it to a higher address.
    pub fn shift(&mut self, by: u32) {
        let (Op::Read(at, _) | Op::Write(at, _) | Op::Erase(at, _)) = self;
        *at = at.wrapping_add(by);
        if let Op::Erase(_, to) = self {
            *to = to.wrapping_add(by);
        }
    }
}

/// A sequence of flash operations, decided one by one.
pub trait Plan {
    /// The next operation; `None`: done. Being asked again means that the last one succeeded.
    fn next(&mut self) -> Option<Op<'_>>;
}

/// Carries a plan out, up to its end or the first error. Yields after each erase and after each
/// [`YIELD_EVERY`] bytes, so that a flash that blocks starves nobody.
///
/// Dropping the future drops at most the operation under way.
pub async fn run<F: NorFlash>(flash: &mut F, plan: &mut dyn Plan) -> Result<(), F::Error> {
    let mut moved = 0;
    while let Some(op) = plan.next() {
        moved = match op {
            Op::Read(at, into) => flash.read(at, into).await.map(|()| into.len().saturating_add(moved))?,
            Op::Write(at, bytes) => flash.write(at, bytes).await.map(|()| bytes.len().saturating_add(moved))?,
            Op::Erase(from, to) => flash.erase(from, to).await.map(|()| YIELD_EVERY)?,
        };
        if moved >= YIELD_EVERY {
            moved = 0;
            yield_now().await;
        }
    }
    Ok(())
}

/// How many bytes are moved between two yields, at the most.
pub const YIELD_EVERY: usize = 4096;

/// Gives others on the same executor a turn.
pub const fn yield_now() -> impl Future<Output = ()> {
    Yield(false)
}

struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if core::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The highest multiple of `unit` that is `at` or less.
pub const fn align_down(at: u32, unit: u32) -> u32 {
    match at.checked_rem(unit) {
        Some(rest) => at.saturating_sub(rest),
        None => at,
    }
}

/// The lowest multiple of `unit` that is `at` or more; as high as there is one.
pub const fn align_up(at: u32, unit: u32) -> u32 {
    align_down(at.saturating_add(unit.saturating_sub(1)), unit)
}
