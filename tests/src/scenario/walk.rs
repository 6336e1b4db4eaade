//! A cut at each point of a life, without living up to it each time: power takes all but the flash, so each cut begins
//! with the flash as it was at its point.

mod drops;

use alloc::vec::Vec;

use super::World;
use super::course::Course;
use super::world::Life;
use crate::device::{Caller, GoesOn, Patient, Visit};
use crate::flash::{Change, Cut};
use crate::search::Turns;

/// What a walk does at each point, or at each await.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// A future is dropped at each await, where else a cut comes at each point.
    pub(crate) drops: bool,
    pub(crate) ways: &'static [Cut],
    pub(crate) then: Then,
    /// One life in so many is lived to its end, the others are looked at.
    pub(crate) finish_every: u64,
}

/// What comes behind that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The rest of the life.
    Rest,
    /// The rest of the life, with a cut at each of its points.
    Again,
    /// Cuts by chance, up to five in all, and the rest of the life, so many times.
    Chance(u32),
}

/// What a walk came by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// Cuts that made a difference.
    pub(crate) points: u64,
    /// Dropped futures.
    pub(crate) drops: u64,
    /// Sequences of cuts.
    pub(crate) lives: u64,
    /// Of these, lived to their end.
    pub(crate) finished: u64,
}

/// A life to the next reset, from the one before or from a dropped future on.
struct Stretch<const W: usize> {
    start: Life,
    changes: Vec<Change<W>>,
    /// What the visit was, from which point on.
    visits: Vec<(usize, Visit)>,
    awaits: usize,
    end: Life,
    over: bool,
}

impl<const W: usize, const E: usize, const R: usize> World<W, E, R> {
    /// Cuts at those points of the update and of the confirmation whose turn it is, or drops at those awaits.
    pub(crate) fn walk(&self, plan: &Plan, turns: &mut Turns<'_>) -> Count {
        self.restore();
        let mut count = Count::default();
        if plan.drops {
            self.device.chip().sim().set_yields(true, true);
            self.drop_along(plan, turns, &mut count);
        } else {
            self.cut_along(Life::default(), plan, turns, &mut count);
        }
        count
    }

    /// Lives to the end, and cuts at each point of that.
    fn cut_along(&self, life: Life, plan: &Plan, turns: &mut Turns<'_>, count: &mut Count) {
        self.along(life, |run, stretch| self.cut_through(run, stretch, plan, turns, count));
    }

    /// Lives to the end. `work` has each stretch from where the flash is as at its start, and leaves it as at its end.
    fn along(&self, mut life: Life, mut work: impl FnMut(usize, &Stretch<W>)) {
        for run in 0..8 {
            self.device.chip().sim().checkpoint();
            let stretch = self.stretch(life, Course::new(self.device.chip()));
            self.device.chip().sim().rollback();
            work(run, &stretch);
            self.device.chip().sim().commit();
            life = stretch.end;
            if stretch.over {
                return self.finished();
            }
            self.reset(&mut life);
        }
        panic!("no end of it: {life:?}");
    }

    /// What the device does until the next reset.
    fn stretch(&self, mut start: Life, mut course: Course<'_, W, E, R>) -> Stretch<W> {
        let mut end = start;
        let over = self.until_reset(&mut end, &mut course);
        if let Some(before) = course.before() {
            self.learn(&mut start, &before);
        }
        let changes = self.device.chip().sim().take_tape();
        let (awaits, visits) = course.end();
        Stretch { start, changes, visits, awaits, end, over }
    }

    /// Does each change of a stretch, and cuts those whose turn it is.
    fn cut_through(&self, run: usize, stretch: &Stretch<W>, plan: &Plan, turns: &mut Turns<'_>, count: &mut Count) {
        for (at, change) in stretch.changes.iter().enumerate() {
            if turns.mine() {
                // Behind a point is before the next one.
                let last = at + 1 == stretch.changes.len();
                self.cut_at(Place { run, at }, change, self.life_at(stretch, at), last, plan, count);
            }
            self.again(change);
        }
    }

    /// What is known of the past when a change comes.
    fn life_at(&self, stretch: &Stretch<W>, at: usize) -> Life {
        let mut life = stretch.start;
        if let Some((_, visit)) = stretch.visits.iter().rev().find(|(from, _)| *from <= at) {
            self.learn(&mut life, visit);
        }
        life
    }

    fn again(&self, change: &Change<W>) {
        self.device.chip().sim().apply(change).expect("it worked before");
    }

