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
    let patience = Patience::new(backoff, session.offset());
    let mut run = Run { source, session, buf, patience, observer: &mut observer };
    let mut resume = false;
    loop {
        let failed = match run.attempt(resume).await {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        let Some(ms) = run.patience.pause(retry(&failed)) else { return Err(failed) };
        resume = matches!(failed, DownloadError::Session(_));
        let attempt = run.patience.attempt();
        crate::fmt::warning!("download: attempt {} failed, the next one is in {} ms", attempt, ms);
        let report = run.report(Step::Wait { attempt, ms });
        if (run.observer)(report).is_break() {
            return Err(DownloadError::Cancelled);
        }
        delay.delay_ms(ms).await;
    }
}

struct Run<'a, 'u, S, T, P, O> {
    source: &'a mut S,
    session: &'a mut Session<'u, T, P>,
    buf: &'a mut [u8],
    patience: Patience,
    observer: &'a mut O,
}

impl<S, T, P, O> Run<'_, '_, S, T, P, O>
where
    S: Source,
    T: DfuTarget,
    P: ProgressStore,
    O: FnMut(Report) -> ControlFlow<()>,
{
    /// Goes on until the end or the first failure.
    async fn attempt(&mut self, resume: bool) -> Result<(), DownloadError<S::Error, T::Error>> {
        if resume {
            self.session.resume().await.map_err(DownloadError::Session)?;
        }
        // What of the bytes that come is to be left out, once the source is open.
        let mut open = None;
        loop {
            let report = self.report(if open.is_some() { Step::Receive } else { Step::Open });
            let room = report.size.map_or(u32::MAX, |size| size.saturating_sub(report.offset));
            if room == 0 {
                return Ok(());
            }
            if (self.observer)(report).is_break() {
                return Err(DownloadError::Cancelled);
            }
            let Some(left_out) = open else {
                let meta = self.source.open(report.offset).await.map_err(DownloadError::Source)?;
                open = self.opened(report.offset, meta)?;
                continue;
            };
            let count = self.source.read(self.buf).await.map_err(DownloadError::Source)?;
            if count == 0 {
                // A server may give less than the rest.
                if !self.patience.moved() {
                    return Err(DownloadError::Ended { have: report.offset });
                }
                open = None;
                continue;
            }
            let bytes = self.buf.get(left_out as usize..count).unwrap_or_default();
            open = Some(left_out.saturating_sub(count as u32));
            let bytes = bytes.get(..room as usize).unwrap_or(bytes);
            match self.session.write(bytes).await.map_err(DownloadError::Session)? {
                Written::Committed(_) => self.patience.came(self.session.offset()),
                Written::Rewind(_) if self.patience.spend() => open = None,
                Written::Rewind(_) => return Err(DownloadError::Unsettled),
            }
        }
    }

    /// Compares what the source says with what the session has. Returns how many bytes to leave out; `None`: to
    /// be opened again.
    fn opened(&mut self, before: u32, meta: Meta) -> Result<Option<u32>, DownloadError<S::Error, T::Error>> {
        if meta.size == Some(0) {
            return Err(DownloadError::Empty);
        }
        let wanted = self.session.agree(meta.size, meta.tag).map_err(DownloadError::Session)?;
        if self.session.size().is_none() {
            return Err(DownloadError::NoLength);
        }
        if wanted != before {
            self.patience.started_over();
        }
        let skip = wanted.checked_sub(meta.start);
        if (wanted != before || skip.is_none()) && !self.patience.spend() {
            return Err(DownloadError::Unsettled);
        }
        Ok(skip)
    }

    fn report(&self, step: Step) -> Report {
        Report { step, offset: self.session.offset(), durable: self.session.durable(), size: self.session.size() }
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
