//! The modem through Nordic's library: [`port`](crate::port) over `nrf_modem::nrfxlib_sys`.
//!
//! The firmware brings the modem up with `nrf_modem::init`, as ever, and has its IPC interrupt call
//! `nrf_modem::ipc_irq_handler`. Then:
//!
//! ```text
//!   nrf_modem::init ─► NormalMode     delta updates; the modem installs them when it starts next
//!        │
//!        └── Ok or Err ─► BootloaderMode::start ─► full update ─► stop ─► reset of the chip
//! ```
//!
//! [`BootloaderMode`] asks for the call of `nrf_modem::init`, not for its success: the library takes memory from a heap
//! that exists from that call on, and a modem that does not start is just what a full update is for. What the call must
//! not return is `BadMemoryLayout`: then there is no heap, and [`start`](crate::port::Bootloader::start) refuses with
//! [`Errno::Perm`](crate::port::Errno::Perm) before it touches anything.
//!
//! - **One start a reset.** `nrf-modem` starts the modem once, and what it keeps does not survive a second
//!   `nrf_modem_init`. After a full update, and to have a delta installed, reset the chip; a modem that runs gets
//!   `AT+CFUN=0` before.
//! - **Not every error of `nrf_modem::init` asks for a full update.** -11 (EAGAIN) is too low a voltage: try again. -5
//!   (EIO) is a modem at fault, though it was also seen after a reset in the midst of its work with its flash: reset
//!   once more before that is believed.
//! - **Not from an interrupt.** Most calls block until the IPC interrupt has come, and in an interrupt `nrf-modem` does
//!   not let them wait. For an interrupt executor it has `os-irq`.
//! - **A fault panics.** While the modem runs normally, `nrf-modem` answers a fault of it with a panic, out of the IPC
//!   interrupt. A firmware that is to mend its modem has to come back from there with a reset, and then leave the start
//!   of the modem out: `start::hold_back`.
//! - **`nrf_modem_os_sleep`** has to be defined for `nrf_modem_shutdown`, and `nrf-modem` 0.11 does not: see the feature
//!   `os-sleep`.
//! - **The outcome of a delta** is told by the UUID, before and after: `nrf-modem` drops what the library tells. With the
//!   feature `wrap-init` it is kept: `start::outcome`.

#[cfg(not(test))]
mod bootloader;
mod entry;
mod memory;
#[cfg(not(test))]
mod normal;
#[cfg(all(feature = "os-sleep", not(test)))]
mod os_sleep;
#[cfg(all(feature = "wrap-init", not(test)))]
pub mod start;
mod words;

#[cfg(not(test))]
pub use bootloader::{BootloaderMode, SharedMemory};
pub use memory::OutOfReach;
#[cfg(not(test))]
pub use normal::NormalMode;