    fn cut_at(&self, place: Place, change: &Change<W>, life: Life, last: bool, plan: &Plan, count: &mut Count) {
        let mut rng = place.rng();
        if let Then::Chance(times) = plan.then {
            for _ in 0..times {
                let cut = rng.choice(plan.ways).expect("some way");
                self.fork(place, change, *cut, life, count, |life, count| {
                    self.by_chance(life, plan, &mut rng, count);
                    self.rest(life, plan, count);
                });
            }
            return;
        }
        for cut in plan.ways.iter().filter(|cut| last || **cut != Cut::After) {
            self.fork(place, change, *cut, life, count, |life, count| {
                if plan.then == Then::Again {
                    let then = Plan { then: Then::Rest, ..*plan };
                    self.cut_along(*life, &then, &mut Turns::all(), count);
                } else {
                    self.rest(life, plan, count);
                }
            });
        }
    }

    /// The change is cut, the device boots, `then` happens, and all is as before.
    fn fork(
        &self,
        place: Place,
        change: &Change<W>,
        cut: Cut,
        mut life: Life,
        count: &mut Count,
        then: impl FnOnce(&mut Life, &mut Count),
    ) {
        let _told = Told::Cut(place, cut);
        let (chip, runs) = (self.device.chip(), self.device.runs());
        chip.sim().checkpoint();
        chip.sim().cut_after(0, cut);
        chip.sim().apply(change).expect_err("the power was cut");
        count.points += u64::from(chip.sim().cut_made_a_difference());
        self.reset(&mut life);
        then(&mut life, count);
        chip.sim().rollback();
        chip.sim().commit();
        self.device.set_runs(runs);
    }

    /// Up to four more cuts, most of them soon after a reset.
    fn by_chance(&self, life: &mut Life, plan: &Plan, rng: &mut fastrand::Rng, count: &mut Count) {
        let chip = self.device.chip();
        for _ in 0..rng.u32(1..5) {
            let (at, cut) = (reach(rng), *rng.choice(plan.ways).expect("some way"));
            let _told = Told::Cut(Place { run: 0, at }, cut);
            chip.sim().cut_after(at as u64, cut);
            self.until_reset(life, &mut Patient);
            let cut = !chip.sim().is_powered();
            count.points += u64::from(cut && chip.sim().cut_made_a_difference());
            self.reset(life);
        }
    }

    fn rest(&self, life: &Life, plan: &Plan, count: &mut Count) {
        count.lives += 1;
        if count.lives.is_multiple_of(plan.finish_every) {
            count.finished += 1;
            self.live_on(*life);
        } else {
            self.glance(life);
        }
    }

    /// The application goes on for one erase unit: it asks for no more than it has to, and all that it calls durable
    /// is there, bit for bit.
    fn glance(&self, life: &Life) {
        let device = &self.device;
        if device.holds(device.running(), &self.new) {
            device.confirm().expect("there is power");
            return;
        }
        let mut visit = Visit::default();
        device.fetch(&self.release(), E as u32, &mut visit).expect("there is power");
        self.check_resume(life, &visit);
        // Where the mark is the image's first word, that comes last.
        let from = if self.scenario.board.mode.chooses() { W.max(4) } else { 0 };
        let sure = if visit.staged { self.new.len() } else { visit.durable as usize };
        let slot = (device.target().start + device.slots().start()) as usize;
        let flash = device.chip().sim();
        if from < sure {
            assert!(flash.bytes()[slot + from..slot + sure] == self.new[from..sure], "not what is durable: {visit:?}");
        }
    }
}

/// A number of points, small ones most of the time.
fn reach(rng: &mut fastrand::Rng) -> usize {
    let most = 8 << (3 * rng.u32(0..4));
    rng.u64(0..most) as usize
}

/// Where something happens: the run of the device since it began or since the cut before, and the point of that, or
/// the await.
#[derive(Clone, Copy)]
struct Place {
    run: usize,
    at: usize,
}

impl Place {
    /// The same numbers each time.
    fn rng(self) -> fastrand::Rng {
        fastrand::Rng::with_seed(((self.run as u64) << 32) + self.at as u64)
    }
}

/// Says what it was that does harm.
enum Told {
    Cut(Place, Cut),
    Drop(Place, GoesOn),
}

impl Drop for Told {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        match self {
            Self::Cut(Place { run, at }, cut) => std::eprintln!("after {cut:?} at point {at} of run {run}"),
            Self::Drop(Place { run, at }, goes_on) => {
                std::eprintln!("after a future dropped at await {at} of run {run}, going on {goes_on:?}");
            }
        }
    }
}
