//! [`Rules`]: all that MCUboot can be built to ask of an image, asked before the reset.

mod hash;

pub use hash::ImageHash;
#[cfg(feature = "sha2")]
pub use hash::{Sha384, Sha512};

use dfu_target::Digest;
use dfu_target::image::mcuboot::{Header, Version};

use crate::refusal::TlvFault;
use crate::signature::{BadSignature, Scheme};
use crate::verify::{Entry, Verify};
use crate::{HashKind, Refusal};

/// All that MCUboot can be built to ask of an image. What it asks at boot should be asked here, so that an image
/// which it would throw away is refused before the reset.
///
/// Decisions are made by TLVs that the hash covers, and none that is there twice counts.
///
/// ```
/// use dfu_target::digest::SoftSha256;
/// use dfu_target_mcuboot::{Rules, VersionRule};
///
/// let rules = Rules::new(SoftSha256::default()).version(VersionRule::Newer).counter(7);
/// # let _ = rules;
/// ```
///
/// With a signature, by a [`Scheme`] of the features `p256`, `ed25519` or `rsa`, or by the chip's own engine:
///
/// ```
/// # #[cfg(feature = "ed25519")] {
/// use dfu_target::digest::SoftSha256;
/// use dfu_target_mcuboot::Rules;
/// use dfu_target_mcuboot::signature::Ed25519;
///
/// // As `imgtool getpub -e raw` writes it; the bootloader has the same.
/// const KEY: &[u8] = include_bytes!("../../../tests/fixtures/keys/test-only-ed25519.pub.der");
/// let rules = Rules::new(SoftSha256::default()).signed(Ed25519, &[KEY]).unwrap();
/// # let _ = rules;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Rules<'r, D, S = Unsigned> {
    version: VersionRule,
    with_build: bool,
    least: Option<u32>,
    images: Option<&'r [(u8, Version)]>,
    vendor: Option<&'r [u8; 16]>,
    class: Option<&'r [u8; 16]>,
    keys: &'r [&'r [u8]],
    scheme: S,
    hash: D,
    /// The hash is over plain bytes that nobody has here.
    encrypted: bool,
    found: Found,
}

/// What was found in the TLVs.
#[derive(Clone, Debug)]
struct Found {
    entry: Entry,
    value: [u8; LONGEST_VALUE],
    filled: usize,
    /// Of the last KEYHASH, until its signature came.
    key: Option<usize>,
    signature: Option<(usize, u32, u16)>,
    pure: bool,
    counter: Option<u32>,
    vendor: bool,
    class: bool,
    hash: bool,
    needs: heapless::Vec<Need, MAX_NEEDS>,
}

/// A dependency: another image, by its index, and the version that it has at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Need {
    /// The other image.
    pub image: u8,
    /// The version.
    pub version: Version,
}

/// Which versions are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum VersionRule {
    /// Any.
    Any,
    /// Higher ones than the one that runs.
    Newer,
    /// Higher ones than the one that runs, or that one again.
    NewerOrEqual,
}

impl<'r, D: ImageHash> Rules<'r, D> {
    /// Nothing is asked yet, but for the hash of this engine's kind: that of the bootloader, which is the hash in
    /// KEYHASH, too. For pure signatures of `imgtool sign --pure` that is SHA-512.
    pub fn new(hash: D) -> Self {
        Self {
            version: VersionRule::Any,
            with_build: false,
            least: None,
            images: None,
            vendor: None,
            class: None,
            keys: &[],
            scheme: Unsigned,
            hash,
            encrypted: false,
            found: Found::NOTHING,
        }
    }

    /// A signature by one of these keys, as MCUboot asks for it: the last KEYHASH of a known key with a signature
    /// behind it decides. A key is what `imgtool getpub -e raw` writes.
    pub fn signed<S: Scheme>(self, scheme: S, keys: &'r [&'r [u8]]) -> Result<Rules<'r, D, S>, BadSignature> {
        if keys.is_empty() || !keys.iter().all(|key| S::accepts(key)) {
            return Err(BadSignature);
        }
        let Self { version, with_build, least, images, vendor, class, hash, encrypted, found, .. } = self;
        Ok(Rules { version, with_build, least, images, vendor, class, keys, scheme, hash, encrypted, found })
    }
}

impl<'r, D, S> Rules<'r, D, S> {
    /// Which versions are wanted (`MCUBOOT_DOWNGRADE_PREVENTION`: newer or equal ones). Build numbers do not
    /// count: see [`with_build_number`](Self::with_build_number).
    #[must_use]
    pub fn version(mut self, rule: VersionRule) -> Self {
        self.version = rule;
        self
    }

    /// Versions are compared up to the build number (`MCUBOOT_VERSION_CMP_USE_BUILD_NUMBER`).
    #[must_use]
    pub fn with_build_number(mut self) -> Self {
        self.with_build = true;
        self
    }

    /// The least security counter: that of the running image, or the stored one (`MCUBOOT_HW_ROLLBACK_PROT`).
    #[must_use]
    pub fn counter(mut self, least: u32) -> Self {
        self.least = Some(least);
        self
    }

    /// The other images, each with its index and the version that will run after the reset: the one that is
    /// pending, or the one that runs. Dependencies are compared with these.
    #[must_use]
    pub fn images(mut self, images: &'r [(u8, Version)]) -> Self {
        self.images = Some(images);
        self
    }

    /// The vendor's UUID (`MCUBOOT_UUID_VID`).
    #[must_use]
    pub fn vendor(mut self, uuid: &'r [u8; 16]) -> Self {
        self.vendor = Some(uuid);
        self
    }

    /// The device class's UUID (`MCUBOOT_UUID_CID`).
    #[must_use]
    pub fn class(mut self, uuid: &'r [u8; 16]) -> Self {
        self.class = Some(uuid);
        self
    }
}

impl<D, S> Rules<'_, D, S> {
    /// The dependencies of the image that was read back last, 4 at the most.
    pub fn needs(&self) -> &[Need] {
        &self.found.needs
    }
}

impl<D: ImageHash + Clone, S: Scheme> Rules<'_, D, S> {
    /// A whole entry came.
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
    const NOTHING: Self = Self {
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

/// No signature is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned;

impl Scheme for Unsigned {
    const TLV: u16 = 0;
    const LONGEST: usize = 0;

    fn accepts(_: &[u8]) -> bool {
        false
    }

    fn finish(&mut self, _: &[u8], _: &[u8], _: &[u8]) -> Result<(), BadSignature> {
        Err(BadSignature)
    }
}

/// So many dependencies are looked at; an image with more of them is refused.
const MAX_NEEDS: usize = 4;

/// The longest value that is looked at while the TLVs go by: a hash.
const LONGEST_VALUE: usize = 64;

const KEYHASH: u16 = 0x01;
const SIG_PURE: u16 = 0x25;
const DEPENDENCY: u16 = 0x40;
const COUNTER: u16 = 0x50;
const VENDOR: u16 = 0x74;
const CLASS: u16 = 0x75;
