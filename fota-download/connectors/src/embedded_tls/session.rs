//! One TLS connection, from its opening to its end.

use core::cell::Cell;
use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use ::embedded_tls::{Aes128GcmSha256, CryptoRngCore, TlsClock, TlsConfig, TlsConnection, TlsContext, TlsError};
use embedded_io_async::{ErrorType, Read, Write};
use fota_download::connect::{Connect, Server};

use super::desk::{CHUNK, Host, Op};
use super::error::Error;
use super::verify::Provider;
use super::{Buffers, Tls};

impl<C: Connect, K: TlsClock> Tls<'_, C, K> {
    /// One connection after the other, each as long as its handle is held.
    pub(super) async fn connections(&self, buffers: &mut Buffers<'_>, rng: &mut impl CryptoRngCore) -> Infallible {
        loop {
            let (number, host, port) = poll_fn(|_| self.opening()).await;
            let mut session = pin!(self.session(&host, port, buffers, rng));
            poll_fn(|cx| {
                if !self.desk.borrow().is_held(number) {
                    return Poll::Ready(());
                }
                session.as_mut().poll(cx)
            })
            .await;
        }
    }

    fn opening(&self) -> Poll<(u32, Host, u16)> {
        let mut desk = self.desk.borrow_mut();
        match desk.take_op() {
            Some(Op::Open(host, port)) => Poll::Ready((desk.number(), host, port)),
            None => Poll::Pending,
            // The connection has ended, and its handle does not know so far.
            Some(_) => {
                desk.give(Err(Error::Closed));
                Poll::Pending
            }
        }
    }

    /// Until it fails.
    async fn session(&self, host: &Host, port: u16, buffers: &mut Buffers<'_>, rng: &mut impl CryptoRngCore) {
        let conn = match self.plain.connect(Server { host, port, tls: false }).await {
            Ok(conn) => conn,
            Err(error) => return self.desk.borrow_mut().give(Err(Error::Connection(error))),
        };
        let cause = Cell::new(None);
        let is_open = Cell::new(false);
        let wire = Wire { conn, cause: &cause, opened: &is_open, head: Head::default(), left: 0 };
        let mut tls = TlsConnection::<_, Aes128GcmSha256>::new(wire, buffers.received, buffers.sent);
        let config = TlsConfig::new().with_server_name(host);
        let mut provider = Provider::<_, K>::new(rng, self.authority);
        let opened = match tls.open(TlsContext::new(&config, &mut provider)).await {
            Ok(()) if provider.vouched() => Ok(0),
            Ok(()) => Err(Error::NotVouched),
            Err(error) => Err(of_tls(error, &cause)),
        };
        is_open.set(true);
        let failed = opened.is_err();
        self.desk.borrow_mut().give(opened);
        if failed {
            return;
        }
        let mut chunk = [0; CHUNK];
        loop {
            let op = poll_fn(|_| self.desk.borrow_mut().take_op().map_or(Poll::Pending, Poll::Ready)).await;
            let result = match op {
                Op::Open(..) => return,
                Op::Read(most) => match tls.read(chunk.get_mut(..most).unwrap_or_default()).await {
                    // TLS's word that this is all.
                    Err(TlsError::ConnectionClosed) => Ok(0),
                    result => result,
                },
                Op::Write(count) => {
                    let bytes = chunk.get_mut(..count).unwrap_or_default();
                    bytes.copy_from_slice(self.desk.borrow_mut().bytes(count));
                    tls.write(bytes).await
                }
                Op::Flush => tls.flush().await.map(|()| 0),
            };
            let result = result.map_err(|error| match error {
                TlsError::InsufficientSpace => Error::Record,
                error => of_tls(error, &cause),
            });
            let mut desk = self.desk.borrow_mut();
            if let (Op::Read(_), Ok(count)) = (op, &result) {
                desk.bytes(*count).iter_mut().zip(&chunk).for_each(|(to, byte)| *to = *byte);
            }
            desk.give(result);
        }
    }
}

/// What the connection below has to say comes without its cause, which was kept.
fn of_tls<E>(error: TlsError, cause: &Cell<Option<Error<E>>>) -> Error<E> {
    match (cause.take(), error) {
        (Some(cause), _) => cause,
        (None, TlsError::Io(_) | TlsError::IoError | TlsError::ConnectionClosed | TlsError::MissingHandshake) => {
            Error::Closed
        }
        (None, error) => Error::Tls(error),
    }
}

/// The connection below, which keeps its error, and keeps from `embedded-tls` what that would panic at.
struct Wire<'k, C: ErrorType> {
    conn: C,
    cause: &'k Cell<Option<Error<C::Error>>>,
    /// The handshake is over.
    opened: &'k Cell<bool>,
    head: Head,
    /// How much of the record is to come.
    left: u16,
}

impl<C: ErrorType> Wire<'_, C> {
    fn keep<T>(&self, result: Result<T, C::Error>) -> Result<T, Broken> {
        result.map_err(|error| {
            let kind = embedded_io_async::Error::kind(&error);
            self.cause.set(Some(Error::Connection(error)));
            Broken(kind)
        })
    }

    /// Follows what came. `None`: a record begins in it that is encrypted and has nothing in it, not even its kind; or one
    /// that is not encrypted, where all are.
    fn follow(&mut self, mut bytes: &[u8]) -> Option<()> {
        loop {
            let (_, rest) = bytes.split_at_checked(self.left.into()).unwrap_or((bytes, &[]));
            self.left = self.left.saturating_sub(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
            let Some((first, rest)) = rest.split_first() else { return Some(()) };
            bytes = rest;
            if let Some((kind, length)) = self.head.push(*first) {
                let encrypted = kind == ENCRYPTED;
                if encrypted && length <= TAG || !encrypted && self.opened.get() {
                    return None;
                }
                self.left = length;
            }
        }
    }
}

/// Of a record: kind, version, length; and how much of it came.
#[derive(Default)]
struct Head([u8; 5], usize);

impl Head {
    /// Kind and length, with the last byte of it.
    fn push(&mut self, byte: u8) -> Option<(u8, u16)> {
        if let Some(place) = self.0.get_mut(self.1) {
            *place = byte;
        }
        self.1 = self.1.saturating_add(1);
        let [kind, _, _, high, low] = self.0;
        (self.1 >= self.0.len()).then(|| {
            self.1 = 0;
            (kind, u16::from_be_bytes([high, low]))
        })
    }
}

const ENCRYPTED: u8 = 23;
/// Of AES-GCM, which is in each encrypted record.
const TAG: u16 = 16;

/// What is left of an error where its cause was kept.
#[derive(Debug)]
struct Broken(embedded_io_async::ErrorKind);

impl core::fmt::Display for Broken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the connection failed")
    }
}

impl core::error::Error for Broken {}

impl embedded_io_async::Error for Broken {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        self.0
    }
}

impl<C: ErrorType> ErrorType for Wire<'_, C> {
    type Error = Broken;
}

impl<C: Read> Read for Wire<'_, C> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Broken> {
        let result = self.conn.read(buf).await;
        let count = self.keep(result)?;
        if self.follow(buf.get(..count).unwrap_or_default()).is_none() {
            self.cause.set(Some(Error::Tls(TlsError::InvalidRecord)));
            return Err(Broken(embedded_io_async::ErrorKind::InvalidData));
        }
        Ok(count)
    }
}

impl<C: Write> Write for Wire<'_, C> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let result = self.conn.write(bytes).await;
        self.keep(result)
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        let result = self.conn.flush().await;
        self.keep(result)
    }
}
