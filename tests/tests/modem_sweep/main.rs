//! No power cut and no answer of the modem hurts: an update of the modem's firmware is finished in spite of each, and
//! in between the modem runs, or the next boot gives it a firmware.

mod answers;
mod bounded;
mod damaged;
mod delta;
mod direct;
mod dropped;
mod erase;
mod full;
mod identity;
mod push;
mod staged;
mod stored;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dfu_testkit::flash::Cut;

/// What a boot came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boot {
    /// A reset, wanted or not.
    Reset,
    /// The update is over.
    Done,
}

/// Cuts of fewer kinds for pairs.
const SOME: &[Cut] = if cfg!(debug_assertions) { &[Cut::Before, Cut::ALL[4], Cut::After] } else { &Cut::FEW };

fn report(points: u64, began: Instant, name: &str) {
    static ALL: AtomicU64 = AtomicU64::new(0);
    let all = ALL.fetch_add(points, Ordering::Relaxed) + points;
    println!("fault points: {points} in {:.1} s ({name}); {all} in all", began.elapsed().as_secs_f32());
}
