//! TCP connections, which end by themselves when nothing comes.

use core::cell::{RefCell, RefMut};

use ::embassy_net::Stack;
use ::embassy_net::tcp::{self, TcpSocket};
use embassy_time::{Duration, with_timeout};
use embedded_io_async::{ErrorType, Read, Write};
use fota_download::connect::{Connect, Failure, Server};

use super::{Error, Limits, Step, with_each};

/// Opens TCP connections, one at a time. There is no TLS: `https` is refused.
///
/// It has one socket of the stack for as long as it lives: count it in `StackResources`.
pub struct Tcp<'d> {
    stack: Stack<'d>,
    socket: RefCell<TcpSocket<'d>>,
    limits: Limits,
}

impl<'d> Tcp<'d> {
    /// 10 s to connect, 30 s of silence.
    ///
    /// `received` is what may be on its way to here at a time, so it bounds the speed: its length, each round trip. 4 KiB
    /// will do; less than 1.5 KiB makes small packets. `sent` holds a request or a part of it.
    pub fn new(stack: Stack<'d>, received: &'d mut [u8], sent: &'d mut [u8]) -> Self {
        Self { stack, socket: RefCell::new(TcpSocket::new(stack, received, sent)), limits: Limits::DEFAULT }
    }

    /// How long each step of opening a connection may take: the name, the connection to each of its addresses.
    pub const fn connect_limit(mut self, limit: Duration) -> Self {
        self.limits.opening = limit;
        self
    }

    /// How long a connection waits for the server before it ends, with [`Step::Data`].
    pub const fn idle_limit(mut self, limit: Duration) -> Self {
        self.limits.idle = limit;
        self
    }
}

/// # Cancellation
///
/// A dropped `connect` leaves nothing open.
impl<'d> Connect for Tcp<'d> {
    type Error = Error;
    type Conn<'c>
        = Conn<'c, 'd>
    where
        Self: 'c;

    async fn connect<'c>(&'c self, server: Server<'_>) -> Result<Conn<'c, 'd>, Error> {
        if server.tls {
            return Err(Error::NotSecure);
        }
        let socket = self.socket.try_borrow_mut().map_err(|_| Error::InUse)?;
        // From here on the connection is ended when this is dropped.
        let mut conn = Conn { socket, idle: self.limits.idle };
        let opening = self.limits.opening;
        with_each(self.stack, server.host, opening, async |address| {
            let socket = &mut conn.socket;
            // The last one's end is told to its server first, if that can be done.
            socket.abort();
            _ = with_timeout(MOMENT, socket.flush()).await;
            match with_timeout(opening, socket.connect((address, server.port))).await {
                Ok(result) => result.map_err(Error::Connect),
                Err(_) => Err(Error::TimedOut(Step::Connect)),
            }
        })
        .await?;
        // A request is sent in one piece and waited for.
        conn.socket.set_nagle_enabled(false);
        Ok(conn)
    }

    fn failure(error: &Error) -> Failure {
        if *error == Error::NotSecure { Failure::Tls } else { Failure::Network }
    }
}

/// An open connection. Dropping it ends it, by a reset: what the server still sends is in vain.
///
/// # Cancellation
///
/// A dropped `read` took nothing, a dropped `write` sent nothing.
pub struct Conn<'c, 'd> {
    socket: RefMut<'c, TcpSocket<'d>>,
    idle: Duration,
}

impl Drop for Conn<'_, '_> {
    fn drop(&mut self) {
        self.socket.abort();
    }
}

impl ErrorType for Conn<'_, '_> {
    type Error = Error;
}

impl Read for Conn<'_, '_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        timely(self.idle, self.socket.read(buf)).await
    }
}

impl Write for Conn<'_, '_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        timely(self.idle, self.socket.write(bytes)).await
    }

    /// Until the server has all of it.
    async fn flush(&mut self) -> Result<(), Error> {
        timely(self.idle, self.socket.flush()).await
    }
}

async fn timely<T>(limit: Duration, io: impl Future<Output = Result<T, tcp::Error>>) -> Result<T, Error> {
    match with_timeout(limit, io).await {
        Ok(result) => result.map_err(Error::Tcp),
        Err(_) => Err(Error::TimedOut(Step::Data)),
    }
}

const MOMENT: Duration = Duration::from_millis(100);
