//! All that `dfu-target` offers, with arguments of which nothing is known: panics.sh looks for a panic in it.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Coarse, Engine, Flash, bytes, digest, number, proof, show, text};
use dfu_target::blocking::{Blocking, block_on, block_on_with};
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{FlashWriter, Layout, Op, Plan, Region, Shared, align_down, align_up, run, yield_now};
use dfu_target::image::mcuboot::Header;
use dfu_target::image::modem::{is_delta, is_full};
use dfu_target::image::sniff;
use dfu_target::layout::{Area, Device, FlashMap};
use dfu_target::progress::{NoProgress, ProgressStore, StoreCall};
use dfu_target::session::Call;
use dfu_target::target::{self, Applied, Checked, Error, ErrorKind, ErrorType, Proof, Written};
use dfu_target::{
    Begun, DfuTarget, Digest, Image, ImageId, ImageKind, Progress, ProgressLog, Request, Session, Sha256, Staged,
    Update, Verified,
};
use embedded_storage::nor_flash as blocking;
use embedded_storage_async::nor_flash::{NorFlash, NorFlashErrorKind, ReadNorFlash};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        values();
        maps();
        engine(SoftSha256::default());
        engine(&mut Engine);
        flash(Flash, const { Layout::new([(0x2000, 0xa000), (0xc000, 0x2000)]) }).await;
        flash(Coarse, const { Layout::new([(0x2000, 0xa000), (0xc000, 0x2000)]) }).await;
        flash(Blocking(Sync), const { Layout::new([(0x2000, 0xa000), (0xc000, 0x2000)]) }).await;
        update(Mine, NoProgress).await;
        update(&mut Mine, &mut NoProgress).await;
        update(Mine.or(&mut Mine).or(Mine), NoProgress).await;
        block_on_with(yield_now(), || show(number()));
    })
}

fn values() {
    let (head, at, unit) = (bytes(), number(), number());
    show((Digest::from_hex(text()), ImageId::named(text()), ImageId::from(digest())));
    show((sniff(head), is_delta(head), is_full(head), ImageKind::from_code(at as u16)));
    show((align_down(at, unit), align_up(at, unit), black_box(ImageKind::Mcuboot).code()));
    if let Ok(header) = Header::parse(head) {
        show((header.tlv_offset(), header.hashed_len(), header.is_encrypted()));
        show(header.version.beats(&black_box(header.version), black_box(true)));
    }
    if let Some(mut progress) = head.first_chunk::<{ Progress::LEN }>().and_then(|bytes| Progress::from_bytes(bytes)) {
        progress.set_offset(at);
        show((progress.id(), progress.kind(), progress.index(), progress.size(), progress.identity()));
        show((progress.tag(), progress.offset(), progress.head(), progress.state(), progress.digest()));
        progress.reject();
        show((progress.attempts(), progress.kept(), progress.as_bytes(), Progress::new(ImageId::named(text()))));
    }
    let checked = black_box(Checked { digest: digest(), assurance: target::Assurance::None });
    show((checked.matches(&digest()), checked.assured(), proof().digest()));
    let mut op = Op::Erase(at, unit);
    op.shift(at);
    show(op);
}

/// Maps that are made at run time; those of constants are the compiler's.
fn maps() {
    let devices = [Device::new(text(), number(), number(), number()), Device::new(text(), number(), 4, 0x1000)];
    let areas = [Area::new(text(), text(), number(), number()), Area::span(text(), text(), number(), number())];
    let [one, other] = &areas;
    show((one.overlaps(other), one.contains(other), one.end(), one.name(), one.device(), other.is_span()));
    show((devices[0].is_like::<Flash>(), devices[0].name(), devices[0].size(), devices[0].erase_size()));
    FlashMap::faults(&devices, &areas).for_each(show);
    if let Ok(map) = FlashMap::checked(&devices, &areas) {
        show((map.find(text()), map.device(text()), map.pick([text(), text()])));
        show(map.checked_windows::<Flash, 2>([text(), text()]).is_ok());
        show((map.devices(), map.areas()));
    }
    show(Layout::<Flash, 2>::checked([(number(), number()), (number(), number())]).is_ok());
}

fn engine(mut engine: impl Sha256) {
    engine.start();
    engine.update(bytes());
    show((engine.peek(), engine.midstate(), engine.resume(&digest().0, number()), engine.finish()));
}

async fn flash<F: NorFlash<Error = NorFlashErrorKind>>(flash: F, layout: Layout<F, 2>) {
    let mut shared = if black_box(true) { Shared::new(flash) } else { Shared::waiting(flash) };
    let [slot, log] = shared.split(&layout);
    show((slot.size(), slot.start(), slot.capacity()));
    let mut log = ProgressLog::<F, 192>::new(log);
    update(Mine, &mut log).await;
    store(&mut log).await;
    writer(FlashWriter::<_, 64>::new(slot)).await;
    operations(log.release()).await;
    let mut flash = shared.into_inner();
    show(run(&mut flash, &mut Anything).await.is_ok());
    writer(FlashWriter::<_, 4096>::new(flash)).await;
}

async fn store(store: &mut impl ProgressStore) {
    let mut found = store.load().await;
    show(store.call(StoreCall::Load(&mut found)).await.is_ok());
    let progress = found.unwrap_or(Progress::new(ImageId::named(text())));
    show((store.save(&progress).await, store.call(StoreCall::Save(&progress)).await, store.clear().await));
}

