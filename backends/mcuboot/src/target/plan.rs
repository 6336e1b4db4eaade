//! The work of one call, operation by operation.

use core::marker::PhantomData;

use dfu_target::Sha256;
use dfu_target::flash::{Op, Plan, Recall, align_down, align_up};
use dfu_target::image::mcuboot::HEADER_LEN;
use dfu_target::target::Call;
use embedded_storage_async::nor_flash::NorFlash;

use super::work::Work;
use crate::mark::{Found, IMAGE_OK, MAGIC_BLOCK, MAGIC_LEN, MAX_MARK, SWAP_INFO};
use crate::{Slots, Verify};

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
    /// Read what is to be gone on with, before anything else.
    Recall,
    Recalled,
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
    /// How far it was read of what was promised.
    at: u32,
    promised: u32,
    input: &'w [u8],
    flash: PhantomData<fn() -> F>,
}

impl<'w, F, E, H, P, V, const N: usize> WorkPlan<'w, F, E, H, P, V, N> {
    pub(super) fn new(work: &'w mut Work<E, H, P, V, N>, step: Step, input: &'w [u8]) -> Self {
        Self { work, step, requests: false, at: 0, promised: 0, input, flash: PhantomData }
    }

    /// The work of a call.
    pub(super) fn of(work: &'w mut Work<E, H, P, V, N>, call: &Call<'_>, step: Step, input: &'w [u8]) -> Self {
        let promised = if let Call::Init(_, promised) = call { **promised } else { 0 };
        Self { promised, ..Self::new(work, step, input) }
    }
}

impl<F: NorFlash, E, H: Sha256, P: AsRef<Slots>, V: Verify, const N: usize> Plan for WorkPlan<'_, F, E, H, P, V, N> {
    fn next(&mut self) -> Option<Op<'_>> {
        let last = match self.step {
            Step::Feed if self.work.unclean >= self.work.clean_from => false,
            Step::Flush if self.work.writer.pending() => true,
            _ => return self.other(),
        };
        let work = &mut *self.work;
        let &Slots { start, ref config, .. } = work.place.as_ref();
        let recall = config.recall;
        let mut op = work.writer.next::<F>(&mut self.input, last)?;
        if recall {
            work.recall.note::<F>(&op);
        }
        op.shift(start);
        Some(op)
    }
}

impl<F: NorFlash, E, H: Sha256, P: AsRef<Slots>, V: Verify, const N: usize> WorkPlan<'_, F, E, H, P, V, N> {
    /// All that is not done for each piece of the image. Apart, since it needs much of the stack.
    #[inline(never)]
    fn other(&mut self) -> Option<Op<'_>> {
        let work = &mut *self.work;
        let unit = F::ERASE_SIZE as u32;
        let &Slots { secondary: size, start, held, ref config, .. } = work.place.as_ref();
        let recall = config.recall;
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
                Step::Flush => {
                    work.writer.start_complete(work.received);
                    self.step = Step::Read;
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
                Step::Recall if recall => {
                    let len = Recall::next::<F>(self.at, self.promised, N);
                    self.step = if len > 0 { Step::Recalled } else { Step::Look };
                    if len > 0 {
                        break (self.at.wrapping_add(start), align_up(len, F::READ_SIZE as u32) as usize);
                    }
                }
                Step::Recalled if recall => {
                    self.at = work.recall.take::<F>(self.at, self.promised, N, work.writer.buffered(), held);
                    self.step = Step::Recall;
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
                    // Without the erased bytes before it: a word of them that a cut leaves is written again.
                    let magic = const { if F::WRITE_SIZE > MAGIC_LEN { F::WRITE_SIZE } else { MAGIC_LEN } };
                    let from = if field == MAGIC_BLOCK { magic as u32 } else { slots.distance(field) };
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

/// A signature in a buffer that was filled by whole reads.
pub(super) fn signature<F: NorFlash>(buffer: &[u8], offset: u32, len: u16) -> &[u8] {
    let skipped = offset.wrapping_sub(align_down(offset, F::READ_SIZE as u32)) as usize;
    buffer.get(skipped..).and_then(|bytes| bytes.get(..usize::from(len))).unwrap_or(&[])
}
