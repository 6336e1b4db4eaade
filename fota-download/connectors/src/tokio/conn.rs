//! An open connection, which ends by itself when nothing comes.

use core::future::Future;
use std::io;

use ::tokio::io::{AsyncReadExt, AsyncWriteExt};
use ::tokio::net::TcpStream;
use ::tokio::time::{Duration, timeout};
use embedded_io_async::{ErrorType, Read, Write};

use super::error::{Error, Step};

/// An open connection, TCP or TLS. Dropping it closes it.
///
/// # Cancellation
///
/// A dropped `read` took nothing, a dropped `write` sent nothing or an unknown part.
#[derive(Debug)]
pub struct Conn {
    stream: Stream,
    idle: Duration,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    #[cfg(feature = "rustls")]
    Tls(std::boxed::Box<super::tls::Secure>),
}

impl Conn {
    pub(super) fn tcp(stream: TcpStream, idle: Duration) -> Self {
        Self { stream: Stream::Tcp(stream), idle }
    }

    #[cfg(feature = "rustls")]
    pub(super) fn tls(stream: super::tls::Secure, idle: Duration) -> Self {
        Self { stream: Stream::Tls(std::boxed::Box::new(stream)), idle }
    }
}

impl ErrorType for Conn {
    type Error = Error;
}

impl Read for Conn {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        match &mut self.stream {
            Stream::Tcp(stream) => timely(self.idle, stream.read(buf)).await,
            #[cfg(feature = "rustls")]
            Stream::Tls(stream) => timely(self.idle, stream.read(buf)).await,
        }
    }
}

impl Write for Conn {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        match &mut self.stream {
            Stream::Tcp(stream) => timely(self.idle, stream.write(bytes)).await,
            #[cfg(feature = "rustls")]
            Stream::Tls(stream) => timely(self.idle, stream.write(bytes)).await,
        }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        match &mut self.stream {
            Stream::Tcp(stream) => timely(self.idle, stream.flush()).await,
            #[cfg(feature = "rustls")]
            Stream::Tls(stream) => timely(self.idle, stream.flush()).await,
        }
    }
}

async fn timely<T>(limit: Duration, io: impl Future<Output = io::Result<T>>) -> Result<T, Error> {
    match timeout(limit, io).await {
        Ok(result) => result.map_err(of_io),
        Err(_) => Err(Error::TimedOut(Step::Data)),
    }
}

#[cfg(not(feature = "rustls"))]
use Error::Io as of_io;

#[cfg(feature = "rustls")]
use super::tls::of_io;
