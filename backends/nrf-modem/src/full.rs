//! A full update of the modem's firmware, staged in flash.

mod error;
mod marker;
mod policy;
mod recover;
mod staging;

pub use error::FullError;
pub use policy::{FullPolicy, Phase};
pub use recover::{Program, Recovered, Start};

use dfu_target::flash::{Region, RegionError};
use dfu_target::image::modem::is_full;
use dfu_target::target::{Applied, Assurance, Checked, ErrorType, Proof, Written};
use dfu_target::{DfuTarget, Digest, Image, ImageKind, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use self::marker::{Marker, Stage as Marked};
use self::staging::Staging;
use crate::{Wrapper, WrapperError};

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
    staging: Staging<'a, F, N>,
    engine: H,
    policy: V,
    stage: Stage,
    /// The file's length as it was offered, or 0.
    offered: u32,
    /// The file's length as the wrapper tells it, or 0 while that is being gathered.
    total: u32,
    received: u32,
    digest: Digest,
    found: Marker,
}

/// How far the target has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No image was accepted, or an operation failed or was dropped.
    Closed,
    /// The wrapper is being gathered.
    Wrapper,
    /// The wrapper is known; the markers are to be erased before the first byte is stored.
    Unclean,
    /// Bytes are being stored.
    Body,
    /// All is there.
    Whole,
    /// It was read back.
    Checked,
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
        Self {
            staging: Staging::new(region),
            engine,
            policy,
            stage: Stage::Closed,
            offered: 0,
            total: 0,
            received: 0,
            digest: Digest([0; 32]),
            found: Marker::NONE,
        }
    }

    /// How many bytes a file may have.
    pub fn capacity(&self) -> u32 {
        self.staging.capacity()
    }

    /// Drops what is staged, although the modem's firmware may be incomplete and this the only remedy.
    /// [`abort`](DfuTarget::abort) where that is not meant.
    pub async fn discard(&mut self) -> Result<(), FullError<RegionError<F::Error>>> {
        self.stage = Stage::Closed;
        self.found = self.staging.marker().await?;
        self.staging.unmark().await
    }

    /// What can be told of an image without changing anything, and where to go on.
    async fn look(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, FullError<RegionError<F::Error>>> {
        self.stage = Stage::Closed;
        if !is_full(image.head) {
            return Err(FullError::NotFull);
        }
        let (size, max) = (image.size.unwrap_or(0), self.capacity());
        if size > max {
            return Err(FullError::TooLarge { size, max });
        }
        self.found = self.staging.marker().await?;
        match self.found.stage {
            Marked::Programming => return Err(FullError::Incomplete),
            Marked::Verified if image.size != Some(resume) => return Err(FullError::Pending),
            _ => {}
        }
        self.offered = size;
        self.total = 0;
        self.received = 0;
        self.stage = Stage::Wrapper;
        if resume > 0
            && let Ok(wrapper) = self.staging.wrapper().await?
            && (size == 0 || wrapper.total_len() == size)
            && wrapper.total_len() <= max
        {
            let (total, len) = (wrapper.total_len(), wrapper.len());
            if resume == total {
                (self.total, self.received) = (total, total);
                self.stage = Stage::Whole;
            } else {
                let from = self.staging.start_at(resume);
                if from >= len {
                    (self.total, self.received) = (total, from);
                    self.stage = Stage::Body;
                }
            }
        }
        Ok(self.received)
    }

    /// Takes bytes of the wrapper; returns how many, and whether it is whole.
    fn gather(&mut self, bytes: &[u8]) -> Result<usize, FullError<RegionError<F::Error>>> {
        let taken = self.staging.gather(self.received, bytes);
        let have = self.received.wrapping_add(taken as u32);
        let wrapper = match Wrapper::parse(self.staging.gathered(have)) {
            Ok(wrapper) => wrapper,
            Err(WrapperError::Truncated) => {
                self.received = have;
                return Ok(taken);
            }
            Err(error) => return Err(FullError::Wrapper(error)),
        };
        let (total, max) = (wrapper.total_len(), self.staging.capacity());
        if self.offered != 0 && self.offered != total {
            return Err(FullError::WrongSize { told: total, offered: self.offered });
        }
        if total > max {
            return Err(FullError::TooLarge { size: total, max });
        }
        if have > total {
            return Err(FullError::TooLarge { size: have, max: total });
        }
        if !self.policy.accepts(&wrapper) {
            return Err(FullError::Policy);
        }
        self.received = have;
        self.total = total;
        self.stage = Stage::Unclean;
        Ok(taken)
    }

    async fn store(&mut self, bytes: &[u8]) -> Result<Written, FullError<RegionError<F::Error>>> {
        let stage = core::mem::replace(&mut self.stage, Stage::Closed);
        let mut rest = bytes;
        let mut first = 0;
        match stage {
            Stage::Wrapper => {
                self.stage = Stage::Wrapper;
                let taken = match self.gather(bytes) {
                    Ok(taken) => taken,
                    Err(error) => {
                        self.stage = Stage::Closed;
                        return Err(error);
                    }
                };
                if self.stage == Stage::Wrapper {
                    return Ok(Written::Committed(0));
                }
                self.stage = Stage::Closed;
                rest = bytes.get(taken..).unwrap_or(&[]);
                first = self.received;
            }
            Stage::Unclean => first = self.received,
            Stage::Body => {}
            _ => return Err(FullError::Closed),
        }
        let size = self.received.saturating_add(rest.len() as u32);
        if size > self.total {
            return Err(FullError::TooLarge { size, max: self.total });
        }
        if first > 0 {
            if self.found.stage != Marked::None {
                self.staging.unmark().await?;
                self.found = Marker::NONE;
            }
            self.staging.write_gathered(first).await?;
        }
        self.staging.write(rest).await?;
        self.received = size;
        self.stage = Stage::Body;
        Ok(Written::Committed(self.staging.durable().min(size)))
    }

    /// The digest of the staged file, if its own hash is right.
    async fn check(&mut self, total: u32) -> Result<Digest, FullError<RegionError<F::Error>>> {
        let (len, hash) = match self.staging.wrapper().await? {
            Ok(wrapper) if wrapper.total_len() == total => (wrapper.len(), wrapper.blob_hash()),
            Ok(wrapper) => return Err(FullError::WrongSize { told: wrapper.total_len(), offered: total }),
            Err(error) => return Err(FullError::Wrapper(error)),
        };
        if self.staging.hash(&mut self.engine, &mut self.policy, len, total).await? != hash {
            return Err(FullError::BlobHash);
        }
        self.staging.hash(&mut self.engine, &mut self.policy, 0, total).await
    }
}

