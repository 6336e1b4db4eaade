//! Stacks that implement the traits of `embedded-nal-async` 0.9: TCP and UDP.
//!
//! ```
//! # use core::future::pending;
//! # use core::net::{IpAddr, SocketAddr};
//! # use embedded_hal_async::delay::DelayNs;
//! # use embedded_nal_async::{AddrType, Dns, TcpConnect};
//! use fota_connectors::embedded_nal::Tcp;
//! use fota_download::Http;
//!
//! # #[derive(Clone)] struct Delay;
//! # impl DelayNs for Delay { async fn delay_ns(&mut self, _: u32) { pending().await } }
//! # struct Stack;
//! # struct Conn;
//! # impl embedded_io_async::ErrorType for Conn { type Error = std::io::Error; }
//! # impl embedded_io_async::Read for Conn { async fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> { Ok(0) } }
//! # impl embedded_io_async::Write for Conn {
//! #     async fn write(&mut self, _: &[u8]) -> std::io::Result<usize> { Ok(0) }
//! #     async fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # impl TcpConnect for Stack {
//! #     type Error = std::io::Error;
//! #     type Connection<'c> = Conn;
//! #     async fn connect(&self, _: SocketAddr) -> std::io::Result<Conn> { Ok(Conn) }
//! # }
//! # impl Dns for Stack {
//! #     type Error = ();
//! #     async fn get_host_by_name(&self, _: &str, _: AddrType) -> Result<IpAddr, ()> { Err(()) }
//! #     async fn get_host_by_address(&self, _: IpAddr, _: &mut [u8]) -> Result<usize, ()> { Err(()) }
//! # }
//! # let stack = Stack;
//! // Any stack, its DNS, and a delay, which can be cloned.
//! let net = Tcp::new(&stack, &stack, Delay).idle_limit(60_000);
//! let mut header = [0; 1024];
//! let source = Http::new(&net, "http://firmware.example/app.bin", &mut header)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod tcp;
mod udp;

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use embedded_hal_async::delay::DelayNs;
use embedded_io_async::ErrorKind;
use embedded_nal_async::{AddrType, Dns};

pub use self::tcp::{Conn, Tcp};
pub use self::udp::{Socket, Udp};
use crate::timely::within;

/// Why there is no connection or socket, or no more: by the stack's error and that of its DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error<E, R> {
    /// The name has no address that could be found.
    Resolve(R),
    /// There is no way to the server, or nobody there.
    Connect(E),
    /// The connection or the socket broke.
    Io(E),
    /// It took too long.
    TimedOut(Step),
    /// TLS or DTLS is wanted, which is not there.
    NotSecure,
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Step {
    /// To find the name's address.
    Resolve,
    /// To connect.
    Connect,
    /// To receive or send anything.
    Data,
}

impl<E: fmt::Display, R: fmt::Debug> fmt::Display for Error<E, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(error) => write!(f, "the server's name has no address: {error:?}"),
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::TimedOut(Step::Resolve) => f.write_str("no answer to the question for the server's address"),
            Self::TimedOut(Step::Connect) => f.write_str("no connection: no answer"),
            Self::TimedOut(Step::Data) => f.write_str("nothing came from the server for too long"),
            Self::NotSecure => f.write_str("a secure connection is wanted, which is not there"),
        }
    }
}

impl<E: core::error::Error + 'static, R: fmt::Debug> core::error::Error for Error<E, R> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Connect(error) | Self::Io(error) => Some(error),
            // What DNS says is no error in the sense of the trait.
            Self::Resolve(_) | Self::TimedOut(_) | Self::NotSecure => None,
        }
    }
}

impl<E: embedded_io_async::Error + 'static, R: fmt::Debug> embedded_io_async::Error for Error<E, R> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect(error) | Self::Io(error) => error.kind(),
            Self::Resolve(_) => ErrorKind::NotFound,
            Self::TimedOut(_) => ErrorKind::TimedOut,
            Self::NotSecure => ErrorKind::Unsupported,
        }
    }
}

/// The limits in milliseconds, and which addresses.
#[derive(Clone, Debug)]
struct Limits {
    opening: u32,
    idle: u32,
    addresses: AddrType,
}

impl Limits {
    const DEFAULT: Self = Self { opening: 10_000, idle: 30_000, addresses: AddrType::Either };
}

async fn resolve<E, R: Dns>(
    dns: &R,
    mut delay: impl DelayNs,
    limits: &Limits,
    host: &str,
    port: u16,
) -> Result<SocketAddr, Error<E, R::Error>> {
    let address: IpAddr = match host.parse() {
        Ok(address) => address,
        Err(_) => within(dns.get_host_by_name(host, limits.addresses.clone()), delay.delay_ms(limits.opening))
            .await
            .ok_or(Error::TimedOut(Step::Resolve))?
            .map_err(Error::Resolve)?,
    };
    Ok(SocketAddr::new(address, port))
}
