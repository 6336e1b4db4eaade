//! Public keys as `imgtool getpub` writes them, for the library's signature schemes.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use dfu_target::digest::SoftSha256;
use dfu_target_mcuboot::signature::{EcdsaP256, Ed25519, Rsa2048, Rsa3072, Scheme};
use spki::ObjectIdentifier;
use spki::SubjectPublicKeyInfoRef;
use spki::der::{Decode, Document, Encode};

/// A public key, in the encoding that the library and the KEYHASH TLV have it in.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) path: PathBuf,
    pub(crate) kind: KeyKind,
    pub(crate) der: Vec<u8>,
}

/// The kinds of key that the library has a scheme for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Ed25519,
    EcdsaP256,
    Rsa2048,
    Rsa3072,
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

impl Key {
    /// Reads a PEM file, or the DER of `getpub -e raw`.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let (kind, der) = decode(&bytes).with_context(|| path.display().to_string())?;
        Ok(Self { path: path.to_owned(), kind, der })
    }

    /// Reads several.
    pub(crate) fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<Self>> {
        paths.iter().map(|path| Self::read(path)).collect()
    }
}

impl KeyKind {
    const ALL: [Self; 4] = [Self::Ed25519, Self::EcdsaP256, Self::Rsa2048, Self::Rsa3072];

    /// Its name as imgtool's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP256 => "ECDSA P-256",
            Self::Rsa2048 => "RSA-2048",
            Self::Rsa3072 => "RSA-3072",
        }
    }

    /// The type of the TLV with such a signature.
    pub(crate) fn tlv(self) -> u16 {
        match self {
            Self::Ed25519 => Ed25519::TLV,
            Self::EcdsaP256 => EcdsaP256::TLV,
            Self::Rsa2048 => Rsa2048::<SoftSha256>::TLV,
            Self::Rsa3072 => Rsa3072::<SoftSha256>::TLV,
        }
    }

    fn accepts(self, der: &[u8]) -> bool {
        match self {
            Self::Ed25519 => Ed25519::accepts(der),
            Self::EcdsaP256 => EcdsaP256::accepts(der),
            Self::Rsa2048 => Rsa2048::<SoftSha256>::accepts(der),
            Self::Rsa3072 => Rsa3072::<SoftSha256>::accepts(der),
        }
    }
}

fn decode(bytes: &[u8]) -> anyhow::Result<(KeyKind, Vec<u8>)> {
    if bytes.first() == Some(&0x30) {
        return sorted(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN "));
    let Some(text) = text else { bail!("no key: neither PEM nor DER") };
    if let Some(label) = text.split("-----BEGIN ").nth(1).and_then(|rest| rest.split("-----").next())
        && label.contains("PRIVATE KEY")
    {
        bail!("a private key, and none is needed here: `imgtool getpub -e pem` writes the public one");
    }
    let (label, document) =
        Document::from_pem(text).map_err(|error| anyhow::anyhow!("not well-formed PEM: {error}"))?;
    match label {
        "PUBLIC KEY" => sorted(document.as_bytes().to_vec()),
        "RSA PUBLIC KEY" => sorted(document.as_bytes().to_vec()),
        other => bail!("{} instead of a public key", other.to_lowercase()),
    }
}

/// The kind, and the encoding that goes with it: PKCS#1 for RSA.
fn sorted(der: Vec<u8>) -> anyhow::Result<(KeyKind, Vec<u8>)> {
    let mut what = "a key".to_owned();
    let mut inner = None;
    if let Ok(info) = SubjectPublicKeyInfoRef::from_der(&der) {
        if info.algorithm.oid == RSA {
            what = "an RSA key of another size than 2048 or 3072 bits or with another exponent than 65537".into();
            inner = info.subject_public_key.as_bytes().map(<[u8]>::to_vec);
        } else if info.algorithm.oid == EC {
            let curve = info.algorithm.parameters.and_then(|curve| curve.to_der().ok());
            what = format!("a key on {}", curve.as_deref().map_or("an unknown curve", curve_name));
        }
    }
    let der = inner.unwrap_or(der);
    match KeyKind::ALL.into_iter().find(|kind| kind.accepts(&der)) {
        Some(kind) => Ok((kind, der)),
        None => bail!("{what}, and the library has no signature scheme for that"),
    }
}

fn curve_name(oid: &[u8]) -> &'static str {
    match oid {
        [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22] => "the curve P-384",
        _ => "an unknown curve",
    }
}
