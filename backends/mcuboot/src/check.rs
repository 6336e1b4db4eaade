//! Checks an image by what it carries, in one pass. No I/O.

use dfu_target::image::mcuboot::{Header, TLV_MAGIC, TLV_PROTECTED_MAGIC, TLV_SHA256};
use dfu_target::target::Assurance;
use dfu_target::{Digest, Sha256};

use crate::Error;

/// What is found out about an image while its bytes go by.
#[derive(Debug)]
pub(crate) struct Check {
    /// Where the TLVs begin, and where the part ends that the image's hash covers.
    tlvs_at: u32,
    hashed_to: u32,
    encrypted: bool,
    at: u32,
    hash: Option<Digest>,
    tlvs: Tlvs,
}

impl Check {
    pub(crate) fn new(header: &Header) -> Self {
        Self {
            tlvs_at: header.tlv_offset(),
            hashed_to: header.hashed_len(),
            encrypted: header.is_encrypted(),
            at: 0,
            hash: None,
            tlvs: Tlvs::default(),
        }
    }

    /// Begins with the image's first byte.
    pub(crate) fn restart(&mut self) {
        self.at = 0;
        self.hash = None;
        self.tlvs = Tlvs { protected: self.hashed_to.wrapping_sub(self.tlvs_at), ..Tlvs::default() };
    }

    /// Takes the image's next bytes.
    pub(crate) fn take(&mut self, engine: &mut impl Sha256, bytes: &[u8]) {
        let hashed = self.hashed_to.saturating_sub(self.at) as usize;
        // The image's own hash is of what comes before, if the hashed part ends here.
        let (before, after) = bytes.split_at_checked(hashed).unwrap_or((bytes, &[]));
        engine.update(before);
        if hashed > 0 && before.len() == hashed {
            self.hash = engine.peek();
        }
        engine.update(after);
        let skip = self.tlvs_at.saturating_sub(self.at) as usize;
        bytes.iter().skip(skip).for_each(|byte| self.tlvs.feed(*byte));
        self.at = self.at.saturating_add(bytes.len() as u32);
    }

    /// How many bytes were taken.
    pub(crate) fn at(&self) -> u32 {
        self.at
    }

    /// The verdict, after the last byte. The hash of an encrypted image is that of the plain one.
    pub(crate) fn verdict<E>(&self) -> Result<Assurance, Error<E>> {
        if !self.tlvs.whole() || self.tlvs.damaged {
            return Err(Error::Tlv);
        }
        match &self.hash {
            Some(hash) if self.tlvs.hash_len == hash.0.len() && !self.encrypted => {
                if hash.0 == self.tlvs.hash {
                    Ok(Assurance::Hash)
                } else {
                    Err(Error::Hash)
                }
            }
            _ => Ok(Assurance::None),
        }
    }
}

/// The TLV areas behind the payload, byte by byte.
#[derive(Debug, Default)]
struct Tlvs {
    /// Length of the protected area, as long as it is still to come.
    protected: u32,
    /// The four bytes that begin an area or an entry, and how many of them are missing still.
    word: u32,
    missing: u32,
    /// Bytes left in this area behind this entry, and in this entry.
    area: u32,
    entry: u32,
    /// This is the area behind the hashed part, the last one.
    last: bool,
    damaged: bool,
    hashing: bool,
    hash: [u8; 32],
    hash_len: usize,
}

impl Tlvs {
    fn whole(&self) -> bool {
        self.last && self.area == 0 && self.entry == 0
    }

    fn feed(&mut self, byte: u8) {
        // Nothing follows the last area.
        self.damaged |= self.whole();
        if let Some(left) = self.entry.checked_sub(1) {
            self.entry = left;
            if self.hashing {
                if let Some(place) = self.hash.get_mut(self.hash_len) {
                    *place = byte;
                }
                self.hash_len = self.hash_len.wrapping_add(1);
            }
            return;
        }
        self.word = (self.word >> 8) | (u32::from(byte) << 24);
        self.missing = self.missing.wrapping_sub(1) & 3;
        if self.missing == 0 {
            self.damaged |= self.open(self.word as u16, self.word >> 16).is_none();
        }
    }

