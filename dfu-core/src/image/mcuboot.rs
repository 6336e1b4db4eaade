//! MCUboot's image header: a view of bytes, no I/O.
//!
//! The layout is the one of MCUboot's `image.h`, little-endian, as all Arm targets have it.

use core::fmt;

/// The first bytes of every MCUboot image.
pub const MAGIC: [u8; 4] = [0x3d, 0xb8, 0xf3, 0x96];

/// The header's length in a file. The payload begins at [`Header::header_size`], this or later.
pub const HEADER_LEN: usize = 32;

/// An image header that was checked: its sizes add up without overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header {
    /// RAM load address, or the only slot address that it runs at, as the flags say.
    pub load_addr: u32,
    /// Offset of the payload.
    pub header_size: u16,
    /// Length of the protected TLV area; 0: there is none.
    pub protected_size: u16,
    /// Length of the payload.
    pub image_size: u32,
    /// The flags, see [`flags`].
    pub flags: u32,
    /// The version.
    pub version: Version,
}

/// Bits of [`Header::flags`].
pub mod flags {
    /// The payload is encrypted with AES-128.
    pub const ENCRYPTED_AES128: u32 = 0x4;
    /// The payload is encrypted with AES-256.
    pub const ENCRYPTED_AES256: u32 = 0x8;
    /// Not to be booted.
    pub const NON_BOOTABLE: u32 = 0x10;
    /// Copied into RAM to run.
    pub const RAM_LOAD: u32 = 0x20;
    /// Runs at its load address only.
    pub const ROM_FIXED: u32 = 0x100;
    /// Any compression.
    pub const COMPRESSED: u32 = 0xe00;
}

impl Header {
    /// No image: nothing has a length.
    pub const EMPTY: Self = Self {
        load_addr: 0,
        header_size: 0,
        protected_size: 0,
        image_size: 0,
        flags: 0,
        version: Version { major: 0, minor: 0, revision: 0, build: 0 },
    };

    /// Reads an image's first bytes.
    pub fn parse(head: &[u8]) -> Result<Self, HeaderError> {
        let bytes: &[u8; HEADER_LEN] = head.first_chunk().ok_or(HeaderError::TooShort)?;
        let [
            m0,
            m1,
            m2,
            m3,
            l0,
            l1,
            l2,
            l3,
            h0,
            h1,
            p0,
            p1,
            s0,
            s1,
            s2,
            s3,
            f0,
            f1,
            f2,
            f3,
            major,
            minor,
            r0,
            r1,
            b0,
            b1,
            b2,
            b3,
            ..,
        ] = *bytes;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(HeaderError::Magic);
        }
        let header = Self {
            load_addr: u32::from_le_bytes([l0, l1, l2, l3]),
            header_size: u16::from_le_bytes([h0, h1]),
            protected_size: u16::from_le_bytes([p0, p1]),
            image_size: u32::from_le_bytes([s0, s1, s2, s3]),
            flags: u32::from_le_bytes([f0, f1, f2, f3]),
            version: Version {
                major,
                minor,
                revision: u16::from_le_bytes([r0, r1]),
                build: u32::from_le_bytes([b0, b1, b2, b3]),
            },
        };
        if usize::from(header.header_size) < HEADER_LEN {
            return Err(HeaderError::HeaderSize(header.header_size));
        }
        let others = u32::from(header.header_size).saturating_add(u32::from(header.protected_size));
        match header.image_size.checked_add(others) {
            Some(_) => Ok(header),
            None => Err(HeaderError::Overflow),
        }
    }

    /// Where the TLV areas begin: header and payload lie before.
    pub fn tlv_offset(&self) -> u32 {
        u32::from(self.header_size).saturating_add(self.image_size)
    }

    /// How many bytes, from the first, the image's hash covers.
    pub fn hashed_len(&self) -> u32 {
        self.tlv_offset().saturating_add(u32::from(self.protected_size))
    }

    /// Whether the payload is encrypted, so that its hash cannot be checked here.
    pub fn is_encrypted(&self) -> bool {
        self.flags & (flags::ENCRYPTED_AES128 | flags::ENCRYPTED_AES256) != 0
    }
}

/// An image's version, in the order in which MCUboot compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Version {
    /// Major.
    pub major: u8,
    /// Minor.
    pub minor: u8,
    /// Revision.
    pub revision: u16,
    /// Build number; MCUboot compares it only where it was built to.
    pub build: u32,
}

