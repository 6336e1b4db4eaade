//! The checks that MCUboot makes before an image may run.

use sha2::{Digest, Sha256};

use crate::image::Version;

/// The image that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its version.
    pub version: Version,
    /// Its length with header and TLVs; 0 where only its magic was looked at.
    pub size: usize,
    /// SHA-256 over header, payload and protected TLVs; zeros where only its magic was looked at.
    pub hash: [u8; 32],
}

/// Why an image may not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The header's magic is erased.
    NoImage,
    /// The header says so.
    NotBootable,
    /// The header's magic is another one.
    Magic,
    /// Header, payload and protected TLVs do not fit in the slot.
    Size,
    /// The image is encrypted; the bootloader of this model has no key.
    Encrypted,
    /// The image is compressed; the bootloader of this model cannot.
    Compressed,
    /// The TLV areas contradict the header or themselves.
    Tlvs,
    /// With its TLVs the image is longer than the mode allows.
    TooLarge,
    /// There is no SHA-256.
    NoHash,
    /// The hash is another one.
    Hash,
    /// The slots do not fit each other or the bootloader: no image is looked at.
    Incompatible,
}

/// Checks the image at the start of a slot.
pub(super) fn image(slot: &[u8], max: usize, erased: u8) -> Result<Running, Refusal> {
    let header = slot.first_chunk::<32>().ok_or(Refusal::Size)?;
    let flags = u32_at(slot, 16).ok_or(Refusal::Size)?;
    if header[..4] == [erased; 4] {
        return Err(Refusal::NoImage);
    }
    if flags & NON_BOOTABLE != 0 {
        return Err(Refusal::NotBootable);
    }
    let Running { version, .. } = magic(slot)?;

    let (header_size, protected) = (u16_at(slot, 8).unwrap_or(0), u16_at(slot, 10).unwrap_or(0));
    let payload = u32_at(slot, 12).unwrap_or(0);
    let hashed = u64::from(header_size) + u64::from(payload) + u64::from(protected);
    if hashed >= slot.len() as u64 {
        return Err(Refusal::Size);
    }
    if flags & ENCRYPTED != 0 {
        return Err(Refusal::Encrypted);
    }
    if flags & COMPRESSED != 0 {
        return Err(Refusal::Compressed);
    }

    let hashed = hashed as usize;
    let hash: [u8; 32] = Sha256::digest(&slot[..hashed]).into();
    let size = size(slot).ok_or(Refusal::Tlvs)?;
    if size > max {
        return Err(Refusal::TooLarge);
    }
    check_tlvs(slot, hashed - usize::from(protected), hashed, size, &hash)?;
    Ok(Running { version, size, hash })
}

/// Looks at the magic alone.
pub(super) fn magic(slot: &[u8]) -> Result<Running, Refusal> {
    if u32_at(slot, 0) != Some(MAGIC) {
        return Err(Refusal::Magic);
    }
    let version = Version {
        major: slot[20],
        minor: slot[21],
        revision: u16_at(slot, 22).unwrap_or(0),
        build: u32_at(slot, 24).unwrap_or(0),
    };
    Ok(Running { version, size: 0, hash: [0; 32] })
}

/// The length of the image at the start of a slot, header and TLVs included.
pub(super) fn size(slot: &[u8]) -> Option<usize> {
    if u32_at(slot, 0)? != MAGIC {
        return None;
    }
    let protected = usize::from(u16_at(slot, 10)?);
    let mut at = usize::from(u16_at(slot, 8)?).checked_add(u32_at(slot, 12)? as usize)?;
    if u16_at(slot, at)? == PROTECTED_MAGIC {
        if usize::from(u16_at(slot, at + 2)?) != protected {
            return None;
        }
        at += protected;
    } else if protected != 0 {
        return None;
    }
    (u16_at(slot, at)? == UNPROTECTED_MAGIC).then_some(())?;
    Some(at + usize::from(u16_at(slot, at + 2)?))
}

/// Walks both areas, from `start` to `end`; the unprotected one begins at `border`.
fn check_tlvs(slot: &[u8], start: usize, border: usize, end: usize, hash: &[u8; 32]) -> Result<(), Refusal> {
    let mut at = start + 4;
    let mut found = false;
    while at < end {
        if border > start && at == border {
            at += 4;
            continue;
        }
        let (Some(kind), Some(len)) = (u16_at(slot, at), u16_at(slot, at + 2)) else { return Err(Refusal::Tlvs) };
        let next = at + 4 + usize::from(len);
        if next > end {
            return Err(Refusal::Tlvs);
        }
        if kind == SHA256 {
            if slot.get(at + 4..next).ok_or(Refusal::Tlvs)? != hash {
                return Err(Refusal::Hash);
            }
            found = true;
        }
        at = next;
    }
    if found { Ok(()) } else { Err(Refusal::NoHash) }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

const MAGIC: u32 = 0x96f3_b83d;
const PROTECTED_MAGIC: u16 = 0x6908;
const UNPROTECTED_MAGIC: u16 = 0x6907;
const SHA256: u16 = 0x10;
const NON_BOOTABLE: u32 = 0x10;
const ENCRYPTED: u32 = 0x4 | 0x8;
const COMPRESSED: u32 = 0x200 | 0x400;
