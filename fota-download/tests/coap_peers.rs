//! The CoAP source and the download loop against the servers of libcoap, aiocoap and node-coap.
//!
//! Without them on the machine these tests print so and pass, unless `DFU_PEERS=required` is set.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

mod support;

#[path = "support/peers.rs"]
mod peers;

#[path = "support/versions.rs"]
mod versions;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

use dfu_target::progress::NoProgress;
use dfu_target::session::Update;
use dfu_target::{Begun, Digest, ImageId, Request};
use dfu_testkit::port;
use fota_download::coap::{Datagram, Datagrams, Error, Fault, Security, Settings, space};
use fota_download::{Backoff, Coap, Meta, Source, download};
use peers::{Peer, program, skip};
use support::{Clock, Ram, block_on, image};
use versions::{Names, Way, replaced, resumed};

/// Real sockets.
struct Udp {
    begin: Instant,
    opened: Cell<usize>,
    /// The open socket fails the next time it is to receive.
    cut: Cell<bool>,
}

struct Socket<'u>(UdpSocket, &'u Udp);

impl Udp {
    fn new() -> Self {
        Self { begin: Instant::now(), opened: Cell::new(0), cut: Cell::new(false) }
    }
}

impl Datagrams for Udp {
    type Error = io::Error;
    type Socket<'c> = Socket<'c>;

    async fn connect<'c>(&'c self, security: Security, host: &str, port: u16) -> io::Result<Socket<'c>> {
        assert_eq!(security, Security::None);
        self.opened.set(self.opened.get() + 1);
        let socket = unused();
        socket.connect((host, port))?;
        Ok(Socket(socket, self))
    }
}

/// A socket with a port that no other had before: libcoap goes on with what it began for an earlier one, whatever its
/// file is by then.
fn unused() -> UdpSocket {
    static USED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut used = USED.lock().unwrap();
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        if used.insert(socket.local_addr().unwrap().port()) {
            return socket;
        }
    }
}

