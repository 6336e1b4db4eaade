//! [`Verify`]: what is asked of an image beyond its layout, its size and its SHA-256.

use dfu_target::Digest;
use dfu_target::image::mcuboot::{Header, Version};

use crate::{HashKind, Refusal};

/// What is asked of an image beyond its layout, its size and its SHA-256. `()` asks nothing more, and so does `None`,
/// for firmware that learns at run time whether there is a key (an image whose hash is not SHA-256 has
/// [`Assurance::None`](dfu_target::target::Assurance::None) then); [`Rules`](crate::Rules) asks what MCUboot can ask; an
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

    /// Whether it checks anything at all: where it does not, nobody has checked a hash other than SHA-256.
    fn is_there(&self) -> bool {
        true
    }

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

    fn is_there(&self) -> bool {
        V::is_there(self)
    }
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

    fn is_there(&self) -> bool {
        self.as_ref().is_some_and(V::is_there)
    }
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
    use crate::refusal::TlvFault;
    use std::string::String;

    const ENTRY: Entry = Entry { tlv: 0x50, len: 4, protected: true, offset: 9 };

    /// Notes what it is called with, and answers as no default does.
    #[derive(Default)]
    struct Notes(String);

    impl Verify for Notes {
        const SIGNATURE: usize = 64;
        const PURE: bool = true;
        const HASH: HashKind = HashKind::Pure;

        fn header(&mut self, header: &Header, running: Option<Version>) -> Result<(), Refusal> {
            self.0 += &std::format!("header {} {running:?}, ", header.image_size);
            Err(Refusal::Vendor)
        }
        fn start(&mut self) {
            self.0 += "start, ";
        }
        fn entry(&mut self, entry: &Entry) -> Result<(), Refusal> {
            self.0 += &std::format!("entry {:#x}, ", entry.tlv);
            Err(Refusal::Class)
        }
        fn value(&mut self, byte: u8) -> Result<(), Refusal> {
            self.0 += &std::format!("value {byte}, ");
            Err(Refusal::Tlv { fault: TlvFault::Twice, offset: 9, tlv: 0x50 })
        }
        fn walked(&mut self) -> Result<Option<(u32, u16)>, Refusal> {
            self.0 += "walked, ";
            Ok(Some((7, 64)))
        }
        fn hashing(&mut self, signature: &[u8]) -> Result<(), Refusal> {
            self.0 += &std::format!("hashing {signature:?}, ");
            Err(Refusal::Unsigned)
        }
        fn update(&mut self, bytes: &[u8]) {
            self.0 += &std::format!("update {bytes:?}, ");
        }
        fn finish(&mut self, sha256: &Digest, signature: &[u8]) -> Result<bool, Refusal> {
            self.0 += &std::format!("finish {} {signature:?}, ", sha256.0[0]);
            if signature.is_empty() { Err(Refusal::Signature) } else { Ok(true) }
        }
    }

    /// What a verifier says of an image, in the order of the calls.
    type Said = ([Result<(), Refusal>; 4], Result<Option<(u32, u16)>, Refusal>, [Result<bool, Refusal>; 2]);

    fn ask<V: Verify>(mut verify: V) -> Said {
        let header = verify.header(&Header { image_size: 5, ..Header::EMPTY }, None);
        verify.start();
        let (entry, value, walked) = (verify.entry(&ENTRY), verify.value(3), verify.walked());
        let hashing = verify.hashing(&[1]);
        verify.update(&[2, 4]);
        let digest = Digest([6; 32]);
        let finished = [verify.finish(&digest, &[]), verify.finish(&digest, &[8])];
        ([header, entry, value, hashing], walked, finished)
    }

    #[test]
    fn a_verifier_by_reference_or_optional_is_asked_all_that_it_would_be() {
        fn constants<V: Verify>(_: &V) -> (usize, bool, HashKind) {
            (V::SIGNATURE, V::PURE, V::HASH)
        }
        let mut plain = Notes::default();
        let said = ask(&mut plain);
        let (refused, walked, finished) = said;
        let twice = Refusal::Tlv { fault: TlvFault::Twice, offset: 9, tlv: 0x50 };
        assert_eq!(refused, [Refusal::Vendor, Refusal::Class, twice, Refusal::Unsigned].map(Err));
        assert_eq!((walked, finished), (Ok(Some((7, 64))), [Err(Refusal::Signature), Ok(true)]));
        let called = "header 5 None, start, entry 0x50, value 3, walked, hashing [1], update [2, 4], \
                      finish 6 [], finish 6 [8], ";
        assert_eq!(plain.0, called);

        let mut optional = Some(Notes::default());
        assert_eq!((constants(&optional), constants(&&mut plain)), (constants(&plain), constants(&plain)));
        assert_eq!(ask(&mut optional), said);
        assert_eq!(optional.map(|notes| notes.0).as_deref(), Some(called));
    }

    #[test]
    fn where_nothing_more_is_asked_no_signature_is_read_or_said_to_be_right() {
        let nothing = ([Ok(()); 4], Ok(None), [Ok(false); 2]);
        assert_eq!(ask(()), nothing);
        assert_eq!(ask(None::<Notes>), nothing);
    }
}
