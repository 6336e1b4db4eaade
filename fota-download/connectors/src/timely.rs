//! A limit on how long something may take.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

/// What comes of it, `None` where the pause is over first. What is ready at once comes however short the pause.
pub(crate) async fn within<T>(io: impl Future<Output = T>, pause: impl Future<Output = ()>) -> Option<T> {
    let (mut io, mut pause) = (pin!(io), pin!(pause));
    poll_fn(|cx| match (io.as_mut().poll(cx), pause.as_mut()) {
        (Poll::Ready(result), _) => Poll::Ready(Some(result)),
        (Poll::Pending, pause) => pause.poll(cx).map(|()| None),
    })
    .await
}
