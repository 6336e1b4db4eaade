//! What the fuzz targets share: a small flash, and the ways in which a bootloader can be built.

mod board;
mod flash;
mod world;

pub use board::Board;
pub use flash::Ram;
pub use world::{File, World};

use dfu_target_mcuboot::signature::{BadSignature, Scheme};

/// Takes bytes from the front of what the fuzzer offers; zeros when there are none left.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }
}

/// A signature that costs nothing, so that the fuzzer gets past it: over the hash, or with `PURE` over the image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Toy<const PURE: bool> {
    sum: u64,
}

impl<const PURE: bool> Toy<PURE> {
    pub fn sign(key: &[u8], hash: &[u8], image: &[u8]) -> [u8; 8] {
        let mut toy = Self::default();
        toy.restart(key);
        toy.feed(if PURE { image } else { hash });
        toy.sum.to_le_bytes()
    }

    fn restart(&mut self, key: &[u8]) {
        self.sum = 0xcbf2_9ce4_8422_2325;
        self.feed(key);
    }

    fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.sum = (self.sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl<const PURE: bool> Scheme for Toy<PURE> {
    const TLV: u16 = 0x21;
    const LONGEST: usize = 8;
    const PURE: bool = PURE;

    fn accepts(key: &[u8]) -> bool {
        key.len() == 4
    }

    fn start(&mut self, key: &[u8], _: &[u8]) -> Result<(), BadSignature> {
        self.restart(key);
        Ok(())
    }

    fn update(&mut self, bytes: &[u8]) {
        self.feed(bytes);
    }

    fn finish(&mut self, key: &[u8], hash: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        if !PURE {
            self.restart(key);
            self.feed(hash);
        }
        (self.sum.to_le_bytes() == signature).then_some(()).ok_or(BadSignature)
    }
}
