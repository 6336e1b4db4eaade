//! `nrf_modem_os_sleep`, one of the functions that the modem library asks of the firmware.
//!
//! `nrf_modem_shutdown` needs it since libmodem 3.4, and `nrf-modem` 0.11, which provides all the others, lacks it. A
//! feature of its own, because a program has each function once: a later `nrf-modem` may bring it.

use core::ffi::c_int;

use nrf_modem::ffi;

/// Waits so many milliseconds, as `nrf-modem` itself does: busily.
// SAFETY: it has the name and the signature that `nrf_modem_os.h` declares.
#[unsafe(no_mangle)]
extern "C" fn nrf_modem_os_sleep(timeout: u32) -> c_int {
    // One by one: what it takes is microseconds, and it multiplies them into cycles.
    for _ in 0..timeout {
        ffi::nrf_modem_os_busywait(1000);
    }
    0
}
