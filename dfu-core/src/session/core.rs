//! The mechanism below the session's three faces: plain code decides the next step, one loop awaits it.

mod decide;

use super::{Request, SessionError};
use crate::digest::Digest;
use crate::image::{Image, ImageKind};
use crate::progress::{Progress, ProgressStore, State, StoreCall};
use crate::target::{Applied, Assurance, Call, Checked, DfuTarget, ErrorType, Proof, Written};

#[derive(Debug)]
#[repr(C)] // The large ones last: small offsets make short instructions.
pub(super) struct Core<T, S> {
    stage: Stage,
    /// How often the image may be fetched in vain, and the tag of the file that was; 0: it had none.
    attempts: u8,
    tag_in_vain: u32,
    /// The offset up to which the stored record knows; [`NOTHING`]: it is of something else.
    saved: u32,
    /// How far the target took the image; the head is collected before.
    next: u32,
    more: bool,
    /// The target took the image before the caller started over, and was not asked to drop it since.
    held: bool,
    applied: Applied,
    written: Written,
    /// What the request says: the size, the largest number where it is not known; how often to store progress.
    end: u32,
    save_every: u32,
    /// Fewer bytes than this may come next without a look at anything but the target: 0 unless the last call was a
    /// write that went well.
    plain: u32,
    /// What is to be stored next.
    now: Progress,
    checked: Checked,
    proof: Proof,
    digest: Option<Digest>,
    store: S,
    target: T,
}

/// An offset that is none: no image has 4 GiB.
const NOTHING: u32 = u32::MAX;

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

/// What a call was made on, and how it went.
pub(super) type Outcome<'c, T, S> = (&'c mut Core<T, S>, Result<(), SessionError<<T as ErrorType>::Error>>);

impl<T: DfuTarget, S: ProgressStore> Core<T, S> {
    pub(super) fn new(target: T, store: S, request: Request) -> Self {
        let Request { progress: now, save_every, attempts, digest } = request;
        Self {
            target,
            store,
            end: now.end(),
            now,
            save_every,
            attempts,
            tag_in_vain: 0,
            digest,
            stage: Stage::Unread,
            saved: NOTHING,
            next: 0,
            plain: 0,
            written: Written::Committed(0),
            more: false,
            held: false,
            checked: Checked { digest: Digest([0; 32]), assurance: Assurance::None },
            proof: Proof::of(Digest([0; 32])),
            applied: Applied::AtReset,
        }
    }

    /// As after a reset, but for what the request says.
    pub(super) fn reread(&mut self) {
        self.restart();
        self.now.clear_attempts();
        self.stage = Stage::Unread;
    }

    /// The one loop that awaits. Gives itself back, for what follows from it.
    #[allow(clippy::manual_async_fn)] // An `async fn` keeps its arguments twice.
    pub(super) fn run<'c>(&'c mut self, goal: Goal, mut input: &'c [u8]) -> impl Future<Output = Outcome<'c, T, S>> {
        async move {
            let plain = match self.start(input) {
                Ok(plain) => plain,
                Err(error) => return (self, Err(error)),
            };
            loop {
                let step = if plain > 0 {
                    self.feed(input)
                } else {
                    match self.step(goal, &mut input) {
                        Ok(step) => step,
                        Err(error) => return (self, Err(error)),
                    }
                };
                let image;
                let call = match step {
                    Step::Load | Step::Save => {
                        let mut found = None;
                        let loads = matches!(step, Step::Load);
                        let call = if loads { StoreCall::Load(&mut found) } else { StoreCall::Save(&self.now) };
                        let result = self.store.call(call).await;
                        if loads {
                            self.stage = Stage::Head;
                            // What a store found before it failed may be older than its last record.
                            if let (Ok(()), Some(found)) = (result, &found) {
                                self.loaded(found);
                            }
                        } else if let Err(error) = self.stored(result) {
                            return (self, Err(error));
                        }
                        continue;
                    }
                    Step::Init => {
                        let now = &self.now;
                        image = Image {
                            kind: now.kind(),
                            size: now.size(),
                            index: now.index(),
                            head: now.head(),
                            kept: now.kept(),
                        };
                        self.next = now.offset();
                        Call::Init(&image, &mut self.next)
                    }
                    Step::WriteHead => Call::Write(self.now.head(), &mut self.written),
                    Step::Write(bytes) => Call::Write(bytes, &mut self.written),
                    Step::Prepare => Call::Prepare(&mut self.more),
                    Step::Digest => Call::Digest(&mut self.checked),
                    Step::Apply => Call::Apply(&self.proof, &mut self.applied),
                    Step::Abort => Call::Abort,
                    Step::Done => return (self, Ok(())),
                };
                match self.target.call(call).await {
                    Ok(()) if self.done(step) => return (self, Ok(())),
                    Ok(()) if plain > 0 => {
                        self.plain = plain;
                        return (self, Ok(()));
                    }
                    Err(error) if !self.forgives(&error) => return (self, Err(SessionError::Target(error))),
                    _ => {}
                }
            }
        }
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

    pub(super) fn attempts(&self) -> u8 {
        self.now.attempts()
    }

    pub(super) fn attempted(&self) -> bool {
        self.now.state() == State::Applied
    }

    pub(super) fn checked(&self) -> &Checked {
        &self.checked
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
