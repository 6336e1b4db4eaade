//! Stacks with `embedded-nal-async`'s traits: one over `tokio`'s sockets, which has no limits of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

mod support;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use embedded_io_async::{Error as _, ErrorKind, ErrorType, Read, Write};
use embedded_nal_async::{AddrType, ConnectedUdp, Dns, TcpConnect, UdpStack, UnconnectedUdp};
use fota_connectors::embedded_nal::{Error, Step, Tcp, Udp};
use fota_connectors::tokio::Delay;
use fota_download::coap::{Datagram, Datagrams, Security, Settings, space};
use fota_download::connect::{Failure, Server};
use fota_download::source::{Error as _, Retry};
use fota_download::{Coap, Connect, http};
use support::{IDLE, closing, fetch, file, idles, nobody, run, silent, tcp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Stack;
struct Conn(tokio::net::TcpStream);
struct Socket(tokio::net::UdpSocket);

impl TcpConnect for Stack {
    type Error = io::Error;
    type Connection<'c> = Conn;
    async fn connect(&self, remote: SocketAddr) -> io::Result<Conn> {
        tokio::net::TcpStream::connect(remote).await.map(Conn)
    }
}

impl ErrorType for Conn {
    type Error = io::Error;
}

impl Read for Conn {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).await
    }
}

impl Write for Conn {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).await
    }
    async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await
    }
}

impl UdpStack for Stack {
    type Error = io::Error;
    type Connected = Socket;
    type UniquelyBound = Socket;
    type MultiplyBound = Socket;
    async fn connect_from(&self, local: SocketAddr, remote: SocketAddr) -> io::Result<(SocketAddr, Socket)> {
        let socket = tokio::net::UdpSocket::bind(local).await?;
        socket.connect(remote).await?;
        Ok((socket.local_addr()?, Socket(socket)))
    }
    async fn bind_single(&self, _: SocketAddr) -> io::Result<(SocketAddr, Socket)> {
        unreachable!("only connected ones are filtered")
    }
    async fn bind_multiple(&self, _: SocketAddr) -> io::Result<Socket> {
        unreachable!("only connected ones are filtered")
    }
}

impl ConnectedUdp for Socket {
    type Error = io::Error;
    async fn send(&mut self, data: &[u8]) -> io::Result<()> {
        self.0.send(data).await.map(|_| ())
    }
    /// As the trait has it: the whole length, whatever fits.
    async fn receive_into(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut all = [0; 2_000];
        let count = self.0.recv(&mut all).await?;
        let fits = count.min(buffer.len());
        buffer[..fits].copy_from_slice(&all[..fits]);
        Ok(count)
    }
}

impl UnconnectedUdp for Socket {
    type Error = io::Error;
    async fn send(&mut self, _: SocketAddr, _: SocketAddr, _: &[u8]) -> io::Result<()> {
        unreachable!("connected")
    }
    async fn receive_into(&mut self, _: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        unreachable!("connected")
    }
}

#[derive(Debug)]
struct NoSuchName;

/// Knows one name; asked for another, it says so, or nothing.
impl Dns for Stack {
    type Error = NoSuchName;
    async fn get_host_by_name(&self, host: &str, addresses: AddrType) -> Result<IpAddr, NoSuchName> {
        match (host, addresses) {
            ("fw.example", AddrType::IPv4 | AddrType::Either) => Ok(Ipv4Addr::LOCALHOST.into()),
            ("silence.example", _) => std::future::pending().await,
            _ => Err(NoSuchName),
        }
    }
    async fn get_host_by_address(&self, _: IpAddr, _: &mut [u8]) -> Result<usize, NoSuchName> {
        Err(NoSuchName)
    }
}

const IDLE_MS: u32 = IDLE.as_millis() as u32;

fn net() -> Tcp<&'static Stack, &'static Stack, Delay> {
    Tcp::new(&Stack, &Stack, Delay).idle_limit(IDLE_MS)
}

fn sockets() -> Udp<'static, Stack, &'static Stack, Delay, impl Fn() -> u32> {
    let began = Instant::now();
    Udp::new(&Stack, &Stack, Delay, move || began.elapsed().as_millis() as u32)
}

async fn fails<C: Connect>(net: &C, host: &str, port: u16) -> C::Error {
    net.connect(Server { host, port, tls: false }).await.err().unwrap()
}

