//! [`Coap`]: a file on a CoAP server, over any datagrams.
//!
//! ```text
//!   server ──► Datagrams ──► Coap: Source ──► download() ──► Session ──► your target
//!              yours         Block2, ETag      retries, pauses
//!              UDP or DTLS   retransmission, window
//! ```
//!
//! What it follows: messages and retransmission of RFC 7252, Block2 and Size2 of RFC 7959, timeouts that are estimated
//! as RFC 6298 does it, 4.29 of RFC 8516. Over TCP and TLS (RFC 8323) there is a source of its own, `tcp::CoapTcp`
//! (feature `coap-tcp`). Not there: Q-Block2 (RFC 9177), OSCORE.
//!
//! With the sockets of the standard library; those of embassy or of a modem are wrapped alike:
//!
//! ```
//! use std::net::UdpSocket;
//! use std::time::{Duration, Instant};
//!
//! use fota_download::coap::{Datagram, Datagrams, Security, Settings, space};
//! use fota_download::{Coap, Source};
//!
//! struct Net;
//! struct Socket(UdpSocket, Instant);
//!
//! impl Datagrams for Net {
//!     type Error = std::io::Error;
//!     type Socket<'c> = Socket;
//!     async fn connect(&self, security: Security, host: &str, port: u16) -> std::io::Result<Socket> {
//!         if security != Security::None {
//!             return Err(std::io::ErrorKind::Unsupported.into());
//!         }
//!         let socket = UdpSocket::bind("127.0.0.1:0")?;
//!         socket.connect((host, port))?;
//!         Ok(Socket(socket, Instant::now()))
//!     }
//! }
//!
//! impl Datagram for Socket {
//!     type Error = std::io::Error;
//!     async fn send(&mut self, datagram: &[u8]) -> std::io::Result<()> {
//!         self.0.send(datagram).map(|_| ())
//!     }
//!     async fn receive(&mut self, buf: &mut [u8], timeout_ms: u32) -> std::io::Result<Option<usize>> {
//!         self.0.set_read_timeout(Some(Duration::from_millis(timeout_ms.max(1).into())))?;
//!         match self.0.recv(buf) {
//!             Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
//!             came => came.map(Some),
//!         }
//!     }
//!     fn now_ms(&self) -> u32 {
//!         self.1.elapsed().as_millis() as u32
//!     }
//! }
//!
//! # let server = UdpSocket::bind("127.0.0.1:0")?;
//! # let url = format!("coap://{}/app.bin", server.local_addr()?);
//! # std::thread::spawn(move || {
//! #     let mut buf = [0; 100];
//! #     let (_, client) = server.recv_from(&mut buf).unwrap();
//! #     // 2.05 with the acknowledgement, all in one piece.
//! #     let answer = [&[0x64, 0x45], &buf[2..8], b"\xfffirmware"].concat();
//! #     server.send_to(&answer, client).unwrap();
//! # });
//! # dfu_target::blocking::block_on(async {
//! let random = 0x0123_4567_89ab_cdef; // of the hardware, another one each time
//! let mut datagram = [0; space(1024, 1)];
//! let mut source = Coap::new(&Net, &url, Settings::new(random), &mut datagram)?;
//! assert_eq!(source.open(0).await?.size, Some(8));
//! let mut bytes = [0; 100];
//! let count = source.read(&mut bytes).await?;
//! assert_eq!(&bytes[..count], b"firmware");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod message;
mod rtt;
mod settings;
#[cfg(feature = "coap-tcp")]
pub mod tcp;
mod transfer;
mod url;
mod window;

pub use error::{Error, Fault};
pub use settings::{MAX_WINDOW, Settings};
pub use url::{Security, UrlError};

use coap_numbers::code;

use self::transfer::{Event, Next, Transfer};
use crate::source::{Call, Meta, Source};

/// Opens sockets.
///
/// A socket is closed by dropping it, and always before the next one is opened: one is enough.
pub trait Datagrams {
    /// Why a socket could not be opened, or failed.
    type Error: core::error::Error + 'static;
    /// An open socket.
    type Socket<'c>: Datagram<Error = Self::Error>
    where
        Self: 'c;

    /// Opens a socket that talks to this server and to no other: what comes from elsewhere is left out. The host is
    /// a name or an address as the URL has it, an IPv6 address without its brackets.
    ///
    /// For [`Security::Dtls`] all that is sent and received is encrypted, or it is an error.
    async fn connect<'c>(&'c self, security: Security, host: &str, port: u16) -> Result<Self::Socket<'c>, Self::Error>;
}

/// A socket that talks to one server, and the clock by which it waits.
///
/// # Cancellation
///
/// Any future may be dropped; a datagram may be lost with it.
pub trait Datagram {
    /// Why it failed. What failed is not used again.
    type Error;

    /// Sends a datagram. It may be lost, which is no error.
    async fn send(&mut self, datagram: &[u8]) -> Result<(), Self::Error>;

