//! The update over TLS: a server of `rustls` with a certificate authority of its own.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use support::{FIXTURES, Run, file, host};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A server, and the file with whom to trust to believe it.
struct Server {
    port: u16,
    ca: String,
    requests: Arc<Mutex<Requests>>,
}

/// The path and the range of each.
type Requests = Vec<(String, Option<String>)>;

/// An authority as a PEM file, and what a server needs to be vouched for by it.
fn authority(name: &str, host: &str) -> (String, ServerConfig) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = file(&format!("{name}.pem"), params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key);
    (ca, config.unwrap())
}

impl Server {
    fn start(name: &str, host: &str) -> Self {
        let (ca, config) = authority(name, host);
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::<Mutex<Requests>>::default();
        let seen = requests.clone();
        thread::spawn(move || {
            for tcp in listener.incoming() {
                let (config, seen) = (config.clone(), seen.clone());
                thread::spawn(move || serve(tcp.unwrap(), config, &seen));
            }
        });
        Self { port, ca, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}/{path}", self.port)
    }
}

/// Answers until the other side goes away.
fn serve(tcp: TcpStream, config: Arc<ServerConfig>, seen: &Mutex<Requests>) -> Option<()> {
    let image = std::fs::read(format!("{FIXTURES}/app-v2.bin")).unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            request.extend(byte);
        }
        let request = String::from_utf8(request).unwrap();
        let range = request.lines().find_map(|line| line.strip_prefix("Range: bytes=")).map(String::from);
        let path = request.split(' ').nth(1).unwrap();
        seen.lock().unwrap().push((path.to_owned(), range.clone()));
        let (head, body) = match (path, range) {
            ("/down", _) => ("302 Found\r\nLocation: http://127.0.0.1:9/app.bin".to_owned(), &[][..]),
            ("/no-ranges", _) | (_, None) => ("200 OK".to_owned(), &image[..]),
            (_, Some(range)) => {
                let (from, last) = range.split_once('-').unwrap();
                let from: usize = from.parse().unwrap();
                let last = last.parse().unwrap_or(usize::MAX).min(image.len() - 1);
                let head = format!("206 Partial Content\r\nContent-Range: bytes {from}-{last}/{}", image.len());
                (head, &image[from..=last])
            }
        };
        let head = format!("HTTP/1.1 {head}\r\nETag: \"2\"\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    }
}

#[test]
fn the_update_comes_over_tls_with_its_power_cut() {
    let server = Server::start("good", "127.0.0.1");
    let run = host(&["--json", "--url", &server.url("app.bin"), "--ca", &server.ca]);
    let facts = run.facts();
    assert_eq!((run.code, &facts["result"]), (0, &json!("done")), "{facts}");
    assert_eq!(facts["device"]["version"], "2.0.0");
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests[0].1, None);
    assert!(requests[1].1.as_ref().unwrap().ends_with('-'), "the rest after the cut: {requests:?}");
    assert_eq!(requests.len(), 3);
}

#[test]
fn a_device_that_is_deaf_to_long_records_gets_it_in_stretches() {
    for limit in [2303, 1400] {
        let server = Server::start(&format!("deaf-{limit}"), "127.0.0.1");
        let url = server.url("app.bin");
        let run = host(&["--json", "--url", &url, "--ca", &server.ca, "--tls-record", &limit.to_string()]);
        let facts = run.facts();
        assert_eq!((run.code, &facts["result"]), (0, &json!("done")), "{facts}");
        let requests = server.requests.lock().unwrap();
        let stretches = requests.iter().filter(|(_, range)| range.is_some()).count();
        assert!((307_861 / limit..307_861 / limit * 3 / 2).contains(&stretches), "{limit}: {stretches}");
    }
    // Without ranges there is no help.
    let server = Server::start("deaf", "127.0.0.1");
    let Run { code, err, .. } = host(&["--url", &server.url("no-ranges"), "--ca", &server.ca, "--tls-record", "2303"]);
    assert!(code == 1 && err.contains("TLS records are too long"), "{err}");
}

#[test]
fn who_is_not_vouched_for_gets_nowhere() {
    let (server, other) = (Server::start("one", "127.0.0.1"), Server::start("two", "fw.example"));
    let url = server.url("app.bin");
    for (url, ca, says) in [
        // Vouched for by another one; for another host; by nobody.
        (&url, Some(&other.ca), "certificate"),
        (&other.url("app.bin"), Some(&other.ca), "certificate"),
        (&url, None, "--ca"),
    ] {
        let mut args = vec!["--url", url];
        args.extend(ca.iter().flat_map(|ca| ["--ca", ca]));
        let Run { code, err, .. } = host(&args);
        assert_eq!((code, err.lines().count()), (1, 1), "{err}");
        assert!(err.contains("no secure connection") && err.contains(says), "{err}");
        assert!(err.contains("nothing on the flash was changed"), "{err}");
    }
    assert!(server.requests.lock().unwrap().is_empty() && other.requests.lock().unwrap().is_empty());
    for (name, bytes) in
        [("empty.pem", ""), ("text.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]
    {
        let Run { code, err, .. } = host(&["--url", &url, "--ca", &file(name, bytes)]);
        assert!(code == 1 && err.contains(name), "{err}");
    }
}

#[test]
fn a_redirect_out_of_tls_is_not_followed() {
    let server = Server::start("down", "127.0.0.1");
    let Run { code, err, .. } = host(&["--url", &server.url("down"), "--ca", &server.ca]);
    assert!(code == 1 && err.contains("without TLS"), "{err}");
}
