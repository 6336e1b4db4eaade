//! All that `fota-download` offers with `remote`, with arguments of which nothing is known: panics.sh looks for a panic
//! in it.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::ops::ControlFlow;

use dfu_size::{Clock, Engine, Flash, Net, bytes, digest, number, show, text};
use dfu_target::flash::{Layout, Shared};
use dfu_target::{Begun, DfuTarget, ImageId, ImageKind, ProgressLog, ProgressStore, Request, Session, Update};
use dfu_target_mcuboot::{Config, McubootTarget, Mode, Slots};
use fota_download::coap::{self, tcp};
use fota_download::pair::{FwInfo, Pair, Slot};
use fota_download::source::{Call, Error};
use fota_download::{
    Backoff, Coap, CoapTcp, Control, Http, Job, Meta, Remote, Report, Source, download, download_overlapped, fota,
    preflight,
};

const SLOTS: Slots = Slots::new::<Flash>(0xa000, Config::new(Mode::SwapMove));
const MAP: Layout<Flash, 2> = Layout::new([(0x2000, 0xa000), (0xc000, 0x2000)]);

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        values();
        http().await;
        coap().await;
        coap_tcp().await;
        remote().await;
    })
}

fn values() {
    show((FwInfo::parse(bytes()), FwInfo::find(bytes())));
    if let Some(slot) = Slot::active(FwInfo::parse(bytes()), FwInfo::find(bytes())) {
        show(slot.other());
        show(Pair::parse(text()).map(|pair| (pair.of(slot), pair.for_other_than(slot))));
    }
    show((coap::space(number() as u16, number() as u8), settings(), tcp_settings()));
}

fn settings() -> coap::Settings {
    let settings = coap::Settings::new(u64::from(number())).block(number() as u16);
    settings.window(number() as u8).retransmissions(number() as u8)
}

fn tcp_settings() -> tcp::Settings {
    tcp::Settings::new(number()).block(number() as u16).message(number()).window(number() as u8)
}

fn backoff() -> Backoff {
    Backoff::new().attempts(number() as u8).first_ms(number()).longest_ms(number()).jitter(number())
}

async fn http() -> Option<()> {
    let (head, _) = dfu_size::buffers();
    let fields = [(text(), text()); 2];
    let source = Http::new(&Net, text(), head).ok()?;
    each(source.fields(black_box(&fields[..])).record_limit(number() as u16)).await;
    Some(())
}

async fn coap() -> Option<()> {
    let (space, _) = dfu_size::buffers();
    let source = Coap::new(&Net, text(), settings(), space).ok()?;
    each(source.proxy(text()).ok()?).await;
    Some(())
}

async fn coap_tcp() -> Option<()> {
    let (head, _) = dfu_size::buffers();
    each(CoapTcp::new(&Net, text(), tcp_settings(), head).ok()?).await;
    Some(())
}

async fn remote() -> Option<()> {
    let (space, _) = dfu_size::buffers();
    each(Remote::new(&Net, &Net, text(), settings(), space).ok()?).await;
    Some(())
}

/// All that is done with a source.
async fn each<S: Source>(mut source: S) {
    calls(&mut source).await;
    let mut shared = Shared::new(Flash);
    let [slot, log] = shared.split(&MAP);
    let Ok(mut target) = McubootTarget::<_, _, _, 128>::new(slot, Engine, SLOTS, dfu_size::active()) else { return };
    let mut log = ProgressLog::<_>::new(log);
    match preflight(&mut source, &mut target, number() as u8).await {
        Ok(offer) => show(offer),
        Err(error) => show(error.retry()),
    }
    let mut update = Update::new(&mut target, &mut log, Request::new(ImageId(digest().0)).size(number()));
    if let Ok(Begun::Receiving(mut session)) = update.begin().await {
        receive(&mut source, &mut session).await;
    }
    whole(&mut source, &mut target, &mut log).await;
}

async fn calls<S: Source>(source: &mut S) {
    let (_, buffer) = dfu_size::buffers();
    let (mut meta, mut count) = (Meta::default(), 0);
    for _ in 0..number() {
        let result = match number() {
            0 => source.open(number()).await.map(show),
            1 => source.read(buffer).await.map(show),
            2 => source.call(Call::Open(number(), &mut meta)).await,
            3 => source.call(Call::Read(buffer, &mut count)).await,
            _ => {
                source.close();
                Ok(())
            }
        };
        show((source.paid(), meta.size, meta.tag, meta.start, count));
        if let Err(error) = result {
            show(error.retry());
        }
    }
}

async fn receive<S: Source, T: DfuTarget, P: ProgressStore>(source: &mut S, session: &mut Session<'_, T, P>) {
    let (_, buffer) = dfu_size::buffers();
    show(download(source, session, backoff(), &mut Clock, buffer, look).await.is_ok());
    let (one, two) = buffer.split_at_mut_checked(number() as usize).unwrap_or_default();
    show(download_overlapped(source, session, backoff(), &mut Clock, [one, two], look).await.is_ok());
}

fn look(report: Report) -> ControlFlow<()> {
    show(report);
    black_box(ControlFlow::Continue(()))
}

async fn whole<S: Source, T: DfuTarget, P: ProgressStore>(source: &mut S, target: &mut T, log: &mut P) {
    static CONTROL: Control = Control::new();
    match number() {
        0 => CONTROL.pause(),
        1 => CONTROL.resume(),
        _ => CONTROL.cancel(),
    }
    let job = Job::new(ImageId(digest().0)).digest(digest()).size(number()).max_size(number()).index(number() as u8);
    let job = job.kind(black_box(ImageKind::Mcuboot)).save_every(number()).backoff(backoff()).deadline(number());
    let job = job.silence(number()).again().attempts(number() as u8);
    let (_, buffer) = dfu_size::buffers();
    let (one, two) = buffer.split_at_mut_checked(number() as usize).unwrap_or_default();
    match fota(source, target, log, &job, &CONTROL, &mut Clock, [one, two], show).await {
        Ok(finished) => show(finished),
        Err(fota_download::FotaError::Session(error)) => show(error.kind()),
        Err(_) => {}
    }
}
