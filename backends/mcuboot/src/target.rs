//! The secondary slot as a DFU target.

use core::marker::PhantomData;

use dfu_target::flash::{Op, Plan, Region, RegionError, Writer, align_up};
use dfu_target::image::mcuboot::{Header, TLV_INFO_LEN};
use dfu_target::target::{Applied, Checked, ErrorType, Proof, Written};
use dfu_target::{DfuTarget, Digest, Image, ImageKind, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use crate::check::Check;
use crate::mark::Found;
use crate::slot::{MAX_MARK, Mark};
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

/// All but the flash.
#[derive(Debug)]
struct Work<'a, H, const N: usize> {
    engine: H,
    slot: &'a Slot,
    writer: Writer<N>,
    header: Header,
    /// The image's size, where known, and how much of it came.
    size: Option<u32>,
    received: u32,
    /// From here to the slot's end all is to be erased before anything else.
    unclean: u32,
    check: Check,
    found: Found,
    /// What the last reading found.
    checked: Option<Digest>,
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
            header: Header::EMPTY,
            size: None,
            received: 0,
            unclean: slot.size,
            check: Check::new(&Header::EMPTY),
            found: Found::Other,
            checked: None,
        };
        Ok(Self { region, work })
    }

    /// What the slot's mark asks of the bootloader now.
    pub async fn mark(&mut self) -> Result<Mark, Error<RegionError<F::Error>>> {
        self.go(Step::Look, &[]).await?;
        Ok(self.work.slot.read(self.work.writer.buffer().get(..MAX_MARK).unwrap_or(&[])))
    }

    /// Gives the region and the engine back.
    pub fn release(self) -> (Region<'a, F>, H) {
        (self.region, self.work.engine)
    }

    async fn go(&mut self, step: Step, input: &[u8]) -> Result<(), Error<RegionError<F::Error>>> {
        let mut plan = WorkPlan { work: &mut self.work, step, input, flash: PhantomData::<fn() -> F> };
        self.region.run(&mut plan).await.map_err(Error::Flash)
    }
}

impl<H, const N: usize> Work<'_, H, N> {
    fn close(&mut self) {
        self.writer.buffer();
        self.received = 0;
        self.unclean = self.slot.size;
        self.checked = None;
    }

    /// What the first bytes show to be wrong.
    fn check_head<E>(&mut self, image: &Image<'_>) -> Result<(), Error<E>> {
        self.close();
        self.header = Header::parse(image.head).map_err(Error::Header)?;
        self.size = image.size;
        let (need, max) = (self.need(), self.slot.max_image);
        let size = image.size.unwrap_or(need);
        if size.max(need) > max {
            return Err(Error::TooLarge { size: size.max(need), max });
        }
        if size < need {
            return Err(Error::Truncated { have: size, need });
        }
        Ok(())
    }

    /// The least that the header asks for.
    fn need(&self) -> u32 {
        self.header.hashed_len().saturating_add(TLV_INFO_LEN)
    }

    /// The end of the image, or of the room for it.
    fn until(&self) -> u32 {
        self.size.unwrap_or(self.slot.max_image)
    }

    /// Where to go on, once the mark was looked at.
    fn open<F: NorFlash>(&mut self, resume: u32) -> u32 {
        let complete = self.size == Some(resume);
        let mark_sector = self.slot.mark_sector();
        let mut wanted = resume;
        match self.found {
            Found::Blank => {}
            Found::Requested if complete => {}
            // The next `apply` erases it without losing a byte.
            Found::Other if complete && resume <= mark_sector => {}
            Found::Other | Found::Requested => {
                self.unclean = mark_sector;
                wanted = resume.min(mark_sector);
            }
        }
        if self.size == Some(wanted) {
            self.writer.start_complete(wanted);
        } else {
            wanted = self.writer.start_at::<F>(wanted, self.slot.max_image);
        }
        if wanted == 0 {
            self.unclean = self.slot.trailer;
        }
        self.received = wanted;
        wanted
    }
}

