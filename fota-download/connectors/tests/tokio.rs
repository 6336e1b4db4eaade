//! The PC's network, against servers on the loopback.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

mod support;

use std::error::Error as _;
use std::io::Write;
use std::net::UdpSocket;
use std::time::Duration;

use embedded_hal_async::delay::DelayNs;
use embedded_io_async::{Error as _, ErrorKind, Read, Write as _};
use fota_connectors::tokio::{Conn, Delay, Error, Net, Step};
use fota_download::coap::{Datagram, Datagrams, Security, Settings, space};
use fota_download::connect::{Failure, Server};
use fota_download::{Coap, Connect, http};
use support::{IDLE, closing, fetch, file, idles, nobody, run, silent, tcp};

fn net() -> Net {
    Net::new().idle_limit(IDLE).connect_limit(Duration::from_secs(5))
}

async fn connect(net: &Net, host: &str, port: u16, tls: bool) -> Result<Conn, Error> {
    Connect::connect(net, Server { host, port, tls }).await
}

#[test]
fn a_file_comes_as_it_is() {
    let file = file(50_000);
    for at in ["127.0.0.1:0", "[::1]:0"] {
        let served = file.clone();
        let address = tcp(at, move |conn| support::http(conn, &served));
        assert_eq!(run(fetch(&net(), &format!("http://{address}/app.bin"))).unwrap(), file);
    }
}

#[test]
fn a_name_is_looked_up_and_all_its_addresses_tried() {
    let file = file(3_000);
    let served = file.clone();
    // Where `localhost` is [::1] first, nobody is there.
    let address = tcp("127.0.0.1:0", move |conn| support::http(conn, &served));
    let port = address.port();
    assert_eq!(run(fetch(&net(), &format!("http://localhost:{port}/app.bin"))).unwrap(), file);
}

#[test]
fn a_refused_connection_names_the_address() {
    let address = nobody();
    let error = run(connect(&net(), "127.0.0.1", address.port(), false)).unwrap_err();
    assert!(matches!(&error, Error::Connect(at, _) if at == &address), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(error.to_string().starts_with(&format!("no connection to {address}: ")), "{error}");
    assert!(error.source().is_some());
    assert_eq!(Net::failure(&error), Failure::Network);
}

#[test]
fn a_name_without_address_is_told_from_a_dead_server() {
    // RFC 6761: never a name.
    for host in ["nobody.invalid", "not a name"] {
        let error = run(connect(&net(), host, 80, false)).unwrap_err();
        assert!(matches!(error, Error::Resolve(_)), "{error:?}");
        assert_eq!(Net::failure(&error), Failure::Network);
        let error = run(Datagrams::connect(&net(), Security::None, host, 5683)).unwrap_err();
        assert!(matches!(error, Error::Resolve(_)), "{error:?}");
    }
}

#[test]
fn a_server_that_goes_silent_ends_the_connection() {
    let address = tcp("127.0.0.1:0", |mut conn| {
        conn.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345").unwrap();
        silent(conn);
    });
    let error = run(idles(fetch(&net(), &format!("http://{address}/")))).unwrap_err();
    assert!(matches!(error, http::Error::Connection(Error::TimedOut(Step::Data))), "{error:?}");
    assert_eq!(error.to_string(), "nothing came from the server for too long");
}

#[test]
fn a_server_that_takes_nothing_ends_the_connection() {
    let address = tcp("127.0.0.1:0", |conn| {
        std::thread::sleep(Duration::from_secs(10));
        drop(conn);
    });
    run(async {
        let net = net();
        let mut conn = connect(&net, "127.0.0.1", address.port(), false).await.unwrap();
        let bytes = [0; 100_000];
        let error = loop {
            if let Err(error) = conn.write(&bytes).await {
                break error;
            }
        };
        assert!(matches!(error, Error::TimedOut(Step::Data)), "{error:?}");
    });
}

/// Where a full queue of connections answers by silence.
#[cfg(target_os = "linux")]
#[test]
fn a_server_that_does_not_answer_is_given_up() {
    run(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let (net, mut kept) = (Net::new().connect_limit(IDLE), Vec::new());
        let error = loop {
            match connect(&net, "127.0.0.1", address.port(), false).await {
                Ok(conn) => kept.push(conn),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::TimedOut(Step::Connect(at)) if at == address), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(error.to_string(), format!("no connection to {address}: no answer"));
    });
}

#[test]
fn a_dropped_read_takes_nothing() {
    let address = tcp("127.0.0.1:0", |mut conn| {
        support::silent(std::io::Read::take(&conn, 1));
        conn.write_all(b"all of it").unwrap();
    });
    run(async {
        let net = net();
        let mut conn = connect(&net, "127.0.0.1", address.port(), false).await.unwrap();
        for _ in 0..3 {
            let given_up = tokio::time::timeout(Duration::from_millis(5), conn.read(&mut [0; 4])).await;
            assert!(given_up.is_err());
        }
        conn.write_all(b"!").await.unwrap();
        conn.flush().await.unwrap();
        let mut all = [0; 9];
        conn.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"all of it");
        assert_eq!(conn.read(&mut all).await.unwrap(), 0);
    });
}

