//! The secondary slot as a DFU target.

use core::marker::PhantomData;

use dfu_target::flash::{Op, Plan, Region, RegionError, Writer, align_up};
use dfu_target::image::mcuboot::{Header, TLV_INFO_LEN};
use dfu_target::target::{Applied, Assurance, Call, Checked, ErrorType, Proof, Written};
use dfu_target::{DfuTarget, Digest, Image, ImageKind, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

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

/// All but the flash.
#[derive(Debug)]
struct Work<'a, H, const N: usize> {
    slot: &'a Slot,
    /// The image's least and greatest length, the same where its size is known, and how much of it came.
    least: u32,
    most: u32,
    received: u32,
    /// From here to the slot's end all is to be erased before anything else.
    unclean: u32,
    found: Found,
    check: Check,
    /// What the last reading found, if it was to be trusted.
    digest: Option<Digest>,
    writer: Writer<N>,
    engine: H,
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

impl<H: Sha256, const N: usize> Work<'_, H, N> {
    /// What can be refused without looking at the flash; else the first step.
    fn start<'j, E>(&mut self, call: &Option<Call<'j>>) -> Result<(Step, &'j [u8]), Error<E>> {
        let Some(call) = call else { return Ok((Step::Look, &[])) };
        Ok(match call {
            Call::Init(image, resume) => {
                self.check_head(image)?;
                self.found = Found::Blank;
                (if **resume > 0 { Step::Look } else { Step::Done }, &[])
            }
            Call::Write(bytes, _) => {
                let (size, max) = (self.received.saturating_add(bytes.len() as u32), self.most);
                if size > max {
                    return Err(Error::TooLarge { size, max });
                }
                if !self.writer.close() {
                    return Err(Error::Closed);
                }
                self.digest = None;
                (Step::Feed, bytes)
            }
            Call::Prepare(_) => (Step::Prepare, &[]),
            Call::Digest(_) => {
                let (have, need) = (self.received, self.least);
                if have < need {
                    return Err(Error::Truncated { have, need });
                }
                if !self.writer.end() && !self.writer.close() {
                    return Err(Error::Closed);
                }
                self.check.restart();
                self.engine.start();
                (Step::Flush, &[])
            }
            Call::Apply(proof, _) if self.digest.as_ref() == Some(proof.digest()) => (Step::Request, &[]),
            Call::Apply(..) => return Err(Error::NotChecked),
            Call::Abort => {
                self.close();
                (Step::Abort(self.slot.trailer), &[])
            }
        })
    }

    /// What follows from the work done.
    fn end<F: NorFlash, E>(&mut self, call: &mut Option<Call<'_>>) -> Result<(), Error<E>> {
        match call {
            Some(Call::Init(_, offset)) => {
                self.open::<F>(**offset);
                **offset = self.received;
            }
            Some(Call::Write(bytes, written)) => {
                // It was seen to fit.
                self.received = self.received.wrapping_add(bytes.len() as u32);
                **written = Written::Committed(self.writer.durable().min(self.received));
            }
            Some(Call::Prepare(more)) => {
                **more = self.unclean < self.slot.size || self.writer.unprepared(self.most).is_some();
            }
            Some(Call::Digest(checked)) => {
                let assurance = self.check.verdict()?;
                let digest = self.engine.finish();
                **checked = Checked { digest, assurance };
                self.digest = Some(digest);
            }
            Some(Call::Apply(_, applied)) => match self.found {
                Found::Requested => **applied = Applied::AtReset,
                Found::Other if self.received > self.slot.mark_sector() => return Err(Error::TornMark),
                _ => return Err(Error::MarkNotWritten),
            },
            Some(Call::Abort) | None => {}
        }
        Ok(())
    }

    fn close(&mut self) {
        self.writer.buffer();
        self.received = 0;
        self.unclean = self.slot.size;
        self.digest = None;
    }

    /// What the first bytes show to be wrong.
    fn check_head<E>(&mut self, image: &Image<'_>) -> Result<(), Error<E>> {
        self.close();
        let header = Header::parse(image.head).map_err(Error::Header)?;
        self.check = Check::new(&header);
        let (need, max) = (header.hashed_len().saturating_add(TLV_INFO_LEN), self.slot.max_image);
        self.least = image.size.unwrap_or(need);
        self.most = image.size.unwrap_or(max);
        let size = self.least.max(need);
        if size > max {
            return Err(Error::TooLarge { size, max });
        }
        if self.least < need {
            return Err(Error::Truncated { have: self.least, need });
        }
        Ok(())
    }

    /// Where to go on, once the mark was looked at.
    fn open<F: NorFlash>(&mut self, resume: u32) {
        let end = if self.least == self.most { self.most } else { u32::MAX };
        let complete = resume == end;
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
        if wanted == end {
            self.writer.start_complete(wanted);
        } else {
            wanted = self.writer.start_at::<F>(wanted, self.slot.max_image);
        }
        if wanted == 0 {
            self.unclean = self.slot.trailer;
        }
        self.received = wanted;
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

/// What a call comes to next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Erase what is unclean, then write the input.
    Feed,
    /// Write what is left in the buffer, then read the image back.
    Flush,
    /// Erase one sector ahead.
    Prepare,
    Prepared(bool),
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
        let erase = |from: u32| Some(Op::Erase(from, from.wrapping_add(sector)));
        let (at, len) = loop {
            match self.step {
                Step::Feed if work.unclean < size => {
                    // The writer is closed: if this fails, all of it is done again.
                    let from = work.unclean;
                    work.unclean = from.wrapping_add(sector);
                    return erase(from);
                }
                Step::Flush if !work.writer.pending() => {
                    work.writer.start_complete(work.received);
                    self.step = Step::Read;
                }
                Step::Feed | Step::Flush => {
                    return work.writer.next::<F>(&mut self.input, self.step == Step::Flush);
                }
                Step::Prepare => {
                    let trailer = work.unclean < size;
                    self.step = Step::Prepared(trailer);
                    if trailer {
                        return erase(work.unclean);
                    }
                    return erase(work.writer.unprepared(work.most)?);
                }
                Step::Prepared(trailer) => {
                    if trailer {
                        work.unclean = work.unclean.wrapping_add(sector);
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
                    break (at, align_up(len, F::READ_SIZE as u32) as usize);
                }
                Step::Reading(len) => {
                    let bytes = work.writer.buffer().get(..len as usize)?;
                    work.check.take(&mut work.engine, bytes);
                    self.step = Step::Read;
                }
                Step::Look | Step::Request => {
                    self.step = if self.step == Step::Look { Step::Looked } else { Step::Seen };
                    let len = const { mark_read::<F>() };
                    break (size.wrapping_sub(len as u32), len);
                }
                Step::Looked | Step::Seen => {
                    work.found = Found::of(work.slot, work.writer.buffer().get(..const { mark_read::<F>() })?);
                    if self.step == Step::Looked {
                        return None;
                    }
                    self.step = Step::Put(0);
                    match work.found {
                        Found::Blank => {}
                        Found::Other if work.received <= work.slot.mark_sector() => {
                            return erase(work.slot.mark_sector());
                        }
                        _ => return None,
                    }
                }
                Step::Put(piece) => {
                    let Some(&(from, len)) = work.slot.pieces.get(piece) else {
                        self.step = Step::Look;
                        continue;
                    };
                    self.step = Step::Put(piece.wrapping_add(1));
                    if len > 0 {
                        // Drivers with DMA read from RAM.
                        let bytes = work.writer.buffer().get_mut(..usize::from(len))?;
                        let wanted = work.slot.request.iter().skip(usize::from(from));
                        bytes.iter_mut().zip(wanted).for_each(|(to, from)| *to = *from);
                        let at = size.wrapping_sub(MAX_MARK as u32).wrapping_add(u32::from(from));
                        return Some(Op::Write(at, bytes));
                    }
                }
                Step::Abort(from) if from < size => {
                    self.step = Step::Abort(from.wrapping_add(sector));
                    return erase(from);
                }
                Step::Abort(_) => {
                    self.step = Step::Done;
                    return erase(0);
                }
                Step::Done => return None,
            }
        };
        Some(Op::Read(at, work.writer.buffer().get_mut(..len)?))
    }
}
