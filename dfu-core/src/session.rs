//! One update, from the first byte to the request to run it.
//!
//! ```text
//!  begin ─► Session ──finish──► Staged ──verify──► Verified ──apply──► Applied ─► reset ─► self-test ─► confirm
//!    │        │  ▲ write,         ▲
//!    │        └──┘ resume         │  all of it is stored already: not a byte is fetched
//!    └────────────────────────────┘
//! ```
//!
//! A call decides what it can at once, and does its I/O when its future is polled. A future that was never polled is as
//! one that was dropped at its first wait.

mod core;
mod error;
mod request;

pub use error::{Failed, SessionError};
pub use request::Request;

use self::core::{Core, Goal};
use crate::digest::Digest;
use crate::image::ImageKind;
use crate::progress::ProgressStore;
use crate::target::{Applied, Checked, DfuTarget, Written};
use crate::then::then;

/// One update: a target, a store and what is wanted. It holds all state; the faces below are views of it, so
/// that an error never loses the target or the store.
#[derive(Debug)]
pub struct Update<T, S>(Core<T, S>);

/// An update that receives its bytes, from whoever pushes or pulls them.
///
/// # Power and cancellation
///
/// After a power cut, [`Update::begin`] takes up what is stored. After an error or a dropped future,
/// [`resume`](Self::resume) does so without a reset; [`offset`](Self::offset) tells which byte is wanted next.
#[derive(Debug)]
pub struct Session<'u, T, S>(&'u mut Core<T, S>);

/// An update that is stored whole and was read back. Next: compare it with what it should be.
#[derive(Debug)]
#[must_use = "the image is stored, and nothing will run it before `verify` and `apply`"]
pub struct Staged<'u, T, S>(&'u mut Core<T, S>);

/// An update that is what it should be. Next: ask for it to be run.
#[derive(Debug)]
#[must_use = "the image is verified, and nothing will run it before `apply`"]
pub struct Verified<'u, T, S>(&'u mut Core<T, S>);

/// A call of a [`Session`] as a value, for [`Session::call`].
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// [`Session::resume`].
    Resume,
    /// [`Session::write`], by the way of large pieces.
    Write(&'a [u8]),
    /// [`Session::prepare`]; whether more is left, [`Session::more_to_prepare`] tells.
    Prepare,
}

/// Where an update stands when it begins.
#[derive(Debug)]
pub enum Begun<'u, T, S> {
    /// Bytes are wanted, from [`Session::offset`] on.
    Receiving(Session<'u, T, S>),
    /// All of it was stored before; not a byte is needed.
    Staged(Staged<'u, T, S>),
}

impl<T: DfuTarget, S: ProgressStore> Update<T, S> {
    /// The update that `request` names. Lend the target and the store (`&mut`) to keep them afterwards.
    pub fn new(target: T, store: S, request: Request) -> Self {
        Self(Core::new(target, store, request))
    }

    /// Begins the update, or goes on with it.
    ///
    /// What is stored counts only if the caller's id, the size, the kind, the index and the target's identity
    /// all match; else the session starts from zero. Nothing is written or erased before the first bytes have
    /// been accepted by the target. Legal to repeat: what is stored is looked at again.
    ///
    /// A record that the store cannot read counts for nothing, also where it is busy for a moment: a flash that others
    /// use at the same time is for [`Shared::waiting`](crate::flash::Shared::waiting).
    pub fn begin(&mut self) -> impl Future<Output = Result<Begun<'_, T, S>, SessionError<T::Error>>> {
        self.0.reread();
        then(self.0.run(Goal::Begin, &[]), |(core, result)| {
            result
                .map(|()| if core.is_staged() { Begun::Staged(Staged(core)) } else { Begun::Receiving(Session(core)) })
        })
    }

    /// Gives the target and the store back. What is stored stays, to be taken up later.
    pub fn release(self) -> (T, S) {
        self.0.release()
    }
}

#[allow(clippy::type_complexity)] // The type says what a failure leaves in the caller's hands.
impl<'u, T: DfuTarget, S: ProgressStore> Session<'u, T, S> {
    /// The offset of the byte that is wanted next.
    pub fn offset(&self) -> u32 {
        self.0.next()
    }

    /// All bytes before this offset survive a power cut; a resume asks for bytes from here or somewhat earlier.
    pub fn durable(&self) -> u32 {
        self.0.durable()
    }

