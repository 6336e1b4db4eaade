//! The work of one call, operation by operation.

mod decide;

use core::marker::PhantomData;

use dfu_target::flash::{Op, Plan, Recall, align_down, align_up};
use dfu_target::target::Call;
use dfu_target::{Image, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use super::core::Core;
use super::marker::{FullState as Marked, Marker};
use super::recover::Job;
use super::{FullError, FullPolicy};

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
    /// Write what was gathered, then the input.
    Gathered,
    Feed,
    Prepare,
    Prepared,
    /// Write what is left in the buffer, then read the file back.
    Flush,
    Wrapper,
    Parsed,
    /// Read what is to be gone on with.
    Recall,
    Recalled,
    Hash,
    Hashed,
    /// Give the segments to the modem.
    Segment,
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
    /// How many copies of the marker are as they should be, and whether the next one was written.
    copies: u32,
    written: bool,
    /// All of the file is being hashed, not its segments alone.
    whole: bool,
    flash: PhantomData<fn() -> F>,
}

impl<'w, 'g, F: NorFlash, E, H: Sha256, V: FullPolicy, const N: usize> Steps<'w, 'g, F, E, H, V, N> {
    pub(super) fn new(core: &'w mut Core<E, H, V, N>, goal: Goal<'g>, step: Step, input: &'g [u8]) -> Self {
        let to = core.received;
        Self { core, goal, step, input, at: 0, to, copies: 0, written: false, whole: false, flash: PhantomData }
    }

    fn fail<T>(&mut self, error: FullError<E>) -> Option<T> {
        self.core.fail(error)
    }

    /// How much is read at once.
    fn room(&self) -> usize {
        match &self.goal {
            Goal::Recover(job) => job.pieces.len(),
            _ => N,
        }
    }

    /// Where a copy of the marker is: the newest or the other one.
    fn place(&self, newest: u32) -> u32 {
        let unit = if self.core.newest == newest { 0 } else { F::ERASE_SIZE as u32 };
        self.core.capacity::<F>().saturating_add(unit)
    }
}

/// Less than this is no piece for a modem.
const LEAST_PIECE: usize = 64;

/// What is read at once of the file from `at` to `to`, by whole reads: where from, how much, and which of that counts.
fn piece<F: NorFlash>(at: u32, to: u32, room: usize) -> (u32, usize, core::ops::Range<usize>) {
    let unit = F::READ_SIZE as u32;
    let from = align_down(at, unit);
    let end = align_up(to, unit).min(from.saturating_add(align_down(room as u32, unit)));
    let skipped = at.saturating_sub(from);
    let mut count = to.min(end).saturating_sub(at);
    // A piece ends within a word only where all ends.
    if end < to && count >= WORD {
        count = align_down(count, WORD);
    }
    (from, end.saturating_sub(from) as usize, skipped as usize..skipped.saturating_add(count) as usize)
}

/// What the modem's flash is programmed by: a segment begins with one, and so do all of its pieces.
const WORD: u32 = 4;

