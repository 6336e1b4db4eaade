//! A full update of the modem's firmware, staged in flash.

mod core;
mod error;
mod marker;
mod plan;
mod policy;
mod recover;

pub use error::FullError;
pub use marker::FullState;
pub use policy::{FullPolicy, Phase};
pub use recover::{Program, Recovered, Start};

use dfu_target::flash::{Region, RegionError};
use dfu_target::target::{Applied, Assurance, Call, Checked, ErrorType, Proof, Written};
use dfu_target::{DfuTarget, Digest, Image, ImageKind, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use self::core::Core;
use self::marker::{MOST_ROUNDS, Marker};
use self::plan::{Goal, Step, Steps};
use crate::Wrapper;

/// A region of flash, as a target for full updates of the modem.
///
/// `H` is a SHA-256 engine, `V` what the caller decides ([`FullPolicy`]), `N` are the bytes of a buffer for odd chunks:
/// whole words, an erase unit at most; more is faster. Beside them it holds a kilobyte for the wrapper.
///
/// ```text
///  region   │ wrapper │ segment 0 │ segment 1 │ ... │      │ marker │ marker │   the last two erase units
///
///  write    gathers the wrapper in RAM and refuses what it shows; erases the markers, then each unit before its bytes
///  digest   reads the file back: SHA-256 of all of it, and of the segments, which the wrapper tells
///  apply    writes the markers: from now on `recover` programs the modem, as often as it takes
///  recover  at boot: programs the modem from here, or says that there is nothing to do
/// ```
///
/// # Power and cancellation
///
/// Nothing of the modem is touched before the file lies here, whole and checked, and the markers say so. From the first
/// byte programmed they say that, too, until all of it is done: a cut at any point in between is made good by
/// [`recover`](Self::recover) at the next boot. While the modem's firmware is incomplete the file here is the only
/// remedy: no other is taken, and [`abort`](DfuTarget::abort) is refused; see [`discard`](Self::discard).
#[derive(Debug)]
pub struct ModemFull<'a, F: NorFlash, H, const N: usize, V = ()> {
    region: Region<'a, F>,
    core: Core<RegionError<F::Error>, H, V, N>,
}

impl<'a, F: NorFlash, H: Sha256, const N: usize> ModemFull<'a, F, H, N> {
    /// Stages files in `region`, whose erased bytes read as 0xff: the file's length and two erase units more.
    pub fn new(region: Region<'a, F>, engine: H) -> Self {
        Self::with(region, engine, ())
    }
}

impl<'a, F: NorFlash, H: Sha256, const N: usize, V: FullPolicy> ModemFull<'a, F, H, N, V> {
    /// Stages files in `region`, with what the caller decides.
    pub fn with(region: Region<'a, F>, engine: H, policy: V) -> Self {
        const {
            let marker = Marker::LEN.next_multiple_of(F::WRITE_SIZE).next_multiple_of(F::READ_SIZE);
            assert!(N >= marker, "the buffer holds a marker: 52 bytes, in whole words and reads");
            assert!(N.is_multiple_of(F::READ_SIZE), "the buffer is a whole number of reads");
            assert!(Wrapper::MAX_LEN.is_multiple_of(F::READ_SIZE), "a kilobyte is a whole number of reads");
        }
        let core = Core::new::<F>(region.start(), region.size(), engine, policy);
        Self { region, core }
    }

    /// How many bytes a file may have.
    pub fn capacity(&self) -> u32 {
        self.core.capacity::<F>()
    }

    /// Whether [`recover`](Self::recover), first thing at boot, has a modem to program. Where the modem library needs to
    /// know that before it starts the modem, ask here.
    pub async fn is_due(&mut self) -> Result<bool, FullError<RegionError<F::Error>>> {
        Ok(match self.state().await? {
            FullState::Verified | FullState::Programming => true,
            FullState::Mismatch => self.core.found.rounds < MOST_ROUNDS,
            _ => false,
        })
    }

