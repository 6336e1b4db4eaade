//! Whatever comes goes where it belongs: an application, a delta or a full update of the modem. What to fetch is told
//! over the serial line, as `URL SHA256`, and how it goes is told there.
#![no_std]
#![no_main]

use defmt::{Format, info};
use dfu_apps::{Event, Means, Next, mcuboot, order, update};
use dfu_nrf9160::board::Board;
use dfu_nrf9160::console::{Lines, Says};
use dfu_nrf9160::external::{ExternalError, ExternalFlash};
use dfu_nrf9160::internal::InternalFlash;
use dfu_nrf9160::map::{MAP, SLOTS};
use dfu_nrf9160::signs::Signs;
use dfu_nrf9160::{area, config, link, recovery, wanted};
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, RegionError, Shared};
use dfu_target::{DfuTarget, ProgressLog, ProgressStore};
use dfu_target_mcuboot::{ConfigError, McubootTarget, Running, RunningState};
use dfu_target_nrf_modem::libmodem::{NormalMode, start};
use dfu_target_nrf_modem::{DeltaError, ModemDelta, ModemFull, Settled};
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_nrf::nvmc;
use embassy_time::Delay;
use fota_download::{Control, Event as Download};

const INTERNAL: Layout<InternalFlash, 3> = MAP.windows(["mcuboot_primary", "mcuboot_secondary", "progress"]);
const STAGING: Layout<ExternalFlash, 1> = MAP.windows(["modem_staging"]);

#[derive(Debug, Format)]
enum Error {
    External(ExternalError),
    Recovery(recovery::Error),
    Delta(DeltaError),
    Modem(nrf_modem::Error),
    Slots(ConfigError),
    Boot(mcuboot::BootError<RegionError<nvmc::Error>>),
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) -> ! {
    let board = Board::take();
    info!("{=str} {=str}", env!("CARGO_BIN_NAME"), config::NAME);
    let (mut lines, mut says) = board.console.open();
    says.line(format_args!("{} {}", env!("CARGO_BIN_NAME"), config::NAME));
    let external = board.external.open().await.map_err(Error::External);
    let result = match external {
        Ok(external) => run(board.flash, external, &board.signs, &mut lines, &mut says).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        says.line(format_args!("failed: {error:?}"));
    }
    board.signs.end(result).await
}

async fn run(
    flash: InternalFlash,
    external: ExternalFlash,
    signs: &Signs,
    lines: &mut Lines,
    says: &mut Says,
) -> Result<Next, Error> {
    // What was asked for before the reset, each in its turn: a full update of the modem, a delta, the application.
    let (mut internal, mut external) = (Shared::new(flash), Shared::new(external));
    let [staging] = external.split(const { &STAGING });
    let [primary, secondary, log] = internal.split(const { &INTERNAL });
    let mut log = ProgressLog::<_>::new(log);
    let mut full = ModemFull::with(staging, SoftSha256::default(), signs);
    if recovery::boot(&mut full, signs).await.map_err(Error::Recovery)? == Next::Reset {
        return Ok(Next::Reset);
    }
    let mut delta = ModemDelta::with(NormalMode::new(), Delay, SoftSha256::default(), signs);
    let settled = delta.settle(&mut log, start::outcome()).await.map_err(Error::Delta)?;
    signs.tell(Event::Settled(settled));
    if settled == Settled::Waiting {
        // It was put off, by a supply that is too low as a rule.
        signs.rest().await;
        return Ok(Next::Reset);
    }
    area::blank(&mut delta).await.map_err(Error::Delta)?;
    // An application on trial that does not come into the network is taken back at the reset that follows.
    let link = link::attach(signs).await.map_err(Error::Modem)?;
    let mut running = Running::new(primary, &SLOTS).map_err(Error::Slots)?;
    let boot = mcuboot::boot(&mut running, async || true, |event| signs.tell(event)).await.map_err(Error::Boot)?;
    says.line(format_args!("{boot:?}, modem {settled:?}"));

    let active = running.active().await.map_err(|error| Error::Boot(mcuboot::BootError::Slot(error)))?;
    let app = McubootTarget::<_, _, _, 256>::new(secondary, SoftSha256::default(), &SLOTS, active);
    let target = app.map_err(Error::Slots)?.or(delta).or(full);
    serve(target, log, active.state, signs, lines, says).await;
    link::close(link).await;
    Ok(Next::Reset)
}

/// Does what is ordered until something is there to be run.
async fn serve(
    mut target: impl DfuTarget,
    mut log: impl ProgressStore,
    state: RunningState,
    signs: &Signs,
    lines: &mut Lines,
    says: &mut Says,
) {
    let net = link::net();
    loop {
        says.line(format_args!("URL SHA256?"));
        let mut text = [0; 512];
        let Some((url, digest)) = order::parse(idle(lines.next(&mut text), signs).await) else { continue };
        let (mut header, mut one, mut two) = ([0; 2048], [0; 1024], [0; 1024]);
        let mut file = match wanted::file(&net, url, &mut header) {
            Ok(file) => file,
            Err(error) => {
                says.line(format_args!("failed: {error}"));
                continue;
            }
        };
        // An order is an order, but not for an application that ran and came back.
        let job = wanted::job(digest);
        let job = if state == RunningState::Reverted { job } else { job.again() };
        let control = Control::new();
        let means = Means { file: &mut file, clock: &mut Delay, control: &control, buffers: [&mut one, &mut two] };
        let mut said = 0;
        let tell = |event| {
            signs.tell(event);
            say(says, event, &mut said);
        };
        match update(&mut target, &mut log, &job, means, tell).await {
            Ok(_) => return says.line(format_args!("done: at the reset")),
            Err(error) => says.line(format_args!("failed: {error}")),
        }
    }
}

/// Waits for somebody. That nothing comes is no fault, so the watchdog is fed.
async fn idle<T>(wait: impl Future<Output = T>, signs: &Signs) -> T {
    let rest = async {
        loop {
            signs.rest().await;
        }
    };
    match select(wait, rest).await {
        Either::First(came) => came,
        Either::Second(never) => never,
    }
}

/// A line for what is worth one.
fn say(says: &mut Says, event: Event, said: &mut u32) {
    const EVERY: u32 = 32 * 1024;
    let Event::Goes(event) = event else { return };
    match event {
        Download::Opening(report) => says.line(format_args!("opening, from {} on", report.offset)),
        Download::Receiving(report) if report.offset.abs_diff(*said) >= EVERY => {
            *said = report.offset;
            says.line(format_args!("{} of {}", report.offset, report.size.unwrap_or_default()));
        }
        Download::Waiting(report) => says.line(format_args!("waiting, with {} bytes", report.offset)),
        Download::Verifying => says.line(format_args!("verifying")),
        Download::Verified(digest) => says.line(format_args!("verified {digest}")),
        _ => (),
    }
}
