//! A delta update of the modem's firmware.

mod error;
mod policy;
mod reserved;
mod settle;

pub use error::DeltaError;
pub use policy::DeltaPolicy;
pub use settle::Settled;

use core::ops::ControlFlow;

use dfu_target::flash::yield_now;
use dfu_target::image::modem::is_delta;
use dfu_target::target::{Applied, Assurance, Checked, ErrorType, Proof, Written};
use dfu_target::{DfuTarget, Digest, Image, ImageKind, Sha256};
use embedded_hal_async::delay::DelayNs;

use self::reserved::Reserved;
use crate::port::{self, Code, Errno, Fault, Offset, Uuid};

/// The modem, as a target for delta updates.
///
/// `P` is the modem, `D` a clock, `H` a SHA-256 engine, `V` what the caller decides ([`DeltaPolicy`]).
///
/// ```text
///  init      area and size, base UUID and policy, the modem's own offset; changes nothing
///  prepare   erases where something else is stored, one poll at a time
///  write     erases if that is not done, then chunks; hashes what the modem has already
///  digest    gives the modem's memory back, compares its offset with the size
///  apply     schedules the update: it runs when the modem starts next
/// ```
///
/// # Power and cancellation
///
/// The modem notes by itself how far it is. With an engine that gives its midstate ([`SoftSha256`]) an update goes on
/// from the stored progress, and what the modem has beyond that is hashed and not written again; without, it starts
/// over after a reset. A future that was dropped leaves no memory of the modem reserved and no erase unnoticed:
/// [`init`](DfuTarget::init) finds what is there.
///
/// [`SoftSha256`]: dfu_target::digest::SoftSha256
#[derive(Debug)]
pub struct ModemDelta<P: port::Delta, D, H, V = ()> {
    modem: Reserved<P>,
    delay: D,
    engine: H,
    policy: V,
    /// The firmware that ran when the modem was asked last for the identity of what is stored.
    base: Result<Uuid, Fault>,
    stage: Stage,
    area: Area,
    /// The image's length, or the most it may have.
    size: u32,
    is_size_known: bool,
    /// How much of the image was taken, and how much of it the modem holds.
    received: u32,
    held: u32,
    /// The last midstate, and of how many bytes it is.
    kept: [u8; 32],
    kept_at: u32,
    digest: Digest,
    chunk: u32,
    waited_ms: u32,
    limit_ms: u32,
    restarts: u8,
    /// The modem said that its area is not what its offset tells: only an erase helps.
    is_soiled: bool,
}

/// How far the target and the modem have come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No image was accepted, or a write failed or was dropped.
    Closed,
    /// The target takes bytes.
    Open,
    /// The modem has all of them, and had before.
    Whole,
    /// And the digest was asked for.
    Complete,
}

/// What is stored where the image goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Area {
    /// Nothing else.
    Ready,
    /// Something else, which the modem is to be told to erase.
    Unclean,
    /// It is erasing.
    Erasing,
}

/// How many bytes are given to the modem at once. Its library copies them into its memory for sending, 8 KiB by
/// default, where AT commands and sockets need room beside them: a quarter leaves it.
pub const CHUNK: u32 = 2048;
/// Chunks are halved where the modem has no room for them, down to this.
const LEAST_CHUNK: u32 = 64;
/// How long an erase may take by default. On a modem that is registered to a network it can take for ever.
const ERASE_LIMIT_MS: u32 = 60_000;
/// How long to wait between two looks at an erase.
const POLL_MS: u32 = 100;
/// How often one image may start over because the modem does not find its area blank.
const MOST_RESTARTS: u8 = 2;

impl<P: port::Delta, D: DelayNs, H: Sha256> ModemDelta<P, D, H> {
    /// The modem, which may be one that does not answer: then every image is refused with what it said.
    pub fn new(modem: P, delay: D, engine: H) -> Self {
        Self::with(modem, delay, engine, ())
    }
}

