//! TLS 1.3 for chips, against a server of `rustls` on the loopback.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

#[path = "support/intruder.rs"]
mod intruder;
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use embedded_io_async::{Read, Write};
use embedded_tls::{TlsClock, TlsError};
use fota_connectors::embedded_tls::{Buffers, Error, Tls};
use fota_connectors::tokio::{self as pc, Net, Step};
use fota_download::connect::{Failure, Server};
use fota_download::source::{Error as _, Retry};
use fota_download::{Connect, http};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use support::{Authority, IDLE, authority, closing, fetch, file, idles, run, secure, silent, tcp};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, version};

/// Of no use where it matters.
struct Random;

impl rand_core::RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        fastrand::u32(..)
    }
    fn next_u64(&mut self) -> u64 {
        fastrand::u64(..)
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        fastrand::Rng::new().fill(bytes);
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl rand_core::CryptoRng for Random {}

fn plain() -> Net {
    Net::new().idle_limit(IDLE)
}

/// Within TLS that has buffers of this length.
async fn driving<C: Connect, K: TlsClock, T>(tls: &Tls<'_, C, K>, length: usize, work: impl Future<Output = T>) -> T {
    let (mut received, mut sent) = (vec![0; length], [0; 1_024]);
    let buffers = Buffers { received: &mut received, sent: &mut sent };
    tls.drive(buffers, &mut Random, work).await
}

const ANY: usize = 16_640;

fn serve(authority: &Authority, file: &[u8]) -> SocketAddr {
    serve_as(&authority.config, file)
}

fn serve_as(config: &Arc<ServerConfig>, file: &[u8]) -> SocketAddr {
    let (config, file) = (config.clone(), file.to_vec());
    tcp("127.0.0.1:0", move |conn| support::http(secure(&config, conn), &file))
}

fn at(port: u16) -> Server<'static> {
    Server { host: "localhost", port, tls: true }
}

fn connect_error<K: TlsClock>(tls: &Tls<'_, Net, K>, server: Server<'_>) -> Error<pc::Error> {
    run(driving(tls, ANY, async { tls.connect(server).await.err().unwrap() }))
}

fn failure(error: &Error<pc::Error>) -> Failure {
    <Tls<'_, Net> as Connect>::failure(error)
}

#[test]
fn a_file_comes_from_a_server_that_is_vouched_for() {
    let (authority, file) = (authority("localhost"), file(60_000));
    let port = serve(&authority, &file).port();
    let tls = Tls::new(plain(), &authority.ca);
    let url = format!("https://localhost:{port}/app.bin");
    // One connection after the other, in the same buffers.
    for _ in 0..3 {
        assert_eq!(run(driving(&tls, ANY, fetch(&tls, &url))).unwrap(), file);
    }
    run(driving(&tls, ANY, async {
        assert_eq!(fetch(&tls, &url).await.unwrap(), file);
        assert_eq!(fetch(&tls, &url).await.unwrap(), file);
    }));
}

#[test]
fn plain_http_stays_possible() {
    let (authority, file) = (authority("localhost"), file(1_000));
    let served = file.clone();
    let address = tcp("127.0.0.1:0", move |conn| support::http(conn, &served));
    let tls = Tls::new(plain(), &authority.ca);
    assert_eq!(run(fetch(&tls, &format!("http://{address}/"))).unwrap(), file);
}

#[test]
fn another_authority_another_name_or_no_tls_are_no_matter_of_the_network() {
    let (ours, theirs) = (authority("localhost"), authority("localhost"));
    let elsewhere = authority("fw.example");
    for (ca, port) in [
        (&ours.ca, serve(&theirs, b"").port()),
        (&elsewhere.ca, serve(&elsewhere, b"").port()),
        (&ours.ca, tcp("127.0.0.1:0", |mut conn| _ = std::io::Write::write_all(&mut conn, b"SSH-2.0-x\r\n")).port()),
    ] {
        let tls = Tls::new(plain(), ca);
        let error = connect_error(&tls, at(port));
        assert!(matches!(error, Error::Tls(_)), "{error:?}");
        assert!(error.to_string().starts_with("TLS failed: "), "{error}");
        assert_eq!(failure(&error), Failure::Tls);
        let error = run(driving(&tls, ANY, fetch(&tls, &format!("https://localhost:{port}/")))).unwrap_err();
        assert!(matches!(error, http::Error::Tls(_)), "{error:?}");
        assert_eq!(error.retry(), Retry::Never);
    }
}

/// What a server shows: certificates, and the key of the first.
fn showing(chain: Vec<&rcgen::Certificate>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let chain = chain.into_iter().map(|certificate| certificate.der().clone()).collect();
    let config = ServerConfig::builder_with_protocol_versions(&[&version::TLS13]).with_no_client_auth();
    Arc::new(config.with_single_cert(chain, key).unwrap())
}

