//! What a call starts with, and what follows from the work done. No I/O.

use dfu_target::flash::{Recall, Writer};
use dfu_target::image::mcuboot::{HEADER_LEN, Header, MAGIC};
use dfu_target::target::{Applied, Call, Checked, Written};
use dfu_target::{Digest, Image, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use super::plan::{Step, signature};
use crate::check::Check;
use crate::mark::{Found, SwapType};
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
    pub(super) recall: Recall,
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
            Call::Init(image, resume) => {
                self.check_head(image)?;
                // What is all there is read for its digest.
                let recall = self.place.as_ref().config.recall && **resume != self.full_len();
                (if recall { Step::Recall } else { Step::Look }, &[])
            }
            Call::Write(bytes, _) => {
                let (size, max) = (self.received.saturating_add(bytes.len() as u32), self.most);
                if size > max {
                    self.writer.close();
                    return self.refuse(Refusal::TooLarge { size, max });
                }
                if !self.writer.close() {
                    return self.fail(Error::Closed);
                }
                // What is kept back was seen by `init`.
                let skipped = slots.held.saturating_sub(self.received) as usize;
                (Step::Feed, bytes.get(skipped..).unwrap_or(&[]))
            }
            Call::Prepare(_) => (Step::Prepare, &[]),
            Call::Digest(_) => {
                self.digest = None;
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
                // Where the first word is what counts, it goes alone: a mark without an image asks for nothing.
                let from = if slots.held > 0 { slots.secondary } else { slots.trailer_unit(unit) };
                let to = slots.secondary.saturating_add(slots.start).saturating_add(unit);
                self.close();
                (self.unclean, self.clean_from) = (from, to);
                (Step::Clean, &[])
            }
        })
    }

    /// Takes bytes that only fill the buffer. The first ones are written: before them all is erased that has to be.
    pub(super) fn take<F: NorFlash>(&mut self, bytes: &[u8]) -> bool {
        let room = self.most.saturating_sub(self.received) as usize;
        let in_order = self.received >= self.place.as_ref().held.max(1);
        let taken = in_order && bytes.len() <= room && self.writer.gather::<F>(bytes);
        if taken {
            self.received = self.received.wrapping_add(bytes.len() as u32);
        }
        taken
    }

    /// What follows from the work done.
    pub(super) fn end<F: NorFlash>(&mut self, call: &mut Call<'_>) -> Option<()> {
        if self.result.is_err() {
            return None;
        }
        match call {
            Call::Init(image, offset) => {
                self.open::<F>(image.kept, **offset)?;
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

    pub(super) fn refuse<T>(&mut self, refusal: Refusal) -> Option<T> {
        self.fail(Error::Refused(refusal))
    }

    /// Closes it for all but erasing the mark, and what is kept back of an image.
    pub(super) fn withdraw<F: NorFlash>(&mut self) {
        let slots = self.place.as_ref();
        let unit = F::ERASE_SIZE as u32;
        let from = if slots.held > 0 { slots.secondary } else { slots.mark_unit(unit) };
        let to = slots.secondary.saturating_add(if slots.held > 0 { unit } else { 0 });
        self.close();
        (self.unclean, self.clean_from) = (from, to);
    }

    fn close(&mut self) {
        self.writer.buffer();
        self.received = 0;
        self.recall = Recall::new();
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

    /// The image's length, or no offset at all where it is not known.
    fn full_len(&self) -> u32 {
        if self.least == self.most { self.most } else { u32::MAX }
    }

    /// Where to go on, once what is there and the mark were looked at.
    fn open<F: NorFlash>(&mut self, kept: &[u8; 32], resume: u32) -> Option<()> {
        let slots = self.place.as_ref();
        let unit = F::ERASE_SIZE as u32;
        let end = self.full_len();
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
        if slots.config.recall && !complete && !self.recall.is_kept(kept) {
            // Damaged since, or of another image.
            wanted = 0;
        }
        if wanted == end {
            self.writer.start_complete(wanted);
        } else {
            wanted = self.writer.start_at::<F>(wanted, slots.max_image);
        }
        if slots.config.recall {
            // What is all there was not read: of what stays nothing is known.
            self.recall.go_on::<F>(wanted, if complete { 0 } else { resume });
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
    pub(super) fn shares_mark<F: NorFlash>(&self, len: u32) -> bool {
        let slots = self.place.as_ref();
        slots.start.saturating_add(len) > slots.mark_unit(F::ERASE_SIZE as u32)
    }

    /// What the slot's first bytes make of a mark.
    pub(super) fn with_head(&self, bytes: &[u8]) -> Found {
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
                    Ok(header) if pending && !torn && is_preferred(&header, runs, slots, Some(self.address)) => {
                        Found::Pending(SwapType::Test)
                    }
                    _ => Found::Foreign,
                }
            }
        }
    }
}
