//! SHA-256: the value, and the engine that makes it, in software or hardware.

use core::fmt;

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
        let digest = Digest(sha2::Digest::finalize(self.0.clone()).into());
        self.start();
        digest
    }
    fn peek(&self) -> Option<Digest> {
        Some(Digest(sha2::Digest::finalize(self.0.clone()).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn hexadecimal_goes_both_ways() {
        let digest = Digest::from_hex(HEX).unwrap();
        assert_eq!(format!("{digest}"), HEX);
        assert_eq!(Digest::from_hex(&HEX.to_uppercase()), Some(digest));
        for wrong in ["", "ba", &HEX[1..], &format!("{HEX}00"), &HEX.replace('f', "g")] {
            assert_eq!(Digest::from_hex(wrong), None, "{wrong}");
        }
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
}
