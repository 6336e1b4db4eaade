//! Two stacks of `embassy-net`, joined by a wire in memory: the other one is the server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

mod support;

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use embassy_net::driver::{HardwareAddress, LinkState};
use embassy_net::tcp::{ConnectError, TcpSocket};
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Config, IpEndpoint, Ipv4Cidr, Ipv6Cidr, Stack, StackResources, StaticConfigV4, StaticConfigV6};
use embassy_net_driver_channel::{RxRunner, State, TxRunner};
use embedded_io_async::{Error as _, ErrorKind, Read, Write};
use fota_connectors::embassy_net::{Error, Step, Tcp, Udp};
use fota_download::coap::{Datagram, Datagrams, Security, Settings, space};
use fota_download::connect::{Failure, Server};
use fota_download::source::{Error as _, Retry};
use fota_download::{Coap, Connect, http};
use support::coap::{Msg, serve};
use support::{IDLE, fetch, file, idles};
use tokio::task::{LocalSet, spawn_local};

const MTU: usize = 1_500;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const IDLE_LIMIT: embassy_time::Duration = embassy_time::Duration::from_millis(IDLE.as_millis() as u64);

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

/// A wire that can be cut.
#[derive(Clone, Default)]
struct Wire {
    cut: Rc<Cell<bool>>,
}

impl Wire {
    async fn carry(self, mut from: TxRunner<'static, MTU>, mut to: RxRunner<'static, MTU>) {
        loop {
            let packet = from.tx_buf().await.to_vec();
            from.tx_done();
            if self.cut.get() {
                continue;
            }
            to.rx_buf().await[..packet.len()].copy_from_slice(&packet);
            to.rx_done(packet.len());
        }
    }
}

/// The client and the server.
fn stacks() -> (Stack<'static>, Stack<'static>, Wire) {
    let end = |last: u8| {
        let state = leak(State::<MTU, 16, 16>::new());
        let (runner, device) = embassy_net_driver_channel::new(state, HardwareAddress::Ip);
        let address = Ipv4Cidr::new(Ipv4Addr::new(10, 0, 0, last), 24);
        let mut config =
            Config::ipv4_static(StaticConfigV4 { address, gateway: None, dns_servers: [SERVER].into_iter().collect() });
        let address = Ipv6Cidr::new([0xfd00, 0, 0, 0, 0, 0, 0, last.into()].into(), 64);
        config.ipv6 =
            embassy_net::ConfigV6::Static(StaticConfigV6 { address, gateway: None, dns_servers: Default::default() });
        let (stack, mut stack_runner) =
            embassy_net::new(device, config, leak(StackResources::<8>::new()), fastrand::u64(..));
        spawn_local(async move { stack_runner.run().await });
        let (state, rx, tx) = runner.split();
        state.set_link_state(LinkState::Up);
        (stack, rx, tx)
    };
    let (client, client_rx, client_tx) = end(1);
    let (server, server_rx, server_tx) = end(2);
    let wire = Wire::default();
    spawn_local(wire.clone().carry(client_tx, server_rx));
    spawn_local(wire.clone().carry(server_tx, client_rx));
    (client, server, wire)
}

fn run(test: impl Future<Output = ()>) {
    support::run(async {
        let tasks = LocalSet::new();
        let limit = tokio::time::timeout(Duration::from_secs(20), tasks.run_until(test)).await;
        assert!(limit.is_ok(), "it hangs");
    });
}

