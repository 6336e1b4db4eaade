//! The board, brought up.

use cortex_m::peripheral::NVIC;
use defmt::warn;
use embassy_nrf::config::{Config, HfclkSource, LfclkSource};
use embassy_nrf::gpio::{AnyPin, Level, Output, OutputDrive};
use embassy_nrf::nvmc::Nvmc;
use embassy_nrf::wdt::{self, HaltConfig, Watchdog, WatchdogHandle};
use embassy_nrf::{Peri, interrupt, peripherals};

use crate::console::Console;
use crate::external::External;
use crate::internal::InternalFlash;
use crate::memory;
use crate::signs::Signs;

/// What the firmwares use of the nRF9160 DK.
pub struct Board {
    /// The chip's own flash.
    pub flash: InternalFlash,
    /// The watchdog and the LEDs.
    pub signs: Signs,
    /// The flash beside the chip.
    pub external: External,
    /// The serial line to the PC.
    pub console: Console,
}

/// The modem says something, or its bootloader does.
#[interrupt]
fn IPC() {
    nrf_modem::ipc_irq_handler();
}

/// Longer than anything that is one piece: of those the modem's own check of a full update is the longest, which Nordic
/// calls minutes, and installing a delta, which happens within the start of the modem.
const WATCHDOG_S: u32 = 600;

impl Board {
    /// Once, first of all.
    pub fn take() -> Self {
        let mut config = Config::default();
        config.hfclk_source = HfclkSource::ExternalXtal;
        config.lfclk_source = LfclkSource::ExternalXtal;
        let chip = embassy_nrf::init(config);
        // Not before: the clocks were just started at their secure addresses.
        memory::share();
        // SAFETY: its handler is there, and needs nothing that is not.
        #[allow(unsafe_code)]
        unsafe {
            NVIC::unmask(interrupt::IPC);
        }
        let led = |pin: Peri<'static, AnyPin>| Output::new(pin, Level::Low, OutputDrive::Standard);
        Self {
            flash: InternalFlash::new(Nvmc::new(chip.NVMC)),
            signs: Signs::new(watchdog(chip.WDT), led(chip.P0_02.into()), led(chip.P0_03.into())),
            external: External {
                bus: chip.SERIAL3,
                clock: chip.P0_13.into(),
                from_flash: chip.P0_12.into(),
                to_flash: chip.P0_11.into(),
                select: chip.P0_25.into(),
            },
            console: Console {
                uart: chip.SERIAL0,
                receive: chip.P0_28.into(),
                send: chip.P0_29.into(),
                timer: chip.TIMER0,
                channels: (chip.PPI_CH0, chip.PPI_CH1),
            },
        }
    }
}

/// One that runs, from here on or since before a reset, which does not stop it.
fn watchdog(timer: Peri<'static, peripherals::WDT>) -> Option<WatchdogHandle> {
    let mut wanted = wdt::Config::default();
    wanted.timeout_ticks = WATCHDOG_S.saturating_mul(32_768);
    wanted.action_during_debug_halt = HaltConfig::Pause;
    let config = wdt::Config::try_new(&timer).unwrap_or(wanted);
    match Watchdog::try_new(timer, config) {
        Ok((_, [handle])) => Some(handle),
        Err(_) => {
            warn!("a watchdog runs that wants to be fed by others, too");
            None
        }
    }
}
