//! Why a CoAP download does not go on.

use core::fmt;

use super::code;
use crate::source::{self, Retry};

/// Why the source could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error<E> {
    /// The socket or the connection could not be opened, or failed. Trying again may help.
    Connection(E),
    /// TLS could not be agreed on with the server, or is not to be had. Over TCP only.
    Tls(E),
    /// The server's TLS records are longer than the connection can receive, though short messages were asked for. Over
    /// TCP only.
    Record(E),
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
    /// Over TCP: the connection was closed before the end. Trying again may help.
    Closed,
    /// Over TCP: the server gave the connection up (7.05). Trying again may help.
    Aborted,
    /// Over TCP: the server doesn't want this connection any more (7.04), and has not answered over it. Trying again
    /// may help.
    Released {
        /// The seconds after which the server wants to be asked again; 0: it does not say.
        hold_off: u32,
    },
    /// Over TCP: it is no message, so that nobody knows where the next one begins.
    Malformed,
    /// Over TCP: the server's settings (7.01) are not the first that comes, or have an option that must be
    /// understood, and is not.
    Csm,
}

#[cfg(feature = "coap-tcp")]
impl<E> Error<E> {
    pub(super) fn new(failure: crate::connect::Failure, error: E) -> Self {
        use crate::connect::Failure;
        match failure {
            Failure::Network => Self::Connection(error),
            Failure::Tls => Self::Tls(error),
            Failure::TooBig => Self::Record(error),
        }
    }
}

impl<E: core::error::Error + 'static> source::Error for Error<E> {
    fn retry(&self) -> Retry {
        match self {
            Self::Connection(_)
            | Self::Answer(
                Fault::Timeout
                | Fault::Reset
                | Fault::Changed
                | Fault::NotOpen
                | Fault::Closed
                | Fault::Aborted
                | Fault::Released { hold_off: 0 },
            ) => Retry::Later,
            Self::Answer(Fault::Released { hold_off }) => Retry::After(*hold_off),
            Self::Answer(Fault::Status { code: code::TOO_MANY_REQUESTS | code::SERVICE_UNAVAILABLE, max_age }) => {
                Retry::After(*max_age)
            }
            Self::Answer(Fault::Status { code: code::REQUEST_ENTITY_INCOMPLETE | 0xa0..=0xbf, .. }) => Retry::Later,
            Self::Tls(_) | Self::Record(_) | Self::Answer(_) => Retry::Never,
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
            Self::Tls(error) => write!(f, "no secure connection: {error}"),
            Self::Record(error) => write!(f, "the server's TLS records are too long: {error}"),
            Self::Answer(fault) => fault.fmt(f),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Connection(error) | Self::Tls(error) | Self::Record(error) => Some(error),
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
            Self::Closed => "the server closed the connection before the end",
            Self::Aborted => "the server aborts the connection",
            Self::Released { .. } => "the server does not want the connection any more",
            Self::Malformed => "what the server sends is no message",
            Self::Csm => "the server's settings did not come, or are not understood",
        })
    }
}

impl core::error::Error for Fault {}
