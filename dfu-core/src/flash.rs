//! Flash without surprises: windows over one device, any bytes in and whole words out, and the one loop that
//! waits for it.
//!
//! What to do with a flash is decided by plain code, a [`Plan`], that does no I/O: it names the next [`Op`] and
//! is asked again when that was done. [`run`] is the only place that awaits. So every power cut and every
//! dropped future falls between two ops of a plan, and code that would be spread over state machines is small.

mod layout;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // Of the tests.
pub(crate) mod ram;
mod recall;
mod region;
mod sum;
mod writer;

pub use layout::Layout;
pub use recall::Recall;
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

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // A test.
mod tests {
    use super::*;
    use crate::blocking::block_on_with;
    use embedded_storage_async::nor_flash::{ErrorType, NorFlashErrorKind, ReadNorFlash};
    use std::vec::Vec;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Step {
        Read(usize),
        Write(usize),
        Erase,
    }

    /// What a plan asks for, and, as a flash, what was asked for. Takes no writes of one byte.
    #[derive(Default)]
    struct Steps(Vec<Step>);

    impl ErrorType for Steps {
        type Error = NorFlashErrorKind;
    }

    impl ReadNorFlash for Steps {
        const READ_SIZE: usize = 1;

        async fn read(&mut self, _: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
            self.0.push(Step::Read(bytes.len()));
            Ok(())
        }

        fn capacity(&self) -> usize {
            0
        }
    }

    impl NorFlash for Steps {
        const WRITE_SIZE: usize = 1;
        const ERASE_SIZE: usize = 64;

        async fn erase(&mut self, _: u32, _: u32) -> Result<(), Self::Error> {
            self.0.push(Step::Erase);
            Ok(())
        }

        async fn write(&mut self, _: u32, bytes: &[u8]) -> Result<(), Self::Error> {
            self.0.push(Step::Write(bytes.len()));
            if bytes.len() == 1 { Err(NorFlashErrorKind::Other) } else { Ok(()) }
        }
    }

    struct Script<'s> {
        steps: &'s [Step],
        buffer: [u8; YIELD_EVERY],
    }

    impl Plan for Script<'_> {
        fn next(&mut self) -> Option<Op<'_>> {
            let (step, rest) = self.steps.split_first()?;
            self.steps = rest;
            Some(match *step {
                Step::Read(len) => Op::Read(0, &mut self.buffer[..len]),
                Step::Write(len) => Op::Write(0, &self.buffer[..len]),
                Step::Erase => Op::Erase(0, 64),
            })
        }
    }

    /// How often others got a turn.
    fn turns(steps: &[Step]) -> usize {
        let (mut flash, mut turns) = (Steps::default(), 0);
        let mut plan = Script { steps, buffer: [0; YIELD_EVERY] };
        block_on_with(run(&mut flash, &mut plan), || turns += 1).unwrap();
        assert_eq!(flash.0, steps);
        turns
    }

    #[test]
    fn others_get_a_turn_after_each_erase_and_each_4096_bytes() {
        use Step::{Erase, Read, Write};
        assert_eq!(turns(&[]), 0);
        assert_eq!(turns(&[Erase; 3]), 3);
        assert_eq!(turns(&[Read(2048), Write(2047)]), 0);
        assert_eq!(turns(&[Read(2048), Write(2048)]), 1);
        assert_eq!(turns(&[Read(2048), Write(2047), Read(1), Read(4095)]), 1);
        assert_eq!(turns(&[Read(4095), Erase, Write(4095), Read(1)]), 2);
    }

    #[test]
    fn a_plan_ends_with_the_first_error() {
        let (mut flash, steps) = (Steps::default(), [Step::Erase, Step::Write(1), Step::Erase]);
        let mut plan = Script { steps: &steps, buffer: [0; YIELD_EVERY] };
        assert_eq!(block_on_with(run(&mut flash, &mut plan), || ()), Err(NorFlashErrorKind::Other));
        assert_eq!(flash.0, steps[..2]);
    }

    #[test]
    fn aligned_addresses_are_the_next_multiples() {
        assert_eq!([0, 1, 7, 8, 9].map(|at| align_down(at, 8)), [0, 0, 0, 8, 8]);
        assert_eq!([0, 1, 7, 8, 9].map(|at| align_up(at, 8)), [0, 8, 8, 8, 16]);
        assert_eq!(align_up(u32::MAX, 8), u32::MAX - 7);
        assert_eq!((align_down(5, 0), align_up(5, 0)), (5, 5));
    }

    #[test]
    fn an_operation_keeps_its_length_where_it_is_shifted() {
        let mut bytes = [0; 6];
        for mut op in [Op::Read(10, &mut bytes), Op::Write(10, &[1; 6]), Op::Erase(10, 16)] {
            assert_eq!(op.span(), (10, 6));
            op.shift(100);
            assert_eq!(op.span(), (110, 6));
        }
        assert_eq!(Op::Erase(10, 8).span(), (10, u32::MAX - 1), "ends before it begins");
    }
}
