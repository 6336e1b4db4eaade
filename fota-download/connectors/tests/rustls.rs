//! The PC's TLS, against servers on the loopback.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use embedded_io_async::{Read, Write};
use fota_connectors::tokio::{Error, Net, Step};
use fota_download::connect::{Failure, Server};
use fota_download::http::{self, Fault};
use fota_download::source::{Error as _, Retry};
use fota_download::{Connect, Http};
use support::{Authority, IDLE, authority, fetch, file, idles, run, secure, silent, tcp};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version};

fn trusting(ca: &CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).unwrap();
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

fn net(ca: &CertificateDer<'static>) -> Net {
    Net::new().idle_limit(IDLE).tls(trusting(ca))
}

/// Serves a file over TLS.
fn serve(authority: &Authority, file: &[u8]) -> SocketAddr {
    let (config, file) = (authority.config.clone(), file.to_vec());
    tcp("127.0.0.1:0", move |conn| support::http(secure(&config, conn), &file))
}

fn connect_error(net: &Net, host: &str, port: u16) -> Error {
    run(net.connect(Server { host, port, tls: true })).unwrap_err()
}

#[test]
fn a_file_comes_from_a_server_that_is_vouched_for() {
    let file = file(60_000);
    for host in ["localhost", "127.0.0.1"] {
        let authority = authority(host);
        let port = serve(&authority, &file).port();
        let url = format!("https://{host}:{port}/app.bin");
        assert_eq!(run(fetch(&net(&authority.ca), &url)).unwrap(), file);
    }
}

#[test]
fn plain_http_stays_possible() {
    let file = file(1_000);
    let served = file.clone();
    let address = tcp("127.0.0.1:0", move |conn| support::http(conn, &served));
    assert_eq!(run(fetch(&net(&authority("x").ca), &format!("http://{address}/"))).unwrap(), file);
}

#[test]
fn another_authority_another_name_or_no_tls_are_no_matter_of_the_network() {
    let (ours, theirs) = (authority("localhost"), authority("localhost"));
    let elsewhere = authority("fw.example");
    let plain = tcp("127.0.0.1:0", |conn| support::http(conn, b"0123456789")).port();
    for (ca, port) in [
        (&ours.ca, serve(&theirs, b"").port()),
        (&elsewhere.ca, serve(&elsewhere, b"").port()),
        (&ours.ca, tcp("127.0.0.1:0", |mut conn| _ = std::io::Write::write_all(&mut conn, b"SSH-2.0-x\r\n")).port()),
    ] {
        let error = connect_error(&net(ca), "localhost", port);
        assert!(matches!(error, Error::Tls(_)), "{error:?}");
        assert!(error.to_string().starts_with("TLS failed: "), "{error}");
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(Net::failure(&error), Failure::Tls);
        let error = run(fetch(&net(ca), &format!("https://localhost:{port}/"))).unwrap_err();
        assert!(matches!(error, http::Error::Tls(_)), "{error:?}");
        assert_eq!(error.retry(), Retry::Never);
    }
    // One that waits for a request which never ends.
    let hasty = net(&ours.ca).connect_limit(IDLE);
    let error = connect_error(&hasty, "localhost", plain);
    assert!(matches!(error, Error::TimedOut(Step::Tls) | Error::Tls(_)), "{error:?}");
}

#[test]
fn a_host_that_no_certificate_can_be_for_is_refused() {
    let error = connect_error(&net(&authority("x").ca), "no_host!", 443);
    assert!(matches!(error, Error::ServerName(_)), "{error:?}");
    assert_eq!(Net::failure(&error), Failure::Tls);
}

#[test]
fn a_connection_that_breaks_in_the_handshake_is_a_matter_of_the_network() {
    let port = tcp("127.0.0.1:0", drop).port();
    let error = connect_error(&net(&authority("x").ca), "localhost", port);
    assert!(matches!(error, Error::Io(_)), "{error:?}");
    assert_eq!(Net::failure(&error), Failure::Network);
}

