//! The mechanism below the session's three faces: plain code decides the next step, one loop awaits it.

use super::{Request, SessionError};
use crate::digest::Digest;
use crate::image::{HEAD_LEN, Head, Image, ImageKind, Probe};
use crate::progress::{Progress, ProgressStore, State};
use crate::target::{Applied, Assurance, Checked, DfuTarget, Error, ErrorKind, Proof, Written};

#[derive(Debug)]
pub(super) struct Core<T, S> {
    target: T,
    store: S,
    request: Request,
    /// What is to be stored next.
    now: Progress,
    stage: Stage,
    /// The offset up to which the stored record knows; `None`: it is of something else.
    saved: Option<u32>,
    /// The offset of the byte that is wanted next, beyond the head.
    next: u32,
    rewound: bool,
    more: bool,
    checked: Checked,
    applied: Applied,
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
    /// The head is being collected.
    Head,
    /// The head is whole and its kind known.
    Sniffed,
    /// A record matches; the target is to be asked.
    Found,
    /// The target wants the bytes of the head.
    Opened,
    /// The target wants bytes.
    Body,
    /// A write is under way, failed or was dropped.
    Interrupted,
    /// The target has all of it, says the record.
    Suspected,
    /// The target has all of it: it was read back.
    Staged,
    /// It was applied.
    Applied,
    /// The store was cleared.
    Cleared,
}

/// What to wait for.
enum Step<'a> {
    Load,
    Save,
    Clear,
    Init(u32),
    WriteHead,
    Write(&'a [u8]),
    Prepare,
    Digest,
    Apply(Digest),
    Abort,
    Done,
}

