//! The modem's own flash, in clear.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use dfu_target_nrf_modem::port::{Range, Uuid};
use sha2::{Digest, Sha256};

use super::delta_file::is_text;
use super::fill::{HEADER, HIGH, decrypted};
use super::wrapper::Manifest;

/// What was programmed by a loader, as runs of bytes that do not touch. All else reads as erased.
#[derive(Clone, Debug, Default)]
pub(super) struct ModemFlash {
    pub(super) runs: BTreeMap<u32, Vec<u8>>,
    /// Programmed since it was judged last.
    pub(super) changed: bool,
}

impl ModemFlash {
    /// Whether there is flash at all of these addresses.
    pub(super) fn has(address: u32, len: usize) -> bool {
        let inside = |start: u32, size: usize| {
            address >= start && len <= size && (address - start) as usize <= size.saturating_sub(len)
        };
        inside(0, 0x28_0000) || inside(HEADER, 0x2000)
    }

    pub(super) fn program(&mut self, address: u32, bytes: &[u8]) {
        self.changed = true;
        let end = address + bytes.len() as u32;
        let touched = self.runs.range(..=end).filter(|(start, run)| **start + run.len() as u32 >= address);
        let starts: Vec<u32> = touched.map(|(start, _)| *start).collect();
        let (mut first, mut run) = (address, Vec::new());
        for start in starts {
            let old = self.runs.remove(&start).unwrap_or_default();
            if run.is_empty() {
                (first, run) = (start.min(address), old);
                if start > address {
                    run.splice(0..0, core::iter::repeat_n(0xff, (start - address) as usize));
                }
            } else {
                run.resize((start - first) as usize, 0xff);
                run.extend(old);
            }
        }
        let at = (address - first) as usize;
        run.resize(run.len().max(at + bytes.len()), 0xff);
        run[at..at + bytes.len()].copy_from_slice(bytes);
        self.runs.insert(first, run);
    }

    /// Bytes that were all programmed.
    pub(super) fn programmed(&self, address: u32, len: usize) -> Option<&[u8]> {
        let (start, run) = self.runs.range(..=address).next_back()?;
        let at = (address - start) as usize;
        run.get(at..at.checked_add(len)?)
    }

    pub(super) fn digest(&self, ranges: &[Range]) -> [u8; 32] {
        let mut hash = Sha256::new();
        for range in ranges.iter().filter(|range| range.start < HIGH) {
            let mut bytes = vec![0xff; (range.end - range.start) as usize + 1];
            for (start, run) in self.runs.range(..=range.end) {
                let (from, to) = (range.start.max(*start), (range.end + 1).min(start + run.len() as u32));
                if from < to {
                    let run = &run[(from - start) as usize..(to - start) as usize];
                    bytes[(from - range.start) as usize..(to - range.start) as usize].copy_from_slice(run);
                }
            }
            hash.update(&bytes);
        }
        hash.finalize().into()
    }

    /// The name in the header block.
    pub(super) fn uuid(&self) -> Option<Uuid> {
        Some(Uuid(*self.programmed(HEADER, 68)?.first_chunk()?)).filter(is_text)
    }

    /// The name of the firmware, where all of it is there: the header block has the digest of all the rest, in the
    /// order of addresses.
    pub(super) fn whole(&self) -> Option<Uuid> {
        let wanted = &self.programmed(HEADER, 68)?[36..];
        let mut hash = Sha256::new();
        for (start, run) in self.runs.range(..HIGH) {
            hash.update(decrypted(*start, run));
        }
        (hash.finalize()[..] == *wanted).then(|| self.uuid())?
    }

    /// Whether this is what a manifest names, to the byte: the loader, and all that was programmed.
    pub(super) fn is_of(&self, manifest: &Manifest, loader: &[u8]) -> bool {
        let mut hash = Sha256::new().chain_update(loader);
        for (address, len) in manifest.segments.iter().skip(1) {
            let Some(bytes) = self.programmed(*address, *len as usize) else { return false };
            hash.update(decrypted(*address, bytes));
        }
        hash.finalize()[..] == manifest.blob_hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_join_where_they_touch_and_hold_what_came_last() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..500 {
            let (mut flash, mut plain) = (ModemFlash::default(), [None; 64]);
            for n in 1..=8_u8 {
                let at = rng.usize(0..60);
                let len = rng.usize(1..=(64 - at).min(20));
                flash.program(at as u32, &vec![n; len]);
                plain[at..at + len].fill(Some(n));
            }
            for (at, wanted) in plain.iter().enumerate() {
                assert_eq!(flash.programmed(at as u32, 1).map(|bytes| bytes[0]), *wanted, "{plain:?} {flash:?}");
            }
            let joined = plain.windows(2).filter(|pair| pair[0].is_none() && pair[1].is_some()).count();
            assert_eq!(flash.runs.len(), joined + usize::from(plain[0].is_some()));
            let bytes = plain.map(|byte| byte.unwrap_or(0xff));
            let (start, end) = (rng.u32(0..64), 63);
            let wanted: [u8; 32] = Sha256::digest(&bytes[start as usize..]).into();
            assert_eq!(flash.digest(&[Range { start, end }]), wanted);
        }
    }

    #[test]
    fn there_is_flash_where_firmware_lies_and_nowhere_else() {
        for (address, len, there) in [
            (0x6000, 40960, true),
            (0x27c000, 16384, true),
            (0x27c000, 16385, false),
            (0x28_0000, 1, false),
            (HEADER, 2360, true),
            (HEADER - 1, 2, false),
            (HEADER + 0x1fff, 2, false),
            (u32::MAX, 1, false),
        ] {
            assert_eq!(ModemFlash::has(address, len), there, "{address:#x} {len}");
        }
    }
}
