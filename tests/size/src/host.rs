//! What a program can ask of QEMU: a console, an end with a status, and how many instructions went by.

use core::arch::asm;
use core::fmt;

/// The simulator's console.
pub struct Host;

impl fmt::Write for Host {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| semihosting(3, &raw const byte as usize));
        Ok(())
    }
}

/// Ends the simulation.
pub fn exit(status: u32) -> ! {
    let reason = [0x20026, status];
    semihosting(0x20, reason.as_ptr() as usize);
    loop {}
}

/// Counts instructions, where QEMU runs with `-icount shift=6`: one is 64 ns of its time. Exact but for the few that
/// looking takes, and up to three thousand million.
pub struct Count(u32);

impl Count {
    /// From here on.
    #[inline(always)]
    pub fn start() -> Self {
        Self(ticks())
    }

    /// Up to here.
    #[inline(always)]
    pub fn instructions(&self) -> u32 {
        let ticks = u64::from(ticks().wrapping_sub(self.0));
        (ticks.wrapping_mul(50) / 64) as u32
    }
}

/// The machine's counter, of 50 ns.
fn ticks() -> u32 {
    // SAFETY: the register COUNTER of the machine's FPGAIO.
    unsafe { (0x5030_2018 as *const u32).read_volatile() }
}

fn semihosting(operation: usize, argument: usize) {
    // SAFETY: a call of Arm's semihosting, with an argument that lives until it is over.
    unsafe { asm!("bkpt #0xab", inout("r0") operation => _, in("r1") argument) };
}