impl Datagram for Socket<'_> {
    type Error = io::Error;

    async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(datagram).map(|_| ())
    }

    async fn receive(&mut self, buf: &mut [u8], timeout_ms: u32) -> io::Result<Option<usize>> {
        if self.1.cut.take() {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        self.0.set_read_timeout(Some(Duration::from_millis(timeout_ms.max(1).into())))?;
        match self.0.recv(buf) {
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn now_ms(&self) -> u32 {
        self.1.begin.elapsed().as_millis() as u32
    }
}

/// A running server, and the program and arguments to start it again with.
struct Server {
    peer: Peer,
    port: u16,
    program: PathBuf,
    arguments: Vec<String>,
}

impl Server {
    fn start(name: &'static str, arguments: impl Fn(&Self) -> Vec<String>) -> Option<Self> {
        let program = program(name)?;
        // aiocoap's server wants it for TCP too.
        let mut server = Self { peer: Peer::new(), port: port::free(), program, arguments: Vec::new() };
        server.arguments = arguments(&server);
        server.run();
        Some(server)
    }

    fn run(&mut self) {
        self.peer.run(Command::new(&self.program).args(&self.arguments));
        let until = Instant::now() + Duration::from_secs(20);
        let url = format!("coap://127.0.0.1:{}/.well-known/core", self.port);
        loop {
            let udp = Udp::new();
            let mut buf = vec![0; space(1_024, 1)];
            // What came before it listened is lost.
            let open = block_on(Coap::new(&udp, &url, settings().retransmissions(0), &mut buf).unwrap().open(0));
            match open {
                Err(Error::Connection(_) | Error::Answer(Fault::Timeout)) => {
                    assert!(Instant::now() < until, "{} does not start", self.program.display());
                    // Another socket may have had the port.
                    if self.peer.child.try_wait().unwrap().is_some() {
                        self.peer.run(Command::new(&self.program).args(&self.arguments));
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                _ => break,
            }
        }
    }

    fn libcoap(more: &[&str]) -> Option<Self> {
        program("coap-client-notls")?;
        Self::start("coap-server-notls", |server| {
            let fixed = ["-A", "127.0.0.1", "-p", &server.port.to_string(), "-d", "10"];
            fixed.into_iter().chain(more.iter().copied()).map(String::from).collect()
        })
    }

    fn aiocoap() -> Option<Self> {
        Self::start("aiocoap-fileserver", |server| {
            vec!["--bind".into(), format!("127.0.0.1:{}", server.port), server.www()]
        })
    }

    fn node() -> Option<Self> {
        let there = Command::new(program("node")?).args(["-e", "require('coap')"]).output().unwrap();
        if !there.status.success() {
            return skip("node-coap");
        }
        Self::start("node", |server| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/node_server.js");
            vec![script.into(), server.port.to_string(), server.www()]
        })
    }

    fn www(&self) -> String {
        self.peer.folder.join("www").display().to_string()
    }

    fn url(&self, name: &str) -> String {
        format!("coap://127.0.0.1:{}/{name}", self.port)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        if self.program.ends_with("aiocoap-fileserver") {
            // It looks at the file for the `ETag` and then for the bytes: let it answer what was asked for.
            std::thread::sleep(Duration::from_millis(30));
        }
        if !self.program.ends_with("coap-server-notls") {
            return self.peer.put(name, bytes);
        }
        let new = self.peer.folder.join("new");
        fs::write(&new, bytes).unwrap();
        // Where the answer to the last block is lost, the server takes that block, sent again, for the whole file.
        let there = (0..9).any(|_| {
            let mut client = Command::new("coap-client-notls");
            client.args(["-m", "put", "-b", "1024", "-f"]).args([new.as_os_str(), self.url(name).as_ref()]);
            assert!(client.output().unwrap().status.success(), "{client:?}");
            fetch(&self.url(name), settings(), 0).is_ok_and(|(_, there)| there == bytes)
        });
        assert!(there, "{name} does not get to the server");
    }
}

/// The way to a file on a server.
struct Path<'s>(&'s Server, Udp, String, u8);

impl<'s> Path<'s> {
    fn new(server: &'s Server, window: u8) -> Self {
        Self(server, Udp::new(), server.url("fw.bin"), window)
    }
}

impl Way for Path<'_> {
    type Source<'a>
        = Coap<'a, 'a, Udp>
    where
        Self: 'a;

    fn source<'a>(&'a self, buf: &'a mut [u8]) -> Self::Source<'a> {
        Coap::new(&self.1, &self.2, settings().window(self.3), buf).unwrap()
    }

    fn cut(&self) {
        self.1.cut.set(true);
    }

    fn put(&self, bytes: &[u8]) {
        self.0.put("fw.bin", bytes);
    }
}

/// Another one each time, as it should be.
fn settings() -> Settings {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Settings::new(fastrand::Rng::with_seed(now.as_nanos() as u64).u64(..))
}

fn read_all(
    source: &mut impl Source<Error = Error<io::Error>>,
    from: u32,
) -> Result<(Meta, Vec<u8>), Error<io::Error>> {
    block_on(async {
        let meta = source.open(from).await?;
        let (mut all, mut buf) = (Vec::new(), [0; 1_000]);
        loop {
            match source.read(&mut buf).await? {
                0 => return Ok((meta, all)),
                count => all.extend(&buf[..count]),
            }
        }
    })
}

fn fetch(url: &str, settings: Settings, from: u32) -> Result<(Meta, Vec<u8>), Error<io::Error>> {
    let mut buf = vec![0; space(1_024, 8)];
    read_all(&mut Coap::new(&Udp::new(), url, settings, &mut buf).unwrap(), from)
}

/// A download: what is stored, and how many sockets it took.
fn download_all(url: &str, settings: Settings, request: Request, mut each: impl FnMut(u32)) -> (Vec<u8>, usize) {
    let udp = Udp::new();
    let mut target = Ram::default();
    let mut update = Update::new(&mut target, NoProgress, request);
    let Ok(Begun::Receiving(mut session)) = block_on(update.begin()) else { panic!("nothing is stored") };
    let (mut buf, mut chunk) = (vec![0; space(1_024, 8)], [0; 512]);
    let mut source = Coap::new(&udp, url, settings, &mut buf).unwrap();
    let mut clock = Clock::default();
    let outcome = block_on(download(&mut source, &mut session, Backoff::new(), &mut clock, &mut chunk, |report| {
        each(report.offset);
        ControlFlow::Continue(())
    }));
    assert!(outcome.is_ok(), "{outcome:?}");
    (target.bytes, udp.opened.get())
}

fn named() -> Request {
    Request::new(ImageId::named("app"))
}

#[test]
fn files_and_their_rests_come_from_libcoap() {
    let Some(server) = Server::libcoap(&[]) else { return };
    let file = image(70_000, 1);
    server.put("fw", &file);
    let url = server.url("fw");
    for window in [1, 2, 8] {
        for block in [64, 512, 1_024] {
            let began = Instant::now();
            let (meta, bytes) = fetch(&url, settings().window(window).block(block), 0).unwrap();
            assert_eq!((meta.size, meta.start), (Some(70_000), 0));
            assert!(bytes == file && meta.tag == 0, "{window} {block}: a counter names no version");
            println!("libcoap, window {window}, {block} bytes: {:?}", began.elapsed());
        }
        for from in [1, 1_024, 50_000, 69_999] {
            let (meta, bytes) = fetch(&url, settings().window(window), from).unwrap();
            assert_eq!((meta.start, meta.tag), (from, 0));
            assert!(bytes == file[from as usize..]);
        }
        assert!(fetch(&url, settings().window(window), 80_000).unwrap().1 == file);
    }
    let none = fetch(&server.url("none"), settings(), 0);
    assert!(matches!(none, Err(Error::Answer(Fault::Status { code: 0x84, .. }))), "{none:?}");
}

#[test]
fn r26_a_download_survives_loss_at_libcoap() {
    let Some(server) = Server::libcoap(&["-l", "2%"]) else { return };
    let file = image(102_400, 1);
    server.put("fw", &file);
    for window in [1, 8] {
        let began = Instant::now();
        let (stored, _) =
            download_all(&server.url("fw"), settings().window(window), Request::of(Digest([1; 32])), |_| {});
        assert!(stored == file);
        println!("libcoap loses 2 %, window {window}: 100 KiB in {:?}", began.elapsed());
    }
}

#[test]
fn r26_a_file_that_changes_at_libcoap_is_never_mixed() {
    let Some(server) = Server::libcoap(&[]) else { return };
    let files = [image(40_000, 1), image(40_000, 2)];
    for window in [1, 8] {
        for at in [1_000, 20_000, 39_000] {
            server.put("fw", &files[0]);
            let mut changed = false;
            let (stored, sockets) = download_all(&server.url("fw"), settings().window(window), named(), |offset| {
                if offset > at && !std::mem::replace(&mut changed, true) {
                    server.put("fw", &files[1]);
                }
            });
            // libcoap finishes what it began.
            assert!(changed && files.contains(&stored), "{window} {at}");
            println!("libcoap, window {window}, changed at {at}: {sockets} sockets, new: {}", stored == files[1]);
        }
    }
}

#[test]
fn files_and_their_rests_come_from_aiocoap() {
    let Some(server) = Server::aiocoap() else { return };
    let file = image(70_000, 1);
    server.put("fw.bin", &file);
    server.put("even.bin", &file[..65_536]);
    let url = server.url("fw.bin");
    let mut tags = Vec::new();
    for window in [1, 8] {
        for (from, block) in [(0, 1_024), (0, 64), (1, 1_024), (1_024, 512), (50_000, 1_024), (69_999, 1_024)] {
            let began = Instant::now();
            let (meta, bytes) = fetch(&url, settings().window(window).block(block), from).unwrap();
            assert_eq!(meta.start, from);
            assert!(bytes == file[from as usize..], "{window} {from} {block}");
            tags.push(meta.tag);
            println!("aiocoap, window {window}, {block} bytes, from {from}: {:?}", began.elapsed());
        }
        assert!(fetch(&server.url("even.bin"), settings().window(window), 0).unwrap().1 == file[..65_536]);
        assert_eq!(fetch(&url, settings().window(window), 80_000).unwrap().0.start, 0, "behind its end");
    }
    assert!(tags[0] != 0 && tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    let none = fetch(&server.url("none"), settings(), 0);
    assert!(matches!(none, Err(Error::Answer(Fault::Status { code: 0x84, .. }))), "{none:?}");
}

#[test]
fn r26_a_file_that_changes_at_aiocoap_is_never_mixed() {
    let Some(server) = Server::aiocoap() else { return };
    let files = [image(40_000, 1), image(40_000, 2)];
    for window in [1, 8] {
        for at in [1_000, 20_000, 38_000] {
            server.put("fw.bin", &files[0]);
            let mut changed = false;
            let (stored, _) =
                download_all(&server.url("fw.bin"), settings().window(window), named().size(40_000), |offset| {
                    if offset > at && !std::mem::replace(&mut changed, true) {
                        server.put("fw.bin", &files[1]);
                    }
                });
            let all = window == 8 && at > 31_000 && stored == files[0];
            assert!(changed && (stored == files[1] || all), "{window} {at}");
        }
    }
}

#[test]
fn r26_a_server_that_is_started_again_amid_a_download_is_gone_on_with() {
    let Some(mut server) = Server::aiocoap() else { return };
    let file = image(60_000, 1);
    server.put("fw.bin", &file);
    let url = server.url("fw.bin");
    let (mut restarted, mut lowest) = (false, u32::MAX);
    let (stored, sockets) = download_all(&url, settings().window(4), named().size(60_000), |offset| {
        if offset > 30_000 && !std::mem::replace(&mut restarted, true) {
            server.peer.child.kill().unwrap();
            server.peer.child.wait().unwrap();
            server.run();
        }
        if restarted {
            lowest = lowest.min(offset);
        }
    });
    assert!(stored == file && restarted);
    println!("{sockets} sockets, from {lowest} on");
    assert!(lowest > 29_000);
}

#[test]
fn files_and_their_rests_come_from_node_coap() {
    let Some(server) = Server::node() else { return };
    let file = image(300 * 1024, 1);
    server.put("fw.bin", &file);
    server.put("odd.bin", &file[..40_001]);
    let url = server.url("fw.bin");
    for window in [1, 4, 8] {
        for from in [0, 1, 1_023, 65_537, 200_000, 307_199] {
            let began = Instant::now();
            let (meta, bytes) = fetch(&url, settings().window(window), from).unwrap();
            // Its `ETag` has 2 bytes, whatever the application sets.
            assert_eq!(meta, Meta { size: Some(307_200), tag: 0, start: from });
            assert!(bytes == file[from as usize..], "{window} {from}");
            println!("node-coap, window {window}, from {from}: {:?}", began.elapsed());
        }
        // Not 16: it takes an empty Block2, which is that of 0/0/16, for blocks of no length.
        for block in [32, 512] {
            let (_, bytes) = fetch(&server.url("odd.bin"), settings().window(window).block(block), 0).unwrap();
            assert!(bytes == file[..40_001], "{window} {block}");
        }
    }
    let none = fetch(&server.url("none"), settings(), 0);
    assert!(matches!(none, Err(Error::Answer(Fault::Status { code: 0x84, .. }))), "{none:?}");
}

#[test]
fn r26_a_file_that_is_replaced_at_node_coap_is_never_mixed() {
    let Some(server) = Server::node() else { return };
    for window in [1, 4, 8] {
        let way = Path::new(&server, window);
        // Its `ETag` tells within a transfer: a sum over the file.
        replaced(&way, Names::NoVersion, false, &[1, 20_480, 40_001]);
        resumed(&way, Names::NoVersion, false, false);
        resumed(&way, Names::NoVersion, true, true);
    }
}

#[test]
fn r26_a_file_that_is_replaced_at_aiocoap_is_never_mixed() {
    let Some(server) = Server::aiocoap() else { return };
    for window in [1, 8] {
        let way = Path::new(&server, window);
        replaced(&way, Names::NoLength, true, &[1, 20_480, 40_001]);
        resumed(&way, Names::NoLength, false, true);
    }
}

#[test]
fn r26_a_file_that_is_replaced_at_libcoap_is_never_mixed() {
    let Some(server) = Server::libcoap(&[]) else { return };
    for window in [1, 8] {
        let way = Path::new(&server, window);
        // Its `ETag` is a number, and it finishes what it began.
        replaced(&way, Names::NoVersion, false, &[1, 20_480, 40_001]);
        resumed(&way, Names::NoVersion, false, false);
        resumed(&way, Names::NoVersion, true, true);
    }
}
