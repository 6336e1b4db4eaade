//! A firmware that links: each function of the port, and downloads over the modem's sockets, all over the modem library
//! itself. It is not run.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;
use cortex_m_rt::entry;
use dfu_target::blocking::block_on;
use dfu_target_nrf_modem::Runs;
use dfu_target_nrf_modem::libmodem::{BootloaderMode, NormalMode, SharedMemory, start};
use dfu_target_nrf_modem::port::{Bootloader, Delta, Fault, Offset, Range};
use embedded_hal_async::delay::DelayNs;
use fota_connectors::nrf_modem::{Net, RECORD_LIMIT};
use fota_download::coap::{Settings, space};
use fota_download::{Coap, Http, Source};
use nrf_modem::{LteLink, MemoryLayout};
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
    let Ok(mut bootloader) = BootloaderMode::new(MEMORY.init(SharedMemory::new())) else { halt() };
    // The modem stays off where a full update waits for it, or where it was not able to start before.
    if is_full_update_due() {
        start::hold_back();
    }
    match nrf_modem::init_with_custom_layout_core(MemoryLayout::default()) {
        // By now it has installed a delta, if one was scheduled, and `start::outcome` tells how that went.
        Ok(()) => {
            _ = delta_update(&mut NormalMode::new());
            // The modem keeps what it knows of the network.
            _ = nrf_modem::send_at_blocking::<0>("AT+CFUN=0");
        }
        // -EAGAIN: the voltage is too low, and nothing is wrong.
        Err(nrf_modem::Error::NrfError(-11)) => wait(),
        // -EPERM: held back. -EIO: the modem does not start; after a reset in the midst of things it may yet do.
        Err(_) => _ = full_update(&mut bootloader),
    }
    // Whatever was done: the modem starts with the chip.
    SCB::sys_reset()
}
// README: end

/// The other way to name the memory: where nrf-modem, with a part of 0x2018 bytes for what it receives, had that.
// SAFETY: not used by anything, this is compiled and no more.
const _: BootloaderMode = unsafe { BootloaderMode::at::<{ 0x2001_0000 + 0x4e8 + 0x2000 }>() };

fn is_full_update_due() -> bool {
    // Something that is not known before it runs; a firmware looks into its store.
    start::outcome().is_some_and(|outcome| outcome.runs() == Runs::Nothing)
}

fn delta_update(modem: &mut impl Delta) -> Result<(), Fault> {
    _ = block_on(download());
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

/// Over each kind of socket.
async fn download() -> Option<usize> {
    let link = LteLink::new().await.ok()?;
    link.wait_for_link().await.ok()?;
    let (mut header, mut datagram, mut bytes) = ([0; 2048], [0; space(1024, 2)], [0; 512]);
    let net = Net::new(Delay).tls(&[42]).resume_sessions(true).clock(|| cortex_m::peripheral::DWT::cycle_count() >> 16);
    let mut got = 0_usize;
    for url in ["http://firmware.example/app.bin", "https://firmware.example/app.bin"] {
        let mut file = Http::new(&net, url, &mut header).ok()?.record_limit(RECORD_LIMIT);
        file.open(0).await.ok()?;
        got = got.checked_add(file.read(&mut bytes).await.ok()?)?;
    }
    for url in ["coap://firmware.example/app.bin", "coaps://firmware.example/app.bin"] {
        let mut file = Coap::new(&net, url, Settings::new(1).window(2), &mut datagram).ok()?;
        file.open(0).await.ok()?;
        got = got.checked_add(file.read(&mut bytes).await.ok()?)?;
    }
    link.deactivate().await.ok()?;
    Some(got)
}

/// A firmware takes a timer's.
#[derive(Clone)]
struct Delay;

impl DelayNs for Delay {
    async fn delay_ns(&mut self, ns: u32) {
        cortex_m::asm::delay(ns >> 4);
    }
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

fn wait() {
    cortex_m::asm::delay(64_000_000);
}

fn halt() -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    SCB::sys_reset()
}
