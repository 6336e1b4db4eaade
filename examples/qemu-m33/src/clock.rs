//! The time of `embassy-time`, by a counter that runs at 20 MHz and a timer that counts down.

use core::cell::RefCell;
use core::task::Waker;

use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

use crate::chip::{self, TIMER};

struct Clock(Mutex<RefCell<State>>);

struct State {
    queue: Queue,
    /// The counter's value when it was last looked at, and all ticks up to then.
    count: u32,
    ticks: u64,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock(Mutex::new(RefCell::new(State {
    queue: Queue::new(),
    count: 0,
    ticks: 0,
}))));

impl Driver for Clock {
    fn now(&self) -> u64 {
        critical_section::with(|token| self.0.borrow_ref_mut(token).now())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|token| {
            if self.0.borrow_ref_mut(token).queue.schedule_wake(at, waker) {
                self.arm(token);
            }
        });
    }
}

impl Clock {
    /// Wakes what is due, and sets the timer for what comes next.
    fn arm(&self, token: CriticalSection<'_>) {
        let mut state = self.0.borrow_ref_mut(token);
        let now = state.now();
        let wait = state.queue.next_expiration(now).saturating_sub(now).clamp(1, LONGEST);
        chip::write(CTRL, 0);
        chip::write(INTCLEAR, 1);
        // This sets the value, too.
        chip::write(RELOAD, wait as u32 * TICKS as u32);
        chip::write(CTRL, ENABLE | INTERRUPT);
    }
}

impl State {
    /// In microseconds.
    fn now(&mut self) -> u64 {
        let count = chip::read(COUNTER);
        self.ticks += u64::from(count.wrapping_sub(self.count));
        self.count = count;
        self.ticks / TICKS
    }
}

/// From here on timers end.
pub(crate) fn start() {
    critical_section::with(|token| CLOCK.arm(token));
    chip::unmask(TIMER);
}

pub(crate) unsafe extern "C" fn interrupt() {
    critical_section::with(|token| CLOCK.arm(token));
}

/// Ticks in a microsecond.
const TICKS: u64 = 20;
/// The counter, of 32 bits, has to be looked at before it comes round: in microseconds.
const LONGEST: u64 = 60_000_000;

/// Of FPGAIO; it runs from the start on.
const COUNTER: usize = 0x5030_2018;
/// Of TIMER0.
const CTRL: usize = 0x5000_0000;
const RELOAD: usize = 0x5000_0008;
const INTCLEAR: usize = 0x5000_000c;
const ENABLE: u32 = 1;
const INTERRUPT: u32 = 1 << 3;
