//! The nRF91's modem, through `nrf-modem` 0.11: TCP and TLS, UDP and DTLS, with what its security tags hold.
//!
//! For `target_os = "none"` on Arm, with feature `nrf9160` or `nrf9120`; Rust 1.95. The build needs libclang and rustup's
//! `llvm-tools`.
//!
//! ```text
//! // As long as it lives, the modem stays in the network: between two connections, too.
//! let link = LteLink::new().await?;
//! link.wait_for_link().await?;
//!
//! let net = Net::new(Delay).tls(&[42]).clock(|| Instant::now().as_millis() as u32);
//! let file = Http::new(&net, "https://firmware.example/app.bin", &mut header)?.record_limit(RECORD_LIMIT);
//! let file = Coap::new(&net, "coaps://firmware.example/app.bin", Settings::new(random), &mut datagram)?;
//! ```

mod error;
mod stream;
mod udp;

use core::net::{IpAddr, SocketAddr};

pub use ::nrf_modem::PeerVerification;
use ::nrf_modem::socket::{Socket as Raw, SocketFamily, SocketOption, SocketProtocol, SocketType};
use embedded_hal_async::delay::DelayNs;

pub use self::error::{Error, Step};
pub use self::stream::Conn;
pub use self::udp::Socket;
use crate::timely::within;

/// For [`Http::record_limit`](fota_download::Http::record_limit): the longest TLS record that the modem receives.
pub const RECORD_LIMIT: u16 = 2303;

/// The network behind the modem.
///
/// As a `Connect` it opens TCP and TLS connections; as a `Datagrams`, once it was told the time by [`Net::clock`], UDP
/// and DTLS sockets. TLS is the modem's, up to 1.2; it checks the server's certificate and its name by the credentials in
/// the security tags.
///
/// - The modem has to be initialized and told to use LTE. It is turned on with the first socket and off with the last:
///   hold a `nrf_modem::LteLink` for as long as a download takes, or each connection waits for the network anew.
/// - DNS blocks the executor, unless `nrf-modem` has its feature `dns-async`.
/// - Where sockets and links are dropped, the modem is told so by a blocking call. They have to be dropped before it is
///   shut down: `nrf-modem` panics where it can't close a socket.
#[derive(Clone, Copy, Debug)]
pub struct Net<'t, D, N = ()> {
    delay: D,
    now_ms: N,
    limits: Limits,
    security: Security<'t>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    opening: u32,
    idle: u32,
}

#[derive(Clone, Copy, Debug)]
struct Security<'t> {
    tags: &'t [u32],
    verify: PeerVerification,
    resume: bool,
}

impl<D: DelayNs + Clone> Net<'static, D> {
    /// Without TLS and DTLS so far; 60 s to connect, 30 s of silence.
    pub const fn new(delay: D) -> Self {
        let security = Security { tags: &[], verify: PeerVerification::Enabled, resume: false };
        Self { delay, now_ms: (), limits: Limits { opening: 60_000, idle: 30_000 }, security }
    }
}

impl<'t, D, N> Net<'t, D, N> {
    /// The security tags whose credentials are used for TLS and DTLS: certificates of authorities, a client's own
    /// certificate, or a key that is shared. Without, `https` and `coaps` fail.
    pub fn tls(self, tags: &[u32]) -> Net<'_, D, N> {
        let Self { delay, now_ms, limits, security: Security { verify, resume, .. } } = self;
        Net { delay, now_ms, limits, security: Security { tags, verify, resume } }
    }

    /// Whether the server's certificate is checked. It is, unless something else is said here: a server that anybody
    /// may stand in for can send any firmware.
    pub const fn verify(mut self, verify: PeerVerification) -> Self {
        self.security.verify = verify;
        self
    }

    /// Has the modem keep TLS sessions, which makes the next connection to the same server a shorter one. Off, where
    /// nothing is said. Not for DTLS.
    pub const fn resume_sessions(mut self, resume: bool) -> Self {
        self.security.resume = resume;
        self
    }

    /// How many milliseconds each step of opening a connection may take: the name, the connection with its TLS. Either
    /// may wait for the network first.
    pub const fn connect_limit(mut self, ms: u32) -> Self {
        self.limits.opening = ms;
        self
    }

    /// How many milliseconds a connection waits for the server before it ends, with [`Step::Data`].
    pub const fn idle_limit(mut self, ms: u32) -> Self {
        self.limits.idle = ms;
        self
    }

    /// The time in milliseconds, from any moment on, which datagrams need. After the largest number comes 0.
    pub fn clock<M: Fn() -> u32>(self, now_ms: M) -> Net<'t, D, M> {
        Net { delay: self.delay, now_ms, limits: self.limits, security: self.security }
    }
}

impl<D: DelayNs + Clone, N> Net<'_, D, N> {
    /// A connected socket.
    async fn open(&self, host: &str, port: u16, kind: SocketType, protocol: SocketProtocol) -> Result<Raw, Error> {
        let mut delay = self.delay.clone();
        let opening = self.limits.opening;
        let secure = matches!(protocol, SocketProtocol::Tls1v2 | SocketProtocol::DTls1v2);
        if secure && self.security.tags.is_empty() {
            return Err(Error::Tls(::nrf_modem::Error::NoSecurityTag));
        }
        let resolving = within(::nrf_modem::get_host_by_name(host), delay.delay_ms(opening)).await;
        let address: IpAddr = resolving.ok_or(Error::TimedOut(Step::Resolve))?.map_err(Error::Resolve)?;
        let connecting = async {
            let family = if address.is_ipv4() { SocketFamily::Ipv4 } else { SocketFamily::Ipv6 };
            let socket = Raw::create(family, kind, protocol).await.map_err(Error::Connect)?;
            if secure {
                self.secure(&socket, host, protocol)?;
            }
            match socket.connect(SocketAddr::new(address, port)).await {
                Err(error) if secure && error::is_of_tls(&error) => Err(Error::Tls(error)),
                result => result.map_err(Error::Connect).map(|()| socket),
            }
        };
        within(connecting, delay.delay_ms(opening)).await.ok_or(Error::TimedOut(Step::Connect))?
    }

    fn secure(&self, socket: &Raw, host: &str, protocol: SocketProtocol) -> Result<(), Error> {
        let Security { tags, verify, resume } = self.security;
        let resume = resume && matches!(protocol, SocketProtocol::Tls1v2);
        for option in [
            SocketOption::TlsPeerVerify(verify.as_integer()),
            SocketOption::TlsSessionCache(resume.into()),
            SocketOption::TlsTagList(tags),
            SocketOption::TlsHostName(host),
        ] {
            socket.set_option(option).map_err(|error| Error::Tls(error.into()))?;
        }
        Ok(())
    }
}

/// What `nrf-modem` hands to the modem at once, and asks it for.
const CHUNK: usize = 1024;
