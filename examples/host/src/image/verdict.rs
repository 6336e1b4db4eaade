//! Whether an image's hash and signatures are right.

use dfu_target::digest::SoftSha256;
use dfu_target_mcuboot::signature::{BadSignature, EcdsaP256, Ed25519, Ed25519Pure, Rsa2048, Rsa3072, Scheme};
use serde::Serialize;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{Image, Tlv};
use crate::key::{Key, KeyKind};

/// What became of the comparison of the hash TLV with the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HashVerdict {
    Right,
    Wrong,
    /// It is over the plain image, which only the bootloader sees.
    Encrypted,
    /// There is none, as with signatures over the image itself.
    None,
}

/// What became of the check of one signature with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SignatureVerdict {
    Right,
    Wrong,
    /// Its KEYHASH is that of another key, or it is of another kind.
    OtherKey,
    Encrypted,
}

impl HashVerdict {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong: it is not that of the image's bytes",
            Self::Encrypted => "not to be checked: it is over the plain image",
            Self::None => "none",
        }
    }
}

impl SignatureVerdict {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Right => "right, by this key",
            Self::Wrong => "wrong: not this key's over this image",
            Self::OtherKey => "by another key",
            Self::Encrypted => "not to be checked: it is over the plain image",
        }
    }
}

const HASHES: [(u16, &str); 3] = [(0x10, "SHA-256"), (0x11, "SHA-384"), (0x12, "SHA-512")];

impl Image<'_> {
    /// The kind of hash, and whether it is right.
    pub(crate) fn hash(&self) -> (Option<&'static str>, HashVerdict) {
        let found = HASHES.into_iter().find_map(|(kind, name)| Some((name, self.of_kind(kind).next()?)));
        let Some((name, tlv)) = found else { return (None, HashVerdict::None) };
        let verdict = match digest(tlv.kind, self.hashed()) {
            _ if self.header.is_encrypted() => HashVerdict::Encrypted,
            Some(digest) if digest == tlv.value => HashVerdict::Right,
            _ => HashVerdict::Wrong,
        };
        (Some(name), verdict)
    }

    /// Checks each signature with a key; an image without one gives none.
    pub(crate) fn signatures(&self, key: &Key) -> Vec<SignatureVerdict> {
        let is_signature = |tlv: &&Tlv<'_>| matches!(tlv.kind, 0x20..=0x24);
        self.tlvs.iter().filter(is_signature).map(|signature| self.signature(signature, key)).collect()
    }

    fn signature(&self, signature: &Tlv<'_>, key: &Key) -> SignatureVerdict {
        let hashes = [0x10, 0x11, 0x12];
        let hash_kind = self.tlvs.iter().map(|tlv| tlv.kind).find(|kind| hashes.contains(kind));
        // The key that is named last before the signature.
        let mut before = self.tlvs.iter().filter(|tlv| tlv.offset < signature.offset);
        let named = before.rfind(|tlv| matches!(tlv.kind, 0x01 | 0x02));
        let is_named = named.is_none_or(|named| match named.kind {
            0x01 => hashes.iter().any(|kind| digest(*kind, &key.der).as_deref() == Some(named.value)),
            _ => named.value == key.der,
        });
        if signature.kind != key.kind.tlv() || !is_named {
            return SignatureVerdict::OtherKey;
        }
        if self.header.is_encrypted() {
            return SignatureVerdict::Encrypted;
        }
        let pure = self.of_kind(0x25).any(|tlv| tlv.value == [1]);
        let hash = hash_kind.and_then(|kind| digest(kind, self.hashed())).unwrap_or_default();
        let (der, value) = (&key.der[..], signature.value);
        let verdict = match key.kind {
            KeyKind::Ed25519 if pure => self.pure(der, value),
            KeyKind::Ed25519 => Ed25519.finish(der, &hash, value),
            KeyKind::EcdsaP256 => EcdsaP256.finish(der, &hash, value),
            KeyKind::Rsa2048 => Rsa2048::new(SoftSha256::default()).finish(der, &hash, value),
            KeyKind::Rsa3072 => Rsa3072::new(SoftSha256::default()).finish(der, &hash, value),
        };
        if verdict.is_ok() { SignatureVerdict::Right } else { SignatureVerdict::Wrong }
    }

    fn pure(&self, key: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let mut scheme = Ed25519Pure::default();
        scheme.start(key, signature)?;
        scheme.update(self.hashed());
        scheme.finish(key, &[], signature)
    }
}

fn digest(kind: u16, bytes: &[u8]) -> Option<Vec<u8>> {
    match kind {
        0x10 => Some(Sha256::digest(bytes).to_vec()),
        0x11 => Some(Sha384::digest(bytes).to_vec()),
        0x12 => Some(Sha512::digest(bytes).to_vec()),
        _ => None,
    }
}
