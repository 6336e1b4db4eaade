//! A delta update of the modem's firmware.

mod error;
mod look;
mod policy;
mod reserved;
mod settle;
mod step;
mod stream;

pub use error::DeltaError;
pub use policy::DeltaPolicy;
pub use settle::Settled;

use dfu_target::flash::yield_now;
use dfu_target::target::{Applied, Assurance, Call, Checked, ErrorType, Proof, Written};
use dfu_target::{DfuTarget, Digest, Image, ImageKind, Sha256};
use embedded_hal_async::delay::DelayNs;

use self::reserved::Reserved;
use crate::port::{self, Fault, Uuid};

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

    fn keep(&self) -> Option<&[u8]> {
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
