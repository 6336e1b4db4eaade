//! The CoAP source over TCP and the download loop against libcoap's and aiocoap's servers.
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
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

use dfu_target::progress::NoProgress;
use dfu_target::session::Update;
use dfu_target::{Begun, Digest, ImageId, Request};
use dfu_testkit::port;
use embedded_io_async::{ErrorType, Read, Write};
use fota_download::coap::tcp::Settings;
use fota_download::coap::{Error, Fault};
use fota_download::connect::{self, Connect};
use fota_download::{Backoff, CoapTcp, Meta, Source, download};
use support::{Clock, Ram, block_on, image};

/// Real connections, counted.
#[derive(Default)]
struct Tcp {
    opened: Cell<usize>,
    /// What was written at a time: requests, and what goes with the first of a connection.
    writes: Cell<usize>,
    moved: Cell<usize>,
}

struct Socket<'c>(TcpStream, &'c Tcp);

impl Connect for Tcp {
    type Error = io::Error;
    type Conn<'c> = Socket<'c>;

    async fn connect<'c>(&'c self, server: connect::Server<'_>) -> io::Result<Socket<'c>> {
        assert!(!server.tls);
        self.opened.set(self.opened.get() + 1);
        let stream = TcpStream::connect((server.host, server.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        Ok(Socket(stream, self))
    }
}

impl ErrorType for Socket<'_> {
    type Error = io::Error;
}

impl Read for Socket<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            match self.0.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                came => break came?,
            }
        };
        self.1.moved.set(self.1.moved.get() + count);
        Ok(count)
    }
}

