//! UDP sockets.

use core::cell::{RefCell, RefMut};

use ::embassy_net::udp::{PacketMetadata, UdpSocket};
use ::embassy_net::{IpEndpoint, Stack};
use embassy_time::{Duration, Instant, with_timeout};
use fota_download::coap::{Datagram, Datagrams, Security};

use super::{Error, Limits, Step, with_each};

/// Opens UDP sockets, one at a time. There is no DTLS: `coaps` is refused.
///
/// It has one socket of the stack for as long as it lives: count it in `StackResources`.
pub struct Udp<'d> {
    stack: Stack<'d>,
    socket: RefCell<UdpSocket<'d>>,
    limits: Limits,
}

impl<'d> Udp<'d> {
    /// 10 s to look up a name, 30 s for a datagram to go.
    ///
    /// `received` holds what came and was not taken so far: what does not fit is lost, so it should be as long as the
    /// window of [`Coap`](fota_download::Coap) times the length of a datagram, and `received_meta` have that many
    /// entries. `sent` holds a request.
    pub fn new(
        stack: Stack<'d>,
        received_meta: &'d mut [PacketMetadata],
        received: &'d mut [u8],
        sent_meta: &'d mut [PacketMetadata],
        sent: &'d mut [u8],
    ) -> Self {
        let socket = UdpSocket::new(stack, received_meta, received, sent_meta, sent);
        Self { stack, socket: RefCell::new(socket), limits: Limits::DEFAULT }
    }

    /// How long it may take to look up a name.
    pub const fn connect_limit(mut self, limit: Duration) -> Self {
        self.limits.opening = limit;
        self
    }

    /// How long it may take to send a datagram. How long a socket waits for one is said to it each time.
    pub const fn idle_limit(mut self, limit: Duration) -> Self {
        self.limits.idle = limit;
        self
    }
}

/// # Cancellation
///
/// A dropped `connect` leaves nothing open.
impl<'d> Datagrams for Udp<'d> {
    type Error = Error;
    type Socket<'c>
        = Socket<'c, 'd>
    where
        Self: 'c;

    /// At a port of its own each time. Of a name's addresses it takes the first.
    async fn connect<'c>(&'c self, security: Security, host: &str, port: u16) -> Result<Socket<'c, 'd>, Error> {
        if security != Security::None {
            return Err(Error::NotSecure);
        }
        let mut server = None;
        with_each(self.stack, host, self.limits.opening, async |address| {
            server = Some(IpEndpoint::new(address, port));
            Ok(())
        })
        .await?;
        let server = server.ok_or(Error::NoAddress)?;
        let mut socket = self.socket.try_borrow_mut().map_err(|_| Error::InUse)?;
        socket.close();
        socket.bind(0).map_err(Error::Bind)?;
        Ok(Socket { socket, server, idle: self.limits.idle })
    }
}

/// A UDP socket that talks to one server: what comes from elsewhere is left out.
///
/// # Cancellation
///
/// A dropped `receive` took nothing, a dropped `send` sent nothing.
pub struct Socket<'c, 'd> {
    socket: RefMut<'c, UdpSocket<'d>>,
    server: IpEndpoint,
    idle: Duration,
}

impl Drop for Socket<'_, '_> {
    fn drop(&mut self) {
        self.socket.close();
    }
}

impl Datagram for Socket<'_, '_> {
    type Error = Error;

    async fn send(&mut self, datagram: &[u8]) -> Result<(), Error> {
        match with_timeout(self.idle, self.socket.send_to(datagram, self.server)).await {
            Ok(result) => result.map_err(Error::Send),
            Err(_) => Err(Error::TimedOut(Step::Data)),
        }
    }

    async fn receive(&mut self, buf: &mut [u8], timeout_ms: u32) -> Result<Option<usize>, Error> {
        let server = self.server;
        let receiving = async {
            loop {
                let taken = self.socket.recv_from_with(|datagram, from| {
                    if from.endpoint != server {
                        return None;
                    }
                    // The front, where it is longer.
                    buf.iter_mut().zip(datagram).for_each(|(to, byte)| *to = *byte);
                    Some(datagram.len().min(buf.len()))
                });
                if let Some(count) = taken.await {
                    return count;
                }
            }
        };
        Ok(with_timeout(Duration::from_millis(timeout_ms.into()), receiving).await.ok())
    }

    fn now_ms(&self) -> u32 {
        // The low bits: after the largest comes 0.
        Instant::now().as_millis() as u32
    }
}
