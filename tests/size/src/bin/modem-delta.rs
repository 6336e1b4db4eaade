//! The modem's delta target, driven by hand: an update, from the first look to the schedule, and what became of it.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Clock, Engine, Modem};
use dfu_target::progress::NoProgress;
use dfu_target::{DfuTarget, Digest, Image, ImageKind};
use dfu_target_nrf_modem::ModemDelta;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        black_box(delta().await);
    })
}

async fn delta() -> Option<()> {
    let mut target = ModemDelta::new(Modem, Clock, Engine);
    let image = Image { size: black_box(Some(0x8000)), head: dfu_size::bytes(), ..Image::new(ImageKind::ModemDelta) };
    let from = target.init(&image, black_box(0)).await.ok()?;
    for _ in black_box(from)..64 {
        target.write(dfu_size::bytes()).await.ok()?;
    }
    let proof = target.digest().await.ok()?.matches(&black_box(Digest([0; 32])))?;
    let _ = black_box(target.apply(proof).await.ok()?);
    let _ = black_box(target.settle(&mut NoProgress, black_box(None)).await.ok()?);
    Some(())
}
