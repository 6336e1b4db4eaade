//! An executor that sleeps by WFI: QEMU then halts, and with `-icount` and `sleep=off` jumps to the next timer.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use embassy_executor::{Spawner, raw};
use embassy_time::Instant;
use static_cell::StaticCell;

/// Runs tasks for good.
pub fn run(start: impl FnOnce(Spawner)) -> ! {
    static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
    crate::clock::start();
    let executor: &'static raw::Executor = EXECUTOR.init(raw::Executor::new(core::ptr::null_mut()));
    start(executor.spawner());
    loop {
        let began = Instant::now();
        // SAFETY: this is the only place, and it is no interrupt.
        unsafe { executor.poll() };
        LONGEST.fetch_max(began.elapsed().as_micros() as u32, Ordering::Relaxed);
        critical_section::with(|_| {
            // An interrupt that comes from here on ends the sleep, and runs after it.
            if !WOKEN.swap(false, Ordering::Relaxed) {
                cortex_m::asm::wfi();
            }
        });
    }
}

/// The longest time in which all tasks that were ready had their turn, in microseconds: what a watchdog would see.
pub fn longest_turn() -> u32 {
    LONGEST.load(Ordering::Relaxed)
}

#[unsafe(export_name = "__pender")]
fn pender(_context: *mut ()) {
    WOKEN.store(true, Ordering::Relaxed);
}

static WOKEN: AtomicBool = AtomicBool::new(false);
static LONGEST: AtomicU32 = AtomicU32::new(0);
