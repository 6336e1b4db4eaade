//! A dropped future at each await of a life. What was in memory can't be brought back, so that each is lived from its
//! last reset on; what comes behind is cut as everywhere.

use super::{Count, GoesOn, Place, Plan, Stretch, Then, Told, World, reach};
use crate::poll::Patience;
use crate::scenario::course::Course;
use crate::scenario::world::Life;
use crate::search::Turns;

impl<const W: usize, const E: usize, const R: usize> World<W, E, R> {
    /// Lives to the end, and drops a future at each await of that, in both ways to go on.
    pub(super) fn drop_along(&self, plan: &Plan, turns: &mut Turns<'_>, count: &mut Count) {
        self.along(Life::default(), |run, stretch| {
            for at in (1..=stretch.awaits).filter(|_| turns.mine()) {
                for goes_on in [GoesOn::Same, GoesOn::Anew] {
                    self.drop_at(Place { run, at }, goes_on, stretch.start, plan, count);
                }
            }
            stretch.changes.iter().for_each(|change| self.again(change));
        });
    }

    /// A future is dropped, the application goes on, and all is as before.
    fn drop_at(&self, place: Place, goes_on: GoesOn, life: Life, plan: &Plan, count: &mut Count) {
        let _told = Told::Drop(place, goes_on);
        let (chip, runs) = (self.device.chip(), self.device.runs());
        chip.sim().checkpoint();
        let stretch = self.stretch(life, Course::dropping(chip, Patience::until(place.at), goes_on));
        count.drops += 1;
        match plan.then {
            Then::Rest => self.live_behind(&stretch, plan, count),
            Then::Again => {
                chip.sim().rollback();
                let then = Plan { then: Then::Rest, ..*plan };
                self.cut_through(place.run, &stretch, &then, &mut Turns::all(), count);
                self.live_behind(&stretch, plan, count);
            }
            Then::Chance(times) => {
                let mut rng = place.rng();
                for _ in 0..times {
                    chip.sim().rollback();
                    self.cut_somewhere(place.run, &stretch, plan, &mut rng, count);
                }
            }
        }
        chip.sim().commit();
        chip.sim().rollback();
        chip.sim().commit();
        self.device.set_runs(runs);
    }

    /// What comes behind a stretch without another fault.
    fn live_behind(&self, stretch: &Stretch<W>, plan: &Plan, count: &mut Count) {
        if stretch.over {
            count.lives += 1;
            count.finished += 1;
            return self.finished();
        }
        let mut life = stretch.end;
        self.reset(&mut life);
        self.rest(&life, plan, count);
    }

    /// One cut by chance in a stretch, most often soon, and up to four more behind it.
    fn cut_somewhere(&self, run: usize, stretch: &Stretch<W>, plan: &Plan, rng: &mut fastrand::Rng, count: &mut Count) {
        let Some(last) = stretch.changes.len().checked_sub(1) else { return };
        let at = reach(rng).min(last);
        stretch.changes[..at].iter().for_each(|change| self.again(change));
        let (cut, life) = (*rng.choice(plan.ways).expect("some way"), self.life_at(stretch, at));
        self.fork(Place { run, at }, &stretch.changes[at], cut, life, count, |life, count| {
            self.by_chance(life, plan, rng, count);
            self.rest(life, plan, count);
        });
    }
}
