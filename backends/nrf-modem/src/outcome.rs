//! What became of an update, as the modem tells when it starts.

use core::fmt;

/// What the modem said of a delta update when it started: the value that `nrf_modem_init`'s `dfu_handler` gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Outcome {
    /// The new firmware runs. [Settle](crate::ModemDelta::settle) it, or an odd reset may undo it.
    Updated,
    /// The modem failed, and will not start again: only a full update helps.
    InternalError,
    /// The modem's hardware failed, and it will not start again: only a full update can help.
    HardwareError,
    /// The delta's signature is wrong. The firmware of before runs; this delta will be refused again.
    AuthError,
    /// The delta is for another firmware. The firmware of before runs; this delta will be refused again.
    UuidError,
    /// The supply voltage was too low. The firmware of before runs; the modem tries again at its next start.
    VoltageLow,
    /// One that is not known.
    Other(u32),
}

/// What a modem runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Runs {
    /// The new firmware.
    New,
    /// The firmware of before.
    Old,
    /// None: it is dead until a full update.
    Nothing,
    /// That is not known: compare the UUID.
    Unknown,
}

impl Outcome {
    /// What a value means.
    pub const fn from_raw(raw: u32) -> Self {
        match raw {
            0x0550_0001 => Self::Updated,
            0x0440_0001 => Self::InternalError,
            0x0440_0002 => Self::HardwareError,
            0x0440_0003 => Self::AuthError,
            0x0440_0004 => Self::UuidError,
            0x0440_0005 => Self::VoltageLow,
            raw => Self::Other(raw),
        }
    }

    /// What runs after it.
    pub const fn runs(self) -> Runs {
        match self {
            Self::Updated => Runs::New,
            Self::InternalError | Self::HardwareError => Runs::Nothing,
            Self::AuthError | Self::UuidError | Self::VoltageLow => Runs::Old,
            Self::Other(_) => Runs::Unknown,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Updated => "the modem was updated",
            Self::InternalError => "the update failed inside the modem: it needs a full update",
            Self::HardwareError => "the modem's hardware failed: it needs a full update",
            Self::AuthError => "the modem refused the delta's signature, and runs what it ran",
            Self::UuidError => "the delta is for another firmware, and the modem runs what it ran",
            Self::VoltageLow => "the supply voltage was too low: the modem tries again at its next start",
            Self::Other(raw) => return write!(f, "the modem told {raw:#010x} of the update, which is not known"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_own_meaning() {
        use Outcome::*;
        assert_eq!((Outcome::from_raw(0x0550_0001), Updated.runs()), (Updated, Runs::New));
        let refused = [InternalError, HardwareError, AuthError, UuidError, VoltageLow, Other(0x0440_0006)];
        let runs = [Runs::Nothing, Runs::Nothing, Runs::Old, Runs::Old, Runs::Old, Runs::Unknown];
        for (raw, (outcome, runs)) in (0x0440_0001..).zip(refused.into_iter().zip(runs)) {
            assert_eq!((Outcome::from_raw(raw), outcome.runs()), (outcome, runs));
        }
    }
}
