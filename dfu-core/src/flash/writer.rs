//! Any bytes in, whole aligned words out, each erase unit erased just before it is needed.

use core::fmt;
use core::marker::PhantomData;
use core::mem;

use embedded_storage_async::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};

use super::{Op, Plan, YIELD_EVERY, align_down, run};

/// A stream of bytes on its way into a flash, with a buffer of `N` bytes.
///
/// Words that lie whole and aligned to 4 in the caller's buffer are passed through uncopied while nothing is
/// gathered before them; what is left is gathered. A larger `N` means fewer flash operations for small or odd chunks, nothing else. Keep the caller's
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

    /// Goes on at `offset`, or rather at the start of its erase unit, which is returned. Where nothing is left to
    /// write, see [`start_complete`](Self::start_complete).
    pub fn start_at(&mut self, offset: u32) -> u32 {
        let end = capacity(&self.flash);
        self.writer.start_at::<F>(offset.min(end), end)
    }

    /// Takes up a stream of `len` bytes that is all there, as after a [`flush`](Self::flush): nothing is written or
    /// erased before the next start. What [`DfuTarget::init`](crate::DfuTarget::init) is for where `resume` is the
    /// image's size.
    pub fn start_complete(&mut self, len: u32) {
        self.writer.start_complete(len.min(capacity(&self.flash)));
    }

    /// Erases the unit ahead, if it is needed for the bytes up to `until`; `true`: more of them are left.
    pub async fn prepare(&mut self, until: u32) -> Result<bool, WriterError<F::Error>> {
        if let Some(from) = self.writer.unprepared(until) {
            let to = from.saturating_add(F::ERASE_SIZE as u32);
            self.flash.erase(from, to).await.map_err(WriterError::Flash)?;
            self.writer.prepared::<F>();
        }
        Ok(self.writer.unprepared(until).is_some())
    }

    /// Takes the next bytes; returns the [`durable`](Self::durable) offset.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<u32, WriterError<F::Error>> {
        if self.writer.is_open() && self.writer.room() < bytes.len() {
            return Err(WriterError::NoSpace);
        }
        self.run(bytes, false).await?;
        Ok(self.durable())
    }

    /// Writes what is still in RAM, padded to a whole word with the erased value. Ends the stream: nothing can
    /// be written before the next start. Legal to repeat.
    pub async fn flush(&mut self) -> Result<(), WriterError<F::Error>> {
        if self.writer.is_flushed() { Ok(()) } else { self.run(&[], true).await }
    }

    async fn run(&mut self, input: &[u8], last: bool) -> Result<(), WriterError<F::Error>> {
        if !self.writer.close() {
            return Err(WriterError::Closed);
        }
        let mut plan = WritePlan::<F, N> { writer: &mut self.writer, input, last, flash: PhantomData };
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
    filled: usize,
    /// Where the next word goes.
    at: u32,
    /// From `at` up to here the flash is blank.
    blank_to: u32,
    /// Nothing is written here or after.
    end: u32,
    erased: u8,
    /// No operation is under way, failed or was dropped since the start, and the stream has not ended.
    open: bool,
    /// The last, padded word was written.
    flushed: bool,
    buffer: Buffer<N>,
}

#[derive(Debug)]
#[repr(align(8))]
struct Buffer<const N: usize>([u8; N]);

impl<const N: usize> Writer<N> {
    /// A closed writer for a flash whose erased bytes read as `erased`; start it.
    pub const fn new<F: NorFlash>(erased: u8) -> Self {
        const {
            assert!(
                N >= F::WRITE_SIZE && N <= F::ERASE_SIZE,
                "the buffer holds a word or more and an erase unit at most"
            );
            assert!(N.is_multiple_of(F::WRITE_SIZE), "the buffer is a whole number of words");
            assert!(F::ERASE_SIZE.is_multiple_of(F::WRITE_SIZE), "an erase unit is a whole number of words");
        }
        Self { buffer: Buffer([0; N]), filled: 0, at: 0, blank_to: 0, end: 0, erased, open: false, flushed: false }
    }

    /// Goes on at address `at`, or rather at the start of its erase unit, which is returned. Nothing is
    /// written at `end` or after.
    pub fn start_at<F: NorFlash>(&mut self, at: u32, end: u32) -> u32 {
        self.at = align_down(at, F::ERASE_SIZE as u32);
        self.blank_to = self.at;
        self.end = end;
        self.filled = 0;
        self.open = true;
        self.flushed = false;
        self.at
    }

    /// The first `len` bytes of the unit at which it was started are left out: whole words that stay blank. The
    /// unit has to be erased already.
    pub fn leave_out<F: NorFlash>(&mut self, len: u32) {
        self.blank_to = self.at.wrapping_add(F::ERASE_SIZE as u32);
        self.at = self.at.wrapping_add(len);
    }

    /// Takes up a stream that is all there, up to address `end`: there is nothing left to write.
    pub fn start_complete(&mut self, end: u32) {
        self.at = end;
        self.filled = 0;
        self.open = false;
        self.flushed = true;
    }

