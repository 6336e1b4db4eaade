//! The secondary slot as a DFU target.

mod work;

use core::marker::PhantomData;

use dfu_target::flash::{Region, RegionError, Writer};
use dfu_target::image::mcuboot::Header;
use dfu_target::target::{Applied, Assurance, Call, Checked, ErrorType, Proof, Written};
use dfu_target::{DfuTarget, Digest, Image, ImageKind, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use self::work::{Work, WorkPlan, mark_read};
use crate::check::Check;
use crate::mark::Found;
use crate::slot::{MAX_MARK, Mark, mix};
use crate::{ConfigError, Error, Slot};

/// The slot into which MCUboot expects a new image: the secondary one.
///
/// `H` is a SHA-256 engine, `N` the bytes of a buffer for odd chunks and for reading back: 128 or more, in whole
/// words and reads; more is faster.
///
/// ```text
///  init            reads at most the mark; refuses what the header shows to be wrong
///  write           erases the trailer, then each sector before its first byte; programs whole words
///  digest          reads the image back once: SHA-256 of the file, TLVs, the image's own hash
///  apply           swap_info, image_ok (permanent), the magic last; reads them back
/// ```
///
/// # Power and cancellation
///
/// Until the last word of the magic is there MCUboot sees nothing to do. A sector that was cut is erased again
/// before it is written again. A mark that was cut is erased by the next `apply`; where the image's end shares its
/// sector, `init` asks for those bytes once more.
#[derive(Debug)]
pub struct McubootTarget<'a, F, H, const N: usize> {
    region: Region<'a, F>,
    work: Work<'a, H, N>,
}

impl<'a, F: NorFlash, H: Sha256, const N: usize> McubootTarget<'a, F, H, N> {
    /// The slot in `region`.
    pub fn new(region: Region<'a, F>, engine: H, slot: &'a Slot) -> Result<Self, ConfigError> {
        const {
            assert!(N >= mark_read::<F>(), "the buffer of an MCUboot target holds 128 bytes or more");
            assert!(N.is_multiple_of(F::READ_SIZE), "the buffer of an MCUboot target is a whole number of reads");
        }
        if region.size() != slot.size || slot.sector != F::ERASE_SIZE as u32 {
            return Err(ConfigError::Size);
        }
        let work = Work {
            engine,
            slot,
            writer: Writer::new::<F>(slot.config.erased),
            least: 0,
            most: slot.max_image,
            received: 0,
            unclean: slot.size,
            check: Check::new(&Header::EMPTY),
            found: Found::Other,
            digest: None,
        };
        Ok(Self { region, work })
    }

    /// What the slot's mark asks of the bootloader now.
    pub async fn mark(&mut self) -> Result<Mark, Error<RegionError<F::Error>>> {
        self.go(None).await?;
        Ok(self.work.slot.read(self.work.writer.buffer().get(..MAX_MARK).unwrap_or(&[])))
    }

    /// Gives the region and the engine back.
    pub fn release(self) -> (Region<'a, F>, H) {
        (self.region, self.work.engine)
    }

    /// The one place that awaits. `None`: looks at the mark.
    async fn go(&mut self, mut call: Option<Call<'_>>) -> Result<(), Error<RegionError<F::Error>>> {
        let (step, input) = self.work.start(&call)?;
        let mut plan = WorkPlan { work: &mut self.work, step, input, flash: PhantomData::<fn() -> F> };
        self.region.run(&mut plan).await.map_err(Error::Flash)?;
        self.work.end::<F, _>(&mut call)
    }
}

impl<F: NorFlash, H, const N: usize> ErrorType for McubootTarget<'_, F, H, N> {
    type Error = Error<RegionError<F::Error>>;
}

impl<F: NorFlash, H: Sha256, const N: usize> DfuTarget for McubootTarget<'_, F, H, N> {
    fn identity(&self) -> u32 {
        mix(self.work.slot.identity, self.region.start())
    }

    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        kind == ImageKind::Mcuboot && index == self.work.slot.config.index
    }

    /// Reads the mark, if there is something to resume, and nothing else.
    async fn init(&mut self, image: &Image<'_>, mut offset: u32) -> Result<u32, Self::Error> {
        self.call(Call::Init(image, &mut offset)).await.map(|()| offset)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<Written, Self::Error> {
        let mut written = Written::Committed(0);
        self.call(Call::Write(bytes, &mut written)).await.map(|()| written)
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

    /// Erases the trailer, then the sector with the image's header.
    fn abort(&mut self) -> impl Future<Output = Result<(), Self::Error>> {
        self.call(Call::Abort)
    }

    fn call(&mut self, call: Call<'_>) -> impl Future<Output = Result<(), Self::Error>> {
        self.go(Some(call))
    }
}
