//! RSA-PSS.

use core::cell::Cell;

use dfu_target::Sha256;

use super::{BadSignature, Scheme};

/// RSA-PSS over the image's SHA-256, with MGF1-SHA256, a salt of 32 bytes and the exponent 65537. `WORDS` is the
/// modulus's length in words of 32 bits; `E` the SHA-256 engine, software or the chip's.
#[derive(Clone, Copy, Debug, Default)]
pub struct RsaPss<const WORDS: usize, E> {
    engine: E,
}

/// RSA-PSS with a modulus of 2048 bits.
pub type Rsa2048<E> = RsaPss<64, E>;

/// RSA-PSS with a modulus of 3072 bits.
pub type Rsa3072<E> = RsaPss<96, E>;

/// The length of a SHA-256 and of the salt.
const HASH: usize = 32;
/// 65537, at the end of an `RSAPublicKey`.
const EXPONENT: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];

impl<const WORDS: usize, E: Sha256> RsaPss<WORDS, E> {
    /// The engine is used by `finish` alone, and left without a message begun.
    pub const fn new(engine: E) -> Self {
        const { assert!(WORDS == 64 || WORDS == 96, "MCUboot has RSA of 2048 and 3072 bits") }
        Self { engine }
    }

    fn verify(&mut self, key: &[u8], hash: &[u8], signature: &[u8]) -> Option<()> {
        let modulus = modulus::<WORDS>(key)?;
        let hash: &[u8; HASH] = hash.try_into().ok()?;
        let mut message = [[0; 4]; WORDS];
        power(modulus, signature, &mut message)?;
        self.padded(message.as_flattened_mut(), hash)
    }

    /// EMSA-PSS-VERIFY (RFC 8017, section 9.1.2), for a modulus of a multiple of 8 bits.
    fn padded(&mut self, message: &mut [u8], hash: &[u8; HASH]) -> Option<()> {
        let (0xbc, message) = message.split_last_mut()? else { return None };
        let (masked, digest) = message.split_last_chunk_mut::<HASH>()?;
        if masked.first()? & 0x80 != 0 {
            return None;
        }
        for (counter, block) in (0_u32..).zip(masked.chunks_mut(HASH)) {
            self.engine.start();
            self.engine.update(digest);
            self.engine.update(&counter.to_be_bytes());
            for (byte, mask) in block.iter_mut().zip(self.engine.finish().0) {
                *byte ^= mask;
            }
        }
        *masked.first_mut()? &= 0x7f;
        let (padding, salt) = masked.split_last_chunk::<HASH>()?;
        let (0x01, zeros) = padding.split_last()? else { return None };
        if zeros.iter().any(|byte| *byte != 0) {
            return None;
        }
        self.engine.start();
        self.engine.update(&[0; 8]);
        self.engine.update(hash);
        self.engine.update(salt);
        (self.engine.finish().0 == *digest).then_some(())
    }
}

impl<const WORDS: usize, E: Sha256> Scheme for RsaPss<WORDS, E> {
    const TLV: u16 = if WORDS == 64 { 0x20 } else { 0x23 };
    const LONGEST: usize = size_of::<[u32; WORDS]>();

    fn accepts(key: &[u8]) -> bool {
        modulus::<WORDS>(key).is_some()
    }

    fn finish(&mut self, key: &[u8], hash: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.verify(key, hash, signature).ok_or(BadSignature)
    }
}

/// The modulus of an `RSAPublicKey` (RFC 8017, appendix A.1.1): odd, of full length, with the exponent 65537.
fn modulus<const WORDS: usize>(key: &[u8]) -> Option<&[u8]> {
    let head = match WORDS {
        64 => [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00],
        96 => [0x30, 0x82, 0x01, 0x8a, 0x02, 0x82, 0x01, 0x81, 0x00],
        _ => return None,
    };
    let modulus = key.strip_prefix(&head)?.strip_suffix(&EXPONENT)?;
    let full = modulus.len() == size_of::<[u32; WORDS]>() && modulus.first()? & 0x80 != 0;
    (full && modulus.last()? & 1 != 0).then_some(modulus)
}