    /// What the image is, once its first bytes were accepted.
    pub fn kind(&self) -> Option<ImageKind> {
        self.0.kind()
    }

    /// The image's length in bytes, once known.
    pub fn size(&self) -> Option<u32> {
        self.0.size()
    }

    /// How often this image was fetched in vain: see [`reject`](Self::reject).
    pub fn attempts(&self) -> u8 {
        self.0.attempts()
    }

    /// Takes what a source says of its file: its size, and a tag of its validator (0: it has none). Returns the
    /// offset from which bytes are wanted: that of before, or 0 when this is not, or may not be, the file whose
    /// beginning is stored, or is shorter than that. Without a tag on both sides only a request that carries the digest
    /// goes on.
    pub fn agree(&mut self, size: Option<u32>, tag: u32) -> Result<u32, SessionError<T::Error>> {
        self.0.agree(size, tag)
    }

    /// Takes the bytes at [`offset`](Self::offset).
    ///
    /// A refused image, known by its first 64 bytes, costs no write and no erase. After
    /// [`Written::Rewind`] the bytes from that offset on are wanted once more. A small piece that
    /// [`DfuTarget::take`] keeps in RAM costs little more than a copy, and is safe when the target's buffer is
    /// written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<Written, SessionError<T::Error>> {
        if !self.0.take(bytes) {
            self.call(Call::Write(bytes)).await?;
        }
        Ok(self.0.written())
    }

    /// Takes bytes that belong at `offset`, for transports that number their blocks: what came before already is
    /// left out, so a block may be sent twice; a gap is [`SessionError::Gap`].
    pub async fn write_at(&mut self, offset: u32, bytes: &[u8]) -> Result<Written, SessionError<T::Error>> {
        let wanted = self.0.next();
        let Some(known) = wanted.checked_sub(offset) else { return Err(SessionError::Gap { wanted, offset }) };
        self.write(bytes.get(known as usize..).unwrap_or(&[])).await
    }

    /// Does one piece of work ahead of the next bytes; `true`: more is left. For the time in which the network is
    /// waited for. Dropping it costs the time spent and nothing else.
    pub fn prepare(&mut self) -> impl Future<Output = Result<bool, SessionError<T::Error>>> {
        then(self.0.run(Goal::Prepare, &[]), |(core, result)| result.map(|()| core.more_to_prepare()))
    }

    /// Whether the last [`prepare`](Self::prepare) left something to do.
    pub fn more_to_prepare(&self) -> bool {
        self.0.more_to_prepare()
    }

    /// Goes back to what is safe after an error or a dropped future; returns the offset that is wanted next. What was
    /// being given up is given up first.
    pub fn resume(&mut self) -> impl Future<Output = Result<u32, SessionError<T::Error>>> {
        let goal = self.0.interrupt();
        then(self.0.run(goal, &[]), |(core, result)| result.map(|()| core.next()))
    }

    /// Does what `call` says, by one place that waits, which is less code than three. How it went,
    /// [`offset`](Self::offset) tells: it is less than what was written after a [`Written::Rewind`].
    pub fn call<'c>(&'c mut self, call: Call<'c>) -> impl Future<Output = Result<(), SessionError<T::Error>>> {
        let (goal, bytes) = match call {
            Call::Resume => (self.0.interrupt(), &[][..]),
            Call::Write(bytes) => (Goal::Feed, bytes),
            Call::Prepare => (Goal::Prepare, &[][..]),
        };
        then(self.0.run(goal, bytes), |(_, result)| result)
    }

    /// Starts over from zero. Does no I/O: what is stored is dropped when the first bytes have been accepted.
    pub fn restart(&mut self) {
        self.0.start_over();
    }

    /// Ends the stream: stores what is left, reads the image back, has the target check it by its own rules.
    ///
    /// A refusal here may be the flash's fault: a bit that is stored wrong can read as a reason to refuse. The record
    /// still promises what is stored: [`reject`](Self::reject) or [`restart`](Self::restart) before the next attempt.
    pub fn finish(self) -> impl Future<Output = Result<Staged<'u, T, S>, Failed<Self, SessionError<T::Error>>>> {
        then(self.0.run(Goal::Finish, &[]), |(core, result)| match result {
            Ok(()) => Ok(Staged(core)),
            Err(error) => Err(Failed::new(Self(core), error)),
        })
    }

    /// Gives the update up: forgets the progress, then drops what the target stores of it, also where it was started
    /// over since, and nothing else that it may hold. The session then stands at zero. Legal to repeat after a failure.
    pub fn abort(&mut self) -> impl Future<Output = Result<(), SessionError<T::Error>>> {
        let opened = self.0.give_up();
        self.drop_stored(opened)
    }

    /// Gives up an image that [`finish`](Self::finish) or [`Staged::verify`] did not find to be right: as
    /// [`abort`](Self::abort), and the store remembers that it was fetched in vain. Once that is so
    /// [`Request::attempts`] times, [`Update::begin`] is [`SessionError::Rejected`], or, where the request does not
    /// carry the digest, [`agree`](Self::agree) with a file of the same tag. The count is of the last image only, and is
    /// stored first: after a failure, `abort` does the rest.
    pub fn reject(&mut self) -> impl Future<Output = Result<(), SessionError<T::Error>>> {
        let opened = self.0.reject();
        self.drop_stored(opened)
    }

    /// Goes on with giving it up; a target that never took it has nothing to drop.
    fn drop_stored(&mut self, opened: bool) -> impl Future<Output = Result<(), SessionError<T::Error>>> {
        let goal = if opened { Goal::Abort } else { Goal::Prepare };
        then(self.0.run(goal, &[]), |(_, result)| result)
    }
}

