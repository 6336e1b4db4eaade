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
