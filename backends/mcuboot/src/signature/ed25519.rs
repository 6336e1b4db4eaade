//! Ed25519, over the image's hash or over the image.

use salty::{CompressedY, EdwardsPoint, Scalar, Sha512};

use super::{BadSignature, Scheme};

/// Ed25519 with the image's hash as the message: 32 bytes, or 64 for a bootloader with SHA-512.
///
/// As strict as the verification of RFC 8032 and then some: the scalar S must be below the group's order, the
/// encodings of the key A and of R canonical, neither of small order, and S·B = R + k·A must hold without the
/// cofactor. These are also the conditions of ed25519-dalek's `verify_strict`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ed25519;

/// Ed25519 with the image itself as the message, as of `imgtool sign --pure`. As strict as [`Ed25519`].
#[derive(Default)]
pub struct Ed25519Pure {
    begun: Option<Begun>,
}

/// `SubjectPublicKeyInfo` up to the key's bytes (RFC 8410).
const KEY: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The encoding of the point (0, 1).
const NEUTRAL: [u8; 32] = {
    let mut y = [0; 32];
    y[0] = 1;
    y
};

impl Scheme for Ed25519 {
    const TLV: u16 = 0x24;
    const LONGEST: usize = 64;

    fn accepts(key: &[u8]) -> bool {
        point(key).is_some()
    }

    fn finish(&mut self, key: &[u8], hash: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        if !matches!(hash.len(), 32 | 64) {
            return Err(BadSignature);
        }
        let mut begun = Begun::new(key, signature).ok_or(BadSignature)?;
        begun.message.update(hash);
        begun.verify(key, signature).ok_or(BadSignature)
    }
}

impl Scheme for Ed25519Pure {
    const TLV: u16 = 0x24;
    const LONGEST: usize = 64;
    const PURE: bool = true;

    fn accepts(key: &[u8]) -> bool {
        point(key).is_some()
    }

    fn start(&mut self, key: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.begun = Begun::new(key, signature);
        if self.begun.is_some() { Ok(()) } else { Err(BadSignature) }
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some(begun) = &mut self.begun {
            begun.message.update(bytes);
        }
    }

    fn finish(&mut self, key: &[u8], _: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.begun.take().and_then(|begun| begun.verify(key, signature)).ok_or(BadSignature)
    }
}

/// The hash of R, A and as much of the message as was seen.
struct Begun {
    message: Sha512,
    // Whoever chooses R or A once the hash is known can sign what they like: they must stay what they were.
    r: [u8; 32],
    a: [u8; 32],
}

impl Begun {
    fn new(key: &[u8], signature: &[u8]) -> Option<Self> {
        let (r, a, _) = parts(key, signature)?;
        let mut message = Sha512::new();
        message.update(r);
        message.update(a);
        Some(Self { message, r: *r, a: *a })
    }

    /// S·B - k·A = R (RFC 8032, section 5.1.7).
    #[allow(clippy::arithmetic_side_effects)] // Points of a group: no sum of them overflows.
    fn verify(self, key: &[u8], signature: &[u8]) -> Option<()> {
        let (r, a, s) = parts(key, signature)?;
        if *r != self.r || *a != self.a || !s.iter().rev().lt(Scalar::ell().iter().rev()) {
            return None;
        }
        let a = CompressedY(*a).decompressed().ok()?;
        let k = Scalar::from_u512_le(&self.message.finalize());
        let sum = sum(s, &EdwardsPoint::basepoint(), k.as_bytes(), &-&a);
        // The encoding that is made here is the canonical one.
        (sum.compressed().0 == *r && !small(&a) && !small(&sum)).then_some(())
    }
}

/// R, A and S.
fn parts<'a>(key: &'a [u8], signature: &'a [u8]) -> Option<(&'a [u8; 32], &'a [u8; 32], &'a [u8; 32])> {
    let (r, s) = signature.split_first_chunk()?;
    Some((r, point(key)?, s.try_into().ok()?))
}

/// The key's bytes. y is below 2^255 - 19, so that there is one encoding of each point.
fn point(key: &[u8]) -> Option<&[u8; 32]> {
    let point: &[u8; 32] = key.strip_prefix(&KEY)?.try_into().ok()?;
    let [low, middle @ .., high] = point;
    let canonical = *low < 0xed || high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff);
    canonical.then_some(point)
}

/// `x·p + y·q`, bit by bit. All of it is public, so its time may tell everything.
#[allow(clippy::arithmetic_side_effects)] // Points of a group: no sum of them overflows.
fn sum(x: &[u8; 32], p: &EdwardsPoint, y: &[u8; 32], q: &EdwardsPoint) -> EdwardsPoint {
    let both = p + q;
    let mut sum = EdwardsPoint::neutral_element();
    for (x, y) in x.iter().zip(y).rev() {
        for bit in (0..8).rev() {
            sum = &sum + &sum;
            let term = match (x >> bit & 1, y >> bit & 1) {
                (0, 0) => continue,
                (_, 0) => p,
                (0, _) => q,
                _ => &both,
            };
            sum = &sum + term;
        }
    }
    sum
}

/// Whether eight times the point is the neutral element.
#[allow(clippy::arithmetic_side_effects)] // Points of a group: no sum of them overflows.
fn small(point: &EdwardsPoint) -> bool {
    let twice = point + point;
    let four = &twice + &twice;
    (&four + &four).compressed().0 == NEUTRAL
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // A test.
mod tests;
