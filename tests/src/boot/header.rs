//! An image's first 32 bytes.

use super::Bootloader;
use crate::image::Version;

/// A header as it is stored, which need not be an image's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) is_image: bool,
    pub(super) is_erased: bool,
    pub(super) load_addr: u32,
    pub(super) header_size: usize,
    pub(super) protected: usize,
    pub(super) payload: usize,
    pub(super) flags: u32,
    pub(super) version: Version,
}

impl Header {
    /// What lies at the start of `image`.
    pub(super) fn read(image: &[u8], erased: u8) -> Self {
        let bytes: &[u8; 32] = image.first_chunk().expect("a slot is longer than a header");
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        Self {
            is_image: word(0) == MAGIC,
            is_erased: bytes[..4] == [erased; 4],
            load_addr: word(4),
            header_size: half(8).into(),
            protected: half(10).into(),
            payload: word(12) as usize,
            flags: word(16),
            version: Version { major: bytes[20], minor: bytes[21], revision: half(22), build: word(24) },
        }
    }

    /// Where the TLVs begin.
    pub(super) fn tlvs(&self) -> usize {
        self.header_size + self.payload
    }

    /// What the hash covers.
    pub(super) fn hashed(&self) -> usize {
        self.tlvs() + self.protected
    }

    pub(super) fn is(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }
}

impl Bootloader {
    pub(super) fn header(&self, image: &[u8]) -> Header {
        Header::read(image, self.erased)
    }

    /// Whether `one` is a higher version than `other`.
    pub(super) fn exceeds(&self, one: Version, other: Version) -> bool {
        let build = |version: Version| if self.compares_build { version.build } else { 0 };
        let rank = |version: Version| (version.major, version.minor, version.revision, build(version));
        rank(one) > rank(other)
    }
}

const MAGIC: u32 = 0x96f3_b83d;
pub(super) const ENCRYPTED: u32 = 0x4 | 0x8;
pub(super) const NON_BOOTABLE: u32 = 0x10;
pub(super) const RAM_LOAD: u32 = 0x20;
pub(super) const ROM_FIXED: u32 = 0x100;
pub(super) const COMPRESSED: u32 = 0x200 | 0x400;
