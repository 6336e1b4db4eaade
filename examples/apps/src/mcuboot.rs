//! The application's own image, in MCUboot's slots.

use core::fmt;
use core::pin::pin;

use dfu_target::flash::{Region, RegionError};
use dfu_target::{Digest, ImageKind, ProgressLog, Sha256};
use dfu_target_mcuboot::{Active, ConfigError, ConfirmError, McubootTarget, Running, RunningState, Slots, Verify};
use embedded_hal_async::delay::DelayNs;
use embedded_storage_async::nor_flash::NorFlash;
use fota_download::{FotaError, Job, Source};

use crate::apart::Apart;
use crate::{Error, Event, Means, Next, update};

/// What came of the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Boot {
    /// It was on trial, passed its self-test, and stays.
    Confirmed,
    /// It was on trial and failed its self-test: the reset brings the old image back.
    Failed,
    /// It runs, and another image may be stored beside it.
    Runs(Active),
}

/// Why the slot that runs could not be looked at or confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum BootError<E> {
    /// The slots can't be as they are said to be.
    Slots(ConfigError),
    /// The slot could not be read, or not confirmed.
    Slot(ConfirmError<E>),
}

impl<E: fmt::Debug> fmt::Display for BootError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slots(error) => error.fmt(f),
            Self::Slot(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for BootError<E> {}

/// First thing after the start: an image on trial is put to the test, and confirmed if it passes.
///
/// A test of use to every application: it reaches the server that the next update would come from.
pub async fn boot<F: NorFlash>(
    running: &mut Running<'_, F, &Slots>,
    test: impl AsyncFnOnce() -> bool,
    mut tell: impl FnMut(Event),
) -> Result<Boot, BootError<RegionError<F::Error>>> {
    let active = running.active().await.map_err(BootError::Slot)?;
    tell(Event::Runs(active.state));
    if active.state != RunningState::Trial {
        return Ok(Boot::Runs(active));
    }
    if !test().await {
        return Ok(Boot::Failed);
    }
    running.confirm().await.map_err(BootError::Slot)?;
    Ok(Boot::Confirmed)
}

/// The job as it is to be done in this state: what was asked for and not run may be asked for again, but not what ran
/// and came back.
pub fn unless_reverted(job: Job, state: RunningState) -> Job {
    let job = job.kind(ImageKind::Mcuboot);
    if state == RunningState::Reverted { job } else { job.again() }
}

/// From power-on to the next reset. `digest`: the wanted file's, if it is known; then nothing is fetched where it runs
/// already. `verify`: what more is asked of an image, a signature for one; `()`: nothing. `N`: the target's buffer, in
/// bytes.
pub async fn run<F, H, V, S, D, const N: usize>(
    [primary, secondary, log]: [Region<'_, F>; 3],
    slots: &Slots,
    (mut engine, verify): (H, V),
    (job, digest): (Job, Option<Digest>),
    means: Means<'_, S, D>,
    mut tell: impl FnMut(Event),
) -> Result<Next, Failure<F::Error, S::Error>>
where
    F: NorFlash,
    H: Sha256,
    V: Verify,
    S: Source,
    D: DelayNs + Clone,
{
    let boot_error = |error| Error::Boot(error);
    let mut running = Running::new(primary, slots).map_err(|error| boot_error(BootError::Slots(error)))?;
    let reaches = async || means.file.open(0).await.is_ok();
    let active = match Apart(pin!(boot(&mut running, reaches, &mut tell))).await.map_err(boot_error)? {
        Boot::Confirmed => return Ok(Next::Nothing),
        Boot::Failed => return Ok(Next::Reset),
        Boot::Runs(active) => active,
    };
    if digest.is_some() {
        let runs =
            Apart(pin!(running.digest(&mut engine))).await.map_err(|error| boot_error(BootError::Slot(error)))?;
        if runs == digest {
            return Ok(Next::Nothing);
        }
    }
    let job = unless_reverted(job, active.state);
    // Borrowed where it was made: moved, it would take room on the stack, and in each future on the way.
    let mut target = McubootTarget::<_, _, _, N, _>::verifying(secondary, engine, slots, active, verify);
    let target = target.as_mut().map_err(|error| boot_error(BootError::Slots(*error)))?;
    let mut log = ProgressLog::<_>::new(log);
    let _ = update(target, &mut log, &job, means, tell).await.map_err(Error::Update)?;
    Ok(Next::Reset)
}

/// Why [`run`] did not come to its end.
pub type Failure<F, S> = Error<BootError<RegionError<F>>, FotaError<S, dfu_target_mcuboot::Error<RegionError<F>>>>;
