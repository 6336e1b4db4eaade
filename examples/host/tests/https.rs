//! The update over TLS: a server of `rustls` with a certificate authority of its own.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use dfu_testkit::port;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
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
fn authority(name: &str, host: &str) -> (String, Certificate, KeyPair) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = file(&format!("{name}.pem"), params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (ca, leaf, key)
}

impl Server {
    fn start(name: &str, host: &str) -> Self {
        let (ca, leaf, key) = authority(name, host);
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key);
        let config = Arc::new(config.unwrap());
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
    let image = fs::read(format!("{FIXTURES}/app-v2.bin")).unwrap();
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
        // Vouched for by another one; for another host.
        (&url, &other.ca, "certificate"),
        (&other.url("app.bin"), &other.ca, "certificate"),
    ] {
        let Run { code, err, .. } = host(&["--url", url, "--ca", ca]);
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

/// nginx with a port that has ranges, and one that has none but sends short records. `None`, with the reason printed,
/// where it is not installed.
fn nginx(ports: [u16; 2]) -> Option<(String, Child)> {
    let Some(program) = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| fs::exists(path).unwrap()) else {
        assert!(std::env::var("DFU_PEERS").as_deref() != Ok("required"), "nginx is not installed");
        println!("left out: nginx is not installed");
        return None;
    };
    let (ca, leaf, key) = authority("nginx", "127.0.0.1");
    let at = format!("{}/nginx", env!("CARGO_TARGET_TMPDIR"));
    let _ = fs::remove_dir_all(&at);
    fs::create_dir_all(format!("{at}/www")).unwrap();
    fs::copy(format!("{FIXTURES}/app-v2.bin"), format!("{at}/www/app.bin")).unwrap();
    fs::write(format!("{at}/leaf.pem"), leaf.pem()).unwrap();
    fs::write(format!("{at}/key.pem"), key.serialize_pem()).unwrap();
    let [ranges, short] = ports;
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;
        events {{ worker_connections 64; }}
        http {{
          access_log off; default_type application/octet-stream; root {at}/www;
          client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3;
          uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;
          ssl_certificate {at}/leaf.pem; ssl_certificate_key {at}/key.pem;
          server {{ listen 127.0.0.1:{ranges} ssl; }}
          server {{ listen 127.0.0.1:{short} ssl; ssl_buffer_size 1k; max_ranges 0; }}
        }}"
    );
    fs::write(format!("{at}/nginx.conf"), config).unwrap();
    let child = Command::new(program)
        .args(["-p", &at, "-c", &format!("{at}/nginx.conf")])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Written once it listens.
    let until = Instant::now() + Duration::from_secs(4);
    while !fs::metadata(format!("{at}/pid")).is_ok_and(|pid| pid.len() > 1) {
        assert!(Instant::now() < until, "{:?}", fs::read_to_string(format!("{at}/error.log")));
        thread::sleep(Duration::from_millis(10));
    }
    Some((ca, child))
}

#[test]
fn what_nginx_sends_fits_too() {
    let ports = [port::free(), port::free()];
    let Some((ca, mut child)) = nginx(ports) else { return };
    let runs = ports.map(|port| {
        let url = format!("https://127.0.0.1:{port}/app.bin");
        host(&["--json", "--url", &url, "--ca", &ca, "--tls-record", "2303"])
    });
    child.kill().unwrap();
    child.wait().unwrap();
    for run in runs {
        assert_eq!((run.code, &run.facts()["result"]), (0, &json!("done")), "{}", run.out);
    }
}
