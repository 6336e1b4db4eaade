//! The download loop with two buffers: the network and the flash work at the same time.

use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::mem;
use core::ops::ControlFlow;
use core::pin::pin;
use core::task::Poll;

use dfu_target::session::{self, Session, SessionError};
use dfu_target::{DfuTarget, ProgressStore};
use embedded_hal_async::delay::DelayNs;

use super::course::{Course, Work};
use super::{Backoff, DownloadError, Report, retry};
use crate::source::{Call, Meta, Source};

/// As [`download`](super::download()), with two buffers: while the bytes of one are stored, the next ones are received
/// into the other; and while there is nothing to store, the flash is erased ahead
/// ([`Session::prepare`]).
///
/// 4 KiB each is enough for the slower of the two, network or flash, to be the only one that is waited for. An erase or
/// a write that is under way is never dropped for the network; what the network waits for is dropped when the session
/// fails. A flash that stops the processor stops both: then only what the network's own buffers hold comes in between.
///
/// # Cancellation
///
/// As with [`download`](super::download()): drop the future to end at once. Up to one buffer of bytes that had come are
/// fetched again.
pub async fn download_overlapped<S, T, P>(
    source: &mut S,
    session: &mut Session<'_, T, P>,
    backoff: Backoff,
    delay: &mut impl DelayNs,
    buffers: [&mut [u8]; 2],
    mut observer: impl FnMut(Report) -> ControlFlow<()>,
) -> Result<(), DownloadError<S::Error, T::Error>>
where
    S: Source,
    T: DfuTarget,
    P: ProgressStore,
{
    let [mut full, mut spare] = buffers;
    let mut course = Course::new(backoff);
    // How much was received ahead, and how receiving ended behind it, or behind bytes which are not stored yet.
    let mut ahead = None;
    let mut ended = Ok(());
    loop {
        if course.work != Work::Write {
            let wanted = observer(course.report(session, source.paid())).is_continue();
            if course.is_done() {
                return Ok(());
            }
            if !wanted {
                return Err(DownloadError::Cancelled);
            }
        }
        if !matches!(course.work, Work::Read | Work::Write) {
            // Where anything else comes next, it is not wanted any more.
            (ahead, ended) = (None, Ok(()));
        }
        let result = if course.work == Work::Wait {
            delay.delay_ms(course.pause).await;
            Ok(())
        } else if let (Work::Read, Some(count)) = (course.work, ahead) {
            mem::swap(&mut full, &mut spare);
            course.count = count;
            // What came before a failure is stored before that is told.
            ahead = (count > 0 && ended.is_err()).then_some(0);
            if ahead.is_some() { Ok(()) } else { mem::replace(&mut ended, Ok(())) }
        } else {
            let (buffer, store) = match course.work {
                Work::Read => (&mut *full, session::Call::Prepare),
                Work::Write => (&mut *spare, session::Call::Write(course.bytes(full))),
                Work::Resume => (&mut *spare, session::Call::Resume),
                _ => (&mut *spare, session::Call::Prepare),
            };
            let receives = match store {
                session::Call::Write(piece) => ahead.is_none() && course.wants_more_than(piece),
                _ => course.work != Work::Resume,
            };
            let opens = (course.work == Work::Open).then_some(course.offset);
            let meta = &mut course.meta;
            let came = both(
                async |worked| if receives { receive(source, opens, meta, buffer, worked).await } else { (0, Ok(())) },
                async |came| work(session, &store, receives, came).await,
            );
            came.await.and_then(|(count, received)| {
                let writes = course.work == Work::Write;
                if !writes {
                    course.count = count;
                }
                if writes && receives || count > 0 && received.is_err() {
                    ahead = Some(if writes { count } else { 0 });
                    ended = received;
                    Ok(())
                } else {
                    received
                }
            })
        };
        let Err(failed) = result.and_then(|()| course.go_on(session)) else { continue };
        let Some(ms) = course.patience.pause(retry(&failed)) else { return Err(failed) };
        crate::fmt::warning!("download: attempt {} failed, the next one is in {} ms", course.patience.attempt(), ms);
        course.wait(ms, matches!(failed, DownloadError::Session(_)));
    }
}

/// How much came, and how that ended: bytes that came before a failure count.
type Received<S, T> = (usize, Result<(), DownloadError<S, T>>);

/// Opens the source at an offset; or receives until the buffer is full or the work beside it is done.
async fn receive<S: Source, T>(
    source: &mut S,
    opens: Option<u32>,
    meta: &mut Meta,
    buffer: &mut [u8],
    worked: &Cell<bool>,
) -> Received<S::Error, T> {
    let mut filled = 0;
    while let Some(space) = buffer.get_mut(filled..).filter(|space| !space.is_empty()) {
        let mut count = 0;
        let call = match opens {
            Some(offset) => Call::Open(offset, &mut *meta),
            None => Call::Read(space, &mut count),
        };
        let result = source.call(call).await;
        filled = filled.saturating_add(count);
        match result {
            Err(error) => return (filled, Err(DownloadError::Source(error))),
            Ok(()) if count > 0 && !worked.get() => {}
            _ => break,
        }
    }
    (filled, Ok(()))
}

/// Does what the session is to do. While something is to be received, it then erases what is needed next, unit by unit,
/// until that came.
async fn work<T: DfuTarget, P: ProgressStore>(
    session: &mut Session<'_, T, P>,
    first: &session::Call<'_>,
    receives: bool,
    came: &Cell<bool>,
) -> Result<(), SessionError<T::Error>> {
    let mut is_first = true;
    loop {
        // Not one place that is changed: it would be moved there by `memmove`, which nothing else needs.
        let call = if mem::take(&mut is_first) { *first } else { session::Call::Prepare };
        session.call(call).await?;
        let is_prepared = matches!(call, session::Call::Prepare) && !session.more_to_prepare();
        if !receives || is_prepared || came.get() {
            return Ok(());
        }
    }
}

/// Waits for the network and for work that goes on meanwhile; each is told when the other one is done. Work that fails
/// ends both.
async fn both<R, S, T>(
    network: impl AsyncFnOnce(&Cell<bool>) -> R,
    work: impl AsyncFnOnce(&Cell<bool>) -> Result<(), SessionError<T>>,
) -> Result<R, DownloadError<S, T>> {
    let (came, worked) = (Cell::new(false), Cell::new(false));
    let (mut network, mut work) = (pin!(network(&worked)), pin!(work(&came)));
    let mut answer = None;
    poll_fn(|context| {
        if !worked.get()
            && let Poll::Ready(result) = work.as_mut().poll(context)
        {
            if let Err(error) = result {
                return Poll::Ready(Err(DownloadError::Session(error)));
            }
            worked.set(true);
        }
        if answer.is_none()
            && let Poll::Ready(given) = network.as_mut().poll(context)
        {
            came.set(true);
            answer = Some(given);
            // The work may have waited for that alone.
            context.waker().wake_by_ref();
        }
        match answer.take_if(|_| worked.get()) {
            Some(given) => Poll::Ready(Ok(given)),
            None => Poll::Pending,
        }
    })
    .await
}
