//! `embassy-net` 0.9: TCP and UDP.
//!
//! ```
//! use embassy_net::Stack;
//! use embassy_net::udp::PacketMetadata;
//! use fota_connectors::embassy_net::{Tcp, Udp};
//! use fota_download::coap::{Settings, space};
//! use fota_download::{Coap, Http};
//!
//! # fn sources(stack: Stack<'_>, random: u64) -> Result<(), Box<dyn std::error::Error>> {
//! let (mut received, mut sent) = ([0; 4096], [0; 1024]);
//! let tcp = Tcp::new(stack, &mut received, &mut sent);
//! let mut header = [0; 1024];
//! let file = Http::new(&tcp, "http://firmware.example/app.bin", &mut header)?;
//!
//! let (mut meta, mut received) = ([PacketMetadata::EMPTY; 8], [0; 4096]);
//! let (mut sent_meta, mut sent) = ([PacketMetadata::EMPTY; 2], [0; 512]);
//! let udp = Udp::new(stack, &mut meta, &mut received, &mut sent_meta, &mut sent);
//! let mut datagram = [0; space(1024, 4)];
//! let file = Coap::new(&udp, "coap://firmware.example/app.bin", Settings::new(random).window(4), &mut datagram)?;
//! # Ok(())
//! # }
//! ```

mod error;
mod tcp;
mod udp;

use ::embassy_net::dns::DnsQueryType;
use ::embassy_net::{IpAddress, Stack};
use embassy_time::{Duration, with_timeout};

pub use self::error::{Error, Step};
pub use self::tcp::{Conn, Tcp};
pub use self::udp::{Socket, Udp};

#[derive(Clone, Copy, Debug)]
struct Limits {
    opening: Duration,
    idle: Duration,
}

impl Limits {
    const DEFAULT: Self = Self { opening: Duration::from_secs(10), idle: Duration::from_secs(30) };
}

/// Does it with the addresses that the host has, one after the other until one will do.
async fn with_each(
    stack: Stack<'_>,
    host: &str,
    limit: Duration,
    mut open: impl AsyncFnMut(IpAddress) -> Result<(), Error>,
) -> Result<(), Error> {
    if let Ok(address) = host.parse() {
        return open(address).await;
    }
    let mut last = Error::NoAddress;
    for kind in kinds(stack).into_iter().flatten() {
        let found = match with_timeout(limit, stack.dns_query(host, kind)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                last = last.or(Error::Resolve(error));
                continue;
            }
            Err(_) => {
                last = last.or(Error::TimedOut(Step::Resolve));
                continue;
            }
        };
        for address in found {
            match open(address).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

/// Those of which the stack has an address itself.
fn kinds(stack: Stack<'_>) -> [Option<DnsQueryType>; 2] {
    let v4 = stack.config_v4().map(|_| DnsQueryType::A);
    #[cfg(feature = "embassy-net-ipv6")]
    let v6 = stack.config_v6().map(|_| DnsQueryType::Aaaa);
    #[cfg(not(feature = "embassy-net-ipv6"))]
    let v6 = None;
    [v4, v6]
}
