//! [`ImageBuilder`]: MCUboot images in memory, right ones and wrong ones.

use alloc::vec::Vec;
use core::ops::{Deref, Range};

use sha2::{Digest, Sha256};

/// Builds an MCUboot image: header, payload from a seed, protected TLVs, hash, unprotected TLVs.
///
/// ```
/// use dfu_testkit::image::ImageBuilder;
///
/// let image = ImageBuilder::new().version(1, 2, 3, 4).total_size(10_000).signature(70).build();
/// assert_eq!(image.len(), 10_000);
/// assert!(image.starts_with(&[0x3d, 0xb8, 0xf3, 0x96]));
/// ```
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    header_size: u16,
    length: Length,
    seed: u64,
    version: Version,
    flags: u32,
    load_addr: u32,
    protected: Vec<Tlv>,
    unprotected: Vec<Tlv>,
    hashed: bool,
}

/// An image's version, as its header holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major number.
    pub major: u8,
    /// Minor number.
    pub minor: u8,
    /// Revision.
    pub revision: u16,
    /// Build number.
    pub build: u32,
}

/// A finished image file; a slice of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    bytes: Vec<u8>,
    payload: Range<usize>,
    hashed: Range<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Length {
    Payload(usize),
    Total(usize),
}

#[derive(Clone, Debug)]
struct Tlv {
    kind: u16,
    value: Vec<u8>,
}

impl ImageBuilder {
    /// An image of version 1.0.0+0 with a header of 0x200 bytes, 1000 bytes of payload and a SHA-256.
    pub fn new() -> Self {
        Self {
            header_size: 0x200,
            length: Length::Payload(1000),
            seed: 0,
            version: Version { major: 1, ..Version::default() },
            flags: 0,
            load_addr: 0,
            protected: Vec::new(),
            unprotected: Vec::new(),
            hashed: true,
        }
    }

    /// The header's length with its padding, 32 or more.
    #[must_use]
    pub fn header_size(mut self, size: u16) -> Self {
        assert!(size >= 32, "a header has 32 bytes at least");
        self.header_size = size;
        self
    }

    /// The payload's length.
    #[must_use]
    pub fn payload(mut self, length: usize) -> Self {
        self.length = Length::Payload(length);
        self
    }

    /// The whole file's length: the payload takes what is left.
    #[must_use]
    pub fn total_size(mut self, length: usize) -> Self {
        self.length = Length::Total(length);
        self
    }

    /// Another payload.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The version.
    #[must_use]
    pub fn version(mut self, major: u8, minor: u8, revision: u16, build: u32) -> Self {
        self.version = Version { major, minor, revision, build };
        self
    }

    /// The header's flags.
    #[must_use]
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    /// The header's load address.
    #[must_use]
    pub fn load_addr(mut self, address: u32) -> Self {
        self.load_addr = address;
        self
    }

    /// Adds a protected TLV, which the hash covers.
    #[must_use]
    pub fn protected(mut self, kind: u16, value: &[u8]) -> Self {
        self.protected.push(Tlv { kind, value: value.to_vec() });
        self
    }

    /// Adds a dependency: image `index` has to be of this version at least.
    #[must_use]
    pub fn needs(self, index: u8, version: Version) -> Self {
        let Version { major, minor, revision, build } = version;
        let mut value = vec![index, 0, 0, 0, major, minor];
        value.extend(revision.to_le_bytes());
        value.extend(build.to_le_bytes());
        self.protected(DEPENDENCY, &value)
    }

    /// Adds an unprotected TLV, behind the hash.
    #[must_use]
    pub fn unprotected(mut self, kind: u16, value: &[u8]) -> Self {
        self.unprotected.push(Tlv { kind, value: value.to_vec() });
        self
    }

    /// Adds what looks like an ECDSA signature of so many bytes (70 to 72 are usual) and is none.
    #[must_use]
    pub fn signature(self, length: usize) -> Self {
        let value: Vec<u8> = (0..length).map(|at| at as u8 ^ 0x5a).collect();
        self.unprotected(ECDSA_SIG, &value)
    }

    /// Leaves the hash out.
    #[must_use]
    pub fn without_hash(mut self) -> Self {
        self.hashed = false;
        self
    }

    /// The image.
    ///
    /// Panics if the total size asked for is smaller than everything but the payload.
    pub fn build(&self) -> ImageFile {
        let header = usize::from(self.header_size);
        let protected = if self.protected.is_empty() { 0 } else { area_size(&self.protected) };
        let hash = if self.hashed { 4 + 32 } else { 0 };
        let rest = header + protected + area_size(&self.unprotected) + hash;
        let payload = match self.length {
            Length::Payload(length) => length,
            Length::Total(total) => total.checked_sub(rest).unwrap_or_else(|| {
                panic!("an image of {total} bytes cannot be: all but its payload takes {rest}");
            }),
        };

        let mut bytes = Vec::with_capacity(rest + payload);
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend(self.load_addr.to_le_bytes());
        bytes.extend(self.header_size.to_le_bytes());
        bytes.extend((protected as u16).to_le_bytes());
        bytes.extend((payload as u32).to_le_bytes());
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend([self.version.major, self.version.minor]);
        bytes.extend(self.version.revision.to_le_bytes());
        bytes.extend(self.version.build.to_le_bytes());
        let mut rng = fastrand::Rng::with_seed(self.seed);
        bytes.resize(header + payload, 0);
        rng.fill(&mut bytes[header..]);

        if protected > 0 {
            put_area(&mut bytes, PROTECTED_MAGIC, &self.protected);
        }
        let hashed = 0..bytes.len();
        let mut unprotected = self.unprotected.clone();
        if self.hashed {
            let value = Sha256::digest(&bytes).to_vec();
            unprotected.insert(0, Tlv { kind: SHA256, value });
        }
        put_area(&mut bytes, UNPROTECTED_MAGIC, &unprotected);
        ImageFile { bytes, payload: header..header + payload, hashed }
    }
}

