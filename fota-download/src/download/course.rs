//! What a download does next, and what follows from what was done. No I/O.

use dfu_target::{DfuTarget, ProgressStore, Session};

use super::backoff::{Backoff, Patience};
use super::{DownloadError, Report, Step};
use crate::source::Meta;

/// What to wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// The source, to open.
    Open,
    /// Bytes of the source.
    Read,
    /// The session, to take them.
    Write,
    /// The end of a pause.
    Wait,
    /// The session, to go on after its error.
    Resume,
}

/// Where a download stands.
pub(super) struct Course {
    pub(super) work: Work,
    /// The session failed, and was not resumed since.
    resume: bool,
    /// Milliseconds.
    pub(super) pause: u32,
    /// The offset of the next byte that is wanted, and of the byte behind those that are being written.
    pub(super) offset: u32,
    /// How many bytes are missing.
    room: u32,
    /// What the source answered.
    pub(super) meta: Meta,
    pub(super) count: usize,
    /// How many of the bytes that come are to be left out.
    left_out: usize,
    pub(super) patience: Patience,
}

impl Course {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self {
            work: Work::Open,
            resume: false,
            pause: 0,
            offset: 0,
            room: 0,
            meta: Meta::default(),
            count: 0,
            left_out: 0,
            patience: Patience::new(backoff),
        }
    }

    /// Looks at the session before the next step.
    pub(super) fn report<T: DfuTarget, P: ProgressStore>(&mut self, session: &Session<'_, T, P>, paid: u32) -> Report {
        let step = match self.work {
            Work::Wait => Step::Wait { attempt: self.patience.attempt(), ms: self.pause },
            Work::Open | Work::Resume => Step::Open,
            Work::Read | Work::Write => Step::Receive,
        };
        let (offset, durable, size, kind) = (session.offset(), session.durable(), session.size(), session.kind());
        let report = Report { step, offset, durable, size, kind, paid };
        self.patience.came(report.offset);
        self.room = report.size.map_or(u32::MAX, |size| size.saturating_sub(report.offset));
        self.offset = report.offset;
        report
    }

    /// Whether the session has all bytes.
    pub(super) fn is_done(&self) -> bool {
        self.room == 0 && !self.resume
    }

    /// The bytes that are wanted of those that came.
    pub(super) fn bytes<'b>(&mut self, buf: &'b [u8]) -> &'b [u8] {
        let bytes = buf.get(self.left_out..self.count).unwrap_or_default();
        self.left_out = self.left_out.saturating_sub(self.count);
        let bytes = bytes.get(..self.room as usize).unwrap_or(bytes);
        self.offset = self.offset.wrapping_add(bytes.len() as u32);
        bytes
    }

    /// Whether more bytes are missing than these.
    pub(super) fn wants_more_than(&self, bytes: &[u8]) -> bool {
        bytes.len() < self.room as usize
    }

    /// What follows from work that was done.
    pub(super) fn go_on<S, T: DfuTarget, P: ProgressStore>(
        &mut self,
        session: &mut Session<'_, T, P>,
    ) -> Result<(), DownloadError<S, T::Error>> {
        self.work = match self.work {
            Work::Wait if self.resume => Work::Resume,
            Work::Wait => Work::Open,
            Work::Resume => {
                self.resume = false;
                Work::Open
            }
            Work::Open => {
                let wanted = agreed(session, self.meta)?;
                self.patience.opened(wanted);
                let other = wanted != self.offset;
                if other {
                    self.patience.started_over();
                }
                // The source may give what is stored already, but not leave anything out.
                let work = match wanted.checked_sub(self.meta.start) {
                    Some(known) => {
                        self.left_out = known as usize;
                        Work::Read
                    }
                    None => Work::Open,
                };
                if (other || work == Work::Open) && !self.patience.spend() {
                    return Err(DownloadError::Unsettled);
                }
                work
            }
            Work::Read if self.count != 0 => Work::Write,
            // A server may give less than the rest.
            Work::Read if self.patience.moved() => Work::Open,
            Work::Read => return Err(DownloadError::Ended { have: self.offset }),
            Work::Write if session.offset() == self.offset => Work::Read,
            // The target wants some of them once more.
            Work::Write if self.patience.went_back(session.offset()) => Work::Open,
            Work::Write => return Err(DownloadError::Unsettled),
        };
        Ok(())
    }

    /// Waits after a failure, of the session or of something else.
    pub(super) fn wait(&mut self, ms: u32, resume: bool) {
        self.work = Work::Wait;
        self.pause = ms;
        self.resume = resume;
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
    // From an earlier offset the source is asked again, and may say more.
    if session.size().is_none() && wanted >= meta.start { Err(DownloadError::NoLength) } else { Ok(wanted) }
}
