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
    pub(super) stage: FullState,
    /// How many markers came before it.
    pub(super) count: u32,
    /// The file's length.
    pub(super) size: u32,
    /// How often it was programmed to the end; before the first time, how often that failed before the modem was touched.
    pub(super) rounds: u32,
    /// SHA-256 of the file.
    pub(super) digest: Digest,
}

/// How often a file is programmed to the end before it is given up, and how often that may fail before it begins.
pub(super) const MOST_ROUNDS: u32 = 3;

/// What a staging region says of its file and of the modem.
// Their numbers differ in half of their bits, or in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u32)]
pub enum FullState {
    /// No file was applied, or it was given up.
    None = 0,
    /// The file is checked and waits to be programmed; the modem is as it was.
    Verified = 0x0ff0_3cc3,
    /// The modem's firmware is being replaced, and incomplete.
    Programming = 0xf00f_3cc3,
    /// It was replaced. The file is kept, should the modem fail to start.
    Done = 0x0ff0_c33c,
    /// The modem did not want the file, or it could not be programmed three times over; the modem is as it was.
    Refused = 0xf00f_c33c,
    /// It was replaced, and reads back as something else.
    Mismatch = 0xa55a_9669,
}

impl Marker {
    /// Its length.
    pub(super) const LEN: usize = 52;
    pub(super) const NONE: Self =
        Self { stage: FullState::None, count: 0, size: 0, rounds: 0, digest: Digest([0; 32]) };

    /// Becomes the next one, about the same file.
    pub(super) fn advance(&mut self, stage: FullState) {
        if self.stage == FullState::Verified {
            self.rounds = 0;
        }
        self.stage = stage;
        self.count = self.count.wrapping_add(1);
        self.rounds = self.rounds.saturating_add(matches!(stage, FullState::Done | FullState::Mismatch).into());
    }

    /// The same after a try that failed before the modem was touched: a file is not tried for ever.
    pub(super) fn tried(&mut self) {
        self.count = self.count.wrapping_add(1);
        self.rounds = self.rounds.saturating_add(1);
        if self.stage == FullState::Verified && self.rounds >= MOST_ROUNDS {
            self.stage = FullState::Refused;
        }
    }

    /// Whether these bytes, or the first of them, are its stored form.
    pub(super) fn is(&self, bytes: &[u8]) -> bool {
        bytes.starts_with(&self.stored())
    }

    /// The stored form.
    #[inline(never)]
    pub(super) fn stored(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let words = [self.stage as u32, self.count, self.size, self.rounds].map(u32::to_le_bytes);
        let record = words.as_flattened().iter().chain(&self.digest.0);
        bytes.iter_mut().zip(record).for_each(|(to, from)| *to = *from);
        if let Some((record, crc)) = bytes.split_last_chunk_mut() {
            *crc = crc32(record).to_le_bytes();
        }
        bytes
    }

    /// What was stored, if it is that.
    #[inline(never)]
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (record, crc) = bytes.get(..Self::LEN)?.split_last_chunk()?;
        let stages =
            [FullState::Verified, FullState::Programming, FullState::Done, FullState::Refused, FullState::Mismatch];
        let ([stage, count, size, rounds, ..], _) = record.as_chunks::<4>() else { return None };
        let stage = stages.into_iter().find(|known| (*known as u32).to_le_bytes() == *stage)?;
        let [count, size, rounds] = [count, size, rounds].map(|word| u32::from_le_bytes(*word));
        let digest = Digest(*record.last_chunk()?);
        (*crc == crc32(record).to_le_bytes()).then_some(Self { stage, count, size, rounds, digest })
    }
}

/// CRC-32 as in IEEE 802.3.
#[inline(never)]
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const STAGES: [FullState; 5] =
        [FullState::Verified, FullState::Programming, FullState::Done, FullState::Refused, FullState::Mismatch];

    #[test]
    fn what_is_stored_comes_back_and_no_bit_of_it_may_change() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        for stage in STAGES {
            let marker = Marker { stage, count: 7, size: 0x1f_6000, rounds: 2, digest: Digest([0x5a; 32]) };
            let mut bytes = marker.stored();
            assert_eq!(Marker::from_bytes(&bytes), Some(marker));
            assert!(marker.is(&bytes));
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Marker::from_bytes(&bytes), None, "bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            for len in 0..bytes.len() {
                assert_eq!(Marker::from_bytes(&bytes[..len]), None);
            }
        }
        for byte in [0, 0xff] {
            assert_eq!(Marker::from_bytes(&[byte; 64]), None);
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
