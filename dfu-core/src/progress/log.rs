//! A progress store on two erase units of flash.

use core::marker::PhantomData;

use embedded_storage_async::nor_flash::{NorFlash, NorFlashError};

use super::record::{self, FULL, SHORT};
use super::{Progress, ProgressStore, StoreCall, StoreError};
use crate::flash::{Op, Plan, Region, RegionError};

/// Progress in the first two erase units of a flash region, with a buffer of `N` bytes: 164 or more,
/// a multiple of the flash's word and of what it reads at once.
///
/// ```text
///  unit 0  │ full │ short │ short │ short │ ...   appended while the device runs
///  unit 1  │ full (older) │ short │ (torn)        erased and used when unit 0 is full, or after a reset
/// ```
///
/// A full record says everything, a short one how far it is by now, with four of the bytes that the target keeps. The
/// unit whose first record has the higher sequence number counts, up to its last whole record. After a reset nothing
/// is appended, since what looks blank behind the last record may be half written: the next record goes to the other
/// unit, erased first. So an update that is not interrupted erases one unit once per as many saves as fit: with units
/// of 4 KiB and words of 4 bytes, 196 saves. Bytes are never written twice, and the erased value does not matter.
///
/// A record whose last word a cut left with a bit that wavers may be read at one start and not at the next. Then the
/// older record counts, or none if that was replaced already: bytes are fetched again, and nothing else is lost.
#[derive(Debug)]
pub struct ProgressLog<'a, F, const N: usize = 192> {
    region: Region<'a, F>,
    buffer: Aligned<N>,
    cursor: Cursor,
}

#[derive(Debug)]
#[repr(align(8))]
struct Aligned<const N: usize>([u8; N]);

/// What is known of the units. The one that counts is told by its address in the region.
#[derive(Debug)]
struct Cursor {
    /// The units have been looked at.
    known: bool,
    /// The unit that counts.
    unit: u32,
    /// Where the next record goes in that unit; [`NOWHERE`]: into the other unit.
    end: u32,
    /// The last record's.
    sequence: u32,
    /// Of the last full record.
    fixed: u32,
}

/// Beyond every unit, and far from an overflow.
const NOWHERE: u32 = 1 << 31;

impl Cursor {
    /// As after a reset.
    const START: Self = Self { known: false, unit: 0, end: NOWHERE, sequence: 0, fixed: 0 };
}

impl<'a, F: NorFlash, const N: usize> ProgressLog<'a, F, N> {
    /// A log in the first two erase units of `region`. In a smaller one every save fails, the first one too, with
    /// [`StoreError::Flash`] of [`OutOfBounds`](embedded_storage_async::nor_flash::NorFlashErrorKind::OutOfBounds), which
    /// reads as that.
    pub const fn new(region: Region<'a, F>) -> Self {
        const {
            assert!(N >= FULL, "the buffer of a progress log holds a full record: 164 bytes or more");
            assert!(N.is_multiple_of(F::WRITE_SIZE), "the buffer of a progress log is a whole number of words");
            assert!(N.is_multiple_of(F::READ_SIZE), "the buffer of a progress log is a whole number of reads");
            assert!(up(FULL, step::<F>()) <= F::ERASE_SIZE, "a full record fits into an erase unit");
            assert!(F::ERASE_SIZE < NOWHERE as usize / 2, "an erase unit is less than 1 GiB");
        }
        Self { region, buffer: Aligned([0; N]), cursor: Cursor::START }
    }

    /// Gives the region back.
    pub fn release(self) -> Region<'a, F> {
        self.region
    }

    async fn erase(&mut self, unit: u32) -> Result<(), RegionError<F::Error>> {
        self.region.erase(unit, unit.saturating_add(F::ERASE_SIZE as u32)).await
    }
}

impl<F: NorFlash, const N: usize> ProgressStore for ProgressLog<'_, F, N> {
    async fn load(&mut self) -> Option<Progress> {
        let mut found = None;
        self.call(StoreCall::Load(&mut found)).await.ok()?;
        found
    }

    fn save(&mut self, progress: &Progress) -> impl Future<Output = Result<(), StoreError>> {
        self.call(StoreCall::Save(progress))
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.call(StoreCall::Load(&mut None)).await?;
        let unit = self.cursor.unit;
        // The older unit first: on its own it would count.
        self.erase(other::<F>(unit)).await.map_err(|error| StoreError::Flash(error.kind()))?;
        self.erase(unit).await.map_err(|error| StoreError::Flash(error.kind()))?;
        self.cursor = Cursor::START;
        Ok(())
    }

    async fn call(&mut self, call: StoreCall<'_>) -> Result<(), StoreError> {
        let mut task = Task::Known;
        if matches!(call, StoreCall::Load(_)) || !self.cursor.known {
            // A save that failed or was dropped may have left anything, and a look at it that was dropped half the truth.
            self.cursor = Cursor::START;
            task = Task::Read;
        }
        let mut plan = LogPlan::<F, N> {
            task,
            buffer: &mut self.buffer.0,
            cursor: &mut self.cursor,
            call,
            unit: 0,
            at: 0,
            len: FULL,
            flash: PhantomData,
        };
        match self.region.run(&mut plan).await {
            Ok(()) if plan.task == Task::Done => Ok(()),
            Ok(()) => Err(StoreError::Mismatch),
            Err(error) => Err(StoreError::Flash(error.kind())),
        }
    }
}

