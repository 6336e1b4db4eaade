//! The application: what it does with an update, from the boot to the one in which the modem runs it.

use std::fmt::Display;

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Region, Shared};
use dfu_target::{
    Applied, Begun, DfuTarget, Digest, ErrorKind, ImageId, ProgressLog, ProgressStore, Request, Session, Update,
};
use dfu_target_nrf_modem::{ModemDelta, ModemFull, Program};
use dfu_testkit::modem::{Delay, FakeModem};
use indicatif::HumanCount;

use super::area::{self, Flash};
use super::bench::Bench;
use super::boot::boot;
use super::file::{Kind, UpdateFile};
use super::steps::{Steps, Watch};
use crate::ending::{Outcome, Problem};

/// The application, and what it is told to do.
pub(super) struct Device<'d> {
    pub(super) bench: &'d Bench,
    pub(super) file: &'d UpdateFile,
    /// The digest that the update has to have.
    pub(super) wanted: Digest,
    /// How many bytes come at once.
    pub(super) chunk: usize,
    pub(super) program: Program<'d>,
    pub(super) steps: &'d Steps<'d>,
}

/// How it ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// The modem runs what it did not run before.
    Updated,
    /// It ran that before.
    Already,
}

/// The target for deltas.
pub(super) type Delta<'d> = ModemDelta<FakeModem, Delay, SoftSha256, Watch<'d>>;
/// The target for full updates.
pub(super) type Full<'f, 'd> = ModemFull<'f, Flash, SoftSha256, 256, Watch<'d>>;

impl<'d> Device<'d> {
    /// A boot; then the update and one more boot, where the first did not end it.
    pub(super) async fn update(&self) -> Outcome<Done> {
        let is_begun = self.is_begun().await?;
        let booted = boot(self).await?;
        match booted.failure {
            Some(why) if is_begun => return Err(self.refused(why)),
            _ if self.is_current() && self.bench.modem.points() == 0 => return Ok(Done::Already),
            _ if self.is_current() => return Ok(Done::Updated),
            _ => {}
        }
        let mut flash = Shared::new(self.bench.chip.clone());
        let [staging, log] = flash.split(&self.layout()?);
        match self.file.kind {
            Kind::Delta if !booted.runs => {
                return Err(Problem::refused("the modem does not start: it needs a full update"));
            }
            Kind::Delta => self.install(&mut self.delta(), log).await?,
            Kind::Full => self.install(&mut self.full(staging), log).await?,
        }
        self.bench.is_on()?;
        let booted = boot(self).await?;
        match booted.failure {
            Some(why) => Err(self.refused(why)),
            None if self.is_current() => Ok(Done::Updated),
            None => {
                let runs = self.bench.modem.running();
                Err(self.refused(format_args!("the modem runs {runs} in spite of the update")))
            }
        }
    }

