//! [`CoapTcp`]: a file on a CoAP server, over TCP or TLS (RFC 8323).
//!
//! ```text
//!   server ──► Connect ──► CoapTcp: Source ──► download() ──► Session ──► your target
//!              yours       Block2, BERT         retries, pauses
//!              TCP, TLS    ETag
//! ```
//!
//! The connection is one of [`Connect`], as for HTTP:
//!
//! ```
//! # use fota_download::connect::{Connect, Server};
//! # use embedded_io_async::{ErrorType, Read, Write};
//! use fota_download::coap::tcp::Settings;
//! use fota_download::{CoapTcp, Source};
//!
//! # struct Net;
//! # struct Socket(Vec<&'static [u8]>);
//! # impl Connect for Net {
//! #     type Error = std::io::Error;
//! #     type Conn<'c> = Socket;
//! #     async fn connect(&self, server: Server<'_>) -> std::io::Result<Socket> {
//! #         assert_eq!((server.host, server.port, server.tls), ("firmware.example", 5683, false));
//! #         // Its settings, then 2.05 with all of the file.
//! #         Ok(Socket(vec![b"\x94\x45\x01\x23\x45\x67\xfffirmware", b"\x00\xe1"]))
//! #     }
//! # }
//! # impl ErrorType for Socket { type Error = std::io::Error; }
//! # impl Read for Socket {
//! #     async fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
//! #         std::io::Read::read(&mut self.0.pop().unwrap_or_default(), buf)
//! #     }
//! # }
//! # impl Write for Socket {
//! #     async fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { Ok(bytes.len()) }
//! #     async fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # dfu_target::blocking::block_on(async {
//! let random = 0x0123_4567; // of the hardware, another one each time
//! let mut buf = [0; 128];
//! let mut source = CoapTcp::new(&Net, "coap+tcp://firmware.example/app.bin", Settings::new(random), &mut buf)?;
//! assert_eq!(source.open(0).await?.size, Some(8));
//! let mut bytes = [0; 100];
//! # let mut all = Vec::<u8>::new();
//! # while all.len() < 8 {
//! let count = source.read(&mut bytes).await?;
//! # all.extend(&bytes[..count]);
//! # }
//! # assert_eq!(all, b"firmware");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod frame;
mod settings;
mod transfer;

pub use settings::{MAX_WINDOW, Settings};

use embedded_io_async::{Read, Write};

use self::transfer::{Next, Transfer};
use super::{Error, UrlError};
use crate::connect::Connect;
use crate::source::{Call, Meta, Source};

/// A file on a CoAP server, over TCP or TLS.
///
/// - Has the file sent in messages of several blocks of 1024 bytes each (BERT), up to [`Settings::message`], where
///   the server can do that; else block by block, in the size that the server answers with; else all in one.
/// - Needs no room for them: what a message carries goes from the connection to where [`read`](Source::read) is to put
///   it.
/// - With [`Settings::window`] asks for the next messages before the present one is through.
/// - Compares `ETag` and `Size2` of each answer with those of the first, and gives the `ETag` as [`Meta::tag`], both as
///   [`Coap`](super::Coap) does: what is said there of short ones and of the servers of libcoap and aiocoap holds here.
/// - Answers pings (7.02), and goes on over a new connection where the server releases the present one (7.04), or has
///   closed it while nothing was asked for; but amid a file only if an `ETag` of 4 bytes or more tells its version.
///   What else it is sent that is no answer to it, it leaves out.
///
/// It has no clock: a connection has to end by itself when nothing comes for long, see [`Connect`].
///
/// Asks for blocks without waiting for the server's settings (its CSM), unless BERT is wanted: that it may
/// use only if they allow it (RFC 8323, 6), which costs a round trip per connection.
///
/// # Cancellation
///
/// After a dropped `open` or `read`, `read` is an error and `open` works, on a new connection.
pub struct CoapTcp<'c, 'b, C: Connect + 'c> {
    connector: &'c C,
    conn: Option<C::Conn<'c>>,
    transfer: Transfer<'b>,
}

impl<'c, 'b, C: Connect> CoapTcp<'c, 'b, C> {
    /// A file, by its URL: `coap+tcp://host[:port]/path?query`, or `coaps+tcp://` where the connector has TLS. The
    /// ports are 5683 and 5684 where it names none. On another port than 5684, a server may want TLS to name the
    /// protocol (ALPN `coap`), which is the connector's matter.
    ///
    /// `buf` holds a request, which is some 30 bytes longer than the URL without its scheme, and beside it the head
    /// of an answer, for which 32 bytes have to be left and 64 are better: 128 bytes are enough for short URLs. A
    /// head that doesn't fit is [`Fault::TooLong`](super::Fault::TooLong). A request is 1152 bytes long at most,
    /// which any server takes.
    pub fn new(connector: &'c C, url: &'b str, settings: Settings, buf: &'b mut [u8]) -> Result<Self, UrlError> {
        Ok(Self { connector, conn: None, transfer: Transfer::new(url, settings, buf, C::TLS)? })
    }
}

impl<C: Connect> Source for CoapTcp<'_, '_, C> {
    type Error = Error<C::Error>;

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
        self.conn = None;
        self.transfer.close();
    }

    /// The one loop that awaits.
    async fn call(&mut self, mut call: Call<'_>) -> Result<(), Self::Error> {
        let mut moved = None;
        loop {
            let next = match self.transfer.next(moved, &mut call) {
                Some(Next::Answered) => return Ok(()),
                Some(next) => next,
                None => {
                    self.conn = None;
                    return Err(Error::Answer(self.transfer.end()));
                }
            };
            let result = match (next, &mut self.conn) {
                (Next::Connect, conn) => {
                    *conn = None;
                    let opened = self.connector.connect(self.transfer.server()).await;
                    opened.map(|opened| {
                        *conn = Some(opened);
                        1
                    })
                }
                (Next::Send, Some(conn)) => conn.write(self.transfer.outgoing()).await,
                (Next::Flush, Some(conn)) => conn.flush().await.map(|()| 1),
                (_, Some(conn)) => conn.read(self.transfer.space(&mut call)).await,
                _ => Ok(0),
            };
            moved = match result {
                Ok(count) => Some(count),
                Err(error) => match self.transfer.failed(C::failure(&error)) {
                    None => Some(0),
                    Some(failure) => {
                        self.conn = None;
                        return Err(Error::new(failure, error));
                    }
                },
            };
        }
    }
}
