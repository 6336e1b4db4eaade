//! The hash that a bootloader checks images and keys by.

use dfu_target::Sha256;

use crate::HashKind;

/// A hash engine of the bootloader's kind: any [`Sha256`] for SHA-256, [`Sha384`] and [`Sha512`] of the feature
/// `sha2`, or the chip's own.
pub trait ImageHash {
    /// What it computes.
    const KIND: HashKind;

    /// Forgets what was begun.
    fn start(&mut self);

    /// The next bytes.
    fn update(&mut self, bytes: &[u8]);

    /// The hash, at the front of `out`. What is behind it stays.
    fn finish(&mut self, out: &mut [u8; 64]);
}

impl<E: Sha256> ImageHash for E {
    const KIND: HashKind = HashKind::Sha256;

    fn start(&mut self) {
        Sha256::start(self);
    }

    fn update(&mut self, bytes: &[u8]) {
        Sha256::update(self, bytes);
    }

    fn finish(&mut self, out: &mut [u8; 64]) {
        let digest = Sha256::finish(self);
        out.iter_mut().zip(digest.0).for_each(|(to, from)| *to = from);
    }
}

#[cfg(feature = "sha2")]
macro_rules! wide {
    ($($name:ident: $kind:literal;)*) => {$(
        #[doc = concat!("A ", $kind, " in software, by the crate `sha2`.")]
        #[derive(Clone, Debug, Default)]
        pub struct $name(sha2::$name);

        impl ImageHash for $name {
            const KIND: HashKind = HashKind::$name;

            fn start(&mut self) {
                self.0 = sha2::Digest::new();
            }

            fn update(&mut self, bytes: &[u8]) {
                sha2::Digest::update(&mut self.0, bytes);
            }

            fn finish(&mut self, out: &mut [u8; 64]) {
                let hash = sha2::Digest::finalize_reset(&mut self.0);
                out.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
            }
        }
    )*};
}

#[cfg(feature = "sha2")]
wide! {
    Sha384: "SHA-384";
    Sha512: "SHA-512";
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfu_target::digest::SoftSha256;

    /// The first bytes of the hash of `abc`, and what is behind the hash.
    fn hash<H: ImageHash>(mut engine: H) -> ([u8; 4], bool) {
        let mut out = [0xee; 64];
        engine.update(b"leftover");
        engine.start();
        engine.update(b"a");
        engine.update(b"bc");
        engine.finish(&mut out);
        let (hash, behind) = out.split_at(H::KIND.bytes());
        (*hash.first_chunk().unwrap(), behind.iter().all(|byte| *byte == 0xee))
    }

    #[test]
    fn a_hash_is_the_standard_one_and_starts_afresh() {
        // FIPS 180-4's one-block examples.
        assert_eq!(hash(SoftSha256::default()), ([0xba, 0x78, 0x16, 0xbf], true));
        assert_eq!(hash(Sha384::default()), ([0xcb, 0x00, 0x75, 0x3f], true));
        assert_eq!(hash(Sha512::default()), ([0xdd, 0xaf, 0x35, 0xa1], true));
    }
}
