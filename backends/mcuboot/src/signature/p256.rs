//! ECDSA over the curve P-256.

use ::p256::AffinePoint;
use ::p256::ecdsa::signature::hazmat::PrehashVerifier;
use ::p256::ecdsa::{Signature, VerifyingKey};
use ::p256::elliptic_curve::point::AffineCoordinates;

use super::{BadSignature, Scheme};

/// ECDSA P-256 over the image's SHA-256, the signature in DER. Zeros may follow it, with which old imgtools fill it
/// up to 72 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct EcdsaP256;

/// `SubjectPublicKeyInfo` up to the coordinates of an uncompressed point (RFC 5480).
const KEY: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // secp256r1
    0x03, 0x42, 0x00, 0x04,
];

impl Scheme for EcdsaP256 {
    const TLV: u16 = 0x22;
    const LONGEST: usize = 72;

    fn accepts(key: &[u8]) -> bool {
        coordinates(key).is_some()
    }

    fn finish(&mut self, key: &[u8], hash: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        verify(key, hash, signature).ok_or(BadSignature)
    }
}

fn verify(key: &[u8], hash: &[u8], signature: &[u8]) -> Option<()> {
    let (x, y) = coordinates(key)?;
    let hash: &[u8; 32] = hash.try_into().ok()?;
    let (r, s) = numbers(signature)?;
    // On the curve, or none. By coordinates: the decoder of SEC 1 costs 8 KB of flash.
    let point: AffinePoint = Option::from(AffinePoint::from_coordinates(&x.into(), &y.into()))?;
    let key = VerifyingKey::from_affine(point).ok()?;
    // Both are below the curve's order, or none.
    let signature = Signature::from_scalars(r, s).ok()?;
    key.verify_prehash(hash, &signature).ok()
}

fn coordinates(key: &[u8]) -> Option<([u8; 32], [u8; 32])> {
    let (x, y) = key.strip_prefix(&KEY)?.split_first_chunk()?;
    Some((*x, y.try_into().ok()?))
}

/// The signature's two numbers, from strict DER.
fn numbers(signature: &[u8]) -> Option<([u8; 32], [u8; 32])> {
    let [0x30, length, rest @ ..] = signature else { return None };
    let (numbers, padding) = rest.split_at_checked(usize::from(*length))?;
    let (r, rest) = number(numbers)?;
    let (s, rest) = number(rest)?;
    let short = signature.len() <= EcdsaP256::LONGEST;
    (short && rest.is_empty() && padding.iter().all(|byte| *byte == 0)).then_some((r, s))
}

/// A number above zero, in as few bytes as DER demands, and what follows it.
fn number(der: &[u8]) -> Option<([u8; 32], &[u8])> {
    let [0x02, length, rest @ ..] = der else { return None };
    let (value, rest) = rest.split_at_checked(usize::from(*length))?;
    let digits = match value {
        [0, digits @ ..] if matches!(digits, [0x80..=0xff, ..]) => digits,
        [0x01..=0x7f, ..] => value,
        _ => return None,
    };
    let mut number = [0; 32];
    if digits.len() > number.len() {
        return None;
    }
    for (to, from) in number.iter_mut().rev().zip(digits.iter().rev()) {
        *to = *from;
    }
    Some((number, rest))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // A test.
mod tests {
    use super::*;
    use std::vec::Vec;

    const PUBLIC: &[u8] = include_bytes!("../../../../tests/fixtures/keys/test-only-ecdsa-p256.pub.der");
    /// The order of the curve's group.
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
        0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];

    fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
        let mut der = Vec::from([0x30, (r.len() + s.len() + 4) as u8, 0x02, r.len() as u8]);
        der.extend_from_slice(r);
        der.extend_from_slice(&[0x02, s.len() as u8]);
        der.extend_from_slice(s);
        der
    }

    fn read(signature: &[u8]) -> Option<(u8, u8)> {
        numbers(signature).map(|(r, s)| (r[31], s[31]))
    }

    #[test]
    fn zeros_may_follow_a_signature_and_nothing_else() {
        let mut signature = der(&[1; 32], &[2; 31]);
        while signature.len() < 72 {
            signature.push(0);
            assert_eq!(read(&signature), Some((1, 2)));
        }
        signature.push(0);
        assert_eq!(read(&signature), None, "longer than any");
        assert_eq!(read(&[&der(&[1], &[2])[..], &[0, 1]].concat()), None);
    }

    #[test]
    fn numbers_are_positive_and_as_short_as_can_be() {
        assert_eq!(read(&der(&[0, 0x80], &[0x7f])), Some((0x80, 0x7f)));
        assert_eq!(read(&der(&[&[0], &[0xff; 32][..]].concat(), &[1; 32])), Some((0xff, 1)));
        let wrong: [&[u8]; 8] =
            [&[], &[0], &[0x80], &[0xff, 1], &[0, 1], &[0, 0, 0x80], &[1; 33], &[&[0], &[0xff; 33][..]].concat()];
        for wrong in wrong {
            assert_eq!(read(&der(wrong, &[1])), None, "r {wrong:x?}");
            assert_eq!(read(&der(&[1], wrong)), None, "s {wrong:x?}");
        }
        // A third number, a length that lies, a length in the long form, other tags.
        assert_eq!(read(&[0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1]), None);
        assert_eq!(read(&[0x30, 6, 2, 1, 1, 2, 2, 1]), None);
        assert_eq!(read(&[0x30, 5, 2, 1, 1, 2, 1, 1]), None);
        assert_eq!(read(&[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1]), None);
        assert_eq!(read(&[0x31, 6, 2, 1, 1, 2, 1, 1]), None);
        assert_eq!(read(&[0x30, 6, 3, 1, 1, 2, 1, 1]), None);
    }

    #[test]
    fn numbers_from_the_order_on_are_refused() {
        let n = [&[0], &N[..]].concat();
        let below = [&[0], &N[..31], &[0x50]].concat();
        for (r, s) in [(&n, &below), (&below, &n), (&n, &n), (&below, &below)] {
            assert_eq!(EcdsaP256.finish(PUBLIC, &[7; 32], &der(r, s)), Err(BadSignature));
        }
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let mut key = PUBLIC.to_vec();
        key[27..].fill(0);
        assert!(EcdsaP256::accepts(&key), "only the shape is looked at");
        assert_eq!(EcdsaP256.finish(&key, &[7; 32], &der(&[1], &[1])), Err(BadSignature));
        key[27..].fill(0xff);
        assert_eq!(EcdsaP256.finish(&key, &[7; 32], &der(&[1], &[1])), Err(BadSignature));
    }
}
