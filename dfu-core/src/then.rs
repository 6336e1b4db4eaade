//! [`then`]: a future and what follows from it. Less code than an `async fn` with one `await`, which has states of its own.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use pin_project_lite::pin_project;

/// Does `work`, then makes of its output what `follows`.
pub(crate) fn then<W: Future, R, M: FnMut(W::Output) -> R>(work: W, follows: M) -> impl Future<Output = R> {
    Then { work, follows }
}

pin_project! {
    struct Then<W, M> {
        #[pin]
        work: W,
        follows: M,
    }
}

impl<W: Future, R, M: FnMut(W::Output) -> R> Future for Then<W, M> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let this = self.project();
        this.work.poll(context).map(this.follows)
    }
}
