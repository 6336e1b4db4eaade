//! The modem's full update, driven by hand: into the staging flash, and from there into the modem.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Engine, Flash, Modem};
use dfu_target::flash::{Layout, Shared};
use dfu_target::{DfuTarget, Digest, Image, ImageKind};
use dfu_target_nrf_modem::{ModemFull, Program, Start};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        black_box(full().await);
    })
}

const MAP: Layout<Flash, 1> = Layout::new([(0x2000, 0xa000)]);

async fn full() -> Option<()> {
    let mut shared = Shared::new(Flash);
    let [region] = shared.split(&MAP);
    let mut target = ModemFull::<_, _, 128>::new(region, Engine);
    let (_, buffer) = dfu_size::buffers();
    let _ = black_box(target.recover(&mut Modem, black_box(Start::NotTried), &Program::new(), buffer).await.ok()?);
    let image = Image { size: black_box(Some(0x8000)), head: dfu_size::bytes(), ..Image::new(ImageKind::ModemFull) };
    let from = target.init(&image, black_box(0)).await.ok()?;
    for _ in black_box(from)..64 {
        target.write(dfu_size::bytes()).await.ok()?;
    }
    let proof = target.digest().await.ok()?.matches(&black_box(Digest([0; 32])))?;
    let _ = black_box(target.apply(proof).await.ok()?);
    Some(())
}
