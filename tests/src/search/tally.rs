//! What a search came by.

use core::fmt;
use core::ops::AddAssign;
use core::time::Duration;

/// How much was searched. Displays as `fault points: N in T s (R per s)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cuts that made a difference.
    pub points: u64,
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
        self.lives += more.lives;
        self.finished += more.finished;
        self.took += more.took;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let rate = self.points as f64 / seconds.max(1e-3);
        write!(f, "fault points: {} in {seconds:.1} s ({rate:.0} per s)", self.points)
    }
}