    /// Begins an area or an entry; `None`: it cannot be one.
    fn open(&mut self, tag: u16, len: u32) -> Option<()> {
        const HEAD: u32 = 4;
        if self.area > 0 {
            self.area = self.area.checked_sub(HEAD)?.checked_sub(len)?;
            self.entry = len;
            self.hashing = self.last && tag == TLV_SHA256;
            // One hash, and a whole one.
            return (!self.hashing || len == 32 && self.hash_len == 0).then_some(());
        }
        self.area = len.checked_sub(HEAD)?;
        if self.protected == 0 {
            self.last = true;
            return (tag == TLV_MAGIC).then_some(());
        }
        let expected = core::mem::take(&mut self.protected);
        (tag == TLV_PROTECTED_MAGIC && len == expected).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn area(magic: u16, entries: &[(u16, &[u8])]) -> Vec<u8> {
        let body: Vec<u8> = entries
            .iter()
            .flat_map(|(tag, data)| [&tag.to_le_bytes()[..], &(data.len() as u16).to_le_bytes(), data].concat())
            .collect();
        [&magic.to_le_bytes()[..], &(body.len() as u16).wrapping_add(4).to_le_bytes(), &body].concat()
    }

    /// Whether the areas are whole, and the hash that was found.
    fn walk(protected: usize, bytes: &[u8]) -> (bool, Option<[u8; 32]>) {
        let mut tlvs = Tlvs { protected: protected as u32, ..Tlvs::default() };
        bytes.iter().for_each(|byte| tlvs.feed(*byte));
        (tlvs.whole() && !tlvs.damaged, (tlvs.hash_len == 32).then_some(tlvs.hash))
    }

    #[test]
    fn both_areas_are_walked_and_the_hash_is_found() {
        let protected = area(0x6908, &[(0x50, &[7, 0, 0, 0]), (0xa0, &[])]);
        let rest = area(0x6907, &[(0x10, &[9; 32]), (0x22, &[1; 71])]);
        let bytes = [&protected[..], &rest].concat();
        assert_eq!(walk(protected.len(), &bytes), (true, Some([9; 32])));
        for len in 0..bytes.len() {
            assert!(!walk(protected.len(), &bytes[..len]).0, "cut at {len}");
        }
        assert!(!walk(protected.len(), &[&bytes[..], &[0xff]].concat()).0, "a byte behind the end");
        assert!(!walk(protected.len() + 1, &bytes).0, "another length than in the header");
        assert!(!walk(0, &bytes).0, "a protected area that the header does not know of");
        assert!(!walk(36, &rest).0, "a protected area that is missing");
        assert_eq!(walk(0, &area(0x6907, &[])), (true, None));
    }

    #[test]
    fn a_hash_that_could_be_read_in_two_ways_is_refused() {
        assert!(!walk(0, &area(0x6907, &[(0x10, &[9; 32]), (0x10, &[8; 32])])).0, "two of them");
        assert!(!walk(0, &area(0x6907, &[(0x10, &[9; 31])])).0, "too short");
        assert!(!walk(0, &area(0x6907, &[(0x10, &[9; 33])])).0, "too long");
        let protected = area(0x6908, &[(0x10, &[9; 32])]);
        let bytes = [&protected[..], &area(0x6907, &[])].concat();
        assert_eq!(walk(protected.len(), &bytes), (true, None), "in the area that it would have to cover");
    }

    #[test]
    fn an_entry_never_leaves_its_area() {
        let mut bytes = area(0x6907, &[(0x20, &[1; 8])]);
        bytes[6] = 9;
        assert!(!walk(0, &[&bytes[..], &[0; 70]].concat()).0);
        bytes[2] = 3;
        assert!(!walk(0, &bytes).0, "an area shorter than its own head");
    }

    #[test]
    fn any_bytes_are_walked_without_a_fault() {
        let mut bytes = [0_u8; 600];
        for seed in 1..2000_u32 {
            let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
            bytes.iter_mut().for_each(|byte| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                *byte = if state & 0x300 == 0 {
                    state as u8
                } else {
                    [0x07, 0x69, 0x10, 0x20, 0, 4, 36, 8][state as usize & 7]
                };
            });
            bytes[..2].copy_from_slice(&[7, 0x69]);
            walk(0, &bytes);
        }
    }
}
