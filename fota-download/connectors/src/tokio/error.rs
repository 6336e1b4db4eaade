//! Why a connection or a socket of a PC failed.

use core::fmt;
use std::io;
use std::net::SocketAddr;

use embedded_io_async::ErrorKind;

/// Why there is no connection or socket, or no more.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The name has no address that could be found.
    Resolve(io::Error),
    /// There is no way to this address, or nobody there: of those that the name has, the last.
    Connect(SocketAddr, io::Error),
    /// It took too long.
    TimedOut(Step),
    /// The connection or the socket broke.
    Io(io::Error),
    /// TLS is wanted, and there is none: nobody said whom to trust, or feature `rustls` is off.
    NoTls,
    /// DTLS is wanted, and there is none.
    NoDtls,
    /// TLS could not be agreed on, the certificate is none to be trusted, or the other side broke TLS's rules.
    #[cfg(feature = "rustls")]
    Tls(tokio_rustls::rustls::Error),
    /// The host is neither a name nor an address that a certificate could be for.
    #[cfg(feature = "rustls")]
    ServerName(tokio_rustls::rustls::pki_types::InvalidDnsNameError),
    /// A TLS record is longer than [`Net::record_limit`](super::Net::record_limit) has it.
    #[cfg(feature = "rustls")]
    Record,
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// To find the name's addresses.
    Resolve,
    /// To connect to this one, the last.
    Connect(SocketAddr),
    /// To agree on TLS.
    Tls,
    /// To receive or send anything.
    Data,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(error) => write!(f, "the server's name has no address: {error}"),
            Self::Connect(address, error) => write!(f, "no connection to {address}: {error}"),
            Self::TimedOut(Step::Resolve) => f.write_str("no answer to the question for the server's address"),
            Self::TimedOut(Step::Connect(address)) => write!(f, "no connection to {address}: no answer"),
            Self::TimedOut(Step::Tls) => f.write_str("the server does not go on with TLS"),
            Self::TimedOut(Step::Data) => f.write_str("nothing came from the server for too long"),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::NoTls => f.write_str("TLS is wanted, and nothing says whom to trust"),
            Self::NoDtls => f.write_str("DTLS is wanted, which is not there"),
            #[cfg(feature = "rustls")]
            Self::Tls(error) => write!(f, "TLS failed: {error}"),
            #[cfg(feature = "rustls")]
            Self::ServerName(error) => write!(f, "no certificate can be for this host: {error}"),
            #[cfg(feature = "rustls")]
            Self::Record => f.write_str("a TLS record came that is longer than the limit"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Resolve(error) | Self::Connect(_, error) | Self::Io(error) => Some(error),
            Self::TimedOut(_) | Self::NoTls | Self::NoDtls => None,
            #[cfg(feature = "rustls")]
            Self::Tls(error) => Some(error),
            #[cfg(feature = "rustls")]
            Self::ServerName(error) => Some(error),
            #[cfg(feature = "rustls")]
            Self::Record => None,
        }
    }
}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Resolve(error) | Self::Connect(_, error) | Self::Io(error) => error.kind().into(),
            Self::TimedOut(_) => ErrorKind::TimedOut,
            Self::NoTls | Self::NoDtls => ErrorKind::Unsupported,
            #[cfg(feature = "rustls")]
            Self::Tls(_) => ErrorKind::InvalidData,
            #[cfg(feature = "rustls")]
            Self::ServerName(_) => ErrorKind::InvalidInput,
            #[cfg(feature = "rustls")]
            Self::Record => ErrorKind::Other,
        }
    }
}