impl Default for ImageBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ImageFile {
    /// SHA-256 of the whole file.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the payload lies.
    pub fn payload(&self) -> Range<usize> {
        self.payload.clone()
    }

    /// What the image's own hash covers.
    pub fn hashed(&self) -> Range<usize> {
        self.hashed.clone()
    }

    /// The same file with one bit turned around, its hash left as it was.
    #[must_use]
    pub fn flipped(mut self, offset: usize, bit: u8) -> Self {
        self.bytes[offset] ^= 1 << (bit % 8);
        self
    }

    /// The same file, cut off behind `length` bytes.
    #[must_use]
    pub fn truncated(mut self, length: usize) -> Self {
        self.bytes.truncate(length);
        self
    }

    /// The same file with other bytes at an offset, its hash left as it was.
    #[must_use]
    pub fn patched(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The same file with bytes behind it.
    #[must_use]
    pub fn extended(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }
}

impl Deref for ImageFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

fn area_size(entries: &[Tlv]) -> usize {
    4 + entries.iter().map(|entry| 4 + entry.value.len()).sum::<usize>()
}

fn put_area(bytes: &mut Vec<u8>, magic: u16, entries: &[Tlv]) {
    bytes.extend(magic.to_le_bytes());
    bytes.extend((area_size(entries) as u16).to_le_bytes());
    for Tlv { kind, value } in entries {
        bytes.extend(kind.to_le_bytes());
        bytes.extend((value.len() as u16).to_le_bytes());
        bytes.extend(value);
    }
}

const MAGIC: u32 = 0x96f3_b83d;
const PROTECTED_MAGIC: u16 = 0x6908;
const UNPROTECTED_MAGIC: u16 = 0x6907;
/// The type of a SHA-256 over header, payload and protected TLVs.
pub const SHA256: u16 = 0x10;
/// The type of an ECDSA signature.
pub const ECDSA_SIG: u16 = 0x22;
/// The type of a security counter, 4 bytes, protected.
pub const SEC_CNT: u16 = 0x50;
/// The type of a dependency on another image, 12 bytes, protected.
pub const DEPENDENCY: u16 = 0x40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_where_the_format_wants_it() {
        let image = ImageBuilder::new()
            .header_size(0x40)
            .payload(5)
            .version(1, 2, 0x304, 0x0506_0708)
            .flags(0x10)
            .load_addr(0x1_0000)
            .protected(SEC_CNT, &[7, 0, 0, 0])
            .signature(3)
            .build();
        let mut expected = vec![0x3d, 0xb8, 0xf3, 0x96, 0, 0, 1, 0, 0x40, 0, 12, 0, 5, 0, 0, 0, 0x10, 0, 0, 0];
        expected.extend([1, 2, 4, 3, 8, 7, 6, 5]);
        expected.resize(0x40, 0);
        expected.extend(&image[0x40..0x45]);
        expected.extend([0x08, 0x69, 12, 0, 0x50, 0, 4, 0, 7, 0, 0, 0]);
        assert_eq!((image.payload(), image.hashed()), (0x40..0x45, 0..expected.len()));
        let hash = Sha256::digest(&expected);
        expected.extend([0x07, 0x69, 4 + 36 + 7, 0, 0x10, 0, 32, 0]);
        expected.extend(hash);
        expected.extend([0x22, 0, 3, 0, 0x5a, 0x5b, 0x58]);
        assert_eq!(image.bytes(), expected);
        assert_eq!(image.digest(), <[u8; 32]>::from(Sha256::digest(&expected)));
    }

    #[test]
    fn a_file_has_exactly_the_size_asked_for() {
        for builder in [
            ImageBuilder::new(),
            ImageBuilder::new().without_hash().header_size(32),
            ImageBuilder::new().signature(70).protected(0xa0, &[1, 2, 3]),
        ] {
            for total in [700, 4095, 4096, 100_001] {
                assert_eq!(builder.clone().total_size(total).build().len(), total);
            }
        }
        assert!(std::panic::catch_unwind(|| ImageBuilder::new().total_size(500).build()).is_err());
    }

    #[test]
    fn seeds_make_payloads_and_spoiling_keeps_the_hash() {
        let image = ImageBuilder::new().seed(1).build();
        assert_eq!(image, ImageBuilder::new().seed(1).build());
        assert_ne!(image, ImageBuilder::new().seed(2).build());
        let spoilt = image.clone().flipped(0x210, 9);
        assert_eq!(spoilt[0x210] ^ image[0x210], 2);
        assert_eq!(spoilt[0x211..], image[0x211..]);
        assert_eq!(image.clone().truncated(100)[..], image[..100]);
        assert_eq!(image.clone().patched(4, &[9])[..6], [0x3d, 0xb8, 0xf3, 0x96, 9, 0]);
        assert_eq!(image.clone().extended(b"more")[image.len()..], *b"more");
    }
}
