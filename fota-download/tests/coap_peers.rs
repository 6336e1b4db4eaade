//! The CoAP source and the download loop against libcoap's and aiocoap's servers.
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

use std::cell::Cell;
use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

use dfu_target::progress::NoProgress;
use dfu_target::session::Update;
use dfu_target::{Begun, Digest, ImageId, Request};
use fota_download::coap::{Datagram, Datagrams, Error, Fault, Security, Settings, space};
use fota_download::{Backoff, Coap, Meta, Source, download};
use support::{Clock, Ram, block_on, image};

/// Real sockets.
struct Udp {
    begin: Instant,
    opened: Cell<usize>,
}

struct Socket(UdpSocket, Instant);

impl Udp {
    fn new() -> Self {
        Self { begin: Instant::now(), opened: Cell::new(0) }
    }
}

impl Datagrams for Udp {
    type Error = io::Error;
    type Socket<'c> = Socket;

    async fn connect(&self, security: Security, host: &str, port: u16) -> io::Result<Socket> {
        assert_eq!(security, Security::None);
        self.opened.set(self.opened.get() + 1);
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect((host, port))?;
        Ok(Socket(socket, self.begin))
    }
}

impl Datagram for Socket {
    type Error = io::Error;

    async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(datagram).map(|_| ())
    }

    async fn receive(&mut self, buf: &mut [u8], timeout_ms: u32) -> io::Result<Option<usize>> {
        self.0.set_read_timeout(Some(Duration::from_millis(timeout_ms.max(1).into())))?;
        match self.0.recv(buf) {
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn now_ms(&self) -> u32 {
        self.1.elapsed().as_millis() as u32
    }
}

/// Where a program is; `None`, with the reason printed, where it is not.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.exists());
    if found.is_none() {
        assert!(
            std::env::var("DFU_PEERS").as_deref() != Ok("required"),
            "{name} is not installed, and DFU_PEERS=required"
        );
        println!("skipped: {name} is not installed");
    }
    found
}

/// A running server, with a folder of its own.
struct Server {
    child: Child,
    folder: PathBuf,
    port: u16,
    name: &'static str,
}

impl Server {
    fn start(name: &'static str, arguments: impl Fn(&Self) -> Vec<String>) -> Option<Self> {
        static NTH: AtomicU32 = AtomicU32::new(0);
        let program = program(name)?;
        let nth = NTH.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("fota-coap-{}-{nth}", std::process::id()));
        fs::create_dir_all(folder.join("www")).unwrap();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let none = Command::new("true").spawn().unwrap();
        let mut server = Self { child: none, folder, port, name };
        server.child.wait().unwrap();
        server.run(&program, arguments(&server));
        Some(server)
    }

    fn run(&mut self, program: &PathBuf, arguments: Vec<String>) {
        self.child = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let url = format!("coap://127.0.0.1:{}/.well-known/core", self.port);
        loop {
            let udp = Udp::new();
            let mut buf = vec![0; space(1_024, 1)];
            let open = block_on(Coap::new(&udp, &url, settings(), &mut buf).unwrap().open(0));
            match open {
                Err(Error::Connection(_) | Error::Answer(Fault::Timeout)) => {
                    assert!(Instant::now() < until, "{} does not start", self.name);
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
            vec!["--bind".into(), format!("127.0.0.1:{}", server.port), server.folder.join("www").display().to_string()]
        })
    }

    fn url(&self, name: &str) -> String {
        format!("coap://127.0.0.1:{}/{name}", self.port)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let new = self.folder.join("new");
        fs::write(&new, bytes).unwrap();
        if self.name == "coap-server-notls" {
            let done = Command::new("coap-client-notls")
                .args(["-m", "put", "-b", "1024", "-f"])
                .args([new.as_os_str(), self.url(name).as_ref()])
                .output()
                .unwrap();
            assert!(done.status.success(), "{done:?}");
            return;
        }
        // Versions are named by length and time.
        static AGE: AtomicU32 = AtomicU32::new(100_000);
        let age = Duration::from_secs(60) * AGE.fetch_sub(1, Ordering::Relaxed);
        fs::File::options().write(true).open(&new).unwrap().set_modified(SystemTime::now() - age).unwrap();
        fs::rename(&new, self.folder.join("www").join(name)).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
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
fn a_download_survives_loss_at_libcoap() {
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
fn a_file_that_changes_at_libcoap_is_never_mixed() {
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
fn a_file_that_changes_at_aiocoap_is_never_mixed() {
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
fn a_server_that_is_started_again_amid_a_download_is_gone_on_with() {
    let Some(mut server) = Server::aiocoap() else { return };
    let file = image(60_000, 1);
    server.put("fw.bin", &file);
    let (url, program) = (server.url("fw.bin"), program(server.name).unwrap());
    let arguments =
        vec!["--bind".into(), format!("127.0.0.1:{}", server.port), server.folder.join("www").display().to_string()];
    let (mut restarted, mut lowest) = (false, u32::MAX);
    let (stored, sockets) = download_all(&url, settings().window(4), named().size(60_000), |offset| {
        if offset > 30_000 && !std::mem::replace(&mut restarted, true) {
            server.child.kill().unwrap();
            server.child.wait().unwrap();
            server.run(&program, arguments.clone());
        }
        if restarted {
            lowest = lowest.min(offset);
        }
    });
    assert!(stored == file && restarted);
    println!("{sockets} sockets, from {lowest} on");
    assert!(lowest > 29_000);
}
