//! A progress store on two erase units of flash.

use core::mem;

use embedded_storage_async::nor_flash::{NorFlash, NorFlashError};

use super::record::{self, FULL, Form, SHORT};
use super::{Progress, ProgressStore, StoreError};
use crate::flash::{Op, Plan, Region};

/// Progress in the first two erase units of a flash region, with a buffer of `N` bytes: 164 or more,
/// a multiple of the flash's word and of what it reads at once.
///
/// ```text
///  unit 0  │ full │ short │ short │ short │ ...   appended while the device runs
///  unit 1  │ full (older) │ short │ (torn)        erased and used when unit 0 is full, or after a reset
/// ```
///
/// A full record says everything, a short one how far it is by now. The unit whose first record has the higher
/// sequence number counts, up to its last whole record. After a reset nothing is appended, since what looks blank
/// behind the last record may be half written: the next record goes to the other unit, erased first. So an update
/// that is not interrupted erases one unit once per as many saves as fit: with units of 4 KiB and words of 4
/// bytes, 245 saves. Bytes are never written twice, and the erased value does not matter.
#[derive(Debug)]
pub struct ProgressLog<'a, F, const N: usize = 192> {
    region: Region<'a, F>,
    buffer: Aligned<N>,
    cursor: Cursor,
}

#[derive(Debug)]
#[repr(align(8))]
struct Aligned<const N: usize>([u8; N]);

#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    /// The units have been looked at.
    known: bool,
    /// The unit that counts, 0 or 1.
    unit: u8,
    /// Where the next record goes in that unit; `None`: into the other unit.
    end: Option<u32>,
    /// The last record's.
    sequence: u32,
    /// Of the last full record.
    fixed: u32,
}

impl<'a, F: NorFlash, const N: usize> ProgressLog<'a, F, N> {
    /// A log in the first two erase units of `region`. A smaller one fails at the first save.
    pub const fn new(region: Region<'a, F>) -> Self {
        const {
            assert!(N >= FULL, "the buffer of a progress log holds a full record: 164 bytes or more");
            assert!(N.is_multiple_of(F::WRITE_SIZE), "the buffer of a progress log is a whole number of words");
            assert!(N.is_multiple_of(F::READ_SIZE), "the buffer of a progress log is a whole number of reads");
            assert!(up(FULL, F::WRITE_SIZE) <= F::ERASE_SIZE, "a full record fits into an erase unit");
        }
        Self {
            region,
            buffer: Aligned([0; N]),
            cursor: Cursor { known: false, unit: 0, end: None, sequence: 0, fixed: 0 },
        }
    }

    /// Gives the region back.
    pub fn release(self) -> Region<'a, F> {
        self.region
    }

    async fn run(&mut self, goal: Goal<'_>) -> Result<Option<Progress>, StoreError> {
        let mut plan = LogPlan::<F, N> {
            buffer: &mut self.buffer.0,
            cursor: &mut self.cursor,
            goal,
            task: Task::Start,
            found: None,
            flash: core::marker::PhantomData,
        };
        match self.region.run(&mut plan).await {
            Ok(()) if plan.task == Task::Done => Ok(plan.found),
            Ok(()) => Err(StoreError::Mismatch),
            Err(error) => Err(StoreError::Flash(error.kind())),
        }
    }
}

impl<F: NorFlash, const N: usize> ProgressStore for ProgressLog<'_, F, N> {
    async fn load(&mut self) -> Option<Progress> {
        // As after a reset: a save that failed or was dropped may have left anything.
        self.cursor = Cursor::default();
        self.run(Goal::Load).await.ok().flatten()
    }

    async fn save(&mut self, progress: &Progress) -> Result<(), StoreError> {
        self.run(Goal::Save(progress)).await.map(|_| ())
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.run(Goal::Clear).await.map(|_| ())
    }
}

/// What a call is to achieve.
enum Goal<'a> {
    Load,
    Save(&'a Progress),
    Clear,
}

/// What the log is at; each is named by the operation that it asks for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// Look at the units first if that was not done yet.
    Start,
    /// What is stored is known.
    Known,
    /// Read the first record of a unit.
    First(u8),
    FirstRead(u8),
    /// Read the record at this place of the unit that counts, whole or its first bytes.
    Scan(u32, usize),
    ScanRead(u32, usize),
    /// Erase the unit that does not count, for a full record.
    Erase,
    /// Write the record in the buffer.
    Append(u8, u32, Form),
    /// Read it back.
    Written(u8, u32, Form),
    Compare(u8, u32, Form),
    /// Erase the unit that does not count, then the other one.
    Clear,
    ClearOther,
    Forget,
    Done,
}

struct LogPlan<'a, F, const N: usize> {
    buffer: &'a mut [u8; N],
    cursor: &'a mut Cursor,
    goal: Goal<'a>,
    task: Task,
    found: Option<Progress>,
    flash: core::marker::PhantomData<fn() -> F>,
}