impl<F: NorFlash, E, H: Sha256, V: FullPolicy, const N: usize> Plan for Steps<'_, '_, F, E, H, V, N> {
    fn next(&mut self) -> Option<Op<'_>> {
        // A marker in whole words and reads.
        let len = align_up(Marker::LEN as u32, F::READ_SIZE.max(F::WRITE_SIZE) as u32) as usize;
        let (erases, at) = loop {
            self.step = match self.step {
                Step::Look => {
                    self.core.newest = 0;
                    self.core.found = Marker::NONE;
                    self.step = Step::Looked;
                    break (false, self.place(0));
                }
                Step::Looked | Step::Known => {
                    // The second, only if it is newer.
                    if let Some(marker) = Marker::from_bytes(self.core.writer.buffered())
                        && (self.core.found.stage == Marked::None || marker.count > self.core.found.count)
                    {
                        self.core.newest = u32::from(self.step == Step::Known);
                        self.core.found = marker;
                    }
                    if self.step == Step::Looked {
                        self.step = Step::Known;
                        let at = self.core.capacity::<F>().saturating_add(F::ERASE_SIZE as u32);
                        break (false, at);
                    }
                    self.known()?
                }
                Step::Unmark => {
                    self.step = Step::Unmarked;
                    break (true, self.place(1));
                }
                Step::Unmarked => {
                    self.core.found.stage = Marked::None;
                    self.step = if matches!(self.goal, Goal::Write) { Step::Gathered } else { Step::Done };
                    break (true, self.place(0));
                }
                Step::Mark if self.copies == 2 => self.marked()?,
                Step::Mark => {
                    self.written = false;
                    self.step = Step::Compare;
                    break (false, self.place(self.copies ^ 1));
                }
                Step::Compare if self.core.found.is(self.core.writer.buffered()) => {
                    self.copies = self.copies.wrapping_add(1);
                    Step::Mark
                }
                Step::Compare if self.written => return self.fail(FullError::MarkNotWritten),
                Step::Compare => {
                    self.step = Step::Put;
                    break (true, self.place(self.copies ^ 1));
                }
                Step::Put => {
                    self.written = true;
                    self.step = Step::Check;
                    let at = self.place(self.copies ^ 1);
                    let bytes = self.core.writer.buffer().get_mut(..len).unwrap_or_default();
                    bytes.fill(0xff);
                    bytes.iter_mut().zip(self.core.found.stored()).for_each(|(to, from)| *to = from);
                    return Some(Op::Write(at, bytes));
                }
                Step::Check => {
                    self.step = Step::Compare;
                    break (false, self.place(self.copies ^ 1));
                }
                // Of these three the writer knows the end, and the plan's is there.
                Step::Gathered => {
                    self.core.again = Some(Step::Feed);
                    let Core { writer, buffer, recall, .. } = &mut *self.core;
                    let mut bytes = buffer.0.get(self.at as usize..self.to as usize).unwrap_or_default();
                    let before = bytes.len();
                    let op = writer.next::<F>(&mut bytes, false)?;
                    recall.note::<F>(&op);
                    self.at = self.at.saturating_add(before.saturating_sub(bytes.len()) as u32);
                    return Some(op);
                }
                Step::Feed => {
                    let op = self.core.writer.next::<F>(&mut self.input, false)?;
                    self.core.recall.note::<F>(&op);
                    return Some(op);
                }
                Step::Flush => {
                    self.core.again = Some(Step::Wrapper);
                    return self.core.writer.next::<F>(&mut &[][..], true);
                }
                Step::Prepare => {
                    let from = self.core.writer.unprepared(self.core.total)?;
                    self.step = Step::Prepared;
                    break (true, from);
                }
                Step::Prepared => {
                    self.core.writer.prepared::<F>();
                    Step::Done
                }
                Step::Wrapper => {
                    self.step = Step::Parsed;
                    return Some(Op::Read(0, &mut self.core.buffer.0));
                }
                Step::Parsed => self.parsed()?,
                Step::Recall => {
                    let len = align_up(Recall::next::<F>(self.at, self.to, N), F::READ_SIZE as u32) as usize;
                    if len > 0 {
                        self.step = Step::Recalled;
                        let bytes = self.core.writer.buffer().get_mut(..len).unwrap_or_default();
                        return Some(Op::Read(self.at, bytes));
                    }
                    self.recalled()
                }
                Step::Recalled => {
                    let Core { recall, writer, .. } = &mut *self.core;
                    self.at = recall.take::<F>(self.at, self.to, N, writer.buffered(), 0);
                    Step::Recall
                }
                Step::Segment => self.segment()?,
                Step::Hash if self.at >= self.to => self.hashed()?,
                Step::Give if self.at >= self.to => {
                    if let Goal::Recover(job) = &mut self.goal {
                        job.nth = job.nth.saturating_add(1);
                    }
                    Step::Segment
                }
                Step::Hash | Step::Give => {
                    self.step = if self.step == Step::Hash { Step::Hashed } else { Step::Given };
                    let (from, len, _) = piece::<F>(self.at, self.to, self.room());
                    let pieces = match &mut self.goal {
                        Goal::Recover(job) => &mut *job.pieces,
                        _ => self.core.writer.buffer(),
                    };
                    return Some(Op::Read(from, pieces.get_mut(..len).unwrap_or_default()));
                }
                Step::Hashed | Step::Given => self.took()?,
                Step::Done => return None,
            }
        };
        Some(if erases {
            Op::Erase(at, at.saturating_add(F::ERASE_SIZE as u32))
        } else {
            Op::Read(at, self.core.writer.buffer().get_mut(..len).unwrap_or_default())
        })
    }
}
