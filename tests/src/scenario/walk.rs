//! A cut at each point of a life, without living up to it each time: power takes all but the flash, so each cut begins
//! with the flash as it was at its point.

use alloc::vec::Vec;

use super::World;
use super::world::Life;
use crate::device::Visit;
use crate::flash::{Change, Cut};
use crate::search::Turns;

/// What a walk does at each point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) ways: &'static [Cut],
    pub(crate) then: Then,
    /// One life in so many is lived to its end, the others are looked at.
    pub(crate) finish_every: u64,
}

/// What comes behind a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The rest of the life.
    Rest,
    /// The rest of the life, with a cut at each of its points.
    Again,
    /// Up to four more cuts by chance, and the rest of the life, so many times.
    Chance(u32),
}

/// What a walk came by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// Cuts that made a difference.
    pub(crate) points: u64,
    /// Sequences of cuts.
    pub(crate) lives: u64,
    /// Of these, lived to their end.
    pub(crate) finished: u64,
}

/// A life from a reset to the next.
struct Stretch<const W: usize> {
    changes: Vec<Change<W>>,
    /// What the visit was, from which point on.
    visits: Vec<(usize, Visit)>,
    end: Life,
    over: bool,
}

impl<const W: usize, const E: usize, const R: usize> World<W, E, R> {
    /// Cuts at those points of the update and of the confirmation whose turn it is.
    pub(crate) fn walk(&self, plan: &Plan, turns: &mut Turns<'_>) -> Count {
        self.restore();
        let mut count = Count::default();
        self.cut_along(Life::default(), plan, turns, &mut count);
        count
    }

    /// Lives to the end, and cuts at each point of that.
    fn cut_along(&self, mut life: Life, plan: &Plan, turns: &mut Turns<'_>, count: &mut Count) {
        for run in 0..8 {
            self.device.chip().sim().checkpoint();
            let stretch = self.stretch(life);
            self.device.chip().sim().rollback();
            for (at, change) in stretch.changes.iter().enumerate() {
                if turns.mine() {
                    let mut life = life;
                    if let Some((_, visit)) = stretch.visits.iter().rev().find(|(from, _)| *from <= at) {
                        self.learn(&mut life, visit);
                    }
                    // Behind a point is before the next one.
                    let last = at + 1 == stretch.changes.len();
                    let place = Place { run, at };
                    self.cut_at(place, change, life, last, plan, count);
                }
                self.device.chip().sim().apply(change).expect("it worked before");
            }
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
    fn stretch(&self, life: Life) -> Stretch<W> {
        let (mut end, mut visits) = (life, Vec::new());
        let chip = self.device.chip();
        chip.sim().start_tape();
        let began = chip.sim().points();
        let over =
            self.until_reset(&mut end, &mut |visit| visits.push(((chip.sim().points() - began) as usize, *visit)));
        let changes = chip.sim().take_tape();
        Stretch { changes, visits, end, over }
    }

    fn cut_at(&self, place: Place, change: &Change<W>, life: Life, last: bool, plan: &Plan, count: &mut Count) {
        let mut rng = fastrand::Rng::with_seed(((place.run as u64) << 32) + place.at as u64);
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
        let _told = Told(place, cut);
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
            let reach = 8 << (3 * rng.u32(0..4));
            let (point, cut) = (rng.u64(0..reach), *rng.choice(plan.ways).expect("some way"));
            let _told = Told(Place { run: 0, at: point as usize }, cut);
            chip.sim().cut_after(point, cut);
            self.until_reset(life, &mut |_| {});
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

/// Where a cut hits: the run of the device since it began or since the cut before, and the point of that.
#[derive(Clone, Copy)]
struct Place {
    run: usize,
    at: usize,
}

/// Says which cut it was that does harm.
struct Told(Place, Cut);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(Place { run, at }, cut) = self;
            std::eprintln!("after {cut:?} at point {at} of run {run}");
        }
    }
}