    /// Waits for a datagram for so many milliseconds at most, 0: takes what is there; returns its length, `None`:
    /// nothing came. Of a datagram that is longer than `buf` the front is given.
    async fn receive(&mut self, buf: &mut [u8], timeout_ms: u32) -> Result<Option<usize>, Self::Error>;

    /// The time in milliseconds, from any moment on; after the largest comes 0.
    fn now_ms(&self) -> u32;
}

/// A file on a CoAP server.
///
/// - Asks for the largest blocks that fit the buffer and takes the size that the server answers with.
/// - Sends again what is lost, after a time that follows the round trips; with [`Settings::window`] several blocks
///   are on their way at a time.
/// - Compares `ETag` and `Size2` of each block with those of the first: a file that changes ends the transfer with
///   [`Fault::Changed`], and no byte of the new one is passed on.
/// - Gives an `ETag` of 4 bytes or more as [`Meta::tag`], by which a session knows the file again. A shorter one may be
///   a number that begins anew when the server does: it is compared within a transfer, and the tag is 0.
///
/// No `ETag` is sent: a server would answer with 2.03 and no payload. libcoap's server numbers its transfers and has no
/// `ETag` for one that begins amid the file: with tag 0, a session goes on only if its request names the digest.
/// aiocoap's server doesn't say how long the file is, so the session's request has to.
///
/// # Cancellation
///
/// After a dropped `open` or `read`, `read` is an error and `open` works, on a new socket.
pub struct Coap<'c, 'b, D: Datagrams + 'c> {
    connector: &'c D,
    socket: Option<D::Socket<'c>>,
    transfer: Transfer<'b>,
}

impl<'c, 'b, D: Datagrams> Coap<'c, 'b, D> {
    /// A file, by its URL: `coap://host[:port]/path?query`, or `coaps://`.
    ///
    /// `buf` holds a datagram and, where more than one block is asked for at a time, those that come before their
    /// turn: [`space`] tells how long it is best.
    pub fn new(connector: &'c D, url: &'b str, settings: Settings, buf: &'b mut [u8]) -> Result<Self, UrlError> {
        Ok(Self { connector, socket: None, transfer: Transfer::new(url, settings, buf)? })
    }

    /// Has a proxy get the file (`Proxy-Uri`): `proxy` is its URL. What is encrypted stays so as far as the proxy.
    pub fn proxy(mut self, proxy: &'b str) -> Result<Self, UrlError> {
        self.transfer.through(proxy)?;
        Ok(self)
    }
}

/// The length of the buffer for blocks of this size, and for so many at a time. A shorter one, down to 80 bytes, works
/// too: blocks are smaller then, or those that overtake others are asked for again.
pub const fn space(block: u16, window: u8) -> usize {
    let settings = Settings::new(0).block(block).window(window);
    transfer::HEAD.wrapping_add((16_usize << settings.szx).wrapping_mul(settings.window as usize))
}

impl<D: Datagrams> Source for Coap<'_, '_, D> {
    type Error = Error<D::Error>;

    async fn open(&mut self, from: u32) -> Result<Meta, Self::Error> {
        let mut meta = Meta::default();
        self.call(Call::Open(from, &mut meta)).await?;
        Ok(meta)
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        let mut count = 0;
        self.call(Call::Read(buf, &mut count)).await?;
        Ok(count)
    }

    fn paid(&self) -> u32 {
        self.transfer.paid
    }

    fn close(&mut self) {
        self.socket = None;
        self.transfer.closed();
    }

    /// The one loop that awaits.
    async fn call(&mut self, mut call: Call<'_>) -> Result<(), Self::Error> {
        let mut event = Event::Called;
        loop {
            let now = self.socket.as_ref().map_or(0, Datagram::now_ms);
            let next = match self.transfer.next(now, event, &mut call) {
                Some(Next::Answered) => return Ok(()),
                Some(next) => next,
                None => {
                    self.socket = None;
                    return Err(Error::Answer(self.transfer.end()));
                }
            };
            if next == Next::Connect {
                self.socket = None;
                let url = self.transfer.server();
                let (security, host, port) = (url.security, url.host, url.port);
                self.socket = Some(self.connector.connect(security, host, port).await.map_err(Error::Connection)?);
                event = Event::Done;
                continue;
            }
            let result = match (next, &mut self.socket) {
                (Next::Receive(ms), Some(socket)) => {
                    let came = socket.receive(self.transfer.space(), ms).await;
                    came.map(|came| came.map_or(Event::Silence, Event::Came))
                }
                (_, Some(socket)) => socket.send(self.transfer.outgoing()).await.map(|()| Event::Done),
                (_, None) => return Err(Error::Answer(Fault::NotOpen)),
            };
            event = match result {
                Ok(event) => event,
                Err(error) => {
                    self.socket = None;
                    return Err(Error::Connection(error));
                }
            };
        }
    }
}

/// The bytes from one place to another, or none where there are no such places.
#[inline(never)]
fn part(bytes: &[u8], from: usize, to: usize) -> &[u8] {
    bytes.get(from..to).unwrap_or_default()
}
