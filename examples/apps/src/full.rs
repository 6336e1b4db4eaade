//! A full update of the nRF91's modem, staged in flash.

use dfu_target::flash::RegionError;
use dfu_target::{ImageKind, ProgressStore, Sha256};
use dfu_target_nrf_modem::{FullError, FullPolicy, ModemFull, Program, Recovered, Start, port};
use embedded_hal_async::delay::DelayNs;
use embedded_storage_async::nor_flash::NorFlash;
use fota_download::{FotaError, Job, Source};

use crate::{Event, Means, Next, update};

/// First thing at boot, before anything else needs the modem: programs it from what is staged, if that is to be done.
///
/// `start` starts the modem as ever, and says whether that is all right: not where the modem is at fault, as it is not
/// for too low a voltage. It is called unless the modem was programmed: after an error, too, which is then returned.
/// After [`Next::Reset`] the chip is reset. `buffer`: as [`ModemFull::recover`] asks for.
pub async fn boot<F: NorFlash, H: Sha256, V: FullPolicy, const N: usize>(
    target: &mut ModemFull<'_, F, H, N, V>,
    loader: &mut impl port::Bootloader,
    start: impl AsyncFnOnce() -> bool,
    program: &Program<'_>,
    buffer: &mut [u8],
    mut tell: impl FnMut(Event),
) -> Result<Next, FullError<RegionError<F::Error>>> {
    let mut recovered = target.recover(loader, Start::NotTried, program, buffer).await;
    // What could not be programmed is no reason to leave the modem off: it is whole, or it does not start.
    if !matches!(recovered, Ok(Recovered::Programmed)) && !start().await {
        // It does not: the file of the last update may still help.
        recovered = target.recover(loader, Start::Failed, program, buffer).await;
    }
    let recovered = recovered?;
    tell(Event::Recovered(recovered));
    Ok(if recovered == Recovered::Programmed { Next::Reset } else { Next::Nothing })
}

/// Brings the next full update into the staging flash, and asks for it to be programmed at the next start.
pub async fn run<F, H, V, S, D, const N: usize>(
    target: &mut ModemFull<'_, F, H, N, V>,
    store: impl ProgressStore,
    job: Job,
    means: Means<'_, S, D>,
    tell: impl FnMut(Event),
) -> Result<Next, FotaError<S::Error, FullError<RegionError<F::Error>>>>
where
    F: NorFlash,
    H: Sha256,
    V: FullPolicy,
    S: Source,
    D: DelayNs + Clone,
{
    let job = job.kind(ImageKind::ModemFull);
    let _ = update(target, store, &job, means, tell).await?;
    Ok(Next::Reset)
}
