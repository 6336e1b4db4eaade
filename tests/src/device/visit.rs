//! What the application does between two resets.

use dfu_target::session::Failed;
use dfu_target::{Applied, Begun, ErrorKind, Session, Update};

use super::{Device, Failure, Log, Release, Secondary};
use crate::poll::run;

/// What happened in one run of the application, up to its end or a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// What it was at.
    pub phase: Phase,
    /// From where it asked for bytes first; `None`: it asked for none.
    pub from: Option<u32>,
    /// It found all of the image stored.
    pub staged: bool,
    /// The image that it found stored had been applied before.
    pub attempted: bool,
    /// How many bytes it took.
    pub fetched: u32,
    /// What the session called durable last.
    pub durable: u32,
    /// The image was complete, and that was stored.
    pub complete: bool,
}

/// The parts of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Looking at what is there.
    #[default]
    Begin,
    /// Receiving.
    Write,
    /// Reading back.
    Finish,
    /// Asking for it to be run.
    Apply,
    /// It was asked for.
    Applied,
}

/// Who has the application do its work.
pub(crate) trait Caller {
    /// Comes before each call of the library.
    fn calls(&mut self, _visit: &Visit) {}

    /// Waits for a call of the library; `None`: it was dropped, and `visit` is that of what comes now.
    fn wait<F: Future>(&mut self, call: F, visit: &mut Visit) -> Option<F::Output>;

    /// What it does then.
    fn goes_on(&self) -> GoesOn {
        GoesOn::Same
    }

    /// The visit until then, if a call was dropped.
    fn before(&self) -> Option<Visit> {
        None
    }
}

/// How an application goes on when it has dropped a call of the library, on a device that was not reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GoesOn {
    /// With what it has: the session resumes, or the update begins again.
    Same,
    /// With an update of its own: target, store and session were dropped with the call.
    Anew,
}

/// Waits for each call to its end.
pub(crate) struct Patient;

impl Caller for Patient {
    fn wait<F: Future>(&mut self, call: F, _: &mut Visit) -> Option<F::Output> {
        Some(run(call))
    }
}

impl<const W: usize, const E: usize, const R: usize> Device<W, E, R> {
    /// The application fetches an image, or goes on with it, and asks for it to be run. It may write nothing but
    /// the secondary slot and the log. `visit` tells how far it came, also where the power failed.
    pub fn update(&self, release: &Release<'_>, visit: &mut Visit) -> Result<Applied, Failure> {
        self.update_by(&mut Patient, release, visit)
    }

    /// [`update`](Self::update) by somebody who may drop its calls.
    pub(crate) fn update_by(
        &self,
        caller: &mut impl Caller,
        release: &Release<'_>,
        visit: &mut Visit,
    ) -> Result<Applied, Failure> {
        self.chip().sim().guard(&[self.target(), self.log()]);
        let mut shared = self.share();
        let result = loop {
            let (_, target, log) = self.open(&mut shared);
            let mut update = Update::new(target, log, release.request());
            if let Some(result) = self.go(caller, &mut update, release, visit).transpose() {
                break result;
            }
        };
        self.guard();
        result
    }

    /// The application fetches no more than `bytes` of an image, or goes on with it for so long; then it is reset.
    /// Where all of it is stored, it is left at that.
    pub fn fetch(&self, release: &Release<'_>, bytes: u32, visit: &mut Visit) -> Result<(), Failure> {
        self.chip().sim().guard(&[self.target(), self.log()]);
        let mut shared = self.share();
        let (_, target, log) = self.open(&mut shared);
        let mut update = Update::new(target, log, release.request());
        let result = match run(update.begin()) {
            Ok(Begun::Receiving(mut session)) => {
                self.receive(&mut Patient, &mut session, release, bytes, visit).map(drop)
            }
            Ok(Begun::Staged(_)) => {
                visit.staged = true;
                Ok(())
            }
            Err(error) => Err(error),
        };
        self.guard();
        result
    }

