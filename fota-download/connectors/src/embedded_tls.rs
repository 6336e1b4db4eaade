//! TLS 1.3 over any plain [`Connect`], through `embedded-tls` 0.19: for chips that have a network and no TLS.
//!
//! ```
//! # use embedded_tls::CryptoRngCore;
//! use fota_connectors::embedded_tls::{Buffers, Tls};
//! use fota_download::{Connect, Http, Source};
//!
//! # async fn example(plain: impl Connect, authority: &[u8], mut rng: impl CryptoRngCore) -> Result<(), Box<dyn std::error::Error>> {
//! let tls = Tls::new(plain, authority); // the authority's certificate, DER
//! let (mut received, mut sent) = ([0; 16_640], [0; 1024]);
//! let buffers = Buffers { received: &mut received, sent: &mut sent };
//!
//! let mut header = [0; 1024];
//! let mut file = Http::new(&tls, "https://firmware.example/app.bin", &mut header)?;
//! // Connections move while this is polled: all that uses them is to happen within.
//! let size = tls.drive(buffers, &mut rng, async { file.open(0).await.map(|meta| meta.size).ok() }).await;
//! # Ok(())
//! # }
//! ```
//!
//! `embedded-tls` wants its buffers for as long as its connection lives, and [`Connect`] opens one after the other; so the
//! connection lives in [`Tls::drive`], and what the source holds is its handle.
//!
//! # What is checked
//!
//! - The server's certificate is signed by the authority itself, with ECDSA over P-256 and SHA-256, and is for the host, by
//!   name. A chain is refused, because `embedded-tls` does not look whether those amid it may sign for others: take a
//!   certificate of your own authority, not that of a public one.
//! - The server showed it, and has its key. `embedded-tls` by itself goes on with one that shows neither.
//! - Nothing but encrypted records comes after the handshake.
//! - The certificate is valid by date, where [`Tls::clock`] names a clock.
//!
//! Not checked: whether it was revoked, and what it may be used for. `embedded-tls` panics where the server, the right one,
//! changes its keys, which those in use do after some hundred gigabytes.

mod desk;
mod error;
mod session;
mod verify;

use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::marker::PhantomData;
use core::net::IpAddr;
use core::pin::pin;
use core::task::Poll;

use ::embedded_tls::{CryptoRngCore, NoClock, TlsClock};
use embedded_io_async::{ErrorType, Read, Write};
use fota_download::connect::{Connect, Failure, Server};

use self::desk::{Desk, Handle};
pub use self::error::Error;

/// TLS 1.3 over the connections of another. What is not `https` goes over those as it is.
pub struct Tls<'a, C: Connect, K = NoClock> {
    plain: C,
    authority: &'a [u8],
    desk: RefCell<Desk<C::Error>>,
    clock: PhantomData<fn() -> K>,
}

/// What TLS records are received and sent in.
#[derive(Debug)]
pub struct Buffers<'b> {
    /// The longest record that a server may send: 16 640 bytes, for any; less, where the server sends short ones or the
    /// source asks for ranges: a longer one is [`Failure::TooBig`] to it. The handshake has to fit in any case, 2 KiB or so.
    pub received: &'b mut [u8],
    /// A request, or a part of it, and 128 bytes; the handshake takes 512.
    pub sent: &'b mut [u8],
}

impl<'a, C: Connect> Tls<'a, C> {
    /// Over these connections, to servers that this authority vouches for: its certificate, as DER.
    pub fn new(plain: C, authority: &'a [u8]) -> Self {
        Self { plain, authority, desk: RefCell::new(Desk::new()), clock: PhantomData }
    }

    /// Has certificates be valid at this clock's time. Without, they are so for ever.
    pub fn clock<K: TlsClock>(self) -> Tls<'a, C, K> {
        Tls { plain: self.plain, authority: self.authority, desk: self.desk, clock: PhantomData }
    }
}

impl<C: Connect, K: TlsClock> Tls<'_, C, K> {
    /// Does `work`, and meanwhile what its connections need; once at a time. The numbers have to be random: TLS is as good
    /// as they are.
    ///
    /// # Cancellation
    ///
    /// Dropped, it closes the connection that is open.
    pub async fn drive<T>(
        &self,
        mut buffers: Buffers<'_>,
        rng: &mut impl CryptoRngCore,
        work: impl Future<Output = T>,
    ) -> T {
        let _driven = desk::Driven::new(&self.desk);
        let (mut work, mut connections) = (pin!(work), pin!(self.connections(&mut buffers, rng)));
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(done) = work.as_mut().poll(cx) {
                    return Poll::Ready(done);
                }
                let Poll::Pending = connections.as_mut().poll(cx);
                // Where there are answers, the work goes on.
                if !self.desk.borrow_mut().take_answered() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// # Cancellation
///
/// A dropped `connect` leaves nothing open.
impl<C: Connect, K: TlsClock> Connect for Tls<'_, C, K> {
    type Error = Error<C::Error>;
    type Conn<'c>
        = Conn<'c, C>
    where
        Self: 'c;

    const TLS: bool = true;

    async fn connect<'c>(&'c self, server: Server<'_>) -> Result<Conn<'c, C>, Self::Error> {
        if !server.tls {
            return self.plain.connect(server).await.map(Conn::Plain).map_err(Error::Connection);
        }
        if server.host.parse::<IpAddr>().is_ok() {
            return Err(Error::Host);
        }
        let host = server.host.try_into().map_err(|_| Error::Host)?;
        Handle::open(&self.desk, host, server.port).await.map(Conn::Tls)
    }

    fn failure(error: &Self::Error) -> Failure {
        match error {
            Error::Connection(error) => C::failure(error),
            Error::Closed | Error::Dropped => Failure::Network,
            Error::Record => Failure::TooBig,
            _ => Failure::Tls,
        }
    }
}

/// An open connection. Dropping it closes it.
///
/// # Cancellation
///
/// After a dropped `read`, `write` or `flush` over TLS, all others fail with [`Error::Dropped`].
pub enum Conn<'c, C: Connect + 'c> {
    /// Without TLS.
    Plain(C::Conn<'c>),
    /// With it.
    Tls(Handle<'c, C::Error>),
}

impl<'c, C: Connect> ErrorType for Conn<'c, C> {
    type Error = Error<C::Error>;
}

impl<'c, C: Connect> Read for Conn<'c, C> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        match self {
            Self::Plain(conn) => conn.read(buf).await.map_err(Error::Connection),
            Self::Tls(handle) => handle.read(buf).await,
        }
    }
}

impl<'c, C: Connect> Write for Conn<'c, C> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        match self {
            Self::Plain(conn) => conn.write(bytes).await.map_err(Error::Connection),
            Self::Tls(handle) => handle.write(bytes).await,
        }
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        match self {
            Self::Plain(conn) => conn.flush().await.map_err(Error::Connection),
            Self::Tls(handle) => handle.flush().await,
        }
    }
}
