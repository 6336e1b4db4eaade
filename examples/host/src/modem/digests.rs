//! `firmware.update.image.digest.txt`: what the modem says of its flash when it is as it should be.

use anyhow::{Context, ensure};
use dfu_target::Digest;
use dfu_target_nrf_modem::port::Range;
use serde_json::{Value, json};

use crate::console::Console;
use crate::modem::full::FullUpdate;

/// SHA-256 over the flash in clear. Files hold it encrypted: with those there is nothing to compare.
pub(crate) struct Digests {
    /// Over all ranges, by ascending address.
    pub(crate) all: Digest,
    pub(crate) ranges: Vec<(Range, Digest)>,
}

impl Digests {
    pub(crate) fn read(text: &[u8]) -> anyhow::Result<Self> {
        let text = std::str::from_utf8(text).context("not a text")?;
        let mut all = None;
        let mut ranges: Vec<(Range, Digest)> = Vec::new();
        for (nth, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(digest) = line.strip_prefix("SHA256 of all ranges in ascending address order: ") {
                all = Some(Digest::from_hex(digest.trim()).with_context(|| format!("line {}: no SHA-256", nth + 1))?);
            } else if let Some(rest) = line.strip_prefix("Range: ") {
                let range = range(rest).with_context(|| format!("line {}: no range and its SHA-256", nth + 1))?;
                ranges.push(range);
            } else {
                ensure!(line.is_empty(), "line {}: neither a range nor the digest of all", nth + 1);
            }
        }
        ensure!(!ranges.is_empty(), "no range is in it");
        Ok(Self { all: all.context("the digest of all ranges is not in it")?, ranges })
    }

    /// Whether these are the ranges that the update programs.
    pub(crate) fn are_of(&self, update: &FullUpdate<'_>) -> anyhow::Result<()> {
        let told = self.ranges.iter().map(|(range, _)| (range.start, range.end));
        let below = update.firmware().iter().map(|(segment, _)| *segment).filter(|segment| segment.address < FLASH_END);
        let programmed = below.map(|segment| (segment.address, segment.address + (segment.len - 1)));
        let (told, programmed) = (joined(told), joined(programmed));
        ensure!(told == programmed, "its ranges are not those that the update programs");
        Ok(())
    }

    pub(crate) fn show(&self, console: &Console, facts: &mut Value) {
        let entry = |(range, digest): &(Range, Digest)| json!({ "start": range.start, "end": range.end, "sha256": digest.to_string() });
        facts["digests"] = json!({
            "all": self.all.to_string(), "ranges": self.ranges.iter().map(entry).collect::<Vec<_>>(),
        });
        console.line("digest", "over the flash in clear, and files hold it encrypted: only the modem can tell it");
        for (range, digest) in &self.ranges {
            console.line("", format_args!("{:#010x}..={:#010x}  {digest}", range.start, range.end));
        }
    }
}

/// `0x00006000--0x0000FFFF SHA256: ` and 64 digits.
fn range(text: &str) -> Option<(Range, Digest)> {
    let (range, digest) = text.split_once(" SHA256: ")?;
    let (start, end) = range.trim().split_once("--")?;
    let [start, end] = [start, end].map(|text| u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok());
    let (start, end) = (start?, end?);
    (start <= end).then_some((Range { start, end }, Digest::from_hex(digest.trim())?))
}

/// Ranges by ascending address, with the last one's inside. Those that touch are one.
fn joined(ranges: impl Iterator<Item = (u32, u32)>) -> Vec<(u32, u32)> {
    let mut sorted: Vec<_> = ranges.collect();
    sorted.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (start, end) in sorted {
        match joined.last_mut() {
            Some(last) if last.1.checked_add(1) == Some(start) => last.1 = end,
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// From here on there is no flash of which the modem tells digests.
const FLASH_END: u32 = 0x0100_0000;