/// What the log is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// Read a record.
    Read,
    /// Look at it.
    Look,
    /// All is known of what is stored.
    Known,
    /// Write the record in the buffer, the unit being erased.
    Write,
    /// Read it back.
    Written,
    /// Look at it: it is to be what was written.
    Compare,
    Done,
}

struct LogPlan<'a, F, const N: usize> {
    buffer: &'a mut [u8; N],
    cursor: &'a mut Cursor,
    call: StoreCall<'a>,
    task: Task,
    /// The record in question: its unit, place in that and length.
    unit: u32,
    at: u32,
    len: usize,
    flash: PhantomData<fn() -> F>,
}

impl<F: NorFlash, const N: usize> Plan for LogPlan<'_, F, N> {
    fn next(&mut self) -> Option<Op<'_>> {
        loop {
            match self.task {
                Task::Read | Task::Written => {
                    self.task = if self.task == Task::Read { Task::Look } else { Task::Compare };
                    self.buffer.fill(0);
                    let len = up(self.len, F::READ_SIZE).min(N);
                    if self.at.wrapping_add(len as u32) <= F::ERASE_SIZE as u32 {
                        return Some(Op::Read(self.unit.wrapping_add(self.at), self.buffer.get_mut(..len)?));
                    }
                }
                Task::Look => {
                    self.task = Task::Read;
                    let len = record::len(self.buffer.first_chunk()?);
                    if len > self.len {
                        self.len = len;
                    } else if self.accept()? {
                        self.keep()?;
                        self.len = SHORT;
                    } else if self.unit == 0 {
                        // A unit begins with a full record: a short one stands for none of the other unit.
                        (self.unit, self.at, self.len) = (other::<F>(0), 0, FULL);
                    } else {
                        self.task = Task::Known;
                    }
                }
                Task::Known => {
                    self.cursor.known = true;
                    match self.call {
                        StoreCall::Load(_) => self.task = Task::Done,
                        StoreCall::Save(progress) => {
                            self.task = Task::Write;
                            if self.place(progress)? {
                                return Some(Op::Erase(self.unit, self.unit.wrapping_add(F::ERASE_SIZE as u32)));
                            }
                        }
                    }
                }
                Task::Write => {
                    self.task = Task::Written;
                    let bytes = self.buffer.get(..up(self.len, F::WRITE_SIZE))?;
                    return Some(Op::Write(self.unit.wrapping_add(self.at), bytes));
                }
                Task::Compare => {
                    if self.accept()? {
                        self.cursor.end = self.at;
                        self.task = Task::Done;
                    }
                    return None;
                }
                Task::Done => return None,
            }
        }
    }
}

impl<F: NorFlash, const N: usize> LogPlan<'_, F, N> {
    /// Goes behind the record in the buffer if it is whole and newer than all before; whether it is.
    fn accept(&mut self) -> Option<bool> {
        let record = self.buffer.first_chunk()?;
        if record::len(record) != self.len {
            return Some(false);
        }
        if self.len == FULL {
            self.cursor.fixed = record::fixed(record);
        }
        let Some(sequence) = record::sequence(record, self.cursor.fixed) else { return Some(false) };
        let next = self.cursor.sequence.wrapping_add(1);
        if sequence == next || sequence > next && self.at == 0 {
            self.cursor.unit = self.unit;
            self.cursor.sequence = sequence;
            self.at = self.at.wrapping_add(up(self.len, step::<F>()) as u32);
            return Some(true);
        }
        Some(false)
    }

    /// Takes what the record in the buffer says.
    fn keep(&mut self) -> Option<()> {
        let record: &[u8; FULL] = self.buffer.first_chunk()?;
        if let StoreCall::Load(found) = &mut self.call {
            if self.len == FULL {
                **found = Some(Progress::of(record));
            } else if let Some(found) = found {
                found.go_on(record);
            }
        }
        Some(())
    }

    /// Puts the record into the buffer, and decides where it goes: whether the unit is to be erased before.
    fn place(&mut self, progress: &Progress) -> Option<bool> {
        let record: &mut [u8; FULL] = self.buffer.first_chunk_mut()?;
        record[8..].copy_from_slice(progress.as_bytes());
        let fixed = record::fixed(record);
        self.len = if fixed == self.cursor.fixed { SHORT } else { FULL };
        self.cursor.fixed = fixed;
        self.unit = self.cursor.unit;
        self.at = core::mem::replace(&mut self.cursor.end, NOWHERE);
        let mut sequence = self.cursor.sequence.wrapping_add(1);
        let erase = self.at.wrapping_add(up(self.len, step::<F>()) as u32) > F::ERASE_SIZE as u32;
        if erase {
            self.unit = other::<F>(self.unit);
            self.at = 0;
            self.len = FULL;
            // A record of the other unit that was cut, and reads as whole the next time, is older than this.
            sequence = sequence.wrapping_add(1);
        }
        record::seal(record, self.len, fixed, sequence);
        Some(erase)
    }
}

/// The other one of the two units.
fn other<F: NorFlash>(unit: u32) -> u32 {
    (F::ERASE_SIZE as u32).wrapping_sub(unit)
}

/// Records begin where words and reads begin.
const fn step<F: NorFlash>() -> usize {
    if F::READ_SIZE > F::WRITE_SIZE { F::READ_SIZE } else { F::WRITE_SIZE }
}

const fn up(len: usize, unit: usize) -> usize {
    len.next_multiple_of(unit)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // Tests.
mod tests;
