//! [`Plain`]: an image read the plain way, all of it in memory. What the library finds byte by byte is compared with
//! this.

use alloc::vec::Vec;
use core::ops::Range;

use dfu_target_mcuboot::Mode;
use sha2::{Digest, Sha256};

/// An image file whose header and TLV areas are well formed and end where the file does.
#[derive(Clone, Debug)]
pub struct Plain {
    /// Where it wants to run.
    pub load_addr: u32,
    /// The header's flags.
    pub flags: u32,
    /// Major, minor, revision, build number.
    pub version: [u32; 4],
    /// How many bytes the hash covers.
    pub hashed: usize,
    /// The TLVs, in their order.
    pub tlvs: Vec<Tlv>,
}

/// A TLV.
#[derive(Clone, Debug)]
pub struct Tlv {
    /// Its type.
    pub kind: u16,
    /// Whether the hash covers it.
    pub protected: bool,
    /// Where in the file its value lies.
    pub value: Range<usize>,
}

impl Plain {
    /// Reads a file.
    pub fn of(file: &[u8]) -> Option<Self> {
        if file.len() < 32 || file[..4] != [0x3d, 0xb8, 0xf3, 0x96] {
            return None;
        }
        let half = |at: usize| Some(usize::from(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?)));
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
        let (header, protected, payload) = (half(8)?, half(10)?, word(12) as usize);
        if header < 32 || header + protected + payload > u32::MAX as usize {
            return None;
        }
        let (mut at, mut tlvs) = (header + payload, Vec::new());
        let areas = [(0x6908, true), (0x6907, false)];
        for (magic, is_protected) in areas.into_iter().skip(usize::from(protected == 0)) {
            let (found, len) = (half(at)?, half(at + 2)?);
            let end = at + len;
            if found != magic || len < 4 || is_protected && len != protected || end > file.len() {
                return None;
            }
            at += 4;
            while at < end {
                let (kind, len) = (half(at)?, half(at + 2)?);
                let value = at + 4..at + 4 + len;
                if value.end > end {
                    return None;
                }
                at = value.end;
                tlvs.push(Tlv { kind: kind as u16, protected: is_protected, value });
            }
        }
        let version = [file[20].into(), file[21].into(), half(22)? as u32, word(24)];
        let (load_addr, flags, hashed) = (word(4), word(16), header + payload + protected);
        (at == file.len()).then_some(Self { load_addr, flags, version, hashed, tlvs })
    }

    /// The TLVs of one type.
    pub fn all(&self, kind: u16) -> impl Iterator<Item = &Tlv> {
        self.tlvs.iter().filter(move |tlv| tlv.kind == kind)
    }

    /// Whether there is exactly one SHA-256, where it belongs, and it is right.
    pub fn is_hashed(&self, file: &[u8]) -> bool {
        let hashes: Vec<&Tlv> = self.all(0x10).collect();
        let [hash] = hashes[..] else { return false };
        !hash.protected && file[hash.value.clone()] == Sha256::digest(&file[..self.hashed])[..]
    }

    /// Whether only what MCUboot lists lies behind the hashed part.
    pub fn is_listed(&self) -> bool {
        const LIST: [u16; 15] = [1, 2, 0x10, 0x11, 0x12, 0x20, 0x21, 0x22, 0x23, 0x24, 0x30, 0x31, 0x32, 0x33, 0x34];
        self.tlvs.iter().all(|tlv| tlv.protected || LIST.contains(&tlv.kind))
    }
}

/// What a bootloader that has no keys, and that was built so, takes.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// How it brings an image to run.
    pub mode: Mode,
    /// The longest file.
    pub max: usize,
    /// Where the slot is.
    pub address: u32,
    /// The version that runs.
    pub running: [u32; 4],
    /// Whether versions are compared up to the build number.
    pub build_number: bool,
    /// Whether any TLV may lie behind the hashed part.
    pub any_tlv: bool,
    /// Address and size of the RAM for images.
    pub ram: (u32, u32),
}

impl Wanted {
    /// Whether it takes this file, by its header and TLVs and not by its hash.
    pub fn takes(&self, file: &[u8], plain: &Plain) -> bool {
        let numbers = if self.build_number { 4 } else { 3 };
        let from_ram = matches!(self.mode, Mode::RamLoad | Mode::RamLoadRevert);
        let in_place = matches!(self.mode, Mode::DirectXip | Mode::DirectXipRevert);
        let (ram_start, ram_end) = (u64::from(self.ram.0), u64::from(self.ram.0) + u64::from(self.ram.1));
        let (start, end) = (u64::from(plain.load_addr), u64::from(plain.load_addr) + file.len() as u64);
        file.len() <= self.max
            // Encrypted, not to be booted, compressed.
            && plain.flags & (0xc | 0x10 | 0xe00) == 0
            && (!from_ram || plain.flags & 0x20 != 0 && start >= ram_start && end <= ram_end)
            && (!in_place || plain.flags & 0x100 == 0 || plain.load_addr == self.address)
            && (!self.mode.chooses() || plain.version[..numbers] > self.running[..numbers])
            && (self.any_tlv || plain.is_listed())
    }
}
