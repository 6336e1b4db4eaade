//! A full update: `firmware.update.image.cbor`, the wrapper and the segments behind it.

use anyhow::ensure;
use dfu_target_nrf_modem::{Segment, Wrapper};
use indicatif::HumanCount;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::console::Console;
use crate::notation::hex;

/// A full update that is whole and right.
pub(crate) struct FullUpdate<'f> {
    pub(crate) wrapper: Wrapper<'f>,
    /// Each with its bytes, as they are in the file: the loader, then firmware.
    pub(crate) segments: Vec<(Segment, &'f [u8])>,
}

impl<'f> FullUpdate<'f> {
    /// Shows it as far as it can be read, and checks it as far as anyone but the modem can.
    pub(crate) fn inspect(file: &'f [u8], console: &Console, facts: &mut Value) -> anyhow::Result<Self> {
        let wrapper = Wrapper::parse(file)?;
        show(&wrapper, console, facts);
        let (len, needed) = (wrapper.len() as usize, wrapper.blob_len() as usize);
        let behind = file.get(len..).unwrap_or(&[]);
        ensure!(behind.len() >= needed, "the segments have {} bytes, and the manifest tells of {needed}", behind.len());
        let (blob, rest) = behind.split_at(needed);
        let is_right = Sha256::digest(blob).as_slice() == wrapper.blob_hash().0;
        let verdict = if is_right { "right" } else { "wrong" };
        facts["hash"] = json!({ "kind": "SHA-256", "verdict": verdict });
        facts["behind"] = json!({ "length": rest.len() });
        console.line("hash", format_args!("SHA-256 over the segments, {verdict}"));
        ensure!(is_right, "the manifest's hash is not that of the segments");
        ensure!(rest.is_empty(), "{} bytes follow the last segment", rest.len());
        let mut left = blob;
        let mut take = |segment: Segment| {
            let (bytes, rest) = left.split_at(segment.len as usize);
            left = rest;
            (segment, bytes)
        };
        Ok(Self { wrapper, segments: wrapper.segments().map(&mut take).collect() })
    }

    /// The firmware, without the loader.
    pub(crate) fn firmware(&self) -> &[(Segment, &'f [u8])] {
        self.segments.get(1..).unwrap_or(&[])
    }
}

fn show(wrapper: &Wrapper<'_>, console: &Console, facts: &mut Value) {
    let (len, version, compat) = (wrapper.len(), wrapper.version(), wrapper.compat());
    let segment = |segment: Segment| json!({ "address": segment.address, "length": segment.len });
    facts["manifest"] = json!({
        "length": len, "version": version, "compat": compat, "hash": hex(&wrapper.blob_hash().0),
        "segments": wrapper.segments().map(segment).collect::<Vec<_>>(),
    });
    console.line("manifest", format_args!("{len} bytes, version {version}, compatibility {compat}"));
    for (nth, segment) in wrapper.segments().enumerate() {
        let role = if nth == 0 { ", the loader" } else { "" };
        let size = HumanCount(segment.len.into());
        console.line("segment", format_args!("{nth}: {}, {size} bytes{role}", range(segment)));
    }
    console.line("signature", "RSA-2048 PSS of 256 bytes: the key is not public, and the modem alone checks it");
}

/// Where a segment begins, and where it has ended.
pub(crate) fn range(segment: Segment) -> String {
    let end = u64::from(segment.address) + u64::from(segment.len);
    format!("{:#010x}..{end:#010x}", segment.address)
}