#[test]
fn a_certificate_that_another_one_s_owner_signed_is_refused() {
    let file = file(1_000);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap();
    let authority = Issuer::new(params, key);
    let tls = Tls::new(plain(), ca.der());

    // The owner of a certificate for another host makes one for this.
    let owner_key = KeyPair::generate().unwrap();
    let owner = CertificateParams::new(["evil.example".to_owned()]).unwrap();
    let owned = owner.signed_by(&owner_key, &authority).unwrap();
    let forger = Issuer::new(owner, owner_key);
    let forged_key = KeyPair::generate().unwrap();
    let localhost = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let forged = localhost.signed_by(&forged_key, &forger).unwrap();
    let port = serve_as(&showing(vec![&forged, &owned], &forged_key), &file).port();
    let error = connect_error(&tls, at(port));
    assert!(matches!(error, Error::Tls(TlsError::InvalidCertificate)), "{error:?}");

    // With the authority's own certificate in its wake it is fine.
    let key = KeyPair::generate().unwrap();
    let right = localhost.signed_by(&key, &authority).unwrap();
    let port = serve_as(&showing(vec![&right, &ca], &key), &file).port();
    assert_eq!(run(driving(&tls, ANY, fetch(&tls, &format!("https://localhost:{port}/")))).unwrap(), file);
}

#[test]
fn a_server_that_shows_nothing_gets_nothing() {
    let authority = authority("localhost");
    let (tell, told) = std::sync::mpsc::channel();
    let port = tcp("127.0.0.1:0", move |conn| tell.send(intruder::shake_hands(conn, false)).unwrap()).port();
    let tls = Tls::new(plain(), &authority.ca);
    let error = run(driving(&tls, ANY, fetch(&tls, &format!("https://localhost:{port}/secret")))).unwrap_err();
    assert!(matches!(error, http::Error::Tls(Error::NotVouched)), "{error:?}");
    assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok(0));
}

#[test]
fn an_empty_record_causes_no_panic() {
    let authority = authority("localhost");
    let port = tcp("127.0.0.1:0", |conn| _ = intruder::shake_hands(conn, true)).port();
    let error = connect_error(&Tls::new(plain(), &authority.ca), at(port));
    assert!(matches!(error, Error::Tls(TlsError::InvalidRecord)), "{error:?}");
    assert_eq!(failure(&error), Failure::Tls);
}

#[test]
fn what_is_not_encrypted_is_refused() {
    let authority = authority("localhost");
    let close = [21, 3, 3, 0, 2, 1, 0];
    let keys = [22, 3, 3, 0, 5, 24, 0, 0, 1, 0];
    for record in [&close[..], &keys] {
        let (config, record) = (authority.config.clone(), record.to_vec());
        let port = tcp("127.0.0.1:0", move |conn| {
            let mut conn = secure(&config, conn);
            std::io::Read::read(&mut conn, &mut [0; 100]).unwrap();
            std::io::Write::write_all(&mut conn.sock, &record).unwrap();
            silent(conn);
        })
        .port();
        let tls = Tls::new(plain(), &authority.ca);
        run(driving(&tls, ANY, async {
            let mut conn = tls.connect(at(port)).await.unwrap();
            conn.write_all(b"request").await.unwrap();
            conn.flush().await.unwrap();
            let error = conn.read(&mut [0; 9]).await.unwrap_err();
            assert!(matches!(error, Error::Tls(TlsError::InvalidRecord)), "{error:?}");
        }));
    }
}

#[test]
fn a_certificate_has_its_time() {
    struct Y2500;
    impl TlsClock for Y2500 {
        fn now() -> Option<u64> {
            Some(16_725_225_600)
        }
    }
    struct Y2030;
    impl TlsClock for Y2030 {
        fn now() -> Option<u64> {
            Some(1_893_456_000)
        }
    }
    // The test's certificates are for 1975 to 4096.
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2400, 1, 1);
    let key = KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap();
    let port = serve_as(&showing(vec![&own], &key), b"0123456789").port();
    let error = connect_error(&Tls::new(plain(), own.der()).clock::<Y2500>(), at(port));
    assert!(matches!(error, Error::Tls(TlsError::InvalidCertificate)), "{error:?}");
    let tls = Tls::new(plain(), own.der()).clock::<Y2030>();
    assert!(run(driving(&tls, ANY, async { tls.connect(at(port)).await.is_ok() })));
}

#[test]
fn hosts_that_cannot_be_checked_are_refused() {
    let authority = authority("127.0.0.1");
    let port = serve(&authority, b"").port();
    let long = format!("{}.example", "x".repeat(60));
    for host in ["127.0.0.1", "::1", &long] {
        let error = connect_error(&Tls::new(plain(), &authority.ca), Server { host, port, tls: true });
        assert!(matches!(error, Error::Host), "{error:?}");
        assert_eq!(failure(&error), Failure::Tls);
    }
}

