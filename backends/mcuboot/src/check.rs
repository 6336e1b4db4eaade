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
    /// Where the signature lies that is to be checked.
    signature: Option<(u32, u16)>,
    hash: Option<Digest>,
}

impl Check {
    /// Of no image.
    pub(crate) const fn new() -> Self {
        Self {
            tlvs_at: 0,
            hashed_to: 0,
            encrypted: false,
            at: 0,
            ahead: false,
            tlvs: Tlvs::new(0, 0),
            signature: None,
            hash: None,
        }
    }

    /// The image that is to be checked.
    pub(crate) fn begin(&mut self, header: &Header) {
        self.tlvs_at = header.tlv_offset();
        self.hashed_to = header.hashed_len();
        self.encrypted = header.is_encrypted();
    }

    /// Begins with what is wanted first, at a whole number of reads.
    pub(crate) fn restart<V: Verify>(&mut self, read_size: u32, verify: &mut V) {
        self.at = if V::PURE { align_down(self.tlvs_at, read_size) } else { 0 };
        self.ahead = V::PURE;
        self.tlvs.restart(self.tlvs_at, self.hashed_to.wrapping_sub(self.tlvs_at));
        self.signature = None;
        self.hash = None;
        verify.start();
    }

    /// From where on it wants bytes.
    pub(crate) fn at(&self) -> u32 {
        self.at
    }

    /// Takes the image's next bytes.
    pub(crate) fn take<V: Verify>(
        &mut self,
        engine: &mut impl Sha256,
        verify: &mut V,
        slots: &Slots,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        let ahead = V::PURE && self.ahead;
        if !ahead {
            let hashed = self.hashed_to.saturating_sub(self.at) as usize;
            let (before, after) = bytes.split_at_checked(hashed.min(bytes.len())).unwrap_or_default();
            engine.update(before);
            verify.update(before);
            // The image's own hash is of what came by now, if the hashed part ends here.
            if hashed > 0 && before.len() == hashed {
                self.hash = engine.peek();
            }
            engine.update(after);
        }
        let skip = self.tlvs_at.saturating_sub(self.at) as usize;
        // No image is longer than its slot.
        self.at = self.at.wrapping_add(bytes.len() as u32);
        if ahead || !V::PURE {
            bytes.iter().skip(skip).try_for_each(|byte| self.tlvs.feed(*byte, slots, verify))?;
        }
        Ok(())
    }

    /// All bytes of this round were taken; `true`: the whole image is to come, from its first byte.
    pub(crate) fn turn<V: Verify>(&mut self, verify: &mut V) -> Result<bool, Refusal> {
        let ahead = V::PURE && core::mem::take(&mut self.ahead);
        if ahead || !V::PURE {
            if !self.tlvs.whole() {
                return Err(self.tlvs.refusal(TlvFault::Damaged));
            }
            self.signature = verify.walked()?;
        }
        if ahead {
            self.at = 0;
        }
        Ok(ahead)
    }

    /// Where the signature lies, if one is to be checked that can be.
    pub(crate) fn signature(&self) -> Option<(u32, u16)> {
        self.signature.filter(|_| !self.encrypted)
    }

    /// The verdict, after the last byte. What is encrypted has its hash over the plain image.
    pub(crate) fn verdict(
        &self,
        slots: &Slots,
        verify: &mut impl Verify,
        signature: &[u8],
    ) -> Result<Assurance, Refusal> {
        let sha256 = slots.config.hash == HashKind::Sha256;
        if sha256 && !self.tlvs.has_hash() {
            return Err(Refusal::NoHash);
        }
        let checked = !self.encrypted && (sha256 || verify.is_there());
        let Some(hash) = self.hash.as_ref().filter(|_| checked) else { return Ok(Assurance::None) };
        if sha256 && !self.tlvs.is_hash(hash) {
            return Err(Refusal::Hash);
        }
        Ok(if verify.finish(hash, signature)? { Assurance::Signature } else { Assurance::Hash })
    }
}
