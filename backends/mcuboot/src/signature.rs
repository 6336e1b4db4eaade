//! [`Scheme`]: how an image's signature is checked before the reset, with the key that the bootloader has.
//!
//! MCUboot checks it again at each boot. To know it earlier saves a reset into a bootloader that throws the image
//! away, and keeps what nobody signed out of the slot's trailer.
//!
//! Nothing here reads flash: the caller finds the TLV of type [`Scheme::TLV`] behind the image and hands over its
//! bytes. No bytes make these functions panic.

#[cfg(feature = "ed25519")]
mod ed25519;
#[cfg(feature = "p256")]
mod p256;
#[cfg(feature = "rsa")]
mod rsa;

#[cfg(feature = "ed25519")]
pub use ed25519::{Ed25519, Ed25519Pure};
#[cfg(feature = "p256")]
pub use p256::EcdsaP256;
#[cfg(feature = "rsa")]
pub use rsa::{Rsa2048, Rsa3072, RsaPss};

use core::fmt;

/// One kind of signature: software, or a few lines around the chip's own engine.
///
/// A key is the DER encoding that imgtool's `getpub -e raw` writes: `SubjectPublicKeyInfo` for elliptic curves,
/// PKCS#1 `RSAPublicKey` for RSA. The TLV KEYHASH is the hash of these bytes.
///
/// ```
/// # #[cfg(feature = "ed25519")] {
/// use dfu_target_mcuboot::signature::{BadSignature, Ed25519, Scheme};
///
/// let key: &[u8] = include_bytes!("../../../tests/fixtures/keys/test-only-ed25519.pub.der");
/// assert!(Ed25519::accepts(key));
/// assert_eq!(Ed25519.finish(key, &[0; 32], &[0; 64]), Err(BadSignature));
/// # }
/// ```
pub trait Scheme {
    /// The type of the TLV that holds the signature.
    const TLV: u16;
    /// The most bytes that a signature has.
    const LONGEST: usize;
    /// Whether the signature is over the image itself instead of its hash: then `start` and `update` see what the
    /// hash covers, which is header, payload and protected TLVs.
    const PURE: bool = false;

    /// Whether this is a key for this scheme, by its encoding. What is refused here is a mistake of whoever
    /// configured the key, and no signature will be good; what is accepted may still be no point of the curve.
    fn accepts(key: &[u8]) -> bool;

    /// Before the image's first byte. What was begun before is forgotten.
    fn start(&mut self, key: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let _ = (key, signature);
        Ok(())
    }

    /// The image's next bytes.
    fn update(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// After the image's last byte: whether `signature` is that of `key` over the image whose hash TLV is `hash`,
    /// which the caller has compared with the image. A pure scheme does not look at `hash`, and key and signature
    /// must be those of `start`.
    fn finish(&mut self, key: &[u8], hash: &[u8], signature: &[u8]) -> Result<(), BadSignature>;
}

impl<T: Scheme> Scheme for &mut T {
    const TLV: u16 = T::TLV;
    const LONGEST: usize = T::LONGEST;
    const PURE: bool = T::PURE;

    fn accepts(key: &[u8]) -> bool {
        T::accepts(key)
    }

    fn start(&mut self, key: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        T::start(self, key, signature)
    }

    fn update(&mut self, bytes: &[u8]) {
        T::update(self, bytes);
    }

    fn finish(&mut self, key: &[u8], hash: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        T::finish(self, key, hash, signature)
    }
}

/// The signature is not this key's over this image, or one of the three is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the image's signature is not that of the key")
    }
}

impl core::error::Error for BadSignature {}