#[test]
fn what_fails_below_keeps_its_cause() {
    let authority = authority("localhost");
    let tls = Tls::new(plain(), &authority.ca);
    let error = connect_error(&tls, at(support::nobody().port()));
    assert!(matches!(error, Error::Connection(pc::Error::Connect(..))), "{error:?}");
    assert_eq!(failure(&error), Failure::Network);
    // Silence in the handshake, and after it.
    let port = tcp("127.0.0.1:0", silent).port();
    let error = run(driving(&tls, ANY, idles(tls.connect(at(port))))).err().unwrap();
    assert!(matches!(error, Error::Connection(pc::Error::TimedOut(Step::Data))), "{error:?}");
    let config = authority.config.clone();
    let port = tcp("127.0.0.1:0", move |conn| silent(secure(&config, conn))).port();
    let error = run(driving(&tls, ANY, idles(fetch(&tls, &format!("https://localhost:{port}/"))))).unwrap_err();
    assert!(matches!(error, http::Error::Connection(Error::Connection(pc::Error::TimedOut(Step::Data)))), "{error:?}");
    // An end without a word.
    let port = tcp("127.0.0.1:0", drop).port();
    let error = connect_error(&tls, at(port));
    assert!(matches!(error, Error::Closed | Error::Connection(pc::Error::Io(_))), "{error:?}");
    assert_eq!(failure(&error), Failure::Network);
}

#[test]
fn the_end_of_the_connection_is_told_from_its_loss() {
    let authority = authority("localhost");
    for polite in [true, false] {
        let config = authority.config.clone();
        let port = tcp("127.0.0.1:0", move |conn| {
            let mut conn = secure(&config, conn);
            std::io::Read::read(&mut conn, &mut [0; 1_000]).unwrap();
            std::io::Write::write_all(&mut conn, b"12345").unwrap();
            if polite {
                conn.conn.send_close_notify();
                std::io::Write::flush(&mut conn).unwrap();
            }
            conn.sock.shutdown(std::net::Shutdown::Write).unwrap();
        })
        .port();
        let tls = Tls::new(plain(), &authority.ca);
        run(driving(&tls, ANY, async {
            let mut conn = tls.connect(at(port)).await.unwrap();
            conn.write_all(b"request").await.unwrap();
            conn.flush().await.unwrap();
            let mut answer = [0; 5];
            conn.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"12345");
            let end = conn.read(&mut answer).await;
            assert!(if polite { matches!(end, Ok(0)) } else { matches!(end, Err(Error::Closed)) }, "{end:?}");
        }));
    }
}

#[test]
fn records_that_do_not_fit_are_asked_for_in_parts() {
    let (authority, file) = (authority("localhost"), file(20_000));
    let port = serve(&authority, &file).port();
    let tls = Tls::new(plain(), &authority.ca);
    run(driving(&tls, 2_400, async {
        let mut conn = tls.connect(at(port)).await.unwrap();
        conn.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        conn.flush().await.unwrap();
        let error = conn.read(&mut [0; 100]).await.unwrap_err();
        assert!(matches!(error, Error::Record), "{error:?}");
        assert_eq!(failure(&error), Failure::TooBig);
        drop(conn);
        assert_eq!(fetch(&tls, &format!("https://localhost:{port}/")).await.unwrap(), file);
    }));
}

#[test]
fn dropped_futures_close_the_connection_and_the_next_one_works() {
    let (authority, file) = (authority("localhost"), file(3_000));
    let tls = Tls::new(plain().idle_limit(Duration::from_secs(5)), &authority.ca);
    let (serve_silence, is_closed) = closing();
    let quiet = tcp("127.0.0.1:0", serve_silence).port();
    let port = serve(&authority, &file).port();
    run(driving(&tls, ANY, async {
        let given_up = tokio::time::timeout(Duration::from_millis(30), tls.connect(at(quiet))).await;
        assert!(given_up.is_err());
        let mut conn = tls.connect(at(port)).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(30), conn.read(&mut [0; 9])).await.is_err());
        assert!(matches!(conn.read(&mut [0; 9]).await, Err(Error::Dropped)));
        assert!(matches!(conn.write(b"x").await, Err(Error::Dropped)));
        drop(conn);
        assert_eq!(fetch(&tls, &format!("https://localhost:{port}/")).await.unwrap(), file);
    }));
    is_closed.recv_timeout(Duration::from_secs(5)).unwrap();
}

#[test]
fn without_a_driver_nothing_hangs() {
    let authority = authority("localhost");
    let port = serve(&authority, b"").port();
    let tls = Tls::new(plain(), &authority.ca);
    assert!(matches!(run(tls.connect(at(port))), Err(Error::NotDriven)));
    // Nor with a connection that outlives it.
    let conn = run(driving(&tls, ANY, async { tls.connect(at(port)).await.unwrap() }));
    let mut conn = conn;
    assert!(matches!(run(conn.read(&mut [0; 9])), Err(Error::NotDriven)));
}
