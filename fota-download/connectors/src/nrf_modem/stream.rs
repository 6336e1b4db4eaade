//! TCP and TLS connections, which end by themselves when nothing comes.

use ::nrf_modem::Error as ModemError;
use ::nrf_modem::socket::{Socket as Raw, SocketProtocol, SocketType};
use embedded_hal_async::delay::DelayNs;
use embedded_io_async::{ErrorType, Read, Write};
use fota_download::connect::{Connect, Failure, Server};

use super::{CHUNK, Error, Net, Step};
use crate::timely::within;

/// # Cancellation
///
/// A dropped `connect` leaves nothing open.
impl<D: DelayNs + Clone, N> Connect for Net<'_, D, N> {
    type Error = Error;
    type Conn<'c>
        = Conn<D>
    where
        Self: 'c;

    const TLS: bool = true;

    async fn connect(&self, server: Server<'_>) -> Result<Conn<D>, Error> {
        let protocol = if server.tls { SocketProtocol::Tls1v2 } else { SocketProtocol::Tcp };
        let socket = self.open(server.host, server.port, SocketType::Stream, protocol).await?;
        Ok(Conn { socket, delay: self.delay.clone(), idle: self.limits.idle })
    }

    fn failure(error: &Error) -> Failure {
        match error {
            Error::Tls(_) => Failure::Tls,
            Error::Io(ModemError::TlsPacketTooBig) => Failure::TooBig,
            _ => Failure::Network,
        }
    }
}

/// An open connection, TCP or TLS. Dropping it closes it.
///
/// # Cancellation
///
/// A dropped `read` took nothing, a dropped `write` sent nothing.
#[derive(Debug)]
pub struct Conn<D> {
    socket: Raw,
    delay: D,
    idle: u32,
}

impl<D> ErrorType for Conn<D> {
    type Error = Error;
}

impl<D: DelayNs> Read for Conn<D> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let (space, _) = buf.split_at_mut(buf.len().min(CHUNK));
        if space.is_empty() {
            return Ok(0);
        }
        match within(self.socket.receive(space), self.delay.delay_ms(self.idle)).await {
            // The end of the connection.
            Some(Err(ModemError::Disconnected)) => Ok(0),
            Some(result) => result.map_err(Error::Io),
            None => Err(Error::TimedOut(Step::Data)),
        }
    }
}

impl<D: DelayNs> Write for Conn<D> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let (some, _) = bytes.split_at(bytes.len().min(CHUNK));
        if some.is_empty() {
            return Ok(0);
        }
        let sent = within(self.socket.write(some), self.delay.delay_ms(self.idle)).await;
        sent.ok_or(Error::TimedOut(Step::Data))?.map_err(Error::Io)
    }

    /// The modem sends what it has.
    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
