//! What the caller decides about a delta update.

use core::ops::ControlFlow;

use dfu_target::Image;

use crate::port::Uuid;

/// What the caller decides about a delta update, and hears of it. `()` takes every delta and waits in silence.
pub trait DeltaPolicy {
    /// Whether to take this image on a modem that runs `base`, asked before anything is erased. A delta does not show
    /// for which firmware it is: where the caller knows, from the file's name or the job, this is the place to compare.
    /// Otherwise the modem refuses its first bytes.
    fn accepts(&mut self, base: &Uuid, image: &Image<'_>) -> bool {
        let _ = (base, image);
        true
    }

    /// Called between two looks at an erase, with the time waited so far. `Break` gives up waiting; the modem erases
    /// on. A modem that is registered to a network may not get round to it: go offline (`AT+CFUN=4`).
    fn erasing(&mut self, waited_ms: u32) -> ControlFlow<()> {
        let _ = waited_ms;
        ControlFlow::Continue(())
    }
}

impl DeltaPolicy for () {}

impl<T: DeltaPolicy + ?Sized> DeltaPolicy for &mut T {
    fn accepts(&mut self, base: &Uuid, image: &Image<'_>) -> bool {
        T::accepts(self, base, image)
    }
    fn erasing(&mut self, waited_ms: u32) -> ControlFlow<()> {
        T::erasing(self, waited_ms)
    }
}
