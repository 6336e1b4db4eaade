//! [`Verify`]: what is asked of an image beyond its layout, its size and its SHA-256.

use dfu_target::Digest;
use dfu_target::image::mcuboot::{Header, Version};

use crate::{HashKind, Refusal};

/// What is asked of an image beyond its layout, its size and its SHA-256. `()` asks nothing more, and so does `None`,
/// for firmware that learns at run time whether there is a key; [`Rules`](crate::Rules) asks what MCUboot can ask; an
/// implementation of one's own may ask for anything.
///
/// ```text
///  first bytes  ─► header             before anything is erased
///  read back    ─► start ─► entry, value* ... entry, value* ─► walked      the TLVs, in their order
///                  (hashing) ─► update ... update ─► finish                the bytes that the hash covers
/// ```
pub trait Verify {
    /// The longest signature in bytes; 0: none is looked at.
    const SIGNATURE: usize = 0;

    /// Whether [`hashing`](Self::hashing) wants the signature before the first byte.
    const PURE: bool = false;

    /// The hash it checks; that of the configuration has to be this or SHA-256.
    const HASH: HashKind = HashKind::Sha256;

    /// The header, and the version that runs, if it is known. Nothing was erased yet.
    fn header(&mut self, header: &Header, running: Option<Version>) -> Result<(), Refusal> {
        let _ = (header, running);
        Ok(())
    }

    /// Another reading of the TLVs begins.
    fn start(&mut self) {}

    /// An entry begins.
    fn entry(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let _ = entry;
        Ok(())
    }

    /// The next byte of its value.
    fn value(&mut self, byte: u8) -> Result<(), Refusal> {
        let _ = byte;
        Ok(())
    }

    /// That was the last entry: where the signature lies that is to be checked, as offset and length in the file.
    fn walked(&mut self) -> Result<Option<(u32, u16)>, Refusal> {
        Ok(None)
    }

    /// The signature, for a verifier that is [`PURE`](Self::PURE).
    fn hashing(&mut self, signature: &[u8]) -> Result<(), Refusal> {
        let _ = signature;
        Ok(())
    }

    /// The next of the bytes that the hash covers.
    fn update(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// The verdict, with the SHA-256 of those bytes; `true`: a signature was found right. Not asked for encrypted
    /// images, whose hash and signature are over the plain bytes.
    fn finish(&mut self, sha256: &Digest, signature: &[u8]) -> Result<bool, Refusal> {
        let _ = (sha256, signature);
        Ok(false)
    }
}

impl Verify for () {}

impl<V: Verify> Verify for &mut V {
    const SIGNATURE: usize = V::SIGNATURE;
    const PURE: bool = V::PURE;
    const HASH: HashKind = V::HASH;

    fn header(&mut self, header: &Header, running: Option<Version>) -> Result<(), Refusal> {
        V::header(self, header, running)
    }
    fn start(&mut self) {
        V::start(self);
    }
    fn entry(&mut self, entry: &Entry) -> Result<(), Refusal> {
        V::entry(self, entry)
    }
    fn value(&mut self, byte: u8) -> Result<(), Refusal> {
        V::value(self, byte)
    }
    fn walked(&mut self) -> Result<Option<(u32, u16)>, Refusal> {
        V::walked(self)
    }
    fn hashing(&mut self, signature: &[u8]) -> Result<(), Refusal> {
        V::hashing(self, signature)
    }
    fn update(&mut self, bytes: &[u8]) {
        V::update(self, bytes);
    }
    fn finish(&mut self, sha256: &Digest, signature: &[u8]) -> Result<bool, Refusal> {
        V::finish(self, sha256, signature)
    }
}

impl<V: Verify> Verify for Option<V> {
    const SIGNATURE: usize = V::SIGNATURE;
    const PURE: bool = V::PURE;
    const HASH: HashKind = V::HASH;

    fn header(&mut self, header: &Header, running: Option<Version>) -> Result<(), Refusal> {
        self.as_mut().map_or(Ok(()), |rules| rules.header(header, running))
    }
    fn start(&mut self) {
        if let Some(rules) = self {
            rules.start();
        }
    }
    fn entry(&mut self, entry: &Entry) -> Result<(), Refusal> {
        self.as_mut().map_or(Ok(()), |rules| rules.entry(entry))
    }
    fn value(&mut self, byte: u8) -> Result<(), Refusal> {
        self.as_mut().map_or(Ok(()), |rules| rules.value(byte))
    }
    fn walked(&mut self) -> Result<Option<(u32, u16)>, Refusal> {
        self.as_mut().map_or(Ok(None), V::walked)
    }
    fn hashing(&mut self, signature: &[u8]) -> Result<(), Refusal> {
        self.as_mut().map_or(Ok(()), |rules| rules.hashing(signature))
    }
    fn update(&mut self, bytes: &[u8]) {
        if let Some(rules) = self {
            rules.update(bytes);
        }
    }
    fn finish(&mut self, sha256: &Digest, signature: &[u8]) -> Result<bool, Refusal> {
        self.as_mut().map_or(Ok(false), |rules| rules.finish(sha256, signature))
    }
}

/// A TLV, without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Entry {
    /// Its type.
    pub tlv: u16,
    /// The length of its value in bytes.
    pub len: u16,
    /// Whether the hash covers it. Decisions are to be made by such entries alone.
    pub protected: bool,
    /// Where in the file its value begins.
    pub offset: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_more_is_asked_no_signature_is_read_or_said_to_be_right() {
        let mut nothing = ();
        nothing.start();
        assert_eq!(nothing.walked(), Ok(None));
        assert_eq!(nothing.finish(&Digest([0; 32]), &[]), Ok(false));
    }
}