/// The signature to the power of 65537, as bytes. `modulus` is odd and has its highest bit set.
// Not inlined: what it takes of the stack is free again when the hashing begins. For the same reason numbers are
// changed in place, not returned.
#[inline(never)]
fn power<const WORDS: usize>(modulus: &[u8], signature: &[u8], message: &mut [[u8; 4]; WORDS]) -> Option<()> {
    let mut number = [0; WORDS];
    read(signature, &mut number)?;
    let modulus = Modulus::<WORDS>::new(modulus)?;
    if !less(&number, &modulus.value) {
        return None;
    }
    let mut power = [0; WORDS];
    modulus.square_of_r(&mut power);
    modulus.multiply(&mut power, &number);
    for _ in 0..16 {
        modulus.square(&mut power);
    }
    modulus.multiply(&mut power, &number);
    for (bytes, word) in message.iter_mut().rev().zip(&power) {
        *bytes = word.to_be_bytes();
    }
    Some(())
}

/// A number, its lowest word first, from as many bytes, the highest first.
fn read<const WORDS: usize>(bytes: &[u8], number: &mut [u32; WORDS]) -> Option<()> {
    let (words, []) = bytes.as_chunks() else { return None };
    let words: &[[u8; 4]; WORDS] = words.try_into().ok()?;
    for (word, bytes) in number.iter_mut().rev().zip(words) {
        *word = u32::from_be_bytes(*bytes);
    }
    Some(())
}

/// Montgomery's arithmetic, with R = 2^(32·WORDS). Nothing is secret, so its time may tell everything.
struct Modulus<const WORDS: usize> {
    /// Odd, and its highest bit is set.
    value: [u32; WORDS],
    /// `-1/value` modulo 2^32.
    inverse: u32,
}

impl<const WORDS: usize> Modulus<WORDS> {
    fn new(bytes: &[u8]) -> Option<Self> {
        let mut modulus = Self { value: [0; WORDS], inverse: 0 };
        read(bytes, &mut modulus.value)?;
        let low = *modulus.value.first()?;
        // Right in the three lowest bits; each turn doubles their number.
        let mut inverse = low;
        for _ in 0..4 {
            inverse = inverse.wrapping_mul(2_u32.wrapping_sub(low.wrapping_mul(inverse)));
        }
        modulus.inverse = inverse.wrapping_neg();
        Some(modulus)
    }

    /// `R·R`, from zero.
    fn square_of_r(&self, power: &mut [u32; WORDS]) {
        // R itself is R - value: the highest bit of `value` is set.
        self.subtract(power);
        // The exponent of 2 beside R: doubled by each square, from 1 to 2048 or from 3 to 3072.
        let bits = u32::BITS.saturating_mul(u32::try_from(WORDS).unwrap_or(0));
        let squares = bits.trailing_zeros();
        for _ in 0..bits >> squares {
            self.double(power);
        }
        for _ in 0..squares {
            self.square(power);
        }
    }

    /// `2·number`.
    fn double(&self, number: &mut [u32; WORDS]) {
        let mut carry = 0;
        for word in number.iter_mut() {
            let above = *word >> 31;
            *word = *word << 1 | carry;
            carry = above;
        }
        if carry != 0 || !less(number, &self.value) {
            self.subtract(number);
        }
    }

    /// `number·number/R`.
    fn square(&self, number: &mut [u32; WORDS]) {
        let factor = *number;
        self.multiply(number, &factor);
    }

    /// `number·factor/R`. One of the two is below the modulus.
    fn multiply(&self, number: &mut [u32; WORDS], factor: &[u32; WORDS]) {
        let mut sum = [0; WORDS];
        let mut carry = 0;
        for digit in number.iter() {
            carry = self.step(Cell::from_mut(&mut sum[..]).as_slice_of_cells(), *digit, factor, carry);
        }
        if carry != 0 || !less(&sum, &self.value) {
            self.subtract(&mut sum);
        }
        *number = sum;
    }

