//! [`Control`]: to hold an update, let it go on, or end it, from elsewhere.

use core::sync::atomic::{AtomicU8, Ordering};

use embedded_hal_async::delay::DelayNs;

/// Holds an update, lets it go on, or ends it, from another task or an interrupt.
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

/// How often a paused update looks whether it may go on, in milliseconds.
pub(super) const LOOK_MS: u32 = 100;

impl Control {
    /// An update under it runs.
    pub const fn new() -> Self {
        Self(AtomicU8::new(Wish::Run as u8))
    }

    /// Holds the update before its next step, or amid a pause after a failure. What is stored stays.
    pub fn pause(&self) {
        self.wish_for(Wish::Pause);
    }

    /// Lets a paused update go on, within a tenth of a second; and one that was cancelled begin anew.
    pub fn resume(&self) {
        self.wish_for(Wish::Run);
    }

    /// Ends the update before its next step. What is stored stays.
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

/// A clock that ends a pause as soon as something else is wanted.
pub(super) struct Watched<'c, D> {
    pub(super) clock: &'c mut D,
    pub(super) control: &'c Control,
}

impl<D: DelayNs> DelayNs for Watched<'_, D> {
    async fn delay_ns(&mut self, ns: u32) {
        self.clock.delay_ns(ns).await;
    }

    async fn delay_ms(&mut self, ms: u32) {
        let mut left = ms;
        while left > 0 && self.control.wish() == Wish::Run {
            let slice = left.min(LOOK_MS);
            self.clock.delay_ms(slice).await;
            left = left.saturating_sub(slice);
        }
    }
}
