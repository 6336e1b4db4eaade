//! An MCUboot image file, taken apart for people to see. The library checks images as a stream; here all of it is
//! in memory.

mod kinds;
mod verdict;

pub(crate) use kinds::{flag_names, shown, tlv_name};
pub(crate) use verdict::{HashVerdict, SignatureVerdict};

use anyhow::{bail, ensure};
use dfu_target::image::mcuboot::{Header, TLV_MAGIC, TLV_PROTECTED_MAGIC};

/// An image whose areas are whole.
#[derive(Debug)]
pub(crate) struct Image<'f> {
    pub(crate) header: Header,
    pub(crate) tlvs: Vec<Tlv<'f>>,
    /// The image alone, without what follows it in the file.
    pub(crate) bytes: &'f [u8],
    /// What follows it.
    pub(crate) rest: &'f [u8],
}

/// An entry of a TLV area.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tlv<'f> {
    pub(crate) kind: u16,
    /// The hash covers it.
    pub(crate) protected: bool,
    /// Of its value in the file.
    pub(crate) offset: usize,
    pub(crate) value: &'f [u8],
}

impl<'f> Image<'f> {
    /// Takes a file apart, or a slot with an image at its start.
    pub(crate) fn parse(file: &'f [u8]) -> anyhow::Result<Self> {
        let header = Header::parse(file).map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut tlvs = Vec::new();
        let mut at = header.tlv_offset() as usize;
        ensure!(at <= file.len(), "the header tells of {at} bytes before the TLVs, and the file has {}", file.len());
        if header.protected_size > 0 {
            let end = area(file, at, true, &mut tlvs)?;
            let told = usize::from(header.protected_size);
            ensure!(end == at + told, "the protected TLVs take {} bytes, and the header says {told}", end - at);
            at = end;
        }
        let end = area(file, at, false, &mut tlvs)?;
        let (bytes, rest) = file.split_at_checked(end).unwrap_or((file, &[]));
        Ok(Self { header, tlvs, bytes, rest })
    }

    /// What the hash covers.
    pub(crate) fn hashed(&self) -> &'f [u8] {
        self.bytes.get(..self.header.hashed_len() as usize).unwrap_or(self.bytes)
    }

    /// The entries of a type.
    pub(crate) fn of_kind(&self, kind: u16) -> impl Iterator<Item = &Tlv<'f>> {
        self.tlvs.iter().filter(move |tlv| tlv.kind == kind)
    }
}

/// Reads one area; where it ends.
fn area<'f>(file: &'f [u8], at: usize, protected: bool, tlvs: &mut Vec<Tlv<'f>>) -> anyhow::Result<usize> {
    let name = if protected { "protected" } else { "unprotected" };
    let Some((magic, len)) = pair(file, at) else { bail!("the file ends at {at:#x}, before the {name} TLVs") };
    let expected = if protected { TLV_PROTECTED_MAGIC } else { TLV_MAGIC };
    ensure!(magic == expected, "no {name} TLVs at {at:#x}: {magic:#06x} instead of {expected:#06x}");
    let end = at + usize::from(len);
    ensure!(len >= 4, "the {name} TLVs at {at:#x} are shorter than their own head");
    ensure!(end <= file.len(), "the {name} TLVs end at {end:#x}, and the file at {:#x}", file.len());
    let mut at = at + 4;
    while at < end {
        let entry = pair(file, at).and_then(|(kind, len)| {
            let offset = at + 4;
            let to = offset + usize::from(len);
            let value = file.get(offset..to).filter(|_| to <= end)?;
            Some(Tlv { kind, protected, offset, value })
        });
        let Some(entry) = entry else { bail!("the TLV at {at:#x} reaches out of its area") };
        at = entry.offset + entry.value.len();
        tlvs.push(entry);
    }
    Ok(end)
}

fn pair(file: &[u8], at: usize) -> Option<(u16, u16)> {
    let [a, b, c, d] = *file.get(at..)?.first_chunk()?;
    Some((u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])))
}
