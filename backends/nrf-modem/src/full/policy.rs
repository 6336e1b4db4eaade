//! What the caller decides about a full update.

use crate::Wrapper;

/// What the caller decides about a full update, and hears of it. `()` takes every one, in silence.
pub trait FullPolicy {
    /// Whether to take an update with this manifest, asked before anything is erased. What its version and its
    /// compatibility count is not public; the caller may know which files are for this modem.
    fn accepts(&mut self, wrapper: &Wrapper<'_>) -> bool {
        let _ = wrapper;
        true
    }

    /// Called after each piece of work, with how far in the file that is and the file's length: a place for a progress
    /// bar, and for a watchdog. A piece is what one call of the modem takes; [`Phase::Verifying`] is one, told of before
    /// and after as 0 and 1 of 1, and can take minutes.
    fn progress(&mut self, phase: Phase, done: u32, total: u32) {
        let _ = (phase, done, total);
    }
}

impl FullPolicy for () {}

impl<T: FullPolicy + ?Sized> FullPolicy for &mut T {
    fn accepts(&mut self, wrapper: &Wrapper<'_>) -> bool {
        T::accepts(self, wrapper)
    }
    fn progress(&mut self, phase: Phase, done: u32, total: u32) {
        T::progress(self, phase, done, total);
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Phase {
    /// The staged file is read back.
    Checking,
    /// The loader is given to the modem.
    Loader,
    /// The modem checks the signature.
    Verifying,
    /// The modem's flash is programmed.
    Programming,
}