impl Write for Socket<'_> {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.0.write(bytes)?;
        self.1.moved.set(self.1.moved.get() + count);
        self.1.writes.set(self.1.writes.get() + 1);
        Ok(count)
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
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
        let folder = std::env::temp_dir().join(format!("fota-coap-tcp-{}-{nth}", std::process::id()));
        fs::create_dir_all(folder.join("www")).unwrap();
        let port = port::free();
        let none = Command::new("true").spawn().unwrap();
        let mut server = Self { child: none, folder, port, name };
        server.child.wait().unwrap();
        server.run(&program, arguments(&server));
        Some(server)
    }

    fn run(&mut self, program: &PathBuf, arguments: Vec<String>) {
        self.child = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "{} does not start", self.name);
            std::thread::sleep(Duration::from_millis(50));
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
        format!("coap+tcp://127.0.0.1:{}/{name}", self.port)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let new = self.folder.join("new");
        fs::write(&new, bytes).unwrap();
        if self.name == "coap-server-notls" {
            let done = Command::new("coap-client-notls")
                .args(["-m", "put", "-b", "1024", "-f"])
                .args([new.as_os_str(), self.url(name).replace("+tcp", "").as_ref()])
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
    Settings::new(fastrand::Rng::with_seed(now.as_nanos() as u64).u32(..))
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

fn fetch(net: &Tcp, url: &str, settings: Settings, from: u32) -> Result<(Meta, Vec<u8>), Error<io::Error>> {
    let mut buf = [0; 128];
    let mut source = CoapTcp::new(net, url, settings, &mut buf).unwrap();
    let before = net.moved.get();
    let outcome = read_all(&mut source, from);
    assert_eq!(source.paid() as usize, net.moved.get() - before);
    outcome
}

/// A download: what is stored, and how many connections it took.
fn download_all(url: &str, settings: Settings, request: Request, mut each: impl FnMut(u32)) -> (Vec<u8>, usize) {
    let net = Tcp::default();
    let mut target = Ram::default();
    let mut update = Update::new(&mut target, NoProgress, request);
    let Ok(Begun::Receiving(mut session)) = block_on(update.begin()) else { panic!("nothing is stored") };
    let (mut buf, mut chunk) = ([0; 128], [0; 512]);
    let mut source = CoapTcp::new(&net, url, settings, &mut buf).unwrap();
    let mut clock = Clock::default();
    let outcome = block_on(download(&mut source, &mut session, Backoff::new(), &mut clock, &mut chunk, |report| {
        each(report.offset);
        ControlFlow::Continue(())
    }));
    assert!(outcome.is_ok(), "{outcome:?}");
    (target.bytes, net.opened.get())
}

fn named() -> Request {
    Request::new(ImageId::named("app"))
}

const LEN: usize = 307_200;

/// How many messages a file takes, with so many blocks in each; our settings go by themselves where BERT is wanted.
fn messages(net: &Tcp) -> usize {
    net.writes.take() - net.opened.take()
}

#[test]
fn files_and_their_rests_come_from_libcoap_in_long_messages() {
    for more in [&["-X", "8192"][..], &[]] {
        let Some(server) = Server::libcoap(more) else { return };
        let file = image(LEN, 1);
        server.put("fw", &file);
        let (net, url) = (Tcp::default(), server.url("fw"));
        for window in [1, 2, 8] {
            messages(&net);
            for (message, blocks) in [(8_192, 7), (8_320, 8), (4_096, 3), (2_303, 2), (20_000, 19)] {
                let began = Instant::now();
                let (meta, bytes) = fetch(&net, &url, settings().window(window).message(message), 0).unwrap();
                assert_eq!((meta.size, meta.start), (Some(LEN as u32), 0));
                assert!(bytes == file && meta.tag == 0, "{window}: a counter names no version");
                let count = messages(&net);
                assert_eq!(count, 300_usize.div_ceil(blocks), "BERT, {blocks} blocks each");
                println!("libcoap {more:?}, window {window}, {message}: {count} messages, {:?}", began.elapsed());
            }
            // The server sends all at once, if it may.
            assert!(fetch(&net, &url, settings().window(window).message(1 << 20), 0).unwrap().1 == file);
            assert_eq!(messages(&net), 1);
            for from in [1, 1_024, 50_001, 307_199, 307_200] {
                let (meta, bytes) = fetch(&net, &url, settings().window(window), from).unwrap();
                let right = bytes == file[from as usize..] || from == 307_200 && bytes == file;
                assert!(right, "{from} {meta:?} {}", bytes.len());
                println!("libcoap {more:?}, window {window}, from {from}: {meta:?}");
            }
            assert!(fetch(&net, &url, settings().window(window), 400_000).unwrap().1 == file);
        }
        let none = fetch(&net, &server.url("none"), settings(), 0);
        assert!(matches!(none, Err(Error::Answer(Fault::Status { code: 0x84, .. }))), "{none:?}");
    }
}

#[test]
fn files_and_their_rests_come_from_libcoap_block_by_block() {
    let Some(server) = Server::libcoap(&[]) else { return };
    let file = image(70_000, 1);
    server.put("fw", &file);
    let (net, url) = (Tcp::default(), server.url("fw"));
    for window in [1, 2, 8] {
        for (settings, blocks) in
            [(settings().message(0), 69), (settings().block(512), 137), (settings().block(64).message(0), 1_094)]
        {
            net.writes.take();
            let began = Instant::now();
            assert!(fetch(&net, &url, settings.window(window), 0).unwrap().1 == file);
            let count = net.writes.get();
            println!("libcoap, window {window}, {settings:?}: {count} messages, {:?}", began.elapsed());
            assert_eq!(count, blocks);
            for from in [1, 1_023, 50_001, 69_999] {
                let (meta, bytes) = fetch(&net, &url, settings.window(window), from).unwrap();
                assert!(meta.start == from && bytes == file[from as usize..], "{settings:?} {from}");
            }
            assert!(fetch(&net, &url, settings.window(window), 400_000).unwrap().1 == file);
        }
    }
}

#[test]
fn r26_a_file_that_changes_at_libcoap_is_never_mixed() {
    let Some(server) = Server::libcoap(&["-X", "8192"]) else { return };
    let files = [image(80_000, 1), image(80_000, 2)];
    for window in [1, 4] {
        for at in [1_000, 40_000, 71_000, 79_000] {
            server.put("fw", &files[0]);
            let mut changed = false;
            let (stored, connections) = download_all(&server.url("fw"), settings().window(window), named(), |offset| {
                if offset > at && !std::mem::replace(&mut changed, true) {
                    server.put("fw", &files[1]);
                }
            });
            assert!(changed && files.contains(&stored), "{window} {at}");
            println!(
                "libcoap, window {window}, changed at {at}: {connections} connections, new: {}",
                stored == files[1]
            );
        }
    }
}

#[test]
fn files_and_their_rests_come_from_aiocoap() {
    let Some(server) = Server::aiocoap() else { return };
    let file = image(LEN, 1);
    server.put("fw.bin", &file);
    server.put("even.bin", &file[..65_536]);
    let (net, url) = (Tcp::default(), server.url("fw.bin"));
    let mut tags = Vec::new();
    for window in [1, 4, 8] {
        messages(&net);
        for (from, block) in [(0, 1_024), (1, 1_024), (50_001, 512), (300_001, 64), (307_199, 1_024)] {
            let began = Instant::now();
            let (meta, bytes) = fetch(&net, &url, settings().window(window).block(block), from).unwrap();
            assert_eq!(meta.start, from);
            assert!(bytes == file[from as usize..], "{window} {from} {block}");
            tags.push(meta.tag);
            let count = messages(&net);
            println!("aiocoap, window {window}, {block} bytes, from {from}: {count} messages, {:?}", began.elapsed());
        }
        assert!(fetch(&net, &server.url("even.bin"), settings().window(window), 0).unwrap().1 == file[..65_536]);
        let (meta, bytes) = fetch(&net, &url, settings().window(window), 400_000).unwrap();
        assert!(meta.start == 0 && bytes == file, "behind its end");
    }
    assert!(tags[0] != 0 && tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    let none = fetch(&net, &server.url("none"), settings(), 0);
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
            // What was asked ahead may have been all there was.
            let all = window == 8 && at > 20_000 && stored == files[0];
            assert!(changed && (stored == files[1] || all), "{window} {at}");
        }
    }
}

