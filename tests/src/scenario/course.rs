//! [`Course`]: what is noted of a device until its next reset.

use alloc::vec::Vec;
use core::mem;

use crate::device::{Caller, GoesOn, Visit};
use crate::flash::Chip;
use crate::poll::Patience;

/// Has the application do its work, gives up on a call where it is told to, and notes what it did: from there on, where
/// there is such a call, and else from the start.
///
/// The flash's tape runs with it. Where a call is dropped, there is a checkpoint.
pub(super) struct Course<'c, const W: usize, const E: usize, const R: usize> {
    chip: &'c Chip<W, E, R>,
    patience: Patience,
    goes_on: GoesOn,
    began: u64,
    /// What the visit was, from which point on.
    visits: Vec<(usize, Visit)>,
    /// The visit until a call was dropped.
    before: Option<Visit>,
}

impl<'c, const W: usize, const E: usize, const R: usize> Course<'c, W, E, R> {
    pub(super) fn new(chip: &'c Chip<W, E, R>) -> Self {
        Self::dropping(chip, Patience::endless(), GoesOn::Same)
    }

    pub(super) fn dropping(chip: &'c Chip<W, E, R>, patience: Patience, goes_on: GoesOn) -> Self {
        let mut course = Self { chip, patience, goes_on, began: 0, visits: Vec::new(), before: None };
        course.begin();
        course
    }

    /// How many awaits there were, and the visits.
    pub(super) fn end(self) -> (usize, Vec<(usize, Visit)>) {
        (self.patience.awaits(), self.visits)
    }

    fn begin(&mut self) {
        self.visits.clear();
        let mut flash = self.chip.sim();
        flash.start_tape();
        self.began = flash.points();
    }
}

impl<const W: usize, const E: usize, const R: usize> Caller for Course<'_, W, E, R> {
    fn calls(&mut self, visit: &Visit) {
        let points = self.chip.sim().points() - self.began;
        self.visits.push((points as usize, *visit));
    }

    fn wait<F: Future>(&mut self, call: F, visit: &mut Visit) -> Option<F::Output> {
        let output = self.patience.wait(call);
        if output.is_none() {
            self.before = Some(mem::take(visit));
            self.chip.sim().checkpoint();
            self.begin();
        }
        output
    }

    fn goes_on(&self) -> GoesOn {
        self.goes_on
    }

    fn before(&self) -> Option<Visit> {
        self.before
    }
}
