//! The modem is updated by a delta, into its own area; it installs that when it starts.
#![no_std]
#![no_main]

use defmt::{Format, error, info};
use dfu_apps::{Means, Next, delta};
use dfu_nrf9160::board::Board;
use dfu_nrf9160::internal::InternalFlash;
use dfu_nrf9160::map::MAP;
use dfu_nrf9160::signs::Signs;
use dfu_nrf9160::{area, config, link, wanted};
use dfu_target::ProgressLog;
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target_nrf_modem::libmodem::{NormalMode, start};
use dfu_target_nrf_modem::port::{Delta, Fault};
use dfu_target_nrf_modem::{DeltaError, ModemDelta};
use embassy_executor::Spawner;
use embassy_time::Delay;
use fota_connectors::nrf_modem::Net;
use fota_download::http::{self, UrlError};
use fota_download::{Connect, Control, FotaError, Job};

const WINDOWS: Layout<InternalFlash, 1> = MAP.windows(["progress"]);

#[derive(Debug, Format)]
enum Error {
    Modem(nrf_modem::Error),
    Uuid(Fault),
    Area(DeltaError),
    Url(UrlError),
    NoDigest,
    Update(delta::Failure<http::Error<<Net<'static, Delay> as Connect>::Error>>),
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) -> ! {
    let Board { flash, signs, .. } = Board::take();
    info!("{=str} {=str}", env!("CARGO_BIN_NAME"), config::NAME);
    let result = run(flash, &signs).await;
    signs.end(result).await
}

async fn run(flash: InternalFlash, signs: &Signs) -> Result<Next, Error> {
    // By the end of this a delta is installed, if one was scheduled.
    let started = link::start(signs).await;
    let outcome = start::outcome();
    let mut shared = Shared::new(flash);
    let [log] = shared.split(const { &WINDOWS });
    let mut log = ProgressLog::<_>::new(log);
    let mut target = ModemDelta::with(NormalMode::new(), Delay, SoftSha256::default(), signs);

    // Settled before there is a network to wait for: the modem erases best offline, and one that is dead has none.
    let net = link::net();
    let (mut header, mut one, mut two) = ([0; 2048], [0; 1024], [0; 1024]);
    let mut file = wanted::file(&net, config::URL, &mut header).map_err(Error::Url)?;
    let control = Control::new();
    let tell = |event| signs.tell(event);
    let means = Means { file: &mut file, clock: &mut Delay, control: &control, buffers: [&mut one, &mut two] };
    let settled = delta::run(&mut target, &mut log, outcome, None, means, tell).await.map_err(Error::Update)?;
    if let Err(error) = started {
        error!("the modem does not start; what modem-full does may help");
        return Err(Error::Modem(error));
    }
    if settled == Next::Reset {
        // It was put off, by a supply that is too low as a rule.
        signs.rest().await;
        return Ok(Next::Reset);
    }
    if outcome.is_some() || !wants_update()? {
        return Ok(Next::Nothing);
    }

    area::blank(&mut target).await.map_err(Error::Area)?;
    let link = link::attach(signs).await.map_err(Error::Modem)?;
    let job: Job = wanted::job(wanted::digest(&net, signs).await.ok_or(Error::NoDigest)?);
    let means = Means { file: &mut file, clock: &mut Delay, control: &control, buffers: [&mut one, &mut two] };
    let next = delta::run(&mut target, &mut log, None, Some(job), means, tell).await;
    drop(file);
    link::close(link).await;
    match next {
        // The modem was told to install it, and does not: another file may help, or a good supply and a reset.
        Err(dfu_apps::Error::Update(FotaError::Attempted)) => Ok(Next::Nothing),
        next => next.map_err(Error::Update),
    }
}

/// Whether the delta is for the firmware that runs.
fn wants_update() -> Result<bool, Error> {
    let runs = NormalMode::new().uuid().map_err(Error::Uuid)?;
    info!("the modem runs {=str}", runs.as_str().unwrap_or("?"));
    Ok(config::BASE.is_none_or(|base| base == runs))
}
