//! Why there is no secure connection.

use core::fmt;

use ::embedded_tls::TlsError;
use embedded_io_async::ErrorKind;

/// Why there is no connection, or no more, by the error of the connections below.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error<E> {
    /// The connection below could not be opened, or failed.
    Connection(E),
    /// TLS could not be agreed on, the certificate is none to be trusted, or the other side broke TLS's rules.
    Tls(TlsError),
    /// The server did not show that it has the certificate's key.
    NotVouched,
    /// The host is an address, or longer than 64 bytes: certificates are checked for names up to that.
    Host,
    /// A TLS record came that is longer than the buffer.
    Record,
    /// The connection ended, without TLS's word that it is to.
    Closed,
    /// A future was dropped amid what it did, so the connection is of no use.
    Dropped,
    /// [`Tls::drive`](super::Tls::drive) is not there to move it.
    NotDriven,
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection(error) => return error.fmt(f),
            Self::Tls(error) => return write!(f, "TLS failed: {error}"),
            Self::NotVouched => "the server did not show that it has its certificate's key",
            Self::Host => "no certificate can be checked for this host: it takes a name of 64 bytes at most",
            Self::Record => "a TLS record came that is longer than the buffer",
            Self::Closed => "the connection ended without TLS's word",
            Self::Dropped => "the connection was left amid what it did",
            Self::NotDriven => "nothing drives the TLS connection",
        })
    }
}

impl<E: core::error::Error + 'static> core::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Connection(error) => Some(error),
            Self::Tls(error) => Some(error),
            _ => None,
        }
    }
}

impl<E: embedded_io_async::Error + 'static> embedded_io_async::Error for Error<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Connection(error) => error.kind(),
            Self::Tls(_) | Self::NotVouched => ErrorKind::InvalidData,
            Self::Host => ErrorKind::InvalidInput,
            Self::Closed => ErrorKind::ConnectionAborted,
            Self::Record | Self::Dropped | Self::NotDriven => ErrorKind::Other,
        }
    }
}
