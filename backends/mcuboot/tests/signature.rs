//! Each scheme takes what imgtool signed, and nothing else; and no bytes make it panic.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use std::ops::Range;
use std::path::Path;

use dfu_target::digest::SoftSha256;
use dfu_target_mcuboot::signature::{BadSignature, EcdsaP256, Ed25519, Ed25519Pure, Rsa2048, Rsa3072, Scheme};
use dfu_testkit::fixture::Fixture;

type Soft2048 = Rsa2048<SoftSha256>;
type Soft3072 = Rsa3072<SoftSha256>;

/// An image as a caller of a scheme sees it.
#[derive(Clone)]
struct Signed {
    key: Vec<u8>,
    image: Vec<u8>,
    hash: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    fn named(name: &str, tlv: u16) -> Self {
        let fixture = Fixture::named(name);
        let covered =
            ["header_size", "payload_size", "protected_size"].map(|column| fixture.number(column)).iter().sum();
        let (image, tlvs) = fixture.bytes().split_at(u32::try_into(covered).unwrap());
        let [0x07, 0x69, _, _, entries @ ..] = tlvs else { panic!("no TLVs in {name}") };
        Self {
            key: key(fixture.field("key")),
            image: image.to_vec(),
            hash: entry(entries, 0x10..0x13).unwrap(),
            signature: entry(entries, tlv..tlv + 1).unwrap(),
        }
    }

    fn verify<S: Scheme + Default>(&self) -> Result<(), BadSignature> {
        let mut scheme = S::default();
        scheme.start(&self.key, &self.signature)?;
        for piece in self.image.chunks(511) {
            scheme.update(piece);
        }
        scheme.finish(&self.key, &self.hash, &self.signature)
    }
}

fn key(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/keys");
    std::fs::read(folder.join(format!("test-only-{name}.pub.der"))).unwrap()
}

fn entry(mut entries: &[u8], types: Range<u16>) -> Option<Vec<u8>> {
    while let [kind_low, kind_high, low, high, rest @ ..] = entries {
        let (value, next) = rest.split_at(u16::from_le_bytes([*low, *high]).into());
        if types.contains(&u16::from_le_bytes([*kind_low, *kind_high])) {
            return Some(value.to_vec());
        }
        entries = next;
    }
    None
}

const KEYS: [&str; 5] = ["ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072"];

/// What must hold for each scheme, with an image that it takes. `stride`: how many bits apart those are that are
/// flipped, for schemes that take their time.
fn suite<S: Scheme + Default>(name: &str, stride: usize) {
    let good = Signed::named(name, S::TLV);
    assert!(S::accepts(&good.key));
    assert!(good.signature.len() <= S::LONGEST);
    assert_eq!(good.verify::<S>(), Ok(()));
    let refused = |why: &str, change: &dyn Fn(&mut Signed)| {
        let mut bad = good.clone();
        change(&mut bad);
        assert_eq!(bad.verify::<S>(), Err(BadSignature), "{name}: {why}");
    };

    for bit in (0..8 * good.signature.len()).step_by(stride) {
        refused(&format!("bit {bit} of the signature"), &|bad| bad.signature[bit / 8] ^= 1 << (bit % 8));
    }
    for bit in (0..8 * good.key.len()).step_by(stride) {
        refused(&format!("bit {bit} of the key"), &|bad| bad.key[bit / 8] ^= 1 << (bit % 8));
    }
    if S::PURE {
        for at in (0..good.image.len()).step_by(499) {
            refused(&format!("byte {at} of the image"), &|bad| bad.image[at] ^= 0x10);
        }
        refused("an image that is cut off", &|bad| bad.image.truncate(bad.image.len() - 1));
        refused("a longer image", &|bad| bad.image.push(0));
    } else {
        for bit in (0..8 * good.hash.len()).step_by(17) {
            refused(&format!("bit {bit} of the hash"), &|bad| bad.hash[bit / 8] ^= 1 << (bit % 8));
        }
        for length in (0..good.hash.len()).chain(good.hash.len() + 1..80) {
            refused(&format!("a hash of {length}"), &|bad| bad.hash.resize(length, 0));
        }
    }

    for length in 0..good.signature.len() {
        refused(&format!("{length} bytes of the signature"), &|bad| bad.signature.truncate(length));
    }
    for more in 1..20 {
        refused(&format!("{more} more bytes of the signature"), &|bad| {
            bad.signature.resize(bad.signature.len() + more, 0xff);
        });
    }
    for length in (0..good.key.len()).chain(good.key.len() + 1..good.key.len() + 20) {
        refused(&format!("a key of {length}"), &|bad| bad.key.resize(length, 0));
        let mut key = good.key.clone();
        key.resize(length, 0);
        assert!(!S::accepts(&key), "{name}: a key of {length}");
    }
    for other in KEYS.map(key) {
        assert_eq!(S::accepts(&other), other == good.key);
        if other != good.key {
            refused("a key of another kind", &|bad| bad.key = other.clone());
        }
    }
    for byte in [0, 0xff] {
        refused("a plain signature", &|bad| bad.signature.fill(byte));
        refused("a plain key", &|bad| bad.key.fill(byte));
    }

    // Anything at all, of any length, with as much in front that is right.
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let mut noise = |right: &[u8]| {
            let length = random.usize(..right.len() + 20);
            let mut bytes = right[..random.usize(..=right.len().min(length))].to_vec();
            bytes.resize_with(length, || random.u8(..));
            bytes
        };
        let (key, signature) = (noise(&good.key), noise(&good.signature));
        refused("noise for a signature", &|bad| bad.signature = signature.clone());
        refused("noise for a key", &|bad| bad.key = key.clone());
        S::accepts(&key);
    }
}

