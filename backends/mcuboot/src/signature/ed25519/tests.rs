use super::*;
use salty::Keypair;
use std::vec::Vec;

/// The encodings of the points of small order that are canonical; for three of them the sign may be set too.
const SMALL: [[u8; 32]; 5] = [
    NEUTRAL,
    [0; 32],
    hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
];

const fn hex<const N: usize>(text: &str) -> [u8; N] {
    let (mut bytes, mut at) = ([0; N], 0);
    while at < 2 * N {
        let digit = text.as_bytes()[at];
        bytes[at / 2] = bytes[at / 2] << 4 | if digit > b'9' { digit - b'a' + 10 } else { digit - b'0' };
        at += 1;
    }
    bytes
}

fn der(key: &[u8; 32]) -> Vec<u8> {
    [&KEY[..], key].concat()
}

fn pure(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    let mut scheme = Ed25519Pure::default();
    scheme.start(key, signature)?;
    for piece in message.chunks(3) {
        scheme.update(piece);
    }
    scheme.finish(key, &[], signature)
}

#[test]
fn the_examples_of_rfc_8032_hold() {
    // Section 7.1, tests 1 to 3 and SHA(abc).
    let abc: [u8; 64] = hex(concat!(
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a",
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
    ));
    let examples: [([u8; 32], &[u8], [u8; 64]); 4] = [
        (
            hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
            &[],
            hex(concat!(
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
                "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
            )),
        ),
        (
            hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
            &[0x72],
            hex(concat!(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            )),
        ),
        (
            hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"),
            &[0xaf, 0x82],
            hex(concat!(
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac",
                "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
            )),
        ),
        (
            hex("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf"),
            &abc,
            hex(concat!(
                "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589",
                "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
            )),
        ),
    ];
    for (key, message, signature) in &examples {
        assert_eq!(pure(&der(key), message, signature), Ok(()));
        assert_eq!(pure(&der(key), &[message, &b"!"[..]].concat(), signature), Err(BadSignature));
    }
    let (key, _, signature) = &examples[3];
    assert_eq!(Ed25519.finish(&der(key), &abc, signature), Ok(()));
}

#[test]
fn messages_of_all_lengths_around_a_block_are_hashed_in_pieces() {
    let pair = Keypair::from(&[7; 32]);
    let key = der(pair.public.as_bytes());
    let message = [0x5a; 300];
    for length in 0..message.len() {
        let message = &message[..length];
        assert_eq!(pure(&key, message, &pair.sign(message).to_bytes()), Ok(()), "{length}");
    }
}

#[test]
fn s_from_the_order_on_is_refused() {
    let pair = Keypair::from(&[9; 32]);
    let key = der(pair.public.as_bytes());
    let mut signature = pair.sign(&[3; 32]).to_bytes();
    assert_eq!(Ed25519.finish(&key, &[3; 32], &signature), Ok(()));
    // S + L, as long as it fits: the equation still holds.
    for _ in 0..15 {
        let mut carry = 0;
        for (byte, order) in signature[32..].iter_mut().zip(Scalar::ell()) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        if carry != 0 {
            break;
        }
        assert_eq!(Ed25519.finish(&key, &[3; 32], &signature), Err(BadSignature));
    }
    signature[32..].copy_from_slice(&Scalar::ell());
    assert_eq!(Ed25519.finish(&key, &[3; 32], &signature), Err(BadSignature));
}

#[test]
fn keys_of_small_order_sign_nothing() {
    for (order, a) in SMALL.iter().enumerate() {
        for sign in [0, 0x80] {
            let mut a = *a;
            a[31] |= sign;
            for r in SMALL {
                // S = 0: with R = -k·A the equation holds, for one message in eight at least.
                let signature = [&r[..], &[0; 32]].concat();
                for message in 0..16 {
                    assert_eq!(Ed25519.finish(&der(&a), &[message; 32], &signature), Err(BadSignature), "{order}");
                }
            }
        }
    }
    // For the neutral element as a key, R = S·B signs every message.
    let mut signature = [EdwardsPoint::basepoint().compressed().0, [0; 32]].concat();
    signature[32] = 1;
    assert_eq!(Ed25519.finish(&der(&NEUTRAL), &[7; 32], &signature), Err(BadSignature));
    // The test is one only if the equation alone would let some of these pass.
    let a = CompressedY(NEUTRAL).decompressed().unwrap();
    assert!(small(&a) && sum(&[0; 32], &EdwardsPoint::basepoint(), &[5; 32], &-&a).compressed().0 == NEUTRAL);
    assert!(SMALL.iter().all(|point| small(&CompressedY(*point).decompressed().unwrap())));
    assert!(!small(&EdwardsPoint::basepoint()));
}

