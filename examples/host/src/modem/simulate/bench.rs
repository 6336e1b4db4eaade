//! The device on the desk: a staging flash and a modem, on one supply.

use dfu_testkit::flash::{Chip, Cut, SimFlash};
use dfu_testkit::modem::{FakeModem, ModemState, Settings, Wait};

use super::area::Flash;
use super::power::PowerCut;
use crate::ending::{Outcome, Problem};

/// A staging flash and a modem, on one supply.
pub(super) struct Bench {
    pub(super) chip: Flash,
    pub(super) modem: FakeModem,
    is_registered: bool,
    cut: Option<(u64, Cut)>,
}

impl Bench {
    pub(super) fn new(flash: &[u8], state: &ModemState, registered: bool, low_voltage: bool, cut: &PowerCut) -> Self {
        let mut sim = SimFlash::new(flash.len());
        sim.load(0, flash);
        let chip = Chip::new(sim);
        let modem = FakeModem::new(Settings::new().erase(Wait::Millis(OFFLINE_MS), Wait::Forever));
        modem.reload(state);
        modem.share_supply(&chip);
        modem.set_low_voltage(low_voltage);
        Self { chip, modem, is_registered: registered, cut: cut.planned() }
    }

    /// A reset of the whole chip, or its first start. No power, no reset.
    pub(super) fn reset(&self) -> Outcome<()> {
        self.is_on()?;
        self.modem.power_on();
        // Which forgets what is still to come.
        if let Some((points, cut)) = self.cut
            && let Some(left) = points.checked_sub(self.modem.points())
        {
            self.modem.cut_after(left, cut);
        }
        Ok(())
    }

    /// What the application does when the modem has started.
    pub(super) fn attach(&self) {
        self.modem.set_registered(self.is_registered);
    }

    pub(super) fn is_on(&self) -> Outcome<()> {
        if self.modem.is_powered() { Ok(()) } else { Err(Problem::refused("the power is off")) }
    }

    /// The staging flash's size.
    pub(super) fn size(&self) -> u32 {
        self.chip.sim().bytes().len() as u32
    }
}

/// How long the modem erases its area while it is offline.
const OFFLINE_MS: u64 = 2000;
