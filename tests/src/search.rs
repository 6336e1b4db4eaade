//! [`Search`]: looks for the cut that a device does not survive, with all cores.

mod tally;
mod turns;

pub use tally::Tally;
pub(crate) use turns::Turns;

use core::sync::atomic::AtomicUsize;
use std::panic::resume_unwind;
use std::thread;
use std::time::Instant;

use crate::flash::Cut;
use crate::scenario::{Count, Cutting, Plan, Scenario, Then};

/// A search for the cut that a device does not survive. Its parts are the flash's geometry: words, erase units and
/// reads of so many bytes.
///
/// Behind each cut the device boots, as MCUboot does in the scenario's mode. What must hold then, and panics where it
/// does not:
///
/// - the old image runs, whole, or the new one, and that only if it was asked for;
/// - no bad image was pending;
/// - nothing was written outside of the target's slot, the log and the running image's mark;
/// - the update begins again, and asks for no more than what was in doubt;
/// - what it calls durable is there, bit for bit;
/// - and at the end of a life: the new image runs, bit for bit, stays confirmed through a reset, the old one is where
///   the mode keeps it, and what belongs to others is as it was.
///
/// A fault point is a cut that makes a difference: one that hits a word or unit that was to change, and where it tears
/// it, leaves neither what was there nor what was wanted. [`Cut::After`] is [`Cut::Before`] of the next point, so it is
/// used at the last one alone.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    scenario: Scenario,
    drops: bool,
    ways: &'static [Cut],
    finish_every: u64,
}

impl Search {
    /// Cuts of every kind; each life is lived to its end.
    pub const fn new(scenario: Scenario) -> Self {
        Self { scenario, drops: false, ways: &Cut::ALL, finish_every: 1 }
    }

    /// Drops a future first, where else the first cut comes: as an application does that cancels its update, or waits
    /// for no more than so long.
    ///
    /// That happens at each await of the update and of the confirmation: before each operation of the flash, and
    /// behind it. Then the application goes on, on the device as it is, in both ways: with what it has, as
    /// [`Session::resume`](dfu_target::Session::resume) does, and with an update of its own. [`singles`](Self::singles)
    /// leaves it at that; in [`pairs`](Self::pairs) and [`chains`](Self::chains) the power is cut behind it, before the
    /// next reset.
    #[must_use]
    pub const fn dropping(mut self) -> Self {
        self.drops = true;
        self
    }

    /// Cuts of these kinds alone.
    #[must_use]
    pub const fn ways(mut self, ways: &'static [Cut]) -> Self {
        self.ways = ways;
        self
    }

    /// Lives one life in so many to its end; of the others, what comes behind the last cut is the boot, the resume and
    /// one erase unit of the rest. For images whose rest takes long.
    #[must_use]
    pub const fn finishing_one_in(mut self, lives: u64) -> Self {
        self.finish_every = lives;
        self
    }

    /// One cut at each point of the update and of the confirmation, in each way.
    pub fn singles<const W: usize, const E: usize, const R: usize>(self) -> Tally {
        self.walk::<W, E, R>(Then::Rest)
    }

    /// The same, and behind each of these cuts another one at each point of what is left.
    pub fn pairs<const W: usize, const E: usize, const R: usize>(self) -> Tally {
        self.walk::<W, E, R>(Then::Again)
    }

    /// So many chains from each point on: a cut there, and one to four more in the runs that follow, most of them soon
    /// after the reset, all in ways chosen by chance. The same ones each time.
    pub fn chains<const W: usize, const E: usize, const R: usize>(self, from_each: u32) -> Tally {
        self.walk::<W, E, R>(Then::Chance(from_each))
    }

    fn walk<const W: usize, const E: usize, const R: usize>(self, then: Then) -> Tally {
        let began = Instant::now();
        let plan = Plan { drops: self.drops, ways: self.ways, then, finish_every: self.finish_every };
        let next = AtomicUsize::new(0);
        let work = || self.scenario.build::<W, E, R>().walk(&plan, &mut Turns::new(&next));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let counts: Vec<Count> = thread::scope(|scope| {
            let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        let sum = |of: fn(&Count) -> u64| counts.iter().map(of).sum();
        Tally {
            points: sum(|count| count.points),
            drops: sum(|count| count.drops),
            lives: sum(|count| count.lives),
            finished: sum(|count| count.finished),
            took: began.elapsed(),
        }
    }
}

/// Cuts at every point of any life, in each of these ways. `live` is lived from the start each time, and says how many
/// of the cuts happened. How many points that were.
pub fn singles(ways: &[Cut], mut live: impl FnMut(&[Cutting]) -> u64) -> u64 {
    let points = |cut: &Cut| (0..).take_while(|point| live(&[Cutting { point: *point, cut: *cut }]) == 1).count();
    ways.iter().map(points).sum::<usize>() as u64
}

/// The same, and once more at every point behind each of them.
pub fn pairs(ways: &[Cut], live: impl Fn(&[Cutting]) -> u64) -> u64 {
    let mut points = 0;
    singles(ways, |first| {
        let mut first_happened = 0;
        points += singles(ways, |second| {
            let happened = live(&[first[0], second[0]]);
            first_happened = happened.min(1);
            happened.saturating_sub(1)
        });
        first_happened
    });
    points
}

/// So many chains of `N` cuts at points below `reach`, by chance; the same ones each time.
pub fn chains<const N: usize>(count: u32, reach: u64, ways: &[Cut], live: impl Fn(&[Cutting]) -> u64) -> u64 {
    let mut rng = fastrand::Rng::with_seed(N as u64);
    let mut chain = || {
        let cuts = [(); N].map(|()| Cutting { point: rng.u64(0..reach), cut: *rng.choice(ways).expect("some way") });
        live(&cuts)
    };
    (0..count).map(|_| chain()).sum()
}