#[test]
fn ecdsa_p256_takes_what_imgtool_signed_and_nothing_else() {
    suite::<EcdsaP256>("sig-ecdsa-p256", 7);
}

#[test]
fn ed25519_takes_what_imgtool_signed_and_nothing_else() {
    suite::<Ed25519>("sig-ed25519", 1);
}

#[test]
fn ed25519_takes_a_hash_of_64_bytes() {
    suite::<Ed25519>("sig-ed25519-sha512", 13);
}

#[test]
fn ed25519_over_the_image_takes_what_imgtool_signed_and_nothing_else() {
    suite::<Ed25519Pure>("sig-ed25519-pure", 11);
}

#[test]
fn rsa_2048_takes_what_imgtool_signed_and_nothing_else() {
    suite::<Soft2048>("sig-rsa-2048", 31);
}

#[test]
fn rsa_3072_takes_what_imgtool_signed_and_nothing_else() {
    suite::<Soft3072>("sig-rsa-3072", 61);
}

#[test]
fn every_image_of_a_kind_is_signed_by_its_key() {
    let mut seen = 0;
    for fixture in Fixture::all() {
        let (name, pure) = (fixture.name(), fixture.name().ends_with("pure"));
        let verdict = match fixture.field("signature") {
            _ if fixture.field("stable") == "no" && name.starts_with("flag") => continue, // Encrypted.
            "ED25519" if pure => Signed::named(name, Ed25519Pure::TLV).verify::<Ed25519Pure>(),
            "ED25519" => Signed::named(name, Ed25519::TLV).verify::<Ed25519>(),
            "ECDSASIG" if name.ends_with("p256") => Signed::named(name, EcdsaP256::TLV).verify::<EcdsaP256>(),
            "RSA2048" => Signed::named(name, Soft2048::TLV).verify::<Soft2048>(),
            "RSA3072" => Signed::named(name, Soft3072::TLV).verify::<Soft3072>(),
            _ => continue,
        };
        assert_eq!(verdict, Ok(()), "{name}");
        seen += 1;
    }
    assert!(seen > 20, "only {seen}");
}

#[test]
fn a_scheme_by_reference_is_the_scheme() {
    fn finish<S: Scheme>(mut scheme: S, signed: &Signed) -> Result<(), BadSignature> {
        assert!(S::PURE && S::accepts(&signed.key) && !S::accepts(&[]) && S::LONGEST == 64 && S::TLV == 0x24);
        scheme.start(&signed.key, &signed.signature)?;
        scheme.update(&signed.image);
        scheme.finish(&signed.key, &[], &signed.signature)
    }
    let mut signed = Signed::named("sig-ed25519-pure", 0x24);
    assert_eq!(finish(&mut Ed25519Pure::default(), &signed), Ok(()));
    signed.signature[40] ^= 1;
    assert_eq!(finish(&mut Ed25519Pure::default(), &signed), Err(BadSignature));
}