impl Version {
    /// Whether it is higher than another one, as MCUboot compares: the build number counts only where the
    /// bootloader was built so.
    pub fn beats(&self, other: &Self, with_build: bool) -> bool {
        let (one, two) = (self.number(), other.number());
        one > two || (with_build && one == two && self.build > other.build)
    }

    /// All but the build number.
    fn number(&self) -> u32 {
        u32::from(self.major) << 24 | u32::from(self.minor) << 16 | u32::from(self.revision)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}+{}", self.major, self.minor, self.revision, self.build)
    }
}

/// What is wrong with an image header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HeaderError {
    /// Fewer bytes than a header has.
    TooShort,
    /// Another magic.
    Magic,
    /// The payload would begin inside the header.
    HeaderSize(u16),
    /// The sizes add up to more than 32 bits hold.
    Overflow,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("shorter than an MCUboot header"),
            Self::Magic => f.write_str("no MCUboot magic"),
            Self::HeaderSize(size) => write!(f, "the MCUboot header gives its own size as {size}, less than 32"),
            Self::Overflow => f.write_str("the sizes in the MCUboot header overflow 32 bits"),
        }
    }
}

impl core::error::Error for HeaderError {}

/// Bytes before a TLV area's first entry: magic and length.
pub const TLV_INFO_LEN: u32 = 4;
/// First word of the TLV area that the hash covers.
pub const TLV_PROTECTED_MAGIC: u16 = 0x6908;
/// First word of the TLV area behind it.
pub const TLV_MAGIC: u16 = 0x6907;
/// Type of the TLV that holds the SHA-256 of the hashed part.
pub const TLV_SHA256: u16 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn bytes(header_size: u16, protected_size: u16, image_size: u32) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&header_size.to_le_bytes());
        bytes[10..12].copy_from_slice(&protected_size.to_le_bytes());
        bytes[12..16].copy_from_slice(&image_size.to_le_bytes());
        bytes[20..28].copy_from_slice(&[1, 2, 3, 0, 4, 0, 0, 0]);
        bytes
    }

    #[test]
    fn a_header_is_read_field_by_field() {
        let header = Header::parse(&bytes(0x200, 20, 1000)).unwrap();
        assert_eq!((header.tlv_offset(), header.hashed_len()), (1512, 1532));
        assert_eq!(header.version.to_string(), "1.2.3+4");
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        assert_eq!(Header::parse(&bytes(31, 0, 0)), Err(HeaderError::HeaderSize(31)));
        assert!(Header::parse(&bytes(32, 0, u32::MAX - 32)).is_ok());
        assert_eq!(Header::parse(&bytes(32, 0, u32::MAX - 31)), Err(HeaderError::Overflow));
        assert_eq!(Header::parse(&bytes(0xffff, 0xffff, u32::MAX)), Err(HeaderError::Overflow));
        assert_eq!(Header::parse(&bytes(0x200, 0, 0)[..31]), Err(HeaderError::TooShort));
        assert_eq!(Header::parse(&[0; 32]), Err(HeaderError::Magic));
    }

    #[test]
    fn two_of_the_flags_say_that_an_image_is_encrypted() {
        for bit in 0..32 {
            let header = Header { flags: 1 << bit, ..Header::EMPTY };
            assert_eq!(header.is_encrypted(), [2, 3].contains(&bit), "{bit}");
        }
        assert!(!Header::EMPTY.is_encrypted());
    }

    #[test]
    fn a_version_is_compared_part_by_part_and_the_build_number_where_it_counts() {
        let parts = [(0, 0, 0), (0, 0, 1), (0, 0, 0xffff), (0, 1, 0), (0, 0xff, 0), (1, 0, 0), (2, 1, 3), (0xff, 0, 0)];
        let versions = parts.map(|(major, minor, revision)| Version { major, minor, revision, build: 5 });
        for (i, one) in versions.iter().enumerate() {
            for (j, other) in versions.iter().enumerate() {
                let later = Version { build: 6, ..*other };
                for with_build in [false, true] {
                    assert_eq!(one.beats(other, with_build), i > j, "{one} {other}");
                    assert_eq!(one.beats(&later, with_build), i > j, "{one} {later}");
                    assert_eq!(later.beats(one, with_build), j > i || (with_build && i == j), "{later} {one}");
                }
            }
        }
    }

    #[test]
    fn a_header_s_fault_says_which() {
        let size = HeaderError::HeaderSize(31);
        let texts = [HeaderError::TooShort, HeaderError::Magic, size, HeaderError::Overflow].map(|it| it.to_string());
        for (text, word) in texts.iter().zip(["shorter", "magic", "31", "overflow"]) {
            assert!(text.contains(word), "{text}");
        }
    }
}
