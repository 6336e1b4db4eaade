//! All that the target does but awaiting: what a call starts with, its operations one by one, what follows.

use core::marker::PhantomData;

use dfu_target::flash::{Op, Plan, Writer, align_down, align_up};
use dfu_target::image::mcuboot::{HEADER_LEN, Header, MAGIC};
use dfu_target::target::{Applied, Call, Checked, Written};
use dfu_target::{Digest, Image, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use crate::check::Check;
use crate::mark::{Found, IMAGE_OK, MAGIC_BLOCK, MAX_MARK, SWAP_INFO, SwapType};
use crate::preflight::{Preflight, is_preferred};
use crate::{Active, Error, Refusal, Slots, Upgrade, Verify};

/// All but the flash.
#[derive(Debug)]
pub(super) struct Work<E, H, P, V, const N: usize> {
    pub(super) place: P,
    pub(super) active: Active,
    pub(super) verify: V,
    /// Where the slot is in the flash.
    pub(super) address: u32,
    /// The image's least and greatest length, the same where its size is known, and how much of it came.
    pub(super) least: u32,
    pub(super) most: u32,
    pub(super) received: u32,
    /// From one to the other all is to be erased before anything else: to the slot's end, and from its start on.
    pub(super) unclean: u32,
    pub(super) clean_from: u32,
    /// The image's header.
    pub(super) head: [u8; HEADER_LEN],
    pub(super) found: Found,
    /// How a call went, but for the flash.
    pub(super) result: Result<(), Error<E>>,
    pub(super) check: Check,
    /// What the last reading found, if it was to be trusted.
    pub(super) digest: Option<Digest>,
    pub(super) writer: Writer<N>,
    pub(super) engine: H,
}

impl<E, H: Sha256, P: AsRef<Slots>, V: Verify, const N: usize> Work<E, H, P, V, N> {
    /// What can be refused without looking at the flash; else the first step.
    pub(super) fn start<'j, F: NorFlash>(&mut self, call: &Call<'j>) -> Option<(Step, &'j [u8])> {
        let slots = self.place.as_ref();
        Some(match call {
            Call::Init(image, _) => {
                self.check_head(image)?;
                (Step::Look, &[])
            }
            Call::Write(bytes, _) => {
                let (size, max) = (self.received.saturating_add(bytes.len() as u32), self.most);
                if size > max {
                    return self.refuse(Refusal::TooLarge { size, max });
                }
                if !self.writer.close() {
                    return self.fail(Error::Closed);
                }
                self.digest = None;
                // What is kept back was seen by `init`.
                let skipped = slots.held.saturating_sub(self.received) as usize;
                (Step::Feed, bytes.get(skipped..).unwrap_or(&[]))
            }
            Call::Prepare(_) => (Step::Prepare, &[]),
            Call::Digest(_) => {
                let (have, need) = (self.received, self.least);
                if have < need {
                    return self.refuse(Refusal::Truncated { have, need });
                }
                if !self.writer.is_flushed() && !self.writer.close() {
                    return self.fail(Error::Closed);
                }
                self.check.restart(F::READ_SIZE as u32, &mut self.verify);
                self.engine.start();
                (Step::Flush, &[])
            }
            Call::Apply(proof, _) if self.digest.as_ref() == Some(proof.digest()) => (Step::Request, &[]),
            Call::Apply(..) => return self.fail(Error::NotChecked),
            // It may hold the way back.
            Call::Abort if !self.active.stays(&slots.config) => return self.fail(Error::Trial),
            Call::Abort => {
                let unit = F::ERASE_SIZE as u32;
                let from = slots.trailer_unit(unit);
                let to = slots.secondary.saturating_add(slots.start).saturating_add(unit);
                self.close();
                (self.unclean, self.clean_from) = (from, to);
                (Step::Clean, &[])
            }
        })
    }

    /// What follows from the work done.
    pub(super) fn end<F: NorFlash>(&mut self, call: &mut Call<'_>) -> Option<()> {
        if self.result.is_err() {
            return None;
        }
        match call {
            Call::Init(_, offset) => {
                self.open::<F>(**offset)?;
                **offset = self.received;
            }
            Call::Write(bytes, written) => {
                // It was seen to fit.
                self.received = self.received.wrapping_add(bytes.len() as u32);
                **written = Written::Committed(self.writer.durable().min(self.received));
            }
            Call::Prepare(more) => {
                **more = self.unclean < self.clean_from || self.writer.unprepared(self.most).is_some();
            }
            Call::Digest(checked) => {
                let signature = match self.check.signature() {
                    Some((offset, len)) if V::SIGNATURE > 0 => signature::<F>(self.writer.buffer(), offset, len),
                    _ => &[],
                };
                let assurance = match self.check.verdict(self.place.as_ref(), &mut self.verify, signature) {
                    Ok(assurance) => assurance,
                    Err(refusal) => return self.refuse(refusal),
                };
                let digest = self.engine.finish();
                **checked = Checked { digest, assurance };
                self.digest = Some(digest);
            }
            Call::Apply(_, applied) => match self.found {
                Found::Requested => **applied = Applied::AtReset,
                Found::Other | Found::Pending(_) if self.shares_mark::<F>(self.received) => {
                    return self.fail(Error::TornMark);
                }
                _ => return self.fail(Error::MarkNotWritten),
            },
            Call::Abort => {}
        }
        Some(())
    }

    fn fail<T>(&mut self, fault: Error<E>) -> Option<T> {
        self.result = Err(fault);
        None
    }

    fn refuse<T>(&mut self, refusal: Refusal) -> Option<T> {
        self.fail(Error::Refused(refusal))
    }

    /// Closes it for all but erasing the mark, and what is kept back of an image.
    pub(super) fn withdraw<F: NorFlash>(&mut self) {
        let slots = self.place.as_ref();
        let unit = F::ERASE_SIZE as u32;
        let from = if slots.mode().has_trailer() { slots.mark_unit(unit) } else { slots.secondary };
        let to = slots.secondary.saturating_add(if slots.held > 0 { unit } else { 0 });
        self.close();
        (self.unclean, self.clean_from) = (from, to);
    }

    fn close(&mut self) {
        self.writer.buffer();
        self.received = 0;
        self.unclean = 0;
        self.clean_from = 0;
        self.digest = None;
    }

    /// What the first bytes show to be wrong.
    #[inline(never)] // Less code than inside the state machine that calls it.
    fn check_head(&mut self, image: &Image<'_>) -> Option<()> {
        self.close();
        let header = match Header::parse(image.head) {
            Ok(header) => header,
            Err(error) => return self.refuse(Refusal::Header(error)),
        };
        let running = self.active.version;
        let flight = Preflight { header: &header, size: image.size, running, address: self.address };
        match flight.check(self.place.as_ref()) {
            Ok((least, most)) => (self.least, self.most) = (least, most),
            Err(refusal) => return self.refuse(refusal),
        }
        if let Err(refusal) = self.verify.header(&header, running) {
            return self.refuse(refusal);
        }
        if !self.active.stays(&self.place.as_ref().config) {
            return self.fail(Error::Trial);
        }
        self.check.begin(&header);
        if self.place.as_ref().held > 0
            && let Some(head) = image.head.first_chunk()
        {
            self.head = *head;
        }
        Some(())
    }

    /// Where to go on, once the mark was looked at.
    fn open<F: NorFlash>(&mut self, resume: u32) -> Option<()> {
        let slots = self.place.as_ref();
        let unit = F::ERASE_SIZE as u32;
        let end = if self.least == self.most { self.most } else { u32::MAX };
        let complete = resume == end;
        let mut wanted = resume;
        match self.found {
            Found::Blank => {}
            Found::Requested | Found::Marked if complete => {}
            // The next `apply` erases it without losing a byte.
            Found::Other if complete && !self.shares_mark::<F>(resume) => {}
            Found::Pending(_) if complete && slots.held == 0 && !self.shares_mark::<F>(resume) => {}
            Found::Requested => {
                let permanent = slots.config.upgrade == Upgrade::Permanent;
                return self.fail(Error::Pending(if permanent { SwapType::Permanent } else { SwapType::Test }));
            }
            Found::Pending(swap) if !complete => return self.fail(Error::Pending(swap)),
            // Also where the first word was cut, and reads as another image's.
            Found::Foreign | Found::Pending(_) if slots.held > 0 => wanted = 0,
            _ => {
                let mark = slots.mark_unit(unit);
                wanted = resume.min(mark.saturating_sub(slots.start));
                (self.unclean, self.clean_from) = (mark, slots.secondary);
            }
        }
        if wanted == end {
            self.writer.start_complete(wanted);
        } else {
            wanted = self.writer.start_at::<F>(wanted, slots.max_image);
        }
        if wanted == 0 {
            self.unclean = slots.trailer_unit(unit);
            self.clean_from = slots.secondary.saturating_add(slots.front(unit));
            if slots.held > 0 {
                self.writer.leave_out::<F>(slots.held);
            }
        }
        self.received = wanted;
        Some(())
    }

    /// Whether an image of this length reaches into the erase unit with the mark.
    fn shares_mark<F: NorFlash>(&self, len: u32) -> bool {
        let slots = self.place.as_ref();
        slots.start.saturating_add(len) > slots.mark_unit(F::ERASE_SIZE as u32)
    }

    /// What the slot's first bytes make of a mark.
    fn with_head(&self, bytes: &[u8]) -> Found {
        let slots = self.place.as_ref();
        let is_blank = bytes.iter().take(slots.held as usize).all(|byte| *byte == slots.config.erased);
        let is_same = bytes.get(..HEADER_LEN) == Some(&self.head);
        if slots.held == 0 {
            // A request without an image: what an overwriting bootloader leaves behind when it is cut, for ever.
            return if bytes.starts_with(&MAGIC) { self.found } else { Found::Other };
        }
        match self.found {
            Found::Requested if is_same => Found::Requested,
            Found::Blank if is_same && !slots.mode().has_trailer() => Found::Requested,
            Found::Requested if is_blank => Found::Marked,
            // Without an image it asks for nothing.
            Found::Pending(_) if is_blank => Found::Other,
            found if is_blank => found,
            found => {
                let pending = match found {
                    Found::Pending(_) | Found::Requested => true,
                    _ => !slots.mode().has_trailer(),
                };
                // All but the first word is this image's: that word was cut.
                let held = slots.held as usize;
                let torn = held < HEADER_LEN && bytes.get(held..HEADER_LEN) == self.head.get(held..);
                let runs = self.active.version;
                match Header::parse(bytes) {
                    Ok(header) if pending && !torn && is_preferred(&header, runs, slots) => {
                        Found::Pending(SwapType::Test)
                    }
                    _ => Found::Foreign,
                }
            }
        }
    }
}

