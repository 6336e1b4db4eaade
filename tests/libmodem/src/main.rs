//! A firmware that links: each function of the port, over the modem library itself. It is not run.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use dfu_target_nrf_modem::libmodem::{BootloaderMode, NormalMode, SharedMemory, start};
use dfu_target_nrf_modem::port::{Bootloader, Delta, Fault, Offset, Range};
use nrf_modem::MemoryLayout;
#[cfg(feature = "nrf9120")]
use nrf9120_pac as pac;
#[cfg(feature = "nrf9160")]
use nrf9160_pac as pac;
use pac::interrupt;
use static_cell::StaticCell;
// Of C's library, what the modem library needs.
use tinyrlibc as _;

// README: begin
/// In the lower 128 KiB of RAM, as all of this program's.
static MEMORY: StaticCell<SharedMemory> = StaticCell::new();

#[interrupt]
fn IPC() {
    nrf_modem::ipc_irq_handler();
}

#[entry]
fn main() -> ! {
    let Ok(mut bootloader) = BootloaderMode::new(MEMORY.init(SharedMemory::new())) else { stop() };
    // A full update waits, or the modem did not come up before: it stays off.
    if is_full_update_due() {
        start::hold_back();
    }
    match nrf_modem::init_with_custom_layout_core(MemoryLayout::default()) {
        Ok(()) if delta_update(&mut NormalMode::new()).is_ok() => {}
        // Now -EIO, or -EPERM as it was held back. Also right where it runs and has something else to do.
        _ => _ = full_update(&mut bootloader),
    }
    // After a delta as after a full update, the modem starts with the chip.
    cortex_m::peripheral::SCB::sys_reset()
}
// README: end

fn is_full_update_due() -> bool {
    // Something that is not known before it runs.
    start::outcome().is_some_and(|outcome| outcome.needs_full_update())
}

fn delta_update(modem: &mut impl Delta) -> Result<(), Fault> {
    modem.uuid()?;
    if modem.area()? == 0 || modem.is_scheduled() {
        return modem.rollback();
    }
    if modem.offset()? == Offset::Dirty {
        modem.erase()?;
    }
    modem.write_init()?;
    modem.write(b"delta")?;
    modem.write_done()?;
    modem.update()
}

fn full_update(modem: &mut impl Bootloader) -> Result<(), Fault> {
    modem.start()?;
    modem.bl_write(b"loader")?;
    modem.update()?;
    modem.verify(b"wrapper")?;
    modem.fw_write(0x5_0000, b"firmware")?;
    modem.update()?;
    modem.digest(&[Range { start: 0x5_0000, end: 0x5_0007 }])?;
    modem.uuid()?;
    modem.stop()
}

fn stop() -> ! {
    loop {
        cortex_m::asm::udf();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