/// How much is read to see the mark.
const fn mark_read<F: NorFlash>() -> usize {
    MAX_MARK.next_multiple_of(F::READ_SIZE)
}

impl<F: NorFlash, H, const N: usize> ErrorType for McubootTarget<'_, F, H, N> {
    type Error = Error<RegionError<F::Error>>;
}

impl<F: NorFlash, H: Sha256, const N: usize> DfuTarget for McubootTarget<'_, F, H, N> {
    fn identity(&self) -> u32 {
        // "MCUB", the place and what the request and the limits are made of, mixed as FNV-1a does.
        let Slot { size, sector, trailer, max_image, config, .. } = *self.work.slot;
        [self.region.start(), size, sector, trailer, max_image, config.mode as u32, u32::from(config.index)]
            .iter()
            .fold(0x4255_434d, |hash: u32, value| (hash ^ value).wrapping_mul(0x0100_0193))
    }

    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        kind == ImageKind::Mcuboot && index == self.work.slot.config.index
    }

    /// Reads the mark, if there is something to resume, and nothing else.
    async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, Self::Error> {
        self.work.check_head(image)?;
        self.work.found = Found::Blank;
        if resume > 0 {
            self.go(Step::Look, &[]).await?;
        }
        Ok(self.work.open::<F>(resume))
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<Written, Self::Error> {
        let work = &mut self.work;
        let (size, max) = (work.received.saturating_add(bytes.len() as u32), work.until());
        if size > max {
            return Err(Error::TooLarge { size, max });
        }
        if !work.writer.close() {
            return Err(Error::Closed);
        }
        work.checked = None;
        self.go(Step::Feed { last: false }, bytes).await?;
        self.work.received = size;
        Ok(Written::Committed(self.work.writer.durable().min(size)))
    }

    async fn prepare(&mut self) -> Result<bool, Self::Error> {
        self.go(Step::Prepare, &[]).await?;
        Ok(self.work.unclean < self.work.slot.size || self.work.writer.unprepared(self.work.until()).is_some())
    }

    async fn digest(&mut self) -> Result<Checked, Self::Error> {
        let work = &mut self.work;
        let (have, need) = (work.received, work.size.unwrap_or(work.need()));
        if have < need {
            return Err(Error::Truncated { have, need });
        }
        if work.writer.close() {
            self.go(Step::Feed { last: true }, &[]).await?;
        } else if !work.writer.is_flushed() {
            return Err(Error::Closed);
        }
        self.work.check = Check::new(&self.work.header);
        self.work.engine.start();
        self.go(Step::Read, &[]).await?;
        let work = &mut self.work;
        let assurance = work.check.verdict(work.header.is_encrypted())?;
        let digest = work.engine.finish();
        work.checked = Some(digest);
        Ok(Checked { digest, assurance })
    }

    async fn apply(&mut self, proof: Proof) -> Result<Applied, Self::Error> {
        if self.work.checked.as_ref() != Some(proof.digest()) {
            return Err(Error::NotChecked);
        }
        self.go(Step::Request, &[]).await?;
        match self.work.found {
            Found::Requested => Ok(Applied::AtReset),
            Found::Other if self.work.received > self.work.slot.mark_sector() => Err(Error::TornMark),
            _ => Err(Error::MarkNotWritten),
        }
    }

    /// Erases the trailer, then the sector with the image's header.
    async fn abort(&mut self) -> Result<(), Self::Error> {
        self.work.close();
        self.go(Step::Abort(self.work.slot.trailer), &[]).await
    }
}

/// What a call comes to next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Erase what is unclean, then write the input; at the end what is left in the buffer too.
    Feed { last: bool },
    /// Erase one sector ahead.
    Prepare,
    Prepared(bool),
    /// Read the image back.
    Read,
    Reading(u32),
    /// Look at the mark.
    Look,
    Looked,
    /// Look at it, write the request unless something is in its way, look again.
    Request,
    Seen,
    Put(usize),
    /// Erase the trailer from here on, then the first sector.
    Abort(u32),
    Done,
}

