//! [`Apart`]: a future with a stack frame of its own.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// A future with a stack frame of its own: what is done before it, or behind it, takes no room while it is polled.
/// Otherwise the compiler makes one frame of all that an async function does, one thing after the other.
pub(crate) struct Apart<'f, F>(pub(crate) Pin<&'f mut F>);

impl<F: Future> Future for Apart<'_, F> {
    type Output = F::Output;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().poll(context)
    }
}
