//! What a flash has done and how long it took.

use core::ops::{AddAssign, Range};

/// What was asked of a flash, or of one of its regions.
///
/// Bytes and points count what took place; operations count what was asked for while there was power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
    /// Erase operations.
    pub erases: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes programmed.
    pub bytes_written: u64,
    /// Bytes erased.
    pub bytes_erased: u64,
    /// Mutation points: words programmed and units erased.
    pub points: u64,
    /// The longest read, in bytes.
    pub longest_read: usize,
    /// The longest write, in bytes.
    pub longest_write: usize,
    /// The longest erase, in bytes.
    pub longest_erase: usize,
}

impl Counts {
    pub(super) fn read(bytes: usize) -> Self {
        Self { reads: 1, bytes_read: bytes as u64, longest_read: bytes, ..Self::default() }
    }

    pub(super) fn write(asked: usize, done: usize, word: usize) -> Self {
        let points = done.div_ceil(word) as u64;
        Self { writes: 1, bytes_written: done as u64, longest_write: asked, points, ..Self::default() }
    }

    pub(super) fn erase(asked: usize, done: usize, unit: usize) -> Self {
        let points = done.div_ceil(unit) as u64;
        Self { erases: 1, bytes_erased: done as u64, longest_erase: asked, points, ..Self::default() }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.reads += more.reads;
        self.writes += more.writes;
        self.erases += more.erases;
        self.bytes_read += more.bytes_read;
        self.bytes_written += more.bytes_written;
        self.bytes_erased += more.bytes_erased;
        self.points += more.points;
        self.longest_read = self.longest_read.max(more.longest_read);
        self.longest_write = self.longest_write.max(more.longest_write);
        self.longest_erase = self.longest_erase.max(more.longest_erase);
    }
}

/// A named part of a flash with counters of its own.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) range: Range<u32>,
}

impl Part {
    /// How many of `len` bytes from `start` on lie in this part.
    pub(super) fn overlap(&self, start: usize, len: usize) -> usize {
        let from = start.max(self.range.start as usize);
        (start + len).min(self.range.end as usize).saturating_sub(from)
    }
}

/// How long a flash takes; moves the virtual clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Nanoseconds to program one word.
    pub word_ns: u64,
    /// Nanoseconds to erase one unit.
    pub erase_ns: u64,
    /// Nanoseconds to read one byte.
    pub read_ns: u64,
}

impl Timing {
    /// The nRF9160's own flash: 41 µs a word of 4 bytes, 87 ms a page of 4 KiB, the maxima of its specification;
    /// a read is a copy at 64 MHz, one word in four cycles.
    pub const NRF9160: Self = Self { word_ns: 41_000, erase_ns: 87_000_000, read_ns: 16 };
}
