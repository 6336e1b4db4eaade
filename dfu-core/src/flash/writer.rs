//! Any bytes in, whole aligned words out, each erase unit erased just before it is needed.

use core::fmt;
use core::mem;

use embedded_storage_async::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};

use super::{Op, Plan, YIELD_EVERY, align_down, run};

/// A stream of bytes on its way into a flash, with a buffer of `N` bytes.
///
/// Words that lie whole and aligned to 4 in the caller's buffer are passed through uncopied; what is left is
/// gathered. A larger `N` means fewer flash operations for small or odd chunks, nothing else. Keep the caller's
/// buffers in RAM where the flash driver reads them by DMA: the address is checked for alignment only.
///
/// # Power and cancellation
///
/// After a cut, [`start_at`](Self::start_at) at any offset up to [`durable`](Self::durable) of before: it goes
/// back to the start of the erase unit, which is erased again before it is written again. A write that failed or
/// was dropped leaves the writer closed, [`WriterError::Closed`], until it is started again.
#[derive(Debug)]
pub struct FlashWriter<F, const N: usize> {
    flash: F,
    writer: Writer<N>,
}

impl<F: NorFlash, const N: usize> FlashWriter<F, N> {
    /// A writer over the whole of `flash`, whose erased bytes read as 0xff, at its start.
    pub fn new(flash: F) -> Self {
        let mut writer = Writer::new::<F>(0xff);
        writer.start_at::<F>(0, capacity(&flash));
        Self { flash, writer }
    }

    /// Goes on at `offset`, or rather at the start of its erase unit, which is returned.
    pub fn start_at(&mut self, offset: u32) -> u32 {
        let end = capacity(&self.flash);
        self.writer.start_at::<F>(offset.min(end), end)
    }

    /// Erases the unit ahead, if it is needed for the bytes up to `until`; `true`: more of them are left.
    pub async fn prepare(&mut self, until: u32) -> Result<bool, WriterError<F::Error>> {
        run(&mut self.flash, &mut self.writer.prepare::<F>(until)).await.map_err(WriterError::Flash)?;
        Ok(self.writer.unprepared(until))
    }

    /// Takes the next bytes; returns the [`durable`](Self::durable) offset.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<u32, WriterError<F::Error>> {
        let mut plan = self.writer.write::<F>(bytes)?;
        run(&mut self.flash, &mut plan).await.map_err(WriterError::Flash)?;
        Ok(self.durable())
    }

    /// Writes what is still in RAM, padded to a whole word with the erased value. Ends the stream: nothing can
    /// be written before the next start. Legal to repeat.
    pub async fn flush(&mut self) -> Result<(), WriterError<F::Error>> {
        let Some(mut plan) = self.writer.flush::<F>()? else { return Ok(()) };
        run(&mut self.flash, &mut plan).await.map_err(WriterError::Flash)
    }

    /// All before this offset is in the flash.
    pub fn durable(&self) -> u32 {
        self.writer.durable()
    }

    /// The flash, to read back what was written.
    pub fn flash(&mut self) -> &mut F {
        &mut self.flash
    }
}

/// The part of a [`FlashWriter`] that does no I/O, for targets that add their own operations.
#[derive(Debug)]
pub struct Writer<const N: usize> {
    buffer: Buffer<N>,
    filled: usize,
    /// Where the next word goes.
    at: u32,
    /// From `at` up to here the flash is blank.
    blank_to: u32,
    /// Nothing is written here or after.
    end: u32,
    erased: u8,
    state: WriterState,
    doing: Doing,
}

#[derive(Debug)]
#[repr(align(8))]
struct Buffer<const N: usize>([u8; N]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriterState {
    Open,
    /// An operation is under way, or failed, or was dropped.
    Closed,
    /// The last, padded word was written.
    Flushed,
}

/// The operation that was asked for last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Nothing,
    Erase,
    Write(u32),
    WriteBuffer,
}

