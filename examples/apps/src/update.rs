//! One update, by what the device has.

use core::pin::pin;

use dfu_target::{DfuTarget, ProgressStore};
use dfu_target_mcuboot::RunningState;
use dfu_target_nrf_modem::{Recovered, Settled};
use embedded_hal_async::delay::DelayNs;
use fota_download::{Control, Finished, FotaError, Job, Source, fota};

use crate::apart::Apart;

/// What an update is done with.
pub struct Means<'m, S, D> {
    /// Where the file comes from.
    pub file: &'m mut S,
    /// Time.
    pub clock: &'m mut D,
    /// The hand that holds or ends it.
    pub control: &'m Control,
    /// Two buffers, of 512 bytes to 4 KiB.
    pub buffers: [&'m mut [u8]; 2],
}

/// What the device has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// The bootloader started this application, in this state.
    Runs(RunningState),
    /// What became of the modem's last delta.
    Settled(Settled),
    /// What was done with the modem at boot.
    Recovered(Recovered),
    /// How the update goes.
    Goes(fota_download::Event),
}

/// Brings the file into the target and asks for it to be run: [`fota`], with what the device has.
pub async fn update<T: DfuTarget, P: ProgressStore, S: Source, D: DelayNs + Clone>(
    target: T,
    store: P,
    job: &Job,
    means: Means<'_, S, D>,
    mut tell: impl FnMut(Event),
) -> Result<Finished, FotaError<S::Error, T::Error>> {
    let Means { file, clock, control, buffers } = means;
    let work = fota(file, target, store, job, control, clock, buffers, |event| tell(Event::Goes(event)));
    Apart(pin!(work)).await
}
