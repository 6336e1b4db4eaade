//! The mechanism below the session's three faces: plain code decides the next step, one loop awaits it.

use super::{Request, SessionError};
use crate::digest::Digest;
use crate::image::{HEAD_LEN, Image, ImageKind, Probe};
use crate::progress::{Progress, ProgressStore, State, StoreCall};
use crate::target::{Applied, Assurance, Call, Checked, DfuTarget, Error, ErrorKind, Proof, Written};

#[derive(Debug)]
#[repr(C)] // The large ones last: small offsets make short instructions.
pub(super) struct Core<T, S> {
    stage: Stage,
    /// The offset up to which the stored record knows; `None`: it is of something else.
    saved: Option<u32>,
    /// How far the target took the image; the head is collected before.
    next: u32,
    more: bool,
    applied: Applied,
    written: Written,
    /// What the request says.
    size: Option<u32>,
    save_every: u32,
    /// What is to be stored next.
    now: Progress,
    checked: Checked,
    proof: Proof,
    digest: Option<Digest>,
    store: S,
    target: T,
}

/// What a call is to achieve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Begin,
    Feed,
    Prepare,
    Finish,
    Apply,
    Abort,
}

/// How far the session and the target have come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The store was not asked yet.
    Unread,
    /// The head is being collected, or was and the target did not take it yet.
    Head,
    /// A record matches; the target is to be asked.
    Found,
    /// The target wants bytes.
    Body,
    /// A write is under way, failed or was dropped.
    Interrupted,
    /// The target has all of it, says the record.
    Suspected,
    /// The target has all of it: it was read back.
    Staged,
    /// It is given up; the target may still hold some of it.
    Aborting,
}

/// What to wait for.
#[derive(Clone, Copy)]
enum Step<'a> {
    Load,
    Save,
    Init,
    WriteHead,
    Write(&'a [u8]),
    Prepare,
    Digest,
    Apply,
    Abort,
    Done,
}

impl<T: DfuTarget, S: ProgressStore> Core<T, S> {
    pub(super) fn new(target: T, store: S, request: Request) -> Self {
        let Request { progress: mut now, size, save_every, digest } = request;
        now.set_identity(target.identity());
        Self {
            target,
            store,
            now,
            size,
            save_every,
            digest,
            stage: Stage::Unread,
            saved: None,
            next: 0,
            written: Written::Committed(0),
            more: false,
            checked: Checked { digest: Digest([0; 32]), assurance: Assurance::None },
            proof: Proof::of(Digest([0; 32])),
            applied: Applied::AtReset,
        }
    }

    /// As after a reset, but for what the request says.
    pub(super) fn reread(&mut self) {
        self.restart();
        self.stage = Stage::Unread;
    }

    /// The one loop that awaits.
    pub(super) async fn run(&mut self, goal: Goal, mut input: &[u8]) -> Result<(), SessionError<T::Error>> {
        self.written = Written::Committed(self.now.offset());
        self.more = false;
        match self.now.size() {
            Some(size) if input.len() > size.saturating_sub(self.next()) as usize => {
                return Err(SessionError::TooLong { size });
            }
            _ => {}
        }
        loop {
            let step = self.step(goal, &mut input)?;
            let image;
            let call = match step {
                Step::Load | Step::Save => {
                    let mut found = None;
                    let loads = matches!(step, Step::Load);
                    let call = if loads { StoreCall::Load(&mut found) } else { StoreCall::Save(&self.now) };
                    let result = self.store.call(call).await;
                    if loads {
                        self.stage = Stage::Head;
                        if let Some(found) = found.filter(|found| self.continues(found)) {
                            self.stage = Stage::Found;
                            self.saved = Some(found.offset());
                            self.now = found;
                        }
                        continue;
                    }
                    if let Err(error) = result {
                        if self.saved.is_none() {
                            return Err(SessionError::Store(error));
                        }
                        crate::fmt::warning!("progress was not stored: a reset now costs more bytes");
                    }
                    self.saved = Some(self.now.offset());
                    continue;
                }
                Step::Init => {
                    let now = &self.now;
                    image = Image { kind: now.kind(), size: now.size(), index: now.index(), head: now.head() };
                    self.next = now.offset();
                    Call::Init(&image, &mut self.next)
                }
                Step::WriteHead => Call::Write(self.now.head(), &mut self.written),
                Step::Write(bytes) => Call::Write(bytes, &mut self.written),
                Step::Prepare => Call::Prepare(&mut self.more),
                Step::Digest => Call::Digest(&mut self.checked),
                Step::Apply => Call::Apply(&self.proof, &mut self.applied),
                Step::Abort => Call::Abort,
                Step::Done => return Ok(()),
            };
            let result = self.target.call(call).await;
            if self.done(step, result)? {
                return Ok(());
            }
        }
    }

