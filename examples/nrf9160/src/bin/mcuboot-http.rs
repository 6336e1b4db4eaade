//! The application updates itself: over HTTPS, into MCUboot's secondary slot.
#![no_std]
#![no_main]

use defmt::{Format, info};
use dfu_apps::{Means, Next, mcuboot};
use dfu_nrf9160::board::Board;
use dfu_nrf9160::internal::InternalFlash;
use dfu_nrf9160::map::{MAP, SLOTS};
use dfu_nrf9160::signs::Signs;
use dfu_nrf9160::{config, link, wanted};
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use embassy_executor::Spawner;
use embassy_nrf::nvmc;
use embassy_time::Delay;
use fota_connectors::nrf_modem::Net;
use fota_download::http::{self, UrlError};
use fota_download::{Connect, Control, FotaError};

const WINDOWS: Layout<InternalFlash, 3> = MAP.windows(["mcuboot_primary", "mcuboot_secondary", "progress"]);

#[derive(Debug, Format)]
enum Error {
    /// What failed here too while an image is on trial makes the bootloader take it back, at the reset that follows.
    Modem(nrf_modem::Error),
    Url(UrlError),
    NoDigest,
    Update(mcuboot::Failure<nvmc::Error, http::Error<<Net<'static, Delay> as Connect>::Error>>),
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) -> ! {
    let Board { flash, signs, .. } = Board::take();
    info!("{=str} {=str}", env!("CARGO_BIN_NAME"), config::NAME);
    let result = run(flash, &signs).await;
    signs.end(result).await
}

async fn run(flash: InternalFlash, signs: &Signs) -> Result<Next, Error> {
    link::start(signs).await.map_err(Error::Modem)?;
    let link = link::attach(signs).await.map_err(Error::Modem)?;
    let net = link::net();
    let digest = wanted::digest(&net, signs).await.ok_or(Error::NoDigest)?;

    let mut shared = Shared::new(flash);
    let (mut header, mut one, mut two) = ([0; 2048], [0; 1024], [0; 1024]);
    let mut file = wanted::file(&net, config::URL, &mut header).map_err(Error::Url)?;
    let control = Control::new();
    let means = Means { file: &mut file, clock: &mut Delay, control: &control, buffers: [&mut one, &mut two] };
    let job = (wanted::job(digest), Some(digest));
    let engine = SoftSha256::default();
    let tell = |event| signs.tell(event);
    let regions = shared.split(const { &WINDOWS });
    let next = mcuboot::run::<_, _, _, _, _, 256>(regions, &SLOTS, (engine, ()), job, means, tell).await;
    drop(file);
    link::close(link).await;
    match next {
        // It was tried, and the bootloader took it back: until there is another file, there is nothing to do.
        Err(dfu_apps::Error::Update(FotaError::Attempted)) => Ok(Next::Nothing),
        next => next.map_err(Error::Update),
    }
}
