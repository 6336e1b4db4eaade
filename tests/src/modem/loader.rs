//! What the modem's bootloader has in memory: a loader, and the page that it will program next.

use super::wrapper::Manifest;
use alloc::vec::Vec;

/// Lost with the mode.
#[derive(Debug, Default)]
pub(super) struct Loader {
    pub(super) stage: Stage,
    pub(super) code: Vec<u8>,
    pub(super) page: Page,
    /// Whether this loader has programmed anything.
    pub(super) has_programmed: bool,
    /// What `verify` has accepted.
    pub(super) manifest: Option<Manifest>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Waits,
    Runs,
    /// What was written is no loader: only a new start helps.
    Broken,
}

/// Bytes that are not programmed yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    address: u32,
    bytes: Vec<u8>,
}

impl Page {
    /// The library's buffer.
    const LEN: usize = 8192;

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() == Self::LEN
    }

    /// Whether bytes at this address can be added.
    pub(super) fn goes_on_at(&self, address: u32) -> bool {
        self.is_empty() || self.address.checked_add(self.bytes.len() as u32) == Some(address)
    }

    /// Takes what fits, at least a byte of a page that is not full; how many.
    pub(super) fn take_in(&mut self, address: u32, bytes: &[u8]) -> usize {
        if self.is_empty() {
            self.address = address;
        }
        let len = bytes.len().min(Self::LEN - self.bytes.len());
        self.bytes.extend(&bytes[..len]);
        len
    }

    /// Empties it.
    pub(super) fn take_out(&mut self) -> Option<(u32, Vec<u8>)> {
        let page = core::mem::take(self);
        (!page.is_empty()).then_some((page.address, page.bytes))
    }
}
