//! The download loop: from a source that may fail into a session.

mod backoff;
mod course;
mod error;
mod overlap;

pub use backoff::Backoff;
pub use error::DownloadError;
pub use overlap::download_overlapped;

use core::ops::ControlFlow;

use dfu_target::session::{self, Session};
use dfu_target::{DfuTarget, ErrorKind, ImageKind, ProgressStore};
use embedded_hal_async::delay::DelayNs;

use self::course::{Course, Work};
use crate::source::{Call, Error, Retry, Source};

/// How a download goes, for a progress bar, a log, a watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Report {
    /// What comes next.
    pub step: Step,
    /// All bytes before this offset came.
    pub offset: u32,
    /// All bytes before this one survive a power cut.
    pub durable: u32,
    /// The length of the file in bytes, once known.
    pub size: Option<u32>,
    /// What it is, once its first bytes came.
    pub kind: Option<ImageKind>,
    /// What the source cost so far: [`Source::paid`].
    pub paid: u32,
}

/// What a download does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Step {
    /// The source is asked for the file from this offset on.
    Open,
    /// The next bytes are received and stored.
    Receive,
    /// Something failed that may go better after a pause.
    Wait {
        /// How often in a row it failed, without a new byte between.
        attempt: u8,
        /// The pause in milliseconds.
        ms: u32,
    },
}

/// Brings the file of `source` into `session`, from [`Session::offset`] to the end; the session is ready to
/// [`finish`](Session::finish) then.
///
/// Errors that may go away are waited out as `backoff` says. Everything else ends the download, with the session
/// as it is: a later call goes on, and a new session after a reset does. A file that changed in the meantime, or
/// may have, starts over from zero by itself. No byte beyond the announced size is passed on.
///
/// `buf` is what is read and written at once: 512 bytes to 4 KiB, aligned to 4 where the flash driver gains from
/// it, never empty. `observer` is called before each step, where [`ControlFlow::Break`] ends the
/// download, and once more when all bytes came, which ends it whatever it returns.
///
/// # Cancellation
///
/// Drop the future to end at once, also amid a pause. The session is where it was; a later call goes on.
pub async fn download<S, T, P>(
    source: &mut S,
    session: &mut Session<'_, T, P>,
    backoff: Backoff,
    delay: &mut impl DelayNs,
    buf: &mut [u8],
    mut observer: impl FnMut(Report) -> ControlFlow<()>,
) -> Result<(), DownloadError<S::Error, T::Error>>
where
    S: Source,
    T: DfuTarget,
    P: ProgressStore,
{
    let mut course = Course::new(backoff);
    loop {
        // What was received is stored in the same step.
        if course.work != Work::Write {
            let wanted = observer(course.report(session, source.paid())).is_continue();
            if course.is_done() {
                return Ok(());
            }
            if !wanted {
                return Err(DownloadError::Cancelled);
            }
        }
        let result = match course.work {
            Work::Wait => {
                delay.delay_ms(course.pause).await;
                Ok(())
            }
            Work::Open | Work::Read => {
                let call = match course.work {
                    Work::Open => Call::Open(course.offset, &mut course.meta),
                    _ => Call::Read(buf, &mut course.count),
                };
                source.call(call).await.map_err(DownloadError::Source)
            }
            Work::Resume | Work::Write => {
                let call = match course.work {
                    Work::Resume => session::Call::Resume,
                    _ => session::Call::Write(course.bytes(buf)),
                };
                session.call(call).await.map_err(DownloadError::Session)
            }
        };
        let Err(failed) = result.and_then(|()| course.go_on(session)) else { continue };
        let Some(ms) = course.patience.pause(retry(&failed)) else { return Err(failed) };
        crate::fmt::warning!("download: attempt {} failed, the next one is in {} ms", course.patience.attempt(), ms);
        course.wait(ms, matches!(failed, DownloadError::Session(_)));
    }
}

fn retry<S: Error, T: dfu_target::Error>(error: &DownloadError<S, T>) -> Retry {
    match error {
        DownloadError::Source(error) => error.retry(),
        DownloadError::Session(error) => match error.kind() {
            ErrorKind::Storage | ErrorKind::Busy | ErrorKind::Rewind | ErrorKind::Order => Retry::Later,
            _ => Retry::Never,
        },
        DownloadError::Ended { .. } => Retry::Later,
        _ => Retry::Never,
    }
}
