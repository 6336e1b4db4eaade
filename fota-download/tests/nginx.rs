//! The HTTP source and the download loop against nginx.
//!
//! Without nginx on the machine these tests print so and pass, unless `DFU_PEERS=required` is set.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

mod support;

use std::cell::Cell;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use dfu_target::progress::NoProgress;
use dfu_target::session::Update;
use dfu_target::{Begun, ImageId, Request};
use embedded_io_async::{Read, Write};
use fota_download::connect::Server;
use fota_download::http::{Error, Fault};
use fota_download::{Backoff, Connect, DownloadError, Http, Meta, Source, download};
use support::{Clock, Ram, block_on, image};

/// A running nginx with a folder of its own.
struct Nginx {
    child: Child,
    folder: PathBuf,
    port: u16,
    /// The same program, as another host.
    other: u16,
}

impl Nginx {
    /// `None`, with the reason printed, where there is no nginx.
    fn start() -> Option<Self> {
        let places = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
        let Some(program) = places.into_iter().find(|path| Path::new(path).exists()) else {
            assert!(
                std::env::var("DFU_PEERS").as_deref() != Ok("required"),
                "nginx is not installed, and DFU_PEERS=required"
            );
            println!("skipped: nginx is not installed");
            return None;
        };
        // Another process may take the port before nginx does.
        let started = (0..5).find_map(|_| Self::start_on_some_port(program));
        assert!(started.is_some(), "nginx does not start");
        started
    }

