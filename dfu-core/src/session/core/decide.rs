//! What to do next, and what follows from what was done. No I/O.

use super::{Core, Goal, NOTHING, Stage, Step};
use crate::image::{HEAD_LEN, Probe};
use crate::progress::{Progress, ProgressStore, State, StoreError};
use crate::session::SessionError;
use crate::target::{DfuTarget, Error, ErrorKind, Proof, Written};

impl<T: DfuTarget, S: ProgressStore> Core<T, S> {
    /// Refuses what is too long. Returns how many plain bytes are left behind a write of plain ones; 0: it is none.
    pub(super) fn start(&mut self, input: &[u8]) -> Result<u32, SessionError<T::Error>> {
        let plain = core::mem::take(&mut self.plain).saturating_sub(u32::try_from(input.len()).unwrap_or(u32::MAX));
        if plain > 0 && !input.is_empty() {
            return Ok(plain);
        }
        self.written = Written::Committed(self.now.offset());
        self.more = false;
        // No image has 4 GiB.
        let size = self.now.end();
        let fits = input.len() <= size.saturating_sub(self.next()) as usize;
        if fits { Ok(0) } else { Err(SessionError::TooLong { size }) }
    }

    /// Takes bytes for which the target need not be waited for. Whether it took them; else nothing has changed.
    pub(in crate::session) fn take(&mut self, bytes: &[u8]) -> bool {
        let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let taken = count < self.plain && self.target.take(bytes);
        if taken {
            self.plain = self.plain.wrapping_sub(count);
            self.next = self.next.wrapping_add(count);
        }
        taken
    }

