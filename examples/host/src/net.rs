//! The device's network: TCP of this PC, TLS over it, and a meter.

mod tls;

use std::cell::Cell;
use std::future::Future;
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::time::Duration;

use embedded_hal_async::delay::DelayNs;
use embedded_io_async::{ErrorType, Read, Write};
use fota_download::Connect;
use fota_download::connect::{Failure, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::tls::{Secure, Tls};

/// TCP, TLS where a certificate authority is named, and how much came over it.
#[derive(Default)]
pub(crate) struct Tcp {
    tls: Option<Tls>,
    received: Cell<u64>,
    bodies: Cell<u64>,
}

impl Tcp {
    /// Servers have to be vouched for by one of the certificates of this PEM file; records of TLS may have so many
    /// bytes.
    pub(crate) fn new(ca: Option<&Path>, record: Option<u16>) -> anyhow::Result<Self> {
        Ok(Self { tls: ca.map(|ca| Tls::new(ca, record)).transpose()?, ..Self::default() })
    }

    /// All bytes that came, heads of answers included.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// The bytes of the bodies alone, since this was asked last.
    pub(crate) fn take_bodies(&self) -> u64 {
        self.bodies.take()
    }
}

impl Connect for Tcp {
    type Error = Error;
    type Conn<'c> = Conn<'c>;

    const TLS: bool = true;

    async fn connect<'c>(&'c self, server: Server<'_>) -> Result<Conn<'c>, Error> {
        let tls = match (&self.tls, server.tls) {
            (None, true) => return Err(tls::no_ca()),
            (tls, wanted) => tls.as_ref().filter(|_| wanted),
        };
        let stream = timely(TcpStream::connect((server.host, server.port))).await?;
        stream.set_nodelay(true)?;
        let stream = match tls {
            Some(tls) => Stream::Tls(timely(tls.connect(server.host, stream)).await?),
            None => Stream::Tcp(stream),
        };
        Ok(Conn { stream, net: self, head: 0 })
    }

    fn failure(error: &Error) -> Failure {
        tls::failure(error)
    }
}

enum Stream {
    Tcp(TcpStream),
    Tls(Box<Secure>),
}

/// A connection that gives up after [`PATIENCE`].
pub(crate) struct Conn<'c> {
    stream: Stream,
    net: &'c Tcp,
    /// How much of [`HEAD_END`] came; all of it: a body follows.
    head: usize,
}

impl ErrorType for Conn<'_> {
    type Error = Error;
}

impl Read for Conn<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let count = match &mut self.stream {
            Stream::Tcp(stream) => timely(stream.read(buf)).await?,
            Stream::Tls(stream) => timely(stream.read(buf)).await?,
        };
        self.net.received.set(self.net.received.get() + count as u64);
        let mut bodies = self.net.bodies.get();
        for byte in &buf[..count] {
            match HEAD_END.get(self.head) {
                None => bodies += 1,
                Some(next) if next == byte => self.head += 1,
                Some(_) => self.head = usize::from(*byte == HEAD_END[0]),
            }
        }
        self.net.bodies.set(bodies);
        Ok(count)
    }
}

impl Write for Conn<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        // A request: the head of an answer comes next.
        self.head = 0;
        match &mut self.stream {
            Stream::Tcp(stream) => timely(stream.write(bytes)).await,
            Stream::Tls(stream) => timely(stream.write(bytes)).await,
        }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        match &mut self.stream {
            Stream::Tcp(stream) => timely(stream.flush()).await,
            Stream::Tls(stream) => timely(stream.flush()).await,
        }
    }
}

async fn timely<T>(io: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(PATIENCE, io).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

const PATIENCE: Duration = Duration::from_secs(10);
const HEAD_END: &[u8] = b"\r\n\r\n";

/// The device's clock, which is this PC's.
pub(crate) struct Clock;

impl DelayNs for Clock {
    async fn delay_ns(&mut self, ns: u32) {
        tokio::time::sleep(Duration::from_nanos(ns.into())).await;
    }

    async fn delay_ms(&mut self, ms: u32) {
        tokio::time::sleep(Duration::from_millis(ms.into())).await;
    }
}