#[test]
fn r_of_small_order_is_refused() {
    // The signer's own doing: r = 0 and S = k·a, with which the equation holds.
    let (seed, message) = ([11; 32], [3; 32]);
    let mut a: [u8; 32] = *Sha512::new().updated(&seed).finalize().first_chunk().unwrap();
    a[0] &= 0xf8;
    a[31] = a[31] & 0x7f | 0x40;
    let public = Keypair::from(&seed).public;
    let k = Sha512::new().updated(&NEUTRAL).updated(public.as_bytes()).updated(&message).finalize();
    let s = &Scalar::from_u512_le(&k) * &Scalar::from_bytes(&a);
    let signature = [NEUTRAL, s.to_bytes()].concat();
    let signature: [u8; 64] = signature.try_into().unwrap();
    assert!(public.verify(&message, &salty::Signature::from(&signature)).is_ok());
    assert_eq!(Ed25519.finish(&der(public.as_bytes()), &message, &signature), Err(BadSignature));
}

#[test]
fn a_key_has_one_encoding() {
    let mut key = [0xff; 32];
    for high in [0xff, 0x7f] {
        key[31] = high; // The highest bit is the sign of x.
        for low in 0xed..=0xff {
            key[0] = low;
            assert!(!Ed25519::accepts(&der(&key)), "y of p + {}, {high:#x}", low - 0xed);
        }
    }
    key[0] = 0xec;
    assert!(Ed25519::accepts(&der(&key)));
    key[..2].copy_from_slice(&[0xff, 0xfe]);
    assert!(Ed25519Pure::accepts(&der(&key)));
}

#[test]
fn who_knows_the_hash_before_choosing_r_or_the_key_forges_nothing() {
    let base = EdwardsPoint::basepoint();
    let (r, public) = (base.compressed().0, Keypair::from(&[1; 32]).public);
    let (key, message) = (der(public.as_bytes()), b"anything");
    let k = Sha512::new().updated(&r).updated(public.as_bytes()).updated(message).finalize();
    let k = Scalar::from_u512_le(&k);
    let a = public.compressed.decompressed().unwrap();
    let finish = |key: &[u8], r: &[u8; 32], s: &Scalar| {
        let mut scheme = Ed25519Pure::default();
        scheme.start(&der(public.as_bytes()), &[base.compressed().0, [0; 32]].concat()).unwrap();
        scheme.update(message);
        scheme.finish(key, &[], &[*r, s.to_bytes()].concat())
    };
    // R = S·B - k·A, for S = 1.
    let other = sum(Scalar::one().as_bytes(), &base, k.as_bytes(), &-&a).compressed().0;
    assert_eq!(finish(&key, &other, &Scalar::one()), Err(BadSignature));
    // A = B and S = r + k, for r = 1.
    assert_eq!(finish(&der(&r), &r, &(&Scalar::one() + &k)), Err(BadSignature));
}

#[test]
fn neither_key_nor_signature_may_change_while_the_image_is_read() {
    let (first, second) = (Keypair::from(&[1; 32]), Keypair::from(&[2; 32]));
    let (one, two) = (first.sign(b"one").to_bytes(), first.sign(b"two").to_bytes());
    let (key, other) = (der(first.public.as_bytes()), der(second.public.as_bytes()));
    let mut scheme = Ed25519Pure::default();
    for (key, signature) in [(&key, &two), (&other, &one)] {
        scheme.start(&der(first.public.as_bytes()), &one).unwrap();
        scheme.update(b"one");
        assert_eq!(scheme.finish(key, &[], signature), Err(BadSignature));
    }
    // And once it has ended, or not begun, there is nothing to finish.
    assert_eq!(scheme.finish(&key, &[], &one), Err(BadSignature));
    scheme.start(&key, &one).unwrap();
    assert_eq!(scheme.start(&key[1..], &one), Err(BadSignature));
    scheme.update(b"one");
    assert_eq!(scheme.finish(&key, &[], &one), Err(BadSignature));
    // A start forgets what came before.
    scheme.start(&key, &two).unwrap();
    scheme.update(b"o");
    scheme.start(&key, &one).unwrap();
    scheme.update(b"one");
    assert_eq!(scheme.finish(&key, &[], &one), Ok(()));
}
