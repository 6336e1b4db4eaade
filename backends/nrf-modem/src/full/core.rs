//! What a call starts with, and what follows from the work done. No I/O.

use core::mem;

use dfu_target::flash::{Recall, Writer};
use dfu_target::image::modem::is_full;
use dfu_target::target::{Applied, Assurance, Call, Checked, Written};
use dfu_target::{Digest, Image, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use super::marker::{FullState as Marked, Marker};
use super::plan::Step;
use super::{FullError, FullPolicy, Recovered};
use crate::{Wrapper, WrapperError};

/// All but the flash.
#[derive(Debug)]
pub(super) struct Core<E, H, V, const N: usize> {
    pub(super) stage: Stage,
    /// Where the region is, and its size.
    pub(super) start: u32,
    pub(super) size: u32,
    /// The file's length as it was offered, or 0.
    offered: u32,
    /// The file's length as the wrapper tells it, or 0 while that is being gathered.
    pub(super) total: u32,
    pub(super) received: u32,
    pub(super) digest: Digest,
    /// The marker that counts, and in which copy it is.
    pub(super) found: Marker,
    pub(super) newest: u32,
    /// What comes when the writer has nothing left to do.
    pub(super) again: Option<Step>,
    /// What became of a modem.
    pub(super) outcome: Recovered,
    /// How a call went, but for the flash.
    pub(super) result: Result<(), FullError<E>>,
    pub(super) engine: H,
    pub(super) policy: V,
    pub(super) recall: Recall,
    /// Its buffer takes markers, too.
    pub(super) writer: Writer<N>,
    /// The wrapper, or what is read back.
    pub(super) buffer: Buffer,
}

#[derive(Debug)]
#[repr(align(8))]
pub(super) struct Buffer(pub(super) [u8; Wrapper::MAX_LEN]);

/// How far the target has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No image was accepted, or an operation failed or was dropped.
    Closed,
    /// The wrapper is being gathered.
    Wrapper,
    /// Bytes are being stored.
    Body,
    /// All is there.
    Whole,
    /// It was read back.
    Checked,
}

impl<E, H: Sha256, V: FullPolicy, const N: usize> Core<E, H, V, N> {
    pub(super) fn new<F: NorFlash>(start: u32, size: u32, engine: H, policy: V) -> Self {
        Self {
            stage: Stage::Closed,
            start,
            size,
            offered: 0,
            total: 0,
            received: 0,
            digest: Digest([0; 32]),
            found: Marker::NONE,
            newest: 0,
            again: None,
            outcome: Recovered::Nothing,
            result: Ok(()),
            engine,
            policy,
            recall: Recall::new(),
            writer: Writer::new::<F>(0xff),
            buffer: Buffer([0; Wrapper::MAX_LEN]),
        }
    }

    /// How many bytes a file may have: the markers are behind it.
    pub(super) fn capacity<F: NorFlash>(&self) -> u32 {
        self.size.saturating_sub(2_u32.saturating_mul(F::ERASE_SIZE as u32))
    }

