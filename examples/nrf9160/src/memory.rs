//! The RAM that the modem has a part in: the lowest of it.
//!
//! ```text
//!  0x2000_0000 │ control │ sending, with a heap │ receiving, or the modem's bootloader │ ... │ 0x2000_6000: the program's
//!                1,256      8,192                 8,216
//! ```
//!
//! The modem is a non-secure bus master, so these three regions of the SPU, of 8 KiB each, are non-secure. All else of
//! the program, stack and statics, lies above them and is secure; nothing of it is given to the modem, as its library
//! copies.

use dfu_target_nrf_modem::libmodem::BootloaderMode;
use embassy_nrf::pac;
use nrf_modem::{MemoryLayout, nrfxlib_sys as sys};

/// The first address, and how many bytes: `memory.x` leaves them out.
const SHARED: (u32, u32) = include!(concat!(env!("OUT_DIR"), "/shared.rs"));
const SENDING: u32 = 0x2000;
/// As much as the modem's bootloader shares, which has this part while the modem's firmware does not run.
const RECEIVING: u32 = sys::NRF_MODEM_SHMEM_BOOTLOADER_SIZE;
const CONTROL: u32 = sys::NRF_MODEM_CELLULAR_SHMEM_CTRL_SIZE;
const BOOTLOADER: u32 = SHARED.0 + CONTROL + SENDING;

/// What the SPU makes secure or not, of RAM.
const REGION: u32 = 0x2000;
const RAM: u32 = 0x2000_0000;

const _: () = {
    assert!(CONTROL + SENDING + RECEIVING <= SHARED.1, "the modem's parts fit");
    assert!(SHARED.0.is_multiple_of(REGION) && SHARED.1.is_multiple_of(REGION), "regions are shared whole");
};

/// What `nrf-modem` is started with.
pub(crate) const fn layout() -> MemoryLayout {
    MemoryLayout { base_address: SHARED.0, tx_area_size: SENDING, rx_area_size: RECEIVING, trace_area_size: 0 }
}

/// The modem's bootloader, in memory that is the modem's for receiving otherwise: so it costs none.
pub const fn bootloader() -> BootloaderMode {
    // SAFETY: the linker gives this part of RAM to nobody. The modem library, whose it is while the modem's firmware
    // runs, leaves it alone in bootloader mode; and from there no firmware of this package leads back but the reset.
    #[allow(unsafe_code)]
    unsafe {
        BootloaderMode::at::<BOOTLOADER>()
    }
}

/// Lets the modem, and its library, have what is theirs. The library speaks to non-secure peripherals; the program is
/// secure and may. After this, the clocks, the supply and the regulators can be had at non-secure addresses only.
pub(crate) fn share() {
    let spu = pac::SPU;
    let first = SHARED.0.saturating_sub(RAM).wrapping_div(REGION);
    for region in first..first.saturating_add(SHARED.1.wrapping_div(REGION)) {
        spu.ramregion(region as usize).perm().write(|permissions| {
            permissions.set_execute(true);
            permissions.set_write(true);
            permissions.set_read(true);
            permissions.set_secattr(false);
        });
    }
    for peripheral in [REGULATORS, CLOCK_AND_POWER, IPC] {
        spu.periphid(peripheral).perm().modify(|permissions| permissions.set_secattr(false));
    }
}

/// Numbers of peripherals, which are a part of their addresses.
const REGULATORS: usize = 4;
const CLOCK_AND_POWER: usize = 5;
const IPC: usize = 42;
