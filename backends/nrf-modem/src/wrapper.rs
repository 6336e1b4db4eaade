//! The wrapper of a full update: what is at the start of `firmware.update.image.cbor`, in front of the segments.

mod error;
mod part;

pub use error::WrapperError;

use core::iter::FusedIterator;

use dfu_target::Digest;

use self::part::{Major, Part};

/// The wrapper of a full update, checked: nothing fails behind [`parse`](Self::parse).
///
/// ```text
///  18([ h'{1: -37}', {}, payload, signature ])        COSE_Sign1, RFC 9052 section 4.2; PS256, RFC 8230
///                           │          └ 256 bytes; the modem alone has the key, and checks all of this
///                           └ [ version, compat, SHA-256 of the segments, segments ]
///                                                                            └ [ address, length, address, length .. ]
/// ```
///
/// The segments follow the wrapper in the file, in the order of the list. The first is the loader, which goes into
/// the modem's RAM and whose address nobody reads; all others are firmware.
///
/// Nordic's decoder takes lengths that are left open (RFC 8949 section 3.2), and checks no range. Here a length has to
/// be said, and segments neither overlap nor reach out of 32 bits, so that what is taken means the same to both. A
/// number may be longer than it needs to be, as there: its value is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapper<'a> {
    bytes: &'a [u8],
    protected: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
    manifest: Manifest<'a>,
}

impl<'a> Wrapper<'a> {
    /// The longest there is, in bytes: Nordic's loader reads no more.
    pub const MAX_LEN: usize = 1024;
    /// How many segments it may have, the loader among them.
    pub const MAX_SEGMENTS: usize = 128;

    /// The wrapper at the start of `bytes`; what follows it is left alone.
    ///
    /// [`WrapperError::Truncated`] means that all is right so far and the bytes end within the wrapper: try again with
    /// more of them. With [`MAX_LEN`](Self::MAX_LEN) bytes it is never the answer.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WrapperError> {
        let mut file = Part::file(bytes);
        if file.head(Major::Tag)? != COSE_SIGN1 || file.head(Major::Array)? != 4 {
            return Err(WrapperError::NotCose);
        }
        let protected = file.part(WrapperError::Algorithm)?;
        if protected.len() != PS256.len() || !PS256.starts_with(protected.bytes()) {
            return Err(WrapperError::Algorithm);
        }
        let protected = protected.whole()?;
        if file.head(Major::Map)? != 0 {
            return Err(WrapperError::Unprotected);
        }
        let mut payload = file.part(WrapperError::Manifest)?;
        if file.left() < SIGNATURE_HEAD.saturating_add(SIGNATURE) {
            return Err(WrapperError::TooLong);
        }
        let manifest = Manifest::parse(&mut payload)?;
        let payload = payload.whole()?;
        let signature = file.part(WrapperError::NotCose)?;
        if signature.len() != SIGNATURE {
            return Err(WrapperError::Signature(signature.len()));
        }
        let signature = signature.whole()?;
        let bytes = file.passed();
        // The largest of both sums that anyone makes of it.
        let total = manifest.blob_len.checked_add(bytes.len() as u32);
        total.ok_or(WrapperError::BlobOverflow)?;
        Ok(Self { bytes, protected, payload, signature, manifest })
    }

    /// The wrapper alone, from the tag to the signature: what the modem's loader verifies.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its length in bytes: where in the file the first segment begins.
    #[expect(clippy::len_without_is_empty, reason = "no wrapper is empty")]
    pub fn len(&self) -> u32 {
        // 1024 at most.
        self.bytes.len() as u32
    }

    /// The manifest's version; what it counts is not public.
    pub fn version(&self) -> u32 {
        self.manifest.version
    }

    /// The manifest's compatibility; what it counts is not public.
    pub fn compat(&self) -> u32 {
        self.manifest.compat
    }

    /// SHA-256 over all segments, as they are in the file.
    pub fn blob_hash(&self) -> Digest {
        Digest(*self.manifest.hash)
    }

    /// The segments in the order of the file: the loader, then firmware.
    pub fn segments(&self) -> Segments<'a> {
        self.manifest.segments()
    }

    /// How many bytes the segments have together.
    pub fn blob_len(&self) -> u32 {
        self.manifest.blob_len
    }

    /// How many bytes the file has: the wrapper and the segments.
    pub fn total_len(&self) -> u32 {
        // No larger than 32 bits: looked at in `parse`.
        self.len().saturating_add(self.manifest.blob_len)
    }

    /// The protected header, as it is signed.
    pub fn protected(&self) -> &'a [u8] {
        self.protected
    }

    /// The manifest's bytes, as they are signed: the signature is over `["Signature1", protected, h'', payload]`.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The signature of 256 bytes: RSASSA-PSS with SHA-256.
    pub fn signature(&self) -> &'a [u8] {
        self.signature
    }
}