    fn start_on_some_port(program: &str) -> Option<Self> {
        static NTH: AtomicU32 = AtomicU32::new(0);
        let folder = std::env::temp_dir().join(format!(
            "fota-nginx-{}-{}",
            std::process::id(),
            NTH.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir_all(folder.join("www")).unwrap();
        // Both at once, so that they differ.
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [port, other] = free.map(|free| free.local_addr().unwrap().port());
        let at = folder.display();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;
            events {{ worker_connections 64; }}
            http {{
              access_log {at}/access.log; gzip off; default_type application/octet-stream;
              types {{ text/html html; }}
              client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3;
              uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;
              server {{
                listen 127.0.0.1:{port}; root {at}/www;
                location /plain/ {{ alias {at}/www/; max_ranges 0; }}
                location /slow/ {{ alias {at}/www/; limit_rate 100k; }}
                location /no-etag/ {{ alias {at}/www/; etag off; }}
                location = /moved {{ return 302 /app.bin; }}
                location = /moved-far {{ return 308 http://127.0.0.1:{port}/moved; }}
                location = /round {{ return 301 /round; }}
                location = /tls {{ return 301 https://127.0.0.1/app.bin; }}
                location = /busy {{ add_header Retry-After 7 always; return 503; }}
                location = /broken {{ return 500; }}
                location /chunked/ {{ alias {at}/www/; ssi on; ssi_types application/octet-stream; }}
                location /v1/up/ {{ return 302 ../../app.bin; }}
                location /v1/query/ {{
                  if ($args = '') {{ return 302 ?key=1; }}
                  rewrite ^ /app.bin;
                }}
                location = /secret {{
                  if ($http_authorization != 'Bearer t0ken') {{ return 401; }}
                  return 302 /secret-here;
                }}
                location = /secret-here {{
                  if ($http_authorization != 'Bearer t0ken') {{ return 401; }}
                  return 302 http://127.0.0.1:{other}/app.bin;
                }}
              }}
              server {{
                listen 127.0.0.1:{other}; root {at}/www;
                if ($http_authorization) {{ return 400; }}
              }}
            }}"
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let child = Command::new(program)
            .args(["-p".as_ref(), folder.as_os_str(), "-c".as_ref(), folder.join("nginx.conf").as_os_str()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, folder, port, other };
        // Written once it listens.
        let until = Instant::now() + Duration::from_secs(4);
        while !fs::metadata(server.folder.join("pid")).is_ok_and(|pid| pid.len() > 1) {
            if Instant::now() > until {
                println!("{:?}", fs::read_to_string(server.folder.join("error.log")));
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    /// Puts a file there in one go, as a careful operator does.
    ///
    /// Each is a minute younger than the one before: nginx names a version by length and second, so that two of the
    /// same length in the same second have the same `ETag`, and only the image's digest tells them apart.
    fn put(&self, name: &str, bytes: &[u8]) {
        static AGE: AtomicU32 = AtomicU32::new(100_000);
        fs::write(self.folder.join("new"), bytes).unwrap();
        let age = Duration::from_secs(60) * AGE.fetch_sub(1, Ordering::Relaxed);
        fs::File::options()
            .write(true)
            .open(self.folder.join("new"))
            .unwrap()
            .set_modified(SystemTime::now() - age)
            .unwrap();
        fs::rename(self.folder.join("new"), self.folder.join("www").join(name)).unwrap();
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Status codes of all requests so far.
    fn statuses(&self) -> Vec<String> {
        // The log is written after the last byte was sent.
        std::thread::sleep(Duration::from_millis(50));
        let log = fs::read_to_string(self.folder.join("access.log")).unwrap();
        log.lines().filter_map(|line| Some(line.split('"').nth(2)?.split_whitespace().next()?.to_owned())).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// TCP of the standard library, whose connections break after so many bytes.
struct Tcp {
    breaks: Box<dyn Fn() -> usize>,
    opened: Cell<usize>,
}

impl Tcp {
    fn new() -> Self {
        Self::breaking(|| usize::MAX)
    }

    fn breaking(breaks: impl Fn() -> usize + 'static) -> Self {
        Self { breaks: Box::new(breaks), opened: Cell::new(0) }
    }
}

struct Conn(TcpStream, usize);

impl Connect for Tcp {
    type Error = std::io::Error;
    type Conn<'c> = Conn;

    async fn connect(&self, server: Server<'_>) -> std::io::Result<Conn> {
        self.opened.set(self.opened.get() + 1);
        let stream = TcpStream::connect((server.host, server.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Conn(stream, (self.breaks)()))
    }
}

impl embedded_io_async::ErrorType for Conn {
    type Error = std::io::Error;
}

impl Read for Conn {
    async fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let count = buf.len().min(self.1);
        if count == 0 {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        let count = self.0.read(&mut buf[..count])?;
        self.1 -= count;
        Ok(count)
    }
}

impl Write for Conn {
    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn read_all(
    source: &mut impl Source<Error = Error<std::io::Error>>,
    from: u32,
) -> Result<(Meta, Vec<u8>), Error<std::io::Error>> {
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

fn fetch(url: &str, from: u32) -> Result<(Meta, Vec<u8>), Error<std::io::Error>> {
    read_all(&mut Http::new(&Tcp::new(), url, &mut [0; 1_024]).unwrap(), from)
}

fn fault(url: &str) -> Fault {
    match fetch(url, 0) {
        Err(Error::Answer(fault)) => fault,
        other => panic!("{url} gives {other:?}"),
    }
}

#[test]
fn files_and_their_rests_come_over_one_connection() {
    let Some(nginx) = Nginx::start() else { return };
    let file = image(70_000, 1);
    nginx.put("app.bin", &file);
    let (tcp, url) = (Tcp::new(), nginx.url("app.bin"));
    let mut buf = [0; 1_024];
    let mut source = Http::new(&tcp, &url, &mut buf).unwrap();
    let mut tags = Vec::new();
    for from in [0, 1, 4_096, 69_999] {
        let (meta, bytes) = read_all(&mut source, from).unwrap();
        assert_eq!((meta.start, meta.size), (from, Some(70_000)));
        assert!(bytes == file[from as usize..], "{from}");
        tags.push(meta.tag);
    }
    assert!(tags[0] != 0 && tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    assert_eq!(tcp.opened.get(), 1);
    let (meta, bytes) = read_all(&mut source, 70_000).unwrap();
    assert_eq!((meta, bytes.len()), (Meta { size: Some(70_000), tag: tags[0], start: 70_000 }, 0));
    assert_eq!(read_all(&mut source, 80_000).unwrap().1, file, "a file that is shorter now is sent from its start");
    assert_eq!(nginx.statuses(), ["200", "206", "206", "206", "416", "416", "200"]);
}

#[test]
fn a_file_that_changed_is_sent_from_its_start() {
    let Some(nginx) = Nginx::start() else { return };
    for path in ["app.bin", "no-etag/app.bin"] {
        let files = [image(20_000, 1), image(21_000, 2)];
        nginx.put("app.bin", &files[0]);
        let (tcp, url) = (Tcp::new(), nginx.url(path));
        let mut buf = [0; 1_024];
        let mut source = Http::new(&tcp, &url, &mut buf).unwrap();
        let first = block_on(source.open(0)).unwrap();
        let (same, bytes) = read_all(&mut source, 5_000).unwrap();
        assert_eq!((same.start, same.tag), (5_000, first.tag));
        assert!(same.tag != 0 && bytes == files[0][5_000..]);
        nginx.put("app.bin", &files[1]);
        let (meta, bytes) = read_all(&mut source, 5_000).unwrap();
        assert_eq!((meta.start, meta.size), (0, Some(21_000)));
        assert!(meta.tag != first.tag && bytes == files[1]);
    }
}

#[test]
fn a_server_that_has_no_ranges_sends_it_all() {
    let Some(nginx) = Nginx::start() else { return };
    let file = image(9_000, 1);
    nginx.put("app.bin", &file);
    let (meta, bytes) = fetch(&nginx.url("plain/app.bin"), 5_000).unwrap();
    assert_eq!((meta.start, meta.size), (0, Some(9_000)));
    assert!(bytes == file);
}

#[test]
fn redirects_lead_to_the_file_and_the_range_with_them() {
    let Some(nginx) = Nginx::start() else { return };
    let file = image(9_000, 1);
    nginx.put("app.bin", &file);
    for path in ["moved", "moved-far"] {
        let (meta, bytes) = fetch(&nginx.url(path), 8_000).unwrap();
        assert_eq!(meta.start, 8_000);
        assert!(bytes == file[8_000..]);
    }
}

#[test]
fn relative_redirects_lead_to_the_file() {
    let Some(nginx) = Nginx::start() else { return };
    let file = image(9_000, 1);
    nginx.put("app.bin", &file);
    for path in ["v1/up/x", "v1/query/x"] {
        assert!(fetch(&nginx.url(path), 0).unwrap().1 == file, "{path}");
    }
    assert_eq!(nginx.statuses(), ["302", "200", "302", "200"]);
}

#[test]
fn fields_go_to_the_first_host_and_no_further() {
    let Some(nginx) = Nginx::start() else { return };
    let file = image(9_000, 1);
    nginx.put("app.bin", &file);
    let (tcp, url, mut buf) = (Tcp::new(), nginx.url("secret"), [0; 1_024]);
    assert_eq!(fault(&url), Fault::Status { code: 401, retry_after: 0 });
    let mut source = Http::new(&tcp, &url, &mut buf).unwrap().fields(&[("Authorization", "Bearer t0ken")]);
    assert!(read_all(&mut source, 0).unwrap().1 == file);
    let direct = format!("http://127.0.0.1:{}/app.bin", nginx.other);
    let mut source = Http::new(&tcp, &direct, &mut buf).unwrap().fields(&[("Authorization", "Bearer t0ken")]);
    let outcome = read_all(&mut source, 0);
    assert!(matches!(outcome, Err(Error::Answer(Fault::Status { code: 400, .. }))), "{outcome:?}");
}

#[test]
fn chunks_are_put_together_and_connections_with_them_are_kept() {
    let Some(nginx) = Nginx::start() else { return };
    let file = image(70_000, 1);
    nginx.put("app.bin", &file);
    let (tcp, url, mut buf) = (Tcp::new(), nginx.url("chunked/app.bin"), [0; 1_024]);
    let mut source = Http::new(&tcp, &url, &mut buf).unwrap();
    for _ in 0..3 {
        let (meta, bytes) = read_all(&mut source, 0).unwrap();
        assert_eq!(meta.size, None);
        assert!(bytes == file);
    }
    assert_eq!(tcp.opened.get(), 1);
    let cut = Tcp::breaking(|| 30_000);
    let mut source = Http::new(&cut, &url, &mut buf).unwrap();
    assert!(matches!(read_all(&mut source, 0), Err(Error::Connection(_))));
}

#[test]
fn what_goes_wrong_has_a_name() {
    let Some(nginx) = Nginx::start() else { return };
    nginx.put("page.html", b"<html>");
    nginx.put("empty.bin", b"");
    assert_eq!(fault(&nginx.url("none.bin")), Fault::Status { code: 404, retry_after: 0 });
    assert_eq!(fault(&nginx.url("broken")), Fault::Status { code: 500, retry_after: 0 });
    assert_eq!(fault(&nginx.url("busy")), Fault::Status { code: 503, retry_after: 7 });
    assert_eq!(fault(&nginx.url("round")), Fault::Redirects);
    assert!(matches!(fault(&nginx.url("tls")), Fault::Redirect(_)));
    assert_eq!(fault(&nginx.url("page.html")), Fault::Html);
    assert_eq!(fetch(&nginx.url("empty.bin"), 0).unwrap().0.size, Some(0));
}

/// A download over connections that break now and then; what is stored, and how many connections it took.
fn download_all(url: &str, breaks: impl Fn() -> usize + 'static, mut each: impl FnMut(u32)) -> (Vec<u8>, usize) {
    let tcp = Tcp::breaking(breaks);
    let mut target = Ram::default();
    let mut update = Update::new(&mut target, NoProgress, Request::new(ImageId::named("app")));
    let Ok(Begun::Receiving(mut session)) = block_on(update.begin()) else { panic!("nothing is stored") };
    let (mut header, mut buf) = ([0; 1_024], [0; 512]);
    let mut source = Http::new(&tcp, url, &mut header).unwrap();
    let outcome =
        block_on(download(&mut source, &mut session, Backoff::new(), &mut Clock::default(), &mut buf, |report| {
            each(report.offset);
            ControlFlow::Continue(())
        }));
    assert!(outcome.is_ok(), "{outcome:?}");
    (target.bytes, tcp.opened.get())
}

/// Numbers from 0 to `below`, always the same ones.
fn numbers(seed: u32, below: usize) -> impl Fn() -> usize + 'static {
    let state = Cell::new(seed);
    move || {
        state.set(state.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        (state.get() >> 8) as usize % below
    }
}

#[test]
fn a_download_survives_connections_that_break_at_any_place() {
    let Some(nginx) = Nginx::start() else { return };
    let file = image(60_000, 1);
    nginx.put("app.bin", &file);
    let mut opened = 0;
    for (path, below) in [("app.bin", 20_000), ("app.bin", 3_000), ("slow/app.bin", 30_000), ("moved-far", 20_000)] {
        let (stored, connections) = download_all(&nginx.url(path), numbers(below as u32, below), |_| {});
        assert!(stored == file, "{path}");
        opened += connections;
    }
    assert!(opened > 40, "{opened}");
    println!("{opened} connections");
}

#[test]
fn a_file_that_changes_amid_a_download_is_never_mixed() {
    let Some(nginx) = Nginx::start() else { return };
    let files = [image(30_000, 1), image(30_000, 2)];
    for (path, at) in [("app.bin", 100), ("app.bin", 15_000), ("app.bin", 29_000), ("plain/app.bin", 20_000)] {
        nginx.put("app.bin", &files[0]);
        let mut changed = false;
        // The first connection breaks, and while it is opened again there is another file.
        let nth = Cell::new(0);
        let breaks = move || if nth.replace(1) == 0 { at + 400 } else { usize::MAX };
        let (stored, _) = download_all(&nginx.url(path), breaks, |offset| {
            if offset > 0 && !std::mem::replace(&mut changed, true) {
                // Of the same length; only its name tells.
                nginx.put("app.bin", &files[1]);
            }
        });
        assert!(changed && stored == files[1], "{path} {at}");
    }
}

#[test]
fn a_file_that_is_not_there_ends_a_download_at_once() {
    let Some(nginx) = Nginx::start() else { return };
    let (tcp, url) = (Tcp::new(), nginx.url("none.bin"));
    let mut target = Ram::default();
    let mut update = Update::new(&mut target, NoProgress, Request::new(ImageId::named("app")));
    let Ok(Begun::Receiving(mut session)) = block_on(update.begin()) else { panic!("nothing is stored") };
    let (mut header, mut buf, mut clock) = ([0; 1_024], [0; 512], Clock::default());
    let mut source = Http::new(&tcp, &url, &mut header).unwrap();
    let outcome = block_on(download(&mut source, &mut session, Backoff::new(), &mut clock, &mut buf, |_| {
        ControlFlow::Continue(())
    }));
    assert!(
        matches!(outcome, Err(DownloadError::Source(Error::Answer(Fault::Status { code: 404, .. })))),
        "{outcome:?}"
    );
    assert_eq!((clock.0, tcp.opened.get()), (vec![], 1));
}
