//! SHA-256: the value, and the engine that makes it, in software or hardware.

use core::fmt;

#[cfg(feature = "sha2")]
use sha2::digest::common::hazmat::{SerializableState, SerializedState};

/// A SHA-256 value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Reads 64 hexadecimal digits, of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut value = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() || pairs.len() != value.len() {
            return None;
        }
        for (byte, pair) in value.iter_mut().zip(pairs) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = u8::try_from((high? << 4) | low?).ok()?;
        }
        Some(Self(value))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Digest {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=[u8]:02x}", self.0);
    }
}

/// A SHA-256 engine: [`SoftSha256`], or a few lines around the chip's own.
pub trait Sha256 {
    /// Begins a new message; what was hashed before is forgotten.
    fn start(&mut self);
    /// Takes the next bytes of the message.
    fn update(&mut self, bytes: &[u8]);
    /// The digest of the message. `start` comes next.
    fn finish(&mut self) -> Digest;
    /// The digest of the message so far, without ending it. `None` where the engine cannot: then whoever asks
    /// reads the bytes twice.
    fn peek(&self) -> Option<Digest> {
        None
    }
    /// The state after a whole number of 64-byte blocks: the eight words of FIPS 180-4 section 6.2, big-endian.
    /// `None` where the engine cannot give it: then a stream that cannot be read back starts over after a reset.
    fn midstate(&self) -> Option<[u8; 32]> {
        None
    }
    /// Goes on from such a state, after `len` bytes of the message, a multiple of 64; whether it can.
    fn resume(&mut self, midstate: &[u8; 32], len: u32) -> bool {
        let _ = (midstate, len);
        false
    }
}

impl<T: Sha256> Sha256 for &mut T {
    fn start(&mut self) {
        T::start(self);
    }
    fn update(&mut self, bytes: &[u8]) {
        T::update(self, bytes);
    }
    fn finish(&mut self) -> Digest {
        T::finish(self)
    }
    fn peek(&self) -> Option<Digest> {
        T::peek(self)
    }
    fn midstate(&self) -> Option<[u8; 32]> {
        T::midstate(self)
    }
    fn resume(&mut self, midstate: &[u8; 32], len: u32) -> bool {
        T::resume(self, midstate, len)
    }
}

/// The engine in software, by the `sha2` crate.
#[cfg(feature = "sha2")]
#[derive(Clone, Debug, Default)]
pub struct SoftSha256(sha2::Sha256);

#[cfg(feature = "sha2")]
impl Sha256 for SoftSha256 {
    fn start(&mut self) {
        *self = Self::default();
    }
    fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.0, bytes);
    }
    fn finish(&mut self) -> Digest {
        Digest(sha2::Digest::finalize_reset(&mut self.0).into())
    }
    #[inline(never)] // The copy takes no stack of whoever asks.
    fn peek(&self) -> Option<Digest> {
        Some(self.clone().finish())
    }
    fn midstate(&self) -> Option<[u8; 32]> {
        self.0.serialize().first_chunk().map(swapped)
    }
    fn resume(&mut self, midstate: &[u8; 32], len: u32) -> bool {
        // The words, the number of blocks, and a buffer without a byte.
        let mut state = SerializedState::<sha2::Sha256>::default();
        let blocks = u64::from(len / 64).to_le_bytes();
        let bytes = swapped(midstate).into_iter().chain(blocks);
        state.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        let engine = SerializableState::deserialize(&state);
        let can = len.is_multiple_of(64) && engine.is_ok();
        self.0 = engine.unwrap_or_default();
        can
    }
}

/// Words with their bytes in the other order.
#[cfg(feature = "sha2")]
fn swapped(words: &[u8; 32]) -> [u8; 32] {
    let mut swapped = *words;
    swapped.as_chunks_mut::<4>().0.iter_mut().for_each(|word| word.reverse());
    swapped
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // A test.
mod tests {
    use super::*;
    use std::format;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn hexadecimal_goes_both_ways() {
        let digest = Digest::from_hex(HEX).unwrap();
        assert_eq!((format!("{digest}"), format!("{digest:?}")), (HEX.into(), HEX.into()));
        assert_eq!(Digest::from_hex(&HEX.to_uppercase()), Some(digest));
        for wrong in ["", "ba", &HEX[1..], &format!("{HEX}00"), &HEX.replace('f', "g")] {
            assert_eq!(Digest::from_hex(wrong), None, "{wrong}");
        }
    }

    /// An engine as a chip has it: nothing can be asked of it but the end.
    struct Plain(u8);

    impl Sha256 for Plain {
        fn start(&mut self) {
            self.0 = 0;
        }
        fn update(&mut self, bytes: &[u8]) {
            self.0 += bytes.len() as u8;
        }
        fn finish(&mut self) -> Digest {
            Digest([self.0; 32])
        }
    }

    #[test]
    fn an_engine_without_its_state_says_so() {
        let mut engine = Plain(1);
        assert_eq!((engine.peek(), engine.midstate()), (None, None));
        assert!(!engine.resume(&[0; 32], 64));
    }

    #[cfg(feature = "sha2")]
    #[test]
    fn a_borrowed_engine_does_what_the_engine_does() {
        /// Through the borrow's own functions, which `engine.update()` would pass by.
        fn hash(mut engine: impl Sha256, midstate: &[u8; 32]) -> (Option<[u8; 32]>, Option<Digest>, Digest) {
            engine.update(&[9; 64]);
            engine.start();
            let first = engine.midstate();
            assert!(engine.resume(midstate, 64));
            assert!(!engine.resume(midstate, 63));
            assert!(engine.resume(midstate, 64));
            engine.update(b"abc");
            (first, engine.peek(), engine.finish())
        }
        let mut engine = SoftSha256::default();
        engine.update(&[7; 64]);
        let midstate = engine.midstate().unwrap();
        engine.update(b"abc");
        let wanted = engine.finish();
        let first = engine.midstate();
        assert_eq!(hash(&mut engine, &midstate), (first, Some(wanted), wanted));
    }

    #[cfg(feature = "sha2")]
    #[test]
    fn the_software_engine_gives_the_standard_value_and_starts_afresh() {
        // FIPS 180-4's one-block example.
        let mut engine = SoftSha256::default();
        engine.update(b"leftover");
        for _ in 0..2 {
            engine.start();
            engine.update(b"a");
            engine.update(b"bc");
            assert_eq!(engine.peek(), Digest::from_hex(HEX));
            assert_eq!(Some(engine.finish()), Digest::from_hex(HEX));
        }
    }

    #[cfg(feature = "sha2")]
    #[test]
    fn the_software_engine_goes_on_from_its_midstate_alone() {
        let bytes: std::vec::Vec<u8> = (0..1000_u32).map(|n| (n * 7) as u8).collect();
        let mut whole = SoftSha256::default();
        // FIPS 180-4 section 5.3.3: the state before the first block.
        let first = "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19";
        assert_eq!(whole.midstate().map(Digest), Digest::from_hex(first));
        whole.update(&bytes);
        let wanted = whole.finish();
        for at in (0..1000).step_by(64) {
            let mut engine = SoftSha256::default();
            engine.update(&bytes[..at]);
            let midstate = engine.midstate().unwrap();
            let mut other = SoftSha256::default();
            other.update(b"leftover");
            assert!(other.resume(&midstate, at as u32));
            other.update(&bytes[at..]);
            assert_eq!(other.finish(), wanted, "{at}");
            assert!(!other.resume(&midstate, at as u32 + 1));
        }
    }
}
