//! The work of one call, operation by operation.

use core::marker::PhantomData;

use dfu_target::flash::{Op, Plan, align_down, align_up};
use dfu_target::target::Call;
use dfu_target::{Digest, Image, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use super::core::Core;
use super::marker::{Marker, Stage as Marked};
use super::recover::Job;
use super::{FullError, FullPolicy, Phase, Recovered};
use crate::Wrapper;

/// What a call comes to next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Read both copies of the marker.
    Look,
    Looked,
    Known,
    /// Erase both, the newest last.
    Unmark,
    Unmarked,
    /// Write both, the newest last, and read them back.
    Mark,
    Compare,
    Put,
    Check,
    Marked,
    /// Write what was gathered, then the input.
    Gathered,
    Feed,
    Prepare,
    Prepared,
    /// Write what is left in the buffer, then read the file back.
    Flush,
    Wrapper,
    Parsed,
    Hash,
    Hashed,
    /// Give a segment to the modem.
    Give,
    Given,
    Done,
}

/// What the work is for.
pub(super) enum Goal<'w> {
    Init(&'w Image<'w>, u32),
    Look,
    Write,
    Digest,
    Apply,
    Abort,
    Discard,
    Recover(Job<'w>),
}

impl<'w> Goal<'w> {
    pub(super) fn of(call: &Call<'w>) -> Self {
        match call {
            Call::Init(image, offset) => Self::Init(image, **offset),
            Call::Write(..) | Call::Prepare(_) => Self::Write,
            Call::Digest(_) => Self::Digest,
            Call::Apply(..) => Self::Apply,
            Call::Abort => Self::Abort,
        }
    }
}

/// The work of one call, operation by operation.
pub(super) struct Steps<'w, 'g, F, E, H, V, const N: usize> {
    core: &'w mut Core<E, H, V, N>,
    goal: Goal<'g>,
    step: Step,
    input: &'g [u8],
    /// From here to there something is read or written.
    at: u32,
    to: u32,
    /// The marker to be written, and how many copies of it are.
    marker: Marker,
    copies: u32,
    /// The hash that the wrapper tells, until it was compared.
    hash: Option<Digest>,
    flash: PhantomData<fn() -> F>,
}

impl<'w, 'g, F: NorFlash, E, H: Sha256, V: FullPolicy, const N: usize> Steps<'w, 'g, F, E, H, V, N> {
    pub(super) fn new(core: &'w mut Core<E, H, V, N>, goal: Goal<'g>, step: Step, input: &'g [u8]) -> Self {
        let to = core.received;
        Self { core, goal, step, input, at: 0, to, marker: Marker::NONE, copies: 0, hash: None, flash: PhantomData }
    }

    fn fail<T>(&mut self, error: FullError<E>) -> Option<T> {
        self.core.fail(error)
    }

    /// The markers were looked at.
    fn known(&mut self) -> Option<Step> {
        let found = self.core.found;
        Some(match &mut self.goal {
            Goal::Init(image, resume) => match self.core.open(image, *resume)? {
                true => Step::Wrapper,
                false => Step::Done,
            },
            Goal::Apply => {
                let (size, digest) = (self.core.total, self.core.digest);
                self.mark(Marker { size, digest, ..Marker::VERIFIED })
            }
            Goal::Abort if found.stage == Marked::Programming => return self.fail(FullError::Incomplete),
            Goal::Abort if found.stage == Marked::None => Step::Done,
            Goal::Abort | Goal::Discard => Step::Unmark,
            Goal::Recover(job) => {
                if let Some(outcome) = job.decide(&found) {
                    self.core.outcome = outcome;
                    return Some(Step::Done);
                }
                if job.pieces.len() < LEAST_PIECE.max(F::READ_SIZE.saturating_mul(2)) {
                    return self.fail(FullError::Buffer);
                }
                self.core.engine.start();
                (self.at, self.to) = (0, found.size);
                Step::Hash
            }
            Goal::Look | Goal::Write | Goal::Digest => Step::Done,
        })
    }

    /// Has a marker written, unless it is there.
    fn mark(&mut self, marker: Marker) -> Step {
        let found = &self.core.found;
        let count = if found.is_like(&marker) { found.count } else { found.count.wrapping_add(1) };
        self.marker = Marker { count, ..marker };
        self.copies = 0;
        Step::Mark
    }

    /// A marker was written.
    fn marked(&mut self) -> Option<Step> {
        self.core.found = self.marker;
        match &mut self.goal {
            Goal::Recover(job) => match job.marked(&self.marker) {
                Ok(true) => self.segment(),
                Ok(false) => {
                    self.core.outcome = Recovered::Programmed;
                    Some(Step::Done)
                }
                Err(error) => self.fail(error),
            },
            _ => Some(Step::Done),
        }
    }

