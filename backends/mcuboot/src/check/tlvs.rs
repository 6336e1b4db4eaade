//! The TLV areas behind an image's payload, byte by byte.

use dfu_target::Digest;
use dfu_target::image::mcuboot::{TLV_MAGIC, TLV_PROTECTED_MAGIC};

use crate::refusal::TlvFault;
use crate::verify::Entry;
use crate::{HashKind, Refusal, Slots, Verify};

/// The walk through both areas.
#[derive(Debug)]
pub(crate) struct Tlvs {
    /// Where in the file the next byte lies.
    at: u32,
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
    hashing: bool,
    hash: [u8; 32],
    hash_len: usize,
}

impl Tlvs {
    /// From the first byte behind the payload, with a protected area of this length in front.
    pub(crate) const fn new(at: u32, protected: u32) -> Self {
        Self {
            at,
            protected,
            word: 0,
            missing: 0,
            area: 0,
            entry: 0,
            last: false,
            hashing: false,
            hash: [0; 32],
            hash_len: 0,
        }
    }

    /// Begins again.
    pub(crate) fn restart(&mut self, at: u32, protected: u32) {
        // What is there of a hash does not count.
        *self = Self { hash: self.hash, ..Self::new(at, protected) };
    }

    /// What is wrong, here.
    pub(crate) fn refusal(&self, fault: TlvFault) -> Refusal {
        Refusal::Tlv { fault, offset: self.at, tlv: self.word as u16 }
    }

    pub(crate) fn has_hash(&self) -> bool {
        self.hash_len == self.hash.len()
    }

    pub(crate) fn is_hash(&self, hash: &Digest) -> bool {
        self.hash == hash.0
    }

    /// Whether the hashed part is over.
    pub(crate) fn is_behind_hashed(&self) -> bool {
        self.last
    }

    /// Whether both areas came to their end.
    pub(crate) fn whole(&self) -> bool {
        self.last && self.area == 0 && self.entry == 0
    }

    pub(crate) fn feed(&mut self, byte: u8, slots: &Slots, verify: &mut impl Verify) -> Result<(), Refusal> {
        // Nothing follows the last area.
        if self.whole() {
            return Err(self.refusal(TlvFault::Damaged));
        }
        self.at = self.at.wrapping_add(1);
        if let Some(left) = self.entry.checked_sub(1) {
            self.entry = left;
            if self.hashing {
                if let Some(place) = self.hash.get_mut(self.hash_len) {
                    *place = byte;
                }
                self.hash_len = self.hash_len.wrapping_add(1);
            }
            return verify.value(byte);
        }
        self.word = (self.word >> 8) | (u32::from(byte) << 24);
        self.missing = self.missing.wrapping_sub(1) & 3;
        if self.missing > 0 {
            return Ok(());
        }
        let (tlv, len) = (self.word as u16, (self.word >> 16) as u16);
        let in_area = self.area > 0;
        let fault = if in_area { self.enter(tlv, len, slots) } else { self.open(tlv, len.into()) };
        match fault {
            Some(fault) => Err(self.refusal(fault)),
            None if in_area => verify.entry(&Entry { tlv, len, protected: !self.last, offset: self.at }),
            None => Ok(()),
        }
    }

    /// Begins an entry, unless something is wrong with it.
    fn enter(&mut self, tlv: u16, len: u16, slots: &Slots) -> Option<TlvFault> {
        self.entry = len.into();
        let Some(left) = self.area.checked_sub(HEAD.saturating_add(self.entry)) else { return Some(TlvFault::Damaged) };
        self.area = left;
        self.hashing = slots.config.hash == HashKind::Sha256 && tlv == HashKind::Sha256.tlv();
        if self.hashing {
            if self.hash_len > 0 {
                return Some(TlvFault::Twice);
            }
            // A whole one, and none that would have to cover itself.
            if usize::from(len) != self.hash.len() || !self.last {
                return Some(TlvFault::Damaged);
            }
        }
        (self.last && !is_listed(tlv, slots)).then_some(TlvFault::Unprotected)
    }

    /// Begins an area, unless it cannot be one.
    fn open(&mut self, tag: u16, len: u32) -> Option<TlvFault> {
        let protected = core::mem::take(&mut self.protected);
        self.last = protected == 0;
        let right = if self.last { tag == TLV_MAGIC } else { tag == TLV_PROTECTED_MAGIC && len == protected };
        self.area = len.wrapping_sub(HEAD);
        (!right || len < HEAD).then_some(TlvFault::Damaged)
    }
}

/// Whether the bootloader takes a TLV where the hash does not cover it, by MCUboot's list.
fn is_listed(tlv: u16, slots: &Slots) -> bool {
    // Keys, hashes, signatures, wrapped keys; a bit for each.
    const LIST: [u8; 4] = [0b110, 0b111, 0b1_1111, 0b1_1111];
    let listed = LIST.get(usize::from(tlv >> 4)).is_some_and(|bits| u32::from(*bits) >> (tlv & 0xf) & 1 != 0);
    listed || slots.config.any_tlv || slots.config.hash == HashKind::Pure && tlv == SIG_PURE
}

/// Says that a signature is over the image itself: listed only by a bootloader for such.
const SIG_PURE: u16 = 0x25;

