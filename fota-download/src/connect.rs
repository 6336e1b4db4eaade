//! [`Connect`]: what a connection is to the source.

use embedded_io_async::{ErrorType, Read, Write};

/// Opens connections: TCP, and TLS over it where [`TLS`](Self::TLS) says so.
///
/// Connections should end by themselves, with an error, when nothing comes for some time: the source has no
/// clock and waits as long as they do. A connection is closed by dropping it, and always before the next one is
/// opened: one socket is enough.
pub trait Connect {
    /// Why a connection could not be opened, or failed.
    type Error: embedded_io_async::Error + 'static;
    /// An open connection.
    type Conn<'c>: Read + Write + ErrorType<Error = Self::Error>
    where
        Self: 'c;

    /// Whether it can do TLS. Where it can't, the source refuses `https` and `coaps+tcp` URLs by itself, so that a connector that
    /// doesn't look at [`Server::tls`] never sends in the clear what should be secret. One that finds out later, for
    /// want of a certificate for instance, fails with an error that is [`Failure::Tls`].
    const TLS: bool = false;

    /// Opens a connection.
    async fn connect<'c>(&'c self, server: Server<'_>) -> Result<Self::Conn<'c>, Self::Error>;

    /// What an error is about. A connector without TLS can leave it at that.
    fn failure(_error: &Self::Error) -> Failure {
        Failure::Network
    }
}

/// Where a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Server<'s> {
    /// A name or an address as the URL has it, an IPv6 address without its brackets. With TLS, the certificate must
    /// be for it.
    pub host: &'s str,
    /// The port, where the URL names none 80 or with TLS 443, and for CoAP 5683 or with TLS 5684.
    pub port: u16,
    /// Whether this is to be a TLS connection. If it is, nothing may be sent without.
    pub tls: bool,
}

/// What a connection's error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Failure {
    /// The network or the server: trying again may help.
    Network,
    /// TLS could not be agreed on, or the certificate is none to be trusted: trying again doesn't help.
    Tls,
    /// A TLS record came that is longer than can be received, which is what the nRF91's modem says by `EMSGSIZE`.
    /// The source asks for less at once then.
    TooBig,
}
