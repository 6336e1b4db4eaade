//! The marker: what is to become of the staged file. No I/O.
//!
//! ```text
//!  0        4       8      12       16       48
//!  │ stage │ count │ size │ rounds │ digest │ CRC-32 │     little-endian
//! ```
//!
//! Two copies, each in an erase unit of its own, written one after the other: one of them is whole at any time. The one
//! with the higher count is the newer.

use dfu_target::Digest;

/// What is to become of the staged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) stage: Stage,
    /// How many markers came before it.
    pub(super) count: u32,
    /// The file's length.
    pub(super) size: u32,
    /// How often it was programmed to the end.
    pub(super) rounds: u32,
    /// SHA-256 of the file.
    pub(super) digest: Digest,
}

/// Their numbers differ in half of their bits, or in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Stage {
    /// There is no marker.
    None = 0,
    /// The file is checked and to be programmed; the modem is as it was.
    Verified = 0x0ff0_3cc3,
    /// The modem's firmware is being replaced, and incomplete.
    Programming = 0xf00f_3cc3,
    /// It was replaced.
    Done = 0x0ff0_c33c,
    /// The modem did not want it, and is as it was.
    Refused = 0xf00f_c33c,
    /// It was replaced, and reads back as something else.
    Mismatch = 0xa55a_9669,
}

impl Marker {
    /// Its length.
    pub(super) const LEN: usize = 52;
    pub(super) const NONE: Self = Self { stage: Stage::None, count: 0, size: 0, rounds: 0, digest: Digest([0; 32]) };
    pub(super) const VERIFIED: Self = Self { stage: Stage::Verified, ..Self::NONE };

    /// Whether both say the same of the same file.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        Self { count: 0, ..*self } == Self { count: 0, ..*other }
    }

    /// The next one, about the same file.
    pub(super) fn then(self, stage: Stage) -> Self {
        let ends = matches!(stage, Stage::Done | Stage::Mismatch);
        Self { stage, rounds: self.rounds.saturating_add(ends.into()), ..self }
    }

    /// The stored form.
    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let words = [self.stage as u32, self.count, self.size, self.rounds].map(u32::to_le_bytes);
        let record = words.as_flattened().iter().chain(&self.digest.0);
        let crc = crc32(record.clone()).to_le_bytes();
        bytes.iter_mut().zip(record.chain(&crc)).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// What was stored, if it is that.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self::read(bytes).unwrap_or(Self::NONE)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (record, crc) = bytes.get(..Self::LEN)?.split_at_checked(Self::LEN - 4)?;
        let (words, _) = record.as_chunks::<4>();
        let word = |nth: usize| words.get(nth).map(|word| u32::from_le_bytes(*word));
        let stages = [Stage::Verified, Stage::Programming, Stage::Done, Stage::Refused, Stage::Mismatch];
        let stage = stages.into_iter().find(|stage| Some(*stage as u32) == word(0))?;
        let digest = Digest(*record.last_chunk()?);
        let marker = Self { stage, count: word(1)?, size: word(2)?, rounds: word(3)?, digest };
        (crc == crc32(record.iter()).to_le_bytes()).then_some(marker)
    }
}

/// CRC-32 as in IEEE 802.3.
fn crc32<'b>(bytes: impl Iterator<Item = &'b u8>) -> u32 {
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const STAGES: [Stage; 5] = [Stage::Verified, Stage::Programming, Stage::Done, Stage::Refused, Stage::Mismatch];

    #[test]
    fn what_is_stored_comes_back_and_no_bit_of_it_may_change() {
        assert_eq!(crc32(b"123456789".iter()), 0xcbf4_3926);
        for stage in STAGES {
            let marker = Marker { stage, count: 7, size: 0x1f_6000, rounds: 2, digest: Digest([0x5a; 32]) };
            let mut bytes = marker.to_bytes();
            assert_eq!(Marker::from_bytes(&bytes), marker);
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Marker::from_bytes(&bytes), Marker::NONE, "bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            for len in 0..bytes.len() {
                assert_eq!(Marker::from_bytes(&bytes[..len]), Marker::NONE);
            }
        }
        for byte in [0, 0xff] {
            assert_eq!(Marker::from_bytes(&[byte; 64]), Marker::NONE);
        }
    }

    #[test]
    fn the_stages_are_far_apart() {
        let all: Vec<u32> = STAGES.iter().map(|stage| *stage as u32).chain([0, u32::MAX]).collect();
        for (nth, a) in all.iter().enumerate() {
            for b in &all[..nth] {
                assert!((a ^ b).count_ones() >= 16, "{a:#x} {b:#x}");
            }
        }
    }
}
