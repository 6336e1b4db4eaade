//! TLS by `rustls`; and, on demand, as deaf to long records as the nRF91's modem.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::borrow::ToOwned;
use std::io;
use std::sync::Arc;

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};

use super::error::Error;

/// A connection whose server was vouched for.
pub(super) type Secure = TlsStream<Records>;

#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    pub(super) fn new(config: Arc<ClientConfig>) -> Self {
        Self(TlsConnector::from(config))
    }

    pub(super) async fn connect(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
        limit: Option<u16>,
    ) -> Result<Secure, Error> {
        let records = Records { stream, limit: None, head: Head::default(), left: 0 };
        let mut stream = self.0.connect(name, records).await.map_err(of_io)?;
        // The modem is not as strict with its handshakes.
        stream.get_mut().0.limit = limit;
        Ok(stream)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

pub(super) fn name(host: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(host.to_owned()).map_err(Error::ServerName)
}

/// What `rustls` and [`Records`] have to say comes wrapped.
pub(super) fn of_io(error: io::Error) -> Error {
    match error.downcast::<rustls::Error>() {
        Ok(error) => Error::Tls(error),
        Err(error) if error.get_ref().is_some_and(|cause| cause.is::<TooLong>()) => Error::Record,
        Err(error) => Error::Io(error),
    }
}

/// A TCP connection, and where in its TLS records it is.
#[derive(Debug)]
pub(super) struct Records {
    stream: TcpStream,
    limit: Option<u16>,
    head: Head,
    /// How much of the record is to come.
    left: u16,
}

impl Records {
    /// Follows what came; whether a record begins in it that is too long.
    fn follow(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let (_, rest) = bytes.split_at_checked(self.left.into()).unwrap_or((bytes, &[]));
            self.left = self.left.saturating_sub(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
            let [first, rest @ ..] = rest else { return false };
            bytes = rest;
            let Some(length) = self.head.push(*first) else { continue };
            if self.limit.is_some_and(|limit| length.saturating_sub(OVERHEAD) > limit) {
                return true;
            }
            self.left = length;
        }
    }
}

impl AsyncRead for Records {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let came = buf.filled().get(before..).unwrap_or_default();
        Poll::Ready(if this.follow(came) { Err(io::Error::other(TooLong)) } else { Ok(()) })
    }
}

impl AsyncWrite for Records {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Of a record: kind, version, length. How many of its bytes came, and the last of them.
#[derive(Debug, Default)]
struct Head(u8, u8);

impl Head {
    /// The length, with the last byte of it.
    fn push(&mut self, byte: u8) -> Option<u16> {
        let length = u16::from_be_bytes([self.1, byte]);
        *self = Self(self.0.saturating_add(1), byte);
        if self.0 < 5 {
            return None;
        }
        *self = Self::default();
        Some(length)
    }
}

/// What TLS 1.3 adds to what is sent: the kind and the tag.
const OVERHEAD: u16 = 17;

#[derive(Debug)]
struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too long a record")
    }
}

impl core::error::Error for TooLong {}
