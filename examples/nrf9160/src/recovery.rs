//! The first thing at boot, where full updates of the modem are staged.

use defmt::Format;
use dfu_apps::{Next, full};
use dfu_target::digest::SoftSha256;
use dfu_target::flash::RegionError;
use dfu_target_nrf_modem::{FullError, ModemFull, Program};

use crate::external::{ExternalError, ExternalFlash};
use crate::link;
use crate::memory;
use crate::signs::Signs;

/// A full update of the modem, staged in the flash beside the chip.
pub type Staged<'a> = ModemFull<'a, ExternalFlash, SoftSha256, 256, &'a Signs>;
/// Why something could not be done with it.
pub type StagedError = FullError<RegionError<ExternalError>>;

/// Why the modem neither runs nor was programmed.
#[derive(Debug, Format)]
pub enum Error {
    /// What is staged could not be looked at, or not be programmed.
    Staged(StagedError),
    /// It does not start, or the voltage is too low.
    Modem(nrf_modem::Error),
}

/// Programs the modem if that is to be done, or was begun and not ended; else starts it. After [`Next::Reset`] the chip
/// is reset, after [`Next::Nothing`] the modem runs.
pub async fn boot(target: &mut Staged<'_>, signs: &Signs) -> Result<Next, Error> {
    let is_due = target.is_due().await.map_err(Error::Staged)?;
    if is_due {
        link::hold_back();
    }
    let mut started = Err(nrf_modem::Error::ModemNotInitialized);
    let start = async || {
        if is_due {
            // Nothing is known against it.
            return true;
        }
        started = link::start(signs).await;
        // Too low a voltage (EAGAIN) is no fault of the modem's.
        matches!(started, Ok(()) | Err(nrf_modem::Error::NrfError(-11)))
    };
    let mut buffer = [0; 4096];
    let tell = |event| signs.tell(event);
    let boot = full::boot(target, &mut memory::bootloader(), start, &Program::new(), &mut buffer, tell).await;
    match boot.map_err(Error::Staged)? {
        Next::Reset => Ok(Next::Reset),
        // It was held back, and starts with the chip.
        Next::Nothing if is_due => Ok(Next::Reset),
        Next::Nothing => started.map(|()| Next::Nothing).map_err(Error::Modem),
    }
}
