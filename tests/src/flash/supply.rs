//! The power of a flash, which others may share.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use super::SimFlash;

/// Whether there is power. A clone is a supply of its own in the same state.
#[derive(Debug)]
pub(super) struct Supply(Arc<AtomicBool>);

impl Supply {
    pub(super) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Supply {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Clone for Supply {
    fn clone(&self) -> Self {
        Self(Arc::new(AtomicBool::new(self.is_on())))
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> SimFlash<WRITE, ERASE, READ> {
    /// Puts this flash on the supply of another one: a cut that hits a point of either takes the power from both, and
    /// either's [`power_on`](Self::power_on) gives it back. Each counts its own points.
    pub fn share_supply<const W: usize, const E: usize, const R: usize>(&mut self, other: &SimFlash<W, E, R>) {
        self.supply = Supply(Arc::clone(&other.supply.0));
    }

    pub(super) fn switch(&mut self, on: bool) {
        self.state.powered = on;
        self.supply.0.store(on, Ordering::Relaxed);
    }
}
