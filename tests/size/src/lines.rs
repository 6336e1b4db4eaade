//! Where log lines go: nowhere.

use core::hint::black_box;

/// Takes the lines of `defmt`.
#[cfg(feature = "defmt")]
#[defmt::global_logger]
struct Encoded;

// SAFETY: one thread, and no interrupt.
#[cfg(feature = "defmt")]
unsafe impl defmt::Logger for Encoded {
    fn acquire() {}
    unsafe fn flush() {}
    unsafe fn release() {}
    unsafe fn write(bytes: &[u8]) {
        black_box(bytes);
    }
}

/// Takes the lines of `log`, and has them written out.
#[cfg(feature = "log")]
struct Text;

#[cfg(feature = "log")]
impl log::Log for Text {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let _ = core::fmt::Write::write_fmt(&mut Self, *record.args());
    }
    fn flush(&self) {}
}

#[cfg(feature = "log")]
impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        black_box(text);
        black_box(Ok(()))
    }
}

#[cfg(feature = "log")]
pub(crate) fn start() {
    let _ = log::set_logger(&Text);
    log::set_max_level(log::LevelFilter::Trace);
}
