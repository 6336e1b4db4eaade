//! No power cut and no answer of the modem hurts: an update of the modem's firmware is finished in spite of each, and
//! in between the modem runs, or the next boot gives it a firmware.

mod answers;
mod damaged;
mod delta;
mod direct;
mod dropped;
mod erase;
mod full;
mod push;
mod staged;
mod stored;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dfu_testkit::flash::Cut;

/// A cut to come, counted in points from the power-on before.
#[derive(Clone, Copy, Debug)]
struct Cutting {
    point: u64,
    cut: Cut,
}

/// What a boot came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boot {
    /// A reset, wanted or not.
    Reset,
    /// The update is over.
    Done,
}

/// Tears of fewer kinds where there is less time.
const SOME: &[Cut] = if cfg!(debug_assertions) { &[Cut::Before, Cut::ALL[4], Cut::After] } else { &Cut::ALL };

/// Cuts at every point of a life in each of these ways; `live` says how many cuts there were. How many points.
fn sweep(cuts: &[Cut], mut live: impl FnMut(&[Cutting]) -> u64) -> u64 {
    let mut points = 0;
    for cut in cuts {
        points += (0..).take_while(|point| live(&[Cutting { point: *point, cut: *cut }]) == 1).count() as u64;
    }
    points
}

/// The same, and once more at every point behind each of them.
fn sweep_pairs(cuts: &[Cut], live: impl Fn(&[Cutting]) -> u64) -> u64 {
    let mut points = 0;
    sweep(cuts, |first| {
        let mut first_happened = 0;
        points += sweep(cuts, |second| {
            let happened = live(&[first[0], second[0]]);
            first_happened = happened.min(1);
            happened.saturating_sub(1)
        });
        first_happened
    });
    points
}

fn report(points: u64, began: Instant, name: &str) {
    static ALL: AtomicU64 = AtomicU64::new(0);
    let all = ALL.fetch_add(points, Ordering::Relaxed) + points;
    println!("fault points: {points} in {:.1} s ({name}); {all} in all", began.elapsed().as_secs_f32());
}