    pub(super) fn delta(&self) -> Delta<'d> {
        let modem = self.bench.modem.clone();
        ModemDelta::with(modem.clone(), modem.delay(), SoftSha256::default(), Watch::new(self.steps))
    }

    pub(super) fn full<'f>(&self, staging: Region<'f, Flash>) -> Full<'f, 'd> {
        ModemFull::with(staging, SoftSha256::default(), Watch::new(self.steps))
    }

    pub(super) fn layout(&self) -> Outcome<Layout<Flash, 2>> {
        area::windows(self.bench.size()).map_err(Problem::refused)
    }

    /// A reason, with what there is to add for such a file.
    pub(super) fn refused(&self, why: impl Display) -> Problem {
        Problem::refused(format_args!("{why}{}", self.file.hint()))
    }

    /// Why it was not taken.
    fn judged(&self, why: impl Display) -> Problem {
        match (self.file.flaw(), self.file.kind) {
            (Some(flaw), _) => Problem::refused(flaw),
            (None, Kind::Delta) => self.refused(why),
            (None, Kind::Full) => Problem::refused(why),
        }
    }

    /// Whether the update that is recorded is this one.
    async fn is_begun(&self) -> Outcome<bool> {
        let mut flash = Shared::new(self.bench.chip.clone());
        let [_, log] = flash.split(&self.layout()?);
        let record = ProgressLog::<_>::new(log).load().await;
        Ok(record.is_some_and(|record| record.id() == ImageId::from(self.wanted)))
    }

    /// Whether the modem runs what this update makes, as whoever ordered it would know.
    fn is_current(&self) -> bool {
        let modem = &self.bench.modem;
        modem.is_alive() && self.file.makes() == Some(modem.running()) && self.wanted == self.file.digest
    }

    /// Receives, checks and applies it.
    async fn install<T: DfuTarget>(&self, target: &mut T, log: Region<'_, Flash>) -> Outcome<()>
    where
        T::Error: Display,
    {
        let file = &self.file.bytes;
        let size = u32::try_from(file.len()).map_err(|_| Problem::refused("an update of more than 4 GiB"))?;
        let mut update = Update::new(target, ProgressLog::<_>::new(log), Request::of(self.wanted).size(size));
        let staged = match update.begin().await.map_err(|error| self.judged(error))? {
            Begun::Staged(staged) => {
                self.steps.tell("receive", "all of it is there already");
                staged
            }
            Begun::Receiving(mut session) => {
                let from = session.offset();
                let (all, piece) = (HumanCount(size.into()), HumanCount(self.chunk as u64));
                let text = format!("from byte {} on, {all} bytes in pieces of {piece}", HumanCount(from.into()));
                self.steps.tell("receive", text);
                self.receive(&mut session).await?;
                match session.finish().await {
                    Ok(staged) => staged,
                    Err(failed) => {
                        let (mut session, error) = failed.into_parts();
                        let why = self.judged(&error);
                        return Err(self.given_up(&mut session, error.kind(), why).await);
                    }
                }
            }
        };
        let verified = match staged.verify(&self.wanted) {
            Ok(verified) => verified,
            Err(failed) => {
                let (staged, error) = failed.into_parts();
                let why = self.judged(&error);
                return Err(self.given_up(&mut staged.into_session(), error.kind(), why).await);
            }
        };
        self.steps.tell("verify", format_args!("SHA-256 {}", self.wanted));
        match verified.apply().await {
            Ok(Applied::AtReset) => self.steps.tell("apply", "what is to happen at the reset is noted; reset"),
            Ok(_) => self.steps.tell("apply", "done; reset"),
            Err(failed) => {
                let (verified, error) = failed.into_parts();
                let why = self.judged(&error);
                return Err(self.given_up(&mut verified.into_session(), error.kind(), why).await);
            }
        }
        Ok(())
    }

    /// All that is missing. A target may ask for bytes a second time.
    async fn receive<T: DfuTarget, S: ProgressStore>(&self, session: &mut Session<'_, T, S>) -> Outcome<()>
    where
        T::Error: Display,
    {
        while let Some(rest) = self.file.bytes.get(session.offset() as usize..).filter(|rest| !rest.is_empty()) {
            let piece = rest.get(..self.chunk).unwrap_or(rest);
            session.write(piece).await.map_err(|error| self.judged(error))?;
        }
        Ok(())
    }

    /// What is stored is of no use where it is wrong; else the next run goes on with it.
    async fn given_up<T: DfuTarget, S: ProgressStore>(
        &self,
        session: &mut Session<'_, T, S>,
        kind: ErrorKind,
        why: Problem,
    ) -> Problem {
        if self.bench.modem.is_powered() && matches!(kind, ErrorKind::Refused | ErrorKind::Corrupt) {
            let result = session.abort().await.map_err(|error| error.kind());
            self.steps
                .tell("abort", if result.is_ok() { "what came of it is dropped" } else { "it cannot be dropped" });
        }
        why
    }
}
