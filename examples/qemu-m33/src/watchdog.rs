//! A watchdog: a program that does not feed it for two seconds is ended, with status 4 and a line on standard error.

use crate::chip;
use crate::console::{self, ERRORS};
use crate::line;

/// From here on it wants to be fed.
pub fn start() {
    chip::write(LOAD, SECONDS * HERTZ);
    chip::write(CONTROL, INTERRUPT | RESET);
}

/// All is well.
pub fn feed() {
    chip::write(INTCLR, 1);
}

// The watchdog of the CPU's secure side interrupts by this, whatever else goes on; and had it no handler, it would reset
// the machine as long again after that.
#[cortex_m_rt::exception]
unsafe fn NonMaskableInt() -> ! {
    line!(ERRORS, "watchdog: not fed for {SECONDS} s");
    console::exit(4)
}

const SECONDS: u32 = 2;
/// Of its own clock.
const HERTZ: u32 = 32_000;

/// Of the watchdog at the slow clock.
const LOAD: usize = 0x5002_e000;
const CONTROL: usize = 0x5002_e008;
const INTCLR: usize = 0x5002_e00c;
const INTERRUPT: u32 = 1;
const RESET: u32 = 1 << 1;
