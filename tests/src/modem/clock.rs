//! Time that passes only where somebody waits.

use core::time::Duration;

use embedded_hal_async::delay::DelayNs;

use super::FakeModem;
use crate::poll::yield_once;

/// The waiting that a modem's clock knows of. A wait is pending once; dropped then, it took no time.
#[derive(Clone, Debug)]
pub struct Delay(FakeModem);

impl FakeModem {
    /// Something to wait with.
    pub fn delay(&self) -> Delay {
        Delay(self.clone())
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.inner().clock_ns += time.as_nanos() as u64;
    }

    /// The time that has passed.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.inner().clock_ns)
    }
}

impl DelayNs for Delay {
    async fn delay_ns(&mut self, ns: u32) {
        yield_once().await;
        self.0.pass(Duration::from_nanos(ns.into()));
    }

    async fn delay_us(&mut self, us: u32) {
        yield_once().await;
        self.0.pass(Duration::from_micros(us.into()));
    }

    async fn delay_ms(&mut self, ms: u32) {
        yield_once().await;
        self.0.pass(Duration::from_millis(ms.into()));
    }
}
