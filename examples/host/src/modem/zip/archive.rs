//! The zip itself, and what its files are by their names.

use std::io::{Cursor, Read};

use anyhow::{Context, anyhow, ensure};
use dfu_target::image::{ImageKind, sniff};
use zip::ZipArchive;

/// The full update.
pub(super) const FULL: &str = "firmware.update.image.cbor";
/// The digests of what is then in the flash.
pub(super) const DIGESTS: &str = "firmware.update.image.digest.txt";
/// In front of the number of an Intel HEX file.
pub(super) const SEGMENTS: &str = "firmware.update.image.segments.";

/// All files, unpacked.
pub(super) struct Archive {
    pub(super) entries: Vec<Entry>,
}

/// A file.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Full,
    Segments,
    Digests,
    /// What takes firmware in, for modems with this root key.
    Loader {
        key: String,
        version: String,
    },
    Delta,
    Other,
}

impl Archive {
    pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| anyhow!("not a zip, or a damaged one"))?;
        let mut entries: Vec<Entry> = Vec::new();
        for nth in 0..archive.len() {
            let mut file = archive.by_index(nth).map_err(|error| anyhow!("file {nth} of the zip: {error}"))?;
            if file.is_dir() {
                continue;
            }
            let path = file.name().map_err(|error| anyhow!("file {nth} of the zip: {error}"))?;
            let name = path.rsplit(['/', '\\']).next().unwrap_or(&path).to_owned();
            let mut bytes = Vec::new();
            file.by_ref()
                .take(MOST + 1)
                .read_to_end(&mut bytes)
                .with_context(|| format!("{name}: cannot unpack it"))?;
            ensure!(bytes.len() as u64 <= MOST, "{name}: it has more than {MOST} bytes");
            ensure!(entries.iter().all(|entry| entry.name != name), "{name}: there are two of it");
            let kind = Kind::of(&name, &bytes);
            entries.push(Entry { name, kind, bytes });
        }
        Ok(Self { entries })
    }
}

impl Kind {
    fn of(name: &str, bytes: &[u8]) -> Self {
        let number = name.strip_prefix(SEGMENTS).and_then(|rest| rest.strip_suffix(".hex"));
        let loader = name.strip_suffix(".ihex").and_then(|rest| rest.split_once(".ipc_dfu.signed_"));
        match (name, number, loader) {
            (FULL, _, _) => Self::Full,
            (DIGESTS, _, _) => Self::Digests,
            (_, Some(number), _) if number.parse::<u32>().is_ok() => Self::Segments,
            (_, _, Some((key, version))) => Self::Loader { key: key.to_owned(), version: version.to_owned() },
            _ if sniff(bytes) == Some(ImageKind::ModemDelta) => Self::Delta,
            _ => Self::Other,
        }
    }
}

/// More than any file of a modem's has; a zip may say that it unpacks to anything.
const MOST: u64 = 64 << 20;
