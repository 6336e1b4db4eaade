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

#[path = "support/peers.rs"]
mod peers;

#[path = "support/versions.rs"]
mod versions;

#[path = "support/web.rs"]
mod web;

use std::cell::Cell;
use std::fs;
use std::ops::ControlFlow;

use dfu_target::progress::NoProgress;
use dfu_target::session::Update;
use dfu_target::{Begun, ImageId, Request};
use dfu_testkit::port;
use fota_download::http::{Error, Fault};
use fota_download::{Backoff, DownloadError, Http, Meta, Source, download};
use peers::{Peer, Tcp, program};
use support::{Clock, Ram, block_on, image};
use versions::{Names, replaced, resumed};
use web::{Web, fault, fetch, read_all};

/// A running nginx.
struct Nginx {
    peer: Peer,
    port: u16,
    /// The same program, as another host.
    other: u16,
}

impl Nginx {
    /// `None`, with the reason printed, where there is no nginx.
    fn start() -> Option<Self> {
        let program = program("nginx")?;
        let other = Cell::new(0);
        let (peer, port) = Peer::http(&program, |folder, port| {
            other.set(port::free());
            let (at, other) = (folder.display(), other.get());
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
                    location = /ready {{ access_log off; }}
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
            ["-p", ".", "-c", "nginx.conf"].map(String::from).into()
        });
        Some(Self { peer, port, other: other.get() })
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        self.peer.put(name, bytes);
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Status codes of all requests so far.
    fn statuses(&self) -> Vec<String> {
        // The log is written after the last byte was sent.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let log = fs::read_to_string(self.peer.folder.join("access.log")).unwrap();
        log.lines().filter_map(|line| Some(line.split('"').nth(2)?.split_whitespace().next()?.to_owned())).collect()
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
fn r24_a_file_that_changed_is_sent_from_its_start() {
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
fn r24_a_server_that_has_no_ranges_sends_it_all() {
    let Some(nginx) = Nginx::start() else { return };
    let file = image(9_000, 1);
    nginx.put("app.bin", &file);
    let (meta, bytes) = fetch(&nginx.url("plain/app.bin"), 5_000).unwrap();
    assert_eq!((meta.start, meta.size), (0, Some(9_000)));
    assert!(bytes == file);
}

#[test]
fn r24_redirects_lead_to_the_file_and_the_range_with_them() {
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
fn r24_chunks_are_put_together_and_connections_with_them_are_kept() {
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
fn r24_what_goes_wrong_has_a_name() {
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
fn r24_a_download_survives_connections_that_break_at_any_place() {
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
fn r24_a_file_that_changes_amid_a_download_is_never_mixed() {
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

#[test]
fn r24_a_file_is_never_put_together_from_two_versions() {
    let Some(nginx) = Nginx::start() else { return };
    for (path, names) in [
        ("app.bin", Names::Version),
        ("no-etag/app.bin", Names::Version),
        ("plain/app.bin", Names::Version),
        ("chunked/app.bin", Names::Nothing),
    ] {
        replaced(&Web::new(&nginx.peer, nginx.port, path), names, false, &[1, 20_480, 50_001]);
    }
}

#[test]
fn what_is_stored_is_not_fetched_again() {
    let Some(nginx) = Nginx::start() else { return };
    for path in ["app.bin", "no-etag/app.bin"] {
        resumed(&Web::new(&nginx.peer, nginx.port, path), Names::Version, false, true);
    }
    resumed(&Web::new(&nginx.peer, nginx.port, "plain/app.bin"), Names::Version, true, false);
}