#[test]
fn r26_a_server_that_is_started_again_amid_a_download_is_gone_on_with() {
    let Some(mut server) = Server::aiocoap() else { return };
    let file = image(60_000, 1);
    server.put("fw.bin", &file);
    let (url, program) = (server.url("fw.bin"), program(server.name).unwrap());
    let arguments =
        vec!["--bind".into(), format!("127.0.0.1:{}", server.port), server.folder.join("www").display().to_string()];
    for window in [1, 4] {
        let (mut restarted, mut lowest) = (false, u32::MAX);
        let (stored, connections) = download_all(&url, settings().window(window), named().size(60_000), |offset| {
            if offset > 30_000 && !std::mem::replace(&mut restarted, true) {
                server.child.kill().unwrap();
                server.child.wait().unwrap();
                server.run(&program, arguments.clone());
            }
            if restarted {
                lowest = lowest.min(offset);
            }
        });
        assert!(stored == file && restarted && connections == 2);
        println!("window {window}: {connections} connections, from {lowest} on");
        assert!(lowest > 29_000);
    }
}

#[test]
fn a_libcoap_that_is_started_again_is_gone_on_with_by_the_digest() {
    let Some(mut server) = Server::libcoap(&["-X", "8192"]) else { return };
    let file = image(LEN, 1);
    server.put("fw", &file);
    let (url, program) = (server.url("fw"), program(server.name).unwrap());
    let arguments: Vec<_> =
        ["-A", "127.0.0.1", "-p", &server.port.to_string(), "-d", "10"].into_iter().map(String::from).collect();
    for window in [1, 4] {
        let (mut restarted, mut lowest) = (false, u32::MAX);
        let (stored, connections) =
            download_all(&url, settings().window(window), Request::of(Digest([1; 32])), |offset| {
                if offset > 100_000 && !std::mem::replace(&mut restarted, true) {
                    server.child.kill().unwrap();
                    server.child.wait().unwrap();
                    server.run(&program, arguments.clone());
                    server.put("fw", &file);
                }
                if restarted {
                    lowest = lowest.min(offset);
                }
            });
        println!("window {window}: {connections} connections, from {lowest} on");
        // Its `ETag`s are numbers, so that the source does not go on over another connection by itself.
        assert!(stored == file && restarted && connections == 2 && lowest > 99_000);
    }
}
