//! A delta update of the nRF91's modem, into the modem's own area.

use dfu_target::{ProgressStore, Sha256};
use dfu_target_nrf_modem::{DeltaError, DeltaPolicy, ModemDelta, Outcome, Settled, port};
use embedded_hal_async::delay::DelayNs;
use fota_download::{FotaError, Job, Source};

use crate::{Error, Event, Means, Next, update};

/// When the modem has started: what became of the last delta, and then the next one.
///
/// `outcome`: what the modem told at its start, where that is known. `job`: `None`, where no update is wanted, or it is
/// known by the name of what runs that it is there. After [`Next::Reset`] the chip is reset, and the modem installs it
/// when it starts.
pub async fn run<P, H, V, C, S, D>(
    target: &mut ModemDelta<P, C, H, V>,
    mut store: impl ProgressStore,
    outcome: Option<Outcome>,
    job: Option<Job>,
    means: Means<'_, S, D>,
    mut tell: impl FnMut(Event),
) -> Result<Next, Failure<S::Error>>
where
    P: port::Delta,
    H: Sha256,
    V: DeltaPolicy,
    C: DelayNs,
    S: Source,
    D: DelayNs + Clone,
{
    let settled = target.settle(&mut store, outcome).await.map_err(Error::Boot)?;
    tell(Event::Settled(settled));
    match (settled, job) {
        // It is installed at the next start, with the supply in order.
        (Settled::Waiting, _) => Ok(Next::Reset),
        // The same delta would be refused again; nor can a modem that is dead take one.
        (Settled::Updated | Settled::RolledBack | Settled::Refused(_) | Settled::Dead(_), _) | (_, None) => {
            Ok(Next::Nothing)
        }
        (_, Some(job)) => {
            let _ = update(target, store, &job, means, tell).await.map_err(Error::Update)?;
            Ok(Next::Reset)
        }
    }
}

/// Why [`run`] did not come to its end.
pub type Failure<S> = Error<DeltaError, FotaError<S, DeltaError>>;
