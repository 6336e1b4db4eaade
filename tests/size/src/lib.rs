//! What every measured program has in common: a flash, a SHA-256 engine and a wire, each with bodies that are not
//! inlined, one plain use of each, and an executor of one line. A program's cost is what it has more than that.
#![no_std]

mod engine;
mod flash;
pub mod host;
pub mod least;
#[cfg(any(feature = "defmt", feature = "log"))]
mod lines;
mod modem;
pub mod update;
mod wire;

pub use engine::Engine;
pub use flash::{Coarse, Flash};
pub use modem::Modem;
pub use wire::{Clock, Net, Wire};

use core::future::Future;
use core::hint::black_box;
use core::panic::PanicInfo;
use core::pin::pin;
use core::task::{Context, Waker};

use dfu_target::target::{Assurance, Checked, Proof};
use dfu_target::{Digest, Sha256};
use dfu_target_mcuboot::{Active, RunningState};
use embedded_hal_async::delay::DelayNs;
use embedded_io_async::{Read, Write};
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
use fota_download::Connect;
use fota_download::connect::Server;

/// Runs the raw loop, so that its cost is in every program, and then the program.
pub fn run(program: impl Future<Output = ()>) -> ! {
    #[cfg(feature = "log")]
    lines::start();
    finish(raw(Flash, Engine, &Net, Clock));
    modem::raw(&mut Modem);
    finish(program);
    loop {}
}

/// Bytes that the optimizer knows nothing about: an image, a head, a request.
pub fn bytes() -> &'static [u8] {
    static BYTES: [u8; 512] = [0xa5; 512];
    let bytes: &[u8] = &BYTES;
    bytes.get(..black_box(bytes.len())).unwrap_or(&[])
}

/// Looks at whatever it is, so that the optimizer keeps it.
pub fn show<T>(value: T) {
    black_box(value);
}

/// A number that the optimizer knows nothing about.
pub fn number() -> u32 {
    black_box(0)
}

/// So is this text.
pub fn text() -> &'static str {
    black_box("text")
}

/// A digest, likewise.
pub fn digest() -> Digest {
    black_box(Digest([0; 32]))
}

/// A proof of an image that the optimizer knows nothing about.
pub fn proof() -> Proof {
    let digest = black_box(Digest([0; 32]));
    let checked = black_box(Checked { digest, assurance: Assurance::Hash });
    loop {
        if let Some(proof) = checked.matches(&digest) {
            return proof;
        }
    }
}

/// The image that runs.
pub fn active() -> Active {
    black_box(Active::new(RunningState::Confirmed, None))
}

/// The caller's buffers of a download: for heads, and for what is read and written at once.
pub fn buffers() -> (&'static mut [u8], &'static mut [u8]) {
    static mut BUFFERS: [u8; 2048] = [0; 2048];
    // SAFETY: these programs are linked and measured, never run; and they have one thread.
    let buffers: &'static mut [u8] = unsafe { &mut *black_box(&raw mut BUFFERS) };
    buffers.split_at_mut_checked(1024).unwrap_or_default()
}

#[inline(never)]
fn finish(future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    while future.as_mut().poll(&mut context).is_pending() {}
}

/// The least anyone would write by hand: wire to flash and hash, without a check, and a pause to try again after.
#[inline(never)]
async fn raw(mut flash: Flash, mut engine: Engine, net: &Net, mut clock: Clock) {
    let mut chunk = [0; 512];
    let mut wire = loop {
        match net.connect(Server { host: "firmware.example.com", port: black_box(80), tls: false }).await {
            Ok(wire) => break wire,
            Err(_) => clock.delay_ms(black_box(1_000)).await,
        }
    };
    let _ = wire.write(bytes()).await;
    let _ = wire.flush().await;
    engine.start();
    let end = black_box(0x8000);
    let mut at = 0_u32;
    while at < end {
        if at % Flash::ERASE_SIZE as u32 == 0 {
            let _ = flash.erase(at, at.wrapping_add(Flash::ERASE_SIZE as u32)).await;
        }
        let _ = wire.read(&mut chunk).await;
        let _ = flash.write(at, &chunk).await;
        let _ = flash.read(at, &mut chunk).await;
        engine.update(&chunk);
        at = at.wrapping_add(512);
    }
    black_box((engine.peek(), engine.finish()));
}

#[panic_handler]
#[inline(never)]
fn panic(info: &PanicInfo<'_>) -> ! {
    if cfg!(feature = "panics") {
        black_box(info);
    }
    loop {}
}
