//! UDP sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use ::tokio::net::UdpSocket;
use ::tokio::time::{Duration, Instant, timeout};
use fota_download::coap::{Datagram, Datagrams, Security};

use super::Net;
use super::error::Error;

/// # Cancellation
///
/// A dropped `connect` leaves nothing open.
impl Datagrams for Net {
    type Error = Error;
    type Socket<'c> = Socket;

    /// A server that does not take part is seen by its silence, or by the system's word at the next call.
    async fn connect(&self, security: Security, host: &str, port: u16) -> Result<Socket, Error> {
        if security != Security::None {
            return Err(Error::NoDtls);
        }
        let mut last = Error::Resolve(io::ErrorKind::NotFound.into());
        for address in self.resolve(host, port).await? {
            // It says whether there is a way there.
            match open(address).await {
                Ok(socket) => return Ok(Socket { socket, opened: Instant::now() }),
                Err(error) => last = Error::Connect(address, error),
            }
        }
        Err(last)
    }
}

async fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// A UDP socket that talks to one server: the system leaves out what comes from elsewhere.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
    opened: Instant,
}

/// # Cancellation
///
/// A dropped `receive` took nothing, a dropped `send` sent nothing.
impl Datagram for Socket {
    type Error = Error;

    async fn send(&mut self, datagram: &[u8]) -> Result<(), Error> {
        self.socket.send(datagram).await.map(|_| ()).map_err(Error::Io)
    }

    async fn receive(&mut self, buf: &mut [u8], timeout_ms: u32) -> Result<Option<usize>, Error> {
        // What is there is seen once the runtime has asked the system, which it does while it waits.
        let limit = Duration::from_millis(timeout_ms.max(1).into());
        match timeout(limit, self.socket.recv(buf)).await {
            Err(_) => Ok(None),
            Ok(Ok(count)) => Ok(Some(count)),
            // Windows names it an error where the datagram is longer than the buffer, which it filled.
            Ok(Err(error)) if cfg!(windows) && error.raw_os_error() == Some(WSAEMSGSIZE) => Ok(Some(buf.len())),
            Ok(Err(error)) => Err(Error::Io(error)),
        }
    }

    fn now_ms(&self) -> u32 {
        // The low bits: after the largest comes 0.
        self.opened.elapsed().as_millis() as u32
    }
}

const WSAEMSGSIZE: i32 = 10040;
