//! Against libcoap's server with OpenSSL.

use std::io::Write as _;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use dfu_dtls::{Dtls, Error, Tls};
use dfu_target::blocking::block_on;
use fota_download::coap::tcp;
use fota_download::coap::{self, Settings, space};
use fota_download::{Coap, CoapTcp, Source};

/// The test kit's, without all that it is made of.
#[path = "../../src/port.rs"]
mod port;

const KEY: &[u8] = b"0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(2);

struct Server {
    child: Child,
    /// For `coap`; one more for `coaps`.
    port: u16,
}

impl Server {
    fn start() -> Self {
        let port = loop {
            let port = port::free();
            if port::free() == port + 1 {
                break port;
            }
        };
        let mut command = Command::new("coap-server-openssl");
        command.args(["-A", "127.0.0.1", "-d", "9", "-h", "hint", "-k"]).arg(String::from_utf8_lossy(KEY).as_ref());
        command.arg("-p").arg(port.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { child: command.spawn().expect("coap-server-openssl is not installed"), port };
        let until = Instant::now() + Duration::from_secs(10);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        // A ping, which it answers with a reset.
        while socket.send(&[0x40, 0, 0, 1]).is_err() || socket.recv(&mut [0; 9]).is_err() {
            assert!(Instant::now() < until, "it does not start");
            sleep(Duration::from_millis(20));
        }
        server
    }

    /// Stores a file, by libcoap's own client.
    fn put(&self, file: &[u8]) {
        let path = std::env::temp_dir().join(format!("dfu-dtls-{}-{}", std::process::id(), self.port));
        std::fs::File::create(&path).unwrap().write_all(file).unwrap();
        let url = format!("coap://127.0.0.1:{}/app.bin", self.port);
        let mut command = Command::new("coap-client-openssl");
        command.args(["-m", "put", "-b", "1024", "-f"]).arg(&path).arg(url);
        assert!(command.stdout(Stdio::null()).status().unwrap().success());
        std::fs::remove_file(path).unwrap();
    }

    fn url(&self) -> String {
        format!("coaps://127.0.0.1:{}/app.bin", self.port + 1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn file() -> Vec<u8> {
    (0..300 * 1024_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// All from an offset on.
async fn all<S: Source>(source: &mut S, from: u32) -> Result<Vec<u8>, S::Error> {
    assert_eq!(source.open(from).await?.start, from);
    let (mut came, mut piece) = (Vec::new(), [0; 700]);
    loop {
        match source.read(&mut piece).await? {
            0 => return Ok(came),
            count => came.extend(&piece[..count]),
        }
    }
}

fn fetch(dtls: &Dtls, url: &str, from: u32, window: u8) -> Result<Vec<u8>, coap::Error<Error>> {
    let mut buf = vec![0; space(1024, window)];
    let mut source = Coap::new(dtls, url, Settings::new(0x1234_5678_9abc_def0).window(window), &mut buf).unwrap();
    block_on(all(&mut source, from))
}

#[test]
fn a_file_comes_whole_and_from_an_offset_with_one_and_with_more_blocks_on_their_way() {
    let (server, file) = (Server::start(), file());
    server.put(&file);
    let dtls = Dtls::new("device", KEY, PATIENCE).unwrap();
    for window in [1, 8] {
        assert!(fetch(&dtls, &server.url(), 0, window).unwrap() == file, "window {window}");
        assert!(fetch(&dtls, &server.url(), 100_001, window).unwrap() == file[100_001..], "window {window}");
    }
}

#[test]
fn another_key_is_no_session_and_nothing_is_sent_without_one() {
    let server = Server::start();
    server.put(b"secret");
    let dtls = Dtls::new("device", b"another", PATIENCE).unwrap();
    let error = fetch(&dtls, &server.url(), 0, 1).unwrap_err();
    assert!(matches!(error, coap::Error::Connection(Error::Handshake(_) | Error::Io(_))), "{error}");
    // The port where nothing is encrypted.
    let dtls = Dtls::new("device", KEY, PATIENCE).unwrap();
    let error = fetch(&dtls, &format!("coaps://127.0.0.1:{}/app.bin", server.port), 0, 1).unwrap_err();
    assert!(matches!(error, coap::Error::Connection(_)), "{error}");
    let error = fetch(&dtls, &format!("coap://127.0.0.1:{}/app.bin", server.port), 0, 1).unwrap_err();
    assert!(matches!(error, coap::Error::Connection(Error::Io(_))), "{error}");
}

#[test]
fn closing_ends_the_session_and_the_next_open_makes_another() {
    let (server, file) = (Server::start(), file());
    server.put(&file);
    let dtls = Dtls::new("device", KEY, PATIENCE).unwrap();
    let mut buf = vec![0; space(1024, 1)];
    let url = server.url();
    let settings = Settings::new(7).retransmissions(0);
    let mut source = Coap::new(&dtls, &url, settings, &mut buf).unwrap();
    block_on(async {
        source.open(0).await.unwrap();
        let mut piece = [0; 1024];
        source.read(&mut piece).await.unwrap();
        source.close();
        assert!(source.read(&mut piece).await.is_err(), "it is closed");
        assert_eq!(source.open(2048).await.unwrap().start, 2048);
        let count = source.read(&mut piece).await.unwrap();
        assert_eq!(piece[..count], file[2048..2048 + count]);
    });
}

#[test]
fn over_tls_it_comes_too_and_another_key_is_a_failure_of_tls() {
    let (server, file) = (Server::start(), file());
    server.put(&file);
    let url = server.url().replace("coaps:", "coaps+tcp:");
    let mut buf = [0; 256];
    let tls = Tls::new("device", KEY, PATIENCE).unwrap();
    for window in [1, 4] {
        let mut source = CoapTcp::new(&tls, &url, tcp::Settings::new(7).window(window), &mut buf).unwrap();
        assert!(block_on(all(&mut source, 0)).unwrap() == file, "window {window}");
        assert!(block_on(all(&mut source, 100_001)).unwrap() == file[100_001..], "window {window}");
    }
    let tls = Tls::new("device", b"another", PATIENCE).unwrap();
    let mut source = CoapTcp::new(&tls, &url, tcp::Settings::new(7), &mut buf).unwrap();
    assert!(matches!(block_on(source.open(0)), Err(coap::Error::Tls(Error::Handshake(_)))));
}
