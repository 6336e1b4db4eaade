//! The modem's file: read with care, as anybody may have edited it.

use anyhow::{Context, ensure};
use dfu_testkit::modem::{Content, FakeModem, ModemState};

/// What a new modem holds.
pub(super) fn new(uuid: String) -> ModemState {
    ModemState { uuid, ..FakeModem::default().save() }
}

pub(super) fn parse(bytes: &[u8]) -> anyhow::Result<ModemState> {
    let state: ModemState = serde_json::from_slice(bytes).context("not the state of a modem")?;
    let names = [Some(&state.uuid), state.previous.as_ref()];
    let is_name = |name: &String| name.len() == 36 && name.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(names.into_iter().flatten().all(is_name), "the name of a firmware has 36 characters");
    ensure!(state.area <= MOST, "a modem's area has {MOST} bytes at the most");
    let held = len(&state.content).max(state.offset);
    ensure!(held <= state.area, "the area has {} bytes, and cannot hold {held}", state.area);
    let mut free = 0;
    for run in &state.flash {
        let len = len(&run.content);
        ensure!(u64::from(run.address) >= free, "runs of the flash ascend and do not overlap: {:#x}", run.address);
        free = u64::from(run.address) + u64::from(len);
        ensure!(len <= MOST && free <= u64::from(u32::MAX), "a run of the flash is too long: {len} bytes");
    }
    Ok(state)
}

pub(super) fn emit(state: &ModemState) -> anyhow::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(state)?;
    text.push(b'\n');
    Ok(text)
}

fn len(content: &Content) -> u32 {
    match content {
        Content::Bytes(bytes) => u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        Content::Fill { len, .. } => *len,
    }
}

/// More than any modem has of anything.
const MOST: u32 = 16 << 20;
