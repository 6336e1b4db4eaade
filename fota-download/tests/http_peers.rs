//! The HTTP source and the download loop against caddy, lighttpd and python's server.
//!
//! What is not on the machine is left out and named, unless `DFU_PEERS=required` is set.
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

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fota_download::http::Fault;
use fota_download::{Http, Meta};
use peers::{Peer, Tcp, program};
use support::image;
use versions::{LEN, Names, Way, replaced, resumed};
use web::{Web, fault, fetch, read_all};

const FILE: usize = 300 * 1024;
const OFFSETS: [u32; 7] = [1, 511, 4_096, 65_537, 150_001, 262_144, FILE as u32 - 1];

/// `ETag` and `Last-Modified`, ranges.
fn caddy() -> Option<(Peer, u16)> {
    Some(Peer::http(&program("caddy")?, |_, port| {
        ["file-server", "--root", "www", "--listen", &format!("127.0.0.1:{port}")].map(String::from).into()
    }))
}

/// Ranges. Without a table of types it names no version, with one it has `ETag` and `Last-Modified`. Its cache, which
/// goes on with the file of before for a second or two, is off.
fn lighttpd(types: &str) -> Option<(Peer, u16)> {
    Some(Peer::http(&program("lighttpd")?, |folder: &Path, port| {
        let config = format!(
            "server.document-root = \"{}/www\"\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
             server.stat-cache-engine = \"disable\"\n{types}\n",
            folder.display()
        );
        fs::write(folder.join("lighttpd.conf"), config).unwrap();
        ["-D", "-f", "lighttpd.conf"].map(String::from).into()
    }))
}

const TYPES: &str = "mimetype.assign = ( \"\" => \"application/octet-stream\" )";

/// HTTP/1.0 and `Last-Modified`, no ranges.
fn python() -> Option<(Peer, u16)> {
    Some(Peer::http(&program("python3")?, |_, port| {
        ["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1", "--directory", "www"].map(String::from).into()
    }))
}

/// The whole file, its rests to a new source and to one that knows it, what is behind its end, what is not there.
fn files_and_their_rests((peer, port): &(Peer, u16), ranges: bool, names: bool) {
    let file = image(FILE, 1);
    peer.put("app.bin", &file);
    let url = format!("http://127.0.0.1:{port}/app.bin");
    let (whole, bytes) = fetch(&url, 0).unwrap();
    assert_eq!((whole.size, whole.start, whole.tag != 0), (Some(FILE as u32), 0, names));
    assert!(bytes == file);
    let (tcp, mut buf) = (Tcp::new(), [0; 1_024]);
    let mut known = Http::new(&tcp, &url, &mut buf).unwrap();
    for from in OFFSETS {
        let start = if ranges { from } else { 0 };
        for (meta, bytes) in [fetch(&url, from).unwrap(), read_all(&mut known, from).unwrap()] {
            assert_eq!(meta, Meta { start, ..whole });
            assert!(bytes == file[start as usize..], "{from}");
        }
    }
    // A server that keeps connections needs one.
    assert!(if ranges { tcp.opened.get() == 1 } else { tcp.opened.get() == OFFSETS.len() });
    if names {
        // By `If-Range`: the server sends the other version at once, from its start and over the same connection.
        let other = image(FILE, 2);
        peer.put("app.bin", &other);
        let opened = tcp.opened.get() + usize::from(!ranges);
        let (meta, bytes) = read_all(&mut known, 4_096).unwrap();
        assert_eq!((meta.size, meta.start, tcp.opened.get()), (Some(FILE as u32), 0, opened));
        assert!(meta.tag != whole.tag && bytes == other);
    }
    assert_eq!(fault(&format!("http://127.0.0.1:{port}/none.bin")), Fault::Status { code: 404, retry_after: 0 });
}

