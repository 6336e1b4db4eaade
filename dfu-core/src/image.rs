//! What an image is, told from its first bytes.

pub mod mcuboot;
pub mod modem;

/// How many bytes of an image are looked at, and kept, to tell what it is.
pub const HEAD_LEN: usize = 64;

/// The kinds of image that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum ImageKind {
    /// An MCUboot image, for any of its slots.
    Mcuboot = 1,
    /// A delta update for the nRF91 modem.
    ModemDelta = 2,
    /// A full update for the nRF91 modem.
    ModemFull = 3,
    /// A kind of yours; your target's [`probe`](crate::DfuTarget::probe) knows it.
    Custom(u8) = 4,
}

impl ImageKind {
    /// A number for storage; it stays the same over versions of this crate.
    pub fn code(self) -> u16 {
        match self {
            Self::Mcuboot => 1,
            Self::ModemDelta => 2,
            Self::ModemFull => 3,
            Self::Custom(n) => u16::from_le_bytes([4, n]),
        }
    }

    /// The kind of a stored number.
    pub fn from_code(code: u16) -> Option<Self> {
        Some(match code {
            1 => Self::Mcuboot,
            2 => Self::ModemDelta,
            3 => Self::ModemFull,
            _ => match code.to_le_bytes() {
                [4, n] => Self::Custom(n),
                _ => return None,
            },
        })
    }
}

impl core::fmt::Display for ImageKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Mcuboot => f.write_str("MCUboot image"),
            Self::ModemDelta => f.write_str("modem delta update"),
            Self::ModemFull => f.write_str("full modem update"),
            Self::Custom(n) => write!(f, "custom image {n}"),
        }
    }
}

/// An image that is offered to a target.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Image<'a> {
    /// What it is.
    pub kind: ImageKind,
    /// Its length in bytes, if known.
    pub size: Option<u32>,
    /// Which of several images of this kind.
    pub index: u8,
    /// Its first [`HEAD_LEN`] bytes, or all of it.
    pub head: &'a [u8],
    /// What the target wanted kept with the offset to resume from: see [`keep`](crate::DfuTarget::keep). Zeros:
    /// nothing. From offset 0 on it means nothing.
    pub kept: &'a [u8; 32],
}

impl Image<'static> {
    /// An image of this kind of which nothing is known. Set what is.
    pub const fn new(kind: ImageKind) -> Self {
        Self { kind, size: None, index: 0, head: &[], kept: &[0; 32] }
    }
}

/// What a target says to an image's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Probe {
    /// It is of this kind and belongs here.
    Taken(ImageKind),
    /// It does not belong here; what it is, where that is known.
    Refused(Option<ImageKind>),
}

/// Tells what begins with `head`, by the formats' own magic values.
///
/// | kind | looked at | value |
/// |---|---|---|
/// | [`Mcuboot`](ImageKind::Mcuboot) | bytes 0..4 | `3d b8 f3 96` |
/// | [`ModemDelta`](ImageKind::ModemDelta) | bytes 4..8 | `meDu` |
/// | [`ModemFull`](ImageKind::ModemFull) | bytes 0..9 | COSE_Sign1 with PS256, see [`modem`] |
pub fn sniff(head: &[u8]) -> Option<ImageKind> {
    if head.starts_with(&mcuboot::MAGIC) {
        Some(ImageKind::Mcuboot)
    } else if modem::is_delta(head) {
        Some(ImageKind::ModemDelta)
    } else if modem::is_full(head) {
        Some(ImageKind::ModemFull)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn each_kind_is_told_by_its_magic_and_by_no_less() {
        let full = [0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x24, 0xa0, 0x58, 0x70];
        let table: [(&[u8], usize, ImageKind); 3] = [
            (&[0x3d, 0xb8, 0xf3, 0x96, 0, 0], 4, ImageKind::Mcuboot),
            (&[9, 9, 9, 9, b'm', b'e', b'D', b'u', 0], 8, ImageKind::ModemDelta),
            (&full, 9, ImageKind::ModemFull),
        ];
        for (head, needed, kind) in table {
            for len in 0..=head.len() {
                assert_eq!(sniff(&head[..len]), (len >= needed).then_some(kind), "{kind} {len}");
            }
        }
    }

    #[test]
    fn what_merely_looks_like_one_is_none() {
        // The old MCUboot magic; another COSE algorithm (ES256); a COSE_Mac0; a web page.
        for head in [
            &[0x3c, 0xb8, 0xf3, 0x96, 0, 0, 0, 0][..],
            &[0xd2, 0x84, 0x43, 0xa1, 0x01, 0x26, 0xa0, 0x58, 0x70],
            &[0xd1, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x24, 0xa0, 0x58],
            b"<!DOCTYPE html><html><body>404</body></html>",
        ] {
            assert_eq!(sniff(head), None, "{head:x?}");
        }
    }

    #[test]
    fn kinds_have_lasting_numbers() {
        for kind in [
            ImageKind::Mcuboot,
            ImageKind::ModemDelta,
            ImageKind::ModemFull,
            ImageKind::Custom(0),
            ImageKind::Custom(255),
        ] {
            assert_eq!(ImageKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!([0, 5, 0x101, 0xffff].map(ImageKind::from_code), [None; 4]);
    }

    #[test]
    fn each_kind_has_a_name_of_its_own() {
        let kinds = [ImageKind::Mcuboot, ImageKind::ModemDelta, ImageKind::ModemFull, ImageKind::Custom(7)];
        let names = kinds.map(|kind| kind.to_string());
        for (i, name) in names.iter().enumerate() {
            assert!(!name.is_empty() && !names[..i].contains(name), "{name}");
        }
        assert!(names[3].ends_with('7'));
    }
}
