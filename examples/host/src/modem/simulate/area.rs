//! The staging flash: what lies where in it.
//!
//! ```text
//!  │ full update │ ... │ marker │ marker │ progress │ progress │     units of 4 KiB, words of 4 bytes
//! ```

use anyhow::ensure;
use dfu_target::flash::Layout;
use dfu_testkit::flash::Chip;

use super::kept::Kept;

/// An external NOR flash.
pub(super) type Flash = Chip<4, { UNIT as usize }>;

/// Its erase unit, in bytes.
pub(super) const UNIT: u32 = 4096;
/// A common size, with room for any full update.
const SIZE: u32 = 4 << 20;
/// A unit for the update, and those behind it.
const LEAST: u32 = 5 * UNIT;
/// More than anybody would put beside an nRF91.
const MOST: u32 = 256 << 20;

/// The contents: those that were kept, or an erased flash.
pub(super) fn of(kept: &Kept, size: Option<u32>) -> anyhow::Result<Vec<u8>> {
    let stored = kept.stored().map(|bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let len = size.or(stored).unwrap_or(SIZE);
    if let Some(stored) = stored {
        ensure!(stored == len, "{}: the file has {stored} bytes, and the flash {len}", kept.name());
    }
    let fits = (LEAST..=MOST).contains(&len) && len.is_multiple_of(UNIT);
    ensure!(fits, "a staging flash has whole units of 4 KiB, five at least, and not {len} bytes");
    Ok(kept.stored().map_or_else(|| vec![0xff; len as usize], <[u8]>::to_vec))
}

/// The window for full updates, and that for the progress.
pub(super) fn windows(size: u32) -> Result<Layout<Flash, 2>, &'static str> {
    let staging = size - 2 * UNIT;
    Layout::checked([(0, staging), (staging, 2 * UNIT)])
}