    /// Decides; does no I/O.
    fn step<'a>(&mut self, goal: Goal, input: &mut &'a [u8]) -> Result<Step<'a>, SessionError<T::Error>> {
        // Progress is stored where a whole number of pieces lies behind, so that it falls on the target's blocks.
        let beyond_grid = self.next.checked_rem(self.save_every).unwrap_or(0);
        let unsaved = self.saved.is_none_or(|saved| saved != self.now.offset() && beyond_grid == 0);
        Ok(match (goal, self.stage) {
            (Goal::Begin, Stage::Unread) => Step::Load,
            (Goal::Begin, Stage::Found) => Step::Init,
            (Goal::Begin, Stage::Suspected) => Step::Digest,
            (Goal::Begin, _) => Step::Done,
            (Goal::Feed | Goal::Finish, Stage::Head) => self.collect(goal, input)?,
            // What is stored of another image is forgotten before the first erase.
            (Goal::Prepare | Goal::Feed | Goal::Finish, Stage::Body) if unsaved => Step::Save,
            (Goal::Finish | Goal::Apply, Stage::Staged) | (Goal::Abort, _) if unsaved => Step::Save,
            (Goal::Prepare, Stage::Body) => Step::Prepare,
            (Goal::Finish, Stage::Staged) | (Goal::Prepare, _) => Step::Done,
            (Goal::Apply, Stage::Staged) => Step::Apply,
            (Goal::Abort, _) => Step::Abort,
            (Goal::Feed | Goal::Finish, Stage::Body) if self.next == 0 => {
                self.stage = Stage::Interrupted;
                Step::WriteHead
            }
            (Goal::Feed | Goal::Finish, Stage::Body) if !input.is_empty() => {
                let len = self.save_every.wrapping_sub(beyond_grid) as usize;
                let (piece, rest) = input.split_at_checked(len).unwrap_or((input, &[]));
                *input = rest;
                self.stage = Stage::Interrupted;
                Step::Write(piece)
            }
            (Goal::Feed, Stage::Body) => Step::Done,
            (Goal::Finish, Stage::Body) => match self.now.size() {
                Some(size) if size != self.next => return Err(SessionError::Incomplete { have: self.next, size }),
                _ => Step::Digest,
            },
            (Goal::Feed | Goal::Finish | Goal::Apply, _) => return Err(SessionError::Interrupted),
        })
    }

    /// Collects the head and tells what it is.
    fn collect<'a>(&mut self, goal: Goal, input: &mut &'a [u8]) -> Result<Step<'a>, SessionError<T::Error>> {
        *input = self.now.take_head(input);
        let have = self.now.head_len();
        if have < HEAD_LEN as u32 && self.now.size() != Some(have) && goal == Goal::Feed {
            return Ok(Step::Done);
        }
        match self.target.probe(self.now.head(), self.now.index()) {
            Probe::Taken(kind) => self.now.set_kind(kind),
            Probe::Refused(Some(kind)) => return Err(SessionError::NotTaken(kind)),
            Probe::Refused(None) => return Err(SessionError::Unknown),
        }
        Ok(Step::Init)
    }

    /// Whether what was stored is of the image that is wanted, and worth going on with.
    fn continues(&self, found: &Progress) -> bool {
        let right = match (found.state(), &self.digest) {
            (State::Receiving, _) => found.offset() >= HEAD_LEN as u32,
            (_, Some(wanted)) => found.has_digest(wanted),
            _ => true,
        };
        right
            && found.is_of_same(&self.now)
            && self.now.size().is_none_or(|size| found.size() == Some(size))
            && found.offset() <= found.size().unwrap_or(u32::MAX)
            && self.target.accepts(found.kind(), found.index())
    }

    /// What follows from a step of the target; `true`: the goal is reached.
    fn done(&mut self, step: Step<'_>, result: Result<(), T::Error>) -> Result<bool, SessionError<T::Error>> {
        if let Err(error) = result {
            let lasting = !matches!(error.kind(), ErrorKind::Storage | ErrorKind::Busy);
            if matches!(self.stage, Stage::Found | Stage::Suspected) && lasting {
                // It is not what the record tells of: after a swap, the slot holds the old image.
                self.restart();
                return Ok(false);
            }
            return Err(SessionError::Target(error));
        }
        match step {
            Step::Init => {
                let wanted = self.next.min(self.now.offset());
                if self.stage == Stage::Head {
                    self.stage = Stage::Body;
                } else if wanted == self.now.offset() && self.now.state() != State::Receiving {
                    self.stage = Stage::Suspected;
                } else {
                    self.rewind(wanted);
                }
            }
            Step::WriteHead => self.took(self.now.head_len()),
            Step::Write(bytes) => self.took(bytes.len() as u32),
            Step::Digest => {
                let digest = self.checked.digest;
                self.stage = Stage::Staged;
                self.proof = Proof::of(digest);
                if self.now.state() == State::Receiving {
                    self.now.set_state(State::Complete);
                    self.now.set_digest(&digest);
                    self.now.set_size(Some(self.next));
                    self.now.set_offset(self.next);
                    self.saved = None;
                } else if !self.now.has_digest(&digest) {
                    self.restart();
                }
            }
            Step::Abort => {
                self.stage = Stage::Head;
                return Ok(true);
            }
            _ => return Ok(true),
        }
        Ok(matches!(self.written, Written::Rewind(_)))
    }

    fn took(&mut self, count: u32) {
        self.stage = Stage::Body;
        // No target takes more than 4 GiB.
        self.next = self.next.wrapping_add(count);
        match self.written {
            Written::Committed(durable) => {
                let durable = durable.min(self.next);
                self.now.set_offset(durable);
                self.written = Written::Committed(durable);
            }
            Written::Rewind(wanted) => {
                self.rewind(wanted.min(self.next));
                self.written = Written::Rewind(self.next);
            }
        }
    }

    /// Goes on from an offset of before, which is stored before anything is erased.
    fn rewind(&mut self, wanted: u32) {
        if wanted < HEAD_LEN as u32 {
            self.restart();
            return;
        }
        if wanted < self.now.offset() || self.now.state() != State::Receiving {
            self.saved = None;
        }
        self.now.set_state(State::Receiving);
        self.now.set_offset(wanted);
        self.next = wanted;
        self.stage = Stage::Body;
    }

    pub(super) fn agree(&mut self, size: Option<u32>, tag: u32) -> Result<u32, SessionError<T::Error>> {
        let differ = |known: Option<u32>| known.zip(size).filter(|(known, offered)| known != offered);
        let same_file = match (self.now.tag(), tag) {
            _ if self.next() == 0 => true,
            (0, _) | (_, 0) => self.digest.is_some(),
            (known, tag) => known == tag,
        };
        if differ(self.now.size()).is_some() || !same_file {
            self.restart();
        }
        if let Some((wanted, offered)) = differ(self.now.size()) {
            return Err(SessionError::WrongSize { wanted, offered });
        }
        self.now.set_size(self.now.size().or(size));
        if tag != 0 {
            self.now.set_tag(tag);
        }
        Ok(self.next())
    }

    /// Whatever becomes of it, it counts as applied from now on.
    pub(super) fn mark_applied(&mut self) {
        if self.now.state() == State::Complete {
            self.now.set_state(State::Applied);
            self.saved = None;
        }
    }

    /// Whether there is something to give up: a target that never took the image keeps what it holds.
    pub(super) fn give_up(&mut self) -> bool {
        let opened = !matches!(self.stage, Stage::Unread | Stage::Head);
        self.restart();
        if opened {
            self.stage = Stage::Aborting;
        }
        opened
    }

    /// To be asked again where things stand.
    pub(super) fn interrupt(&mut self) {
        match self.stage {
            Stage::Interrupted | Stage::Body if self.now.offset() >= HEAD_LEN as u32 => self.stage = Stage::Found,
            Stage::Interrupted | Stage::Body => self.restart(),
            _ => {}
        }
    }

    pub(super) fn restart(&mut self) {
        self.now.set_size(self.size);
        self.now.set_tag(0);
        self.now.set_offset(0);
        self.now.clear_head();
        self.now.set_state(State::Receiving);
        self.saved = None;
        self.next = 0;
        self.stage = Stage::Head;
    }

    pub(super) fn next(&self) -> u32 {
        self.next.max(self.now.head_len())
    }

    pub(super) fn written(&self) -> Written {
        self.written
    }

    pub(super) fn durable(&self) -> u32 {
        self.now.offset()
    }

    pub(super) fn kind(&self) -> Option<ImageKind> {
        (!matches!(self.stage, Stage::Unread | Stage::Head)).then(|| self.now.kind())
    }

    pub(super) fn size(&self) -> Option<u32> {
        self.now.size()
    }

    pub(super) fn is_staged(&self) -> bool {
        self.stage == Stage::Staged
    }

    pub(super) fn attempted(&self) -> bool {
        self.now.state() == State::Applied
    }

    pub(super) fn checked(&self) -> Checked {
        self.checked
    }

    pub(super) fn applied(&self) -> Applied {
        self.applied
    }

    pub(super) fn more_to_prepare(&self) -> bool {
        self.more
    }

    pub(super) fn release(self) -> (T, S) {
        (self.target, self.store)
    }
}
