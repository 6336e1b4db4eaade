//! [`FlakySource`]: a file that comes in odd pieces, over connections that break, and may change meanwhile.

use core::fmt;

use fota_download::source::{Error, Meta, Retry, Source};

/// A source over bytes in memory, as bad as it is told to be. What it gave is counted.
///
/// ```
/// use dfu_testkit::poll::run;
/// use dfu_testkit::source::FlakySource;
/// use fota_download::Source;
///
/// let mut source = FlakySource::new(&[7; 100]).pieces(1..=16).breaks_after(40..=40);
/// assert_eq!(run(source.open(10)).unwrap().start, 10);
/// let mut buf = [0; 64];
/// let mut count = 0;
/// while let Ok(came) = run(source.read(&mut buf)) {
///     assert!(came <= 16);
///     count += came;
/// }
/// assert_eq!((count, source.given()), (40, 40));
/// ```
#[derive(Debug)]
pub struct FlakySource<'f> {
    file: &'f [u8],
    random: fastrand::Rng,
    pieces: core::ops::RangeInclusive<usize>,
    breaks: Option<core::ops::RangeInclusive<usize>>,
    /// The file that takes its place once this many bytes were given.
    change: Option<(usize, &'f [u8])>,
    tag: u32,
    ranges: bool,
    at: usize,
    left: usize,
    given: usize,
    opened: usize,
    closed: usize,
    /// How many breaks are silence instead.
    silences: usize,
    is_down: bool,
}

impl<'f> FlakySource<'f> {
    /// A file that comes without any trouble.
    pub fn new(file: &'f [u8]) -> Self {
        Self {
            file,
            random: fastrand::Rng::with_seed(1),
            pieces: usize::MAX..=usize::MAX,
            breaks: None,
            change: None,
            tag: 1,
            ranges: true,
            at: 0,
            left: usize::MAX,
            given: 0,
            opened: 0,
            closed: 0,
            silences: 0,
            is_down: false,
        }
    }

    /// Other pieces and other breaks.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = fastrand::Rng::with_seed(seed);
        self
    }

    /// Each read gives as many bytes as chance says, from this range.
    #[must_use]
    pub fn pieces(mut self, lengths: core::ops::RangeInclusive<usize>) -> Self {
        self.pieces = lengths;
        self
    }

    /// Each connection breaks after as many bytes as chance says, from this range.
    #[must_use]
    pub fn breaks_after(mut self, bytes: core::ops::RangeInclusive<usize>) -> Self {
        self.breaks = Some(bytes);
        self
    }

    /// Another file, with another tag, takes this one's place once so many bytes were given; the connection breaks.
    #[must_use]
    pub fn changes_after(mut self, bytes: usize, file: &'f [u8]) -> Self {
        self.change = Some((bytes, file));
        self
    }

    /// A server that knows no ranges: it gives every file from its start.
    #[must_use]
    pub fn without_ranges(mut self) -> Self {
        self.ranges = false;
        self
    }

    /// The first connections that break don't: nothing comes over them any more, and nobody says why.
    #[must_use]
    pub fn silent(mut self, times: usize) -> Self {
        self.silences = times;
        self
    }

    /// A server that is not there.
    #[must_use]
    pub fn down(mut self) -> Self {
        self.is_down = true;
        self
    }

    /// The tag of its version; 1 otherwise.
    #[must_use]
    pub fn tag(mut self, tag: u32) -> Self {
        self.tag = tag;
        self
    }

    /// A server that does not name versions of its files.
    #[must_use]
    pub fn without_tags(mut self) -> Self {
        self.tag = 0;
        self
    }

    /// How many bytes it gave.
    pub fn given(&self) -> usize {
        self.given
    }

    /// How often it was opened.
    pub fn opened(&self) -> usize {
        self.opened
    }

    /// How often it was closed by who reads.
    pub fn closed(&self) -> usize {
        self.closed
    }
}

impl Source for FlakySource<'_> {
    type Error = Broken;

    async fn open(&mut self, from: u32) -> Result<Meta, Broken> {
        self.opened += 1;
        if self.is_down {
            return Err(Broken);
        }
        self.at = if self.ranges { from as usize } else { 0 };
        self.left = self.breaks.clone().map_or(usize::MAX, |range| self.random.usize(range));
        Ok(Meta { size: Some(self.file.len() as u32), tag: self.tag, start: self.at as u32 })
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Broken> {
        if let Some((_, file)) = self.change.take_if(|(after, _)| self.given >= *after) {
            self.file = file;
            self.tag += u32::from(self.tag != 0);
            self.left = 0;
        }
        let rest = &self.file[self.at.min(self.file.len())..];
        if rest.is_empty() {
            return Ok(0);
        }
        let piece = self.random.usize(self.pieces.clone());
        let count = rest.len().min(buf.len()).min(piece).min(self.left);
        if count == 0 {
            if let Some(fewer) = self.silences.checked_sub(1) {
                self.silences = fewer;
                return core::future::pending().await;
            }
            return Err(Broken);
        }
        buf[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        self.left -= count;
        self.given += count;
        Ok(count)
    }

    fn paid(&self) -> u32 {
        self.given as u32
    }

    fn close(&mut self) {
        self.closed += 1;
    }
}

/// The connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection broke")
    }
}

impl core::error::Error for Broken {}

impl Error for Broken {
    fn retry(&self) -> Retry {
        Retry::Later
    }
}
