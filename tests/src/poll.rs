//! Polling by count, so that a future can be dropped at each of its awaits.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

/// Polls at most `polls` times and drops the future; its output if it was ready by then.
///
/// With a flash that [`yields`](crate::flash::SimFlash::yields), `polls` from 0 on until `Some` comes back drops
/// the code under test at each flash operation in turn.
pub fn poll_limited<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..polls).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// Polls a future to its end; its output and how many polls that took.
///
/// Panics after 100 million polls: then nothing will ever make it ready.
pub fn count_polls<F: Future>(future: F) -> (F::Output, usize) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for polls in 1..=100_000_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return (output, polls);
        }
    }
    panic!("the future is not ready after 100 million polls");
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
}