impl<const N: usize> Writer<N> {
    /// A closed writer for a flash whose erased bytes read as `erased`; start it.
    pub const fn new<F: NorFlash>(erased: u8) -> Self {
        const {
            assert!(N >= F::WRITE_SIZE && N <= F::ERASE_SIZE, "the buffer holds a word or more and an erase unit at most");
            assert!(N.is_multiple_of(F::WRITE_SIZE), "the buffer is a whole number of words");
            assert!(F::ERASE_SIZE.is_multiple_of(F::WRITE_SIZE), "an erase unit is a whole number of words");
        }
        Self {
            buffer: Buffer([0; N]),
            filled: 0,
            at: 0,
            blank_to: 0,
            end: 0,
            erased,
            state: WriterState::Closed,
            doing: Doing::Nothing,
        }
    }

    /// Goes on at address `at`, or rather at the start of its erase unit, which is returned. Nothing is
    /// written at `end` or after.
    pub fn start_at<F: NorFlash>(&mut self, at: u32, end: u32) -> u32 {
        self.at = align_down(at, F::ERASE_SIZE as u32);
        self.blank_to = self.at;
        self.end = end;
        self.filled = 0;
        self.state = WriterState::Open;
        self.doing = Doing::Nothing;
        self.at
    }

    /// Takes up a stream that is all there, up to address `end`: there is nothing left to write.
    pub fn start_complete(&mut self, end: u32) {
        self.at = end;
        self.filled = 0;
        self.state = WriterState::Flushed;
    }

    /// The plan that takes `bytes`. It closes the writer until it has come to its end.
    pub fn write<'a, F: NorFlash>(&'a mut self, bytes: &'a [u8]) -> Result<WritePlan<'a, F, N>, WriterError<F::Error>> {
        if self.state != WriterState::Open {
            return Err(WriterError::Closed);
        }
        let room = self.end.saturating_sub(self.at) as usize;
        if room.saturating_sub(self.filled) < bytes.len() {
            return Err(WriterError::NoSpace);
        }
        self.state = WriterState::Closed;
        Ok(WritePlan { writer: self, input: bytes, last: false, flash: core::marker::PhantomData })
    }

    /// The plan that writes what is left in the buffer, padded. `None`: it was done already.
    pub fn flush<F: NorFlash>(&mut self) -> Result<Option<WritePlan<'_, F, N>>, WriterError<F::Error>> {
        match mem::replace(&mut self.state, WriterState::Closed) {
            WriterState::Closed => Err(WriterError::Closed),
            WriterState::Flushed => {
                self.state = WriterState::Flushed;
                Ok(None)
            }
            WriterState::Open => {
                Ok(Some(WritePlan { writer: self, input: &[], last: true, flash: core::marker::PhantomData }))
            }
        }
    }

    /// The plan that erases one unit ahead, if the bytes up to address `until` need it.
    pub fn prepare<F: NorFlash>(&mut self, until: u32) -> PreparePlan<'_, F, N> {
        PreparePlan { writer: self, until, asked: false, flash: core::marker::PhantomData }
    }

    /// Whether units before address `until` are still to be erased.
    pub fn unprepared(&self, until: u32) -> bool {
        self.state == WriterState::Open && self.blank_to < until.min(self.end)
    }

    /// All before this address is in the flash.
    pub fn durable(&self) -> u32 {
        self.at
    }

    /// The buffer, for reading back once the stream was flushed.
    pub fn buffer(&mut self) -> Option<&mut [u8; N]> {
        (self.state == WriterState::Flushed).then_some(&mut self.buffer.0)
    }

    fn next<'s, 'a: 's, F: NorFlash>(&'s mut self, input: &mut &'a [u8], last: bool) -> Option<Op<'s>> {
        let (word, unit) = (F::WRITE_SIZE, F::ERASE_SIZE as u32);
        match mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Nothing => {}
            Doing::Erase => self.blank_to = self.blank_to.saturating_add(unit),
            Doing::Write(len) => self.at = self.at.saturating_add(len),
            Doing::WriteBuffer => {
                self.at = self.at.saturating_add(self.filled as u32);
                self.filled = 0;
            }
        }
        loop {
            let half_word = self.filled % word;
            let passable = if input.as_ptr().addr().is_multiple_of(4) { input.len() - input.len() % word } else { 0 };
            if half_word == 0 && passable > 0 && self.filled == 0 {
                let room = self.blank_to.saturating_sub(self.at) as usize;
                let len = passable.min(room).min(const { YIELD_EVERY - YIELD_EVERY % F::WRITE_SIZE });
                let Some((words, rest)) = input.split_at_checked(len).filter(|_| len > 0) else { break };
                *input = rest;
                self.doing = Doing::Write(len as u32);
                return Some(Op::Write(self.at, words));
            }
            let wanted = match half_word {
                0 if passable > 0 => 0,
                0 => N.saturating_sub(self.filled),
                half => word.saturating_sub(half),
            };
            let (bytes, rest) = input.split_at_checked(wanted).unwrap_or((input, &[]));
            let space = self.buffer.0.iter_mut().skip(self.filled);
            space.zip(bytes).for_each(|(to, from)| *to = *from);
            self.filled = self.filled.saturating_add(bytes.len()).min(N);
            *input = rest;
            if input.is_empty() && last {
                // The padding of the last word.
                while !self.filled.is_multiple_of(word) {
                    if let Some(byte) = self.buffer.0.get_mut(self.filled) {
                        *byte = self.erased;
                    }
                    self.filled = self.filled.saturating_add(1);
                }
            }
            let whole = self.filled > 0 && self.filled.is_multiple_of(word);
            if whole && (self.filled == N || last || passable > 0 && half_word == 0) {
                if self.at.saturating_add(self.filled as u32) > self.blank_to {
                    break;
                }
                self.doing = Doing::WriteBuffer;
                return self.buffer.0.get(..self.filled).map(|words| Op::Write(self.at, words));
            }
            if input.is_empty() {
                self.state = if last { WriterState::Flushed } else { WriterState::Open };
                return None;
            }
        }
        self.doing = Doing::Erase;
        Some(Op::Erase(self.blank_to, self.blank_to.saturating_add(unit)))
    }
}

