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
