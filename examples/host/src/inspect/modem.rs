//! What is public of the nRF91 modem's update files.

use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use dfu_target::image::ImageKind;
use indicatif::HumanCount;
use minicbor::decode::{Decoder, Error};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::console::Console;
use crate::notation::hex;

/// The most that Nordic's loader reads of a full update before its segments.
const MOST_METADATA: usize = 1024;

/// A delta update. Behind its magic all is encrypted.
pub(crate) fn delta(path: &Path, bytes: &[u8], console: &Console, facts: &mut Value) -> anyhow::Result<()> {
    facts["kind"] = "modem-delta".into();
    console.line("kind", ImageKind::ModemDelta);
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some((from, to)) = versions(&file) {
        facts["named"] = json!({ "from": from, "to": to });
        console.line("versions", format_args!("from {from} to {to}, as the file's name says"));
    }
    console.line("content", "encrypted and signed: version and base are not public, and the modem alone checks them");
    ensure!(bytes.len() > 8, "nothing follows the magic");
    Ok(())
}

/// `..._from_1.3.4_to_1.3.5.bin`.
fn versions(name: &str) -> Option<(&str, &str)> {
    let (from, to) = name.split_once("_from_")?.1.split_once("_to_")?;
    let to = to.strip_suffix(".bin").unwrap_or(to);
    let is_version = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    (is_version(from) && is_version(to)).then_some((from, to))
}

/// A full update: a signed manifest, then the segments that it tells of.
pub(crate) fn full(bytes: &[u8], console: &Console, facts: &mut Value) -> anyhow::Result<()> {
    facts["kind"] = "modem-full".into();
    console.line("kind", ImageKind::ModemFull);
    let manifest = Manifest::parse(bytes).map_err(|error| anyhow!("{error}")).context("the manifest is damaged")?;
    let Manifest { version, compat, hash, segments, len } = &manifest;
    let blob = bytes.get(*len..).unwrap_or(&[]);
    let needed: usize = segments.iter().map(|(_, len)| *len as usize).sum();
    facts["manifest"] = json!({
        "length": len, "version": version, "compat": compat, "hash": hex(hash),
        "segments": segments.iter().map(|(at, len)| json!({ "address": at, "length": len })).collect::<Vec<_>>(),
    });
    console.line("manifest", format_args!("{len} bytes, version {version}, compatibility {compat}"));
    for (nth, (address, len)) in segments.iter().enumerate() {
        let end = u64::from(*address) + u64::from(*len);
        let role = if nth == 0 { ", the loader" } else { "" };
        let size = HumanCount((*len).into());
        console.line("segment", format_args!("{nth}: {address:#010x}..{end:#010x}, {size} bytes{role}"));
    }
    console.line("signature", "RSA-2048 PSS of 256 bytes: the key is not public, and the modem alone checks it");
    ensure!(*len <= MOST_METADATA, "the manifest has {len} bytes, and {MOST_METADATA} are the most");
    ensure!(blob.len() >= needed, "the segments have {} bytes, and the manifest tells of {needed}", blob.len());
    let (blob, rest) = blob.split_at_checked(needed).unwrap_or((blob, &[]));
    let is_right = Sha256::digest(blob).as_slice() == hash;
    facts["hash"] = json!({ "kind": "SHA-256", "verdict": if is_right { "right" } else { "wrong" } });
    facts["behind"] = json!({ "length": rest.len() });
    console
        .line("hash", if is_right { "SHA-256 over the segments, right" } else { "SHA-256 over the segments, wrong" });
    ensure!(is_right, "the manifest's hash is not that of the segments");
    ensure!(rest.is_empty(), "{} bytes follow the last segment", rest.len());
    Ok(())
}

/// What the manifest says, and how long it is with its signature.
struct Manifest {
    version: u64,
    compat: u64,
    hash: Vec<u8>,
    segments: Vec<(u32, u32)>,
    len: usize,
}

impl Manifest {
    /// A tagged COSE_Sign1, whose first bytes have been looked at.
    fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut wrapper = Decoder::new(bytes);
        wrapper.tag()?;
        array_of(&mut wrapper, 4)?;
        wrapper.bytes()?;
        wrapper.map()?;
        let payload = wrapper.bytes()?;
        let signature = wrapper.bytes()?;
        if signature.len() != 256 {
            return Err(Error::message(format!("a signature of {} bytes instead of 256", signature.len())));
        }
        let len = wrapper.position();

        let mut manifest = Decoder::new(payload);
        array_of(&mut manifest, 4)?;
        let (version, compat) = (manifest.u64()?, manifest.u64()?);
        let hash = manifest.bytes()?.to_vec();
        let mut list = Decoder::new(manifest.bytes()?);
        let count = list.array()?.ok_or_else(|| Error::message("segments without a count"))?;
        if count == 0 || count % 2 != 0 || count > 256 {
            return Err(Error::message(format!("{count} numbers for the segments")));
        }
        let segments = (0..count / 2).map(|_| Ok((list.u32()?, list.u32()?))).collect::<Result<_, Error>>()?;
        Ok(Self { version, compat, hash, segments, len })
    }
}

fn array_of(decoder: &mut Decoder<'_>, wanted: u64) -> Result<(), Error> {
    match decoder.array()? {
        Some(count) if count == wanted => Ok(()),
        _ => Err(Error::message(format!("no array of {wanted}"))),
    }
}
