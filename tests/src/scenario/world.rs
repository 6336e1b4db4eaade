//! [`World`]: one device and its lives.

use alloc::vec::Vec;

use dfu_target_mcuboot::{RunningState, Side};

use super::{Cutting, Scenario};
use crate::device::{Caller, Device, Patient, Phase, Release, Visit};
use crate::image::ImageFile;

/// A device in front of an update, and how it got there.
#[derive(Debug)]
pub struct World<const W: usize, const E: usize, const R: usize> {
    pub(super) device: Device<W, E, R>,
    pub(super) scenario: Scenario,
    pub(super) old: ImageFile,
    pub(super) new: ImageFile,
    pub(super) foreign: Vec<u8>,
    /// Where the old image runs.
    pub(super) runs: Side,
}

/// What is known of the past.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Life {
    pub(super) last: Phase,
    pub(super) floor: u32,
    pub(super) complete: bool,
    pub(super) went_back: bool,
}

impl<const W: usize, const E: usize, const R: usize> World<W, E, R> {
    pub(super) fn new(
        device: Device<W, E, R>,
        scenario: Scenario,
        [old, new]: [ImageFile; 2],
        foreign: Vec<u8>,
    ) -> Self {
        let runs = device.runs();
        Self { device, scenario, old, new, foreign, runs }
    }

    /// The device. Its flash has a checkpoint from before the update.
    pub fn device(&self) -> &Device<W, E, R> {
        &self.device
    }

    /// The image that is to run, as it is fetched.
    pub fn release(&self) -> Release<'_> {
        let Scenario { chunk, save_every, prepares, .. } = self.scenario;
        Release::new(&self.new).chunk(chunk).save_every(save_every).prepares(prepares)
    }

    /// As it was before the update.
    pub fn restore(&self) {
        self.device.chip().sim().rollback();
        self.device.set_runs(self.runs);
    }

    /// Lives on until the new image runs and stays, through all of these cuts; how many of them happened.
    ///
    /// Panics where anything is not as it must be.
    pub fn live(&self, cuttings: &[Cutting]) -> u64 {
        self.restore();
        let mut cuts = 0;
        let mut life = Life::default();
        for Cutting { point, cut } in cuttings {
            self.device.chip().sim().cut_after(*point, *cut);
            if self.until_reset(&mut life, &mut Patient) {
                break;
            }
            cuts += u64::from(!self.device.chip().sim().is_powered());
            self.reset(&mut life);
        }
        self.live_on(life);
        cuts
    }

    /// Lives on without a cut.
    pub(super) fn live_on(&self, mut life: Life) {
        for _ in 0..6 {
            if self.until_reset(&mut life, &mut Patient) {
                return self.finished();
            }
            self.reset(&mut life);
        }
        panic!("no end of it: {life:?}");
    }

    /// The application until the reset that it asks for or that a cut makes; whether there is nothing left to do.
    pub(super) fn until_reset(&self, life: &mut Life, caller: &mut impl Caller) -> bool {
        let device = &self.device;
        let power = || device.chip().sim().is_powered();
        if device.holds(device.running(), &self.new) {
            let confirmed = device.confirm_by(caller);
            assert!(confirmed.is_ok() || !power(), "{confirmed:?}");
            return power();
        }
        assert_ne!(device.state(), RunningState::Trial, "the old image was confirmed");
        if device.chip().sim().is_unstable(device.log()) {
            // A record with a bit that wavers may be read once, replace an older one, and not be read again.
            life.complete = false;
            life.floor = 0;
        }
        let mut visit = Visit::default();
        let result = device.update_by(caller, &self.release(), &mut visit);
        assert!(result.is_ok() || !power(), "{result:?} {visit:?}");
        if let Some(before) = caller.before() {
            self.learn(life, &before);
            self.check_going_on(&before, &visit, caller.goes_on());
        }
        self.learn(life, &visit);
        false
    }

    /// The visit is over.
    pub(super) fn learn(&self, life: &mut Life, visit: &Visit) {
        self.check_resume(life, visit);
        life.last = visit.phase;
        life.complete = visit.complete || life.complete && visit.from.is_none();
        life.floor = life.floor.max(self.safe(visit));
    }
}
