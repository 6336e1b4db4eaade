//! What is asked of an image, for any of the library's hashes and signature schemes.
//!
//! The library's `Rules` are of a type for each of them, and a target is so, too. Behind one `dyn` the target is
//! made once for each kind of hash.

use dfu_target::Digest;
use dfu_target::digest::SoftSha256;
use dfu_target::image::mcuboot::{Header, Version};
use dfu_target_mcuboot::signature::{EcdsaP256, Ed25519, Ed25519Pure, Rsa2048, Rsa3072, Scheme};
use dfu_target_mcuboot::{Entry, HashKind, ImageHash, Refusal, Rules, Sha384, Sha512, Unsigned, Verify, VersionRule};

use crate::ending::{Outcome, Problem};
use crate::key::{Key, KeyKind};

/// What is asked of an image, by the options.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) hash: HashKind,
    pub(crate) version: VersionRule,
    pub(crate) with_build: bool,
    pub(crate) counter: Option<u32>,
    pub(crate) images: Vec<(u8, Version)>,
    pub(crate) vendor: Option<[u8; 16]>,
    pub(crate) class: Option<[u8; 16]>,
    pub(crate) keys: Vec<Key>,
    /// The image names its key by a SHA-512, as imgtool does where signatures are over the image itself.
    pub(crate) long_names: bool,
}

/// [`Verify`] without its constants.
trait Asks {
    fn header(&mut self, header: &Header, running: Option<Version>) -> Result<(), Refusal>;
    fn start(&mut self);
    fn entry(&mut self, entry: &Entry) -> Result<(), Refusal>;
    fn value(&mut self, byte: u8) -> Result<(), Refusal>;
    fn walked(&mut self) -> Result<Option<(u32, u16)>, Refusal>;
    fn hashing(&mut self, signature: &[u8]) -> Result<(), Refusal>;
    fn update(&mut self, bytes: &[u8]);
    fn finish(&mut self, sha256: &Digest, signature: &[u8]) -> Result<bool, Refusal>;
}

impl<V: Verify> Asks for V {
    fn header(&mut self, header: &Header, running: Option<Version>) -> Result<(), Refusal> {
        Verify::header(self, header, running)
    }

    fn start(&mut self) {
        Verify::start(self);
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Refusal> {
        Verify::entry(self, entry)
    }

    fn value(&mut self, byte: u8) -> Result<(), Refusal> {
        Verify::value(self, byte)
    }

    fn walked(&mut self) -> Result<Option<(u32, u16)>, Refusal> {
        Verify::walked(self)
    }

    fn hashing(&mut self, signature: &[u8]) -> Result<(), Refusal> {
        Verify::hashing(self, signature)
    }

    fn update(&mut self, bytes: &[u8]) {
        Verify::update(self, bytes);
    }

    fn finish(&mut self, sha256: &Digest, signature: &[u8]) -> Result<bool, Refusal> {
        Verify::finish(self, sha256, signature)
    }
}

/// Of a hash, [`SHA256`], [`SHA384`], [`SHA512`] or [`PURE`], and for a target that keeps `N` bytes of an image.
pub(crate) struct Asked<'r, const HASH: u8, const N: usize>(Box<dyn Asks + 'r>);

/// The longest signature.
const RSA: usize = <Rsa3072<SoftSha256> as Scheme>::LONGEST;

pub(crate) const SHA256: u8 = 0;
pub(crate) const SHA384: u8 = 1;
pub(crate) const SHA512: u8 = 2;
pub(crate) const PURE: u8 = 3;

impl<const HASH: u8, const N: usize> Verify for Asked<'_, HASH, N> {
    const SIGNATURE: usize = if N < RSA { EcdsaP256::LONGEST } else { RSA };
    const PURE: bool = HASH == PURE;
    const HASH: HashKind = match HASH {
        SHA384 => HashKind::Sha384,
        SHA512 => HashKind::Sha512,
        PURE => HashKind::Pure,
        _ => HashKind::Sha256,
    };

    fn header(&mut self, header: &Header, running: Option<Version>) -> Result<(), Refusal> {
        self.0.header(header, running)
    }

    fn start(&mut self) {
        self.0.start();
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Refusal> {
        self.0.entry(entry)
    }

    fn value(&mut self, byte: u8) -> Result<(), Refusal> {
        self.0.value(byte)
    }

    fn walked(&mut self) -> Result<Option<(u32, u16)>, Refusal> {
        self.0.walked()
    }

    fn hashing(&mut self, signature: &[u8]) -> Result<(), Refusal> {
        self.0.hashing(signature)
    }

    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&mut self, sha256: &Digest, signature: &[u8]) -> Result<bool, Refusal> {
        self.0.finish(sha256, signature)
    }
}

