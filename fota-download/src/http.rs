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
use self::text::part;
use self::url::Host;
use crate::source::{Meta, Source};

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
    /// The connection stands where `exchange` says.
    live: bool,
}

impl<'c, 'b, C: Connect> Http<'c, 'b, C> {
    /// A file, by its URL: `http://host[:port]/path`.
    ///
    /// `buf` holds a validator ([`MAX_VALIDATOR`] bytes), the address and either the request or the head of the
    /// answer: 1 KiB is right for plain servers, 2 KiB for content networks, which send long heads and redirect
    /// to long addresses.
    pub fn new(connector: &'c C, url: &'b str, buf: &'b mut [u8]) -> Result<Self, UrlError> {
        Ok(Self { connector, conn: None, exchange: Exchange::new(url, buf)?, live: false })
    }
}

impl<C: Connect> Source for Http<'_, '_, C> {
    type Error = Error<C::Error>;

    async fn open(&mut self, from: u32) -> Result<Meta, Self::Error> {
        self.live = false;
        if !self.exchange.begin(from)? {
            self.conn = None;
        }
        loop {
            let reused = self.conn.is_some();
            let conn = match &mut self.conn {
                Some(conn) => conn,
                conn => {
                    let mut host = Host::new();
                    let port = self.exchange.server(&mut host).map_err(Fault::Redirect)?;
                    conn.insert(self.connector.connect(&host, port).await.map_err(Error::Connection)?)
                }
            };
            let outcome = 'exchange: {
                let mut request = self.exchange.request()?;
                while !request.is_empty() {
                    match conn.write(request).await {
                        Ok(0) => break 'exchange Err(Error::Answer(Fault::Closed)),
                        Ok(count) => request = part(request, count, request.len()),
                        Err(error) => break 'exchange Err(Error::Connection(error)),
                    }
                }
                if let Err(error) = conn.flush().await {
                    break 'exchange Err(Error::Connection(error));
                }
                loop {
                    match conn.read(self.exchange.space()).await {
                        Ok(0) => break 'exchange Err(Error::Answer(Fault::Closed)),
                        Ok(count) => match self.exchange.received(count) {
                            Ok(Next::More) => {}
                            other => break 'exchange other.map_err(Error::Answer),
                        },
                        Err(error) => break 'exchange Err(Error::Connection(error)),
                    }
                }
            };
            match outcome {
                Ok(Next::Body) => {
                    self.live = true;
                    return Ok(self.exchange.meta);
                }
                // The server may close a connection that was kept at any time.
                Err(error) if !reused || self.exchange.answered() => {
                    self.conn = None;
                    return Err(error);
                }
                _ => self.conn = None,
            }
        }
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        let room = self.exchange.room(buf.len());
        let buf = buf.get_mut(..room).unwrap_or_default();
        if buf.is_empty() && self.live {
            return Ok(0);
        }
        let mut count = self.exchange.take(buf);
        let Some(conn) = self.conn.as_mut().filter(|_| self.live) else { return Err(Fault::Closed.into()) };
        if count == 0 {
            self.live = false;
            count = conn.read(buf).await.map_err(Error::Connection)?;
            if count == 0 && !self.exchange.ends_with_connection() {
                return Err(Fault::Closed.into());
            }
            self.live = true;
        }
        self.exchange.passed(count);
        Ok(count)
    }
}