    /// `(sum + digit·factor + x·value) / 2^32`, with the one x that leaves no remainder.
    fn step(&self, sum: &[Cell<u32>], digit: u32, factor: &[u32], carry: u32) -> u32 {
        let ([lowest, .., highest], [f, factor @ ..], [v, value @ ..]) = (sum, factor, &self.value[..]) else {
            return 0;
        };
        let (low, mut carry_of_factor) = multiply_add(digit, *f, lowest.get(), 0);
        let x = low.wrapping_mul(self.inverse);
        let (_, mut carry_of_value) = multiply_add(x, *v, low, 0);
        for ((words, factor), value) in sum.windows(2).zip(factor).zip(value) {
            if let [below, word] = words {
                let (low, reduced);
                (low, carry_of_factor) = multiply_add(digit, *factor, word.get(), carry_of_factor);
                (reduced, carry_of_value) = multiply_add(x, *value, low, carry_of_value);
                below.set(reduced);
            }
        }
        let (low, carry) = multiply_add(1, carry_of_factor, carry_of_value, carry);
        highest.set(low);
        carry
    }

    /// `number - value`, modulo R.
    fn subtract(&self, number: &mut [u32; WORDS]) {
        let mut borrow = false;
        for (word, other) in number.iter_mut().zip(self.value) {
            let (difference, first) = word.overflowing_sub(other);
            let (difference, second) = difference.overflowing_sub(borrow.into());
            (*word, borrow) = (difference, first | second);
        }
    }
}

fn less(number: &[u32], other: &[u32]) -> bool {
    number.iter().rev().lt(other.iter().rev())
}

