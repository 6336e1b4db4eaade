//! [`Patience`]: an executor that counts awaits, so that a future can be dropped at each of them.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

/// An executor that waits for one future after the other, counts their awaits, and gives up at one of them: the future
/// is dropped there.
///
/// An await counts each time that a future is pending. A flash that
/// [`yields`](crate::flash::SimFlash::set_yields) has one before each of its operations, one behind each, or both.
///
/// ```
/// use dfu_testkit::flash::{Chip, SimFlash};
/// use dfu_testkit::poll::Patience;
/// use embedded_storage_async::nor_flash::NorFlash;
///
/// let mut flash = Chip::new(SimFlash::<4, 4096>::new(8192).yields(true));
/// let mut patient = Patience::endless();
/// patient.wait(flash.erase(0, 4096));
/// patient.wait(flash.write(0, &[1; 8]));
/// assert_eq!(patient.awaits(), 2);
///
/// for await_ in 1..=patient.awaits() {
///     let mut patience = Patience::until(await_);
///     let erased = patience.wait(flash.erase(0, 4096));
///     assert_eq!(erased.is_none(), await_ == 1);
///     // .. does the code under test go on from there?
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Patience {
    limit: Limit,
    awaits: usize,
    drops: usize,
}

#[derive(Clone, Debug)]
enum Limit {
    None,
    /// So many awaits more, of all futures together.
    Once(usize),
    /// So many awaits, of one future in so many.
    Often {
        awaits: usize,
        one_in: u32,
        rng: fastrand::Rng,
    },
}

impl Patience {
    /// Waits for each future to its end.
    pub const fn endless() -> Self {
        Self::new(Limit::None)
    }

    /// Gives up once, at the await of this number: the awaits of all futures are counted together, from 1. With 0 the
    /// first future is not polled at all.
    pub const fn until(nth: usize) -> Self {
        Self::new(Limit::Once(nth))
    }

    /// Gives up on one future in `one_in`, by chance, at its await of this number. The same seed makes the same
    /// choice.
    pub fn often(one_in: u32, nth: usize, seed: u64) -> Self {
        Self::new(Limit::Often { awaits: nth, one_in, rng: fastrand::Rng::with_seed(seed) })
    }

    const fn new(limit: Limit) -> Self {
        Self { limit, awaits: 0, drops: 0 }
    }

    /// How many awaits there were so far.
    pub fn awaits(&self) -> usize {
        self.awaits
    }

    /// How many futures were dropped so far.
    pub fn drops(&self) -> usize {
        self.drops
    }

    /// Polls a future until it is ready, or drops it: `None`.
    ///
    /// Panics after 100 million awaits of one future: then nothing will ever make it ready.
    pub fn wait<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let most = match &mut self.limit {
            Limit::None => None,
            Limit::Once(left) => Some(*left),
            Limit::Often { awaits, one_in, rng } => (rng.u32(0..*one_in) == 0).then_some(*awaits),
        };
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let mut pending = 0;
        while most.is_none_or(|most| pending < most) {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                if let Limit::Once(left) = &mut self.limit {
                    *left -= pending;
                }
                return Some(output);
            }
            pending += 1;
            self.awaits += 1;
            assert!(pending < 100_000_000, "the future is not ready after 100 million polls");
        }
        self.drops += 1;
        if let Limit::Once(_) = self.limit {
            self.limit = Limit::None;
        }
        None
    }
}

/// Polls at most `polls` times and drops the future; its output if it was ready by then.
pub fn poll_limited<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    Patience::until(polls).wait(future)
}

/// Polls a future to its end; its output and how many polls that took.
pub fn count_polls<F: Future>(future: F) -> (F::Output, usize) {
    let mut patience = Patience::endless();
    let output = patience.wait(future).expect("it is waited for");
    (output, patience.awaits() + 1)
}

/// Polls a future to its end.
pub fn run<F: Future>(future: F) -> F::Output {
    count_polls(future).0
}

/// Is pending once.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    core::future::poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_future_is_dropped_after_exactly_so_many_polls() {
        for limit in 0..5 {
            let steps = Cell::new(0);
            let work = async {
                for _ in 0..3 {
                    steps.set(steps.get() + 1);
                    yield_once().await;
                }
                "done"
            };
            assert_eq!(poll_limited(work, limit), (limit > 3).then_some("done"));
            assert_eq!(steps.get(), limit.min(3));
        }
        assert_eq!(count_polls(yield_once()), ((), 2));
        assert_eq!(run(async { 7 }), 7);
    }

    /// Three futures of two awaits each; how many are dropped, and the last await.
    fn three(mut patience: Patience) -> (usize, usize) {
        let ready = (0..3).filter_map(|_| {
            patience.wait(async {
                yield_once().await;
                yield_once().await;
            })
        });
        let ready = ready.count();
        assert_eq!(ready + patience.drops(), 3);
        (patience.drops(), patience.awaits())
    }

    #[test]
    fn awaits_are_counted_over_all_futures_and_one_of_them_is_dropped_at_each() {
        assert_eq!(three(Patience::endless()), (0, 6));
        assert_eq!(three(Patience::until(0)), (1, 4));
        for nth in 1..=6 {
            assert_eq!(three(Patience::until(nth)), (1, if nth % 2 == 1 { 5 } else { 6 }), "{nth}");
        }
        assert_eq!(three(Patience::until(7)), (0, 6));
        assert_eq!(three(Patience::often(1, 1, 7)), (3, 3));
        assert_eq!(three(Patience::often(1, 3, 7)), (0, 6));
        let some: usize = (0..100).map(|seed| three(Patience::often(3, 2, seed)).0).sum();
        assert!((50..150).contains(&some), "one in three of three hundred: {some}");
    }
}
