//! All that `dfu-target-nrf-modem` offers but its binding of the modem's library, with arguments of which nothing is
//! known: panics.sh looks for a panic in it.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::ops::ControlFlow;

use dfu_size::{Clock, Coarse, Engine, Flash, Modem, bytes, digest, number, proof, show};
use dfu_target::flash::{Layout, Shared};
use dfu_target::progress::{NoProgress, ProgressLog};
use dfu_target::target::{Call, Written};
use dfu_target::{DfuTarget, Image, ImageKind};
use dfu_target_nrf_modem::port::{Errno, Fault, Offset, Range, Uuid};
use dfu_target_nrf_modem::{
    DeltaPolicy, FullPolicy, ModemDelta, ModemFull, ModemFullDirect, Outcome, Phase, Program, Start, Wrapper,
};
use embedded_storage_async::nor_flash::{NorFlash, NorFlashErrorKind};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        values();
        delta(ModemDelta::new(Modem, Clock, Engine)).await;
        delta(ModemDelta::with(Modem, Clock, Engine, Choosy).erase_limit_ms(number()).chunk(number())).await;
        full(Flash).await;
        full(Coarse).await;
        calls(&mut ModemFullDirect::new(Modem, [Engine, Engine]), ImageKind::ModemFull).await;
        calls(&mut ModemFullDirect::with(Modem, [Engine, Engine], Choosy), ImageKind::ModemFull).await;
    })
}

fn values() {
    let raw = number();
    show((Offset::from_raw(raw), Outcome::from_raw(raw).runs(), Errno::from_raw(raw as i32).to_raw()));
    if let Err(fault) = Fault::check(raw as i32) {
        show((fault.to_raw(), fault.is_low_voltage()));
    }
    show(black_box(Uuid([0; 36])).as_str());
    if let Ok(wrapper) = Wrapper::parse(bytes()) {
        show((wrapper.as_bytes(), wrapper.len(), wrapper.version(), wrapper.compat(), wrapper.blob_hash()));
        show((wrapper.blob_len(), wrapper.total_len(), wrapper.protected(), wrapper.payload(), wrapper.signature()));
        show((wrapper.segments().nth(raw as usize), wrapper.segments().len()));
        wrapper.segments().for_each(show);
    }
}

async fn delta<V: DeltaPolicy>(mut target: ModemDelta<Modem, Clock, Engine, V>) {
    calls(&mut target, ImageKind::ModemDelta).await;
    show(target.rollback().is_ok());
    let mut shared = Shared::new(Flash);
    let [log] = shared.split(&const { Layout::new([(0xc000, 0x2000)]) });
    let mut log = ProgressLog::<_>::new(log);
    show(target.settle(&mut log, black_box(None)).await.is_ok());
    show(target.settle(&mut NoProgress, black_box(Some(Outcome::from_raw(number())))).await.is_ok());
}

async fn full<F: NorFlash<Error = NorFlashErrorKind>>(flash: F) {
    let mut shared = Shared::new(flash);
    let [one, other] = shared.split(&const { Layout::new([(0x2000, 0x4000), (0x6000, 0x6000)]) });
    staged(ModemFull::<_, _, 128>::new(one, Engine)).await;
    staged(ModemFull::<_, _, 1024, _>::with(other, Engine, Choosy)).await;
}

async fn staged<F: NorFlash, const N: usize, V: FullPolicy>(mut target: ModemFull<'_, F, Engine, N, V>) {
    calls(&mut target, ImageKind::ModemFull).await;
    let ranges = [Range { start: number(), end: number() }; 2];
    let program = match number() {
        0 => Program::new(),
        1 => Program::new().skip_prevalidation(),
        _ => Program::new().expect(black_box(&ranges[..]), digest()),
    };
    let (buffer, _) = dfu_size::buffers();
    show((target.capacity(), target.is_due().await.is_ok(), target.state().await.is_ok()));
    show(target.recover(&mut Modem, black_box(Start::NotTried), &program, buffer).await.is_ok());
    show(target.discard().await.is_ok());
}

/// All calls of a target, in any order.
async fn calls<T: DfuTarget>(target: &mut T, kind: ImageKind) {
    show((target.identity(kind, 0), target.probe(bytes(), number() as u8), target.keep()));
    let image = Image { size: black_box(Some(0)), head: bytes(), ..Image::new(black_box(kind)) };
    for _ in 0..number() {
        match number() {
            0 => show(target.init(&image, number()).await.is_ok()),
            1 => show(target.write(bytes()).await.is_ok()),
            2 => show(target.prepare().await.is_ok()),
            3 => show(target.digest().await.is_ok()),
            4 => show(target.apply(proof()).await.is_ok()),
            5 => show(target.abort().await.is_ok()),
            _ => show(target.call(Call::Write(bytes(), &mut Written::Committed(0))).await.is_ok()),
        }
    }
}

/// A caller that decides something.
struct Choosy;

impl DeltaPolicy for Choosy {
    fn accepts(&mut self, base: &Uuid, image: &Image<'_>) -> bool {
        show((base.as_str(), image));
        black_box(true)
    }
    fn erasing(&mut self, waited_ms: u32) -> ControlFlow<()> {
        show(waited_ms);
        black_box(ControlFlow::Continue(()))
    }
}

impl FullPolicy for Choosy {
    fn accepts(&mut self, wrapper: &Wrapper<'_>) -> bool {
        show(wrapper.version());
        black_box(true)
    }
    fn progress(&mut self, phase: Phase, done: u32, total: u32) {
        show((phase, done, total));
    }
}
