//! A slot as a DFU target.

mod plan;
mod work;

use dfu_target::flash::{Recall, Region, RegionError, Writer};
use dfu_target::image::mcuboot::HEADER_LEN;
use dfu_target::target::{Applied, Assurance, Call, Checked, ErrorType, Proof, Written};
use dfu_target::{DfuTarget, Digest, Image, ImageKind, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use self::plan::{Step, WorkPlan, mark_read};
use self::work::Work;
use crate::check::Check;
use crate::mark::{Found, Mark, read_mark};
use crate::slots::mix;
use crate::{Active, ConfigError, Error, HashKind, Slots, Verify};

/// The slot into which MCUboot expects a new image: the secondary one, or, where the bootloader chooses between
/// two, the one that does not run.
///
/// `H` is a SHA-256 engine, `P` says where the slots are ([`Slots`]), `N` are the bytes of a buffer for odd chunks
/// and for reading back: 128 or more, or as many as a signature has, in whole words and reads, and an erase unit at
/// most; more is faster. `V` is what more is asked of an
/// image ([`Verify`]). Small pieces are gathered in the buffer and written together.
///
/// ```text
///  init            refuses what the header shows to be wrong; reads what is there of the image, and goes on only with
///                  what was written; reads the mark, refuses a trial, a pending swap
///  write           erases the trailer, then each sector before its first byte; programs whole words
///  digest          reads the image back: its TLVs, then its hash and signature in one pass
///  apply           swap_info, image_ok (permanent), the magic last; reads them back
/// ```
///
/// Where the bootloader chooses by version there is no mark, or it is not enough: there the image's first word is
/// kept back, and `apply` writes it last of all. Until then the bootloader sees no image, and leaves it alone.
///
/// # Power and cancellation
///
/// Until the last word of the mark is there MCUboot sees nothing to do. A sector that was cut is erased again
/// before it is written again. A mark that was cut is erased by the next `apply`; where the image's end shares its
/// sector, `init` asks for those bytes once more. A first word that was cut costs the whole image.
#[derive(Debug)]
pub struct McubootTarget<'a, F: NorFlash, H, P, const N: usize, V = ()> {
    region: Region<'a, F>,
    work: Work<RegionError<F::Error>, H, P, V, N>,
}

impl<'a, F: NorFlash, H: Sha256, P: AsRef<Slots>, const N: usize> McubootTarget<'a, F, H, P, N> {
    /// The slot in `region`, beside the image that is `active`.
    pub fn new(region: Region<'a, F>, engine: H, place: P, active: Active) -> Result<Self, ConfigError> {
        Self::verifying(region, engine, place, active, ())
    }
}

impl<'a, F: NorFlash, H: Sha256, P: AsRef<Slots>, const N: usize, V: Verify> McubootTarget<'a, F, H, P, N, V> {
    /// The slot in `region`, for images of which more is asked.
    #[inline(never)] // Made where it stays, not moved there field by field.
    pub fn verifying(
        region: Region<'a, F>,
        engine: H,
        place: P,
        active: Active,
        verify: V,
    ) -> Result<Self, ConfigError> {
        const {
            assert!(N >= mark_read::<F>(), "the buffer of an MCUboot target holds 128 bytes or more");
            assert!(N.is_multiple_of(F::READ_SIZE), "the buffer of an MCUboot target is a whole number of reads");
            let signature = if V::SIGNATURE > 0 { V::SIGNATURE + 2 * (F::READ_SIZE - 1) } else { 0 };
            assert!(N >= signature, "the buffer of an MCUboot target holds a signature, in whole reads");
        }
        let slots = place.as_ref();
        if region.size() != slots.secondary {
            return Err(ConfigError::Region);
        }
        if slots.held > 0 && F::WRITE_SIZE as u32 > slots.held {
            return Err(ConfigError::WriteSize);
        }
        if slots.config.hash != HashKind::Sha256 && slots.config.hash as u8 != V::HASH as u8 {
            return Err(ConfigError::Hash);
        }
        if slots.mode().chooses() && active.version.is_none() {
            return Err(ConfigError::Version);
        }
        let work = Work {
            engine,
            verify,
            active,
            writer: Writer::new::<F>(slots.config.erased),
            address: region.start(),
            least: 0,
            most: slots.max_image,
            received: 0,
            recall: Recall::new(),
            unclean: 0,
            clean_from: 0,
            head: [0; HEADER_LEN],
            check: Check::new(),
            found: Found::Other,
            result: Ok(()),
            digest: None,
            place,
        };
        Ok(Self { region, work })
    }

    /// What the slot's mark asks of the bootloader now.
    pub async fn mark(&mut self) -> Result<Mark, Error<RegionError<F::Error>>> {
        read_mark(&mut self.region, self.work.place.as_ref()).await.map_err(Error::Flash)
    }

