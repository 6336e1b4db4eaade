//! The device's network: TCP of this PC, and a meter on it.

use std::cell::Cell;
use std::future::Future;
use std::io::{Error, ErrorKind};
use std::time::Duration;

use embedded_hal_async::delay::DelayNs;
use embedded_io_async::{ErrorType, Read, Write};
use fota_download::Connect;
use fota_download::http::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// TCP, and how much came over it.
#[derive(Default)]
pub(crate) struct Tcp {
    received: Cell<u64>,
    bodies: Cell<u64>,
}

impl Tcp {
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

    async fn connect<'c>(&'c self, server: Server<'_>) -> Result<Conn<'c>, Error> {
        let stream = timely(TcpStream::connect((server.host, server.port))).await?;
        stream.set_nodelay(true)?;
        Ok(Conn { stream, net: self, head: 0 })
    }
}

/// A connection that gives up after [`PATIENCE`].
pub(crate) struct Conn<'c> {
    stream: TcpStream,
    net: &'c Tcp,
    /// How much of [`HEAD_END`] came; all of it: a body follows.
    head: usize,
}

impl ErrorType for Conn<'_> {
    type Error = Error;
}

impl Read for Conn<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let count = timely(self.stream.read(buf)).await?;
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
        timely(self.stream.write(bytes)).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        timely(self.stream.flush()).await
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