    /// The wrapper was read.
    fn parsed(&mut self) -> Option<Step> {
        if let Goal::Init(_, resume) = self.goal {
            self.core.resume::<F>(resume);
            return Some(Step::Done);
        }
        let total = if matches!(self.goal, Goal::Recover(_)) { self.core.found.size } else { self.core.total };
        let wrapper = match Wrapper::parse(&self.core.buffer.0) {
            Ok(wrapper) if wrapper.total_len() == total => wrapper,
            Ok(wrapper) => {
                let told = wrapper.total_len();
                return self.fail(FullError::WrongSize { told, offered: total });
            }
            Err(error) => return self.fail(FullError::Wrapper(error)),
        };
        self.at = wrapper.len();
        self.to = total;
        match &mut self.goal {
            Goal::Recover(job) => {
                if let Err(fault) = job.begin() {
                    return self.fail(FullError::Modem(fault));
                }
                self.segment()
            }
            _ => {
                self.hash = Some(wrapper.blob_hash());
                self.core.engine.start();
                Some(Step::Hash)
            }
        }
    }

    /// All of it was hashed.
    fn hashed(&mut self) -> Option<Step> {
        let digest = self.core.engine.finish();
        if let Goal::Recover(_) = self.goal {
            // Nothing of the modem is touched unless this is what was verified.
            return if digest == self.core.found.digest { Some(Step::Wrapper) } else { self.fail(FullError::Damaged) };
        }
        match self.hash.take() {
            Some(hash) if hash != digest => self.fail(FullError::BlobHash),
            Some(_) => {
                self.at = 0;
                self.core.engine.start();
                Some(Step::Hash)
            }
            None => {
                self.core.digest = digest;
                Some(Step::Done)
            }
        }
    }

    /// The next segment, or what follows the last.
    fn segment(&mut self) -> Option<Step> {
        let Goal::Recover(job) = &mut self.goal else { return None };
        let segment = Wrapper::parse(&self.core.buffer.0).ok().and_then(|wrapper| wrapper.segments().nth(job.nth));
        match segment {
            Some(segment) => {
                job.address = segment.address;
                self.to = self.at.saturating_add(segment.len);
                Some(Step::Give)
            }
            None => match job.finished(&self.core.found) {
                Ok(marker) => Some(self.mark(marker)),
                Err(fault) => self.fail(FullError::Modem(fault)),
            },
        }
    }

    /// A segment was given to the modem.
    fn given(&mut self) -> Option<Step> {
        let Goal::Recover(job) = &mut self.goal else { return None };
        job.nth = job.nth.saturating_add(1);
        if job.nth > 1 {
            return self.segment();
        }
        // Behind the loader.
        let wrapper = Wrapper::parse(&self.core.buffer.0).ok()?;
        match job.loaded(&self.core.found, wrapper.as_bytes(), &mut self.core.policy) {
            Ok(marker) => Some(self.mark(marker)),
            Err(fault) => self.fail(FullError::Modem(fault)),
        }
    }
}

/// Less than this is no piece for a modem.
const LEAST_PIECE: usize = 64;

/// What is read at once of the file from `at` to `to`, by whole reads: where from, how much, and how much of that comes
/// before `at` and counts.
fn piece<F: NorFlash>(at: u32, to: u32, room: usize) -> (u32, usize, core::ops::Range<usize>) {
    let unit = F::READ_SIZE as u32;
    let from = align_down(at, unit);
    let end = align_up(to, unit).min(from.saturating_add(align_down(room as u32, unit)));
    let skipped = at.saturating_sub(from);
    (from, end.saturating_sub(from) as usize, skipped as usize..to.min(end).saturating_sub(from) as usize)
}

