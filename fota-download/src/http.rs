//! [`Http`]: a file on a web server, over any connection.

mod error;
mod exchange;
mod response;
mod text;
mod url;

pub use error::{Error, Fault};
pub use url::{MAX_HOST, UrlError};

use embedded_io_async::{ErrorType, Read, Write};

use self::exchange::{Exchange, Next};
use crate::source::{Call, Meta, Source};

/// The longest `ETag` that is sent back to the server, in bytes. A longer one still tells two files apart.
pub const MAX_VALIDATOR: usize = 64;

/// Opens connections: TCP as a rule.
///
/// Connections should end by themselves, with an error, when nothing comes for some time: the source has no
/// clock and waits as long as they do. A connection is closed by dropping it, and always before the next one is
/// opened: one socket is enough.
pub trait Connect {
    /// Why a connection could not be opened, or failed.
    type Error: embedded_io_async::Error + 'static;
    /// An open connection.
    type Conn<'c>: Read + Write + ErrorType<Error = Self::Error>
    where
        Self: 'c;

    /// Opens a connection to a host, which is a name or an address as the URL has it, an IPv6 address without its
    /// brackets.
    async fn connect<'c>(&'c self, host: &str, port: u16) -> Result<Self::Conn<'c>, Self::Error>;
}

/// A file on an HTTP/1.1 server.
///
/// - Asks for the rest of the file (`Range`) and, where the server named its version before, for the rest of that
///   version only (`If-Range`). A server that has no ranges sends the file from its start.
/// - Follows up to 5 redirects, over `http://` only, and from the caller's URL again at each `open`.
/// - Keeps the connection where a body was read to its end.
///
/// # Cancellation
///
/// After a dropped `open` or `read`, `read` is an error and `open` works, on a new connection.
pub struct Http<'c, 'b, C: Connect + 'c> {
    connector: &'c C,
    conn: Option<C::Conn<'c>>,
    exchange: Exchange<'b>,
}

impl<'c, 'b, C: Connect> Http<'c, 'b, C> {
    /// A file, by its URL: `http://host[:port]/path`.
    ///
    /// `buf` holds a validator ([`MAX_VALIDATOR`] bytes), the address and either the request or the head of the
    /// answer: 1 KiB is right for plain servers, 2 KiB for content networks, which send long heads and redirect
    /// to long addresses.
    pub fn new(connector: &'c C, url: &'b str, buf: &'b mut [u8]) -> Result<Self, UrlError> {
        Ok(Self { connector, conn: None, exchange: Exchange::new(url, buf)? })
    }
}

impl<C: Connect> Source for Http<'_, '_, C> {
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

    /// The one loop that awaits.
    async fn call(&mut self, mut call: Call<'_>) -> Result<(), Self::Error> {
        let mut moved = None;
        loop {
            let next = match self.exchange.next(moved, &mut call) {
                Some(Next::Answered) => return Ok(()),
                Some(next) => next,
                None => {
                    self.conn = None;
                    return Err(Error::Answer(self.exchange.end()));
                }
            };
            if next == Next::Connect {
                self.conn = None;
                let (host, port) = self.exchange.server();
                self.conn = Some(self.connector.connect(host, port).await.map_err(Error::Connection)?);
                moved = Some(1);
                continue;
            }
            let result = match (next, &mut self.conn) {
                (Next::Send, Some(conn)) => conn.write(self.exchange.request()).await,
                (Next::Flush, Some(conn)) => conn.flush().await.map(|()| 1),
                (_, Some(conn)) => conn.read(self.exchange.space(&mut call)).await,
                _ => Ok(0),
            };
            moved = match result {
                Ok(count) => Some(count),
                Err(_) if self.exchange.is_kept() => Some(0),
                Err(error) => {
                    self.conn = None;
                    return Err(Error::Connection(error));
                }
            };
        }
    }
}
