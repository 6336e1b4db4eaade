//! Why a CoAP download does not go on.

use core::fmt;

use super::code;
use crate::source::{self, Retry};

/// Why the source could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error<E> {
    /// The socket could not be opened, or failed. Trying again may help.
    Connection(E),
    /// The server answered, or did not, and this is wrong with it.
    Answer(Fault),
}

/// What is wrong with a server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Fault {
    /// There is none, however often it was asked. Trying again may help.
    Timeout,
    /// The server does not know what it is asked about (RST). Trying again may help.
    Reset,
    /// The file changed while it was read. Trying again helps: [`open`](crate::Source::open) sees the new one.
    Changed,
    /// `read` without an `open`, or after a future was dropped.
    NotOpen,
    /// The server refuses. Trying again may help for 4.08, 4.29 and 5.xx.
    Status {
        /// The code as it is sent: `0x84` for 4.04.
        code: u8,
        /// The seconds after which the server wants to be asked again, for 4.29 and 5.03.
        max_age: u32,
    },
    /// It is not the block that was asked for.
    Block,
    /// It has an option that must be understood, and is not.
    Option,
    /// It doesn't fit the buffer.
    TooLong,
    /// The file has more than 2^20 blocks of this size.
    TooLarge,
}

impl<E: core::error::Error + 'static> source::Error for Error<E> {
    fn retry(&self) -> Retry {
        match self {
            Self::Connection(_) | Self::Answer(Fault::Timeout | Fault::Reset | Fault::Changed | Fault::NotOpen) => {
                Retry::Later
            }
            Self::Answer(Fault::Status { code: code::TOO_MANY_REQUESTS | code::SERVICE_UNAVAILABLE, max_age }) => {
                Retry::After(*max_age)
            }
            Self::Answer(Fault::Status { code: code::REQUEST_ENTITY_INCOMPLETE | 0xa0..=0xbf, .. }) => Retry::Later,
            Self::Answer(_) => Retry::Never,
        }
    }
}

impl<E> From<Fault> for Error<E> {
    fn from(fault: Fault) -> Self {
        Self::Answer(fault)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::Answer(fault) => fault.fmt(f),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Connection(error) => Some(error),
            Self::Answer(fault) => Some(fault),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "the server does not answer",
            Self::Reset => "the server rejects the request as one without context",
            Self::Changed => "the file changed while it was read",
            Self::NotOpen => "the file is not open",
            Self::Status { code, .. } => return write!(f, "the server answers with {}.{:02}", code >> 5, code & 31),
            Self::Block => "the server sends another block than was asked for",
            Self::Option => "the answer has a critical option that is not understood",
            Self::TooLong => "the answer is longer than the buffer",
            Self::TooLarge => "the file has too many blocks of this size",
        })
    }
}

impl core::error::Error for Fault {}
