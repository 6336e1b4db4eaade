//! The signed front of a full update, read and made without the code under test.

use alloc::vec::Vec;
use dfu_target::digest::SoftSha256;
use dfu_target_mcuboot::signature::{Rsa2048, Scheme};
use minicbor::data::Tag;
use minicbor::{Decoder, Encoder};
use sha2::{Digest, Sha256};

/// What a wrapper says of the segments behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The version of the format.
    pub version: u32,
    /// What it is compatible with.
    pub compat: u32,
    /// SHA-256 over all segments, in their order.
    pub blob_hash: [u8; 32],
    /// Address and length of each segment, in bytes; the loader's first.
    pub segments: Vec<(u32, u32)>,
}

/// Why the modem takes no wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Malformed,
    Untrusted,
}

/// Puts a payload into a wrapper, with a signature that needs no key: SHA-256 over COSE's Sig_structure, then 224
/// zeros. The fake modem takes it beside those of its key.
pub fn signed_wrapper(payload: &[u8]) -> Vec<u8> {
    let digest = signed_digest(payload);
    let signature = [&digest[..], &[0; SIGNATURE - 32]].concat();
    encoded(|cbor| {
        cbor.tag(Tag::new(COSE_SIGN1))?.array(4)?.bytes(&PROTECTED)?.map(0)?.bytes(payload)?.bytes(&signature)?;
        Ok(())
    })
}

impl Manifest {
    /// As the payload of a wrapper.
    pub fn encode(&self) -> Vec<u8> {
        let segments = encoded(|cbor| {
            cbor.array(2 * self.segments.len() as u64)?;
            self.segments.iter().try_for_each(|(address, len)| cbor.u32(*address)?.u32(*len).map(drop))
        });
        encoded(|cbor| {
            cbor.array(4)?.u32(self.version)?.u32(self.compat)?.bytes(&self.blob_hash)?.bytes(&segments)?;
            Ok(())
        })
    }

    /// Reads the payload of a wrapper.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        whole(payload, |cbor| {
            array(cbor, 4)?;
            let (version, compat) = (cbor.u32().ok()?, cbor.u32().ok()?);
            let blob_hash = cbor.bytes().ok()?.try_into().ok()?;
            let segments = whole(cbor.bytes().ok()?, |cbor| {
                let len = cbor.array().ok()??;
                let pair = |_| Some((cbor.u32().ok()?, cbor.u32().ok()?));
                (len.is_multiple_of(2) && (2..=256).contains(&len)).then(|| (0..len / 2).map(pair).collect())?
            })?;
            Some(Self { version, compat, blob_hash, segments })
        })
    }

    /// Reads a wrapper that `key` signed, or that has the signature of [`signed_wrapper`].
    pub(super) fn verified(wrapper: &[u8], key: &[u8]) -> Result<Self, Refused> {
        let (protected, payload, signature) = whole(wrapper, parts).ok_or(Refused::Malformed)?;
        let digest = signed_digest(payload);
        let short = signature[..32] == digest && signature[32..].iter().all(|byte| *byte == 0);
        let signed = || Rsa2048::new(SoftSha256::default()).finish(key, &digest, signature).is_ok();
        if protected != PROTECTED || !short && !signed() {
            return Err(Refused::Untrusted);
        }
        Self::decode(payload).ok_or(Refused::Malformed)
    }
}

/// Protected header, payload and signature.
fn parts<'a>(cbor: &mut Decoder<'a>) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
    if cbor.tag().ok()?.as_u64() != COSE_SIGN1 {
        return None;
    }
    array(cbor, 4)?;
    let protected = cbor.bytes().ok()?;
    let Some(0) = cbor.map().ok()? else { return None };
    let (payload, signature) = (cbor.bytes().ok()?, cbor.bytes().ok()?);
    (signature.len() == SIGNATURE).then_some((protected, payload, signature))
}

/// Reads bytes that hold one thing and nothing behind it.
fn whole<'a, T>(bytes: &'a [u8], read: impl FnOnce(&mut Decoder<'a>) -> Option<T>) -> Option<T> {
    let mut cbor = Decoder::new(bytes);
    let value = read(&mut cbor)?;
    (cbor.position() == bytes.len()).then_some(value)
}

fn array(cbor: &mut Decoder<'_>, len: u64) -> Option<()> {
    (cbor.array().ok()? == Some(len)).then_some(())
}

/// SHA-256 over the Sig_structure of RFC 9052, section 4.4.
fn signed_digest(payload: &[u8]) -> [u8; 32] {
    let signed = encoded(|cbor| {
        cbor.array(4)?.str("Signature1")?.bytes(&PROTECTED)?.bytes(&[])?.bytes(payload)?;
        Ok(())
    });
    Sha256::digest(signed).into()
}

type EncodeResult = Result<(), minicbor::encode::Error<core::convert::Infallible>>;

fn encoded(write: impl FnOnce(&mut Encoder<Vec<u8>>) -> EncodeResult) -> Vec<u8> {
    let mut cbor = Encoder::new(Vec::new());
    write(&mut cbor).expect("a vector takes everything");
    cbor.into_writer()
}

/// The tag of a COSE_Sign1.
const COSE_SIGN1: u64 = 18;
/// `{1: -37}`: PS256.
const PROTECTED: [u8; 4] = [0xa1, 0x01, 0x38, 0x24];
/// The length of a signature.
const SIGNATURE: usize = 256;
