//! What the modem says of an update that it was to install as it started.
#![forbid(unsafe_code)]

/// What became of a delta update or a rollback, told by the start of the modem: `NRF_MODEM_DFU_RESULT_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Outcome {
    /// The modem runs the other firmware now.
    Updated,
    /// It failed, and the modem does not start any more: it needs a full update.
    InternalError,
    /// It failed, and the modem does not start any more: it needs a full update.
    HardwareError,
    /// The signature is wrong. The modem runs the firmware of before.
    AuthError,
    /// It was for another firmware. The modem runs the one of before.
    UuidError,
    /// Not done, as the supply voltage is too low. The modem tries again when it starts next.
    LowVoltage,
    /// One that is not known.
    Other(u32),
}

impl Outcome {
    /// What a number means.
    pub const fn from_raw(raw: u32) -> Self {
        match raw {
            0x0550_0001 => Self::Updated,
            0x0440_0001 => Self::InternalError,
            0x0440_0002 => Self::HardwareError,
            0x0440_0003 => Self::AuthError,
            0x0440_0004 => Self::UuidError,
            0x0440_0005 => Self::LowVoltage,
            raw => Self::Other(raw),
        }
    }

    /// Whether only a full update brings the modem back.
    pub const fn needs_full_update(self) -> bool {
        matches!(self, Self::InternalError | Self::HardwareError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_own_meaning() {
        use Outcome::*;
        assert_eq!(Outcome::from_raw(0x0550_0001), Updated);
        let refused = [InternalError, HardwareError, AuthError, UuidError, LowVoltage, Other(0x0440_0006)];
        for (raw, outcome) in (0x0440_0001..).zip(refused) {
            assert_eq!(Outcome::from_raw(raw), outcome);
            assert_eq!(outcome.needs_full_update(), raw <= 0x0440_0002);
        }
        assert!(!Updated.needs_full_update());
    }
}