    /// Takes note of what runs by now: after [`Running::confirm`](crate::Running::confirm) a trial is over, and the
    /// slot takes an image without a new target. Without a version that of before stays.
    pub fn set_active(&mut self, active: Active) {
        let version = active.version.or(self.work.active.version);
        self.work.active = Active { version, ..active };
    }

    /// What more is asked of an image, and was found out about the last one.
    pub fn verifier(&self) -> &V {
        &self.work.verify
    }

    /// Withdraws what is pending: the next reset changes nothing. Erased is the sector with the mark, or where the first
    /// word is kept back, the image's first one, each with what else is in it; all else stays. A mark that is torn, or
    /// not MCUboot's, is erased like one that asks for something; where neither a mark nor an image waits, nothing is.
    /// Legal to repeat, and in any state of the slot; but refused while the running image is on trial, when nothing is
    /// pending and the slot holds the way back. Bytes that come next are refused: [`init`](DfuTarget::init) comes first.
    ///
    /// # Power and cancellation
    ///
    /// Nothing, one sector or a few are erased. A cut leaves it pending or withdrawn.
    pub async fn withdraw(&mut self) -> Result<(), Error<RegionError<F::Error>>> {
        if !self.work.active.stays(&self.work.place.as_ref().config) {
            return Err(Error::Trial);
        }
        let mut look = WorkPlan::<F, _, _, _, _, N>::new(&mut self.work, Step::Look, &[]);
        self.region.run(&mut look).await.map_err(Error::Flash)?;
        if matches!(self.work.found, Found::Blank | Found::Foreign) {
            return Ok(());
        }
        self.work.withdraw::<F>();
        let mut plan = WorkPlan::<F, _, _, _, _, N>::new(&mut self.work, Step::Clean, &[]);
        self.region.run(&mut plan).await.map_err(Error::Flash)
    }

    /// Gives the region and the engine back.
    pub fn release(self) -> (Region<'a, F>, H) {
        (self.region, self.work.engine)
    }
}

impl<F: NorFlash, H, P, const N: usize, V> ErrorType for McubootTarget<'_, F, H, P, N, V> {
    type Error = Error<RegionError<F::Error>>;
}

impl<F: NorFlash, H: Sha256, P: AsRef<Slots>, const N: usize, V: Verify> DfuTarget
    for McubootTarget<'_, F, H, P, N, V>
{
    fn identity(&self, _: ImageKind, _: u8) -> u32 {
        mix(self.work.place.as_ref().identity, self.region.start())
    }

    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        kind == ImageKind::Mcuboot && index == self.work.place.as_ref().config.index
    }

    /// Reads what is to be gone on with and the mark, and changes nothing. An image of which something else is there
    /// than what was promised begins anew.
    async fn init(&mut self, image: &Image<'_>, mut offset: u32) -> Result<u32, Self::Error> {
        self.call(Call::Init(image, &mut offset)).await.map(|()| offset)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<Written, Self::Error> {
        let mut written = Written::Committed(0);
        self.call(Call::Write(bytes, &mut written)).await.map(|()| written)
    }

    fn take(&mut self, bytes: &[u8]) -> bool {
        self.work.take::<F>(bytes)
    }

    /// A checksum of what is in the flash, unless [`Config::recall`](crate::Config::recall) has it left out.
    fn keep(&self) -> Option<&[u8]> {
        self.work.place.as_ref().config.recall.then(|| self.work.recall.keep())
    }

    async fn prepare(&mut self) -> Result<bool, Self::Error> {
        let mut more = false;
        self.call(Call::Prepare(&mut more)).await.map(|()| more)
    }

    async fn digest(&mut self) -> Result<Checked, Self::Error> {
        let mut checked = Checked { digest: Digest([0; 32]), assurance: Assurance::None };
        self.call(Call::Digest(&mut checked)).await.map(|()| checked)
    }

    async fn apply(&mut self, proof: Proof) -> Result<Applied, Self::Error> {
        let mut applied = Applied::AtReset;
        self.call(Call::Apply(&proof, &mut applied)).await.map(|()| applied)
    }

    /// Erases the trailer, then what holds the image's header; where the first word is kept back, the latter alone.
    /// Refused during a trial, when that is the way back.
    fn abort(&mut self) -> impl Future<Output = Result<(), Self::Error>> {
        self.call(Call::Abort)
    }

    /// Every call waits here.
    #[allow(clippy::manual_async_fn)] // An `async fn` keeps its arguments twice.
    fn call(&mut self, mut call: Call<'_>) -> impl Future<Output = Result<(), Self::Error>> {
        async move {
            if let Some((step, input)) = self.work.start::<F>(&call) {
                let mut plan = WorkPlan::<F, _, _, _, _, N>::of(&mut self.work, &call, step, input);
                self.region.run(&mut plan).await.map_err(Error::Flash)?;
                self.work.end::<F>(&mut call);
            }
            if self.work.result.is_ok() { Ok(()) } else { core::mem::replace(&mut self.work.result, Ok(())) }
        }
    }
}
