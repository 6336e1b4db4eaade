//! How the modem starts, and what becomes of a delta update then.

use dfu_target_nrf_modem::port::{Errno, Fault};

use super::call::{Done, Step};
use super::{FakeModem, Inner, Mode, Scheduled};

/// What an update or rollback came to, as the modem library's `dfu_handler` gets it.
pub enum Outcome {}

impl Outcome {
    /// The new firmware runs.
    pub const OK: u32 = 0x0550_0001;
    /// Fatal: no firmware starts any more.
    pub const INTERNAL_ERROR: u32 = 0x0440_0001;
    /// Fatal: no firmware starts any more.
    pub const HARDWARE_ERROR: u32 = 0x0440_0002;
    /// The delta is not what was signed. The old firmware runs.
    pub const AUTH_ERROR: u32 = 0x0440_0003;
    /// The delta is for another firmware. The old one runs.
    pub const UUID_ERROR: u32 = 0x0440_0004;
    /// Not done; the next start tries it again. Nothing runs.
    pub const VOLTAGE_LOW: u32 = 0x0440_0005;
}

impl FakeModem {
    /// What `nrf_modem_init` does: an update or rollback that is scheduled, then normal operation. Gives what that
    /// came to, if there was one.
    ///
    /// EPERM where the modem is not off; EIO where its firmware is broken; EAGAIN where the voltage is too low for what
    /// is scheduled, which stays so. A fatal outcome is given once, and the modem stays off. Power that fails amid an
    /// update delays it until the next start; power that fails behind it, and nobody is told.
    pub fn start_normal(&self) -> Result<Option<u32>, Fault> {
        self.settled().start()
    }

    /// What `nrf_modem_shutdown` does, in either mode. EPERM where the modem is off.
    pub fn shutdown(&self) -> Result<(), Fault> {
        let mut inner = self.inner();
        if !inner.supply.is_on() {
            return Err(Self::POWER_CUT);
        }
        if inner.mode == Mode::Off {
            return Err(Fault::Errno(Errno::Perm));
        }
        inner.forget_ram();
        Ok(())
    }

    /// What the next update or rollback comes to, whatever is in the area: one of [`Outcome`]'s. Fatal ones leave
    /// the modem dead, [`Outcome::VOLTAGE_LOW`] delays it once.
    pub fn set_next_result(&self, outcome: u32) {
        self.inner().next_result = Some(outcome);
    }

    /// What the last start told the library's `dfu_handler`, even where it failed then.
    pub fn last_result(&self) -> Option<u32> {
        self.inner().last_result
    }

    /// Makes the next start one of those that users have met: with a delta left in the area behind an update, the
    /// modem goes back by itself and says nothing.
    pub fn odd_reset(&self) {
        self.inner().odd_reset = true;
    }
}

impl Inner {
    fn start(&mut self) -> Result<Option<u32>, Fault> {
        if !self.supply.is_on() {
            return Err(FakeModem::POWER_CUT);
        }
        if self.mode != Mode::Off {
            return Err(Fault::Errno(Errno::Perm));
        }
        self.last_result = None;
        if !self.alive {
            return Err(Fault::Errno(Errno::Io));
        }
        let odd = core::mem::take(&mut self.odd_reset) && self.area.previous.is_some();
        match self.area.scheduled {
            Some(scheduled) => {
                if self.low_voltage || self.next_result == Some(Outcome::VOLTAGE_LOW) {
                    self.next_result = None;
                    self.last_result = Some(Outcome::VOLTAGE_LOW);
                    return Err(Fault::Errno(Errno::Again));
                }
                self.last_result = self.whole_step(|inner| inner.install(scheduled))?;
            }
            None if odd => {
                self.whole_step(|inner| inner.install(Scheduled::Rollback))?;
            }
            None => {}
        }
        if self.alive {
            self.mode = Mode::Normal;
            self.area.asked = false;
        }
        Ok(self.last_result)
    }

    /// A step that is done as a whole, now or later.
    fn whole_step<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Result<Option<T>, Fault> {
        let Step { done, told } = self.step(None);
        let value = (done == Done::All).then(|| work(self));
        told.map(|()| value)
    }

    fn install(&mut self, scheduled: Scheduled) -> u32 {
        self.area.scheduled = None;
        match self.next_result.take() {
            None | Some(Outcome::OK) => {}
            Some(refused) => {
                self.alive = !matches!(refused, Outcome::INTERNAL_ERROR | Outcome::HARDWARE_ERROR);
                return refused;
            }
        }
        match (scheduled, self.area.whole(), self.area.previous) {
            (Scheduled::Update, Some(header), _) => {
                if !header.matches(self.area.bytes()) {
                    return Outcome::AUTH_ERROR;
                }
                if header.from != self.firmware {
                    return Outcome::UUID_ERROR;
                }
                self.area.previous = Some(self.firmware);
                self.firmware = header.to;
                Outcome::OK
            }
            (Scheduled::Rollback, _, Some(previous)) => {
                self.firmware = previous;
                self.area.previous = None;
                Outcome::OK
            }
            _ => Outcome::AUTH_ERROR,
        }
    }
}