/// The bytes before an area's first entry, and before an entry's value.
const HEAD: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Mode};
    use std::vec::Vec;

    type Flash = dfu_testkit::flash::SimFlash<4, 4096>;

    fn area(magic: u16, entries: &[(u16, &[u8])]) -> Vec<u8> {
        let body: Vec<u8> = entries
            .iter()
            .flat_map(|(tag, data)| [&tag.to_le_bytes()[..], &(data.len() as u16).to_le_bytes(), data].concat())
            .collect();
        [&magic.to_le_bytes()[..], &(body.len() as u16).wrapping_add(4).to_le_bytes(), &body].concat()
    }

    fn fault(refusal: Refusal) -> (TlvFault, u32) {
        let Refusal::Tlv { fault, offset, .. } = refusal else { panic!("{refusal}") };
        (fault, offset)
    }

    /// The hash that was found, or why not.
    fn walk(protected: usize, bytes: &[u8]) -> Result<Option<[u8; 32]>, (TlvFault, u32)> {
        let slots = Slots::new::<Flash>(0x10000, Config::new(Mode::SwapMove));
        let mut tlvs = Tlvs::new(1000, protected as u32);
        for byte in bytes {
            tlvs.feed(*byte, &slots, &mut ()).map_err(fault)?;
        }
        if tlvs.whole() {
            Ok(tlvs.has_hash().then_some(tlvs.hash))
        } else {
            Err(fault(tlvs.refusal(TlvFault::Damaged)))
        }
    }

    #[test]
    fn both_areas_are_walked_and_the_hash_is_found() {
        let protected = area(0x6908, &[(0x50, &[7, 0, 0, 0]), (0xa0, &[])]);
        let rest = area(0x6907, &[(0x10, &[9; 32]), (0x22, &[1; 71])]);
        let bytes = [&protected[..], &rest].concat();
        assert_eq!(walk(protected.len(), &bytes), Ok(Some([9; 32])));
        for len in 0..bytes.len() {
            let offset = 1000 + len as u32;
            assert_eq!(walk(protected.len(), &bytes[..len]), Err((TlvFault::Damaged, offset)), "cut at {len}");
        }
        let longer = [&bytes[..], &[0xff]].concat();
        let offset = 1000 + bytes.len() as u32;
        assert_eq!(walk(protected.len(), &longer), Err((TlvFault::Damaged, offset)), "a byte behind the end");
        assert!(walk(protected.len() + 1, &bytes).is_err(), "another length than in the header");
        assert!(walk(0, &bytes).is_err(), "a protected area that the header does not know of");
        assert!(walk(36, &rest).is_err(), "a protected area that is missing");
        assert_eq!(walk(0, &area(0x6907, &[])), Ok(None));
    }

    #[test]
    fn each_entry_is_told_of_with_its_place_and_no_area_is_taken_for_one() {
        struct Entries(Vec<Entry>);
        impl Verify for Entries {
            fn entry(&mut self, entry: &Entry) -> Result<(), Refusal> {
                self.0.push(*entry);
                Ok(())
            }
        }
        let protected = area(0x6908, &[(0x50, &[7, 0, 0, 0]), (0xa0, &[])]);
        let rest = area(0x6907, &[(0x10, &[9; 32])]);
        let slots = Slots::new::<Flash>(0x10000, Config::new(Mode::SwapMove));
        let (mut tlvs, mut told) = (Tlvs::new(1000, protected.len() as u32), Entries(Vec::new()));
        for byte in protected.iter().chain(&rest) {
            assert_eq!(tlvs.feed(*byte, &slots, &mut told), Ok(()));
        }
        let entry = |tlv, len, protected, offset| Entry { tlv, len, protected, offset };
        assert_eq!(told.0, [entry(0x50, 4, true, 1008), entry(0xa0, 0, true, 1016), entry(0x10, 32, false, 1024)]);
    }

    #[test]
    fn a_hash_that_could_be_read_in_two_ways_is_refused() {
        let twice = area(0x6907, &[(0x10, &[9; 32]), (0x10, &[8; 32])]);
        assert_eq!(walk(0, &twice), Err((TlvFault::Twice, 1044)));
        assert!(walk(0, &area(0x6907, &[(0x10, &[9; 31])])).is_err(), "too short");
        assert!(walk(0, &area(0x6907, &[(0x10, &[9; 33])])).is_err(), "too long");
        let protected = area(0x6908, &[(0x10, &[9; 32])]);
        let bytes = [&protected[..], &area(0x6907, &[])].concat();
        assert!(walk(protected.len(), &bytes).is_err(), "in the area that it would have to cover");
    }

    #[test]
    fn what_the_hash_does_not_cover_is_on_mcuboots_list() {
        // As `allowed_unprot_tlvs` of its `image_validate.c`, for images without a pure signature.
        let listed = [1, 2, 0x10, 0x11, 0x12, 0x20, 0x21, 0x22, 0x23, 0x24, 0x30, 0x31, 0x32, 0x33, 0x34];
        for tlv in (0..=0xffff).filter(|tlv| *tlv != 0x10) {
            let walked = walk(0, &area(0x6907, &[(tlv, &[5; 3])]));
            assert_eq!(walked.is_ok(), listed.contains(&tlv), "{tlv:#x}: {walked:?}");
            let protected = area(0x6908, &[(tlv, &[5; 3])]);
            assert!(walk(protected.len(), &[&protected[..], &area(0x6907, &[])].concat()).is_ok(), "{tlv:#x}");
        }
    }

    #[test]
    fn an_entry_never_leaves_its_area() {
        let mut bytes = area(0x6907, &[(0x20, &[1; 8])]);
        bytes[6] = 9;
        let refused = Err((TlvFault::Damaged, 1008));
        assert_eq!(walk(0, &[&bytes[..], &[0; 70]].concat()), refused);
        bytes[2] = 3;
        assert_eq!(walk(0, &bytes), Err((TlvFault::Damaged, 1004)), "an area shorter than its own head");
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
            let _ = walk(0, &bytes);
        }
    }
}