    /// Closes the stream for an operation that may fail or be dropped; whether it was open.
    /// [`next`](Self::next) opens it again at its end.
    pub fn close(&mut self) -> bool {
        mem::take(&mut self.open)
    }

    /// Whether bytes wait in the buffer.
    pub fn pending(&self) -> bool {
        self.filled > 0
    }

    /// Whether bytes can be written: it was started, and nothing failed since.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// How many more bytes fit.
    pub fn room(&self) -> usize {
        (self.end.saturating_sub(self.at) as usize).saturating_sub(self.filled)
    }

    /// Whether the stream has ended and all of it is in the flash.
    pub fn is_flushed(&self) -> bool {
        self.flushed
    }

    /// The unit to erase ahead, if the bytes up to address `until` need it. Then call [`prepared`](Self::prepared).
    pub fn unprepared(&self, until: u32) -> Option<u32> {
        (self.open && self.blank_to < until.min(self.end)).then_some(self.blank_to)
    }

    /// The unit ahead is erased.
    pub fn prepared<F: NorFlash>(&mut self) {
        self.blank_to = self.blank_to.wrapping_add(F::ERASE_SIZE as u32);
    }

    /// All before this address is in the flash.
    pub fn durable(&self) -> u32 {
        self.at
    }

    /// The buffer, for something else. An open stream is closed by that: it has to be started again.
    pub fn buffer(&mut self) -> &mut [u8; N] {
        self.open = false;
        &mut self.buffer.0
    }

    /// The buffer as it is.
    pub fn buffered(&self) -> &[u8; N] {
        &self.buffer.0
    }

    /// Takes bytes that need no operation: all of them fit into an open stream's buffer beside what is gathered, and
    /// they end no erase unit. Whether it took them; else nothing has changed.
    pub fn gather<F: NorFlash>(&mut self, bytes: &[u8]) -> bool {
        let filled = self.filled.wrapping_add(bytes.len());
        self.open && filled < N && !self.ends_unit::<F>(filled) && self.put(bytes).is_some()
    }

    /// The next operation of a closed stream that takes `input`, and with `last` writes what is in the buffer
    /// too, padded. `None` opens the stream again, or ends it. An operation counts as done when it is handed out:
    /// whoever drops it leaves the stream closed.
    pub fn next<'s, 'a: 's, F: NorFlash>(&'s mut self, input: &mut &'a [u8], last: bool) -> Option<Op<'s>> {
        if self.filled == 0 && input.is_empty() {
            self.open = !last;
            self.flushed = last;
            return None;
        }
        let mut len = 0;
        if self.filled == 0 && input.as_ptr().addr().is_multiple_of(4) {
            len = align_down(input.len().min(YIELD_EVERY) as u32, F::WRITE_SIZE as u32) as usize;
        }
        let passes = len > 0;
        if !passes {
            let room = N.saturating_sub(self.filled).min(input.len());
            let (bytes, rest) = input.split_at_checked(room)?;
            self.put(bytes)?;
            *input = rest;
            let ended = last && rest.is_empty();
            if ended {
                // The last word is padded.
                let whole = self.filled.next_multiple_of(F::WRITE_SIZE);
                self.buffer.0.get_mut(self.filled..whole)?.fill(self.erased);
                self.filled = whole;
            }
            // At the end of an erase unit nothing is held back: what follows a cut there starts with the next one.
            if self.filled == N || ended || rest.is_empty() && self.ends_unit::<F>(self.filled) {
                len = self.filled;
            }
        }
        if len == 0 {
            self.open = !last;
            self.flushed = last;
            return None;
        }
        // Erasing is ahead of writing, or just there.
        let blank = self.blank_to.wrapping_sub(self.at) as usize;
        if blank < if passes { 1 } else { len } {
            let from = self.blank_to;
            self.blank_to = from.wrapping_add(F::ERASE_SIZE as u32);
            return Some(Op::Erase(from, self.blank_to));
        }
        let words = if passes {
            let (words, rest) = input.split_at_checked(len.min(blank))?;
            *input = rest;
            words
        } else {
            self.filled = 0;
            self.buffer.0.get(..len)?
        };
        let at = self.at;
        self.at = at.wrapping_add(words.len() as u32);
        Some(Op::Write(at, words))
    }

    /// Adds bytes to those that are gathered; `None`: they do not fit.
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let filled = self.filled.wrapping_add(bytes.len());
        self.buffer.0.get_mut(self.filled..filled)?.copy_from_slice(bytes);
        self.filled = filled;
        Some(())
    }

    /// Whether so many bytes behind those that are written end an erase unit.
    fn ends_unit<F: NorFlash>(&self, count: usize) -> bool {
        self.at.wrapping_add(count as u32).is_multiple_of(F::ERASE_SIZE as u32)
    }
}

struct WritePlan<'a, F, const N: usize> {
    writer: &'a mut Writer<N>,
    input: &'a [u8],
    last: bool,
    flash: PhantomData<fn() -> F>,
}

impl<F: NorFlash, const N: usize> Plan for WritePlan<'_, F, N> {
    fn next(&mut self) -> Option<Op<'_>> {
        self.writer.next::<F>(&mut self.input, self.last)
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

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // Tests.
mod tests;
