//! [`Control`]: to hold an update, let it go on, or end it, from elsewhere.

use core::sync::atomic::{AtomicU8, Ordering};

/// Holds an update, lets it go on, or ends it, from another task or an interrupt. The update looks at it before each
/// step, the last one among them, which asks for the image to be run, and ten times a second where it waits for the
/// network or in a pause.
#[derive(Debug, Default)]
pub struct Control(AtomicU8);

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Wish {
    Run = 0,
    Pause = 1,
    Cancel = 2,
}

impl Control {
    /// An update under it runs.
    pub const fn new() -> Self {
        Self(AtomicU8::new(Wish::Run as u8))
    }

    /// Holds the update. What is stored stays; the connection is closed.
    pub fn pause(&self) {
        self.wish_for(Wish::Pause);
    }

    /// Lets a paused update go on; and one that was cancelled begin anew.
    pub fn resume(&self) {
        self.wish_for(Wish::Run);
    }

    /// Ends the update. What is stored stays.
    pub fn cancel(&self) {
        self.wish_for(Wish::Cancel);
    }

    fn wish_for(&self, wish: Wish) {
        self.0.store(wish as u8, Ordering::Relaxed);
    }

    pub(super) fn wish(&self) -> Wish {
        match self.0.load(Ordering::Relaxed) {
            0 => Wish::Run,
            1 => Wish::Pause,
            _ => Wish::Cancel,
        }
    }
}
