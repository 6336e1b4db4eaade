//! Why a full update is not taken, or not done.

use core::fmt;

use dfu_target::{Error, ErrorKind};

use crate::WrapperError;
use crate::port::{Fault, MOST_RANGES};

/// Why the target refused or failed; `E` is the flash's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FullError<E> {
    /// The flash failed.
    Flash(E),
    /// The first bytes are not those of a full update. Nothing was changed.
    NotFull,
    /// The wrapper is damaged. Where it came as part of a stream, nothing was changed.
    Wrapper(WrapperError),
    /// The wrapper tells of another length than the source. Nothing was changed.
    WrongSize {
        /// What the wrapper tells.
        told: u32,
        /// What was offered.
        offered: u32,
    },
    /// It does not fit. Nothing was changed.
    TooLarge {
        /// The file's length, so far as it is known.
        size: u32,
        /// What there is room for.
        max: u32,
    },
    /// The caller's [policy](crate::FullPolicy) refused it. Nothing was changed.
    Policy,
    /// A file waits here for `recover`. Nothing was changed: reset, or abort first.
    Pending,
    /// The modem's firmware is incomplete, and the file here is the remedy. Nothing was changed: `recover` first.
    Incomplete,
    /// Bytes are missing.
    Truncated {
        /// How many there are.
        have: u32,
        /// How many there should be.
        need: u32,
    },
    /// The segments are not those that the wrapper tells of.
    BlobHash,
    /// What is staged is not what was verified. The modem was not touched.
    Damaged,
    /// The flash took the marker and reads back something else.
    MarkNotWritten,
    /// The modem or its library failed. The next `recover` tries again, where the modem was not touched yet three times
    /// at most.
    Modem(Fault),
    /// The modem refused the update's signature. Its firmware is as it was.
    Refused(Fault),
    /// The modem's flash does not hold what was expected. The next `recover` programs it again, three times at most.
    Mismatch,
    /// The buffer for programming is too small.
    Buffer,
    /// More ranges are to be compared than a modem takes at once.
    Ranges,
    /// No file was read back, or the proof is of another one.
    NotChecked,
    /// An earlier operation failed or was dropped, or the stream has ended.
    Closed,
}

impl<E: fmt::Debug> Error for FullError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Modem(fault) if fault.is_low_voltage() => ErrorKind::Busy,
            Self::Flash(_) | Self::MarkNotWritten | Self::Modem(_) => ErrorKind::Storage,
            Self::Wrapper(WrapperError::Truncated) => ErrorKind::Corrupt,
            Self::NotFull | Self::Wrapper(_) | Self::WrongSize { .. } | Self::Policy | Self::Refused(_) => {
                ErrorKind::Refused
            }
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Pending | Self::Incomplete => ErrorKind::Pending,
            Self::Truncated { .. } | Self::BlobHash | Self::Damaged | Self::Mismatch => ErrorKind::Corrupt,
            Self::Buffer | Self::Ranges | Self::NotChecked | Self::Closed => ErrorKind::Order,
        }
    }
}

impl<E> From<Fault> for FullError<E> {
    fn from(fault: Fault) -> Self {
        Self::Modem(fault)
    }
}

impl<E: fmt::Debug> fmt::Display for FullError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "flash error: {error:?}"),
            Self::NotFull => f.write_str("this is no full update for the modem"),
            Self::Wrapper(error) => error.fmt(f),
            Self::WrongSize { told, offered } => {
                write!(f, "the wrapper tells of {told} bytes, and there are {offered}")
            }
            Self::TooLarge { size, max } => write!(f, "{size} bytes, and there is room for {max}"),
            Self::Policy => f.write_str("the caller does not want this update"),
            Self::Pending => f.write_str("a full update waits to be programmed: reset, or abort it first"),
            Self::Incomplete => {
                f.write_str("the modem's firmware is incomplete, and what is staged is its remedy: recover first")
            }
            Self::Truncated { have, need } => write!(f, "{have} bytes of {need} came"),
            Self::BlobHash => f.write_str("the segments are not those that the wrapper tells of"),
            Self::Damaged => f.write_str("what is staged is not what was verified"),
            Self::MarkNotWritten => f.write_str("the flash did not keep the marker"),
            Self::Modem(fault) => fault.fmt(f),
            Self::Refused(fault) => write!(f, "the modem refused the update's signature: {fault}"),
            Self::Mismatch => f.write_str("the modem's flash does not hold what was expected"),
            Self::Buffer => f.write_str("the buffer for programming is too small"),
            Self::Ranges => write!(f, "more than {MOST_RANGES} ranges are to be compared"),
            Self::NotChecked => f.write_str("no file was checked, or the proof is of another one"),
            Self::Closed => f.write_str("an earlier operation failed or was dropped: begin again"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for FullError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Modem(fault) | Self::Refused(fault) => Some(fault),
            Self::Wrapper(error) => Some(error),
            _ => None,
        }
    }
}