struct WorkPlan<'w, 'a, F, H, const N: usize> {
    work: &'w mut Work<'a, H, N>,
    step: Step,
    input: &'w [u8],
    flash: PhantomData<fn() -> F>,
}

impl<F: NorFlash, H: Sha256, const N: usize> Plan for WorkPlan<'_, '_, F, H, N> {
    fn next(&mut self) -> Option<Op<'_>> {
        let work = &mut *self.work;
        let Slot { size, sector, .. } = *work.slot;
        let erase = |from: u32| Some(Op::Erase(from, from.saturating_add(sector)));
        loop {
            match self.step {
                Step::Feed { .. } if work.unclean < size => {
                    // The writer is closed: if this fails, all of it is done again.
                    let from = work.unclean;
                    work.unclean = from.saturating_add(sector);
                    return erase(from);
                }
                Step::Feed { last } => return work.writer.next::<F>(&mut self.input, last),
                Step::Prepare => {
                    let trailer = work.unclean < size;
                    self.step = Step::Prepared(trailer);
                    if trailer {
                        return erase(work.unclean);
                    }
                    return erase(work.writer.unprepared(work.until())?);
                }
                Step::Prepared(trailer) => {
                    if trailer {
                        work.unclean = work.unclean.saturating_add(sector);
                    } else {
                        work.writer.prepared::<F>();
                    }
                    self.step = Step::Done;
                }
                Step::Read => {
                    let at = work.check.at();
                    let len = work.received.saturating_sub(at).min(N as u32);
                    if len == 0 {
                        return None;
                    }
                    self.step = Step::Reading(len);
                    let bytes = work.writer.buffer().get_mut(..align_up(len, F::READ_SIZE as u32) as usize)?;
                    return Some(Op::Read(at, bytes));
                }
                Step::Reading(len) => {
                    let bytes = work.writer.buffer().get(..len as usize)?;
                    work.check.take(&mut work.engine, bytes);
                    self.step = Step::Read;
                }
                Step::Look | Step::Request => {
                    self.step = if self.step == Step::Look { Step::Looked } else { Step::Seen };
                    let bytes = work.writer.buffer().get_mut(..const { mark_read::<F>() })?;
                    return Some(Op::Read(size.saturating_sub(bytes.len() as u32), bytes));
                }
                Step::Looked | Step::Seen => {
                    work.found = Found::of(work.slot, work.writer.buffer().get(..const { mark_read::<F>() })?);
                    if self.step == Step::Looked {
                        return None;
                    }
                    self.step = Step::Put(0);
                    match work.found {
                        Found::Blank => {}
                        Found::Other if work.received <= work.slot.mark_sector() => return erase(work.slot.mark_sector()),
                        _ => return None,
                    }
                }
                Step::Put(piece) => {
                    let Some(&(from, len)) = work.slot.pieces.get(piece) else {
                        self.step = Step::Look;
                        continue;
                    };
                    self.step = Step::Put(piece.saturating_add(1));
                    if len > 0 {
                        // Drivers with DMA read from RAM.
                        let bytes = work.writer.buffer().get_mut(..usize::from(len))?;
                        let wanted = work.slot.request.iter().skip(usize::from(from));
                        bytes.iter_mut().zip(wanted).for_each(|(to, from)| *to = *from);
                        let at = size.saturating_sub(MAX_MARK as u32).saturating_add(u32::from(from));
                        return Some(Op::Write(at, bytes));
                    }
                }
                Step::Abort(from) if from < size => {
                    self.step = Step::Abort(from.saturating_add(sector));
                    return erase(from);
                }
                Step::Abort(_) => {
                    self.step = Step::Done;
                    return erase(0);
                }
                Step::Done => return None,
            }
        }
    }
}
