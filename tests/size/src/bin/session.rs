//! The whole update on one shared flash: session, sniffing, progress log and MCUboot target, with resume.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Engine, Flash};
use dfu_target::flash::{Layout, Shared};
use dfu_target::layout::{Area, Device, FlashMap};
use dfu_target::{Begun, Digest, ProgressLog, Request, Update};
use dfu_target_mcuboot::{Config, McubootTarget, Mode, Slots};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        black_box(session().await);
    })
}

/// The slots as a type: the compiler works with the numbers themselves.
struct Board;

impl AsRef<Slots> for Board {
    fn as_ref(&self) -> &Slots {
        const { &Slots::of_map(&FLASH_MAP, "mcuboot_primary", "mcuboot_secondary", Config::new(Mode::SwapMove)) }
    }
}
// Must cost nothing: `http` has the same windows and slots by hand.
const FLASH_MAP: FlashMap = FlashMap::new(
    &[Device::new("internal", 0x1_0000, 4, 0x1000), Device::new("external", 0x1_0000, 4, 0x1000)],
    &[
        Area::new("mcuboot_primary", "internal", 0x2000, 0xa000),
        Area::new("mcuboot_secondary", "external", 0x2000, 0xa000),
        Area::new("progress", "external", 0xc000, 0x2000),
    ],
);
const MAP: Layout<Flash, 2> = FLASH_MAP.windows(["mcuboot_secondary", "progress"]);

async fn session() -> Option<()> {
    let mut shared = Shared::new(Flash);
    let [slot, log] = shared.split(&MAP);
    let mut target = McubootTarget::<_, _, _, 128>::new(slot, Engine, Board, dfu_size::active()).ok()?;
    let mut log = ProgressLog::<_>::new(log);
    let wanted = black_box(Digest([0; 32]));
    let mut update = Update::new(&mut target, &mut log, Request::of(wanted).size(0x8000));
    let staged = match update.begin().await.ok()? {
        Begun::Staged(staged) => staged,
        Begun::Receiving(mut session) => {
            for _ in black_box(session.offset())..64 {
                session.write(dfu_size::bytes()).await.ok()?;
            }
            session.finish().await.ok()?
        }
    };
    if staged.attempted() {
        return None;
    }
    let _ = black_box(staged.verify(&wanted).ok()?.apply().await.ok()?);
    Some(())
}
