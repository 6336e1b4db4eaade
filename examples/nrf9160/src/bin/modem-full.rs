//! The modem's whole firmware is programmed, from the flash beside the chip.
#![no_std]
#![no_main]

use defmt::{Format, info};
use dfu_apps::{Means, Next, full};
use dfu_nrf9160::board::Board;
use dfu_nrf9160::external::{External, ExternalError, ExternalFlash};
use dfu_nrf9160::internal::InternalFlash;
use dfu_nrf9160::map::MAP;
use dfu_nrf9160::recovery::{self, StagedError};
use dfu_nrf9160::signs::Signs;
use dfu_nrf9160::{config, link, wanted};
use dfu_target::ProgressLog;
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target_nrf_modem::ModemFull;
use embassy_executor::Spawner;
use embassy_time::Delay;
use fota_connectors::nrf_modem::Net;
use fota_download::http::{self, UrlError};
use fota_download::{Connect, Control, FotaError};

const LOG: Layout<InternalFlash, 1> = MAP.windows(["progress"]);
const STAGING: Layout<ExternalFlash, 1> = MAP.windows(["modem_staging"]);

#[derive(Debug, Format)]
enum Error {
    External(ExternalError),
    Boot(recovery::Error),
    Modem(nrf_modem::Error),
    Url(UrlError),
    NoDigest,
    Update(FotaError<http::Error<<Net<'static, Delay> as Connect>::Error>, StagedError>),
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) -> ! {
    let Board { flash, signs, external, .. } = Board::take();
    info!("{=str} {=str}", env!("CARGO_BIN_NAME"), config::NAME);
    let result = run(flash, external, &signs).await;
    signs.end(result).await
}

async fn run(flash: InternalFlash, external: External, signs: &Signs) -> Result<Next, Error> {
    let mut external = Shared::new(external.open().await.map_err(Error::External)?);
    let [staging] = external.split(const { &STAGING });
    let mut target = ModemFull::with(staging, SoftSha256::default(), signs);
    if recovery::boot(&mut target, signs).await.map_err(Error::Boot)? == Next::Reset {
        return Ok(Next::Reset);
    }

    let link = link::attach(signs).await.map_err(Error::Modem)?;
    let net = link::net();
    let digest = wanted::digest(&net, signs).await.ok_or(Error::NoDigest)?;
    let mut flash = Shared::new(flash);
    let [log] = flash.split(const { &LOG });
    let (mut header, mut one, mut two) = ([0; 2048], [0; 1024], [0; 1024]);
    let mut file = wanted::file(&net, config::URL, &mut header).map_err(Error::Url)?;
    let control = Control::new();
    let means = Means { file: &mut file, clock: &mut Delay, control: &control, buffers: [&mut one, &mut two] };
    let tell = |event| signs.tell(event);
    let next = full::run(&mut target, ProgressLog::<_>::new(log), wanted::job(digest), means, tell).await;
    drop(file);
    link::close(link).await;
    match next {
        // This very file lies there, and was programmed.
        Err(FotaError::Attempted) => Ok(Next::Nothing),
        next => next.map_err(Error::Update),
    }
}