    /// The application gives an update up, however far it is.
    pub fn abort(&self, release: &Release<'_>) -> Result<(), Failure> {
        self.chip().sim().guard(&[self.target(), self.log()]);
        let mut shared = self.share();
        let (_, target, log) = self.open(&mut shared);
        let mut update = Update::new(target, log, release.request());
        let result = run(async {
            match update.begin().await? {
                Begun::Receiving(mut session) => session.abort().await,
                Begun::Staged(staged) => staged.into_session().abort().await,
            }
        });
        self.guard();
        result
    }

    /// `None`: a call was dropped, and the update with it.
    fn go<'a>(
        &self,
        caller: &mut impl Caller,
        update: &mut Update<Secondary<'a, W, E, R>, Log<'a, W, E, R>>,
        release: &Release<'_>,
        visit: &mut Visit,
    ) -> Result<Option<Applied>, Failure> {
        for _ in 0..6 {
            match self.attempt(caller, update, release, visit) {
                Ok(None) if caller.goes_on() == GoesOn::Anew => return Ok(None),
                Ok(None) => {}
                // A mark was torn; it shares a sector with the image's end, which has to come once more.
                Err(error) if visit.phase == Phase::Apply && error.kind() == ErrorKind::Rewind => {}
                result => return result,
            }
        }
        panic!("the image's end is wanted again and again: {visit:?}");
    }

    /// `None`: a call was dropped.
    fn attempt<'a>(
        &self,
        caller: &mut impl Caller,
        update: &mut Update<Secondary<'a, W, E, R>, Log<'a, W, E, R>>,
        release: &Release<'_>,
        visit: &mut Visit,
    ) -> Result<Option<Applied>, Failure> {
        visit.phase = Phase::Begin;
        caller.calls(visit);
        let Some(begun) = caller.wait(update.begin(), visit) else { return Ok(None) };
        let staged = match begun? {
            Begun::Staged(staged) => {
                visit.staged = true;
                visit.attempted = staged.attempted();
                staged
            }
            Begun::Receiving(mut session) => {
                if !self.receive(caller, &mut session, release, u32::MAX, visit)? {
                    return Ok(None);
                }
                visit.phase = Phase::Finish;
                caller.calls(visit);
                let Some(finished) = caller.wait(session.finish(), visit) else { return Ok(None) };
                finished.map_err(Failed::into_error)?
            }
        };
        visit.complete = self.chip().sim().is_powered();
        let verified = staged.verify(release.digest()).map_err(Failed::into_error)?;
        visit.phase = Phase::Apply;
        caller.calls(visit);
        let Some(applied) = caller.wait(verified.apply(), visit) else { return Ok(None) };
        let applied = applied.map_err(Failed::into_error)?;
        visit.phase = Phase::Applied;
        Ok(Some(applied))
    }

    /// Whether it came to its end: no call was dropped, and the session with it.
    fn receive<'a>(
        &self,
        caller: &mut impl Caller,
        session: &mut Session<'_, Secondary<'a, W, E, R>, Log<'a, W, E, R>>,
        release: &Release<'_>,
        most: u32,
        visit: &mut Visit,
    ) -> Result<bool, Failure> {
        visit.phase = Phase::Write;
        let size = release.file().len() as u32;
        session.agree(Some(size), 0x7a9)?;
        visit.from.get_or_insert(session.offset());
        while session.offset() < size && visit.fetched < most {
            caller.calls(visit);
            let offset = session.offset();
            let piece = release.piece(offset);
            let call = async {
                if release.prepares {
                    session.prepare().await?;
                }
                session.write(piece).await
            };
            match caller.wait(call, visit) {
                Some(written) => {
                    written?;
                    visit.fetched += piece.len() as u32;
                    if self.chip().sim().is_powered() {
                        visit.durable = session.durable();
                    }
                }
                None if caller.goes_on() == GoesOn::Anew => return Ok(false),
                None => {
                    visit.phase = Phase::Write;
                    visit.from = Some(run(session.resume())?);
                }
            }
        }
        Ok(true)
    }
}
