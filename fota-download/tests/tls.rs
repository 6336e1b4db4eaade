//! `https`, and connections that can't receive long TLS records.
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
use dfu_target::{Begun, Digest, ImageId, Request};
use embedded_io_async::ErrorKind as IoError;
use fota_download::http::{Error, Fault, UrlError};
use fota_download::source::{Error as _, Retry};
use fota_download::{Backoff, DownloadError, Http, Source, download};
use support::{Answer, Clock, Ram, RamError, Server, Then, block_on, fetch, field, image, serve};

const URL: &str = "https://fw.example/app.bin";
/// The longest record of the nRF91's modem.
const NRF91: usize = 2303;

/// A server whose heads are longer by so much.
fn serving(file: &[u8], longer: usize) -> Server {
    let file = file.to_vec();
    let more = format!("\r\nX: {}\r\n", "x".repeat(longer));
    Server::new(move |request| {
        let mut answer = serve(request, &file, "\"v1\"");
        let at = answer.bytes.windows(2).position(|end| end == b"\r\n").unwrap();
        answer.bytes.splice(at..at + 2, more.bytes());
        answer
    })
}

type Outcome = Result<(), DownloadError<Error<IoError>, RamError>>;

/// A download from the start: how it ends, the pauses, what is stored.
fn run(server: &Server, url: &str, limit: Option<u16>, request: Request) -> (Outcome, Vec<u32>, Vec<u8>) {
    let (mut target, mut clock) = (Ram::default(), Clock::default());
    let mut update = Update::new(&mut target, NoProgress, request);
    let Ok(Begun::Receiving(mut session)) = block_on(update.begin()) else { panic!("nothing is stored") };
    let (mut header, mut buf) = ([0; 2_048], [0; 256]);
    let mut source = Http::new(server, url, &mut header).unwrap();
    if let Some(limit) = limit {
        source = source.record_limit(limit);
    }
    let outcome = block_on(download(&mut source, &mut session, Backoff::new(), &mut clock, &mut buf, |_| {
        ControlFlow::Continue(())
    }));
    (outcome, clock.0, target.bytes)
}

fn request() -> Request {
    Request::new(ImageId::named("app"))
}

fn ranges(server: &Server) -> Vec<Option<String>> {
    server.requests.borrow().iter().map(|request| field(request, "Range").map(String::from)).collect()
}