/// `x·y + a + b`, which two words hold: low and high.
fn multiply_add(x: u32, y: u32, a: u32, b: u32) -> (u32, u32) {
    let sum = u64::from(x).wrapping_mul(y.into()).wrapping_add(a.into()).wrapping_add(b.into());
    (sum as u32, (sum >> 32) as u32)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // A test.
mod tests {
    use super::*;
    use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
    use crypto_bigint::{Odd, U2048, U3072, Uint};
    use dfu_target::digest::SoftSha256;
    use std::vec::Vec;

    const KEY: &[u8] = include_bytes!("../../../../tests/fixtures/keys/test-only-rsa-2048.pub.der");

    /// EMSA-PSS-ENCODE, for a modulus of 2048 bits and any salt.
    fn encoded(hash: &[u8; HASH], salt: &[u8]) -> Vec<u8> {
        let digest = hashed(&[&[0; 8], hash, salt]);
        let mut masked = std::vec![0; 256 - HASH - 2 - salt.len()];
        masked.push(1);
        masked.extend_from_slice(salt);
        for (counter, block) in (0_u32..).zip(masked.chunks_mut(HASH)) {
            let mask = hashed(&[&digest, &counter.to_be_bytes()]);
            block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        }
        masked[0] &= 0x7f;
        [&masked[..], &digest, &[0xbc]].concat()
    }

    fn hashed(parts: &[&[u8]]) -> [u8; HASH] {
        let mut engine = SoftSha256::default();
        engine.start();
        parts.iter().for_each(|part| engine.update(part));
        engine.finish().0
    }

    fn padded(message: &[u8], hash: &[u8; HASH]) -> bool {
        Rsa2048::new(SoftSha256::default()).padded(&mut message.to_vec(), hash).is_some()
    }

    #[test]
    fn only_a_salt_of_32_bytes_and_the_right_padding_will_do() {
        let hash = [9; HASH];
        let good = encoded(&hash, &[5; 32]);
        assert_eq!(good.len(), 256);
        assert!(padded(&good, &hash));
        assert!(!padded(&good, &[8; HASH]));
        for length in (0..32).chain(33..64).chain([222]) {
            assert!(!padded(&encoded(&hash, &[5; 64].repeat(4)[..length]), &hash), "a salt of {length}");
        }
        for trailer in (0..=0xff).filter(|byte| *byte != 0xbc) {
            assert!(!padded(&[&good[..255], &[trailer]].concat(), &hash));
        }
        for bit in 0..8 * good.len() {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!padded(&bad, &hash), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(!padded(&good[good.len() - length..], &hash));
        }
    }

    /// A modulus as in a key: odd, with its highest bit set.
    fn moduli<const WORDS: usize>(random: &mut fastrand::Rng) -> Vec<[u32; WORDS]> {
        let mut moduli = std::vec![[0; WORDS], [u32::MAX; WORDS], [u32::MAX - 1; WORDS]];
        for _ in 0..12 {
            moduli.push([(); WORDS].map(|()| random.u32(..)));
            // Words at either end of the range, where carries run far.
            moduli.push([(); WORDS].map(|()| [0, 1, u32::MAX - 1, u32::MAX][random.usize(..4)]));
        }
        for modulus in &mut moduli {
            modulus[0] |= 1;
            modulus[WORDS - 1] |= 1 << 31;
        }
        moduli
    }

    fn bytes<const WORDS: usize>(number: &[u32; WORDS]) -> Vec<u8> {
        number.iter().rev().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn compare<const WORDS: usize, const LIMBS: usize>() {
        let mut random = fastrand::Rng::with_seed(3);
        for modulus in moduli::<WORDS>(&mut random) {
            let value = Uint::<LIMBS>::from_be_slice(&bytes(&modulus));
            let params = FixedMontyParams::new_vartime(Odd::new(value).unwrap());
            let mut signatures = moduli::<WORDS>(&mut random);
            signatures.extend([[0; WORDS], [1; WORDS], modulus]);
            let (mut above, mut below) = (modulus, modulus);
            (above[0], below[0]) = (above[0].wrapping_add(1), below[0] - 1);
            signatures.extend([above, below]);
            for signature in signatures {
                let bytes = bytes(&signature);
                let mut message = [[0; 4]; WORDS];
                let ours = power(&self::bytes(&modulus), &bytes, &mut message);
                let signature = Uint::<LIMBS>::from_be_slice(&bytes);
                if signature >= value {
                    assert_eq!(ours, None);
                    continue;
                }
                let signature = FixedMontyForm::new(&signature, &params);
                let theirs = signature.square_repeat_vartime(16).mul(&signature).retrieve();
                assert_eq!(ours, Some(()));
                assert_eq!(message.as_flattened(), theirs.to_be_bytes().as_ref());
            }
        }
    }

    #[test]
    fn the_power_of_2048_bits_is_that_of_crypto_bigint() {
        compare::<64, { U2048::LIMBS }>();
    }

    #[test]
    fn the_power_of_3072_bits_is_that_of_crypto_bigint() {
        compare::<96, { U3072::LIMBS }>();
    }

    #[test]
    fn two_words_hold_the_largest_product_with_both_carries() {
        assert_eq!(multiply_add(u32::MAX, u32::MAX, u32::MAX, u32::MAX), (u32::MAX, u32::MAX));
    }

    #[test]
    fn a_key_is_odd_and_full_and_has_the_usual_exponent() {
        type Scheme2048 = Rsa2048<SoftSha256>;
        assert!(Scheme2048::accepts(KEY));
        let changed = |at: usize, to: u8| {
            let mut key = KEY.to_vec();
            key[at] = to;
            Scheme2048::accepts(&key)
        };
        assert!(!changed(9, KEY[9] & 0x7f), "a bit short");
        assert!(!changed(9 + 255, KEY[9 + 255] & 0xfe), "even");
        assert!(!changed(269, 0x03), "another exponent");
        assert!(!Rsa3072::<SoftSha256>::accepts(KEY));
        assert!(!RsaPss::<32, SoftSha256>::accepts(KEY));
    }
}