    /// Decides; does no I/O.
    pub(super) fn step<'a>(&mut self, goal: Goal, input: &mut &'a [u8]) -> Result<Step<'a>, SessionError<T::Error>> {
        // Progress is stored where a whole number of pieces lies behind, so that it falls on the target's blocks.
        let beyond_grid = self.next.checked_rem(self.save_every).unwrap_or(0);
        let unsaved = self.saved == NOTHING || self.saved != self.now.offset() && beyond_grid == 0;
        Ok(match (self.stage, goal) {
            (Stage::Unread, Goal::Begin) => Step::Load,
            (Stage::Found, Goal::Begin) => Step::Init,
            (Stage::Suspected, Goal::Begin) => Step::Digest,
            (Stage::Head, Goal::Begin) if self.rejected() && self.digest.is_some() => {
                return Err(SessionError::Rejected);
            }
            (_, Goal::Begin) => Step::Done,
            (Stage::Head, Goal::Feed | Goal::Finish) => self.collect(goal, input)?,
            // What is stored of another image is forgotten before the first erase.
            (Stage::Body, Goal::Prepare | Goal::Feed | Goal::Finish) if unsaved => Step::Save,
            (Stage::Staged, Goal::Finish | Goal::Apply) | (_, Goal::Abort) if unsaved => Step::Save,
            (Stage::Body, Goal::Prepare) => Step::Prepare,
            (Stage::Staged, Goal::Finish) | (_, Goal::Prepare) => Step::Done,
            (Stage::Staged, Goal::Apply) => Step::Apply,
            (_, Goal::Abort) => Step::Abort,
            (Stage::Body, Goal::Feed | Goal::Finish) if self.next == 0 => {
                self.stage = Stage::Interrupted;
                Step::WriteHead
            }
            (Stage::Body, Goal::Feed | Goal::Finish) if !input.is_empty() => {
                let len = self.save_every.wrapping_sub(beyond_grid) as usize;
                let (piece, rest) = input.split_at_checked(len.min(input.len())).unwrap_or_default();
                *input = rest;
                self.feed(piece)
            }
            (Stage::Body, Goal::Feed) => {
                let missing = self.now.end().wrapping_sub(self.next);
                self.plain = self.save_every.wrapping_sub(beyond_grid).min(missing);
                Step::Done
            }
            (Stage::Body, Goal::Finish) => match self.now.size() {
                Some(size) if size != self.next => return Err(SessionError::Incomplete { have: self.next, size }),
                _ => Step::Digest,
            },
            (_, Goal::Feed | Goal::Finish | Goal::Apply) => return Err(SessionError::Interrupted),
        })
    }

    /// Has the target write a piece.
    pub(super) fn feed<'a>(&mut self, piece: &'a [u8]) -> Step<'a> {
        self.stage = Stage::Interrupted;
        Step::Write(piece)
    }

    /// Collects the head and tells what it is.
    fn collect<'a>(&mut self, goal: Goal, input: &mut &'a [u8]) -> Result<Step<'a>, SessionError<T::Error>> {
        *input = self.now.take_head(input);
        let have = self.now.head_len();
        if have < HEAD_LEN as u32 && self.now.end() != have {
            match self.now.size() {
                _ if goal == Goal::Feed => return Ok(Step::Done),
                Some(size) => return Err(SessionError::Incomplete { have, size }),
                None => {}
            }
        }
        match self.target.probe(self.now.head(), self.now.index()) {
            Probe::Taken(kind) => {
                self.now.set_kind(kind);
                self.now.set_identity(self.target.identity(kind, self.now.index()));
            }
            Probe::Refused(Some(kind)) => return Err(SessionError::NotTaken(kind)),
            Probe::Refused(None) => return Err(SessionError::Unknown),
        }
        Ok(Step::Init)
    }

    /// Takes what the store knows.
    #[inline(never)] // Less code than inside the state machine that calls it.
    pub(super) fn loaded(&mut self, found: &Progress) {
        self.now.set_identity(self.target.identity(found.kind(), self.now.index()));
        if !found.is_of_same(&self.now) {
            return;
        }
        self.now = found.clone();
        let same_digest = self.digest.as_ref().is_none_or(|wanted| self.now.has_digest(wanted));
        if self.continues(same_digest) {
            self.stage = Stage::Found;
            self.saved = self.now.offset();
            return;
        }
        if !same_digest {
            self.now.clear_attempts();
        }
        self.anew();
    }

    /// From zero on; what came in vain is remembered.
    fn anew(&mut self) {
        self.tag_in_vain = self.now.tag();
        self.restart();
    }

    /// Whether it was fetched in vain as often as the request bears.
    fn rejected(&self) -> bool {
        self.now.attempts() >= self.attempts
    }

    /// What follows from storing the progress. Where nothing depends on it, a failure only costs bytes after a reset.
    pub(super) fn stored(&mut self, result: Result<(), StoreError>) -> Result<(), SessionError<T::Error>> {
        if let Err(error) = result {
            if self.saved == NOTHING {
                return Err(SessionError::Store(error));
            }
            crate::fmt::warning!("progress was not stored: a reset now costs more bytes");
        }
        self.saved = self.now.offset();
        Ok(())
    }

    /// Whether what was stored is worth going on with.
    fn continues(&self, same_digest: bool) -> bool {
        let now = &self.now;
        let right = match now.state() {
            State::Receiving => now.offset() >= HEAD_LEN as u32,
            _ => same_digest,
        };
        right
            && (self.end == NOTHING || self.end == now.end())
            && now.offset() <= now.end()
            && self.target.accepts(now.kind(), now.index())
    }

    /// Whether to go on from zero after an error of the target.
    pub(super) fn forgives(&mut self, error: &T::Error) -> bool {
        let other = matches!(self.stage, Stage::Found | Stage::Suspected)
            && !matches!(error.kind(), ErrorKind::Storage | ErrorKind::Busy | ErrorKind::Pending);
        if other {
            self.lost();
        }
        other
    }

    /// It is not there what the record tells of: after a swap, the slot holds the old image.
    #[inline(never)]
    fn lost(&mut self) {
        self.anew();
        self.now.count_attempt();
    }

    /// What follows from a step of the target; `true`: the goal is reached.
    pub(super) fn done(&mut self, step: Step<'_>) -> bool {
        match step {
            Step::Init => {
                let wanted = self.next.min(self.now.offset());
                if self.stage == Stage::Head {
                    self.stage = Stage::Body;
                } else if wanted == self.now.offset() && self.now.state() != State::Receiving {
                    self.stage = Stage::Suspected;
                } else {
                    self.keep();
                    self.rewind(wanted);
                }
            }
            Step::WriteHead => self.took(self.now.head_len()),
            Step::Write(bytes) => self.took(bytes.len() as u32),
            Step::Digest => {
                let digest = &self.checked.digest;
                self.stage = Stage::Staged;
                self.proof = Proof::of(*digest);
                if self.now.state() == State::Receiving {
                    self.now.set_state(State::Complete);
                    self.now.keep(&digest.0);
                    self.now.set_end(self.next);
                    self.now.set_offset(self.next);
                    self.saved = NOTHING;
                } else if !self.now.has_digest(digest) {
                    self.lost();
                }
            }
            Step::Abort => {
                self.stage = Stage::Head;
                self.held = false;
                self.now.set_tag(0);
                return true;
            }
            _ => return true,
        }
        matches!(self.written, Written::Rewind(_))
    }

    fn took(&mut self, count: u32) {
        self.stage = Stage::Body;
        // No target takes more than 4 GiB.
        self.next = self.next.wrapping_add(count);
        match &mut self.written {
            Written::Committed(durable) => {
                *durable = self.next.min(*durable);
                self.now.set_offset(*durable);
                self.keep();
            }
            Written::Rewind(wanted) => {
                let wanted = self.next.min(*wanted);
                self.rewind(wanted);
                self.written = Written::Rewind(self.next);
            }
        }
    }

    /// What goes with the offset.
    fn keep(&mut self) {
        if let Some(kept) = self.target.keep() {
            self.now.keep(kept);
        }
    }

    /// Goes on from an offset of before, which is stored before anything is erased.
    fn rewind(&mut self, wanted: u32) {
        if wanted < HEAD_LEN as u32 {
            self.restart();
            return;
        }
        if wanted < self.now.offset() || self.now.state() != State::Receiving {
            self.saved = NOTHING;
        }
        self.now.set_state(State::Receiving);
        self.now.set_offset(wanted);
        self.next = wanted;
        self.stage = Stage::Body;
    }

    pub(in crate::session) fn agree(&mut self, size: Option<u32>, tag: u32) -> Result<u32, SessionError<T::Error>> {
        let same_file = match (self.now.tag(), tag) {
            _ if self.next() == 0 => true,
            (0, _) | (_, 0) => self.digest.is_some(),
            (known, tag) => known == tag,
        };
        if self.next() == 0 {
            // What another answer said of a file is not of this one.
            self.now.set_end(self.end);
            if self.digest.is_none() && self.tag_in_vain != 0 && tag != 0 {
                if self.tag_in_vain != tag {
                    self.now.clear_attempts();
                }
                if self.rejected() {
                    return Err(SessionError::Rejected);
                }
            }
        }
        let shorter = size.is_some_and(|size| size < self.next());
        if !same_file || shorter || self.other_size(size).is_some() {
            self.start_over();
        }
        if let Some((wanted, offered)) = self.other_size(size) {
            return Err(SessionError::WrongSize { wanted, offered });
        }
        self.now.set_size(self.now.size().or(size));
        self.plain = 0;
        if tag != 0 {
            self.now.set_tag(tag);
        }
        Ok(self.next())
    }

    /// The size that is wanted and the one that is offered, where they differ.
    fn other_size(&self, offered: Option<u32>) -> Option<(u32, u32)> {
        self.now.size().zip(offered).filter(|(wanted, offered)| wanted != offered)
    }

    /// Whatever becomes of it, it counts as applied from now on.
    pub(in crate::session) fn mark_applied(&mut self) {
        if self.now.state() == State::Complete {
            self.now.set_state(State::Applied);
            self.saved = NOTHING;
        }
    }

    /// Whether there is something to give up: a target that never took the image keeps what it holds.
    pub(in crate::session) fn give_up(&mut self) -> bool {
        self.start_over();
        if self.held {
            self.stage = Stage::Aborting;
            // For the record alone.
            self.now.set_tag(self.tag_in_vain);
        }
        self.held
    }

    /// The same, and it counts as in vain.
    pub(in crate::session) fn reject(&mut self) -> bool {
        self.now.count_attempt();
        self.tag_in_vain = self.now.tag();
        self.give_up()
    }

    /// To be asked again where things stand, by the goal that is returned: what is being given up is given up.
    pub(in crate::session) fn interrupt(&mut self) -> Goal {
        self.plain = 0;
        match self.stage {
            Stage::Aborting => return Goal::Abort,
            Stage::Interrupted | Stage::Body if self.now.offset() >= HEAD_LEN as u32 => self.stage = Stage::Found,
            Stage::Interrupted | Stage::Body => self.start_over(),
            _ => {}
        }
        Goal::Begin
    }

    /// From zero on, as the caller wants it.
    pub(in crate::session) fn start_over(&mut self) {
        self.held |= !matches!(self.stage, Stage::Unread | Stage::Head);
        self.restart();
    }

    #[inline(never)]
    pub(in crate::session) fn restart(&mut self) {
        self.now.set_end(self.end);
        self.now.set_tag(0);
        self.now.set_offset(0);
        self.now.clear_head();
        self.now.set_state(State::Receiving);
        // What came in vain is told by it.
        if let Some(wanted) = &self.digest {
            self.now.keep(&wanted.0);
        }
        self.saved = NOTHING;
        self.next = 0;
        self.plain = 0;
        self.stage = Stage::Head;
    }
}