fn redirect(location: &str) -> Answer {
    let bytes = format!("HTTP/1.1 301 M\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into();
    Answer { bytes, then: Then::Keep }
}

fn ok() -> Answer {
    Answer { bytes: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab".into(), then: Then::Keep }
}

#[test]
fn the_connector_is_told_of_tls_and_its_port() {
    for (url, port, tls) in [
        ("https://fw.example/x", 443, true),
        ("HTTPS://fw.example:8443/x", 8443, true),
        ("https://fw.example:80", 80, true),
        ("http://fw.example/x", 80, false),
        ("http://fw.example:443/x", 443, false),
    ] {
        let server = Server::script([ok()]);
        assert_eq!(fetch(&mut Http::new(&server, url, &mut [0; 700]).unwrap(), 0).1, b"ab");
        assert_eq!(*server.connections.borrow(), [("fw.example".into(), port)], "{url}");
        assert_eq!(*server.secure.borrow(), [tls], "{url}");
        assert_eq!(field(&server.request(0), "Range"), None);
    }
}

#[test]
fn redirects_lead_into_tls_and_never_out_of_it() {
    let server = Server::script([redirect("https://b.example/x"), redirect("/y"), redirect("//c.example/z"), ok()]);
    assert_eq!(fetch(&mut Http::new(&server, "http://a.example/", &mut [0; 700]).unwrap(), 0).1, b"ab");
    assert_eq!(*server.secure.borrow(), [false, true, true, true]);
    let ports: Vec<_> = server.connections.borrow().iter().map(|(_, port)| *port).collect();
    assert_eq!(ports, [80, 443, 443, 443]);

    for hops in [&["http://fw.example/x"][..], &["/x", "http://fw.example:443/x"], &["HTTP://b.example"]] {
        let server = Server::script(hops.iter().map(|hop| redirect(hop)));
        let (outcome, _) = fetch(&mut Http::new(&server, URL, &mut [0; 700]).unwrap(), 0);
        assert_eq!(outcome, Err(Error::Answer(Fault::Redirect(UrlError::Downgrade))));
        assert!(server.secure.borrow().iter().all(|tls| *tls));
    }
}

#[test]
fn what_is_wrong_with_tls_is_told_from_what_is_wrong_with_the_network() {
    for (error, expected, retry) in [
        (IoError::InvalidData, Error::Tls(IoError::InvalidData), Retry::Never),
        (IoError::TimedOut, Error::Connection(IoError::TimedOut), Retry::Later),
    ] {
        let server = Server::script([ok()]);
        server.down.set(1);
        server.refuses.set(error);
        let (outcome, _) = fetch(&mut Http::new(&server, URL, &mut [0; 700]).unwrap(), 0);
        assert_eq!(outcome, Err(expected));
        assert_eq!(outcome.unwrap_err().retry(), retry);
        assert_eq!(server.connections.borrow().len(), 1);
    }
}

#[test]
fn r25_without_a_limit_all_of_it_is_asked_for_at_once() {
    let file = image(9_000, 1);
    for url in [URL, "http://fw.example/app.bin"] {
        let server = serving(&file, 0);
        let (outcome, pauses, stored) = run(&server, url, None, request());
        assert_eq!((outcome, pauses, ranges(&server)), (Ok(()), vec![], vec![None]));
        assert!(stored == file);
    }
    // A limit of TLS is none of plain TCP.
    let server = serving(&file, 0);
    assert_eq!(run(&server, "http://fw.example/app.bin", Some(2303), request()).0, Ok(()));
    assert_eq!(ranges(&server), [None]);
}

#[test]
fn r25_a_limit_is_found_and_kept_to_and_nothing_is_lost() {
    let file = image(40_000, 1);
    for (limit, longer) in
        [(NRF91, 0), (NRF91, 300), (NRF91, 800), (NRF91, 1_500), (1_500, 0), (1_024, 200), (600, 100)]
    {
        let server = serving(&file, longer);
        server.record.set(limit);
        let (outcome, pauses, stored) = run(&server, URL, None, request());
        assert_eq!((outcome, pauses), (Ok(()), vec![]), "{limit} {longer}");
        assert!(stored == file);
        let records = server.records.borrow();
        let failed = records.iter().filter(|record| **record > limit).count();
        assert!(failed <= 6, "{limit} {longer}: {records:?}");
        // Once a stretch came, none after it is too long; and one connection serves them all.
        assert!(records[failed..].iter().all(|record| *record <= limit), "{limit} {longer} {records:?}");
        assert_eq!(server.connections.borrow().len(), failed + 1);
        if longer < 1_000 && limit == NRF91 {
            // What is sent is what fits, but for the room that heads may grow by.
            assert!(records[failed + 1] > limit * 3 / 4, "{limit} {longer}: {records:?}");
        }
    }
}

#[test]
fn r25_a_limit_that_is_known_costs_no_connection() {
    let file = image(40_000, 1);
    for (limit, longer) in [(NRF91, 0), (NRF91, 500), (1_024, 100), (512, 0), (16_000, 1_000)] {
        let server = serving(&file, longer);
        server.record.set(limit);
        let (outcome, pauses, stored) = run(&server, URL, Some(limit as u16), request());
        assert_eq!((outcome, pauses, server.connections.borrow().len()), (Ok(()), vec![], 1), "{limit} {longer}");
        assert!(stored == file);
        let records = server.records.borrow();
        let longest = *records.iter().max().unwrap();
        assert!(longest <= limit && longest + 60 > limit, "{longest} of {limit}");
        assert!(field(&server.request(0), "Range").unwrap().starts_with("bytes=0-"));
    }
}

#[test]
fn r25_a_limit_that_shows_amid_a_body_costs_a_pause_and_no_byte() {
    // The head comes by itself, and so does each stretch of 4,000 bytes, if that much was asked for.
    let file = image(20_000, 1);
    let body = file.clone();
    let mut nth = 0;
    let server = Server::new(move |request| {
        nth += 1;
        let answer = serve(request, &body, "\"v1\"");
        // All of it was asked for: some came, and then a record that is too long.
        if nth == 1 { Answer { bytes: answer.bytes[..2_000].to_vec(), then: Then::TooBig } } else { answer }
    });
    server.record.set(NRF91);
    let (outcome, pauses, stored) = run(&server, URL, None, request());
    assert_eq!((outcome, pauses), (Ok(()), vec![1_000]));
    assert!(stored == file);
    let ranges = ranges(&server);
    assert_eq!(ranges[0], None);
    let from: usize = ranges[1].as_ref().unwrap()[6..].split('-').next().unwrap().parse().unwrap();
    assert!(from > 1_500, "{ranges:?}");
    assert_eq!(server.connections.borrow().len(), 2, "{ranges:?} {:?}", server.records.borrow());
}

#[test]
fn r25_a_server_that_gives_more_than_was_asked_for_is_served_or_named() {
    let file = image(9_000, 1);
    // Without ranges, but in short records: they all can be received.
    let body = file.clone();
    let server = Server::new(move |_| serve("", &body, "\"v1\""));
    server.sends.set(1_000);
    server.record.set(NRF91);
    let (outcome, _, stored) = run(&server, URL, Some(2303), request());
    assert_eq!((outcome, server.requests.borrow().len()), (Ok(()), 1));
    assert!(stored == file);

    // The whole rest instead of a stretch of it.
    let body = file.clone();
    let server = Server::new(move |request| {
        let open = request
            .split_once("Range: bytes=")
            .map(|(before, range)| format!("{before}Range: bytes={}-\r\n", range.split('-').next().unwrap()));
        serve(&open.unwrap(), &body, "\"v1\"")
    });
    server.sends.set(1_000);
    let (outcome, _, stored) = run(&server, URL, Some(2303), request());
    assert!(outcome.is_err() || stored == file);
    assert_eq!((outcome, server.requests.borrow().len()), (Ok(()), 1));

    // In long records: the head comes, then one that can't be received. Asking for less can't help.
    let body = file.clone();
    let server = Server::new(move |_| {
        let mut answer = serve("", &body, "\"v1\"");
        answer.bytes.truncate(500);
        Answer { then: Then::TooBig, ..answer }
    });
    let (outcome, _, _) = run(&server, URL, Some(2303), request());
    assert_eq!(outcome, Err(DownloadError::Source(Error::Record(IoError::OutOfMemory))));
    assert!(server.connections.borrow().len() <= 2);

    // Not even the head comes.
    let body = file.clone();
    let server = Server::new(move |_| serve("", &body, "\"v1\""));
    server.record.set(NRF91);
    let (outcome, pauses, stored) = run(&server, URL, None, request());
    assert_eq!(outcome, Err(DownloadError::Source(Error::Record(IoError::OutOfMemory))));
    assert!(pauses.is_empty() && stored.is_empty());
    assert!(server.connections.borrow().len() <= 8);
}

#[test]
fn r25_a_page_that_is_longer_than_a_record_is_waited_out_and_shortens_nothing_for_good() {
    // The status can't be seen: it is in the record that can't be received.
    let file = image(40_000, 1);
    for (limit, sent, longer) in [(Some(2_303), NRF91, 0), (None, NRF91, 300), (None, 1_500, 300)] {
        for pages in [1, 3, 8, usize::MAX] {
            let body = file.clone();
            let mut nth = 0;
            let more = format!("\r\nX: {}\r\n", "x".repeat(longer));
            let server = Server::new(move |request| {
                nth += 1;
                if (10..10_usize.saturating_add(pages)).contains(&nth) {
                    let page = "x".repeat(6_000);
                    let head = "HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nContent-Length: 6000";
                    return Answer { bytes: format!("{head}\r\n\r\n{page}").into(), then: Then::Keep };
                }
                let mut answer = serve(request, &body, "\"v1\"");
                let at = answer.bytes.windows(2).position(|end| end == b"\r\n").unwrap();
                answer.bytes.splice(at..at + 2, more.bytes());
                answer
            });
            server.record.set(sent);
            let (outcome, pauses, stored) = run(&server, URL, limit, request());
            assert_eq!(pauses[..], [1, 2, 4, 8, 16, 32, 64, 128].map(|s| s * 1_000)[..pages.min(8)], "{pages}");
            if pages > 8 {
                let error = Error::Connection(IoError::OutOfMemory);
                assert_eq!((outcome, error.retry()), (Err(DownloadError::Source(error)), Retry::Later));
                continue;
            }
            assert_eq!(outcome, Ok(()));
            assert!(stored == file);
            // The second stretch behind the pages is as long as the last one before them, but for what heads may grow by.
            let records = server.records.borrow();
            let page = records.iter().rposition(|record| *record > 6_000).unwrap();
            let before = records.iter().position(|record| *record > 6_000 && *record < 7_000).unwrap() - 1;
            assert!(records[page + 2] + 30 > records[before], "{pages}: {records:?}");
            assert!(records[page + 1..].iter().all(|record| *record <= sent), "{pages}: {records:?}");
        }
    }
}

#[test]
fn r25_a_head_that_grows_beyond_a_record_costs_a_pause() {
    let file = image(40_000, 1);
    let body = file.clone();
    let mut nth = 0;
    let server = Server::new(move |request| {
        nth += 1;
        let mut answer = serve(request, &body, "\"v1\"");
        let at = answer.bytes.windows(2).position(|end| end == b"\r\n").unwrap();
        let more = format!("\r\nX: {}\r\n", "x".repeat(if nth < 5 { 10 } else { 200 }));
        answer.bytes.splice(at..at + 2, more.bytes());
        answer
    });
    server.record.set(NRF91);
    let (outcome, pauses, stored) = run(&server, URL, Some(2_303), request());
    assert_eq!((outcome, pauses), (Ok(()), vec![1_000]));
    assert!(stored == file);
    let records = server.records.borrow();
    assert!(records[4] > NRF91 && records[5] < NRF91 && records[6] + 60 > NRF91, "{records:?}");
}

#[test]
fn a_handshake_that_cannot_be_received_is_named_at_once() {
    let server = Server::script([]);
    server.down.set(usize::MAX);
    server.refuses.set(IoError::OutOfMemory);
    for limit in [None, Some(2_303)] {
        let (outcome, pauses, _) = run(&server, URL, limit, request());
        assert_eq!(outcome, Err(DownloadError::Source(Error::Record(IoError::OutOfMemory))));
        assert_eq!((pauses, server.connections.take().len()), (vec![], 1));
    }
}

#[test]
fn r25_a_limit_that_makes_no_sense_is_the_least_that_tls_has() {
    let file = image(9_000, 1);
    for limit in [0, 1, 511] {
        let server = serving(&file, 0);
        server.record.set(512);
        let (outcome, _, stored) = run(&server, URL, Some(limit), request());
        assert_eq!((outcome, server.connections.borrow().len()), (Ok(()), 1), "{limit}");
        assert!(stored == file && server.requests.borrow().len() < 30);
    }
}

#[test]
fn a_record_that_is_too_long_without_tls_is_an_error_of_the_connector() {
    let server = Server::new(|_| Answer { bytes: Vec::new(), then: Then::TooBig });
    let (outcome, _) = fetch(&mut Http::new(&server, "http://a.example/", &mut [0; 700]).unwrap(), 0);
    assert_eq!(outcome, Err(Error::Record(IoError::OutOfMemory)));
}

#[test]
fn r25_a_file_that_changes_between_stretches_starts_over() {
    let files = [image(9_000, 1), image(9_000, 2)];
    let served = files.clone();
    let mut nth = 0;
    let server = Server::new(move |request| {
        nth += 1;
        let second = nth > 3;
        serve(request, &served[usize::from(second)], if second { "\"v2\"" } else { "\"v1\"" })
    });
    server.record.set(NRF91);
    let (outcome, _, stored) = run(&server, URL, Some(2303), request());
    assert_eq!(outcome, Ok(()));
    assert!(stored == files[1]);
    assert!(server.records.borrow().iter().all(|record| *record <= NRF91));
    assert!(server.requests.borrow().iter().all(|request| field(request, "If-Range").is_none()));
}

#[test]
fn a_file_whose_versions_have_no_names_comes_in_stretches_where_its_digest_is_known() {
    let file = image(9_000, 1);
    let serving = |file: &[u8]| {
        let file = file.to_vec();
        let server = Server::new(move |request| {
            let mut answer = serve(request, &file, "\"v1\"");
            let text = b"ETag: \"v1\"\r\n";
            let at = answer.bytes.windows(text.len()).position(|field| field == text).unwrap();
            answer.bytes.drain(at..at + text.len());
            answer
        });
        server.record.set(NRF91);
        server
    };
    let (outcome, _, stored) = run(&serving(&file), URL, Some(2303), Request::of(Digest([1; 32])));
    assert_eq!(outcome, Ok(()));
    assert!(stored == file);
    // Nobody could tell whether the stretches are of one file.
    assert_eq!(run(&serving(&file), URL, Some(2303), request()).0, Err(DownloadError::Unsettled));
}

#[test]
fn an_empty_file_and_the_end_of_one_are_seen_in_stretches_too() {
    let server = Server::new(|request| serve(request, b"", "\"v1\""));
    let mut buf = [0; 700];
    let mut source = Http::new(&server, URL, &mut buf).unwrap().record_limit(2303);
    let (meta, bytes) = fetch(&mut source, 0);
    assert_eq!((meta.unwrap().size, bytes.len()), (Some(0), 0));

    let file = image(500, 1);
    let server = serving(&file, 0);
    let mut buf = [0; 700];
    let mut source = Http::new(&server, URL, &mut buf).unwrap().record_limit(2303);
    assert_eq!(fetch(&mut source, 500).0.unwrap().start, 500);
    let (meta, bytes) = fetch(&mut source, 600);
    assert_eq!((meta.unwrap().start, bytes), (0, file));
    // A server that refuses ranges from 0 without saying why does so for good.
    let server = Server::new(|_| Answer::from("HTTP/1.1 416 R\r\n\r\n"));
    let mut source = Http::new(&server, URL, &mut buf).unwrap().record_limit(2303);
    assert_eq!(block_on(source.open(9)), Err(Error::Answer(Fault::Status { code: 416, retry_after: 0 })));
}

#[test]
fn stretches_come_from_where_a_redirect_led_over_one_connection() {
    let file = image(20_000, 1);
    let body = file.clone();
    let server = Server::new(move |request| match field(request, "Host") {
        Some("fw.example") => redirect("https://cdn.example/signed?x=1"),
        _ => serve(request, &body, "\"v1\""),
    });
    server.record.set(NRF91);
    let (outcome, _, stored) = run(&server, URL, Some(2303), request());
    assert_eq!(outcome, Ok(()));
    assert!(stored == file);
    assert_eq!(server.connections.borrow().len(), 2);
    assert!(server.requests.borrow().len() > 10);
}
