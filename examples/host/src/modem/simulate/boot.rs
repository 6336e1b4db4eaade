//! From power-on to where the application goes on: a full update is ended first, then the modem starts, then a delta
//! is settled.
//!
//! ```text
//!  recover ──────────► start ─────────► settle ─► the application
//!    │ programmed:       │ does not start:
//!    └── reset           └── recover, once more
//! ```

use dfu_target::flash::Shared;
use dfu_target::{DfuTarget, ProgressLog};
use dfu_target_nrf_modem::port::{Errno, Fault};
use dfu_target_nrf_modem::{FullError, Outcome as Told, Recovered, Settled, Start};

use super::area::Flash;
use super::device::{Device, Full};
use crate::ending::{Outcome, Problem};

/// What a boot came to.
pub(super) struct Booted {
    /// Whether the modem runs.
    pub(super) runs: bool,
    /// Why what waited for the boot came to nothing.
    pub(super) failure: Option<String>,
}

/// Boots as often as it takes.
pub(super) async fn boot(device: &Device<'_>) -> Outcome<Booted> {
    let mut booted = Booted { runs: false, failure: None };
    for _ in 0..MOST_RESETS {
        device.bench.reset()?;
        let mut flash = Shared::new(device.bench.chip.clone());
        let [staging, log] = flash.split(&device.layout()?);
        let mut full = device.full(staging);
        if recover(device, &mut full, Start::NotTried, &mut booted).await? {
            continue;
        }
        let modem = &device.bench.modem;
        let started = modem.start_normal();
        device.bench.is_on()?;
        match started {
            Ok(_) => {
                booted.runs = true;
                device.bench.attach();
                device.steps.tell("start", format_args!("the modem runs {}", modem.running()));
            }
            Err(Fault::Errno(Errno::Again)) => device.steps.tell("start", "the modem does not start: low voltage"),
            Err(Fault::Errno(Errno::Io)) => {
                device.steps.tell("start", "the modem does not start");
                if recover(device, &mut full, Start::Failed, &mut booted).await? {
                    continue;
                }
                return Ok(booted);
            }
            Err(fault) => return Err(Problem::refused(fault)),
        }
        settle(device, &mut ProgressLog::<_>::new(log), &mut booted).await?;
        device.bench.is_on()?;
        return Ok(booted);
    }
    Err(Problem::refused("the device resets again and again"))
}

/// Programs what is staged, if that is due; whether a reset has to follow.
async fn recover(device: &Device<'_>, full: &mut Full<'_, '_>, start: Start, booted: &mut Booted) -> Outcome<bool> {
    let mut modem = device.bench.modem.clone();
    let recovered = full.recover(&mut modem, start, &device.program, &mut [0; PIECE]).await;
    device.bench.is_on()?;
    let (text, again) = match recovered {
        Ok(Recovered::Nothing) if start == Start::NotTried => return Ok(false),
        Ok(Recovered::Nothing) => ("nothing is to be done".to_owned(), false),
        Ok(Recovered::Programmed) => {
            booted.failure = None;
            ("the modem is programmed; reset".to_owned(), true)
        }
        Ok(Recovered::NoRemedy) => ("nothing is staged that could help".to_owned(), false),
        Ok(Recovered::GaveUp) => {
            let why = "what is staged was programmed three times, and the modem does not start or reads otherwise";
            booted.failure = Some(booted.failure.take().unwrap_or_else(|| why.to_owned()));
            (why.to_owned(), false)
        }
        Err(error @ FullError::Mismatch) => {
            booted.failure = Some(error.to_string());
            (format!("{error}; reset"), true)
        }
        Err(error @ FullError::Refused(_)) => {
            booted.failure = Some(error.to_string());
            (error.to_string(), false)
        }
        // Nothing of the modem was touched, and nothing can come of it.
        Err(error @ (FullError::Damaged | FullError::Wrapper(_) | FullError::WrongSize { .. })) => {
            full.discard().await.map_err(Problem::refused)?;
            (format!("{error}: it is dropped"), false)
        }
        // It would fail again and again. While the modem's firmware is incomplete that is all there is.
        Err(error @ FullError::Modem(_)) => {
            full.abort().await.map_err(|_| device.refused(error))?;
            booted.failure = Some(error.to_string());
            (format!("{error}: it is dropped"), false)
        }
        Err(error) => return Err(device.refused(error)),
    };
    device.steps.tell("recover", text);
    Ok(again)
}

/// Ends a delta update, if there was one.
async fn settle(device: &Device<'_>, log: &mut ProgressLog<'_, Flash>, booted: &mut Booted) -> Outcome<()> {
    let told = device.bench.modem.last_result().map(Told::from_raw);
    let mut delta = device.delta();
    let settled = delta.settle(log, told).await.map_err(Problem::refused)?;
    drop(delta);
    let text = match settled {
        Settled::Nothing => return Ok(()),
        Settled::Updated => "the new firmware runs; the modem's area is erased".to_owned(),
        Settled::RolledBack => "the modem went back to the firmware of before; its area is erased".to_owned(),
        Settled::NotUpdated => "the firmware of before runs, and why was not told".to_owned(),
        Settled::Refused(told) | Settled::Dead(told) => {
            booted.failure = Some(told.to_string());
            told.to_string()
        }
        Settled::Waiting => {
            let why =
                told.map_or_else(|| "the update waits for the modem's restart".to_owned(), |told| told.to_string());
            booted.failure = Some(why.clone());
            why
        }
    };
    device.steps.tell("settle", text);
    Ok(())
}

/// Three rounds of programming, each with a reset behind it, and as many again for a modem that does not start.
const MOST_RESETS: u32 = 8;
/// What goes to the modem at once, in bytes.
const PIECE: usize = 4096;
