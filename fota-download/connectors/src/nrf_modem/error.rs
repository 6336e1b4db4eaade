//! Why a connection or a socket of the modem failed.

use core::fmt;

use ::nrf_modem::Error as ModemError;
use embedded_io_async::ErrorKind;

/// Why there is no connection or socket, or no more.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The name has no address that could be found, or there is no network.
    Resolve(ModemError),
    /// There is no way to the server, nobody there, or no socket left. With TLS, `ECONNREFUSED` (111) is what newer
    /// firmware of the modem says of a certificate that is not trusted, too: the two can't be told apart.
    Connect(ModemError),
    /// TLS or DTLS could not be agreed on, or the modem does not take the security tags.
    Tls(ModemError),
    /// The connection or the socket broke.
    Io(ModemError),
    /// It took too long.
    TimedOut(Step),
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Step {
    /// To find the name's address, or the network.
    Resolve,
    /// To connect, TLS included.
    Connect,
    /// To receive or send anything.
    Data,
}

/// Whether the modem says of a connection that TLS failed. It has few words for that: EOPNOTSUPP, where the two sides
/// have no version or no cipher in common, and in older firmware where the certificate is not trusted.
pub(super) fn is_of_tls(error: &ModemError) -> bool {
    matches!(error, ModemError::NrfError(number) if number.unsigned_abs() == EOPNOTSUPP)
}

const EOPNOTSUPP: usize = 95;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(error) => write!(f, "the server's name has no address: {error}"),
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::Tls(error) => write!(f, "TLS failed: {error}"),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::TimedOut(Step::Resolve) => f.write_str("no answer to the question for the server's address"),
            Self::TimedOut(Step::Connect) => f.write_str("no connection: no answer"),
            Self::TimedOut(Step::Data) => f.write_str("nothing came from the server for too long"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Resolve(error) | Self::Connect(error) | Self::Tls(error) | Self::Io(error) => Some(error),
            Self::TimedOut(_) => None,
        }
    }
}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Resolve(error) | Self::Connect(error) | Self::Tls(error) | Self::Io(error) => error.kind(),
            Self::TimedOut(_) => ErrorKind::TimedOut,
        }
    }
}
