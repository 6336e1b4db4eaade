//! Checks an image by what it carries: its TLVs first, then its hash in one pass. No I/O.

mod tlvs;

use dfu_target::image::mcuboot::Header;
use dfu_target::target::Assurance;
use dfu_target::{Digest, Sha256};

use self::tlvs::Tlvs;
use crate::{HashKind, Refusal, Slots, Verify};

/// What is found out about an image while its bytes go by: twice, its end and then all of it.
#[derive(Debug)]
pub(crate) struct Check {
    /// Where the TLVs begin, and where the part ends that the image's hash covers.
    tlvs_at: u32,
    hashed_to: u32,
    encrypted: bool,
    at: u32,
    phase: Phase,
    tlvs: Tlvs,
    /// Where the signature lies that is to be checked.
    signature: Option<(u32, u16)>,
    hash: Option<Digest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Walk,
    Hash,
    Refused(Refusal),
}

impl Check {
    pub(crate) fn new(header: &Header) -> Self {
        Self {
            tlvs_at: header.tlv_offset(),
            hashed_to: header.hashed_len(),
            encrypted: header.is_encrypted(),
            at: 0,
            phase: Phase::Walk,
            tlvs: Tlvs::new(0, 0),
            signature: None,
            hash: None,
        }
    }

    /// Begins with the TLVs.
    pub(crate) fn restart(&mut self, from: u32, verify: &mut impl Verify) {
        self.at = from;
        self.phase = Phase::Walk;
        self.hash = None;
        self.tlvs = Tlvs::new(self.tlvs_at, self.hashed_to.wrapping_sub(self.tlvs_at));
        verify.start();
    }

    /// Where the TLVs begin.
    pub(crate) fn tlvs_at(&self) -> u32 {
        self.tlvs_at
    }

    /// From where on it wants bytes.
    pub(crate) fn at(&self) -> u32 {
        self.at
    }

    /// Takes the image's next bytes.
    pub(crate) fn take(&mut self, engine: &mut impl Sha256, verify: &mut impl Verify, slots: &Slots, bytes: &[u8]) {
        if self.phase == Phase::Walk {
            let skip = self.tlvs_at.saturating_sub(self.at) as usize;
            let fed = bytes.iter().skip(skip).try_for_each(|byte| self.tlvs.feed(*byte, slots, verify));
            if let Err(refusal) = fed {
                self.phase = Phase::Refused(refusal);
            }
        } else {
            let hashed = self.hashed_to.saturating_sub(self.at) as usize;
            // The image's own hash is of what comes before, if the hashed part ends here.
            let (before, after) = bytes.split_at_checked(hashed).unwrap_or((bytes, &[]));
            engine.update(before);
            verify.update(before);
            if hashed > 0 && before.len() == hashed {
                self.hash = engine.peek();
            }
            engine.update(after);
        }
        self.at = self.at.saturating_add(bytes.len() as u32);
    }

    /// All bytes of this round were taken; `true`: the whole image is to come, from its first byte.
    pub(crate) fn turn(&mut self, verify: &mut impl Verify) -> bool {
        if self.phase != Phase::Walk {
            return false;
        }
        let walked = match self.tlvs.end() {
            Ok(()) => verify.walked(),
            Err(refusal) => Err(refusal),
        };
        match walked {
            Ok(signature) => {
                self.signature = signature;
                self.phase = Phase::Hash;
                self.at = 0;
                true
            }
            Err(refusal) => {
                self.phase = Phase::Refused(refusal);
                false
            }
        }
    }

    /// Where the signature lies, if one is to be checked that can be.
    pub(crate) fn signature(&self) -> Option<(u32, u16)> {
        self.signature.filter(|_| !self.encrypted)
    }

    /// Something else speaks against the image.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.phase = Phase::Refused(refusal);
    }

    /// The verdict, after the last byte. What is encrypted has its hash over the plain image.
    pub(crate) fn verdict(
        &self,
        slots: &Slots,
        verify: &mut impl Verify,
        signature: &[u8],
    ) -> Result<Assurance, Refusal> {
        if let Phase::Refused(refusal) = self.phase {
            return Err(refusal);
        }
        if slots.config.hash == HashKind::Sha256 && !self.tlvs.has_hash() {
            return Err(Refusal::NoHash);
        }
        let Some(hash) = &self.hash else { return Ok(Assurance::None) };
        if self.encrypted {
            return Ok(Assurance::None);
        }
        if slots.config.hash == HashKind::Sha256 && !self.tlvs.is_hash(hash) {
            return Err(Refusal::Hash);
        }
        Ok(if verify.finish(hash, signature)? { Assurance::Signature } else { Assurance::Hash })
    }
}