#[test]
fn a_dropped_connection_is_closed() {
    let (serve, is_closed) = closing();
    let address = tcp("127.0.0.1:0", serve);
    run(async {
        let net = net();
        let conn = connect(&net, "127.0.0.1", address.port(), false).await.unwrap();
        drop(conn);
    });
    is_closed.recv_timeout(Duration::from_secs(5)).unwrap();
}

#[test]
fn without_anyone_to_trust_there_is_no_tls() {
    let (serve, is_closed) = closing();
    let address = tcp("127.0.0.1:0", serve);
    let error = run(connect(&net(), "127.0.0.1", address.port(), true)).unwrap_err();
    assert!(matches!(error, Error::NoTls), "{error:?}");
    assert_eq!(Net::failure(&error), Failure::Tls);
    // Nothing was sent, not even a connection made.
    assert!(is_closed.try_recv().is_err());
}

#[test]
fn a_file_comes_over_coap() {
    let file = file(20_000);
    for at in ["127.0.0.1:0", "[::1]:0"] {
        let address = support::coap(at, &file);
        for window in [1, 8] {
            run(async {
                let (net, url, mut buf) = (net(), format!("coap://{address}/app.bin"), [0; space(1_024, 8)]);
                let settings = Settings::new(fastrand::u64(..)).window(window);
                let mut source = Coap::new(&net, &url, settings, &mut buf).unwrap();
                assert_eq!(support::read(&mut source).await.unwrap(), file);
            });
        }
    }
}

#[test]
fn dtls_is_refused() {
    let error = run(Datagrams::connect(&net(), Security::Dtls, "127.0.0.1", 5684)).unwrap_err();
    assert!(matches!(error, Error::NoDtls), "{error:?}");
}

#[test]
fn a_socket_waits_no_longer_than_it_is_told() {
    let quiet = UdpSocket::bind("127.0.0.1:0").unwrap();
    run(async {
        let (net, port) = (net(), quiet.local_addr().unwrap().port());
        let mut socket = Datagrams::connect(&net, Security::None, "127.0.0.1", port).await.unwrap();
        let before = socket.now_ms();
        assert_eq!(socket.receive(&mut [0; 10], 80).await.unwrap(), None);
        let took = socket.now_ms().wrapping_sub(before);
        assert!((79..5_000).contains(&took), "{took}");
        assert_eq!(socket.receive(&mut [0; 10], 0).await.unwrap(), None);
    });
}

#[test]
fn of_a_long_datagram_the_front_is_given_and_what_is_there_needs_no_time() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    run(async {
        let (net, port) = (net(), peer.local_addr().unwrap().port());
        let mut socket = Datagrams::connect(&net, Security::None, "127.0.0.1", port).await.unwrap();
        socket.send(b"hello").await.unwrap();
        let (_, client) = peer.recv_from(&mut [0; 10]).unwrap();
        // From somebody else, first.
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"xxx", client).unwrap();
        peer.send_to(b"0123456789", client).unwrap();
        peer.send_to(b"", client).unwrap();
        peer.send_to(b"next", client).unwrap();
        let mut buf = [0; 4];
        assert_eq!(socket.receive(&mut buf, 0).await.unwrap(), Some(4));
        assert_eq!(&buf, b"0123");
        assert_eq!(socket.receive(&mut buf, 0).await.unwrap(), Some(0));
        // A dropped one takes nothing.
        drop(socket.receive(&mut buf, 0));
        assert_eq!(socket.receive(&mut buf, 0).await.unwrap(), Some(4));
        assert_eq!(&buf, b"next");
        assert_eq!(socket.receive(&mut buf, 0).await.unwrap(), None);
    });
}

#[test]
fn a_pause_is_as_long_as_it_says() {
    run(async {
        let began = std::time::Instant::now();
        Delay.delay_ms(20).await;
        Delay.delay_us(20_000).await;
        Delay.delay_ns(20_000_000).await;
        assert!(began.elapsed() >= Duration::from_millis(60));
    });
}