/// From the end on, and from behind it: what is given begins where the answer says.
fn from_its_end((peer, port): &(Peer, u16), end: u32) {
    let file = image(5_000, 1);
    peer.put("app.bin", &file);
    let url = format!("http://127.0.0.1:{port}/app.bin");
    for (from, start) in [(5_000, end), (7_777, 0)] {
        let (meta, bytes) = fetch(&url, from).unwrap();
        assert_eq!((meta.start, meta.size), (start, Some(5_000)), "{from}");
        assert!(bytes == file[start as usize..]);
    }
}

#[test]
fn files_and_their_rests_come_from_caddy() {
    let Some(caddy) = caddy() else { return };
    files_and_their_rests(&caddy, true, true);
    from_its_end(&caddy, 5_000);
}

#[test]
fn r24_a_file_that_is_replaced_at_caddy_is_never_mixed() {
    let Some((peer, port)) = caddy() else { return };
    let way = Web::new(&peer, port, "app.bin");
    replaced(&way, Names::Version, false, &[1, 20_480, 50_001]);
    resumed(&way, Names::Version, false, true);
}

#[test]
fn files_and_their_rests_come_from_lighttpd() {
    let Some(plain) = lighttpd("") else { return };
    files_and_their_rests(&plain, true, false);
    // Its 416 doesn't say how long the file is.
    from_its_end(&plain, 0);
    let typed = lighttpd(TYPES).unwrap();
    files_and_their_rests(&typed, true, true);
    from_its_end(&typed, 0);
}

#[test]
fn r24_a_file_that_is_replaced_at_lighttpd_is_never_mixed() {
    let Some((peer, port)) = lighttpd("") else { return };
    let way = Web::new(&peer, port, "app.bin");
    replaced(&way, Names::NoVersion, false, &[1, 20_480, 50_001]);
    // In doubt the download starts over, and a digest leaves no doubt.
    resumed(&way, Names::NoVersion, false, false);
    resumed(&way, Names::NoVersion, true, true);
    let (peer, port) = lighttpd(TYPES).unwrap();
    let way = Web::new(&peer, port, "app.bin");
    replaced(&way, Names::Version, false, &[1, 20_480, 50_001]);
    resumed(&way, Names::Version, false, true);
}

#[test]
fn r24_files_come_from_a_server_without_ranges() {
    let Some(python) = python() else { return };
    files_and_their_rests(&python, false, true);
    from_its_end(&python, 0);
}

#[test]
fn r24_a_file_that_is_replaced_at_a_server_without_ranges_is_never_mixed() {
    let Some((peer, port)) = python() else { return };
    let way = Web::new(&peer, port, "app.bin");
    replaced(&way, Names::Version, false, &[1, 20_480, 50_001]);
    resumed(&way, Names::Version, true, false);
}

/// A `Last-Modified` of the answer's own second names no version: the file may change once more in it.
struct Fresh<'p>(Web<'p>, &'p Peer);

impl<'p> Way for Fresh<'p> {
    type Source<'a>
        = <Web<'p> as Way>::Source<'a>
    where
        Self: 'a;

    fn source<'a>(&'a self, buf: &'a mut [u8]) -> Self::Source<'a> {
        self.0.source(buf)
    }

    fn cut(&self) {
        self.0.cut();
    }

    fn put(&self, bytes: &[u8]) {
        self.1.put_at("app.bin", bytes, SystemTime::now());
    }
}

#[test]
fn r24_files_that_are_replaced_within_a_second_are_not_mixed_by_their_date() {
    let Some((peer, port)) = python() else { return };
    let way = Fresh(Web::new(&peer, port, "app.bin"), &peer);
    for _ in 0..3 {
        let millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_millis();
        // All of it in one second.
        std::thread::sleep(Duration::from_millis(u64::from(1_010 - millis)));
        way.put(&image(LEN, 1));
        let (first, _) = fetch(&format!("http://127.0.0.1:{port}/app.bin"), 0).unwrap();
        assert_eq!(first.tag, 0);
        replaced(&way, Names::NoVersion, false, &[20_480]);
    }
}