impl<F: NorFlash, H, const N: usize, V> ErrorType for ModemFull<'_, F, H, N, V> {
    type Error = FullError<RegionError<F::Error>>;
}

impl<F: NorFlash, H: Sha256, const N: usize, V: FullPolicy> DfuTarget for ModemFull<'_, F, H, N, V> {
    fn identity(&self, _: ImageKind, _: u8) -> u32 {
        const FULL: u32 = u32::from_le_bytes(*b"mfwF");
        self.staging.place().iter().fold(FULL, |hash, number| (hash ^ number).wrapping_mul(0x0100_0193))
    }

    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        kind == ImageKind::ModemFull && index == 0
    }

    /// Reads the markers, and the wrapper where it goes on.
    async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, Self::Error> {
        self.look(image, resume).await
    }

    /// Nothing is erased before the whole wrapper was seen, 1,024 bytes at most.
    async fn write(&mut self, bytes: &[u8]) -> Result<Written, Self::Error> {
        self.store(bytes).await
    }

    async fn prepare(&mut self) -> Result<bool, Self::Error> {
        if self.stage == Stage::Body { self.staging.prepare(self.total).await } else { Ok(false) }
    }

    async fn digest(&mut self) -> Result<Checked, Self::Error> {
        let (have, need) = (self.received, self.total.max(self.offered).max(1));
        if self.total == 0 || have < need {
            return Err(FullError::Truncated { have, need });
        }
        let stage = core::mem::replace(&mut self.stage, Stage::Closed);
        match stage {
            Stage::Body => self.staging.flush().await?,
            Stage::Whole | Stage::Checked => {}
            _ => return Err(FullError::Closed),
        }
        self.digest = self.check(have).await?;
        self.stage = Stage::Checked;
        Ok(Checked { digest: self.digest, assurance: Assurance::Hash })
    }

    /// Writes the markers, and nothing of the modem: [`recover`](ModemFull::recover) programs it after the reset.
    async fn apply(&mut self, proof: Proof) -> Result<Applied, Self::Error> {
        if self.stage != Stage::Checked || *proof.digest() != self.digest {
            return Err(FullError::NotChecked);
        }
        let marker = Marker { size: self.total, digest: self.digest, ..Marker::VERIFIED };
        self.staging.mark(&marker).await?;
        self.found = marker;
        Ok(Applied::AtReset)
    }

    /// Erases the markers. Refused while the modem's firmware is incomplete.
    async fn abort(&mut self) -> Result<(), Self::Error> {
        self.stage = Stage::Closed;
        self.found = self.staging.marker().await?;
        match self.found.stage {
            Marked::Programming => Err(FullError::Incomplete),
            Marked::None => Ok(()),
            _ => self.staging.unmark().await,
        }
    }
}
