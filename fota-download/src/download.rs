//! The download loop: from a source that may fail into a session.

mod backoff;
mod error;

pub use backoff::Backoff;
pub use error::DownloadError;

use core::ops::ControlFlow;

use dfu_target::{DfuTarget, ErrorKind, ProgressStore, Session, Written};
use embedded_hal_async::delay::DelayNs;

use self::backoff::Patience;
use crate::source::{Call, Error, Meta, Retry, Source};

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
/// it, never empty. `observer` is called before each step, where [`ControlFlow::Break`] ends the
/// download, and once more when all bytes came.
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
    let mut patience = Patience::new(backoff);
    let mut step = Step::Open;
    // After an error of the session.
    let mut resume = false;
    // How many of the bytes that come are to be left out.
    let mut left_out = 0_u32;
    let (mut meta, mut count) = (Meta::default(), 0);
    loop {
        let report = Report { step, offset: session.offset(), durable: session.durable(), size: session.size() };
        let room = report.size.map_or(u32::MAX, |size| size.saturating_sub(report.offset));
        patience.came(report.offset);
        let wanted = observer(report).is_continue();
        if room == 0 && !resume {
            return Ok(());
        }
        if !wanted {
            return Err(DownloadError::Cancelled);
        }
        let failed = match step {
            Step::Wait { ms, .. } => {
                delay.delay_ms(ms).await;
                step = Step::Open;
                continue;
            }
            Step::Open if resume => match session.resume().await {
                Ok(_) => {
                    resume = false;
                    continue;
                }
                Err(error) => DownloadError::Session(error),
            },
            Step::Open | Step::Receive => {
                let call = match step {
                    Step::Open => Call::Open(report.offset, &mut meta),
                    _ => Call::Read(buf, &mut count),
                };
                match source.call(call).await {
                    Err(error) => DownloadError::Source(error),
                    Ok(()) if step == Step::Open => {
                        patience.opened();
                        let wanted = agreed(session, meta)?;
                        let other = wanted != report.offset;
                        if other {
                            patience.started_over();
                        }
                        // The source may give what is stored already, but not leave anything out.
                        if let Some(count) = wanted.checked_sub(meta.start) {
                            step = Step::Receive;
                            left_out = count;
                        }
                        if (other || step == Step::Open) && !patience.spend() {
                            return Err(DownloadError::Unsettled);
                        }
                        continue;
                    }
                    // A server may give less than the rest.
                    Ok(()) if count == 0 && patience.moved() => {
                        step = Step::Open;
                        continue;
                    }
                    Ok(()) if count == 0 => DownloadError::Ended { have: report.offset },
                    Ok(()) => {
                        let bytes = buf.get(left_out as usize..count).unwrap_or_default();
                        left_out = left_out.saturating_sub(count as u32);
                        match session.write(bytes.get(..room as usize).unwrap_or(bytes)).await {
                            Ok(Written::Committed(_)) => continue,
                            Ok(Written::Rewind(_)) if patience.spend() => {
                                step = Step::Open;
                                continue;
                            }
                            Ok(Written::Rewind(_)) => return Err(DownloadError::Unsettled),
                            Err(error) => DownloadError::Session(error),
                        }
                    }
                }
            }
        };
        let Some(ms) = patience.pause(retry(&failed)) else { return Err(failed) };
        resume = matches!(failed, DownloadError::Session(_));
        let attempt = patience.attempt();
        crate::fmt::warning!("download: attempt {} failed, the next one is in {} ms", attempt, ms);
        step = Step::Wait { attempt, ms };
    }
}

/// Compares what the source says with what the session has; returns the offset that is wanted.
fn agreed<T: DfuTarget, P: ProgressStore, E>(
    session: &mut Session<'_, T, P>,
    meta: Meta,
) -> Result<u32, DownloadError<E, T::Error>> {
    if meta.size == Some(0) {
        return Err(DownloadError::Empty);
    }
    let wanted = session.agree(meta.size, meta.tag).map_err(DownloadError::Session)?;
    session.size().map(|_| wanted).ok_or(DownloadError::NoLength)
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
