//! The rules while an image goes by: its TLVs, then its hash and signature.

use dfu_target::Digest;
use dfu_target::image::mcuboot::{Header, Version};

use super::{Found, ImageHash, LONGEST_VALUE, Need, Rules, VersionRule};
use crate::refusal::TlvFault;
use crate::signature::Scheme;
use crate::verify::{Entry, Verify};
use crate::{HashKind, Refusal};

impl<D: ImageHash + Clone, S: Scheme> Rules<'_, D, S> {
    /// A whole entry came.
    #[inline(never)] // Keys are hashed here.
    fn take(&mut self) -> Result<(), Refusal> {
        let Found { entry, filled, .. } = self.found;
        let Entry { tlv, len, protected, offset } = entry;
        let refused = |fault| Err(Refusal::Tlv { fault, offset, tlv });
        let damaged = refused(TlvFault::Damaged);
        let value = self.found.value;
        let value = value.get(..filled).unwrap_or(&[]);
        match tlv {
            KEYHASH => {
                // MCUboot would compare what there is, be it nothing.
                if usize::from(len) != D::KIND.bytes() {
                    return if S::LONGEST > 0 { Err(Refusal::Unsigned) } else { Ok(()) };
                }
                let mut hash = [0; LONGEST_VALUE];
                self.found.key = self.keys.iter().position(|key| {
                    // The other one may be amid the image.
                    let mut engine = self.hash.clone();
                    engine.start();
                    engine.update(key);
                    engine.finish(&mut hash);
                    hash.get(..filled) == Some(value)
                });
            }
            SIG_PURE => self.found.pure = value == [1],
            COUNTER if protected => {
                let counter = value.try_into().map(u32::from_le_bytes);
                let Ok(counter) = counter else { return damaged };
                if self.found.counter.replace(counter).is_some() {
                    return refused(TlvFault::Twice);
                }
            }
            DEPENDENCY if protected => return self.depend(),
            VENDOR if protected => {
                let right = self.vendor.is_none_or(|uuid| value == uuid);
                self.found.vendor = true;
                return right.then_some(()).ok_or(Refusal::Vendor);
            }
            CLASS if protected => {
                let right = self.class.is_none_or(|uuid| value == uuid);
                self.found.class = true;
                return right.then_some(()).ok_or(Refusal::Class);
            }
            _ if tlv == S::TLV && S::LONGEST > 0 => {
                if let Some(key) = self.found.key.take() {
                    if usize::from(len) > S::LONGEST {
                        return damaged;
                    }
                    self.found.signature = Some((key, offset, len));
                }
            }
            _ if tlv == D::KIND.tlv() && D::KIND != HashKind::Sha256 && !S::PURE => {
                if filled != D::KIND.bytes() || protected {
                    return damaged;
                }
                if core::mem::replace(&mut self.found.hash, true) {
                    return refused(TlvFault::Twice);
                }
                // All that it covers came before.
                let mut hash = [0; LONGEST_VALUE];
                self.hash.clone().finish(&mut hash);
                if hash.get(..filled) != Some(value) && !self.encrypted {
                    return Err(Refusal::Hash);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn depend(&mut self) -> Result<(), Refusal> {
        let Entry { offset, tlv, .. } = self.found.entry;
        let Some(&[image, _, _, _, major, minor, r0, r1, b0, b1, b2, b3]) = self.found.value.get(..self.found.filled)
        else {
            return Err(Refusal::Tlv { fault: TlvFault::Damaged, offset, tlv });
        };
        let revision = u16::from_le_bytes([r0, r1]);
        let version = Version { major, minor, revision, build: u32::from_le_bytes([b0, b1, b2, b3]) };
        if self.found.needs.iter().any(|need| need.image == image)
            || self.found.needs.push(Need { image, version }).is_err()
        {
            return Err(Refusal::Tlv { fault: TlvFault::Twice, offset, tlv });
        }
        let Some(images) = self.images else { return Ok(()) };
        let has = images.iter().find(|(index, _)| *index == image).map(|(_, version)| *version);
        match has {
            Some(has) if !version.beats(&has, self.with_build) => Ok(()),
            has => Err(Refusal::Dependency { image, needs: version, has }),
        }
    }

    fn whole(&self) -> bool {
        self.found.filled >= usize::from(self.found.entry.len).min(LONGEST_VALUE)
    }
}

impl<D: ImageHash + Clone, S: Scheme> Verify for Rules<'_, D, S> {
    const SIGNATURE: usize = S::LONGEST;
    const PURE: bool = S::PURE;
    const HASH: HashKind = if S::PURE { HashKind::Pure } else { D::KIND };

    fn header(&mut self, header: &Header, running: Option<Version>) -> Result<(), Refusal> {
        self.encrypted = header.is_encrypted();
        let Some(running) = running else { return Ok(()) };
        let offered = header.version;
        let wanted = match self.version {
            VersionRule::Any => true,
            VersionRule::Newer => offered.beats(&running, self.with_build),
            VersionRule::NewerOrEqual => !running.beats(&offered, self.with_build),
        };
        wanted.then_some(()).ok_or(Refusal::Version { running, offered })
    }

    fn start(&mut self) {
        self.found = Found::NOTHING;
        self.hash.start();
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Refusal> {
        self.found.entry = *entry;
        self.found.filled = 0;
        if self.whole() { self.take() } else { Ok(()) }
    }

    fn value(&mut self, byte: u8) -> Result<(), Refusal> {
        // Of a longer value, the first bytes will do: it is looked at later, or not at all.
        let Some(place) = self.found.value.get_mut(self.found.filled) else { return Ok(()) };
        *place = byte;
        self.found.filled = self.found.filled.wrapping_add(1);
        if self.whole() { self.take() } else { Ok(()) }
    }

    fn walked(&mut self) -> Result<Option<(u32, u16)>, Refusal> {
        let found = &self.found;
        if let Some(least) = self.least {
            let offered = found.counter.ok_or(Refusal::NoCounter)?;
            if offered < least {
                return Err(Refusal::Counter { least, offered });
            }
        }
        if self.vendor.is_some() && !found.vendor {
            return Err(Refusal::Vendor);
        }
        if self.class.is_some() && !found.class {
            return Err(Refusal::Class);
        }
        if Self::HASH != HashKind::Sha256 && Self::HASH != HashKind::Pure && !found.hash {
            return Err(Refusal::NoHash);
        }
        if S::LONGEST > 0 && (found.signature.is_none() || found.pure != S::PURE) {
            return Err(Refusal::Unsigned);
        }
        Ok(found.signature.map(|(_, offset, len)| (offset, len)))
    }

    fn hashing(&mut self, signature: &[u8]) -> Result<(), Refusal> {
        let key = self.found.signature.and_then(|(key, ..)| self.keys.get(key)).ok_or(Refusal::Unsigned)?;
        self.scheme.start(key, signature).map_err(|_| Refusal::Signature)
    }

    fn update(&mut self, bytes: &[u8]) {
        if S::PURE {
            self.scheme.update(bytes);
        } else if D::KIND != HashKind::Sha256 {
            self.hash.update(bytes);
        }
    }

    #[inline(never)] // What a signature takes of the stack is not taken by every poll.
    fn finish(&mut self, sha256: &Digest, signature: &[u8]) -> Result<bool, Refusal> {
        let mut hash = [0; LONGEST_VALUE];
        if D::KIND == HashKind::Sha256 {
            hash.iter_mut().zip(&sha256.0).for_each(|(to, from)| *to = *from);
        } else if !S::PURE {
            self.hash.finish(&mut hash);
        }
        let Some(key) = self.found.signature.and_then(|(key, ..)| self.keys.get(key)) else { return Ok(false) };
        let hash = hash.get(..D::KIND.bytes()).unwrap_or(&[]);
        self.scheme.finish(key, hash, signature).map_err(|_| Refusal::Signature)?;
        Ok(true)
    }
}

impl Found {
    pub(super) const NOTHING: Self = Self {
        entry: Entry { tlv: 0, len: 0, protected: false, offset: 0 },
        value: [0; LONGEST_VALUE],
        filled: 0,
        key: None,
        signature: None,
        pure: false,
        counter: None,
        vendor: false,
        class: false,
        hash: false,
        needs: heapless::Vec::new(),
    };
}

const KEYHASH: u16 = 0x01;
const SIG_PURE: u16 = 0x25;
const DEPENDENCY: u16 = 0x40;
const COUNTER: u16 = 0x50;
const VENDOR: u16 = 0x74;
const CLASS: u16 = 0x75;
