//! Why a connection or a socket of the stack failed.

use core::fmt;

use ::embassy_net::{dns, tcp, udp};
use embedded_io_async::ErrorKind;

/// Why there is no connection or socket, or no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The name can't be looked up.
    Resolve(dns::Error),
    /// The name has no address that the stack could use, or the stack has none itself.
    NoAddress,
    /// There is no way to the server, or nobody there.
    Connect(tcp::ConnectError),
    /// The connection broke.
    Tcp(tcp::Error),
    /// The stack gives no port to a UDP socket.
    Bind(udp::BindError),
    /// A datagram can't be sent: there is no way, or it is longer than the socket's buffer.
    Send(udp::SendError),
    /// It took too long.
    TimedOut(Step),
    /// The one connection or socket there is, is open still.
    InUse,
    /// TLS or DTLS is wanted, which is not there.
    NotSecure,
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Step {
    /// To find the name's address.
    Resolve,
    /// To connect.
    Connect,
    /// To receive or send anything.
    Data,
}

impl Error {
    /// What was known before, if there was anything.
    pub(super) fn or(self, later: Self) -> Self {
        if self == Self::NoAddress { later } else { self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve(dns::Error::Failed) => "the server's name has no address",
            Self::NoAddress => "the server's name has no address that can be used",
            Self::Resolve(error) => return write!(f, "the server's name can't be one: {error:?}"),
            Self::Connect(error) => return write!(f, "no connection: {error:?}"),
            Self::Tcp(error) => return write!(f, "the connection failed: {error:?}"),
            Self::Bind(error) => return write!(f, "no socket: {error:?}"),
            Self::Send(error) => return write!(f, "the datagram can't be sent: {error:?}"),
            Self::TimedOut(Step::Resolve) => "no answer to the question for the server's address",
            Self::TimedOut(Step::Connect) => "no connection: no answer",
            Self::TimedOut(Step::Data) => "nothing came from the server for too long",
            Self::InUse => "the one connection there is, is open still",
            Self::NotSecure => "a secure connection is wanted, which is not there",
        })
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Connect(error) => Some(error),
            Self::Tcp(error) => Some(error),
            // The stack's others are no errors in the sense of the trait.
            _ => None,
        }
    }
}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Resolve(_) | Self::NoAddress => ErrorKind::NotFound,
            Self::Connect(error) => error.kind(),
            Self::Tcp(error) => error.kind(),
            Self::Bind(_) | Self::Send(_) | Self::InUse => ErrorKind::Other,
            Self::TimedOut(_) => ErrorKind::TimedOut,
            Self::NotSecure => ErrorKind::Unsupported,
        }
    }
}
