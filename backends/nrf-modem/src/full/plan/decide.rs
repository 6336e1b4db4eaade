//! What follows from an operation that was done.

use dfu_target::Sha256;
use dfu_target::flash::Recall;
use embedded_storage_async::nor_flash::NorFlash;

use super::{Core, Goal, LEAST_PIECE, Marked, Step, Steps, piece};
use crate::Wrapper;
use crate::full::{FullError, FullPolicy, Phase, Recovered};
use crate::port::MOST_RANGES;

impl<F: NorFlash, E, H: Sha256, V: FullPolicy, const N: usize> Steps<'_, '_, F, E, H, V, N> {
    /// The markers were looked at.
    pub(super) fn known(&mut self) -> Option<Step> {
        let Core { found, total, digest, .. } = &mut *self.core;
        Some(match &mut self.goal {
            Goal::Init(image, resume) => self.core.open(image, *resume)?,
            Goal::Apply => {
                if found.stage != Marked::Verified || found.size != *total || found.digest != *digest {
                    (found.size, found.digest, found.rounds) = (*total, *digest, 0);
                    found.advance(Marked::Verified);
                }
                Step::Mark
            }
            Goal::Abort if found.stage == Marked::Programming => return self.fail(FullError::Incomplete),
            Goal::Abort if found.stage == Marked::None => Step::Done,
            Goal::Abort | Goal::Discard => Step::Unmark,
            Goal::Recover(job) => {
                if let Some(outcome) = job.decide(found) {
                    self.core.outcome = outcome;
                    return Some(Step::Done);
                }
                if job.pieces.len() < LEAST_PIECE.max(F::READ_SIZE.saturating_mul(2)) {
                    return self.fail(FullError::Buffer);
                }
                if job.ranges() > MOST_RANGES {
                    return self.fail(FullError::Ranges);
                }
                self.to = found.size;
                self.begin_hash(0)
            }
            Goal::Look | Goal::Write | Goal::Digest => Step::Done,
        })
    }

    pub(super) fn begin_hash(&mut self, at: u32) -> Step {
        self.at = at;
        self.whole = at == 0;
        self.core.engine.start();
        Step::Hash
    }

    /// Both copies of the marker are written.
    pub(super) fn marked(&mut self) -> Option<Step> {
        let Goal::Recover(job) = &mut self.goal else { return Some(Step::Done) };
        if self.core.result.is_err() {
            return None;
        }
        self.copies = 0;
        match job.marked(self.core.found.stage) {
            Ok(true) => Some(Step::Segment),
            Ok(false) => {
                self.core.outcome = Recovered::Programmed;
                Some(Step::Done)
            }
            Err(error) => self.fail(error),
        }
    }

    /// The wrapper was read.
    pub(super) fn parsed(&mut self) -> Option<Step> {
        if let Goal::Init(_, resume) = self.goal {
            // What is all there is read for its digest.
            let whole = self.core.outline().is_ok_and(|(_, total)| total == resume);
            self.core.recall = Recall::new();
            (self.at, self.to) = (0, if whole { 0 } else { resume });
            return Some(Step::Recall);
        }
        let told = match self.core.outline() {
            Ok((len, told)) => {
                self.at = len;
                told
            }
            Err(error) => return self.in_vain(FullError::Wrapper(error)),
        };
        if told != self.to {
            return self.in_vain(FullError::WrongSize { told, offered: self.to });
        }
        match &mut self.goal {
            Goal::Recover(job) => match job.begin() {
                Ok(()) => Some(Step::Segment),
                Err(fault) => self.in_vain(FullError::Modem(fault)),
            },
            _ => Some(self.begin_hash(self.at)),
        }
    }

    /// What was promised was read: it goes on there, or from zero where it is something else.
    pub(super) fn recalled(&mut self) -> Step {
        if let Goal::Init(image, resume) = self.goal
            && (self.to == 0 || self.core.recall.is_kept(image.kept))
        {
            self.core.resume::<F>(resume);
        }
        Step::Done
    }

    /// All of it was hashed.
    pub(super) fn hashed(&mut self) -> Option<Step> {
        let digest = self.core.engine.finish();
        match self.goal {
            // Nothing of the modem is touched unless this is what was verified.
            Goal::Recover(_) if digest == self.core.found.digest => Some(Step::Wrapper),
            Goal::Recover(_) => self.in_vain(FullError::Damaged),
            _ if self.whole => {
                self.core.digest = digest;
                Some(Step::Done)
            }
            _ if self.core.is_blob(&digest) => Some(self.begin_hash(0)),
            _ => self.fail(FullError::BlobHash),
        }
    }

    /// The next segment, or what follows the last.
    pub(super) fn segment(&mut self) -> Option<Step> {
        let Goal::Recover(job) = &mut self.goal else { return None };
        let wrapper = Wrapper::parse(&self.core.buffer.0).ok()?;
        let found = &mut self.core.found;
        let stage = match wrapper.segments().nth(job.nth) {
            Some(_) if job.nth == 1 && !job.is_marked => {
                job.loaded(found.stage, wrapper.as_bytes(), &mut self.core.policy)
            }
            Some(segment) => {
                job.address = segment.address;
                self.to = self.at.saturating_add(segment.len);
                return Some(Step::Give);
            }
            None => job.finished(),
        };
        match stage {
            Ok(stage) => {
                if found.stage != stage {
                    found.advance(stage);
                }
                Some(Step::Mark)
            }
            Err(fault) => self.in_vain(FullError::Modem(fault)),
        }
    }

    /// It cannot go on. Where the modem was not touched yet, the marker counts that.
    fn in_vain(&mut self, error: FullError<E>) -> Option<Step> {
        let found = &mut self.core.found;
        let is_whole = matches!(&self.goal, Goal::Recover(job) if !job.is_marked) && found.stage != Marked::Programming;
        let counts = is_whole && !matches!(error, FullError::Modem(fault) if fault.is_low_voltage());
        self.core.result = Err(error);
        if !counts {
            return None;
        }
        found.tried();
        Some(Step::Mark)
    }

    /// What was read is hashed, or given to the modem.
    pub(super) fn took(&mut self) -> Option<Step> {
        let (_, _, bytes) = piece::<F>(self.at, self.to, self.room());
        self.at = self.at.saturating_add(bytes.len().max(1) as u32);
        let Core { engine, policy, writer, found, .. } = &mut *self.core;
        let (phase, size, next) = match &mut self.goal {
            Goal::Recover(job) if self.step == Step::Given => {
                if let Err(fault) = job.give(bytes) {
                    return self.in_vain(FullError::Modem(fault));
                }
                (if job.nth == 0 { Phase::Loader } else { Phase::Programming }, found.size, Step::Give)
            }
            goal => {
                let pieces = match goal {
                    Goal::Recover(job) => &*job.pieces,
                    _ => writer.buffered(),
                };
                engine.update(pieces.get(bytes).unwrap_or_default());
                (Phase::Checking, self.to, Step::Hash)
            }
        };
        policy.progress(phase, self.at, size);
        Some(next)
    }
}
