//! Signs of life: what the board shows of an update, and what keeps the watchdog quiet.

use core::cell::{Cell, RefCell};
use core::fmt::Debug;
use core::ops::ControlFlow;

use cortex_m::peripheral::SCB;
use defmt::{Format, error, info, warn};
use dfu_apps::{Event, Next};
use dfu_target_nrf_modem::{DeltaPolicy, FullPolicy, Phase};
use embassy_nrf::gpio::Output;
use embassy_nrf::wdt::WatchdogHandle;
use embassy_time::Timer;
use fota_download::Event as Download;

/// The watchdog and a LED, which every event of an update feeds and toggles: no timer does that, so an update that hangs
/// is ended. LED 1 blinks as bytes come, LED 2 is lit when nothing is left to do.
pub struct Signs {
    watchdog: RefCell<Option<WatchdogHandle>>,
    progress: RefCell<Output<'static>>,
    done: RefCell<Output<'static>>,
    /// How much had come when that was said last.
    said: Cell<u32>,
}

/// How often it is said how far a download is, in bytes.
const SAY_EVERY: u32 = 16 * 1024;
/// How long to wait before what failed is tried again, in minutes. What it fetches costs money.
const PAUSE: u32 = 15;

impl Signs {
    pub(crate) fn new(watchdog: Option<WatchdogHandle>, progress: Output<'static>, done: Output<'static>) -> Self {
        let (watchdog, progress, done) = (RefCell::new(watchdog), RefCell::new(progress), RefCell::new(done));
        Self { watchdog, progress, done, said: Cell::new(0) }
    }

    /// Something went on.
    pub fn alive(&self) {
        if let Ok(mut watchdog) = self.watchdog.try_borrow_mut()
            && let Some(watchdog) = watchdog.as_mut()
        {
            watchdog.pet();
        }
        if let Ok(mut led) = self.progress.try_borrow_mut() {
            led.toggle();
        }
    }

    /// An event of an update, into the log.
    pub fn tell(&self, event: Event) {
        self.alive();
        match event {
            Event::Goes(Download::Receiving(report)) => {
                if report.offset.abs_diff(self.said.get()) >= SAY_EVERY {
                    self.said.set(report.offset);
                    info!("{} of {} bytes, {} safe", report.offset, report.size, report.durable);
                }
            }
            Event::Goes(Download::Waiting(report)) => warn!("{}", report),
            Event::Goes(Download::Verified(digest)) => info!("verified: {=[u8; 32]:02x}", digest.0),
            event => info!("{}", event),
        }
    }

    /// A minute in which nothing is to be done.
    pub async fn rest(&self) {
        Timer::after_secs(60).await;
        self.alive();
    }

    /// What a program ended with, and the end of it: the reset, now or after a pause, or nothing for good.
    pub async fn end<E: Debug + Format>(&self, result: Result<Next, E>) -> ! {
        let pause = match result {
            Ok(Next::Reset) => {
                info!("reset");
                0
            }
            Ok(Next::Nothing) => {
                info!("nothing more to do");
                if let Ok(mut led) = self.done.try_borrow_mut() {
                    led.set_high();
                }
                u32::MAX
            }
            Err(error) => {
                error!("{}; again in {} minutes, after a reset", error, PAUSE);
                PAUSE
            }
        };
        // This loop stands for the application's own, which has work to do, and signs of it.
        for _ in 0..pause {
            self.rest().await;
        }
        // The log's last line goes out.
        Timer::after_millis(100).await;
        SCB::sys_reset()
    }
}

impl DeltaPolicy for &Signs {
    fn erasing(&mut self, waited_ms: u32) -> ControlFlow<()> {
        self.alive();
        if waited_ms.is_multiple_of(5000) {
            info!("the modem has been erasing for {} ms", waited_ms);
        }
        ControlFlow::Continue(())
    }
}

impl FullPolicy for &Signs {
    fn progress(&mut self, phase: Phase, done: u32, total: u32) {
        self.alive();
        if done == 0 || done >= total || done.abs_diff(self.said.get()) >= 8 * SAY_EVERY {
            self.said.set(done);
            info!("{}: {} of {}", phase, done, total);
        }
    }
}
