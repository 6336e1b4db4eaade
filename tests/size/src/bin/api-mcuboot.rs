//! All that `dfu-target-mcuboot` offers but the signature schemes made with a crate, in every mode of the bootloader,
//! with arguments of which nothing is known: panics.sh looks for a panic in it.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::{Coarse, Engine, Flash, bytes, digest, number, proof, show, text};
use dfu_target::flash::{Layout, Region, Shared};
use dfu_target::image::mcuboot::{Header, Version};
use dfu_target::layout::{Area, Device, FlashMap};
use dfu_target::target::{Call, Error as _, Written};
use dfu_target::{DfuTarget, Image, ImageKind};
use dfu_target_mcuboot::signature::{BadSignature, Rsa2048, Rsa3072, Scheme};
use dfu_target_mcuboot::{
    Active, Align, Config, Encryption, HashKind, McubootTarget, Mode, Need, Rules, Running, RunningState, Side, Slots,
    Status, Upgrade, Verify, VersionRule, View, marking_order,
};
use embedded_storage_async::nor_flash::{NorFlash, NorFlashErrorKind};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        // In one of them what is written is known, and what is asked is not: the compiler sees each mode alone.
        modes::<SwapMove>().await;
        modes::<SwapScratch>().await;
        modes::<SwapOffset>().await;
        modes::<Overwrite>().await;
        modes::<DirectXip>().await;
        modes::<DirectXipRevert>().await;
        modes::<RamLoad>().await;
        modes::<RamLoadRevert>().await;
        if let Some(slots) = configured() {
            on::<Flash, _>(Flash, &slots).await;
            on::<Coarse, _>(Coarse, &slots).await;
        }
        schemes(Rsa2048::new(Engine));
        schemes(&mut Rsa3072::new(Engine));
        show(marking_order([(number() as u8, &needs()[..]), (number() as u8, &[]), (number() as u8, &needs()[..1])]));
    })
}

macro_rules! places {
    ($($name:ident: $config:expr;)*) => {
        $(
            /// The slots as a type.
            struct $name;

            impl AsRef<Slots> for $name {
                fn as_ref(&self) -> &Slots {
                    const { &Slots::new::<Flash>(0x6000, $config) }
                }
            }

            impl Place for $name {
                const HERE: Self = Self;
            }
        )*
    };
}

trait Place: AsRef<Slots> {
    const HERE: Self;
}

places! {
    SwapMove: Config::new(Mode::SwapMove);
    SwapScratch: Config::new(Mode::SwapScratch).scratch(0x1000).encryption(Encryption::Aes256);
    SwapOffset: Config::new(Mode::SwapOffset).upgrade(Upgrade::Permanent);
    Overwrite: Config::new(Mode::OverwriteOnly).compressed(true);
    DirectXip: Config::new(Mode::DirectXip);
    DirectXipRevert: Config::new(Mode::DirectXipRevert).compares_build_number(true);
    RamLoad: Config::new(Mode::RamLoad).ram(0x2000_0000, 0x4000);
    RamLoadRevert: Config::new(Mode::RamLoadRevert).ram(0x2000_0000, 0x4000).align(Align::A16);
}

/// Slots that are made at run time.
fn configured() -> Option<Slots> {
    let config = Config::new(black_box(Mode::SwapMove))
        .upgrade(black_box(Upgrade::Test))
        .align(black_box(Align::A8))
        .max_sectors(number())
        .sector(number())
        .scratch(number())
        .encryption(black_box(Encryption::Aes128))
        .key_space(number())
        .compressed(black_box(true))
        .hash(black_box(HashKind::Sha256))
        .compares_build_number(black_box(true))
        .any_tlv(black_box(true))
        .recall(black_box(true))
        .ram(number(), number())
        .erased(number() as u8)
        .index(number() as u8);
    let devices = [Device::new(text(), number(), number(), number())];
    let areas = [Area::new(text(), text(), number(), number()), Area::new(text(), text(), number(), number())];
    let map = FlashMap::checked(&devices, &areas).ok()?;
    show(Slots::checked_of_map(&map, text(), text(), config).is_ok());
    let slots = Slots::checked::<Flash, Coarse>(number(), number(), config).ok()?;
    show((slots.max_image(), slots.start(), slots.trailer(), slots.sizes(), slots.config().mode().reverts()));
    Some(slots)
}

async fn modes<P: Place>() {
    on::<Flash, _>(Flash, P::HERE).await;
}

async fn on<F: NorFlash<Error = NorFlashErrorKind>, P: AsRef<Slots>>(flash: F, place: P) {
    let mut shared = Shared::new(flash);
    let [first, second] = shared.split(&const { Layout::new([(0x2000, 0x6000), (0x8000, 0x6000)]) });
    let slots = place.as_ref();
    if let Some(mut first) = running(first, slots).await {
        let mut second = second;
        let views = (
            View::read(&mut first, slots, black_box(Side::Primary)).await,
            View::read(&mut second, slots, black_box(Side::Secondary)).await,
        );
        if let (Ok(one), Ok(other)) = views {
            show(Status::of(slots, &one, &other, black_box(Side::Primary)));
        }
        plain(second, place).await;
    }
}