    /// What can be refused without looking at the flash; else the first step.
    pub(super) fn start<'j, F: NorFlash>(&mut self, call: &Call<'j>) -> Option<(Step, &'j [u8])> {
        let stage = self.stage;
        // Whoever fails or is dropped stays closed.
        self.stage = Stage::Closed;
        self.again = None;
        Some(match call {
            Call::Init(image, _) => {
                let max = self.capacity::<F>();
                let size = image.size.unwrap_or(0);
                if !is_full(image.head) {
                    return self.fail(FullError::NotFull);
                }
                if size > max {
                    return self.fail(FullError::TooLarge { size, max });
                }
                self.offered = size;
                self.total = 0;
                self.received = 0;
                (Step::Look, &[])
            }
            Call::Write(bytes, _) => {
                let mut bytes = *bytes;
                let mut step = Step::Feed;
                match stage {
                    Stage::Wrapper => {
                        bytes = self.gather(bytes, self.capacity::<F>())?;
                        if self.total == 0 {
                            self.stage = Stage::Wrapper;
                            return Some((Step::Done, &[]));
                        }
                        self.writer.start_at::<F>(0, self.total);
                        self.recall = Recall::new();
                        step = if self.found.stage == Marked::None { Step::Gathered } else { Step::Unmark };
                    }
                    Stage::Body => {}
                    _ => return self.fail(FullError::Closed),
                }
                let size = self.received.saturating_add(bytes.len() as u32);
                if size > self.total {
                    return self.fail(FullError::TooLarge { size, max: self.total });
                }
                self.writer.close();
                (step, bytes)
            }
            Call::Prepare(_) => {
                // At the worst an erase was for nothing.
                self.stage = stage;
                (if stage == Stage::Body { Step::Prepare } else { Step::Done }, &[])
            }
            Call::Digest(_) => {
                let (have, need) = (self.received, self.total);
                if have < need || need == 0 {
                    self.stage = stage;
                    let truncated = FullError::Truncated { have, need };
                    let error = if need == 0 { FullError::Wrapper(WrapperError::Truncated) } else { truncated };
                    return self.fail(error);
                }
                match stage {
                    Stage::Body => self.writer.close(),
                    Stage::Whole | Stage::Checked => true,
                    _ => return self.fail(FullError::Closed),
                };
                (if stage == Stage::Body { Step::Flush } else { Step::Wrapper }, &[])
            }
            Call::Apply(proof, _) if stage == Stage::Checked && *proof.digest() == self.digest => (Step::Look, &[]),
            Call::Apply(..) => {
                self.stage = stage;
                return self.fail(FullError::NotChecked);
            }
            Call::Abort => (Step::Look, &[]),
        })
    }

    /// What follows from the work done.
    pub(super) fn end(&mut self, call: &mut Call<'_>, bytes: &[u8]) {
        if self.result.is_err() {
            return;
        }
        match call {
            Call::Init(_, offset) => **offset = self.received,
            Call::Write(_, written) => {
                if self.total > 0 {
                    self.received = self.received.wrapping_add(bytes.len() as u32);
                    self.stage = Stage::Body;
                }
                let durable = if self.total > 0 { self.writer.durable().min(self.received) } else { 0 };
                **written = Written::Committed(durable);
            }
            Call::Prepare(more) => {
                **more = self.stage == Stage::Body && self.writer.unprepared(self.total).is_some();
            }
            Call::Digest(checked) => {
                self.stage = Stage::Checked;
                **checked = Checked { digest: self.digest, assurance: Assurance::Hash };
            }
            Call::Apply(_, applied) => {
                self.stage = Stage::Checked;
                **applied = Applied::AtReset;
            }
            Call::Abort => {}
        }
    }

    pub(super) fn fail<T>(&mut self, error: FullError<E>) -> Option<T> {
        self.result = Err(error);
        None
    }

    /// How the call went.
    pub(super) fn result(&mut self) -> Result<(), FullError<E>> {
        mem::replace(&mut self.result, Ok(()))
    }

    /// What comes after the writer's work, which is over. Where nothing does, the stream stays open for its next bytes.
    pub(super) fn again(&mut self) -> Option<Step> {
        let again = self.again.take();
        if again.is_some() {
            self.writer.close();
        }
        again
    }

    pub(super) fn close(&mut self) {
        self.stage = Stage::Closed;
    }

    /// Takes bytes of the wrapper, and returns what follows what was taken. The length is known when it is whole.
    fn gather<'j>(&mut self, bytes: &'j [u8], max: u32) -> Option<&'j [u8]> {
        let room = self.buffer.0.get_mut(self.received as usize..).unwrap_or_default();
        room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let (taken, rest) = bytes.split_at_checked(room.len()).unwrap_or((bytes, &[]));
        let have = self.received.wrapping_add(taken.len() as u32);
        let wrapper = match Wrapper::parse(self.buffer.0.get(..have as usize).unwrap_or_default()) {
            Ok(wrapper) => wrapper,
            Err(WrapperError::Truncated) => {
                self.received = have;
                return Some(rest);
            }
            Err(error) => return self.fail(FullError::Wrapper(error)),
        };
        let told = wrapper.total_len();
        let error = if self.offered != 0 && self.offered != told {
            FullError::WrongSize { told, offered: self.offered }
        } else if told > max {
            FullError::TooLarge { size: told, max }
        } else if have > told {
            FullError::TooLarge { size: have, max: told }
        } else if !self.policy.accepts(&wrapper) {
            FullError::Policy
        } else {
            self.received = have;
            self.total = told;
            return Some(rest);
        };
        self.fail(error)
    }

    /// What is to be looked at once the markers were: the wrapper, where it goes on.
    pub(super) fn open(&mut self, image: &Image<'_>, resume: u32) -> Option<Step> {
        let error = match self.found.stage {
            Marked::Programming => FullError::Incomplete,
            Marked::Verified if image.size != Some(resume) => FullError::Pending,
            _ => {
                self.stage = Stage::Wrapper;
                return Some(if resume > 0 { Step::Wrapper } else { Step::Done });
            }
        };
        self.fail(error)
    }

    /// Of the wrapper that was read, its length and that of the file.
    #[inline(never)]
    pub(super) fn outline(&self) -> Result<(u32, u32), WrapperError> {
        Wrapper::parse(&self.buffer.0).map(|wrapper| (wrapper.len(), wrapper.total_len()))
    }

    /// Whether this is the hash that the wrapper tells of the segments.
    pub(super) fn is_blob(&self, hash: &Digest) -> bool {
        Wrapper::parse(&self.buffer.0).is_ok_and(|wrapper| wrapper.blob_hash() == *hash)
    }

    /// Where it goes on, by the wrapper that was read. What is promised is there.
    pub(super) fn resume<F: NorFlash>(&mut self, resume: u32) {
        let Ok((len, total)) = self.outline() else { return };
        if total > self.capacity::<F>() || self.offered != 0 && self.offered != total {
            return;
        }
        if resume == total {
            (self.total, self.received) = (total, total);
            self.stage = Stage::Whole;
            return;
        }
        let from = self.writer.start_at::<F>(resume, total);
        if from >= len {
            self.recall.go_on::<F>(from, resume);
            (self.total, self.received) = (total, from);
            self.stage = Stage::Body;
        }
    }
}
