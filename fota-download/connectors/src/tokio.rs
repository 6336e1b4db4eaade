//! The network of a PC, through `tokio`: TCP and UDP, and with feature `rustls` TLS.
//!
//! ```
//! use fota_connectors::tokio::{Delay, Net};
//! use fota_download::{Http, Source};
//!
//! # let server = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let url = format!("http://{}/app.bin", server.local_addr()?);
//! # std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let (mut conn, _) = server.accept().unwrap();
//! #     conn.read(&mut [0; 1000]).unwrap();
//! #     conn.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfirmware").unwrap();
//! # });
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let net = Net::new();
//! let mut header = [0; 1024];
//! let mut source = Http::new(&net, &url, &mut header)?;
//! assert_eq!(source.open(0).await?.size, Some(8));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! // `Delay` is the clock that `download` wants.
//! # let _ = Delay;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod conn;
mod error;
#[cfg(feature = "rustls")]
mod tls;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::vec::Vec;

use ::tokio::net::TcpStream;
use ::tokio::time::{Duration, sleep, timeout};
use embedded_hal_async::delay::DelayNs;
use fota_download::connect::{Connect, Failure, Server};

pub use self::conn::Conn;
pub use self::error::{Error, Step};
pub use self::udp::Socket;

/// The network of this PC.
///
/// As a `Connect` it opens TCP connections, and TLS ones where [`Net::tls`] says whom to trust; as a `Datagrams` it opens
/// UDP sockets, and no DTLS. A name's addresses are tried one after the other, IPv6 and IPv4 ones as the system orders
/// them.
///
/// It has to be used inside of a `tokio` runtime that has its I/O and time enabled.
#[derive(Clone, Debug)]
pub struct Net {
    opening: Duration,
    idle: Duration,
    #[cfg(feature = "rustls")]
    tls: Option<tls::Tls>,
    #[cfg(feature = "rustls")]
    record: Option<u16>,
}

impl Net {
    /// Without TLS so far; 10 s to connect, 30 s of silence.
    pub const fn new() -> Self {
        Self {
            opening: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            #[cfg(feature = "rustls")]
            tls: None,
            #[cfg(feature = "rustls")]
            record: None,
        }
    }

    /// How long each step of opening a connection may take: the name, the connection to each of its addresses, TLS.
    pub fn connect_limit(mut self, limit: Duration) -> Self {
        self.opening = limit;
        self
    }

    /// How long a connection waits for the server before it ends, with [`Step::Data`].
    pub fn idle_limit(mut self, limit: Duration) -> Self {
        self.idle = limit;
        self
    }

    /// TLS, and whom to trust with it. Without, `https` fails with [`Error::NoTls`].
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, config: std::sync::Arc<tokio_rustls::rustls::ClientConfig>) -> Self {
        self.tls = Some(tls::Tls::new(config));
        self
    }

    /// Fails with [`Error::Record`] where a TLS record comes that is longer than so many bytes, as the nRF91's modem does
    /// at 2303. To try on a PC what a server does to such a device. The handshake is not held to it.
    #[cfg(feature = "rustls")]
    pub const fn record_limit(mut self, bytes: u16) -> Self {
        self.record = Some(bytes);
        self
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let found = timeout(self.opening, ::tokio::net::lookup_host((host, port))).await;
        let found: Vec<_> = found.map_err(|_| Error::TimedOut(Step::Resolve))?.map_err(Error::Resolve)?.collect();
        if found.is_empty() { Err(Error::Resolve(io::ErrorKind::NotFound.into())) } else { Ok(found) }
    }

    async fn stream(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        let mut last = Error::Resolve(io::ErrorKind::NotFound.into());
        for address in self.resolve(host, port).await? {
            last = match timeout(self.opening, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A request is sent in one piece and waited for.
                    stream.set_nodelay(true).map_err(Error::Io)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => Error::Connect(address, error),
                Err(_) => Error::TimedOut(Step::Connect(address)),
            };
        }
        Err(last)
    }
}

impl Default for Net {
    fn default() -> Self {
        Self::new()
    }
}

/// # Cancellation
///
/// A dropped `connect` leaves nothing open. The system may go on for a while to look up a name, to no effect.
impl Connect for Net {
    type Error = Error;
    type Conn<'c> = Conn;

    const TLS: bool = cfg!(feature = "rustls");

    async fn connect(&self, server: Server<'_>) -> Result<Conn, Error> {
        #[cfg(feature = "rustls")]
        if server.tls {
            let tls = self.tls.as_ref().ok_or(Error::NoTls)?;
            let name = tls::name(server.host)?;
            let stream = self.stream(server.host, server.port).await?;
            let opening = timeout(self.opening, tls.connect(name, stream, self.record)).await;
            return Ok(Conn::tls(opening.map_err(|_| Error::TimedOut(Step::Tls))??, self.idle));
        }
        if server.tls {
            return Err(Error::NoTls);
        }
        Ok(Conn::tcp(self.stream(server.host, server.port).await?, self.idle))
    }

    fn failure(error: &Error) -> Failure {
        match error {
            Error::NoTls => Failure::Tls,
            #[cfg(feature = "rustls")]
            Error::Tls(_) | Error::ServerName(_) => Failure::Tls,
            #[cfg(feature = "rustls")]
            Error::Record => Failure::TooBig,
            _ => Failure::Network,
        }
    }
}

/// The pauses of a download, by `tokio`'s clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delay;

impl DelayNs for Delay {
    async fn delay_ns(&mut self, ns: u32) {
        sleep(Duration::from_nanos(ns.into())).await;
    }

    async fn delay_us(&mut self, us: u32) {
        sleep(Duration::from_micros(us.into())).await;
    }

    async fn delay_ms(&mut self, ms: u32) {
        sleep(Duration::from_millis(ms.into())).await;
    }
}
