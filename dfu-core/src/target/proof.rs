//! What stands between a stored image and the request to run it.

use core::fmt;

use crate::digest::Digest;

/// What a target found when it read the stored image back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Checked {
    /// SHA-256 of the whole image file as stored.
    pub digest: Digest,
    /// How much of the image's own evidence the target checked.
    pub assurance: Assurance,
}

/// How far a target could check an image by what the image itself carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Assurance {
    /// Not at all: compare the digest with one you know.
    None,
    /// Not here: what is to run it checks a signature first, and goes on with what it has where that is wrong.
    Deferred,
    /// Against the hash that it carries: whole and unchanged, its origin not known.
    Hash,
    /// Against a signature by a known key.
    Signature,
}

impl Checked {
    /// The proof, if the stored image is the one with this digest.
    pub fn matches(&self, expected: &Digest) -> Option<Proof> {
        (self.digest == *expected).then_some(Proof(self.digest))
    }

    /// The proof, if the image's own evidence was checked, or will be before anything depends on it.
    pub fn assured(&self) -> Result<Proof, NotAssured> {
        if self.assurance > Assurance::None { Ok(Proof(self.digest)) } else { Err(NotAssured) }
    }
}

/// Says that an image was read back and found to be the one wanted; only a passed check makes one.
///
/// Neither `Clone` nor `Copy`: one check, one request.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Proof(Digest);

impl Proof {
    /// The digest of the image that was checked. A target compares it with its own last reading.
    pub fn digest(&self) -> &Digest {
        &self.0
    }

    pub(crate) fn of(digest: Digest) -> Self {
        Self(digest)
    }
}

/// The target could not check the image by itself: a digest to compare with is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NotAssured;

impl fmt::Display for NotAssured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the image carries nothing that this target checked: compare its digest with a known one")
    }
}

impl core::error::Error for NotAssured {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    const DIGEST: Digest = Digest([7; 32]);

    #[test]
    fn only_the_digest_that_was_read_makes_a_proof() {
        let checked = Checked { digest: DIGEST, assurance: Assurance::None };
        assert_eq!(checked.matches(&DIGEST), Some(Proof::of(DIGEST)));
        assert_eq!(checked.matches(&DIGEST).unwrap().digest(), &DIGEST);
        assert_eq!(checked.matches(&Digest([8; 32])), None);
    }

    #[test]
    fn an_image_that_nobody_checks_is_not_assured() {
        let assured = |assurance| Checked { digest: DIGEST, assurance }.assured();
        assert_eq!(assured(Assurance::None), Err(NotAssured));
        for assurance in [Assurance::Deferred, Assurance::Hash, Assurance::Signature] {
            assert_eq!(assured(assurance), Ok(Proof::of(DIGEST)));
        }
        assert!(NotAssured.to_string().contains("digest"));
    }
}
