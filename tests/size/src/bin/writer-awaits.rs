//! As `writer`, by the target's four functions, each awaited by itself.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Engine, Flash};
use dfu_target::flash::{Layout, Shared};
use dfu_target::{DfuTarget, Digest, Image, ImageKind};
use dfu_target_mcuboot::{Config, McubootTarget, Mode, Slots};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        black_box(writer().await);
    })
}

/// The slots as a type: the compiler works with the numbers themselves.
struct Board;

impl AsRef<Slots> for Board {
    fn as_ref(&self) -> &Slots {
        const { &Slots::new::<Flash>(0xa000, Config::new(Mode::SwapMove).recall(false)) }
    }
}
const MAP: Layout<Flash, 1> = Layout::new([(0x2000, 0xa000)]);

async fn writer() -> Option<()> {
    let mut shared = Shared::new(Flash);
    let [slot] = shared.split(&MAP);
    let mut target = McubootTarget::<_, _, _, 128>::new(slot, Engine, Board, dfu_size::active()).ok()?;
    let image = Image { size: black_box(Some(0x8000)), head: dfu_size::bytes(), ..Image::new(ImageKind::Mcuboot) };
    let from = target.init(&image, black_box(0)).await.ok()?;
    for _ in black_box(from)..64 {
        target.write(dfu_size::bytes()).await.ok()?;
    }
    let proof = target.digest().await.ok()?.matches(&black_box(Digest([0; 32])))?;
    let _ = black_box(target.apply(proof).await.ok()?);
    Some(())
}
