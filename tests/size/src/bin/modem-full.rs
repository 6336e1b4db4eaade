//! The modem's full update, without a session: into the staging flash, and from there into the modem.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Engine, Flash, Modem};
use dfu_target::flash::{Layout, Shared};
use dfu_target::target::{Applied, Assurance, Call, Checked, Written};
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