/// A signature in a buffer that was filled by whole reads.
fn signature<F: NorFlash>(buffer: &[u8], offset: u32, len: u16) -> &[u8] {
    let skipped = offset.wrapping_sub(align_down(offset, F::READ_SIZE as u32)) as usize;
    buffer.get(skipped..).and_then(|bytes| bytes.get(..usize::from(len))).unwrap_or(&[])
}

/// What a call comes to next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Erase what is unclean, then write the input.
    Feed,
    /// Erase what is unclean, and no more.
    Clean,
    /// Write what is left in the buffer, then read the image back.
    Flush,
    /// Erase one sector ahead.
    Prepare,
    Prepared,
    Read,
    Reading,
    /// Read the signature before the rest.
    Sign,
    Signed,
    /// Look at the mark, then at the image's first word.
    Look,
    Looked,
    LookedAtHead,
    /// Look at them, write the request unless something is in its way, look again.
    Request,
    Decide,
    PutSwap,
    PutImageOk,
    PutMagic,
    PutHead,
    Done,
}

/// The work of one call, operation by operation.
pub(super) struct WorkPlan<'w, F, E, H, P, V, const N: usize> {
    work: &'w mut Work<E, H, P, V, N>,
    step: Step,
    /// Once it was looked at what is there, the request is written.
    requests: bool,
    input: &'w [u8],
    flash: PhantomData<fn() -> F>,
}

