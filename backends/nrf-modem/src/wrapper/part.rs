//! Reading what may not be there yet: the file, or a byte string within it.

use super::{Wrapper, WrapperError};

/// The file or a byte string, of which the end may be missing.
///
/// A general decoder says that the bytes have ended, and not how many it wanted: that would not do to refuse at once
/// what no more bytes can cure. It would also take more code than all the rest here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// What is there.
    bytes: &'a [u8],
    /// How many bytes there are to be.
    len: usize,
    /// How many have been passed; where a string has been, more than are there.
    at: usize,
    /// What is said of bytes that are not what they should be.
    wrong: WrapperError,
    /// What is said of something that is longer than its place.
    over: WrapperError,
}

impl<'a> Part<'a> {
    /// The file: of the wrapper's length only the most is known.
    pub(super) fn file(bytes: &'a [u8]) -> Self {
        let bytes = bytes.get(..Wrapper::MAX_LEN).unwrap_or(bytes);
        Self { bytes, len: Wrapper::MAX_LEN, at: 0, wrong: WrapperError::NotCose, over: WrapperError::TooLong }
    }

    /// What begins with this major type: its number, its length or how many items it has.
    pub(super) fn head(&mut self, major: Major) -> Result<u64, WrapperError> {
        let ended = if self.bytes.len() < self.len { WrapperError::Truncated } else { self.over };
        let (first, rest) = self.rest().split_first().ok_or(ended)?;
        if first >> 5 != major as u8 {
            return Err(self.wrong);
        }
        let info = first & 0x1f;
        let more = match info {
            0..24 => 0,
            24..28 => 1_usize << (info & 3),
            31 if !matches!(major, Major::Number | Major::Tag) => return Err(WrapperError::Indefinite),
            _ => return Err(self.wrong),
        };
        let argument = rest.get(..more).ok_or(ended)?;
        self.at = self.at.saturating_add(1).saturating_add(more);
        let start = if more == 0 { info.into() } else { 0 };
        Ok(argument.iter().fold(start, |number, byte| (number << 8) | u64::from(*byte)))
    }

    /// A number of 32 bits.
    pub(super) fn number(&mut self) -> Result<u32, WrapperError> {
        u32::try_from(self.head(Major::Number)?).map_err(|_| self.wrong)
    }

    /// Passes a byte string, which is read by itself.
    pub(super) fn part(&mut self, wrong: WrapperError) -> Result<Self, WrapperError> {
        let len = self.head(Major::Bytes)?;
        let len = usize::try_from(len).ok().filter(|len| *len <= self.left()).ok_or(self.over)?;
        let there = self.rest();
        self.at = self.at.saturating_add(len);
        Ok(Self { bytes: there.get(..len).unwrap_or(there), len, at: 0, wrong, over: wrong })
    }

    /// How many bytes there are to be.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many of them have not been passed.
    pub(super) fn left(&self) -> usize {
        self.len.saturating_sub(self.at)
    }

    /// Those that are there.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Those that are there and have been passed.
    pub(super) fn passed(&self) -> &'a [u8] {
        self.bytes.get(..self.at).unwrap_or(self.bytes)
    }

    /// Those that are there and have not been passed.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    /// All of them.
    pub(super) fn whole(&self) -> Result<&'a [u8], WrapperError> {
        if self.bytes.len() < self.len { Err(WrapperError::Truncated) } else { Ok(self.bytes) }
    }
}

/// What an item is: the first three bits of its head (RFC 8949 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Major {
    Number = 0,
    Bytes = 2,
    Array = 4,
    Map = 5,
    Tag = 6,
}
