//! UDP and DTLS sockets.

use ::nrf_modem::Error as ModemError;
use ::nrf_modem::socket::{Socket as Raw, SocketProtocol, SocketType};
use embedded_hal_async::delay::DelayNs;
use fota_download::coap::{Datagram, Datagrams, Security};

use super::{Error, Net, Step};
use crate::timely::within;

/// # Cancellation
///
/// A dropped `connect` leaves nothing open.
impl<D: DelayNs + Clone, N: Fn() -> u32> Datagrams for Net<'_, D, N> {
    type Error = Error;
    type Socket<'c>
        = Socket<'c, D, N>
    where
        Self: 'c;

    async fn connect<'c>(&'c self, security: Security, host: &str, port: u16) -> Result<Socket<'c, D, N>, Error> {
        let secure = security == Security::Dtls;
        let protocol = if secure { SocketProtocol::DTls1v2 } else { SocketProtocol::Udp };
        let socket = self.open(host, port, SocketType::Datagram, protocol).await?;
        Ok(Socket { socket, secure, delay: self.delay.clone(), now_ms: &self.now_ms, idle: self.limits.idle })
    }
}

/// A UDP or DTLS socket that talks to one server.
///
/// # Cancellation
///
/// A dropped `receive` took nothing, a dropped `send` sent nothing.
#[derive(Debug)]
pub struct Socket<'c, D, N> {
    socket: Raw,
    secure: bool,
    delay: D,
    now_ms: &'c N,
    idle: u32,
}

impl<D: DelayNs + Clone, N: Fn() -> u32> Datagram for Socket<'_, D, N> {
    type Error = Error;

    async fn send(&mut self, datagram: &[u8]) -> Result<(), Error> {
        let sent = within(self.socket.write(datagram), self.delay.delay_ms(self.idle)).await;
        sent.ok_or(Error::TimedOut(Step::Data))?.map_err(Error::Io).map(|_| ())
    }

    /// One that is empty is left out, and so is one where the modem says that it is too long for the buffer.
    async fn receive(&mut self, buf: &mut [u8], timeout_ms: u32) -> Result<Option<usize>, Error> {
        let mut moment = self.delay.clone();
        let receiving = async {
            loop {
                match self.socket.receive(buf).await {
                    // What `nrf-modem` makes of one without bytes. Over DTLS it is the server's last word.
                    Err(ModemError::Disconnected) if !self.secure => {}
                    Err(ModemError::TlsPacketTooBig) => {}
                    result => return result.map_err(Error::Io),
                }
                moment.delay_ms(1).await;
            }
        };
        within(receiving, self.delay.delay_ms(timeout_ms)).await.transpose()
    }

    fn now_ms(&self) -> u32 {
        (self.now_ms)()
    }
}
