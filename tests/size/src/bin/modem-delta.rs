//! The modem's delta target, without a session: an update, from the first look to the schedule.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Clock, Engine, Modem};
use dfu_target::target::{Applied, Assurance, Call, Checked, Written};
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
    let (mut from, mut written) = (black_box(0), Written::Committed(0));
    let mut checked = Checked { digest: Digest([0; 32]), assurance: Assurance::None };
    let (proof, mut applied) = (dfu_size::proof(), Applied::AtReset);
    // By the one function that a session uses.
    for nth in 0..black_box(9) {
        let call = match nth {
            0 => Call::Init(&image, &mut from),
            7 => Call::Digest(&mut checked),
            8 => Call::Apply(&proof, &mut applied),
            _ => Call::Write(dfu_size::bytes(), &mut written),
        };
        target.call(call).await.ok()?;
    }
    let _ = black_box((written, checked, applied));
    Some(())
}