impl<F: NorFlash, E, H: Sha256, V: FullPolicy, const N: usize> Plan for Steps<'_, '_, F, E, H, V, N> {
    fn next(&mut self) -> Option<Op<'_>> {
        let unit = F::ERASE_SIZE as u32;
        let capacity = self.core.capacity::<F>();
        let place = |copy: u32| capacity.saturating_add(if copy == 0 { 0 } else { unit });
        let len = align_up(Marker::LEN as u32, F::READ_SIZE.max(F::WRITE_SIZE) as u32) as usize;
        // Read a piece, or a marker: where, and how much.
        let (at, len) = loop {
            match self.step {
                Step::Look => {
                    self.step = Step::Looked;
                    break (place(0), len);
                }
                Step::Looked => {
                    self.marker = Marker::from_bytes(self.core.writer.buffered());
                    self.step = Step::Known;
                    break (place(1), len);
                }
                Step::Known => {
                    let (first, second) = (self.marker, Marker::from_bytes(self.core.writer.buffered()));
                    let is_first =
                        first.stage != Marked::None && (second.stage == Marked::None || first.count >= second.count);
                    (self.core.newest, self.core.found) = if is_first { (0, first) } else { (1, second) };
                    self.step = self.known()?;
                }
                Step::Unmark => {
                    self.step = Step::Unmarked;
                    let at = place(self.core.newest ^ 1);
                    return Some(Op::Erase(at, at.saturating_add(unit)));
                }
                Step::Unmarked => {
                    self.core.found = Marker::NONE;
                    self.step = if matches!(self.goal, Goal::Write) { Step::Gathered } else { Step::Done };
                    let at = place(self.core.newest);
                    return Some(Op::Erase(at, at.saturating_add(unit)));
                }
                Step::Mark if self.copies == 2 => self.step = self.marked()?,
                Step::Mark | Step::Check => {
                    self.step = if self.step == Step::Mark { Step::Compare } else { Step::Marked };
                    break (place(self.core.newest ^ 1 ^ self.copies), len);
                }
                Step::Compare if Marker::from_bytes(self.core.writer.buffered()) == self.marker => {
                    self.copies = self.copies.wrapping_add(1);
                    self.step = Step::Mark;
                }
                Step::Compare => {
                    self.step = Step::Put;
                    let at = place(self.core.newest ^ 1 ^ self.copies);
                    return Some(Op::Erase(at, at.saturating_add(unit)));
                }
                Step::Put => {
                    self.step = Step::Check;
                    let bytes = self.core.writer.buffer().get_mut(..len).unwrap_or_default();
                    bytes.fill(0xff);
                    bytes.iter_mut().zip(self.marker.to_bytes()).for_each(|(to, from)| *to = from);
                    return Some(Op::Write(place(self.core.newest ^ 1 ^ self.copies), bytes));
                }
                Step::Marked if Marker::from_bytes(self.core.writer.buffered()) != self.marker => {
                    return self.fail(FullError::MarkNotWritten);
                }
                Step::Marked => {
                    self.copies = self.copies.wrapping_add(1);
                    self.step = Step::Mark;
                }
                // Of these three the writer knows the end, and the plan's is there.
                Step::Gathered => {
                    self.core.again = Some(Step::Feed);
                    let Core { writer, buffer, .. } = &mut *self.core;
                    let mut bytes = buffer.0.get(self.at as usize..self.to as usize).unwrap_or_default();
                    let before = bytes.len();
                    let op = writer.next::<F>(&mut bytes, false);
                    self.at = self.at.saturating_add(before.saturating_sub(bytes.len()) as u32);
                    return op;
                }
                Step::Feed => return self.core.writer.next::<F>(&mut self.input, false),
                Step::Flush => {
                    self.core.again = Some(Step::Wrapper);
                    return self.core.writer.next::<F>(&mut &[][..], true);
                }
                Step::Prepare => {
                    let from = self.core.writer.unprepared(self.core.total)?;
                    self.step = Step::Prepared;
                    return Some(Op::Erase(from, from.saturating_add(unit)));
                }
                Step::Prepared => {
                    self.core.writer.prepared::<F>();
                    self.step = Step::Done;
                }
                Step::Wrapper => {
                    self.step = Step::Parsed;
                    return Some(Op::Read(0, &mut self.core.buffer.0));
                }
                Step::Parsed => self.step = self.parsed()?,
                Step::Hash if self.at >= self.to => self.step = self.hashed()?,
                Step::Give if self.at >= self.to => self.step = self.given()?,
                Step::Hash | Step::Give => {
                    self.step = if self.step == Step::Hash { Step::Hashed } else { Step::Given };
                    let pieces = match &mut self.goal {
                        Goal::Recover(job) => &mut *job.pieces,
                        _ => &mut self.core.buffer.0,
                    };
                    let (from, len, _) = piece::<F>(self.at, self.to, pieces.len());
                    return Some(Op::Read(from, pieces.get_mut(..len).unwrap_or_default()));
                }
                Step::Hashed | Step::Given => {
                    let gives = self.step == Step::Given;
                    let room = match &self.goal {
                        Goal::Recover(job) => job.pieces.len(),
                        _ => self.core.buffer.0.len(),
                    };
                    let (_, _, bytes) = piece::<F>(self.at, self.to, room);
                    self.at = self.at.saturating_add(bytes.len().max(1) as u32);
                    let mut phase = Phase::Checking;
                    match &mut self.goal {
                        Goal::Recover(job) if gives => {
                            phase = job.phase();
                            if let Err(fault) = job.give(bytes) {
                                return self.fail(FullError::Modem(fault));
                            }
                        }
                        Goal::Recover(job) => self.core.engine.update(job.pieces.get(bytes).unwrap_or_default()),
                        _ => self.core.engine.update(self.core.buffer.0.get(bytes).unwrap_or_default()),
                    }
                    let size = if gives { self.core.found.size } else { self.to };
                    self.core.policy.progress(phase, self.at, size);
                    self.step = if gives { Step::Give } else { Step::Hash };
                }
                Step::Done => return None,
            }
        };
        Some(Op::Read(at, self.core.writer.buffer().get_mut(..len).unwrap_or_default()))
    }
}
