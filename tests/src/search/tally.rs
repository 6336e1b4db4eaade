//! What a search came by.

use core::fmt;
use core::ops::AddAssign;
use core::time::Duration;

/// How much was searched. Displays as `fault points: N in T s (R per s)`, with `dropped futures: N` on a line before
/// that; or as `dropped futures: N in T s (R per s)` where there were no cuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cuts that made a difference.
    pub points: u64,
    /// Futures that were dropped.
    pub drops: u64,
    /// Sequences of cuts.
    pub lives: u64,
    /// How many of these were lived to their end.
    pub finished: u64,
    /// How long it took.
    pub took: Duration,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.points += more.points;
        self.drops += more.drops;
        self.lives += more.lives;
        self.finished += more.finished;
        self.took += more.took;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, count) = match self {
            Self { points: 0, drops: 1.., .. } => ("dropped futures", self.drops),
            Self { points, .. } => ("fault points", *points),
        };
        if self.drops > 0 && self.points > 0 {
            writeln!(f, "dropped futures: {}", self.drops)?;
        }
        let seconds = self.took.as_secs_f64();
        let rate = count as f64 / seconds.max(1e-3);
        write!(f, "{what}: {count} in {seconds:.1} s ({rate:.0} per s)")
    }
}
