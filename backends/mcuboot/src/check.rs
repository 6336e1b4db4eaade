//! Checks an image by what it carries, in one pass. No I/O.

mod tlvs;

use dfu_target::flash::align_down;
use dfu_target::image::mcuboot::Header;
use dfu_target::target::Assurance;
use dfu_target::{Digest, Sha256};

pub(crate) use self::tlvs::Tlvs;
use crate::refusal::TlvFault;
use crate::{HashKind, Refusal, Slots, Verify};

/// What is found out about an image while its bytes go by: once, or, where the signature is wanted before the first
/// byte, its end and then all of it.
#[derive(Debug)]
pub(crate) struct Check {
    /// Where the TLVs begin, and where the part ends that the image's hash covers.
    tlvs_at: u32,
    hashed_to: u32,
    encrypted: bool,
    at: u32,
    /// The end goes by alone, before the rest.
    ahead: bool,
    tlvs: Tlvs,
    refused: Option<Refusal>,
    /// Where the signature lies that is to be checked.
    signature: Option<(u32, u16)>,
    hash: Option<Digest>,
}

impl Check {
    pub(crate) fn new(header: &Header) -> Self {
        Self {
            tlvs_at: header.tlv_offset(),
            hashed_to: header.hashed_len(),
            encrypted: header.is_encrypted(),
            at: 0,
            ahead: false,
            tlvs: Tlvs::new(0, 0),
            refused: None,
            signature: None,
            hash: None,
        }
    }

    /// Begins with what is wanted first, at a whole number of reads.
    pub(crate) fn restart<V: Verify>(&mut self, read_size: u32, verify: &mut V) {
        self.at = if V::PURE { align_down(self.tlvs_at, read_size) } else { 0 };
        self.ahead = V::PURE;
        self.tlvs = Tlvs::new(self.tlvs_at, self.hashed_to.wrapping_sub(self.tlvs_at));
        self.refused = None;
        self.signature = None;
        self.hash = None;
        verify.start();
    }

    /// From where on it wants bytes; `None`: none, because the image is refused already.
    pub(crate) fn at(&self) -> Option<u32> {
        if self.refused.is_none() { Some(self.at) } else { None }
    }

    /// Takes the image's next bytes.
    pub(crate) fn take<V: Verify>(&mut self, engine: &mut impl Sha256, verify: &mut V, slots: &Slots, bytes: &[u8]) {
        if !self.ahead {
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
        if self.ahead || !V::PURE {
            let skip = self.tlvs_at.saturating_sub(self.at) as usize;
            let fed = bytes.iter().skip(skip).try_for_each(|byte| self.tlvs.feed(*byte, slots, verify));
            self.refused = fed.err();
        }
        self.at = self.at.saturating_add(bytes.len() as u32);
    }

    /// All bytes of this round were taken; `true`: the whole image is to come, from its first byte.
    pub(crate) fn turn<V: Verify>(&mut self, verify: &mut V) -> bool {
        if self.ahead || !V::PURE {
            let walked = if self.tlvs.whole() { verify.walked() } else { Err(self.tlvs.refusal(TlvFault::Damaged)) };
            match walked {
                Ok(signature) => self.signature = signature,
                Err(refusal) => self.refused = Some(refusal),
            }
        }
        if self.ahead {
            self.at = 0;
        }
        core::mem::take(&mut self.ahead)
    }

    /// Where the signature lies, if one is to be checked that can be.
    pub(crate) fn signature(&self) -> Option<(u32, u16)> {
        self.signature.filter(|_| !self.encrypted)
    }

    /// Something else speaks against the image.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.refused = Some(refusal);
    }

    /// The verdict, after the last byte. What is encrypted has its hash over the plain image.
    pub(crate) fn verdict(
        &self,
        slots: &Slots,
        verify: &mut impl Verify,
        signature: &[u8],
    ) -> Result<Assurance, Refusal> {
        if let Some(refusal) = self.refused {
            return Err(refusal);
        }
        let sha256 = slots.config.hash == HashKind::Sha256;
        if sha256 && !self.tlvs.has_hash() {
            return Err(Refusal::NoHash);
        }
        let Some(hash) = self.hash.as_ref().filter(|_| !self.encrypted) else { return Ok(Assurance::None) };
        if sha256 && !self.tlvs.is_hash(hash) {
            return Err(Refusal::Hash);
        }
        Ok(if verify.finish(hash, signature)? { Assurance::Signature } else { Assurance::Hash })
    }
}