impl<'w, F, E, H, P, V, const N: usize> WorkPlan<'w, F, E, H, P, V, N> {
    pub(super) fn new(work: &'w mut Work<E, H, P, V, N>, step: Step, input: &'w [u8]) -> Self {
        Self { work, step, requests: false, input, flash: PhantomData }
    }
}

impl<F: NorFlash, E, H: Sha256, P: AsRef<Slots>, V: Verify, const N: usize> Plan for WorkPlan<'_, F, E, H, P, V, N> {
    fn next(&mut self) -> Option<Op<'_>> {
        let work = &mut *self.work;
        let unit = F::ERASE_SIZE as u32;
        let &Slots { secondary: size, start, held, .. } = work.place.as_ref();
        let erase = |from: u32| Some(Op::Erase(from, from.wrapping_add(unit)));
        // What lies behind the slot's end stands for its start.
        let place = |at: u32| if at < size { at } else { at.wrapping_sub(size) };
        let (at, len) = loop {
            match self.step {
                Step::Feed | Step::Clean if work.unclean < work.clean_from => {
                    // The writer is closed: if this fails, all of it is done again.
                    let from = work.unclean;
                    work.unclean = from.wrapping_add(unit);
                    return erase(place(from));
                }
                Step::Flush if !work.writer.pending() => {
                    work.writer.start_complete(work.received);
                    self.step = Step::Read;
                }
                Step::Feed | Step::Flush => {
                    let last = self.step == Step::Flush;
                    let mut op = work.writer.next::<F>(&mut self.input, last)?;
                    op.shift(start);
                    return Some(op);
                }
                Step::Prepare => {
                    let unclean = work.unclean < work.clean_from;
                    self.step = Step::Prepared;
                    if unclean {
                        return erase(place(work.unclean));
                    }
                    return erase(work.writer.unprepared(work.most)?.wrapping_add(start));
                }
                Step::Prepared => {
                    if work.unclean < work.clean_from {
                        work.unclean = work.unclean.wrapping_add(unit);
                    } else {
                        work.writer.prepared::<F>();
                    }
                    self.step = Step::Done;
                }
                Step::Read => {
                    let at = work.check.at();
                    let len = work.received.saturating_sub(at).min(N as u32);
                    if len > 0 {
                        self.step = Step::Reading;
                        break (at.wrapping_add(start), align_up(len, F::READ_SIZE as u32) as usize);
                    }
                    let again = match work.check.turn(&mut work.verify) {
                        Ok(again) => again,
                        Err(refusal) => return work.refuse(refusal),
                    };
                    self.step = if V::SIGNATURE > 0 && work.check.signature().is_some() {
                        Step::Sign
                    } else if again {
                        Step::Read
                    } else {
                        return None;
                    };
                }
                Step::Reading => {
                    let at = work.check.at();
                    let len = work.received.saturating_sub(at).min(N as u32);
                    let whole = at == 0;
                    let bytes = work.writer.buffer().get_mut(..len as usize)?;
                    if whole && held > 0 {
                        // What is kept back is not in the flash yet.
                        let kept = work.head.iter().take(held as usize);
                        bytes.iter_mut().zip(kept).for_each(|(to, from)| *to = *from);
                    }
                    let slots = work.place.as_ref();
                    if let Err(refusal) = work.check.take(&mut work.engine, &mut work.verify, slots, bytes) {
                        return work.refuse(refusal);
                    }
                    self.step = Step::Read;
                }
                Step::Sign if V::SIGNATURE > 0 => {
                    let (offset, len) = work.check.signature()?;
                    self.step = if work.check.at() == 0 { Step::Signed } else { Step::Done };
                    let from = align_down(offset, F::READ_SIZE as u32);
                    let to = align_up(offset.wrapping_add(u32::from(len)), F::READ_SIZE as u32);
                    break (from.wrapping_add(start), to.wrapping_sub(from) as usize);
                }
                Step::Signed if V::PURE => {
                    let (offset, len) = work.check.signature()?;
                    let bytes = signature::<F>(work.writer.buffer(), offset, len);
                    if let Err(refusal) = work.verify.hashing(bytes) {
                        return work.refuse(refusal);
                    }
                    self.step = Step::Read;
                }
                Step::Request => {
                    self.requests = true;
                    self.step = Step::Look;
                }
                Step::Look => {
                    self.step = Step::Looked;
                    let len = const { mark_read::<F>() };
                    break (size.wrapping_sub(len as u32), len);
                }
                Step::Looked => {
                    let slots = work.place.as_ref();
                    work.found = if slots.mode().has_trailer() {
                        Found::of(slots, work.writer.buffer().get(..const { mark_read::<F>() })?)
                    } else {
                        Found::Blank
                    };
                    self.step = Step::Decide;
                    if held > 0 || matches!(work.found, Found::Pending(_) | Found::Requested) {
                        self.step = Step::LookedAtHead;
                        break (start, const { HEADER_LEN.next_multiple_of(F::READ_SIZE) });
                    }
                }
                Step::LookedAtHead => {
                    work.found = work.with_head(work.writer.buffered());
                    self.step = Step::Decide;
                }
                Step::Decide => {
                    if !core::mem::take(&mut self.requests) {
                        return None;
                    }
                    self.step = Step::PutSwap;
                    match work.found {
                        Found::Blank => {}
                        Found::Marked if held > 0 => self.step = Step::PutHead,
                        Found::Other | Found::Pending(_)
                            if (held == 0 || work.found == Found::Other) && !work.shares_mark::<F>(work.received) =>
                        {
                            return erase(work.place.as_ref().mark_unit(unit));
                        }
                        _ => return None,
                    }
                }
                Step::PutSwap | Step::PutImageOk | Step::PutMagic => {
                    let slots = work.place.as_ref();
                    let field = match self.step {
                        Step::PutSwap => SWAP_INFO,
                        Step::PutImageOk => IMAGE_OK,
                        _ => MAGIC_BLOCK,
                    };
                    self.step = match self.step {
                        Step::PutSwap => Step::PutImageOk,
                        Step::PutImageOk => Step::PutMagic,
                        _ if held > 0 => Step::PutHead,
                        _ => Step::Look,
                    };
                    let from = slots.distance(field);
                    if slots.mode().has_trailer() && (field == MAGIC_BLOCK || slots.wanted(from) != slots.config.erased)
                    {
                        let len = if field == MAGIC_BLOCK { from as usize } else { F::WRITE_SIZE };
                        // Drivers with DMA read from RAM.
                        let bytes = work.writer.buffer().get_mut(..len)?;
                        let distances = (0..from).map(|nth| from.wrapping_sub(nth));
                        bytes.iter_mut().zip(distances).for_each(|(to, distance)| *to = slots.wanted(distance));
                        return Some(Op::Write(size.wrapping_sub(from), bytes));
                    }
                }
                Step::PutHead if held > 0 => {
                    self.step = Step::Look;
                    let bytes = work.writer.buffer().get_mut(..held as usize)?;
                    bytes.iter_mut().zip(&work.head).for_each(|(to, from)| *to = *from);
                    return Some(Op::Write(0, bytes));
                }
                _ => return None,
            }
        };
        Some(Op::Read(at, work.writer.buffer().get_mut(..len)?))
    }
}

/// How much is read to see the mark.
pub(super) const fn mark_read<F: NorFlash>() -> usize {
    MAX_MARK.next_multiple_of(F::READ_SIZE)
}