#[test]
fn a_file_comes_by_name_and_by_address() {
    let file = file(50_000);
    let served = file.clone();
    let port = tcp("127.0.0.1:0", move |conn| support::http(conn, &served)).port();
    for host in ["fw.example", "127.0.0.1"] {
        assert_eq!(run(fetch(&net(), &format!("http://{host}:{port}/app.bin"))).unwrap(), file);
    }
    let served = file.clone();
    let address = tcp("[::1]:0", move |conn| support::http(conn, &served));
    assert_eq!(run(fetch(&net(), &format!("http://{address}/app.bin"))).unwrap(), file);
}

#[test]
fn errors_tell_what_failed() {
    let error = run(fails(&net(), "nobody.example", 80));
    assert!(matches!(error, Error::Resolve(NoSuchName)), "{error:?}");
    assert_eq!(error.to_string(), "the server's name has no address: NoSuchName");
    let error = run(fails(&net().addresses(AddrType::IPv6), "fw.example", 80));
    assert!(matches!(error, Error::Resolve(NoSuchName)), "{error:?}");
    let error = run(fails(&net(), "127.0.0.1", nobody().port()));
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(std::error::Error::source(&error).is_some());
    let hasty = net().connect_limit(IDLE_MS);
    let error = run(idles(fails(&hasty, "silence.example", 80)));
    assert!(matches!(error, Error::TimedOut(Step::Resolve)), "{error:?}");
}

#[test]
fn a_server_that_goes_silent_ends_the_connection() {
    let address = tcp("127.0.0.1:0", silent);
    let error = run(idles(fetch(&net(), &format!("http://{address}/")))).unwrap_err();
    assert!(matches!(error, http::Error::Connection(Error::TimedOut(Step::Data))), "{error:?}");
    assert_eq!(error.retry(), Retry::Later);
}

#[test]
fn https_is_refused_before_anything_is_sent() {
    let net = net();
    assert!(fota_download::Http::new(&net, "https://fw.example/", &mut [0; 1_024]).is_err());
    let error = run(net.connect(Server { host: "fw.example", port: 443, tls: true })).err().unwrap();
    assert!(matches!(error, Error::NotSecure), "{error:?}");
    let failure = |_: &Tcp<&'static Stack, &'static Stack, Delay>| {
        <Tcp<&'static Stack, &'static Stack, Delay> as Connect>::failure(&error)
    };
    assert_eq!(failure(&net), Failure::Tls);
}

#[test]
fn a_dropped_connection_is_closed() {
    let (serve, is_closed) = closing();
    let port = tcp("127.0.0.1:0", serve).port();
    run(async {
        let net = net();
        let mut conn = net.connect(Server { host: "127.0.0.1", port, tls: false }).await.unwrap();
        // A dropped read does no harm either.
        assert!(tokio::time::timeout(Duration::from_millis(5), conn.read(&mut [0; 4])).await.is_err());
        conn.write_all(b"still there").await.unwrap();
        conn.flush().await.unwrap();
    });
    is_closed.recv_timeout(Duration::from_secs(5)).unwrap();
}

#[test]
fn a_file_comes_over_coap() {
    let file = file(20_000);
    let port = support::coap("127.0.0.1:0", &file).port();
    for window in [1, 8] {
        run(async {
            let (net, url, mut buf) = (sockets(), format!("coap://fw.example:{port}/app.bin"), [0; space(1_024, 8)]);
            let settings = Settings::new(fastrand::u64(..)).window(window);
            let mut source = Coap::new(&net, &url, settings, &mut buf).unwrap();
            assert_eq!(support::read(&mut source).await.unwrap(), file);
        });
    }
}

#[test]
fn of_a_long_datagram_the_front_is_given_and_of_a_third_party_nothing() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    run(async {
        let (net, port) = (sockets(), peer.local_addr().unwrap().port());
        let mut socket = net.connect(Security::None, "fw.example", port).await.unwrap();
        socket.send(b"hello").await.unwrap();
        let (_, client) = peer.recv_from(&mut [0; 10]).unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"xxx", client).unwrap();
        peer.send_to(b"0123456789", client).unwrap();
        let mut buf = [0; 4];
        assert_eq!(socket.receive(&mut buf, 0).await.unwrap(), Some(4));
        assert_eq!(&buf, b"0123");
        let before = socket.now_ms();
        assert_eq!(socket.receive(&mut buf, 60).await.unwrap(), None);
        let took = socket.now_ms().wrapping_sub(before);
        assert!((59..5_000).contains(&took), "{took}");
    });
}

#[test]
fn sockets_fail_as_connections_do() {
    let error = |security, host| run(async { sockets().connect(security, host, 5_683).await.err().unwrap() });
    assert!(matches!(error(Security::Dtls, "fw.example"), Error::NotSecure));
    assert!(matches!(error(Security::None, "nobody.example"), Error::Resolve(NoSuchName)));
}