#[allow(clippy::type_complexity)] // The type says what a failure leaves in the caller's hands.
impl<'u, T: DfuTarget, S: ProgressStore> Staged<'u, T, S> {
    /// What the target found when it read the image back.
    pub fn checked(&self) -> Checked {
        *self.0.checked()
    }

    /// Whether this very image was applied before, or was about to be, and lies there still. Either it ran and came
    /// back, and applying it again for ever would be a boot loop; or the power failed before it could run. The
    /// bootloader knows which: with MCUboot, `Running::state` is `Reverted` in the first case.
    pub fn attempted(&self) -> bool {
        self.0.attempted()
    }

    /// Goes on if the image is the one with this digest.
    pub fn verify(self, expected: &Digest) -> Result<Verified<'u, T, S>, Failed<Self, SessionError<T::Error>>> {
        match self.0.checked().matches(expected) {
            Some(_) => Ok(Verified(self.0)),
            None => Err(Failed::new(self, SessionError::Mismatch)),
        }
    }

    /// Goes on if the target could check the image by what it carries: its hash, or its signature.
    pub fn verify_self(self) -> Result<Verified<'u, T, S>, Failed<Self, SessionError<T::Error>>> {
        match self.0.checked().assured() {
            Ok(_) => Ok(Verified(self.0)),
            Err(_) => Err(Failed::new(self, SessionError::NotAssured)),
        }
    }

    /// Goes back to receiving, to start over or abort.
    pub fn into_session(self) -> Session<'u, T, S> {
        Session(self.0)
    }
}

impl<'u, T: DfuTarget, S: ProgressStore> Verified<'u, T, S> {
    /// Records that the image was applied, and no more: [`apply`](Self::apply) asks for it to be run. For images that
    /// are to run together, each with an update of its own: record all of them, then apply each. After a cut, those
    /// that are [`attempted`](Staged::attempted) were recorded; were all of them, go on and apply each again, else
    /// none was applied yet.
    pub fn record(self) -> impl Future<Output = Result<Self, Failed<Self, SessionError<T::Error>>>> {
        self.0.mark_applied();
        then(self.0.run(Goal::Finish, &[]), |(core, result)| match result {
            Ok(()) => Ok(Self(core)),
            Err(error) => Err(Failed::new(Self(core), error)),
        })
    }

    /// Records that the image was applied, then asks for it to be run. Legal to repeat after a failure; where the
    /// error's kind is [`Rewind`](crate::ErrorKind::Rewind), begin again: some bytes are wanted once more.
    pub fn apply(self) -> impl Future<Output = Result<Applied, Failed<Self, SessionError<T::Error>>>> {
        self.0.mark_applied();
        then(self.0.run(Goal::Apply, &[]), |(core, result)| match result {
            Ok(()) => Ok(core.applied()),
            Err(error) => Err(Failed::new(Self(core), error)),
        })
    }

    /// Goes back to receiving, to start over or abort.
    pub fn into_session(self) -> Session<'u, T, S> {
        Session(self.0)
    }
}

#[cfg(test)]
mod tests;
