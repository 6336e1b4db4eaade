//! What an update has to know of the image that runs.

use dfu_target::image::mcuboot::Version;

use crate::{Config, Mode, RunningState, Upgrade};

/// What an update has to know of the image that runs: whether it stays, and its version.
/// [`Running::active`](crate::Running::active) reads it; where the application cannot read its own slot, it says
/// so itself with [`new`](Self::new).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Active {
    /// What the bootloader did last.
    pub state: RunningState,
    /// The version that runs. Modes that choose by version take no image without knowing it.
    pub version: Option<Version>,
}

impl Active {
    /// An image in this state, of this version.
    pub const fn new(state: RunningState, version: Option<Version>) -> Self {
        Self { state, version }
    }

    /// Whether the other slot may be changed: not while it holds the way back.
    pub(crate) fn stays(&self, config: &Config) -> bool {
        match self.state {
            RunningState::Trial => !config.mode.reverts(),
            // It would be erased at the way back, if there is to be one.
            RunningState::Factory => {
                let reverts = matches!(config.mode, Mode::DirectXipRevert | Mode::RamLoadRevert);
                !reverts || matches!(config.upgrade, Upgrade::Permanent)
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [Mode; 8] = [
        Mode::SwapMove,
        Mode::SwapScratch,
        Mode::SwapOffset,
        Mode::OverwriteOnly,
        Mode::DirectXip,
        Mode::DirectXipRevert,
        Mode::RamLoad,
        Mode::RamLoadRevert,
    ];

    fn stays(state: RunningState, mode: Mode, upgrade: Upgrade) -> bool {
        Active::new(state, None).stays(&Config::new(mode).upgrade(upgrade))
    }

    #[test]
    fn an_image_on_trial_stays_only_where_there_is_no_way_back() {
        for mode in MODES {
            let no_way_back = matches!(mode, Mode::OverwriteOnly | Mode::DirectXip | Mode::RamLoad);
            for upgrade in [Upgrade::Test, Upgrade::Permanent] {
                assert_eq!(stays(RunningState::Trial, mode, upgrade), no_way_back, "{mode:?}");
            }
        }
    }

    #[test]
    fn a_programmers_image_stays_but_where_a_trial_of_another_would_erase_it() {
        for mode in MODES {
            let erased = matches!(mode, Mode::DirectXipRevert | Mode::RamLoadRevert);
            assert_eq!(stays(RunningState::Factory, mode, Upgrade::Test), !erased, "{mode:?}");
            assert!(stays(RunningState::Factory, mode, Upgrade::Permanent), "{mode:?}");
        }
    }

    #[test]
    fn what_was_settled_stays() {
        for mode in MODES {
            for state in [RunningState::Confirmed, RunningState::Reverted, RunningState::Unknown] {
                assert!(stays(state, mode, Upgrade::Test), "{mode:?} {state:?}");
            }
        }
    }
}
