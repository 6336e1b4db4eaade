//! [`Recall`]: what is there of an image is read before it goes on, and compared with what was promised.

use embedded_storage_async::nor_flash::NorFlash;

use super::sum::Sum;
use super::{Op, align_down};

/// The checksum of what a target has written of an image, which it [keeps](crate::DfuTarget::keep) with its promises,
/// and the reading of it before the image goes on: for targets whose image lies in one piece, erased and written by
/// a [`Writer`](super::Writer).
///
/// 32 bits: any change in one word shows, any other but for a chance of one in four thousand millions. It finds damage,
/// and another image; malice is for the digest over all of it, which is read before anything runs.
#[derive(Clone, Debug)]
pub struct Recall {
    sum: Sum,
    /// Of what is before the place where the image goes on.
    before: Sum,
}

impl Recall {
    /// Of an image of which nothing is there.
    pub const fn new() -> Self {
        Self { sum: Sum::NOTHING, before: Sum::NOTHING }
    }

    /// How many bytes to read next at `at`, of at most `max`, where all before `promised` was promised. 0: it was read.
    pub fn next<F: NorFlash>(at: u32, promised: u32, max: usize) -> u32 {
        let goes_on = Self::goes_on::<F>(promised);
        let to = if at < goes_on { goes_on } else { promised };
        to.saturating_sub(at).min(max as u32)
    }

    /// Takes what was read there, in a buffer that may hold more; returns where to read next. The first `held` bytes of
    /// the image were not written.
    pub fn take<F: NorFlash>(&mut self, at: u32, promised: u32, max: usize, buffer: &[u8], held: u32) -> u32 {
        let len = Self::next::<F>(at, promised, max);
        let from = held.saturating_sub(at) as usize;
        self.sum.update::<F>(buffer.get(from..len as usize).unwrap_or(&[]));
        let at = at.wrapping_add(len);
        if at == Self::goes_on::<F>(promised) {
            self.before = self.sum;
        }
        at
    }

    /// Whether what was read is what the promise was made of, as far as that is known.
    pub fn is_kept(&self, kept: &[u8; 32]) -> bool {
        self.sum.agrees(kept)
    }

    /// The image goes on at this offset. Where that is neither 0 nor the start of the erase unit in which the promise
    /// ends, what lies before it is not known, and promised without a checksum.
    pub fn go_on<F: NorFlash>(&mut self, at: u32, promised: u32) {
        self.sum = match at {
            0 => Sum::NOTHING,
            _ if at == Self::goes_on::<F>(promised) => self.before,
            _ => Sum::UNKNOWN,
        };
    }

    /// The start of the erase unit in which the promise ends.
    fn goes_on<F: NorFlash>(promised: u32) -> u32 {
        align_down(promised, F::ERASE_SIZE as u32)
    }

    /// Takes what an operation of the writer brings into the flash.
    pub fn note<F: NorFlash>(&mut self, op: &Op<'_>) {
        if let Op::Write(_, words) = op {
            self.sum.update::<F>(words);
        }
    }

    /// What is to be kept with a promise of all that is in the flash by now.
    pub fn keep(&self) -> &[u8] {
        self.sum.as_bytes()
    }
}

impl Default for Recall {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::ram::Ram;
    use std::vec::Vec;

    type Flash = Ram<4, 64>;

    fn written(recall: &mut Recall, bytes: &[u8]) {
        recall.note::<Flash>(&Op::Erase(0, 64));
        recall.note::<Flash>(&Op::Write(0, bytes));
    }

    /// Reads what is there of a promise; in which pieces, and whether it is that.
    fn reads(recall: &mut Recall, flash: &[u8], promised: u32, kept: &[u8]) -> (Vec<(u32, u32)>, bool) {
        let mut pieces = Vec::new();
        let mut stored = [0xee; 32];
        stored[..kept.len()].copy_from_slice(kept);
        *recall = Recall::new();
        let mut at = 0;
        loop {
            let len = Recall::next::<Flash>(at, promised, 48);
            if len == 0 {
                break;
            }
            pieces.push((at, len));
            at = recall.take::<Flash>(at, promised, 48, &flash[at as usize..], 8);
        }
        (pieces, recall.is_kept(&stored))
    }

    #[test]
    fn what_is_there_is_read_in_pieces_and_known_again() {
        let flash: Vec<u8> = (0..200).collect();
        let mut recall = Recall::default();
        written(&mut recall, &flash[8..100]);
        let kept = recall.keep().to_vec();
        // Up to the erase unit where it goes on, and up to its end.
        let pieces = [(0, 48), (48, 16), (64, 36)].to_vec();
        assert_eq!(reads(&mut recall, &flash, 100, &kept), (pieces.clone(), true));
        let mut spoilt = flash.clone();
        spoilt[99] ^= 1;
        assert_eq!(reads(&mut recall, &spoilt, 100, &kept), (pieces.clone(), false));
        spoilt = flash.clone();
        spoilt[7] ^= 1;
        assert_eq!(reads(&mut recall, &spoilt, 100, &kept), (pieces.clone(), true), "that was not written");
        assert_eq!(reads(&mut recall, &spoilt, 100, &[0; 4]), (pieces, true), "nothing is known of it");
        assert_eq!(reads(&mut recall, &flash, 0, &kept).0, []);
    }

    #[test]
    fn it_goes_on_with_the_sum_of_what_stays() {
        let flash: Vec<u8> = (0..200).collect();
        let mut whole = Recall::new();
        written(&mut whole, &flash[8..160]);
        let mut recall = Recall::new();
        written(&mut recall, &flash[8..100]);
        let kept = recall.keep().to_vec();
        assert!(reads(&mut recall, &flash, 100, &kept).1);
        recall.go_on::<Flash>(64, 100);
        written(&mut recall, &flash[64..160]);
        assert_eq!(recall.keep(), whole.keep());
        recall.go_on::<Flash>(0, 100);
        written(&mut recall, &flash[8..160]);
        assert_eq!(recall.keep(), whole.keep());
        recall.go_on::<Flash>(32, 100);
        written(&mut recall, &flash[32..160]);
        assert_eq!(recall.keep(), [0; 4], "of what is before nobody knows");
    }
}