impl<P: port::Delta, D: DelayNs, H: Sha256, V: DeltaPolicy> ModemDelta<P, D, H, V> {
    /// The modem, with what the caller decides.
    pub fn with(mut modem: P, delay: D, engine: H, policy: V) -> Self {
        let base = modem.uuid();
        Self {
            modem: Reserved::new(modem),
            delay,
            engine,
            policy,
            base,
            stage: Stage::Closed,
            area: Area::Ready,
            size: 0,
            is_size_known: false,
            received: 0,
            held: 0,
            kept: [0; 32],
            kept_at: 0,
            digest: Digest([0; 32]),
            chunk: CHUNK,
            waited_ms: 0,
            limit_ms: ERASE_LIMIT_MS,
            restarts: 0,
            is_soiled: false,
        }
    }

    /// Gives up waiting for an erase after so many milliseconds instead of 60,000.
    pub fn erase_limit_ms(mut self, limit_ms: u32) -> Self {
        self.limit_ms = limit_ms;
        self
    }

    /// Gives the modem at most so many bytes at once instead of [`CHUNK`], 64 or more. It goes below that by itself
    /// where the modem has no room.
    pub fn chunk(mut self, len: u32) -> Self {
        self.chunk = len.max(LEAST_CHUNK);
        self
    }

    /// The firmware that ran when this was made or [settled](Self::settle), if the modem told.
    pub fn base(&self) -> Option<&Uuid> {
        self.base.as_ref().ok()
    }

    /// Has the modem go back to the firmware of before the last update when it starts next. It can as long as that
    /// update was not [settled](Self::settle) and nothing new was begun.
    pub fn rollback(&mut self) -> Result<Applied, DeltaError> {
        self.modem.released(P::rollback)?;
        Ok(Applied::AtReset)
    }