#[test]
fn a_handshake_that_stops_ends() {
    let port = tcp("127.0.0.1:0", silent).port();
    let net = net(&authority("x").ca).connect_limit(IDLE);
    let error = run(idles(net.connect(Server { host: "127.0.0.1", port, tls: true }))).unwrap_err();
    assert!(matches!(error, Error::TimedOut(Step::Tls)), "{error:?}");
    assert_eq!(Net::failure(&error), Failure::Network);
}

#[test]
fn a_server_that_goes_silent_ends_the_connection() {
    let authority = authority("localhost");
    let config = authority.config.clone();
    let port = tcp("127.0.0.1:0", move |conn| silent(secure(&config, conn))).port();
    let error = run(idles(fetch(&net(&authority.ca), &format!("https://localhost:{port}/")))).unwrap_err();
    assert!(matches!(error, http::Error::Connection(Error::TimedOut(Step::Data))), "{error:?}");
}

#[test]
fn the_end_of_the_connection_amid_the_file_is_the_network_s() {
    let authority = authority("localhost");
    let config = authority.config.clone();
    let port = tcp("127.0.0.1:0", move |conn| {
        let mut conn = secure(&config, conn);
        std::io::Read::read(&mut conn, &mut [0; 1_000]).unwrap();
        std::io::Write::write_all(&mut conn, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345").unwrap();
        // Without a word, as attackers and old servers do.
        conn.sock.shutdown(std::net::Shutdown::Write).unwrap();
    })
    .port();
    let error = run(fetch(&net(&authority.ca), &format!("https://localhost:{port}/"))).unwrap_err();
    assert!(matches!(error, http::Error::Connection(Error::Io(_)) | http::Error::Answer(Fault::Closed)), "{error:?}");
    assert_eq!(error.retry(), Retry::Later);
}

#[test]
fn long_records_fail_as_with_the_modem_and_the_source_gets_by() {
    let (authority, file) = (authority("localhost"), file(30_000));
    let port = serve(&authority, &file).port();
    let net = net(&authority.ca).record_limit(2_303);
    let url = format!("https://localhost:{port}/");
    run(async {
        let mut conn = net.connect(Server { host: "localhost", port, tls: true }).await.unwrap();
        conn.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        conn.flush().await.unwrap();
        let error = conn.read(&mut [0; 100]).await.unwrap_err();
        assert!(matches!(error, Error::Record), "{error:?}");
        assert_eq!(Net::failure(&error), Failure::TooBig);
    });
    assert_eq!(run(fetch(&net, &url)).unwrap(), file);
    run(async {
        let mut header = [0; 1_024];
        let mut source = Http::new(&net, &url, &mut header).unwrap().record_limit(2_303);
        assert_eq!(support::read(&mut source).await.unwrap(), file);
    });
}

#[test]
fn a_dropped_handshake_leaves_nothing_open() {
    let (serve, is_closed) = support::closing();
    let port = tcp("127.0.0.1:0", serve).port();
    let net = net(&authority("x").ca);
    run(async {
        let connecting = net.connect(Server { host: "127.0.0.1", port, tls: true });
        assert!(tokio::time::timeout(Duration::from_millis(30), connecting).await.is_err());
    });
    is_closed.recv_timeout(Duration::from_secs(5)).unwrap();
}

#[test]
fn a_server_that_knows_none_of_our_versions_is_no_matter_of_the_network() {
    let authority = authority("localhost");
    let port = serve(&authority, b"").port();
    let mut roots = RootCertStore::empty();
    roots.add(authority.ca.clone()).unwrap();
    let config = ClientConfig::builder_with_protocol_versions(&[&version::TLS12]).with_root_certificates(roots);
    let net = Net::new().tls(Arc::new(config.with_no_client_auth()));
    let error = connect_error(&net, "localhost", port);
    assert!(matches!(error, Error::Tls(_)), "{error:?}");
}