/// A piece of the update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Segment {
    /// Where it goes in the modem's flash. The loader's means nothing.
    pub address: u32,
    /// How many bytes it has; never 0.
    pub len: u32,
}

impl Segment {
    /// The address behind it; none where that takes more than 32 bits, as only the loader's can.
    fn end(self) -> Option<u32> {
        self.address.checked_add(self.len)
    }
}

/// The segments of a [`Wrapper`], in the order of the file.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    numbers: Part<'a>,
    left: usize,
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        self.left = self.left.checked_sub(1)?;
        // They have been read before.
        Some(Segment { address: self.numbers.number().ok()?, len: self.numbers.number().ok()? })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Segments<'_> {}
impl FusedIterator for Segments<'_> {}

/// What the payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Manifest<'a> {
    version: u32,
    compat: u32,
    hash: &'a [u8; 32],
    /// The list, behind its head.
    list: Part<'a>,
    count: usize,
    blob_len: u32,
}

impl<'a> Manifest<'a> {
    fn parse(payload: &mut Part<'a>) -> Result<Self, WrapperError> {
        if payload.head(Major::Array)? != 4 {
            return Err(WrapperError::Manifest);
        }
        let (version, compat) = (payload.number()?, payload.number()?);
        let hash = payload.part(WrapperError::Manifest)?;
        if hash.len() != 32 {
            return Err(WrapperError::HashLength(hash.len()));
        }
        let hash = hash.whole()?.first_chunk().ok_or(WrapperError::Manifest)?;
        let mut list = payload.part(WrapperError::Segments)?;
        if payload.left() != 0 {
            return Err(WrapperError::ManifestTrailing);
        }
        let count = match list.head(Major::Array)? {
            0..4 => return Err(WrapperError::NoSegments),
            numbers if numbers / 2 > Wrapper::MAX_SEGMENTS as u64 => return Err(WrapperError::TooManySegments),
            numbers if numbers % 2 != 0 => return Err(WrapperError::OddSegments),
            numbers => (numbers / 2) as usize,
        };
        let mut manifest = Self { version, compat, hash, list, count, blob_len: 0 };
        for index in 0..count {
            let segment = Segment { address: list.number()?, len: list.number()? };
            manifest.check(index, segment)?;
            manifest.blob_len = manifest.blob_len.checked_add(segment.len).ok_or(WrapperError::BlobOverflow)?;
        }
        if list.left() != 0 {
            return Err(WrapperError::SegmentsTrailing);
        }
        Ok(manifest)
    }

    /// A segment, beside those before it.
    fn check(&self, index: usize, segment: Segment) -> Result<(), WrapperError> {
        if segment.len == 0 {
            return Err(WrapperError::SegmentEmpty(index));
        }
        if index == 0 {
            return Ok(());
        }
        let end = segment.end().ok_or(WrapperError::SegmentOverflow(index))?;
        let overlaps = |other: Segment| other.address < end && other.end().is_none_or(|end| end > segment.address);
        if self.segments().take(index).skip(1).any(overlaps) {
            return Err(WrapperError::SegmentOverlap(index));
        }
        Ok(())
    }

    fn segments(&self) -> Segments<'a> {
        Segments { numbers: self.list, left: self.count }
    }
}

/// The tag of a COSE_Sign1.
const COSE_SIGN1: u64 = 18;
/// A header that says `{1: -37}` and nothing else.
const PS256: &[u8] = &[0xa1, 0x01, 0x38, 0x24];
/// The length of an RSA-2048 signature.
const SIGNATURE: usize = 256;
/// What says its length takes so many bytes or more.
const SIGNATURE_HEAD: usize = 3;

#[cfg(test)]
mod tests;
