//! The whole update on one shared flash: session, sniffing, progress log and MCUboot target, with resume.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Engine, Flash};
use dfu_target::flash::{Layout, Shared};
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
        const { &Slots::new::<Flash>(0xa000, Config::new(Mode::SwapMove)) }
    }
}
const MAP: Layout<Flash, 2> = Layout::new([(0x2000, 0xa000), (0xc000, 0x2000)]);

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
