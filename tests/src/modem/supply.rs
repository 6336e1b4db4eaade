//! The power of a modem: its own, or that of a flash beside it.

use alloc::rc::Rc;

use super::FakeModem;
use crate::flash::{Chip, Cut};

/// What counts points and fails at one of them. A flash does; the modem's own supply is that of a flash of no size.
pub(super) trait Supply {
    fn is_on(&self) -> bool;
    fn on(&self);
    fn cut_after(&self, points: u64, cut: Cut);
    fn points(&self) -> u64;
    fn point(&self) -> Option<Cut>;
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> Supply for Chip<WRITE, ERASE, READ> {
    fn is_on(&self) -> bool {
        self.sim().is_powered()
    }

    fn on(&self) {
        self.sim().power_on();
    }

    fn cut_after(&self, points: u64, cut: Cut) {
        self.sim().cut_after(points, cut);
    }

    fn points(&self) -> u64 {
        self.sim().points()
    }

    fn point(&self) -> Option<Cut> {
        self.sim().foreign_point()
    }
}

impl FakeModem {
    /// Has the modem live on the same supply as a flash: the flash counts the points of both, in the order in which
    /// they come, and the cut that hits one of them takes the power from both.
    ///
    /// A rollback of the flash takes the count back, and leaves the modem to [`reload`](Self::reload).
    pub fn share_supply<const WRITE: usize, const ERASE: usize, const READ: usize>(
        &self,
        flash: &Chip<WRITE, ERASE, READ>,
    ) {
        self.inner().supply = Rc::new(flash.clone());
    }

    /// Lets power fail at the point that `points` more precede: 0 hits the next one.
    ///
    /// A call that changes something is a point; of `fw_write` and of the `update` behind it, each page that they
    /// program, and nothing else; of [`start_normal`](Self::start_normal), an update or rollback that it does.
    pub fn cut_after(&self, points: u64, cut: Cut) {
        self.inner().supply.cut_after(points, cut);
    }

    /// The points so far; with a [shared supply](Self::share_supply), those of the flash as well.
    pub fn points(&self) -> u64 {
        self.inner().supply.points()
    }

    /// Whether there is power.
    pub fn is_powered(&self) -> bool {
        self.inner().supply.is_on()
    }

    /// A reset of the whole chip, after a power cut or without one: the modem is off, and holds what its flash holds.
    /// Cuts and failures that were still to come are forgotten. With a shared supply, the flash has power again.
    pub fn power_on(&self) {
        let mut inner = self.inner();
        inner.forget_ram();
        inner.area.asked = false;
        inner.script.forget_failures();
        inner.supply.on();
    }
}
