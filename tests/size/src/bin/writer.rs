//! The MCUboot writer on a shared flash: an image into a slot, read back and marked, without a session, but driven as by
//! one: each call is a value, and one place waits.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Engine, Flash};
use dfu_target::flash::{Layout, Shared};
use dfu_target::target::{Applied, Assurance, Call, Checked, Written};
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

#[derive(Clone, Copy)]
enum Step {
    Init,
    Write,
    Digest,
    Apply,
}

async fn writer() -> Option<Applied> {
    let mut shared = Shared::new(Flash);
    let [slot] = shared.split(&MAP);
    let mut target = McubootTarget::<_, _, _, 128>::new(slot, Engine, Board, dfu_size::active()).ok()?;
    let image = Image { size: black_box(Some(0x8000)), head: dfu_size::bytes(), ..Image::new(ImageKind::Mcuboot) };
    let (mut at, mut written, mut applied) = (black_box(0), Written::Committed(0), Applied::AtReset);
    let mut checked = Checked { digest: Digest([0; 32]), assurance: Assurance::None };
    let (mut proof, mut step) = (None, Step::Init);
    loop {
        let call = match step {
            Step::Init => Call::Init(&image, &mut at),
            Step::Write => Call::Write(dfu_size::bytes(), &mut written),
            Step::Digest => Call::Digest(&mut checked),
            Step::Apply => Call::Apply(proof.as_ref()?, &mut applied),
        };
        target.call(call).await.ok()?;
        step = match step {
            Step::Init => Step::Write,
            Step::Write if at < 64 => {
                at = at.wrapping_add(1);
                black_box(written);
                Step::Write
            }
            Step::Write => Step::Digest,
            Step::Digest => {
                proof = Some(checked.matches(&black_box(Digest([0; 32])))?);
                Step::Apply
            }
            Step::Apply => return Some(applied),
        };
    }
}
