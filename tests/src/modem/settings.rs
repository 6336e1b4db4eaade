//! How large and how slow a modem is.

use dfu_target_mcuboot::signature::{Rsa2048, Scheme};

use dfu_target::digest::SoftSha256;

/// How large and how slow a modem is.
///
/// ```
/// use dfu_testkit::modem::{Settings, Wait};
///
/// let slow = Settings::new().area(16 * 1024).erase(Wait::Millis(5_000), Wait::Forever);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub(super) area: u32,
    pub(super) block: usize,
    pub(super) memory: usize,
    pub(super) loader: usize,
    pub(super) erase: Wait,
    pub(super) erase_registered: Wait,
    pub(super) key: &'static [u8],
}

/// How long the area takes to be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// So many calls of `offset` find it pending.
    Polls(u32),
    /// So much of the time that passes by [`FakeModem::delay`](super::FakeModem::delay) or
    /// [`pass`](super::FakeModem::pass).
    Millis(u64),
    /// It does not end.
    Forever,
}

impl Wait {
    pub(super) fn is_over(self, polls: u32, ns: u64) -> bool {
        match self {
            Self::Polls(wanted) => polls > wanted,
            Self::Millis(wanted) => ns >= wanted * 1_000_000,
            Self::Forever => false,
        }
    }
}

impl Settings {
    /// An nRF9160's: an area of 294,912 bytes, 4 KiB in one write, 8 KiB of shared memory, loaders of up to 32 KiB;
    /// erased after 2 calls of `offset`, and after 20 while registered.
    pub const fn new() -> Self {
        Self {
            area: 294_912,
            block: 4096,
            memory: 8192,
            loader: 32 * 1024,
            erase: Wait::Polls(2),
            erase_registered: Wait::Polls(20),
            key: include_bytes!("../../fixtures/keys/test-only-modem-rsa-2048.pub.der"),
        }
    }

    /// How many bytes a delta may have.
    #[must_use]
    pub const fn area(mut self, bytes: u32) -> Self {
        self.area = bytes;
        self
    }

    /// How many bytes a write of a delta may have.
    #[must_use]
    pub const fn block(mut self, bytes: usize) -> Self {
        self.block = bytes;
        self
    }

    /// How many bytes of shared memory there are.
    #[must_use]
    pub const fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// How many bytes a loader may have.
    #[must_use]
    pub const fn loader(mut self, bytes: usize) -> Self {
        self.loader = bytes;
        self
    }

    /// How long erasing takes: offline, and registered with a network.
    #[must_use]
    pub const fn erase(mut self, offline: Wait, registered: Wait) -> Self {
        self.erase = offline;
        self.erase_registered = registered;
        self
    }

    /// Whose signature a full update needs: an `RSAPublicKey` of 2048 bits in DER.
    #[must_use]
    pub fn key(mut self, key: &'static [u8]) -> Self {
        assert!(Rsa2048::<SoftSha256>::accepts(key), "this is no RSAPublicKey of 2048 bits");
        self.key = key;
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}
