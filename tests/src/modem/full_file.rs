//! [`FullFile`]: full updates that the fake modem takes.

use alloc::vec::Vec;
use dfu_target::Digest;
use dfu_target_nrf_modem::port::{Range, Uuid};
use sha2::{Digest as _, Sha256};

use super::fill::{HEADER, HIGH, decrypted, fill};
use super::wrapper::{Manifest, signed_wrapper};

/// Makes a full update: a wrapper, then the segments.
///
/// | segment | address | |
/// |---|---|---|
/// | 0 | 0 | the loader, [`fill`] |
/// | 1 | 0x5960_2000 | the header block: the firmware's name, SHA-256 over all segments behind this one, [`fill`] |
/// | 2.. | | flash, [`fill`] |
///
/// "Encrypted" is: each byte of flash ^ 0x5a.
#[derive(Clone, Debug)]
pub struct FullFile {
    uuid: Uuid,
    version: u32,
    compat: u32,
    loader: u32,
    header: u32,
    ranges: Vec<(u32, u32)>,
    flaws: Vec<usize>,
    wrapper: Option<Vec<u8>>,
}

impl FullFile {
    /// What [`real`](Self::real) programs.
    pub const REAL: Uuid = Uuid(*b"11111111-2222-3333-4444-555555555555");

    /// One with the segments of an nRF9160's firmware 1.3.5, about 2 MB, and a loader of 8 KiB.
    pub fn new(uuid: Uuid) -> Self {
        Self {
            uuid,
            version: 1,
            compat: 1,
            loader: 8192,
            header: 2360,
            ranges: vec![(0x6000, 40_960), (0x5_0000, 1_998_848), (0x27_c000, 16_384)],
            flaws: Vec::new(),
            wrapper: None,
        }
    }

    /// A small one, for sweeps: a loader of 256 bytes, a header block of 128, flash of 600 and 300.
    pub fn small(uuid: Uuid) -> Self {
        Self::new(uuid).loader(256).header(128).ranges(&[(0x6000, 600), (0x5_0000, 300)])
    }

    /// One like [`new`](Self::new)'s, named [`REAL`](Self::REAL), whose wrapper is committed and signed by the test key
    /// `test-only-modem-rsa-2048`.
    pub fn real() -> Self {
        let wrapper = include_bytes!("../../fixtures/modem-full.wrapper").to_vec();
        Self { wrapper: Some(wrapper), ..Self::new(Self::REAL) }
    }

    /// What the wrapper says of version and compatibility. The modem does not look at them.
    #[must_use]
    pub fn version(mut self, version: u32, compat: u32) -> Self {
        (self.version, self.compat) = (version, compat);
        self
    }

    /// The length of the loader.
    #[must_use]
    pub fn loader(mut self, bytes: u32) -> Self {
        self.loader = bytes;
        self
    }

    /// The length of the header block, 68 at least.
    #[must_use]
    pub fn header(mut self, bytes: u32) -> Self {
        assert!(bytes >= 68, "a header block has 68 bytes at least");
        self.header = bytes;
        self
    }

    /// Address and length of each range of flash, in ascending order. Ranges do not touch.
    #[must_use]
    pub fn ranges(mut self, ranges: &[(u32, u32)]) -> Self {
        let apart = ranges.windows(2).all(|pair| pair[0].0 + pair[0].1 < pair[1].0);
        assert!(apart, "ranges ascend and do not touch: {ranges:x?}");
        self.ranges = ranges.to_vec();
        self
    }

    /// Changes a bit of a byte of the blob, and then signs: the file is in order, what is in it is not.
    #[must_use]
    pub fn flaw(mut self, at: usize) -> Self {
        self.flaws.push(at);
        self
    }

    /// The file.
    pub fn build(&self) -> Vec<u8> {
        let blob = self.blob();
        [self.wrapper_of(&blob), blob].concat()
    }

    /// What stands in front of the segments.
    pub fn wrapper(&self) -> Vec<u8> {
        self.wrapper_of(&self.blob())
    }

    /// What the wrapper says, but for a [real](Self::real) one's version.
    pub fn manifest(&self) -> Manifest {
        self.manifest_of(&self.blob())
    }

    /// All segments.
    pub fn blob(&self) -> Vec<u8> {
        let flash: Vec<u8> = (2..).zip(&self.ranges).flat_map(|(n, (at, len))| fill(n, *at, *len as usize)).collect();
        let mut blob = fill(0, 0, self.loader as usize);
        let mut header = fill(1, HEADER, self.header as usize);
        header[..36].copy_from_slice(&self.uuid.0);
        header[36..68].copy_from_slice(&Sha256::digest(&flash));
        blob.extend(header);
        blob.extend(flash);
        for at in &self.flaws {
            blob[*at] ^= 1;
        }
        blob
    }

    /// Address and length of each segment.
    pub fn segments(&self) -> Vec<(u32, u32)> {
        [&[(0, self.loader), (HEADER, self.header)], &self.ranges[..]].concat()
    }

    /// What a modem's digest is to be over.
    pub fn digest_ranges(&self) -> Vec<Range> {
        let flash = self.ranges.iter().filter(|(start, _)| *start < HIGH);
        flash.map(|(start, len)| Range { start: *start, end: start + len - 1 }).collect()
    }

    /// What a modem's digest over [`digest_ranges`](Self::digest_ranges) is, once it has this firmware.
    pub fn digest(&self) -> Digest {
        let (blob, mut at) = (self.blob(), (self.loader + self.header) as usize);
        let mut hash = Sha256::new();
        for (start, len) in &self.ranges {
            let bytes = &blob[at..at + *len as usize];
            at += bytes.len();
            if *start < HIGH {
                hash.update(decrypted(*start, bytes));
            }
        }
        Digest(hash.finalize().into())
    }

    fn wrapper_of(&self, blob: &[u8]) -> Vec<u8> {
        self.wrapper.clone().unwrap_or_else(|| signed_wrapper(&self.manifest_of(blob).encode()))
    }

    fn manifest_of(&self, blob: &[u8]) -> Manifest {
        Manifest {
            version: self.version,
            compat: self.compat,
            blob_hash: Sha256::digest(blob).into(),
            segments: self.segments(),
        }
    }
}