async fn operations<F: NorFlash>(mut region: Region<'_, F>) {
    let (buffer, _) = dfu_size::buffers();
    show(region.read(number(), buffer).await.is_ok());
    show((region.write(number(), bytes()).await.is_ok(), region.erase(number(), number()).await.is_ok()));
    show(region.run(&mut Anything).await.is_ok());
}

async fn writer<F: NorFlash, const N: usize>(mut writer: FlashWriter<F, N>) {
    for _ in 0..number() {
        show(writer.start_at(number()));
        show((writer.write(bytes()).await.is_ok(), writer.prepare(number()).await.is_ok()));
        show((writer.flush().await.is_ok(), writer.durable(), writer.flash().capacity()));
    }
}

/// Any operations.
struct Anything;

impl Plan for Anything {
    fn next(&mut self) -> Option<Op<'_>> {
        match number() {
            0 => Some(Op::Read(number(), dfu_size::buffers().0)),
            1 => Some(Op::Write(number(), bytes())),
            2 => Some(Op::Erase(number(), number())),
            _ => None,
        }
    }
}

/// All calls of an update, in any order.
async fn update<T: DfuTarget, S: ProgressStore>(target: T, store: S) {
    let request = Request::new(ImageId::named(text())).size(number()).index(number() as u8);
    let request = if black_box(true) { request } else { Request::of(digest()) };
    let mut update = Update::new(target, store, request.save_every(number()).digest(digest()));
    for _ in 0..number() {
        match update.begin().await {
            Ok(Begun::Receiving(session)) => receive(session).await,
            Ok(Begun::Staged(staged)) => stage(staged).await,
            Err(error) => show(error.kind()),
        }
    }
    show(update.release());
}

async fn receive<T: DfuTarget, S: ProgressStore>(mut session: Session<'_, T, S>) {
    for _ in 0..number() {
        show((session.offset(), session.durable(), session.kind(), session.size(), session.more_to_prepare()));
        match number() {
            0 => show(session.agree(black_box(Some(0)), number())),
            1 => show(session.write(bytes()).await),
            2 => show(session.write_at(number(), bytes()).await),
            3 => show(session.prepare().await),
            4 => show(session.resume().await),
            5 => show(session.call(black_box(Call::Prepare)).await),
            6 => session.restart(),
            7 => show(session.abort().await),
            8 => show((session.attempts(), session.reject().await)),
            _ => break,
        }
    }
    match session.finish().await {
        Ok(staged) => stage(staged).await,
        Err(failed) => show(failed.into_parts()),
    }
}

async fn stage<T: DfuTarget, S: ProgressStore>(staged: Staged<'_, T, S>) {
    show((staged.checked(), staged.attempted()));
    let verified = if black_box(true) { staged.verify(&digest()) } else { staged.verify_self() };
    let verified = match verified {
        Ok(verified) => verified,
        Err(failed) => return show(failed.into_inner().into_session()),
    };
    let Ok(verified) = verified.record().await else { return };
    apply(verified).await;
}

async fn apply<T: DfuTarget, S: ProgressStore>(verified: Verified<'_, T, S>) {
    match number() {
        0 => show(verified.into_session()),
        _ => show(verified.apply().await.map_err(|failed| failed.into_error().kind())),
    }
}

/// A target that says anything.
struct Mine;

#[derive(Debug)]
struct Fault;

impl core::fmt::Display for Fault {
    fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        Ok(())
    }
}
impl core::error::Error for Fault {}
impl Error for Fault {
    fn kind(&self) -> ErrorKind {
        black_box(ErrorKind::Storage)
    }
}

impl ErrorType for Mine {
    type Error = Fault;
}

impl DfuTarget for Mine {
    fn identity(&self, kind: ImageKind, index: u8) -> u32 {
        black_box((kind, index));
        number()
    }
    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        black_box((kind, index)).1 == 0
    }
    async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, Fault> {
        black_box((image, resume));
        black_box(Ok(0))
    }
    async fn write(&mut self, bytes: &[u8]) -> Result<Written, Fault> {
        black_box(bytes);
        black_box(Ok(Written::Committed(0)))
    }
    fn keep(&self) -> Option<&[u8]> {
        black_box(None)
    }
    async fn prepare(&mut self) -> Result<bool, Fault> {
        black_box(Ok(false))
    }
    async fn digest(&mut self) -> Result<Checked, Fault> {
        black_box(Ok(Checked { digest: Digest([0; 32]), assurance: target::Assurance::None }))
    }
    async fn apply(&mut self, proof: Proof) -> Result<Applied, Fault> {
        black_box(proof);
        black_box(Ok(Applied::Now))
    }
    async fn abort(&mut self) -> Result<(), Fault> {
        black_box(Ok(()))
    }
}

/// A flash whose driver blocks.
struct Sync;

impl blocking::ErrorType for Sync {
    type Error = NorFlashErrorKind;
}

impl blocking::ReadNorFlash for Sync {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        block_on(Flash.read(offset, bytes))
    }
    fn capacity(&self) -> usize {
        Flash.capacity()
    }
}

impl blocking::NorFlash for Sync {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 0x1000;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        block_on(Flash.erase(from, to))
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        block_on(Flash.write(offset, bytes))
    }
}
