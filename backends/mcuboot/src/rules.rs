//! [`Rules`]: all that MCUboot can be built to ask of an image, asked before the reset.

mod hash;
mod walk;

pub use hash::ImageHash;
#[cfg(feature = "sha2")]
pub use hash::{Sha384, Sha512};

use dfu_target::image::mcuboot::Version;

use crate::signature::{BadSignature, Scheme};
use crate::verify::Entry;

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
    /// Higher ones than the one that runs; any where that is not known ([`Active::version`](crate::Active::version) is
    /// `None`).
    Newer,
    /// Higher ones than the one that runs, or that one again; any where that is not known.
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

#[cfg(test)]
mod tests {
    use super::*;
    use dfu_target::digest::SoftSha256;

    #[test]
    fn where_no_signature_is_asked_for_no_key_and_none_is_right() {
        let rules = Rules::new(SoftSha256::default());
        assert!(rules.signed(Unsigned, &[b"a key"]).is_err());
        assert_eq!(Unsigned.finish(b"a key", &[0; 32], &[]), Err(BadSignature));
    }
}
