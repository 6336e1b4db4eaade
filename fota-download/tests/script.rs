//! Servers that get it wrong, each at every place: the file is bit for bit the right one, or there is an error with a
//! name, and no byte beyond the announced size is stored.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

mod support;

use std::ops::ControlFlow;

use dfu_target::progress::NoProgress;
use dfu_target::session::Update;
use dfu_target::{Begun, ImageId, Request};
use embedded_io_async::ErrorKind as IoError;
use fota_download::http::{Error, Fault};
use fota_download::{Backoff, DownloadError, Http, download};
use support::{Answer, Clock, Ram, RamError, Server, Then, block_on, field, image, serve};

const SIZE: usize = 700;

type Outcome = Result<(), DownloadError<Error<IoError>, RamError>>;

/// What a server does at its nth request.
type Script = fn(usize, &str, &[u8]) -> Answer;

/// Downloads over connections that give so many bytes at once; the server sends so many bytes of its first answer.
fn run(script: Script, url: &str, piece: usize, cut: usize, then: Then, size: Option<u32>) -> (Outcome, Vec<u8>) {
    let file = image(SIZE, 1);
    let mut nth = 0;
    let server = Server::new(move |request| {
        nth += 1;
        let mut answer = script(nth, request, &file);
        if nth == 1 && cut < answer.bytes.len() {
            answer.bytes.truncate(cut);
            answer.then = then;
        }
        answer
    });
    server.piece.set(piece);
    server.record.set(1_100);
    let mut target = Ram::default();
    let mut request = Request::new(ImageId::named("app"));
    if let Some(size) = size {
        request = request.size(size);
    }
    let mut update = Update::new(&mut target, NoProgress, request);
    let Ok(Begun::Receiving(mut session)) = block_on(update.begin()) else { panic!("nothing is stored") };
    let (mut header, mut buf) = ([0; 800], [0; 128]);
    let mut source = Http::new(&server, url, &mut header).unwrap();
    let outcome =
        block_on(download(&mut source, &mut session, Backoff::new(), &mut Clock::default(), &mut buf, |report| {
            assert!(report.offset as usize <= SIZE);
            ControlFlow::Continue(())
        }));
    (outcome, target.bytes)
}

