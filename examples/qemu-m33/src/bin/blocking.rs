//! The same library without an executor: an image that somebody pushes, from this program's own memory, into the slots
//! of a simulated nRF9160, by `dfu_target::blocking`. Each start is another run of QEMU.
//!
//! Arguments, each `name=value`: `cut`, after how many words and erases the power fails; `stack`, how many bytes of it
//! there are.
#![no_std]
#![no_main]

use core::fmt::Display;
use core::panic::PanicInfo;

use dfu_qemu_m33::console::{self, Arguments};
use dfu_qemu_m33::flash::{self, Cut, Flash};
use dfu_qemu_m33::{line, stack, watchdog};
use dfu_target::blocking::{Blocking, block_on_with};
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::{Applied, Begun, ImageId, ProgressLog, Request, Update};
use dfu_target_mcuboot::{Config, McubootTarget, Mode, Running, RunningState, Slots};

dfu_qemu_m33::silent_defmt!();

#[cortex_m_rt::entry]
fn main() -> ! {
    let arguments = Arguments::get();
    let cut = arguments.number("cut").map(|after| Cut { after, last: power_fails });
    if let Some(bytes) = arguments.number("stack") {
        stack::limit(bytes);
    }
    watchdog::start();
    let mut turns = 0;
    // Where the CPU might sleep to the next interrupt, too.
    let turn = || {
        turns += 1;
        watchdog::feed();
    };
    let (done, stack) = stack::measured(|| block_on_with(run(Blocking(Flash::new(cut))), turn));
    let (words, pages) = flash::counts();
    line!("flash {words} words programmed, {pages} pages erased");
    line!("ram {stack} bytes of stack, the future and all buffers in it");
    line!("gave way {turns} times");
    match done {
        Ok(Some(Applied::AtReset)) => line!("reset"),
        Ok(_) => line!("nothing to do"),
        Err(Failed) => console::exit(1),
    }
    console::exit(0)
}

/// From power-on to the next reset.
async fn run(flash: Blocking<Flash>) -> Result<Option<Applied>, Failed> {
    let mut shared = Shared::new(flash);
    let [primary, secondary, log] =
        shared.split(const { &Layout::new([flash::PRIMARY, flash::SECONDARY, flash::LOG]) });
    let mut running = Running::new(primary, &SLOTS).map_err(failed)?;
    let active = running.active().await.map_err(failed)?;
    line!("boot {:?}", active.state);
    match active.state {
        // Whatever the application can do to see that it works.
        RunningState::Trial => return running.confirm().await.map(|()| None).map_err(failed),
        RunningState::Confirmed => return Ok(None),
        _ => {}
    }
    let target = McubootTarget::<_, _, _, 256>::new(secondary, SoftSha256::default(), &SLOTS, active);
    let request = Request::new(ImageId::named("blocking")).size(IMAGE.len() as u32).save_every(4096);
    let mut update = Update::new(target.map_err(failed)?, ProgressLog::<_>::new(log), request);
    let staged = match update.begin().await.map_err(failed)? {
        Begun::Staged(staged) => staged,
        Begun::Receiving(mut session) => {
            line!("push from {} of {}", session.offset(), IMAGE.len());
            // Odd pieces from odd addresses, as a serial line would bring them.
            while let Some(piece @ [_, ..]) =
                IMAGE.get(session.offset() as usize..).map(|rest| &rest[..rest.len().min(243)])
            {
                session.write(piece).await.map_err(failed)?;
            }
            session.finish().await.map_err(failed)?
        }
    };
    let verified = staged.verify_self().map_err(failed)?;
    line!("verified");
    verified.apply().await.map(Some).map_err(failed)
}

/// It was told why.
struct Failed;

fn failed(reason: impl Display) -> Failed {
    line!("failed: {reason}");
    Failed
}

fn power_fails() -> ! {
    line!("power fails");
    console::exit(3)
}

/// What the bootloader was built with.
const SLOTS: Slots = Slots::new::<Blocking<Flash>>(flash::PRIMARY.1, Config::new(Mode::SwapMove));
const IMAGE: &[u8] = include_bytes!("../../../../tests/fixtures/sig-ed25519.bin");

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    line!("{info}");
    console::exit(101)
}
