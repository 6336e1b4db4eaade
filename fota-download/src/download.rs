//! The download loop: from a source that may fail into a session.

mod backoff;
mod error;

pub use backoff::Backoff;
pub use error::DownloadError;

use core::ops::ControlFlow;

use dfu_target::{DfuTarget, ErrorKind, ProgressStore, Session, Written};
use embedded_hal_async::delay::DelayNs;

use self::backoff::Patience;
use crate::source::{Error, Meta, Retry, Source};

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
/// it, never empty. `observer` is called before each step; with [`ControlFlow::Break`] it ends the download.
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
    let mut patience = Patience::new(backoff, session.offset());
    // What of the bytes that come is to be left out, once the source is open.
    let mut open: Option<u32> = None;
    let mut resume = false;
    loop {
        let now = report(session, if open.is_some() { Step::Receive } else { Step::Open });
        let room = now.size.map_or(u32::MAX, |size| size.saturating_sub(now.offset));
        if room == 0 {
            return Ok(());
        }
        if observer(now).is_break() {
            return Err(DownloadError::Cancelled);
        }
        let failed = if resume {
            match session.resume().await {
                Ok(_) => {
                    resume = false;
                    continue;
                }
                Err(error) => DownloadError::Session(error),
            }
        } else if let Some(left_out) = open {
            match source.read(buf).await {
                // A server may give less than the rest.
                Ok(0) if patience.moved() => {
                    open = None;
                    continue;
                }
                Ok(0) => DownloadError::Ended { have: now.offset },
                Ok(count) => {
                    let bytes = buf.get(left_out as usize..count).unwrap_or_default();
                    open = Some(left_out.saturating_sub(count as u32));
                    match session.write(bytes.get(..room as usize).unwrap_or(bytes)).await {
                        Ok(Written::Committed(_)) => {
                            patience.came(session.offset());
                            continue;
                        }
                        Ok(Written::Rewind(_)) if patience.spend() => {
                            open = None;
                            continue;
                        }
                        Ok(Written::Rewind(_)) => return Err(DownloadError::Unsettled),
                        Err(error) => DownloadError::Session(error),
                    }
                }
                Err(error) => DownloadError::Source(error),
            }
        } else {
            match source.open(now.offset).await {
                Ok(meta) => {
                    open = opened(session, &mut patience, meta)?;
                    continue;
                }
                Err(error) => DownloadError::Source(error),
            }
        };
        let Some(ms) = patience.pause(retry(&failed)) else { return Err(failed) };
        resume = matches!(failed, DownloadError::Session(_));
        open = None;
        let attempt = patience.attempt();
        crate::fmt::warning!("download: attempt {} failed, the next one is in {} ms", attempt, ms);
        if observer(report(session, Step::Wait { attempt, ms })).is_break() {
            return Err(DownloadError::Cancelled);
        }
        delay.delay_ms(ms).await;
    }
}

fn report<T: DfuTarget, P: ProgressStore>(session: &Session<'_, T, P>, step: Step) -> Report {
    Report { step, offset: session.offset(), durable: session.durable(), size: session.size() }
}

/// Compares what the source says with what the session has. Returns how many bytes to leave out; `None`: to be
/// opened again.
fn opened<T: DfuTarget, P: ProgressStore, E>(
    session: &mut Session<'_, T, P>,
    patience: &mut Patience,
    meta: Meta,
) -> Result<Option<u32>, DownloadError<E, T::Error>> {
    if meta.size == Some(0) {
        return Err(DownloadError::Empty);
    }
    let before = session.offset();
    let wanted = session.agree(meta.size, meta.tag).map_err(DownloadError::Session)?;
    if session.size().is_none() {
        return Err(DownloadError::NoLength);
    }
    if wanted != before {
        patience.started_over();
    }
    let skip = wanted.checked_sub(meta.start);
    if (wanted != before || skip.is_none()) && !patience.spend() {
        return Err(DownloadError::Unsettled);
    }
    Ok(skip)
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