    /// What can be told of an image without changing anything, and where to go on.
    fn look(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, DeltaError> {
        self.close();
        if !is_delta(image.head) {
            return Err(DeltaError::NotDelta);
        }
        let area = self.modem.port().area()?;
        let size = image.size.unwrap_or(area);
        if size > area {
            return Err(DeltaError::TooLarge { size, area });
        }
        let base = self.modem.port().uuid()?;
        // The identity that was told is not of this firmware: none, or one of before the modem was restarted. What
        // would be recorded under it could be taken for an update that went well.
        match core::mem::replace(&mut self.base, Ok(base)) {
            Ok(told) if told == base => {}
            Ok(_) => return Err(DeltaError::Closed),
            Err(fault) => return Err(fault.into()),
        }
        if !self.policy.accepts(&base, image) {
            return Err(DeltaError::Policy);
        }
        let is_complete = image.size == Some(resume);
        if self.modem.port().is_scheduled() && !is_complete {
            return Err(DeltaError::Pending);
        }
        let offset = match self.modem.port().offset() {
            Ok(offset) => Some(offset),
            Err(Fault::Code(Code::ErasePending)) => None,
            Err(fault) => return Err(fault.into()),
        };
        self.size = size;
        self.is_size_known = image.size.is_some();
        self.waited_ms = 0;
        self.begin_at(0, 0, &[0; 32]);
        self.stage = Stage::Open;
        self.area = match offset {
            Some(_) if self.is_soiled => Area::Unclean,
            Some(Offset::At(0)) => Area::Ready,
            Some(Offset::At(held)) if resume > 0 && (resume..=size).contains(&held) && *image.kept != [0; 32] => {
                if is_complete && held == size {
                    self.digest = Digest(*image.kept);
                    self.stage = Stage::Whole;
                    self.received = size;
                    Area::Ready
                } else if !is_complete && self.engine.resume(image.kept, resume) {
                    self.begin_at(resume, held, image.kept);
                    Area::Ready
                } else {
                    Area::Unclean
                }
            }
            Some(_) => Area::Unclean,
            None => Area::Erasing,
        };
        if self.received == 0 {
            self.engine.start();
        }
        Ok(self.received)
    }

    fn begin_at(&mut self, received: u32, held: u32, kept: &[u8; 32]) {
        self.received = received;
        self.held = held;
        self.kept = *kept;
        self.kept_at = received;
    }

    /// Begins an erase, or looks whether it is done; `true`: it is not.
    fn erase_step(&mut self) -> Result<bool, DeltaError> {
        if self.area == Area::Ready {
            return Ok(false);
        }
        if self.area == Area::Unclean {
            match self.modem.released(P::erase) {
                Ok(()) | Err(Fault::Code(Code::ErasePending)) => {}
                Err(fault) => return Err(fault.into()),
            }
            self.area = Area::Erasing;
            self.waited_ms = 0;
        }
        match self.modem.port().offset() {
            Ok(Offset::At(0)) => {
                self.area = Area::Ready;
                self.is_soiled = false;
                self.waited_ms = 0;
                return Ok(false);
            }
            // What was stored may still be told for a while.
            Ok(_) | Err(Fault::Code(Code::ErasePending)) => {}
            Err(fault) => return Err(fault.into()),
        }
        if self.policy.erasing(self.waited_ms) == ControlFlow::Break(()) {
            return Err(DeltaError::Cancelled);
        }
        if self.waited_ms >= self.limit_ms {
            return Err(DeltaError::EraseTimeout { waited_ms: self.waited_ms });
        }
        self.waited_ms = self.waited_ms.saturating_add(POLL_MS);
        Ok(true)
    }

    /// Erases what is stored, if anything is.
    async fn erase(&mut self) -> Result<(), DeltaError> {
        self.close();
        let is_empty = self.modem.port().offset() == Ok(Offset::At(0));
        let is_blank = is_empty && !self.is_soiled && !self.modem.port().is_scheduled();
        self.area = if is_blank { Area::Ready } else { Area::Unclean };
        self.erased().await
    }

    /// Waits until nothing else is stored.
    async fn erased(&mut self) -> Result<(), DeltaError> {
        while self.erase_step()? {
            self.delay.delay_ms(POLL_MS).await;
        }
        Ok(())
    }

    /// Takes the next bytes of an open stream, as many as one call of the modem may have. `None`: it wants the image
    /// from the start.
    fn feed(&mut self, bytes: &[u8]) -> Result<Option<u32>, DeltaError> {
        let ahead = self.held.saturating_sub(self.received);
        let most = if ahead > 0 { ahead.min(CHUNK) } else { self.chunk } as usize;
        let piece = bytes.get(..most).unwrap_or(bytes);
        let len = piece.len() as u32;
        if ahead == 0 {
            match self.modem.write(piece) {
                Ok(()) => self.held = self.held.wrapping_add(len),
                Err(Fault::Code(Code::BlockTooLarge | Code::OutOfMemory) | Fault::Errno(Errno::NoMem))
                    if self.chunk > LEAST_CHUNK && self.modem.port().offset() == Ok(Offset::At(self.held)) =>
                {
                    self.chunk /= 2;
                    return Ok(Some(0));
                }
                Err(fault @ Fault::Code(Code::AreaNotBlank | Code::InvalidFileOffset)) => {
                    self.is_soiled = true;
                    if self.restarts >= MOST_RESTARTS {
                        self.restarts = 0;
                        return Err(fault.into());
                    }
                    self.restarts = self.restarts.wrapping_add(1);
                    return Ok(None);
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        // Up to the last block that is whole, and that is not the end of all: there the digest itself is kept.
        let end = self.received.wrapping_add(len);
        let whole = end.min(self.size.saturating_sub(1)) & !63;
        let (blocks, rest) = piece.split_at_checked(whole.wrapping_sub(self.received) as usize).unwrap_or((&[], piece));
        self.engine.update(blocks);
        if !blocks.is_empty()
            && let Some(midstate) = self.engine.midstate()
        {
            self.kept = midstate;
            self.kept_at = whole;
        }
        self.engine.update(rest);
        self.received = end;
        Ok(Some(len))
    }

    /// From the start, once more, after an erase.
    fn restart(&mut self) {
        self.modem.done();
        self.begin_at(0, 0, &[0; 32]);
        self.engine.start();
        self.area = Area::Unclean;
        self.stage = Stage::Open;
    }

    fn close(&mut self) {
        self.modem.done();
        self.stage = Stage::Closed;
    }
}

impl<P: port::Delta, D, H, V> ErrorType for ModemDelta<P, D, H, V> {
    type Error = DeltaError;
}

impl<P: port::Delta, D: DelayNs, H: Sha256, V: DeltaPolicy> DfuTarget for ModemDelta<P, D, H, V> {
    /// The firmware that runs is part of it: after an update no progress of before counts.
    fn identity(&self, _: ImageKind, _: u8) -> u32 {
        const DELTA: u32 = u32::from_le_bytes(*b"meDu");
        let base = self.base.as_ref().map(|uuid| uuid.0.as_slice()).unwrap_or_default();
        base.iter().fold(DELTA, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    }

    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        kind == ImageKind::ModemDelta && index == 0
    }

    async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, DeltaError> {
        self.look(image, resume)
    }

    /// Refused with [`DeltaError::EraseTimeout`] where the modem does not get round to erasing: it goes on, and so
    /// may the update, later or offline.
    async fn write(&mut self, bytes: &[u8]) -> Result<Written, DeltaError> {
        let size = self.received.saturating_add(bytes.len() as u32);
        if self.stage != Stage::Open {
            return Err(DeltaError::Closed);
        }
        if size > self.size {
            return Err(DeltaError::TooLarge { size, area: self.size });
        }
        // Whoever drops this, or fails, leaves the stream closed and the modem's memory free.
        let this = Closing(self);
        this.0.stage = Stage::Closed;
        this.0.erased().await?;
        let mut rest = bytes;
        while !rest.is_empty() {
            match this.0.feed(rest)? {
                Some(taken) => rest = rest.get(taken as usize..).unwrap_or(&[]),
                None => {
                    this.0.restart();
                    return Ok(Written::Rewind(0));
                }
            }
            yield_now().await;
        }
        this.0.stage = Stage::Open;
        Ok(Written::Committed(this.0.kept_at))
    }

    fn keep(&self) -> Option<&[u8; 32]> {
        Some(&self.kept)
    }

    async fn prepare(&mut self) -> Result<bool, DeltaError> {
        if self.stage != Stage::Open {
            return Ok(false);
        }
        let more = self.erase_step()?;
        if more {
            self.delay.delay_ms(POLL_MS).await;
        }
        Ok(more)
    }

    /// The digest of the bytes as they came: the modem cannot be read back. What it says of its own offset is compared
    /// with the size, and its signature check comes with the update.
    async fn digest(&mut self) -> Result<Checked, DeltaError> {
        if !matches!(self.stage, Stage::Whole | Stage::Complete) {
            let (have, need) = (self.received, if self.is_size_known { self.size } else { self.received.max(1) });
            if have < need {
                return Err(DeltaError::Truncated { have, need });
            }
            if self.stage != Stage::Open {
                return Err(DeltaError::Closed);
            }
            self.stage = Stage::Closed;
            self.modem.finish()?;
            let offset = self.modem.port().offset()?;
            if offset != Offset::At(have) {
                self.is_soiled = true;
                return Err(DeltaError::Lost { offset, have });
            }
            self.digest = self.engine.finish();
            self.restarts = 0;
        }
        self.stage = Stage::Complete;
        Ok(Checked { digest: self.digest, assurance: Assurance::Deferred })
    }

    async fn apply(&mut self, proof: Proof) -> Result<Applied, DeltaError> {
        if self.stage != Stage::Complete || *proof.digest() != self.digest {
            return Err(DeltaError::NotChecked);
        }
        if !self.modem.port().is_scheduled() {
            self.modem.released(P::update)?;
        }
        Ok(Applied::AtReset)
    }

    /// Erases what the modem holds, which withdraws an update that is scheduled and gives up the way back. Waits for
    /// it, as `write` does.
    async fn abort(&mut self) -> Result<(), DeltaError> {
        self.restarts = 0;
        self.erase().await
    }
}

/// Closes the stream unless it was opened again.
struct Closing<'a, P: port::Delta, D, H, V>(&'a mut ModemDelta<P, D, H, V>);

impl<P: port::Delta, D, H, V> Drop for Closing<'_, P, D, H, V> {
    fn drop(&mut self) {
        if self.0.stage == Stage::Closed {
            self.0.modem.done();
        }
    }
}
