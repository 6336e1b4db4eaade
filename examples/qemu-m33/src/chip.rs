//! Registers and interrupts of the mps2-an505. The CPU starts in its secure state, so all addresses are the secure ones.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

/// A number of an interrupt.
#[derive(Clone, Copy)]
pub(crate) struct Irq(u16);

// SAFETY: the numbers below are those of the machine.
unsafe impl InterruptNumber for Irq {
    fn number(self) -> u16 {
        self.0
    }
}

/// Of the timer that `clock` has.
pub(crate) const TIMER: Irq = Irq(3);
/// Of the Ethernet controller.
pub(crate) const ETHERNET: Irq = Irq(48);

/// Lets an interrupt happen.
pub(crate) fn unmask(irq: Irq) {
    // SAFETY: no critical section is built on the mask of one interrupt.
    unsafe { NVIC::unmask(irq) };
}

/// Reads a register.
pub(crate) fn read(register: usize) -> u32 {
    // SAFETY: the callers' constants are registers of this machine.
    unsafe { (register as *const u32).read_volatile() }
}

/// Writes a register.
pub(crate) fn write(register: usize, value: u32) {
    // SAFETY: the callers' constants are registers of this machine.
    unsafe { (register as *mut u32).write_volatile(value) };
}

#[doc(hidden)]
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
pub static __INTERRUPTS: [unsafe extern "C" fn(); ETHERNET.0 as usize + 1] = {
    let mut table = [DefaultHandler as unsafe extern "C" fn(); ETHERNET.0 as usize + 1];
    table[TIMER.0 as usize] = crate::clock::interrupt;
    table[ETHERNET.0 as usize] = crate::ethernet::interrupt;
    table
};

unsafe extern "C" {
    fn DefaultHandler();
}
