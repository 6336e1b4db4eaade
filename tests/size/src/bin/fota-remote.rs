//! As `fota`, with the source that the scheme of the URL names.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Clock, Engine, Flash, Net};
use dfu_target::flash::{Layout, Shared};
use dfu_target::{Digest, ImageKind, ProgressLog};
use dfu_target_mcuboot::{Config, McubootTarget, Mode, Slots};
use fota_download::coap::Settings;
use fota_download::{Control, Job, Remote, fota};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        black_box(run().await);
    })
}

/// The slots as a type: the compiler works with the numbers themselves.
struct Board;

impl AsRef<Slots> for Board {
    fn as_ref(&self) -> &Slots {
        const { &Slots::new::<Flash>(0xa000, Config::new(Mode::SwapMove).recall(false)) }
    }
}
const MAP: Layout<Flash, 2> = Layout::new([(0x2000, 0xa000), (0xc000, 0x2000)]);

async fn run() -> Option<()> {
    static CONTROL: Control = Control::new();
    let mut shared = Shared::new(Flash);
    let [slot, log] = shared.split(&MAP);
    let mut target = McubootTarget::<_, _, _, 128>::new(slot, Engine, Board, dfu_size::active()).ok()?;
    let job = Job::of(black_box(Digest([0; 32]))).kind(ImageKind::Mcuboot);
    let (head, chunks) = dfu_size::buffers();
    let (one, two) = chunks.split_at_mut_checked(512)?;
    let url = black_box("http://firmware.example.com/app.bin");
    let mut source = Remote::new(&Net, &Net, url, Settings::new(black_box(1)), head).ok()?;
    let (mut log, mut clock) = (ProgressLog::<_>::new(log), Clock);
    let done = fota(&mut source, &mut target, &mut log, &job, &CONTROL, &mut clock, [one, two], |event| {
        black_box(event);
    });
    let _ = black_box(done.await.ok()?);
    Some(())
}
