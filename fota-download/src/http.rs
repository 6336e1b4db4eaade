//! [`Http`]: a file on a web server, over any connection.

mod chunks;
mod error;
mod exchange;
mod response;
mod text;
mod url;

pub use error::{Error, Fault};
pub use url::{MAX_HOST, UrlError};

use embedded_io_async::{Read, Write};

use self::exchange::{Exchange, Next};
use crate::connect::{Connect, Failure};
use crate::source::{Call, Meta, Source};

/// The longest `ETag` that is sent back to the server, in bytes. A longer one still tells two files apart.
pub const MAX_VALIDATOR: usize = 64;

/// A file on an HTTP/1.1 server.
///
/// - Asks for the rest of the file (`Range`) and, where the server named its version before, for the rest of that
///   version only (`If-Range`). A server that has no ranges sends the file from its start.
/// - Follows up to 5 redirects, never from `https` to `http`. Where they led is asked for the following stretches
///   too, and the caller's URL again after an error, from offset 0, or when that address has expired.
/// - Keeps the connection where a body was read to its end. Where it was closed meanwhile, or what comes first over it is
///   no answer, 400 or 408, the request is sent over a new one, once.
/// - Asks for stretches that fit a TLS record where the connection can't receive longer ones: the end of each is
///   [`read`](Source::read)'s 0. What is too long for a record it finds out by itself.
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
    /// A file, by its URL: `http://host[:port]/path`, or `https` where the connector has TLS.
    ///
    /// `buf` holds a validator ([`MAX_VALIDATOR`] bytes), the address and either the request or the head of the
    /// answer: 1 KiB is right for plain servers, 2 KiB for content networks, which send long heads and redirect
    /// to long addresses.
    pub fn new(connector: &'c C, url: &'b str, buf: &'b mut [u8]) -> Result<Self, UrlError> {
        Ok(Self { connector, conn: None, exchange: Exchange::new(url, buf, C::TLS)? })
    }

    /// Fields for the requests, `authorization` or the device's name for instance: names and values. They are sent to
    /// the host and port of the URL only, and not to where a redirect leads from there: from `http` to `https` neither,
    /// which is another port unless the URL says otherwise. Control characters are an error, [`Fault::Field`], at `open`.
    pub fn fields(mut self, fields: &'b [(&'b str, &'b str)]) -> Self {
        self.exchange.fields = fields;
        self
    }

    /// The longest TLS record that the connection can receive, in bytes without its own header: 2303 for the nRF91's
    /// modem, and never below 512. Heads of answers count. Without, the source asks for all of the file at first and learns from
    /// [`Failure::TooBig`]; with it, that costs no connection.
    pub fn record_limit(mut self, bytes: u16) -> Self {
        self.exchange.limit(bytes);
        self
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

    fn paid(&self) -> u32 {
        self.exchange.paid
    }

    fn close(&mut self) {
        self.conn = None;
        self.exchange.closed();
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
            let result = match (next, &mut self.conn) {
                (Next::Connect, conn) => {
                    *conn = None;
                    let opened = self.connector.connect(self.exchange.server()).await;
                    opened.map(|opened| {
                        *conn = Some(opened);
                        1
                    })
                }
                (Next::Send, Some(conn)) => conn.write(self.exchange.request()).await,
                (Next::Flush, Some(conn)) => conn.flush().await.map(|()| 1),
                (_, Some(conn)) => conn.read(self.exchange.space(&mut call)).await,
                _ => Ok(0),
            };
            moved = match result {
                Ok(count) => Some(count),
                Err(error) => {
                    let failure = self.exchange.failed(C::failure(&error));
                    if failure == Failure::Network && self.exchange.is_kept() {
                        Some(0)
                    } else {
                        self.conn = None;
                        return Err(Error::new(failure, error));
                    }
                }
            };
        }
    }
}
