//! Any bytes as key, hash and signature of each scheme.
//!
//! What must hold: nothing panics, and nothing is accepted but what imgtool signed.
#![no_main]

use dfu_fuzz::Bytes;
use dfu_target::digest::SoftSha256;
use dfu_target_mcuboot::signature::{EcdsaP256, Ed25519, Ed25519Pure, Rsa2048, Rsa3072, Scheme};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let [scheme, flips, cuts] = bytes.array();
    match scheme % 5 {
        0 => check(&mut EcdsaP256, KEYS[0], flips, cuts, bytes),
        1 => check(&mut Ed25519, KEYS[1], flips, cuts, bytes),
        2 => check(&mut Ed25519Pure::default(), KEYS[1], flips, cuts, bytes),
        3 => check(&mut Rsa2048::<SoftSha256>::default(), KEYS[2], flips, cuts, bytes),
        _ => check(&mut Rsa3072::<SoftSha256>::default(), KEYS[3], flips, cuts, bytes),
    }
});

/// As imgtool writes them.
const KEYS: [&[u8]; 4] = [
    include_bytes!("../../fixtures/keys/test-only-ecdsa-p256.pub.der"),
    include_bytes!("../../fixtures/keys/test-only-ed25519.pub.der"),
    include_bytes!("../../fixtures/keys/test-only-rsa-2048.pub.der"),
    include_bytes!("../../fixtures/keys/test-only-rsa-3072.pub.der"),
];

fn check<S: Scheme>(scheme: &mut S, known: &[u8], flips: u8, cuts: u8, mut bytes: Bytes<'_>) {
    let mut key = known.to_vec();
    if flips & 1 != 0 {
        let [at, bits] = bytes.array();
        let at = usize::from(at) * 2 % key.len();
        key[at] ^= bits;
    }
    if flips & 2 != 0 {
        key.truncate(usize::from(cuts) * 2);
    }
    if flips & 4 != 0 {
        let len = bytes.0.len().min(cuts.into());
        key = bytes.0[..len].to_vec();
        bytes.0 = &bytes.0[len..];
    }
    if S::accepts(&key) && key != known {
        assert!(flips & 5 != 0 && key.len() == known.len());
    }
    let hash: [u8; 32] = bytes.array();
    let signature = bytes.0;
    if scheme.start(&key, signature).is_ok() {
        scheme.update(&hash);
        assert!(scheme.finish(&key, &hash, signature).is_err(), "nobody signed this");
    }
}
