//! What is public of the nRF91 modem's update files.

use std::path::Path;

use anyhow::ensure;
use dfu_target::image::ImageKind;
use serde_json::{Value, json};

use crate::console::Console;
use crate::modem::delta::versions;
use crate::modem::full::FullUpdate;

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

/// A full update: a signed manifest, then the segments that it tells of.
pub(crate) fn full(bytes: &[u8], console: &Console, facts: &mut Value) -> anyhow::Result<()> {
    facts["kind"] = "modem-full".into();
    console.line("kind", ImageKind::ModemFull);
    FullUpdate::inspect(bytes, console, facts).map(drop)
}
