//! The PC, by Arm's semihosting: arguments, text, the exit status.

use core::arch::asm;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicUsize, Ordering};

/// The arguments, the program's name among them.
pub struct Arguments([u8; 512], usize);

impl Arguments {
    /// Asks for them.
    pub fn get() -> Self {
        let mut text = [0; 512];
        let mut block = [text.as_mut_ptr() as usize, text.len()];
        let failed = call(GET_CMDLINE, block.as_mut_ptr() as usize);
        Self(text, if failed == 0 { block[1] } else { 0 })
    }

    /// The value of `name=value`.
    pub fn value(&self, name: &str) -> Option<&str> {
        let text = core::str::from_utf8(self.0.get(..self.1)?).ok()?;
        text.split([' ', '\0']).find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// Its value, where it is a number.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.value(name)?.parse().ok()
    }
}

/// Text on one of QEMU's streams.
pub struct Stream {
    /// How it is opened, by the numbers of semihosting.
    mode: usize,
    handle: AtomicUsize,
}

/// QEMU's standard output. Not beside defmt, which writes there, too.
pub static OUTPUT: Stream = Stream { mode: 4, handle: AtomicUsize::new(0) };
/// QEMU's standard error.
pub static ERRORS: Stream = Stream { mode: 8, handle: AtomicUsize::new(0) };

impl Write for &Stream {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut handle = self.handle.load(Ordering::Relaxed);
        if handle == 0 {
            // The console.
            let block = [c":tt".as_ptr() as usize, self.mode, 3];
            handle = call(OPEN, block.as_ptr() as usize);
            self.handle.store(handle, Ordering::Relaxed);
        }
        let block = [handle, text.as_ptr() as usize, text.len()];
        match call(WRITE, block.as_ptr() as usize) {
            0 => Ok(()),
            _ => Err(fmt::Error),
        }
    }
}

/// A line of it: on standard output where no other stream is named.
#[macro_export]
macro_rules! line {
    ($text:literal $($arguments:tt)*) => { $crate::line!($crate::console::OUTPUT, $text $($arguments)*) };
    ($stream:expr, $($arguments:tt)*) => {{
        let _ = core::fmt::Write::write_fmt(&mut &$stream, format_args!($($arguments)*));
        let _ = core::fmt::Write::write_str(&mut &$stream, "\n");
    }};
}

/// Ends QEMU, with this status.
pub fn exit(status: u8) -> ! {
    let block = [APPLICATION_EXIT, status.into()];
    call(EXIT_EXTENDED, block.as_ptr() as usize);
    loop {
        cortex_m::asm::wfi();
    }
}

fn call(operation: usize, argument: usize) -> usize {
    let result;
    // SAFETY: a call of Arm's semihosting, with an argument that lives until it is over.
    unsafe { asm!("bkpt #0xab", inout("r0") operation => result, in("r1") argument) };
    result
}

const OPEN: usize = 0x01;
const WRITE: usize = 0x05;
const GET_CMDLINE: usize = 0x15;
const EXIT_EXTENDED: usize = 0x20;
const APPLICATION_EXIT: usize = 0x2_0026;

/// For programs that write text: what the library says by defmt, because another program here wants that, goes nowhere.
#[macro_export]
macro_rules! silent_defmt {
    () => {
        #[defmt::global_logger]
        struct Silent;

        // SAFETY: it writes nothing.
        unsafe impl defmt::Logger for Silent {
            fn acquire() {}
            unsafe fn flush() {}
            unsafe fn release() {}
            unsafe fn write(_: &[u8]) {}
        }
    };
}
