//! All that the target does but awaiting: what a call starts with, its operations one by one, what follows.

use core::marker::PhantomData;

use dfu_target::flash::{Op, Plan, Writer, align_up};
use dfu_target::image::mcuboot::{Header, TLV_INFO_LEN};
use dfu_target::target::{Applied, Call, Checked, Written};
use dfu_target::{Digest, Image, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use crate::check::Check;
use crate::mark::Found;
use crate::slot::MAX_MARK;
use crate::{Error, Slot};

/// All but the flash.
#[derive(Debug)]
pub(super) struct Work<'a, H, const N: usize> {
    pub(super) slot: &'a Slot,
    /// The image's least and greatest length, the same where its size is known, and how much of it came.
    pub(super) least: u32,
    pub(super) most: u32,
    pub(super) received: u32,
    /// From here to the slot's end all is to be erased before anything else.
    pub(super) unclean: u32,
    pub(super) found: Found,
    pub(super) check: Check,
    /// What the last reading found, if it was to be trusted.
    pub(super) digest: Option<Digest>,
    pub(super) writer: Writer<N>,
    pub(super) engine: H,
}

impl<H: Sha256, const N: usize> Work<'_, H, N> {
    /// What can be refused without looking at the flash; else the first step.
    pub(super) fn start<'j, E>(&mut self, call: &Option<Call<'j>>) -> Result<(Step, &'j [u8]), Error<E>> {
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
    pub(super) fn end<F: NorFlash, E>(&mut self, call: &mut Option<Call<'_>>) -> Result<(), Error<E>> {
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

/// What a call comes to next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
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

/// The work of one call, operation by operation.
pub(super) struct WorkPlan<'w, 'a, F, H, const N: usize> {
    pub(super) work: &'w mut Work<'a, H, N>,
    pub(super) step: Step,
    pub(super) input: &'w [u8],
    pub(super) flash: PhantomData<fn() -> F>,
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

/// How much is read to see the mark.
pub(super) const fn mark_read<F: NorFlash>() -> usize {
    MAX_MARK.next_multiple_of(F::READ_SIZE)
}
