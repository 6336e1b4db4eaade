//! A delta update of the modem's firmware.

mod error;
mod policy;
mod reserved;
mod settle;

pub use error::DeltaError;
pub use policy::DeltaPolicy;
pub use settle::Settled;

use core::mem;
use core::ops::ControlFlow;

use dfu_target::flash::yield_now;
use dfu_target::image::modem::is_delta;
use dfu_target::target::{Applied, Assurance, Call, Checked, ErrorType, Proof, Written};
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
/// The modem notes by itself how far it is. With an engine that gives its midstate (`SoftSha256` does) an update goes on
/// from the stored progress, and what the modem has beyond that is hashed and not written again; without, it starts
/// over after a reset. A future that was dropped leaves no memory of the modem reserved and no erase unnoticed:
/// [`init`](DfuTarget::init) finds what is there.
#[derive(Debug)]
pub struct ModemDelta<P: port::Delta, D, H, V = ()> {
    modem: Reserved<P>,
    delay: D,
    engine: H,
    policy: V,
    /// The name of the firmware that runs as a number, of when it was told last: the identity of what is stored.
    base: Result<u32, Fault>,
    stage: Stage,
    area: Area,
    /// The image's length, or the most it may have.
    size: u32,
    is_size_known: bool,
    /// How much of the image was taken, and how much of it the modem holds.
    received: u32,
    held: u32,
    /// The last midstate and of how many bytes it is; when the image is whole, its digest.
    kept: [u8; 32],
    kept_at: u32,
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
        let base = modem.uuid().map(|uuid| hash(&uuid));
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
        let told = mem::replace(&mut self.base, Ok(hash(&base)))?;
        if Ok(told) != self.base {
            return Err(DeltaError::Closed);
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
                    self.begin_at(size, held, image.kept);
                    self.stage = Stage::Whole;
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
        // Not as one: that would be a copy whose ends may overlap.
        self.kept.iter_mut().zip(kept).for_each(|(to, from)| *to = *from);
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

    /// Takes the next bytes of an open stream, as many as one call of the modem may have. `None`: it wants the image
    /// from the start.
    fn feed(&mut self, bytes: &[u8]) -> Result<Option<u32>, DeltaError> {
        let ahead = self.held.saturating_sub(self.received);
        let most = if ahead > 0 { ahead.min(CHUNK) } else { self.chunk } as usize;
        let piece = bytes.get(..most).unwrap_or(bytes);
        let len = piece.len() as u32;
        if ahead == 0 && len > 0 {
            match self.modem.write(piece) {
                Ok(()) => self.held = self.held.wrapping_add(len),
                Err(Fault::Code(Code::BlockTooLarge | Code::OutOfMemory) | Fault::Errno(Errno::NoMem))
                    if self.chunk > LEAST_CHUNK && self.modem.port().offset() == Ok(Offset::At(self.held)) =>
                {
                    self.chunk /= 2;
                    return Ok(Some(0));
                }
                // Where the modem is where it should be, it wants no bytes behind these.
                Err(fault @ Fault::Code(Code::InvalidFileOffset))
                    if self.modem.port().offset() == Ok(Offset::At(self.held)) =>
                {
                    return Err(fault.into());
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

    /// Does the next piece of a call's work: how many milliseconds to wait before the one after it, if there is one.
    fn step<'c>(
        &mut self,
        call: &mut Call<'c>,
        rest: &mut &'c [u8],
        is_first: bool,
    ) -> Result<Option<u32>, DeltaError> {
        match call {
            Call::Init(image, offset) => **offset = self.look(image, **offset)?,
            Call::Write(bytes, written) => {
                if is_first {
                    let size = self.received.saturating_add(bytes.len() as u32);
                    if mem::replace(&mut self.stage, Stage::Closed) != Stage::Open {
                        return Err(DeltaError::Closed);
                    }
                    if size > self.size {
                        return Err(DeltaError::TooLarge { size, area: self.size });
                    }
                    *rest = bytes;
                }
                if self.erase_step()? {
                    return Ok(Some(POLL_MS));
                }
                **written = match self.feed(rest)? {
                    Some(taken) => {
                        *rest = rest.get(taken as usize..).unwrap_or(&[]);
                        if !rest.is_empty() {
                            return Ok(Some(0));
                        }
                        self.stage = Stage::Open;
                        Written::Committed(self.kept_at)
                    }
                    None => {
                        self.restart();
                        Written::Rewind(0)
                    }
                };
            }
            Call::Prepare(more) if is_first => {
                **more = self.stage == Stage::Open && self.erase_step()?;
                return Ok(more.then_some(POLL_MS));
            }
            Call::Prepare(_) => {}
            Call::Digest(checked) => {
                self.whole()?;
                **checked = Checked { digest: Digest(self.kept), assurance: Assurance::Deferred };
            }
            Call::Apply(proof, applied) => {
                if self.stage != Stage::Complete || proof.digest().0 != self.kept {
                    return Err(DeltaError::NotChecked);
                }
                if !self.modem.port().is_scheduled() {
                    self.modem.released(P::update)?;
                }
                **applied = Applied::AtReset;
            }
            Call::Abort => {
                if is_first {
                    self.close();
                    self.restarts = 0;
                    let port = self.modem.port();
                    let is_blank = port.offset() == Ok(Offset::At(0)) && !port.is_scheduled() && !self.is_soiled;
                    self.area = if is_blank { Area::Ready } else { Area::Unclean };
                }
                return Ok(self.erase_step()?.then_some(POLL_MS));
            }
        }
        Ok(None)
    }

    /// Sees to it that the modem has all, and the digest is known.
    fn whole(&mut self) -> Result<(), DeltaError> {
        if !matches!(self.stage, Stage::Whole | Stage::Complete) {
            let (have, need) = (self.received, if self.is_size_known { self.size } else { self.received.max(1) });
            if have < need {
                return Err(DeltaError::Truncated { have, need });
            }
            if mem::replace(&mut self.stage, Stage::Closed) != Stage::Open {
                return Err(DeltaError::Closed);
            }
            self.modem.finish()?;
            let offset = self.modem.port().offset()?;
            if offset != Offset::At(have) {
                self.is_soiled = true;
                return Err(DeltaError::Lost { offset, have });
            }
            self.kept = self.engine.finish().0;
            self.restarts = 0;
        }
        self.stage = Stage::Complete;
        Ok(())
    }
}

impl<P: port::Delta, D, H, V> ErrorType for ModemDelta<P, D, H, V> {
    type Error = DeltaError;
}

impl<P: port::Delta, D: DelayNs, H: Sha256, V: DeltaPolicy> DfuTarget for ModemDelta<P, D, H, V> {
    /// The firmware that runs is part of it: after an update no progress of before counts.
    fn identity(&self, _: ImageKind, _: u8) -> u32 {
        self.base.unwrap_or(0)
    }

    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        kind == ImageKind::ModemDelta && index == 0
    }

    async fn init(&mut self, image: &Image<'_>, mut offset: u32) -> Result<u32, DeltaError> {
        self.call(Call::Init(image, &mut offset)).await.map(|()| offset)
    }

    /// Refused with [`DeltaError::EraseTimeout`] where the modem does not get round to erasing: it goes on, and so
    /// may the update, later or offline.
    async fn write(&mut self, bytes: &[u8]) -> Result<Written, DeltaError> {
        let mut written = Written::Committed(0);
        self.call(Call::Write(bytes, &mut written)).await.map(|()| written)
    }

    fn keep(&self) -> Option<&[u8; 32]> {
        Some(&self.kept)
    }

    async fn prepare(&mut self) -> Result<bool, DeltaError> {
        let mut more = false;
        self.call(Call::Prepare(&mut more)).await.map(|()| more)
    }

    /// The digest of the bytes as they came: the modem cannot be read back. What it says of its own offset is compared
    /// with the size, and its signature check comes with the update.
    async fn digest(&mut self) -> Result<Checked, DeltaError> {
        let mut checked = Checked { digest: Digest([0; 32]), assurance: Assurance::None };
        self.call(Call::Digest(&mut checked)).await.map(|()| checked)
    }

    async fn apply(&mut self, proof: Proof) -> Result<Applied, DeltaError> {
        let mut applied = Applied::AtReset;
        self.call(Call::Apply(&proof, &mut applied)).await.map(|()| applied)
    }

    /// Erases what the modem holds, which withdraws an update that is scheduled and gives up the way back. Waits for
    /// it, as `write` does.
    fn abort(&mut self) -> impl Future<Output = Result<(), DeltaError>> {
        self.call(Call::Abort)
    }

    /// Every call waits here.
    #[allow(clippy::manual_async_fn)] // An `async fn` keeps its arguments twice.
    fn call(&mut self, mut call: Call<'_>) -> impl Future<Output = Result<(), DeltaError>> {
        async move {
            // Whoever drops this, or fails amid a write, leaves the stream closed and the modem's memory free.
            let this = Closing(self);
            let mut rest: &[u8] = &[];
            let mut is_first = true;
            while let Some(wait_ms) = this.0.step(&mut call, &mut rest, is_first)? {
                is_first = false;
                if wait_ms > 0 {
                    this.0.delay.delay_ms(wait_ms).await;
                } else {
                    yield_now().await;
                }
            }
            Ok(())
        }
    }
}

/// A firmware's name as a number.
#[inline(never)]
fn hash(uuid: &Uuid) -> u32 {
    const DELTA: u32 = u32::from_le_bytes(*b"meDu");
    uuid.0.iter().fold(DELTA, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
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
