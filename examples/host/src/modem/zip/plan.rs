//! What an update would ask of the modem, call by call.

use indicatif::HumanCount;
use serde_json::{Value, json};

use crate::console::Console;
use crate::modem::digests::Digests;
use crate::modem::full::FullUpdate;

/// A call of the modem's bootloader, by its name in the port.
struct Call {
    name: &'static str,
    address: Option<u32>,
    bytes: Option<usize>,
    /// What it does.
    what: String,
}

pub(super) fn show(update: &FullUpdate<'_>, digests: Option<&Digests>, console: &Console, facts: &mut Value) {
    let calls = calls(update, digests);
    let entry = |call: &Call| json!({ "call": call.name, "address": call.address, "bytes": call.bytes });
    facts["plan"] = calls.iter().map(entry).collect::<Vec<_>>().into();
    for (nth, call) in calls.iter().enumerate() {
        let label = if nth == 0 { "plan" } else { "" };
        let address = call.address.map(|address| format!("{address:#010x}")).unwrap_or_default();
        let bytes = call.bytes.map(|bytes| HumanCount(bytes as u64).to_string()).unwrap_or_default();
        console.line(label, format_args!("{:<8}  {address:>10}  {bytes:>9}  {}", call.name, call.what));
    }
    if let Some(digests) = digests {
        facts["expected"] = digests.all.to_string().into();
        console.line("expected", digests.all);
    }
}

fn calls(update: &FullUpdate<'_>, digests: Option<&Digests>) -> Vec<Call> {
    let plain = |name, what: &str| Call { name, address: None, bytes: None, what: what.to_owned() };
    let mut calls = vec![plain("start", "the modem waits for a loader")];
    for (nth, (segment, bytes)) in update.segments.iter().enumerate() {
        let bytes = Some(bytes.len());
        if nth == 0 {
            calls.push(Call { bytes, ..plain("bl_write", "segment 0, the loader") });
            calls.push(plain("update", "the loader starts"));
            let wrapper = Some(update.wrapper.len() as usize);
            calls.push(Call { bytes: wrapper, ..plain("verify", "the loader checks the wrapper's signature") });
        } else {
            let address = Some(segment.address);
            calls.push(Call { address, bytes, ..plain("fw_write", &format!("segment {nth}")) });
        }
    }
    calls.push(plain("update", "what is still buffered is programmed"));
    if let Some(digests) = digests {
        calls.push(plain("digest", &format!("over {} ranges; it has to be the expected one", digests.ranges.len())));
    }
    calls.push(plain("stop", "the new firmware runs from the next start on"));
    calls
}