impl<T: DfuTarget, S: ProgressStore> Core<T, S> {
    pub(super) fn new(target: T, store: S, request: Request) -> Self {
        let now = Progress {
            id: request.id,
            kind: ImageKind::Custom(0),
            index: request.index,
            size: request.size,
            identity: target.identity(),
            tag: 0,
            offset: 0,
            head: Head::of(&[]),
            state: State::Receiving,
        };
        Self {
            target,
            store,
            request,
            now,
            stage: Stage::Unread,
            saved: None,
            next: 0,
            rewound: false,
            more: false,
            checked: Checked { digest: Digest([0; 32]), assurance: Assurance::None },
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
        self.rewound = false;
        loop {
            let step = self.step(goal, &mut input)?;
            match step {
                Step::Load => {
                    let found = self.store.load().await;
                    self.loaded(found);
                }
                Step::Save => match self.store.save(&self.now).await {
                    Err(error) if self.saved.is_none() => return Err(SessionError::Store(error)),
                    result => {
                        if result.is_err() {
                            crate::fmt::warning!("progress was not stored: a reset now costs more bytes");
                        }
                        self.saved = Some(self.now.offset);
                    }
                },
                Step::Clear => {
                    self.store.clear().await.map_err(SessionError::Store)?;
                    self.stage = Stage::Cleared;
                }
                Step::Init(resume) => {
                    let Progress { kind, size, index, ref head, .. } = self.now;
                    let image = Image { kind, size, index, head };
                    let wanted = self.target.init(&image, resume).await.map_err(SessionError::Target)?;
                    self.opened(wanted.min(resume));
                }
                Step::Write(_) | Step::WriteHead => {
                    let (bytes, count) = match step {
                        Step::Write(bytes) => (bytes, bytes.len() as u32),
                        // Counted since it was collected.
                        _ => (&*self.now.head, 0),
                    };
                    self.stage = Stage::Interrupted;
                    let written = self.target.write(bytes).await.map_err(SessionError::Target)?;
                    self.stage = Stage::Body;
                    self.took(count, written);
                    if self.rewound {
                        return Ok(());
                    }
                }
                Step::Prepare => {
                    self.more = self.target.prepare().await.map_err(SessionError::Target)?;
                    return Ok(());
                }
                Step::Digest => {
                    let checked = self.target.digest().await;
                    self.read_back(checked)?;
                }
                Step::Apply(digest) => {
                    self.applied = self.target.apply(Proof::of(digest)).await.map_err(SessionError::Target)?;
                    self.stage = Stage::Applied;
                }
                Step::Abort => {
                    self.target.abort().await.map_err(SessionError::Target)?;
                    self.restart();
                    return Ok(());
                }
                Step::Done => return Ok(()),
            }
        }
    }

    /// Decides; does no I/O.
    fn step<'a>(&mut self, goal: Goal, input: &mut &'a [u8]) -> Result<Step<'a>, SessionError<T::Error>> {
        Ok(match (goal, self.stage) {
            (Goal::Begin, Stage::Unread) => Step::Load,
            (Goal::Begin, Stage::Found) => Step::Init(self.now.offset),
            (Goal::Begin, Stage::Suspected) => Step::Digest,
            (Goal::Begin, _) => Step::Done,

            (Goal::Abort, Stage::Cleared) => Step::Abort,
            (Goal::Abort, _) => Step::Clear,

            // What is stored of another image is forgotten before the first erase.
            (Goal::Prepare | Goal::Feed | Goal::Finish, Stage::Opened | Stage::Body) if self.saved.is_none() => Step::Save,
            (Goal::Prepare, Stage::Opened | Stage::Body) => Step::Prepare,
            (Goal::Prepare, _) => {
                self.more = false;
                Step::Done
            }

            (Goal::Feed | Goal::Finish, Stage::Head) => self.collect(goal == Goal::Finish, input)?,
            (Goal::Feed | Goal::Finish, Stage::Sniffed) => Step::Init(0),
            (Goal::Feed | Goal::Finish, Stage::Opened) => Step::WriteHead,
            (Goal::Feed | Goal::Finish, Stage::Body) => self.feed(goal == Goal::Finish, input)?,

            (Goal::Finish | Goal::Apply, Stage::Staged) => match self.now.state {
                State::Complete(digest) if goal == Goal::Apply => {
                    self.now.state = State::Applied(digest);
                    self.saved = None;
                    Step::Save
                }
                _ if self.saved.is_none() => Step::Save,
                State::Applied(digest) if goal == Goal::Apply => Step::Apply(digest),
                _ => Step::Done,
            },
            (Goal::Apply, Stage::Applied) => Step::Done,
            (Goal::Feed | Goal::Finish | Goal::Apply, _) => return Err(SessionError::Interrupted),
        })
    }

    /// Collects the head and tells what it is.
    fn collect<'a>(&mut self, last: bool, input: &mut &'a [u8]) -> Result<Step<'a>, SessionError<T::Error>> {
        self.refuse_too_long(input)?;
        *input = self.now.head.take(input);
        let have = self.now.head.len();
        if have < HEAD_LEN && self.now.size != Some(have as u32) && !last {
            return Ok(Step::Done);
        }
        match self.target.probe(&self.now.head, self.now.index) {
            Probe::Taken(kind) => self.now.kind = kind,
            Probe::Refused(Some(kind)) => return Err(SessionError::NotTaken(kind)),
            Probe::Refused(None) => return Err(SessionError::Unknown),
        }
        self.stage = Stage::Sniffed;
        Ok(Step::Init(0))
    }

    /// Hands on the next piece, or ends the stream.
    fn feed<'a>(&mut self, last: bool, input: &mut &'a [u8]) -> Result<Step<'a>, SessionError<T::Error>> {
        self.refuse_too_long(input)?;
        let every = self.request.save_every.max(1);
        if self.now.offset.saturating_sub(self.saved.unwrap_or(0)) >= every {
            return Ok(Step::Save);
        }
        if input.is_empty() {
            return match self.now.size {
                _ if !last => Ok(Step::Done),
                Some(size) if size != self.next => Err(SessionError::Incomplete { have: self.next, size }),
                _ => Ok(Step::Digest),
            };
        }
        let (piece, rest) = input.split_at_checked(every as usize).unwrap_or((input, &[]));
        *input = rest;
        Ok(Step::Write(piece))
    }

    fn refuse_too_long(&self, input: &[u8]) -> Result<(), SessionError<T::Error>> {
        match self.now.size {
            Some(size) if input.len() > size.saturating_sub(self.next()) as usize => Err(SessionError::TooLong { size }),
            _ => Ok(()),
        }
    }

    fn loaded(&mut self, found: Option<Progress>) {
        self.stage = Stage::Head;
        let Some(found) = found else { return };
        let digest = match found.state {
            // Less than the head is not worth going on with.
            State::Receiving if found.offset < HEAD_LEN as u32 => return,
            State::Receiving => None,
            State::Complete(digest) | State::Applied(digest) => Some(digest),
        };
        if found.id == self.now.id
            && found.index == self.now.index
            && found.identity == self.now.identity
            && (self.now.size.is_none() || found.size == self.now.size)
            && (digest.is_none() || self.request.digest.is_none() || digest == self.request.digest)
            && self.target.accepts(found.kind, found.index)
        {
            self.saved = Some(found.offset);
            self.now = found;
            self.stage = Stage::Found;
        }
    }

    fn opened(&mut self, wanted: u32) {
        if self.stage == Stage::Sniffed {
            self.next = self.now.head.len() as u32;
            self.stage = Stage::Opened;
        } else if wanted == self.now.offset && self.now.state != State::Receiving {
            self.next = wanted;
            self.stage = Stage::Suspected;
        } else {
            self.rewind(wanted);
        }
    }

    fn took(&mut self, count: u32, written: Written) {
        self.next = self.next.saturating_add(count);
        match written {
            Written::Committed(durable) => self.now.offset = durable.min(self.next),
            Written::Rewind(wanted) => {
                self.rewind(wanted.min(self.next));
                self.rewound = true;
            }
        }
    }

    /// Goes on from an offset of before, which is stored before anything is erased.
    fn rewind(&mut self, wanted: u32) {
        if wanted < HEAD_LEN as u32 {
            self.restart();
            return;
        }
        if wanted < self.now.offset || self.now.state != State::Receiving {
            self.saved = None;
        }
        self.now.state = State::Receiving;
        self.now.offset = wanted;
        self.next = wanted;
        self.stage = Stage::Body;
    }

    fn read_back(&mut self, result: Result<Checked, T::Error>) -> Result<(), SessionError<T::Error>> {
        let suspected = self.stage == Stage::Suspected;
        match (result, self.now.state) {
            (Ok(checked), State::Complete(digest) | State::Applied(digest)) if checked.digest == digest => {
                self.checked = checked;
            }
            (Ok(checked), State::Receiving) => {
                self.checked = checked;
                self.now.state = State::Complete(checked.digest);
                self.now.size = Some(self.next);
                self.now.offset = self.next;
                self.saved = None;
            }
            (Err(error), _) if !suspected || matches!(error.kind(), ErrorKind::Storage | ErrorKind::Busy) => {
                return Err(SessionError::Target(error));
            }
            // It is not what the record tells of: after a swap, the slot holds the old image.
            _ => {
                self.restart();
                return Ok(());
            }
        }
        self.stage = Stage::Staged;
        Ok(())
    }

    pub(super) fn agree(&mut self, size: Option<u32>, tag: u32) -> Result<u32, SessionError<T::Error>> {
        let differ = |known: Option<u32>| known.zip(size).filter(|(known, offered)| known != offered);
        let same_file = match (self.now.tag, tag) {
            _ if self.next() == 0 => true,
            (0, _) | (_, 0) => self.request.digest.is_some(),
            (known, tag) => known == tag,
        };
        if differ(self.now.size).is_some() || !same_file {
            self.restart();
        }
        if let Some((wanted, offered)) = differ(self.now.size) {
            return Err(SessionError::WrongSize { wanted, offered });
        }
        self.now.size = self.now.size.or(size);
        if tag != 0 {
            self.now.tag = tag;
        }
        Ok(self.next())
    }

    /// To be asked again where things stand.
    pub(super) fn interrupt(&mut self) {
        match self.stage {
            Stage::Interrupted | Stage::Opened | Stage::Body if self.now.offset >= HEAD_LEN as u32 => {
                self.stage = Stage::Found;
            }
            Stage::Interrupted | Stage::Opened | Stage::Body | Stage::Cleared => self.restart(),
            _ => {}
        }
    }

    pub(super) fn restart(&mut self) {
        self.now.size = self.request.size;
        self.now.tag = 0;
        self.now.offset = 0;
        self.now.head.clear();
        self.now.state = State::Receiving;
        self.saved = None;
        self.next = 0;
        self.stage = Stage::Head;
    }

    pub(super) fn next(&self) -> u32 {
        match self.stage {
            Stage::Unread | Stage::Head | Stage::Sniffed => self.now.head.len() as u32,
            _ => self.next,
        }
    }

    pub(super) fn written(&self) -> Written {
        if self.rewound { Written::Rewind(self.next()) } else { Written::Committed(self.now.offset) }
    }

    pub(super) fn durable(&self) -> u32 {
        self.now.offset
    }

    pub(super) fn kind(&self) -> Option<ImageKind> {
        (!matches!(self.stage, Stage::Unread | Stage::Head)).then_some(self.now.kind)
    }

    pub(super) fn size(&self) -> Option<u32> {
        self.now.size
    }

    pub(super) fn is_staged(&self) -> bool {
        self.stage == Stage::Staged
    }

    pub(super) fn attempted(&self) -> bool {
        matches!(self.now.state, State::Applied(_))
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