fn tcp(stack: Stack<'static>) -> Tcp<'static> {
    Tcp::new(stack, leak([0; 4_096]), leak([0; 1_024])).idle_limit(IDLE_LIMIT)
}

fn udp(stack: Stack<'static>) -> Udp<'static> {
    let (received, sent) = (leak([PacketMetadata::EMPTY; 8]), leak([PacketMetadata::EMPTY; 2]));
    Udp::new(stack, received, leak([0; 8_192]), sent, leak([0; 512]))
}

/// Serves a file at port 80, one connection at a time; after `most` bytes of each answer it goes silent.
async fn http_server(stack: Stack<'static>, file: Vec<u8>, most: usize) {
    let (rx, tx) = (leak([0; 2_048]), leak([0; 4_096]));
    loop {
        let mut conn = TcpSocket::new(stack, &mut *rx, &mut *tx);
        conn.accept(80).await.unwrap();
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && conn.read(&mut byte).await.is_ok_and(|count| count > 0) {
            request.push(byte[0]);
        }
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: {}\r\n\r\n", file.len()).into_bytes();
        answer.extend(&file);
        _ = conn.write_all(&answer[..answer.len().min(most)]).await;
        // Until the client closes.
        while conn.read(&mut byte).await.is_ok_and(|count| count > 0) {}
    }
}

fn udp_server(stack: Stack<'static>, port: u16) -> UdpSocket<'static> {
    let (received, sent) = (leak([PacketMetadata::EMPTY; 8]), leak([PacketMetadata::EMPTY; 8]));
    let mut socket = UdpSocket::new(stack, received, leak([0; 4_096]), sent, leak([0; 16_384]));
    socket.bind(port).unwrap();
    socket
}

async fn coap_server(stack: Stack<'static>, file: Vec<u8>) {
    let (socket, mut buf) = (udp_server(stack, 5_683), [0; 1_500]);
    loop {
        let (count, client) = socket.recv_from(&mut buf).await.unwrap();
        let request = Msg::parse(&buf[..count]);
        if request.code == 1 {
            socket.send_to(&serve(&request, &file, b"\x01\x02\x03\x04", 6).bytes(), client.endpoint).await.unwrap();
        }
    }
}

/// Knows `fw.example`, by its IPv4 address, and says so of no other name.
async fn dns_server(stack: Stack<'static>) {
    let (socket, mut buf) = (udp_server(stack, 53), [0; 1_500]);
    loop {
        let (count, client) = socket.recv_from(&mut buf).await.unwrap();
        let question = &buf[12..count];
        let known = question.starts_with(b"\x02fw\x07example\0\0\x01");
        let mut answer = buf[..2].to_vec();
        answer.extend([0x81, if known { 0x80 } else { 0x83 }, 0, 1, 0, known.into(), 0, 0, 0, 0]);
        answer.extend(question);
        if known {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(SERVER.octets());
        }
        socket.send_to(&answer, client.endpoint).await.unwrap();
    }
}

fn at(host: &str) -> Server<'_> {
    Server { host, port: 80, tls: false }
}

#[test]
fn a_file_comes_by_name_and_by_address() {
    run(async {
        let ((client, server, _), file) = (stacks(), file(50_000));
        spawn_local(http_server(server, file.clone(), usize::MAX));
        spawn_local(dns_server(server));
        let net = tcp(client);
        // One connection after the other, over the one socket.
        for host in ["10.0.0.2", "fw.example", "[fd00::2]"] {
            assert_eq!(fetch(&net, &format!("http://{host}/app.bin")).await.unwrap(), file, "{host}");
        }
    });
}

#[test]
fn names_and_connections_fail_each_by_their_error() {
    run(async {
        let (client, server, wire) = stacks();
        spawn_local(dns_server(server));
        let net = tcp(client).connect_limit(IDLE_LIMIT);
        let error = net.connect(at("nobody.example")).await.err().unwrap();
        assert_eq!(error, Error::Resolve(embassy_net::dns::Error::Failed));
        assert_eq!(error.to_string(), "the server's name has no address");
        // Nobody listens.
        let error = net.connect(at("10.0.0.2")).await.err().unwrap();
        assert_eq!(error, Error::Connect(ConnectError::ConnectionReset));
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(std::error::Error::source(&error).is_some());
        wire.cut.set(true);
        let error = idles(net.connect(at("10.0.0.2"))).await.err().unwrap();
        assert_eq!(error, Error::TimedOut(Step::Connect));
        let error = idles(net.connect(at("fw.example"))).await.err().unwrap();
        assert_eq!(error, Error::TimedOut(Step::Resolve));
        assert_eq!(Tcp::failure(&error), Failure::Network);
    });
}

#[test]
fn a_server_that_goes_silent_ends_the_connection_and_the_next_one_works() {
    run(async {
        let ((client, server, wire), file) = (stacks(), file(3_000));
        spawn_local(http_server(server, file.clone(), 1_000));
        let net = tcp(client);
        let error = idles(fetch(&net, "http://10.0.0.2/")).await.unwrap_err();
        assert!(matches!(error, http::Error::Connection(Error::TimedOut(Step::Data))), "{error:?}");
        assert_eq!(error.retry(), Retry::Later);
        // What is sent and never acknowledged, too.
        let mut conn = net.connect(at("10.0.0.2")).await.unwrap();
        wire.cut.set(true);
        conn.write_all(b"GET").await.unwrap();
        assert_eq!(idles(conn.flush()).await, Err(Error::TimedOut(Step::Data)));
        drop(conn);
        wire.cut.set(false);
        let mut conn = net.connect(at("10.0.0.2")).await.unwrap();
        conn.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        conn.flush().await.unwrap();
        let mut head = [0; 15];
        conn.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    });
}

#[test]
fn dropped_futures_leave_nothing_open() {
    run(async {
        let ((client, server, wire), file) = (stacks(), file(100));
        spawn_local(http_server(server, file.clone(), usize::MAX));
        let net = tcp(client);
        wire.cut.set(true);
        assert!(tokio::time::timeout(Duration::from_millis(20), net.connect(at("10.0.0.2"))).await.is_err());
        wire.cut.set(false);
        let mut conn = net.connect(at("10.0.0.2")).await.unwrap();
        // There is one socket, and this is it.
        assert_eq!(net.connect(at("10.0.0.2")).await.err(), Some(Error::InUse));
        assert!(tokio::time::timeout(Duration::from_millis(20), conn.read(&mut [0; 9])).await.is_err());
        conn.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        conn.flush().await.unwrap();
        let mut head = [0; 15];
        conn.read_exact(&mut head).await.unwrap();
        drop(conn);
        assert_eq!(fetch(&net, "http://10.0.0.2/").await.unwrap(), file);
    });
}

#[test]
fn tls_and_dtls_are_refused() {
    run(async {
        let (client, _, _) = stacks();
        let error = tcp(client).connect(Server { tls: true, ..at("10.0.0.2") }).await.err().unwrap();
        assert_eq!((error, Tcp::failure(&error)), (Error::NotSecure, Failure::Tls));
        let error = udp(client).connect(Security::Dtls, "10.0.0.2", 5_684).await.err();
        assert_eq!(error, Some(Error::NotSecure));
    });
}

#[test]
fn a_file_comes_over_coap() {
    run(async {
        let ((client, server, _), file) = (stacks(), file(20_000));
        spawn_local(coap_server(server, file.clone()));
        spawn_local(dns_server(server));
        let net = udp(client);
        for (host, window) in [("10.0.0.2", 1), ("[fd00::2]", 4), ("fw.example", 8)] {
            let (url, mut buf) = (format!("coap://{host}/app.bin"), [0; space(1_024, 8)]);
            let settings = Settings::new(fastrand::u64(..)).window(window);
            let mut source = Coap::new(&net, &url, settings, &mut buf).unwrap();
            assert_eq!(support::read(&mut source).await.unwrap(), file, "{host}");
        }
    });
}

#[test]
fn of_a_long_datagram_the_front_is_given_and_of_a_third_party_nothing() {
    run(async {
        let (client, server, _) = stacks();
        let (peer, other) = (udp_server(server, 5_683), udp_server(server, 5_684));
        let net = udp(client);
        let mut socket = net.connect(Security::None, "10.0.0.2", 5_683).await.unwrap();
        assert_eq!(net.connect(Security::None, "10.0.0.2", 5_683).await.err(), Some(Error::InUse));
        socket.send(b"hello").await.unwrap();
        let (_, from) = peer.recv_from(&mut [0; 10]).await.unwrap();
        let from: IpEndpoint = from.endpoint;
        other.send_to(b"xxx", from).await.unwrap();
        peer.send_to(b"0123456789", from).await.unwrap();
        peer.send_to(b"next", from).await.unwrap();
        let mut buf = [0; 6];
        assert_eq!(socket.receive(&mut buf, 500).await, Ok(Some(6)));
        assert_eq!(&buf, b"012345");
        assert_eq!(socket.receive(&mut buf, 500).await, Ok(Some(4)));
        assert_eq!(&buf[..4], b"next");
        let before = socket.now_ms();
        assert_eq!(socket.receive(&mut buf, 60).await, Ok(None));
        assert!(socket.now_ms().wrapping_sub(before) >= 59);
        // Of what came for the last socket, nothing is there for the next.
        peer.send_to(b"late", from).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(socket);
        let mut socket = net.connect(Security::None, "10.0.0.2", 5_683).await.unwrap();
        assert_eq!(socket.receive(&mut buf, 20).await, Ok(None));
        let long = [0; 600];
        assert!(matches!(socket.send(&long).await, Err(Error::Send(_))));
    });
}
