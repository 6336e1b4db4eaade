//! The same as `http` with the CoAP source.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::ops::ControlFlow;

use dfu_size::{Clock, Engine, Flash, Net};
use dfu_target::flash::{Layout, Shared};
use dfu_target::{Begun, Digest, ProgressLog, Request, Update};
use dfu_target_mcuboot::{Config, McubootTarget, Mode, Slots};
use fota_download::coap::Settings;
use fota_download::{Backoff, Coap, download};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        black_box(coap().await);
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

async fn coap() -> Option<()> {
    let mut shared = Shared::new(Flash);
    let [slot, log] = shared.split(&MAP);
    let mut target = McubootTarget::<_, _, _, 128>::new(slot, Engine, Board, dfu_size::active()).ok()?;
    let mut log = ProgressLog::<_>::new(log);
    let wanted = black_box(Digest([0; 32]));
    let mut update = Update::new(&mut target, &mut log, Request::of(wanted));
    let staged = match update.begin().await.ok()? {
        Begun::Staged(staged) => staged,
        Begun::Receiving(mut session) => {
            let (datagram, chunk) = dfu_size::buffers();
            let url = black_box("coap://firmware.example.com/app.bin");
            let settings = Settings::new(black_box(1)).window(black_box(8));
            let mut source = Coap::new(&Net, url, settings, datagram).ok()?;
            let on = |_| ControlFlow::Continue(());
            download(&mut source, &mut session, Backoff::new(), &mut Clock, chunk, on).await.ok()?;
            session.finish().await.ok()?
        }
    };
    if staged.attempted() {
        return None;
    }
    let _ = black_box(staged.verify(&wanted).ok()?.apply().await.ok()?);
    Some(())
}
