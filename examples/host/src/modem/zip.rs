//! `modem zip`: what Nordic gives out as `mfw_*.zip`, and what an update with it would do.

mod archive;
mod compare;
mod plan;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use dfu_target::image::{ImageKind, sniff};
use indicatif::HumanCount;
use serde_json::{Value, json};

use self::archive::{Archive, Entry, Kind};
use self::compare::Compared;
use super::delta;
use super::digests::Digests;
use super::full::FullUpdate;
use super::intel_hex::{self, Range};
use crate::console::Console;
use crate::ending::{End, Outcome};

/// Shows what is in one of Nordic's mfw_*.zip, checks that its parts agree, and tells what an update would do.
///
/// The full update (.cbor) has to be whole, with the right hash, and to hold the very bytes of the Intel HEX files.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 all parts agree, 1 they do not, or one is damaged or missing, 2 wrong usage")]
pub(crate) struct Zip {
    /// The file, such as mfw_nrf9160_1.3.5.zip
    file: PathBuf,
    /// Say nothing but one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl Zip {
    pub(crate) fn run(&self, console: &Console) -> Outcome {
        let path = self.file.display();
        let bytes = std::fs::read(&self.file).with_context(|| format!("cannot read {path}"))?;
        let mut facts = json!({ "file": path.to_string(), "size": bytes.len() });
        console.line("file", format_args!("{path}, {} bytes", HumanCount(bytes.len() as u64)));
        let verdict = look(&bytes, console, &mut facts);
        facts["result"] = if verdict.is_ok() { "right" } else { "refused" }.into();
        facts["error"] = verdict.as_ref().err().map(|error| format!("{error:#}")).into();
        console.result(&facts);
        let name = self.file.file_name().map_or(path.to_string(), |name| name.to_string_lossy().into_owned());
        verdict.context(name)?;
        Ok(End::Done)
    }
}

fn look(bytes: &[u8], console: &Console, facts: &mut Value) -> anyhow::Result<()> {
    let archive = Archive::read(bytes)?;
    let mut hex = Vec::new();
    let mut loaders = Vec::new();
    let mut digests = None;
    let mut entries = Vec::new();
    for entry in &archive.entries {
        let (meaning, mut known) = match &entry.kind {
            Kind::Full => ("the full update".to_owned(), json!({ "kind": "full" })),
            Kind::Segments => {
                let ranges = read_hex(entry)?;
                let shown = shown(&ranges);
                hex.extend(ranges.into_iter().map(|range| (entry.name.as_str(), range)));
                (shown, json!({ "kind": "segments" }))
            }
            Kind::Loader { key, version } => {
                loaders.push((entry.name.as_str(), read_hex(entry)?));
                let known = json!({ "kind": "loader", "key": key, "version": version });
                (format!("loader {version}, for the root key {key}"), known)
            }
            Kind::Digests => {
                let read = Digests::read(&entry.bytes).with_context(|| entry.name.clone())?;
                let meaning = format!("the digests of {} ranges", read.ranges.len());
                digests = Some(read);
                (meaning, json!({ "kind": "digests" }))
            }
            Kind::Delta => named_delta(entry),
            Kind::Other => (String::new(), json!({ "kind": "other" })),
        };
        let size = HumanCount(entry.bytes.len() as u64).to_string();
        let label = if entries.is_empty() { "holds" } else { "" };
        console.line(label, format_args!("{:<40}  {size:>9}  {meaning}", entry.name).to_string().trim_end());
        known["name"] = entry.name.as_str().into();
        known["size"] = entry.bytes.len().into();
        entries.push(known);
    }
    facts["entries"] = entries.into();

    let full = archive.entries.iter().find(|entry| entry.kind == Kind::Full);
    let full = full.with_context(|| format!("there is no {} in it", archive::FULL))?;
    ensure!(sniff(&full.bytes) == Some(ImageKind::ModemFull), "{}: not a full update", full.name);
    let update = FullUpdate::inspect(&full.bytes, console, facts).with_context(|| full.name.clone())?;

    ensure!(!hex.is_empty(), "there is no {}N.hex in it", archive::SEGMENTS);
    let compared = Compared::of(&update, &hex, &loaders)?;
    facts["hex"] = "the same".into();
    facts["loader"] = compared.loader.into();
    console.line("hex", format_args!("its {} segments of firmware, byte for byte", update.firmware().len()));
    console.line("loader", compared.loader.unwrap_or("the update's is none of those beside it"));
    if let Some(digests) = &digests {
        digests.are_of(&update).context(archive::DIGESTS)?;
        digests.show(console, facts);
    }
    plan::show(&update, digests.as_ref(), console, facts);
    Ok(())
}

fn read_hex(entry: &Entry) -> anyhow::Result<Vec<Range>> {
    let ranges = intel_hex::read(&entry.bytes).with_context(|| entry.name.clone())?;
    ensure!(!ranges.is_empty(), "{}: no bytes are in it", entry.name);
    Ok(ranges)
}

fn shown(ranges: &[Range]) -> String {
    let one = |range: &Range| format!("{:#010x}..{:#010x}", range.address, range.end());
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn named_delta(entry: &Entry) -> (String, Value) {
    match delta::versions(&entry.name) {
        Some((from, to)) => {
            (format!("delta from {from} to {to}"), json!({ "kind": "delta", "named": { "from": from, "to": to } }))
        }
        None => ("delta".to_owned(), json!({ "kind": "delta" })),
    }
}