fn answer(head: &str, body: &[u8], then: Then) -> Answer {
    Answer { bytes: [format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat(), then }
}

fn from(request: &str) -> Option<usize> {
    field(request, "Range")?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
}

fn chunked(head: &str, body: &[u8], size: usize) -> Answer {
    let mut all = Vec::new();
    for chunk in body.chunks(size) {
        all.extend(format!("{:x}\r\n", chunk.len()).bytes());
        all.extend(chunk);
        all.extend(b"\r\n");
    }
    all.extend(b"0\r\n\r\n");
    answer(&format!("{head}\r\nTransfer-Encoding: chunked"), &all, Then::Keep)
}

/// With each: whether the file comes in the end, whatever is cut.
const SCRIPTS: [(&str, bool, Script); 20] = [
    ("a good one", true, |_, request, file| serve(request, file, "\"v1\"")),
    ("200 for a range", true, |_, _, file| serve("", file, "\"v1\"")),
    ("closes after each answer", true, |_, request, file| Answer {
        then: Then::Close,
        ..serve(request, file, "\"v1\"")
    }),
    ("no validator", true, |_, request, file| match from(request) {
        None => answer(&format!("200 OK\r\nContent-Length: {}", file.len()), file, Then::Keep),
        Some(from) => {
            answer(&format!("206 P\r\nContent-Range: bytes {from}-{}/{}", SIZE - 1, SIZE), &file[from..], Then::Keep)
        }
    }),
    ("the wrong range", false, |_, request, file| match from(request) {
        None => serve(request, file, "\"v1\""),
        Some(_) => answer("206 P\r\nETag: \"v1\"\r\nContent-Range: bytes 10-699/700", &file[10..], Then::Keep),
    }),
    ("a range that is no range", false, |_, request, file| match from(request) {
        None => serve(request, file, "\"v1\""),
        Some(_) => answer("206 P\r\nETag: \"v1\"\r\nContent-Length: 700", file, Then::Keep),
    }),
    ("another length of the whole with the range", true, |nth, request, file| match from(request) {
        Some(from) if nth == 2 => {
            answer(&format!("206 P\r\nETag: \"v1\"\r\nContent-Range: bytes {from}-699/800"), &file[from..], Then::Keep)
        }
        _ => serve(request, file, "\"v1\""),
    }),
    ("416 wherever", false, |_, request, file| match from(request) {
        None => serve(request, file, "\"v1\""),
        Some(_) => answer("416 R\r\nContent-Length: 0", b"", Then::Keep),
    }),
    ("no length", false, |_, _, file| answer("200 OK\r\nETag: \"v1\"", file, Then::Close)),
    ("chunks", false, |_, _, file| chunked("200 OK\r\nETag: \"v1\"", file, 33)),
    ("ranges in chunks", true, |_, request, file| match from(request) {
        None => serve(request, file, "\"v1\""),
        Some(from) => {
            let head = format!("206 P\r\nETag: \"v1\"\r\nContent-Range: bytes {from}-{}/{SIZE}", SIZE - 1);
            chunked(&head, &file[from..], 50)
        }
    }),
    ("longer than announced", true, |_, _, file| {
        answer("200 OK\r\nETag: \"v1\"\r\nContent-Length: 700", &[file, &[9; 5_000]].concat(), Then::Keep)
    }),
    ("shorter than announced", false, |_, _, file| {
        answer("200 OK\r\nETag: \"v1\"\r\nContent-Length: 700", &file[..500], Then::Close)
    }),
    ("longer chunks than announced", true, |_, request, file| match from(request) {
        None => serve(request, file, "\"v1\""),
        Some(from) => {
            let head = format!("206 P\r\nETag: \"v1\"\r\nContent-Range: bytes {from}-{}/{SIZE}", SIZE - 1);
            chunked(&head, &[&file[from..], &[9; 5_000]].concat(), 4_000)
        }
    }),
    ("a new version each time", false, |nth, request, _| {
        serve(request, &image(SIZE, nth as u8), &format!("\"v{nth}\""))
    }),
    ("round in circles", false, |_, _, _| answer("302 F\r\nLocation: /app.bin", b"", Then::Keep)),
    ("round in circles after a while", false, |nth, request, file| match nth {
        1 => serve(request, file, "\"v1\""),
        _ => answer("307 T\r\nLocation: ../x/./app.bin", b"", Then::Keep),
    }),
    ("a head without end", false, |_, _, _| answer(&format!("200 OK\r\n{}", "X: y\r\n".repeat(900)), b"", Then::Keep)),
    ("busy now and then", true, |nth, request, file| match nth % 2 {
        0 => answer("503 B\r\nRetry-After: 3\r\nContent-Type: text/html\r\nContent-Length: 6", b"<html>", Then::Keep),
        _ => serve(request, file, "\"v1\""),
    }),
    ("something else altogether", false, |_, _, _| Answer { bytes: vec![0x16; 900], then: Then::Keep }),
];

#[test]
fn r24_the_file_is_right_or_there_is_an_error() {
    let file = image(SIZE, 1);
    for (name, comes, script) in SCRIPTS {
        for (url, piece) in [
            ("http://fw.example/app.bin", 1),
            ("http://fw.example/app.bin", 5_000),
            ("https://fw.example/app.bin", 5_000),
        ] {
            for cut in (0..900).step_by(7).chain([usize::MAX]) {
                for then in [Then::Close, Then::Fail] {
                    let (outcome, stored) = run(script, url, piece, cut, then, None);
                    let what = format!("{name}: {url} by {piece}, cut at {cut}: {outcome:?}");
                    assert!(stored.len() <= SIZE, "{what}");
                    match outcome {
                        // A server that makes up versions may be believed in one of them.
                        Ok(()) if name == "a new version each time" => {
                            assert!((0..=255).any(|seed| stored == image(SIZE, seed)), "{what}");
                        }
                        Ok(()) => assert!(stored == file, "{what}"),
                        // What is too much comes in a record that is too long.
                        Err(DownloadError::Source(Error::Record(_))) if name.starts_with("longer") => {
                            assert!(url.starts_with("https"), "{what}");
                        }
                        Err(_) => assert!(!comes, "{what}"),
                    }
                }
            }
        }
    }
}

#[test]
fn r24_each_has_its_name() {
    let named = |name: &str| {
        let (_, _, script) = SCRIPTS.iter().find(|(known, ..)| *known == name).unwrap();
        run(*script, "http://fw.example/app.bin", 5_000, 400, Then::Fail, None).0.unwrap_err()
    };
    let answer = |fault| DownloadError::Source(Error::Answer(fault));
    assert_eq!(named("the wrong range"), answer(Fault::Range));
    assert_eq!(named("a range that is no range"), answer(Fault::Range));
    assert_eq!(named("no length"), DownloadError::NoLength);
    assert_eq!(named("chunks"), DownloadError::NoLength);
    assert_eq!(named("round in circles after a while"), answer(Fault::Redirects));
    let whole = |name: &str| {
        let (_, _, script) = SCRIPTS.iter().find(|(known, ..)| *known == name).unwrap();
        run(*script, "http://fw.example/app.bin", 5_000, usize::MAX, Then::Keep, None).0.unwrap_err()
    };
    assert_eq!(whole("a head without end"), answer(Fault::HeadTooLong));
    assert_eq!(whole("round in circles"), answer(Fault::Redirects));
    assert_eq!(whole("something else altogether"), answer(Fault::HeadTooLong));
    assert_eq!(whole("shorter than announced"), answer(Fault::Closed));
}

#[test]
fn a_file_in_chunks_comes_where_the_request_names_its_size() {
    let file = image(SIZE, 1);
    let (_, _, script) = SCRIPTS.into_iter().find(|(name, ..)| *name == "chunks").unwrap();
    for cut in (0..1_000).chain([usize::MAX]) {
        let (outcome, stored) = run(script, "http://fw.example/app.bin", 64, cut, Then::Close, Some(SIZE as u32));
        assert_eq!(outcome, Ok(()), "{cut}");
        assert!(stored == file, "{cut}");
    }
    // No byte beyond that size, and no file without all of it.
    let (outcome, stored) = run(script, "http://fw.example/app.bin", 64, usize::MAX, Then::Close, Some(650));
    assert_eq!((outcome, stored.len()), (Ok(()), 650));
    let (outcome, _) = run(script, "http://fw.example/app.bin", 64, usize::MAX, Then::Close, Some(750));
    assert_eq!(outcome, Err(DownloadError::Ended { have: 700 }));
}