/// Takes bytes into a [`Writer`]'s flash.
#[derive(Debug)]
pub struct WritePlan<'a, F, const N: usize> {
    writer: &'a mut Writer<N>,
    input: &'a [u8],
    last: bool,
    flash: core::marker::PhantomData<fn() -> F>,
}

impl<F: NorFlash, const N: usize> Plan for WritePlan<'_, F, N> {
    fn next(&mut self) -> Option<Op<'_>> {
        self.writer.next::<F>(&mut self.input, self.last)
    }
}

/// Erases one unit ahead of a [`Writer`].
#[derive(Debug)]
pub struct PreparePlan<'a, F, const N: usize> {
    writer: &'a mut Writer<N>,
    until: u32,
    asked: bool,
    flash: core::marker::PhantomData<fn() -> F>,
}

impl<F: NorFlash, const N: usize> Plan for PreparePlan<'_, F, N> {
    fn next(&mut self) -> Option<Op<'_>> {
        let next = self.writer.blank_to.saturating_add(F::ERASE_SIZE as u32);
        if mem::replace(&mut self.asked, true) {
            self.writer.blank_to = next;
            return None;
        }
        self.writer.unprepared(self.until).then_some(Op::Erase(self.writer.blank_to, next))
    }
}

fn capacity<F: NorFlash>(flash: &F) -> u32 {
    u32::try_from(flash.capacity()).unwrap_or(u32::MAX)
}

/// Why a [`FlashWriter`] failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WriterError<E> {
    /// The flash failed. The writer is closed.
    Flash(E),
    /// The bytes do not fit. Nothing was written.
    NoSpace,
    /// A write failed or was dropped before, or the stream has ended. Start again.
    Closed,
}

impl<E: NorFlashError> WriterError<E> {
    /// The flash's kind of error, if it was one.
    pub fn flash(&self) -> Option<NorFlashErrorKind> {
        match self {
            Self::Flash(error) => Some(error.kind()),
            _ => None,
        }
    }
}

impl<E: fmt::Debug> fmt::Display for WriterError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "flash error: {error:?}"),
            Self::NoSpace => f.write_str("the bytes do not fit into the flash region"),
            Self::Closed => f.write_str("the writer was closed by an earlier failure or its end: start it again"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for WriterError<E> {}
