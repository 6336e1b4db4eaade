//! The modem's own area for deltas.

use dfu_target::DfuTarget;
use dfu_target::digest::SoftSha256;
use dfu_target_nrf_modem::libmodem::NormalMode;
use dfu_target_nrf_modem::port::{Delta, Offset};
use dfu_target_nrf_modem::{DeltaError, ModemDelta};
use embassy_time::Delay;

use crate::signs::Signs;

/// Deltas into the modem, that wait with these signs.
pub type Deltas<'a> = ModemDelta<NormalMode, Delay, SoftSha256, &'a Signs>;

/// Has the modem erase what lies there and is of no use. To be called before it goes on the network: there it may not get
/// round to that. A delta that came in part is left to be gone on with.
pub async fn blank(target: &mut Deltas<'_>) -> Result<(), DeltaError> {
    // Of its own, as it is only asked: what the target has scheduled is the target's to know.
    match NormalMode::new().offset() {
        Ok(Offset::Dirty) => target.abort().await,
        _ => Ok(()),
    }
}
