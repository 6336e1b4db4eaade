//! Whether the full update and the Intel HEX files hold the same. Both hold it encrypted.

use anyhow::{Context, bail, ensure};

use crate::modem::full::{FullUpdate, range};
use crate::modem::intel_hex::Range;

/// What came of it, where no firmware differs.
pub(super) struct Compared<'a> {
    /// The file that holds the update's loader; that the zip has to hold it is nowhere promised.
    pub(super) loader: Option<&'a str>,
}

impl<'a> Compared<'a> {
    pub(super) fn of(
        update: &FullUpdate<'_>,
        hex: &[(&'a str, Range)],
        loaders: &[(&'a str, Vec<Range>)],
    ) -> anyhow::Result<Self> {
        let mut shared = vec![0; hex.len()];
        for (nth, (segment, bytes)) in update.firmware().iter().enumerate() {
            let (nth, place) = (nth + 1, range(*segment));
            let holds = |range: &Range| range.address <= segment.address && u64::from(segment.address) < range.end();
            let at = hex.iter().position(|(_, range)| holds(range));
            let at = at.with_context(|| format!("segment {nth}, {place}, is in no HEX file"))?;
            let (name, range) = &hex[at];
            let start = (segment.address - range.address) as usize;
            let there = &range.bytes[start..range.bytes.len().min(start + bytes.len())];
            ensure!(there.len() == bytes.len(), "{name}: it holds {} bytes of segment {nth}, {place}", there.len());
            if let Some(at) = there.iter().zip(*bytes).position(|(one, other)| one != other) {
                bail!("{name}: it and the update differ at {:#010x}", segment.address as usize + at);
            }
            shared[at] += bytes.len();
        }
        for ((name, range), shared) in hex.iter().zip(shared) {
            let more = range.bytes.len().checked_sub(shared).context("segments of the update overlap")?;
            ensure!(more == 0, "{name}: {more} bytes at {:#010x}.. are not in the update", range.address);
        }
        let own = update.segments.first().map_or(&[][..], |(_, bytes)| bytes);
        let is_own = |ranges: &[Range]| ranges.iter().flat_map(|range| &range.bytes).eq(own);
        let loader = loaders.iter().find(|(_, ranges)| is_own(ranges)).map(|(name, _)| *name);
        Ok(Self { loader })
    }
}
