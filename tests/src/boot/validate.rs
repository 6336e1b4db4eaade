//! The checks that MCUboot makes before an image may run.

use sha2::{Digest, Sha256};

use super::header::{COMPRESSED, ENCRYPTED, Header};
use super::tlv::Tlvs;
use super::{Bootloader, Refusal};
use crate::image::{SEC_CNT, SHA256};

/// What an image turned out to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) size: usize,
    pub(super) hash: [u8; 32],
}

/// Whether a header can be that of an image in a slot of `slot` bytes that this bootloader can use.
pub(super) fn header(header: &Header, slot: usize) -> Result<(), Refusal> {
    if !header.is_image {
        Err(if header.is_erased { Refusal::NoImage } else { Refusal::Magic })
    } else if header.hashed() >= slot {
        Err(Refusal::Size)
    } else if header.is(ENCRYPTED) {
        Err(Refusal::Encrypted)
    } else if header.is(COMPRESSED) {
        Err(Refusal::Compressed)
    } else {
        Ok(())
    }
}

impl Bootloader {
    /// Checks an image whose header is good, `max` bytes long at most. `image` goes to its slot's end.
    pub(super) fn check(&self, image: &[u8], header: &Header, max: usize) -> Result<Found, Refusal> {
        let hash: [u8; 32] = Sha256::digest(image.get(..header.hashed()).ok_or(Refusal::Size)?).into();
        let tlvs = Tlvs::of(image, header).map_err(|_| Refusal::Tlvs)?;
        let size = tlvs.end();
        if size > max {
            return Err(Refusal::TooLarge);
        }
        let (mut is_hashed, mut is_counted) = (false, false);
        for tlv in tlvs {
            match tlv.map_err(|_| Refusal::Tlvs)? {
                (SHA256, value) if value == hash => is_hashed = true,
                (SHA256, _) => return Err(Refusal::Hash),
                (SEC_CNT, value) => {
                    if let Some(stored) = self.counter {
                        let counter = value.try_into().map(u32::from_le_bytes).map_err(|_| Refusal::Counter)?;
                        if counter < stored {
                            return Err(Refusal::Counter);
                        }
                        is_counted = true;
                    }
                }
                _ => {}
            }
        }
        match (is_hashed, is_counted || self.counter.is_none()) {
            (true, true) => Ok(Found { size, hash }),
            (false, _) => Err(Refusal::NoHash),
            (true, false) => Err(Refusal::Counter),
        }
    }

    /// What the device has stored once an image that is here to stay has run.
    pub(super) fn raised(&self, image: &[u8]) -> Result<Option<u32>, Refusal> {
        let Some(stored) = self.counter else { return Ok(None) };
        let header = self.header(image);
        let tlvs = Tlvs::of(image, &header).map_err(|_| Refusal::Counter)?;
        for tlv in tlvs.protected() {
            if let (SEC_CNT, value) = tlv.map_err(|_| Refusal::Counter)? {
                let counter = value.try_into().map(u32::from_le_bytes).map_err(|_| Refusal::Counter)?;
                return Ok(Some(stored.max(counter)));
            }
        }
        Err(Refusal::Counter)
    }
}