impl Wanted {
    /// The keys' kind, if there are any; they and the hash have to go together.
    pub(crate) fn scheme(&self) -> Outcome<Option<KeyKind>> {
        let Some(kind) = self.keys.first().map(|key| key.kind) else { return Ok(None) };
        if let Some(other) = self.keys.iter().find(|key| key.kind != kind) {
            let (one, two) = (kind.name(), other.kind.name());
            return Err(Problem::usage(format!(
                "--key: one kind of signature at a time, and here are {one} and {two}"
            )));
        }
        match (self.hash, kind) {
            (HashKind::Sha256, _) | (HashKind::Sha512 | HashKind::Pure, KeyKind::Ed25519) => Ok(Some(kind)),
            _ => Err(Problem::usage(format!("--hash: the library has no {} signatures over such a hash", kind.name()))),
        }
    }

    /// Which [`Asked`] it takes. Without a key a pure image has nothing to go by, which the library refuses.
    pub(crate) fn code(&self) -> u8 {
        match self.hash {
            HashKind::Sha384 => SHA384,
            HashKind::Sha512 => SHA512,
            HashKind::Pure if !self.keys.is_empty() => PURE,
            _ => SHA256,
        }
    }

    /// The library's rules. `keys` are those of `self`.
    pub(crate) fn asked<'r, const HASH: u8, const N: usize>(
        &'r self,
        keys: &'r [&'r [u8]],
    ) -> Outcome<Asked<'r, HASH, N>> {
        if N < RSA && matches!(self.scheme()?, Some(KeyKind::Rsa2048 | KeyKind::Rsa3072)) {
            return Err(Problem::refused("the library checks RSA signatures where a sector has 512 bytes or more"));
        }
        let engine = SoftSha256::default;
        let asks: Result<Box<dyn Asks + 'r>, _> = match (HASH, self.scheme()?) {
            (PURE, _) if self.long_names => self.signed(Sha512::default(), Ed25519Pure::default(), keys),
            (PURE, _) => self.signed(engine(), Ed25519Pure::default(), keys),
            (SHA512, None) => Ok(Box::new(self.rules(Sha512::default()))),
            (SHA512, _) => self.signed(Sha512::default(), Ed25519, keys),
            (SHA384, _) => Ok(Box::new(self.rules(Sha384::default()))),
            (_, None) => Ok(Box::new(self.rules(engine()))),
            (_, Some(KeyKind::Ed25519)) => self.signed(engine(), Ed25519, keys),
            (_, Some(KeyKind::EcdsaP256)) => self.signed(engine(), EcdsaP256, keys),
            (_, Some(KeyKind::Rsa2048)) => self.signed(engine(), Rsa2048::new(engine()), keys),
            (_, Some(KeyKind::Rsa3072)) => self.signed(engine(), Rsa3072::new(engine()), keys),
        };
        asks.map(Asked)
    }

    fn signed<'r, D: ImageHash + Clone + 'r, S: Scheme + 'r>(
        &'r self,
        hash: D,
        scheme: S,
        keys: &'r [&'r [u8]],
    ) -> Outcome<Box<dyn Asks + 'r>> {
        Ok(Box::new(self.rules(hash).signed(scheme, keys).map_err(Problem::refused)?))
    }

    fn rules<D: ImageHash + Clone>(&self, hash: D) -> Rules<'_, D, Unsigned> {
        let mut rules = Rules::new(hash).version(self.version);
        if self.with_build {
            rules = rules.with_build_number();
        }
        if let Some(least) = self.counter {
            rules = rules.counter(least);
        }
        if !self.images.is_empty() {
            rules = rules.images(&self.images);
        }
        if let Some(uuid) = &self.vendor {
            rules = rules.vendor(uuid);
        }
        if let Some(uuid) = &self.class {
            rules = rules.class(uuid);
        }
        rules
    }
}