impl<F: NorFlash, const N: usize> LogPlan<'_, F, N> {
    /// The sequence number of the record in the buffer, if it is whole.
    fn whole(&self, form: Form) -> Option<u32> {
        record::sequence(form, self.buffer)
    }

    /// Puts the record into the buffer, and says where it goes.
    fn place(&mut self, progress: &Progress) -> Task {
        let sequence = self.cursor.sequence.saturating_add(1);
        record::emit(Form::Full, sequence, progress, self.buffer);
        let fixed = record::fixed_part(self.buffer);
        let form = if mem::replace(&mut self.cursor.fixed, fixed) == fixed { Form::Short } else { Form::Full };
        match self.cursor.end.take() {
            Some(end) if end.saturating_add(up(form.len(), F::WRITE_SIZE) as u32) <= F::ERASE_SIZE as u32 => {
                if form == Form::Short {
                    record::emit(form, sequence, progress, self.buffer);
                }
                Task::Append(self.cursor.unit, end, form)
            }
            _ => Task::Erase,
        }
    }

    fn read(&mut self, unit: u8, at: u32, len: usize) -> Option<Op<'_>> {
        let len = up(len, F::READ_SIZE).min(N);
        Some(Op::Read(start::<F>(unit).saturating_add(at), self.buffer.get_mut(..len)?))
    }
}

impl<F: NorFlash, const N: usize> Plan for LogPlan<'_, F, N> {
    fn next(&mut self) -> Option<Op<'_>> {
        loop {
            match self.task {
                Task::Start => self.task = if self.cursor.known { Task::Known } else { Task::First(0) },
                Task::Known => {
                    self.cursor.known = true;
                    self.task = match self.goal {
                        Goal::Load => Task::Done,
                        Goal::Save(progress) => self.place(progress),
                        Goal::Clear => {
                            // The older unit first: on its own it would count.
                            self.cursor.end = None;
                            Task::Clear
                        }
                    };
                }
                Task::First(unit) => {
                    self.task = Task::FirstRead(unit);
                    return self.read(unit, 0, FULL);
                }
                Task::FirstRead(unit) => {
                    if let Some(sequence) = self.whole(Form::Full).filter(|s| *s > self.cursor.sequence) {
                        (self.cursor.unit, self.cursor.sequence) = (unit, sequence);
                    }
                    self.task = match unit {
                        0 => Task::First(1),
                        _ if self.cursor.sequence > 0 => {
                            self.cursor.sequence = self.cursor.sequence.saturating_sub(1);
                            Task::Scan(0, SHORT)
                        }
                        _ => Task::Known,
                    };
                }
                Task::Scan(at, len) => {
                    let end = at.saturating_add(up(len, F::READ_SIZE) as u32);
                    if end > F::ERASE_SIZE as u32 {
                        self.task = Task::Known;
                        continue;
                    }
                    self.task = Task::ScanRead(at, len);
                    return self.read(self.cursor.unit, at, len);
                }
                Task::ScanRead(at, len) => {
                    let form = Form::of(&*self.buffer);
                    if let Some(form) = form.filter(|form| form.len() > len) {
                        self.task = Task::Scan(at, form.len());
                        continue;
                    }
                    let next = self.cursor.sequence.saturating_add(1);
                    let Some(form) = form.filter(|form| self.whole(*form) == Some(next)) else {
                        self.task = Task::Known;
                        continue;
                    };
                    self.cursor.sequence = next;
                    match form {
                        Form::Full => {
                            self.found = record::parse(&*self.buffer);
                            self.cursor.fixed = record::fixed_part(&*self.buffer);
                        }
                        Form::Short => {
                            if let (Some(found), Some(offset)) = (&mut self.found, record::offset(&*self.buffer)) {
                                found.offset = offset;
                            }
                        }
                    }
                    self.task = Task::Scan(at.saturating_add(up(form.len(), F::WRITE_SIZE) as u32), SHORT);
                }
                Task::Erase => {
                    let unit = self.cursor.unit ^ 1;
                    self.task = Task::Append(unit, 0, Form::Full);
                    return Some(erase::<F>(unit));
                }
                Task::Append(unit, at, form) => {
                    self.task = Task::Written(unit, at, form);
                    let at = start::<F>(unit).saturating_add(at);
                    return self.buffer.get(..up(form.len(), F::WRITE_SIZE)).map(|bytes| Op::Write(at, bytes));
                }
                Task::Written(unit, at, form) => {
                    self.buffer.fill(0);
                    self.task = Task::Compare(unit, at, form);
                    return self.read(unit, at, form.len());
                }
                Task::Compare(unit, at, form) => {
                    let next = self.cursor.sequence.saturating_add(1);
                    if self.whole(form) == Some(next) {
                        self.cursor.unit = unit;
                        self.cursor.sequence = next;
                        self.cursor.end = Some(at.saturating_add(up(form.len(), F::WRITE_SIZE) as u32));
                        self.task = Task::Done;
                    }
                    return None;
                }
                Task::Clear => {
                    self.task = Task::ClearOther;
                    return Some(erase::<F>(self.cursor.unit ^ 1));
                }
                Task::ClearOther => {
                    self.task = Task::Forget;
                    return Some(erase::<F>(self.cursor.unit));
                }
                Task::Forget => {
                    *self.cursor = Cursor { known: true, ..Cursor::default() };
                    self.task = Task::Done;
                }
                Task::Done => return None,
            }
        }
    }
}

fn start<F: NorFlash>(unit: u8) -> u32 {
    if unit == 0 { 0 } else { F::ERASE_SIZE as u32 }
}

fn erase<F: NorFlash>(unit: u8) -> Op<'static> {
    let from = start::<F>(unit);
    Op::Erase(from, from.saturating_add(F::ERASE_SIZE as u32))
}

const fn up(len: usize, unit: usize) -> usize {
    len.next_multiple_of(unit)
}
