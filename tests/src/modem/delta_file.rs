//! [`DeltaFile`]: delta updates that the fake modem takes, and what their first bytes say.

use alloc::vec::Vec;
use dfu_target_nrf_modem::port::Uuid;
use sha2::{Digest, Sha256};

use super::fill::fill;

/// Makes a delta update from one firmware to another.
///
/// | bytes | |
/// |---|---|
/// | 0..8 | `01 00 00 00` and `meDu`, as of a true one; all that follows is made up |
/// | 8..44 | the firmware that must run |
/// | 44..80 | the firmware that it makes |
/// | 80..84 | length of the file, lowest byte first |
/// | 84..116 | SHA-256 over bytes 8..84 and all behind 116 |
/// | 116.. | payload |
#[derive(Clone, Copy, Debug)]
pub struct DeltaFile {
    from: Uuid,
    to: Uuid,
    payload: usize,
    seed: u32,
}

/// What stands at the front of a delta update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaHeader {
    /// The firmware that must run.
    pub from: Uuid,
    /// The firmware that it makes.
    pub to: Uuid,
    /// The file's length.
    pub len: u32,
    check: [u8; 32],
}

impl DeltaFile {
    /// One with a payload of 2000 bytes.
    pub const fn new(from: Uuid, to: Uuid) -> Self {
        Self { from, to, payload: 2000, seed: 0 }
    }

    /// The length of its payload, in bytes.
    #[must_use]
    pub const fn payload(mut self, bytes: usize) -> Self {
        self.payload = bytes;
        self
    }

    /// What the payload's bytes depend on.
    #[must_use]
    pub const fn seed(mut self, seed: u32) -> Self {
        self.seed = seed;
        self
    }

    /// The file.
    pub fn build(&self) -> Vec<u8> {
        let payload = fill(0, self.seed.wrapping_mul(0x0100_0193), self.payload);
        let len = (DeltaHeader::LEN + payload.len()) as u32;
        let named = [&self.from.0[..], &self.to.0, &len.to_le_bytes()].concat();
        let check = check(&named, &payload);
        [&DeltaHeader::MAGIC[..], &named, &check, &payload].concat()
    }
}

impl DeltaHeader {
    /// How many bytes it has.
    pub const LEN: usize = 116;
    /// Its first bytes.
    pub const MAGIC: [u8; 8] = *b"\x01\0\0\0meDu";

    /// Reads it. `None` where bytes are missing, the magic is wrong, a name is no text or the length is too short.
    pub fn of(file: &[u8]) -> Option<Self> {
        let (header, _) = file.split_first_chunk::<{ Self::LEN }>()?;
        let name = |at: usize| Some(Uuid(*header[at..].first_chunk()?)).filter(is_text);
        let (from, to) = (name(8)?, name(44)?);
        let len = u32::from_le_bytes(*header[80..].first_chunk()?);
        let check = *header[84..].first_chunk()?;
        (header.starts_with(&Self::MAGIC) && len as usize >= Self::LEN).then_some(Self { from, to, len, check })
    }

    /// Whether a file, whose header this is, is as it was made.
    pub fn matches(&self, file: &[u8]) -> bool {
        file.len() == self.len as usize && check(&file[8..84], &file[Self::LEN..]) == self.check
    }
}

/// Whether a firmware's name is text.
pub(super) fn is_text(uuid: &Uuid) -> bool {
    uuid.0.iter().all(u8::is_ascii_graphic)
}

fn check(named: &[u8], payload: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(named).chain_update(payload).finalize().into()
}
