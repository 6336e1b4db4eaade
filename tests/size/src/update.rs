//! An update without a source, for more than one program.

use core::hint::black_box;

use dfu_target::flash::{Layout, Shared};
use dfu_target::layout::{Area, Device, FlashMap};
use dfu_target::{Begun, Digest, ProgressLog, Request, Update};
use dfu_target_mcuboot::{Config, McubootTarget, Mode, Slots};

use crate::{Engine, Flash};

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

/// The slots as a type: the compiler works with the numbers themselves. What is there of an image is looked at before it
/// goes on, or not.
#[derive(Debug)]
pub struct Board<const RECALL: bool>;

impl<const RECALL: bool> AsRef<Slots> for Board<RECALL> {
    fn as_ref(&self) -> &Slots {
        const {
            let config = Config::new(Mode::SwapMove).recall(RECALL);
            &Slots::of_map(&FLASH_MAP, "mcuboot_primary", "mcuboot_secondary", config)
        }
    }
}

/// One update on one shared flash: session, sniffing, progress log and MCUboot target, with resume.
pub async fn session(place: impl AsRef<Slots>) -> Option<()> {
    let mut shared = Shared::new(Flash);
    let [slot, log] = shared.split(&MAP);
    let mut target = McubootTarget::<_, _, _, 128>::new(slot, Engine, place, crate::active()).ok()?;
    let mut log = ProgressLog::<_>::new(log);
    let wanted = black_box(Digest([0; 32]));
    let mut update = Update::new(&mut target, &mut log, Request::of(wanted).size(0x8000));
    let staged = match update.begin().await.ok()? {
        Begun::Staged(staged) => staged,
        Begun::Receiving(mut session) => {
            for _ in black_box(session.offset())..64 {
                session.write(crate::bytes()).await.ok()?;
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