    /// What the markers say: where an update stands, and what became of it.
    pub async fn state(&mut self) -> Result<FullState, FullError<RegionError<F::Error>>> {
        self.run(Goal::Look, Step::Look).await?;
        Ok(self.core.found.stage)
    }

    /// Drops what is staged, although the modem's firmware may be incomplete and this the only remedy.
    /// [`abort`](DfuTarget::abort) where that is not meant.
    pub async fn discard(&mut self) -> Result<(), FullError<RegionError<F::Error>>> {
        self.run(Goal::Discard, Step::Look).await
    }

    async fn run(&mut self, goal: Goal<'_>, step: Step) -> Result<(), FullError<RegionError<F::Error>>> {
        self.core.close();
        let mut steps = Steps::<F, _, _, _, N>::new(&mut self.core, goal, step, &[]);
        self.region.run(&mut steps).await.map_err(FullError::Flash)?;
        self.core.result()
    }
}

impl<F: NorFlash, H, const N: usize, V> ErrorType for ModemFull<'_, F, H, N, V> {
    type Error = FullError<RegionError<F::Error>>;
}

impl<F: NorFlash, H: Sha256, const N: usize, V: FullPolicy> DfuTarget for ModemFull<'_, F, H, N, V> {
    fn identity(&self, _: ImageKind, _: u8) -> u32 {
        const FULL: u32 = u32::from_le_bytes(*b"mfwF");
        [self.core.start, self.core.size].iter().fold(FULL, |hash, number| (hash ^ number).wrapping_mul(0x0100_0193))
    }

    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        kind == ImageKind::ModemFull && index == 0
    }

    /// Reads the markers, and the wrapper where it goes on.
    async fn init(&mut self, image: &Image<'_>, mut offset: u32) -> Result<u32, Self::Error> {
        self.call(Call::Init(image, &mut offset)).await.map(|()| offset)
    }

    /// Nothing is erased before the whole wrapper was seen, 1,024 bytes at most.
    async fn write(&mut self, bytes: &[u8]) -> Result<Written, Self::Error> {
        let mut written = Written::Committed(0);
        self.call(Call::Write(bytes, &mut written)).await.map(|()| written)
    }

    /// A checksum of what is in the flash.
    fn keep(&self) -> Option<&[u8]> {
        Some(self.core.recall.keep())
    }

    async fn prepare(&mut self) -> Result<bool, Self::Error> {
        let mut more = false;
        self.call(Call::Prepare(&mut more)).await.map(|()| more)
    }

    /// Reads the file twice: the hash over the segments, then that of all.
    async fn digest(&mut self) -> Result<Checked, Self::Error> {
        let mut checked = Checked { digest: Digest([0; 32]), assurance: Assurance::None };
        self.call(Call::Digest(&mut checked)).await.map(|()| checked)
    }

    /// Writes the markers, and nothing of the modem: [`recover`](ModemFull::recover) programs it after the reset.
    async fn apply(&mut self, proof: Proof) -> Result<Applied, Self::Error> {
        let mut applied = Applied::AtReset;
        self.call(Call::Apply(&proof, &mut applied)).await.map(|()| applied)
    }

    /// Erases the markers. Refused while the modem's firmware is incomplete.
    fn abort(&mut self) -> impl Future<Output = Result<(), Self::Error>> {
        self.call(Call::Abort)
    }

    /// Every call waits here.
    #[allow(clippy::manual_async_fn)] // An `async fn` keeps its arguments twice.
    fn call(&mut self, mut call: Call<'_>) -> impl Future<Output = Result<(), Self::Error>> {
        async move {
            if let Some((mut step, input)) = self.core.start::<F>(&call) {
                loop {
                    let goal = Goal::of(&call);
                    let mut steps = Steps::<F, _, _, _, N>::new(&mut self.core, goal, step, input);
                    self.region.run(&mut steps).await.map_err(FullError::Flash)?;
                    match self.core.again() {
                        Some(next) => step = next,
                        None => break,
                    }
                }
                self.core.end(&mut call, input);
            }
            self.core.result()
        }
    }
}
