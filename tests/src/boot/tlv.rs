//! The records behind an image's payload.

use super::header::Header;

/// The records of an image, protected ones first.
#[derive(Clone, Debug)]
pub(super) struct Tlvs<'a> {
    image: &'a [u8],
    at: usize,
    border: usize,
    end: usize,
    has_protected: bool,
    only_protected: bool,
}

/// The areas contradict the header or themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadTlvs;

impl<'a> Tlvs<'a> {
    /// Both areas, where they are what the header says.
    pub(super) fn of(image: &'a [u8], header: &Header) -> Result<Self, BadTlvs> {
        let start = header.tlvs();
        let mut info = start;
        if u16_at(image, info)? == PROTECTED_MAGIC {
            if usize::from(u16_at(image, info + 2)?) != header.protected {
                return Err(BadTlvs);
            }
            info += header.protected;
        } else if header.protected != 0 {
            return Err(BadTlvs);
        }
        if u16_at(image, info)? != UNPROTECTED_MAGIC {
            return Err(BadTlvs);
        }
        Ok(Self {
            image,
            at: start + INFO,
            border: header.hashed(),
            end: header.hashed() + usize::from(u16_at(image, info + 2)?),
            has_protected: header.protected > 0,
            only_protected: false,
        })
    }

    /// The protected records alone.
    pub(super) fn protected(mut self) -> Self {
        self.only_protected = true;
        self
    }

    /// Where the image ends.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// The length of the unprotected area.
    pub(super) fn unprotected(&self) -> usize {
        self.end - self.border
    }

    fn step(&mut self) -> Result<Option<(u16, &'a [u8])>, BadTlvs> {
        if self.has_protected && self.at == self.border {
            self.at += INFO;
        }
        if self.at >= self.end || self.only_protected && self.at >= self.border {
            return Ok(None);
        }
        let end = if self.only_protected { self.border } else { self.end };
        let (kind, length) = (u16_at(self.image, self.at)?, u16_at(self.image, self.at + 2)?);
        let value = self.at + 4;
        let next = value + usize::from(length);
        if next > end {
            return Err(BadTlvs);
        }
        self.at = next;
        Ok(Some((kind, self.image.get(value..next).ok_or(BadTlvs)?)))
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<(u16, &'a [u8]), BadTlvs>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step();
        if item.is_err() {
            self.at = self.end;
        }
        item.transpose()
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, BadTlvs> {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().map(u16::from_le_bytes).ok_or(BadTlvs)
}

const PROTECTED_MAGIC: u16 = 0x6908;
const UNPROTECTED_MAGIC: u16 = 0x6907;
/// An area begins with its magic and its length.
const INFO: usize = 4;
