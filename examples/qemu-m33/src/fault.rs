//! A fault ends the program: status 102, and a line on standard error.
//!
//! A stack that is full is one, by the CPU's register MSPLIM, before anything else is written over. The handler, which
//! needs a stack itself, then goes on below the limit, where nothing is: the RAM is longer than the stack.

use core::arch::naked_asm;

use crate::chip;
use crate::console::{self, ERRORS};
use crate::line;

#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn HardFault() {
    naked_asm!("mrs r0, MSP", "movs r1, #0", "msr MSPLIM, r1", "b {}", sym fault)
}

/// `frame`: the registers when it happened, but for a full stack, which has no room for them.
extern "C" fn fault(frame: *const u32) -> ! {
    if chip::read(CFSR) & STKOF != 0 {
        line!(ERRORS, "fault: the stack is full");
    } else {
        // SAFETY: the CPU has put eight words there; the program counter is the seventh.
        let at = unsafe { frame.add(6).read_volatile() };
        line!(ERRORS, "fault at {at:#x}");
    }
    console::exit(102)
}

/// What kind of fault it was.
const CFSR: usize = 0xe000_ed28;
/// The stack pointer was to go below its limit.
const STKOF: u32 = 1 << 20;
