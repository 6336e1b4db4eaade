//! Why the modem does not take a delta.

use core::fmt;

use dfu_target::progress::StoreError;
use dfu_target::{Error, ErrorKind};

use crate::port::{Code, Fault, Offset};

/// Why the target refused or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DeltaError {
    /// The modem or its library refused. [`Code::InvalidUuid`]: this delta is not for the firmware that runs.
    Modem(Fault),
    /// The first bytes are not those of a delta. Nothing was changed.
    NotDelta,
    /// More bytes than the modem's area has, or than the image was said to have. Nothing was changed.
    TooLarge {
        /// The image's length, so far as it is known.
        size: u32,
        /// What there is room for.
        area: u32,
    },
    /// The caller's [policy](crate::DeltaPolicy) refused it. Nothing was changed.
    Policy,
    /// An update waits for the modem's restart. Nothing was changed: restart the modem, or abort first.
    Pending,
    /// The modem did not get round to erasing in time, and goes on with it: go offline and try again.
    EraseTimeout {
        /// How long was waited.
        waited_ms: u32,
    },
    /// The caller gave up waiting for an erase, which goes on.
    Cancelled,
    /// Bytes are missing.
    Truncated {
        /// How many there are.
        have: u32,
        /// How many there should be.
        need: u32,
    },
    /// The modem does not hold what it was given.
    Lost {
        /// What it says it holds.
        offset: Offset,
        /// What it was given.
        have: u32,
    },
    /// The record of the update could not be cleared.
    Store(StoreError),
    /// No image was checked, or the proof is of another one.
    NotChecked,
    /// An earlier write failed or was dropped, or the stream has ended.
    Closed,
}

impl Error for DeltaError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Modem(fault) if fault.is_low_voltage() => ErrorKind::Busy,
            Self::Modem(Fault::Code(code)) => match code {
                Code::InvalidUuid | Code::InvalidHeader => ErrorKind::Refused,
                Code::InvalidPatch | Code::InvalidAddress | Code::InvalidFileOffset | Code::IncompleteData => {
                    ErrorKind::Corrupt
                }
                Code::ErasePending | Code::OutOfMemory => ErrorKind::Busy,
                _ => ErrorKind::Storage,
            },
            Self::Modem(Fault::Errno(_)) | Self::Store(_) => ErrorKind::Storage,
            Self::NotDelta | Self::Policy => ErrorKind::Refused,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Pending => ErrorKind::Pending,
            Self::EraseTimeout { .. } | Self::Cancelled => ErrorKind::Busy,
            Self::Truncated { .. } | Self::Lost { .. } => ErrorKind::Corrupt,
            Self::NotChecked | Self::Closed => ErrorKind::Order,
        }
    }
}

impl From<Fault> for DeltaError {
    fn from(fault: Fault) -> Self {
        Self::Modem(fault)
    }
}

impl fmt::Display for DeltaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Modem(fault) => fault.fmt(f),
            Self::NotDelta => f.write_str("this is no delta update for the modem"),
            Self::TooLarge { size, area } => write!(f, "{size} bytes, and there is room for {area}"),
            Self::Policy => f.write_str("the caller does not want this update for the firmware that runs"),
            Self::Pending => f.write_str("an update waits for the modem's restart: restart it, or abort first"),
            Self::EraseTimeout { waited_ms } => {
                write!(f, "the modem has not erased its area in {waited_ms} ms: go offline and try again")
            }
            Self::Cancelled => f.write_str("waiting for the modem's erase was given up"),
            Self::Truncated { have, need } => write!(f, "{have} bytes of {need} came"),
            Self::Lost { offset: Offset::At(offset), have } => {
                write!(f, "the modem was given {have} bytes and holds {offset}")
            }
            Self::Lost { offset: Offset::Dirty, have } => {
                write!(f, "the modem was given {have} bytes and holds none that count")
            }
            Self::Store(error) => error.fmt(f),
            Self::NotChecked => f.write_str("no image was checked, or the proof is of another image"),
            Self::Closed => f.write_str("an earlier write failed or was dropped: begin again"),
        }
    }
}

impl core::error::Error for DeltaError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Modem(fault) => Some(fault),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