async fn running<'f, F: NorFlash>(region: Region<'f, F>, slots: &Slots) -> Option<Region<'f, F>> {
    let mut running = Running::new(region, slots).ok()?;
    if let Ok(mark) = running.mark().await {
        show((RunningState::of(&mark, slots.config().mode()), mark.asks(slots.config().mode())));
    }
    show((running.state().await.is_ok(), running.active().await.is_ok(), running.security_counter().await.is_ok()));
    show((running.digest(&mut Engine).await.is_ok(), running.confirm().await.is_ok()));
    Some(running.release())
}

fn active() -> Active {
    let version = black_box(Version { major: 0, minor: 0, revision: 0, build: 0 });
    black_box(Active::new(RunningState::Confirmed, Some(version)))
}

async fn plain<F: NorFlash, P: AsRef<Slots>>(region: Region<'_, F>, place: P) -> Option<()> {
    let place = place.as_ref();
    let mut target = McubootTarget::<_, _, _, 256>::new(region, Engine, place, active()).ok()?;
    calls(&mut target).await;
    let (region, engine) = target.release();
    let mut target = McubootTarget::<_, _, _, 128, _>::verifying(region, engine, place, active(), rules()).ok()?;
    calls(&mut target).await;
    show(target.verifier().needs());
    let (region, engine) = target.release();
    let keys = [bytes(); 2];
    let keys = black_box(&keys[..]);
    let signed = rules().signed(Rsa3072::new(Engine), keys).ok()?;
    let mut target = McubootTarget::<_, _, _, 512, _>::verifying(region, engine, place, active(), signed).ok()?;
    calls(&mut target).await;
    let (region, engine) = target.release();
    let pure = Rules::new(Engine).signed(Pure, keys).ok()?;
    let mut target = McubootTarget::<_, _, _, 512, _>::verifying(region, engine, place, active(), pure).ok()?;
    calls(&mut target).await;
    Some(())
}

/// All that can be asked of an image.
fn rules() -> Rules<'static, Engine> {
    static UUID: [u8; 16] = [0; 16];
    static IMAGES: [(u8, Version); 2] = [(1, Version { major: 0, minor: 0, revision: 0, build: 0 }); 2];
    Rules::new(Engine)
        .version(black_box(VersionRule::Newer))
        .with_build_number()
        .counter(number())
        .images(black_box(&IMAGES))
        .vendor(black_box(&UUID))
        .class(black_box(&UUID))
}

fn needs() -> [Need; 2] {
    black_box([Need { image: 0, version: Version { major: 0, minor: 0, revision: 0, build: 0 } }; 2])
}

/// All calls of a target, in any order.
async fn calls<F: NorFlash, P: AsRef<Slots>, const N: usize, V: Verify>(
    target: &mut McubootTarget<'_, F, Engine, P, N, V>,
) {
    show((
        target.identity(ImageKind::Mcuboot, 0),
        target.probe(bytes(), number() as u8),
        Header::parse(bytes()).is_ok(),
    ));
    let image = Image { size: black_box(Some(0)), head: bytes(), ..Image::new(black_box(ImageKind::Mcuboot)) };
    for _ in 0..number() {
        match number() {
            0 => show(target.init(&image, number()).await.map_err(|error| error.kind())),
            1 => show(target.write(bytes()).await.is_ok()),
            2 => show(target.prepare().await.is_ok()),
            3 => show(target.digest().await.is_ok()),
            4 => show(target.apply(proof()).await.is_ok()),
            5 => show(target.abort().await.is_ok()),
            6 => show(target.call(Call::Write(bytes(), &mut Written::Committed(0))).await.is_ok()),
            7 => show(target.withdraw().await.is_ok()),
            _ => show(target.mark().await.is_ok()),
        }
    }
    show(digest());
}

fn schemes<S: Scheme>(mut scheme: S) {
    show((S::accepts(bytes()), scheme.start(bytes(), bytes()).is_ok()));
    scheme.update(bytes());
    show(scheme.finish(bytes(), bytes(), bytes()).is_ok());
}

/// A scheme over the image itself.
#[derive(Clone, Debug)]
struct Pure;

impl Scheme for Pure {
    const TLV: u16 = 0x24;
    const LONGEST: usize = 64;
    const PURE: bool = true;
    fn accepts(key: &[u8]) -> bool {
        black_box(key).is_empty()
    }
    fn start(&mut self, key: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        black_box((key, signature));
        black_box(Ok(()))
    }
    fn update(&mut self, bytes: &[u8]) {
        black_box(bytes);
    }
    fn finish(&mut self, key: &[u8], hash: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        black_box((key, hash, signature));
        black_box(Ok(()))
    }
}
