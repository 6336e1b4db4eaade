//! A checksum of words of a flash.

use embedded_storage_async::nor_flash::NorFlash;

/// A checksum of words of a flash, as it is stored, or of words that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum([u8; 4]);

impl Sum {
    /// Of no words.
    pub(super) const NOTHING: Self = Self(1_u32.to_le_bytes());
    /// Of words that nobody knows.
    pub(super) const UNKNOWN: Self = Self([0; 4]);

    /// Takes the next words, whole ones. Words of less than four bytes count as bytes.
    pub(super) fn update<F: NorFlash>(&mut self, words: &[u8]) {
        if *self == Self::UNKNOWN {
            return;
        }
        let mut sum = u32::from_le_bytes(self.0);
        // Odd, so that no word is lost in a product; by Knuth, section 6.4, of 2 to the 32nd over the golden ratio.
        let mut add = |word: u32| sum = sum.wrapping_mul(0x9e37_79b1).wrapping_add(word);
        if F::WRITE_SIZE.is_multiple_of(4) {
            words.as_chunks().0.iter().for_each(|word| add(u32::from_le_bytes(*word)));
        } else {
            words.iter().for_each(|byte| add(u32::from(*byte)));
        }
        self.0 = sum.to_le_bytes();
    }

    /// As it is stored, little-endian; zeros where it is not known.
    pub(super) fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }

    /// Whether it is the one that was stored, as far as both are known.
    pub(super) fn agrees(&self, stored: &[u8]) -> bool {
        stored.starts_with(&self.0) || stored.starts_with(&Self::UNKNOWN.0) || *self == Self::UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::ram::Ram;

    #[test]
    fn it_is_that_of_the_words_however_they_come() {
        let bytes: std::vec::Vec<u8> = (0..200_u8).collect();
        let whole = sum::<4>(&[&bytes]);
        // By the formula, elsewhere.
        assert_eq!(sum::<4>(&[&[1, 2, 3, 4]]), [0xb2, 0x7b, 0x3a, 0xa2]);
        assert_eq!(sum::<1>(&[&[7]]), [0xb8, 0x79, 0x37, 0x9e]);
        for at in (0..=200).step_by(4) {
            let (a, b) = bytes.split_at(at);
            assert_eq!(sum::<4>(&[a, b]), whole, "{at}");
        }
        for at in 0..=200 {
            let (a, b) = bytes.split_at(at);
            assert_eq!(sum::<1>(&[a, b]), sum::<1>(&[&bytes]), "{at}");
        }
    }

    #[test]
    fn a_changed_bit_shows_wherever_it_is() {
        let mut bytes = [0x5a; 100];
        let (words, plain) = (sum::<8>(&[&bytes[..96]]), sum::<2>(&[&bytes]));
        for bit in 0..800 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(bit >= 96 * 8 || sum::<8>(&[&bytes[..96]]) != words, "{bit}");
            assert_ne!(sum::<2>(&[&bytes]), plain, "{bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn what_follows_on_unknown_words_is_unknown() {
        let mut sum = Sum::UNKNOWN;
        sum.update::<Ram<4, 64>>(&[1; 8]);
        assert_eq!((sum, sum.as_bytes()), (Sum::UNKNOWN, &[0; 4]));
        assert!(sum.agrees(&[1, 2, 3, 4]) && Sum::NOTHING.agrees(&[0; 32]));
        assert!(Sum::NOTHING.agrees(&[1, 0, 0, 0, 9]) && !Sum::NOTHING.agrees(&[2, 0, 0, 0]));
    }

    fn sum<const W: usize>(pieces: &[&[u8]]) -> [u8; 4] {
        let mut sum = Sum::NOTHING;
        pieces.iter().for_each(|piece| sum.update::<Ram<W, 64>>(piece));
        *sum.as_bytes()
    }
}
