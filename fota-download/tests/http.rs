//! The HTTP source against servers that follow a script, good and bad ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

mod support;

use embedded_io_async::ErrorKind as IoError;
use fota_download::http::{Error, Fault, UrlError};
use fota_download::source::{Error as _, Retry};
use fota_download::{Http, Meta, Source};
use support::{Answer, Plain, Server, Then, block_on, fetch, field, image, poll_and_drop, serve};

const URL: &str = "http://fw.example:8080/app.bin?v=2";

fn fetch_from(server: &Server, from: u32) -> (Result<Meta, Error<IoError>>, Vec<u8>) {
    fetch(&mut Http::new(server, URL, &mut [0; 700]).unwrap(), from)
}

fn text(bytes: &str) -> Server {
    Server::script([Answer::from(bytes)])
}

/// What an answer to a request for all of the file comes to.
fn fault(bytes: &str) -> Fault {
    match fetch_from(&text(bytes), 0).0 {
        Err(Error::Answer(fault)) => fault,
        other => panic!("{bytes:?} gives {other:?}"),
    }
}

#[test]
fn r24_a_file_comes_whole_however_it_is_cut_into_pieces() {
    let file = image(2_000, 1);
    for piece in [1, 2, 3, 7, 100, 5_000] {
        let body = file.clone();
        let server = Server::new(move |request| serve(request, &body, "\"v1\""));
        server.piece.set(piece);
        let (meta, bytes) = fetch_from(&server, 0);
        assert_eq!(meta.unwrap().size, Some(2_000));
        assert_ne!(meta.unwrap().tag, 0);
        assert_eq!(bytes, file, "{piece}");
        assert_eq!(
            server.request(0),
            "GET /app.bin?v=2 HTTP/1.1\r\nAccept-Encoding: identity\r\nHost: fw.example:8080\r\n\r\n"
        );
        assert_eq!(*server.connections.borrow(), [("fw.example".into(), 8080)]);
    }
}

#[test]
fn r10_the_rest_is_asked_for_and_only_of_the_version_that_is_known() {
    let file = image(1_000, 1);
    let body = file.clone();
    let mut served = 0;
    let server = Server::new(move |request| {
        served += 1;
        serve(request, &body, if served < 3 { "\"v1\"" } else { "\"v2\"" })
    });
    let mut buf = [0; 700];
    let mut source = Http::new(&server, URL, &mut buf).unwrap();
    let (first, bytes) = fetch(&mut source, 600);
    assert_eq!((first.unwrap().start, bytes), (600, file[600..].to_vec()));
    let second = block_on(source.open(4)).unwrap();
    assert_eq!(second, Meta { start: 4, ..first.unwrap() });
    let (third, bytes) = fetch(&mut source, 999);
    assert_eq!((third.unwrap().start, bytes), (0, file));
    assert_ne!(third.unwrap().tag, second.tag);

    assert_eq!((field(&server.request(0), "Range"), field(&server.request(0), "If-Range")), (Some("bytes=600-"), None));
    assert_eq!(
        (field(&server.request(1), "Range"), field(&server.request(1), "If-Range")),
        (Some("bytes=4-"), Some("\"v1\""))
    );
    assert_eq!(field(&server.request(2), "If-Range"), Some("\"v1\""));
}

#[test]
fn r10_only_what_names_a_version_to_the_byte_is_kept() {
    let date = "Date: Fri, 20 Nov 2026 10:00:00 GMT\r\n";
    let old = "Last-Modified: Thu, 19 Nov 2026 10:00:00 GMT\r\n";
    let new = "Last-Modified: Fri, 20 Nov 2026 10:00:00 GMT\r\n";
    let long = format!("ETag: \"{}\"\r\n", "x".repeat(80));
    for (fields, sent, tagged) in [
        (format!("{date}etag: \"abc\"\r\n{old}"), Some("\"abc\""), true),
        (format!("{date}ETag: W/\"abc\"\r\n{old}"), Some("Thu, 19 Nov 2026 10:00:00 GMT"), true),
        // It may have changed twice in that second.
        (format!("{date}{new}"), None, false),
        // Nor is it known when it was asked for.
        (old.into(), None, false),
        (format!("{date}ETag: W/\"abc\"\r\n"), None, false),
        (date.into(), None, false),
        // Too long to be sent back; the answer's own is compared.
        (long, None, true),
    ] {
        let ok = |head: &str| Answer {
            bytes: format!("HTTP/1.1 {head}\r\n{fields}Content-Length: 2\r\n\r\nab").into(),
            then: Then::Keep,
        };
        let server = Server::script([ok("200 OK"), ok("206 Partial Content\r\nContent-Range: bytes 2-3/4")]);
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap();
        let first = fetch(&mut source, 0).0.unwrap();
        let second = fetch(&mut source, 2).0.unwrap();
        assert_eq!(field(&server.request(1), "If-Range"), sent, "{fields}");
        assert_eq!((first.tag != 0, second.tag == first.tag), (tagged, true), "{fields}");
    }
}

#[test]
fn r10_an_answer_to_if_range_repeats_the_tag_and_need_not_repeat_the_date() {
    let long = format!("ETag: \"{}\"\r\n", "x".repeat(80));
    let date = "Date: Fri, 20 Nov 2026 10:00:00 GMT\r\nLast-Modified: Thu, 19 Nov 2026 10:00:00 GMT\r\n";
    let weak = format!("{date}ETag: W/\"a\"\r\n");
    // What the whole answer names, what the range does, and whether that is the same version for all that is known.
    for (first, second, same) in [
        (date, "", true),
        (date, date, true),
        (&weak, "ETag: W/\"a\"\r\n", true),
        (&weak, &weak, true),
        ("ETag: \"a\"\r\n", "ETag: \"a\"\r\n", true),
        ("ETag: \"a\"\r\n", "", false),
        // A name too long to be sent back is compared with nothing.
        (&long, "", false),
        ("", "", false),
    ] {
        let server = Server::script([
            Answer {
                bytes: format!("HTTP/1.1 200 OK\r\n{first}Content-Length: 4\r\n\r\nabcd").into(),
                then: Then::Keep,
            },
            Answer::from(&*format!("HTTP/1.1 206 P\r\n{second}Content-Range: bytes 2-3/4\r\n\r\ncd")),
        ]);
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap();
        let tags = [0, 2].map(|from| fetch(&mut source, from).0.unwrap().tag);
        assert_eq!((tags[0] != 0, tags[1] != 0), (!first.is_empty(), same), "{first} {second}");
        assert!(!same || tags[0] == tags[1], "{first} {second}");
    }
    // One that says there is no more need not repeat either.
    for first in ["ETag: \"a\"\r\n", &weak] {
        let server = Server::script([
            Answer {
                bytes: format!("HTTP/1.1 200 OK\r\n{first}Content-Length: 4\r\n\r\nabcd").into(),
                then: Then::Keep,
            },
            Answer::from("HTTP/1.1 416 R\r\nContent-Range: bytes */4\r\n\r\n"),
        ]);
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap();
        let [first, end] = [0, 4].map(|from| fetch(&mut source, from).0.unwrap());
        assert_eq!((end.start, end.tag), (4, first.tag));
    }
}

#[test]
fn r10_files_of_the_same_second_are_told_apart_by_a_weak_tag() {
    let date = "Date: Fri, 20 Nov 2026 10:00:00 GMT\r\nLast-Modified: Thu, 19 Nov 2026 10:00:00 GMT\r\n";
    let server = Server::script([
        Answer::from(&*format!("HTTP/1.1 200 OK\r\n{date}ETag: W/\"a\"\r\nContent-Length: 4\r\n\r\nabcd")),
        Answer::from(&*format!("HTTP/1.1 206 P\r\n{date}ETag: W/\"b\"\r\nContent-Range: bytes 2-3/4\r\n\r\ngh")),
        Answer::from(&*format!("HTTP/1.1 200 OK\r\n{date}ETag: W/\"b\"\r\nContent-Length: 4\r\n\r\nefgh")),
    ]);
    let mut buf = [0; 700];
    let mut source = Http::new(&server, URL, &mut buf).unwrap();
    let first = fetch(&mut source, 0).0.unwrap();
    let (second, bytes) = fetch(&mut source, 2);
    assert_eq!((second.unwrap().start, &bytes[..]), (0, &b"efgh"[..]));
    assert_ne!(second.unwrap().tag, first.tag);
}

#[test]
fn r24_a_server_without_ranges_sends_it_all() {
    let server = text("HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nabcdef");
    let (meta, bytes) = fetch_from(&server, 4);
    assert_eq!(meta, Ok(Meta { size: Some(6), tag: 0, start: 0 }));
    assert_eq!(bytes, b"abcdef");
}

#[test]
fn r24_a_416_at_the_end_is_the_end_and_elsewhere_a_new_start() {
    let end = text("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */6\r\nContent-Length: 3\r\n\r\nno!");
    assert_eq!(fetch_from(&end, 6), (Ok(Meta { size: Some(6), tag: 0, start: 6 }), vec![]));

    // Another length; and as lighttpd does it, without any.
    for range in ["Content-Range: bytes */4\r\n", ""] {
        let server = Server::script([
            Answer::from(&*format!("HTTP/1.1 416 Range Not Satisfiable\r\n{range}Content-Length: 0\r\n\r\n")),
            Answer::from("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"),
        ]);
        let (meta, bytes) = fetch_from(&server, 6);
        assert_eq!((meta.unwrap().start, bytes), (0, b"abcd".to_vec()));
        assert_eq!(field(&server.request(1), "Range"), None);
    }
    assert_eq!(fault("HTTP/1.1 416 Range Not Satisfiable\r\n\r\n"), Fault::Status { code: 416, retry_after: 0 });
}

#[test]
fn r24_bad_answers_have_names() {
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X-Y: z\r\n".repeat(500));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
    for (answer, expected) in [
        ("", Fault::Closed),
        ("HTTP/1.1 200 OK\r\nContent-Le", Fault::Closed),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Fault::Closed),
        ("SSH-2.0-OpenSSH_9.9\r\n", Fault::Malformed),
        ("HTTP/2 200 OK\r\n\r\n", Fault::Malformed),
        ("HTTP/1.1 2x0 OK\r\n\r\n", Fault::Malformed),
        ("HTTP/1.1 20\r\n\r\n", Fault::Malformed),
        ("HTTP/1.1 200 OK\r\nNo colon here\r\n\r\n", Fault::Malformed),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", Fault::Malformed),
        (&endless, Fault::HeadTooLong),
        (&interim, Fault::HeadTooLong),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n", Fault::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Fault::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", Fault::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nabcd", Fault::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", Fault::Length),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", Fault::Encoded),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::Encoded),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::Encoded),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4\r\nabcd\r\n", Fault::Length),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nwxyz\r\n", Fault::Malformed),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff1\r\n", Fault::Malformed),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab", Fault::Closed),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n", Fault::Closed),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n", Fault::Closed),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", Fault::Encoded),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\n\r\nabcd", Fault::Encoded),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: identity\r\n\r\nabcd", Fault::Encoded),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: identity, gzip\r\nContent-Length: 4\r\n\r\nabcd", Fault::Encoded),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity, chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", Fault::Encoded),
        ("HTTP/1.1 200 OK\r\nContent-Type: Text/html; charset=utf-8\r\nContent-Length: 6\r\n\r\n<html>", Fault::Html),
        // Nobody asked for a range.
        ("HTTP/1.1 206 P\r\nContent-Range: bytes 0-3/4\r\nContent-Length: 4\r\n\r\nabcd", Fault::Range),
        ("HTTP/1.1 204 No Content\r\n\r\n", Fault::Status { code: 204, retry_after: 0 }),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", Fault::Status { code: 304, retry_after: 0 }),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<html>",
            Fault::Status { code: 404, retry_after: 0 },
        ),
        ("HTTP/1.1 500 Oops\r\n\r\n", Fault::Status { code: 500, retry_after: 0 }),
        ("HTTP/1.1 503 Busy\r\nRetry-After: 120\r\n\r\n", Fault::Status { code: 503, retry_after: 120 }),
        (
            "HTTP/1.1 503 Busy\r\nRetry-After: Fri, 20 Nov 2026 10:00:00 GMT\r\n\r\n",
            Fault::Status { code: 503, retry_after: 0 },
        ),
        ("HTTP/1.1 302 Found\r\n\r\n", Fault::Redirect(UrlError::Scheme)),
        ("HTTP/1.1 302 Found\r\nLocation: ftp://fw.example/x\r\n\r\n", Fault::Redirect(UrlError::Scheme)),
        ("HTTP/1.1 302 Found\r\nLocation: http:///x\r\n\r\n", Fault::Redirect(UrlError::Host)),
        ("HTTP/1.1 302 Found\r\nLocation: /a b\r\n\r\n", Fault::Redirect(UrlError::Character)),
    ] {
        assert_eq!(fault(answer), expected, "{answer}");
    }
}

#[test]
fn heads_may_have_any_number_of_fields_and_spaces_around_values() {
    let fields = "A: b\r\nX-Empty:\r\n".repeat(40);
    let server = text(&format!(
        "HTTP/1.1 200 OK\r\n{fields}Content-Length:\t 4 \t\r\ncontent-length:4\r\nETag:\"v\" \n\r\nabcd"
    ));
    let mut buf = [0; 1200];
    let (meta, bytes) = fetch(&mut Http::new(&server, URL, &mut buf).unwrap(), 0);
    assert_eq!((meta.map(|meta| (meta.size, meta.tag != 0)), bytes), (Ok((Some(4), true)), b"abcd".to_vec()));
}

#[test]
fn r24_a_range_must_be_the_one_that_was_asked_for() {
    for (range, length, good) in [
        ("bytes 4-5/6", "2", true),
        ("bytes 4-5/*", "2", true),
        ("bytes 4-4/6", "1", true),
        ("bytes 3-5/6", "3", false),
        ("bytes 5-5/6", "1", false),
        ("bytes 4-5/5", "2", false),
        ("bytes 4-3/6", "0", false),
        ("bytes 4-5/6", "3", false),
        ("bytes */6", "2", false),
        ("bytes 4-5", "2", false),
        ("bytes 4-4294967295/*", "2", false),
        ("bytes 4-4294967296/6", "2", false),
        ("items 4-5/6", "2", false),
        ("bytes 4-5/6x", "2", false),
        ("", "2", false),
    ] {
        let server = text(&format!("HTTP/1.1 206 P\r\nContent-Range: {range}\r\nContent-Length: {length}\r\n\r\nef"));
        let (meta, _) = fetch_from(&server, 4);
        assert_eq!(meta.is_ok(), good, "{range}: {meta:?}");
        if !good {
            assert_eq!(meta, Err(Error::Answer(Fault::Range)), "{range}");
        }
    }
}

#[test]
fn r24_redirects_are_followed_up_to_a_limit_and_the_range_goes_with_them() {
    let hop = |location: &str| Answer {
        bytes: format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 2\r\n\r\nno").into(),
        then: Then::Keep,
    };
    let file = "HTTP/1.1 206 P\r\nContent-Range: bytes 2-3/4\r\n\r\ncd";
    let hops = ["http://a.example/1", "/2", "three?x=y", "//b.example:81", "http://c.example/d/e#f"];
    let server = Server::script(hops.map(hop).into_iter().chain([Answer::from(file)]));
    assert_eq!(fetch_from(&server, 2).1, b"cd");
    let went: Vec<_> = server
        .requests
        .borrow()
        .iter()
        .map(|request| {
            assert_eq!(field(request, "Range"), Some("bytes=2-"));
            let line = request.lines().next().unwrap();
            (String::from(line.split(' ').nth(1).unwrap()), String::from(field(request, "Host").unwrap()))
        })
        .collect();
    let expected = [
        ("/app.bin?v=2", "fw.example:8080"),
        ("/1", "a.example"),
        ("/2", "a.example"),
        ("/three?x=y", "a.example"),
        ("/", "b.example:81"),
        ("/d/e", "c.example"),
    ];
    assert_eq!(went, expected.map(|(path, host)| (path.into(), host.into())));
    assert_eq!(server.connections.borrow().last(), Some(&("c.example".into(), 80)));

    let round = Server::new(move |_| hop("/app.bin"));
    assert_eq!(fetch_from(&round, 0).0, Err(Error::Answer(Fault::Redirects)));
    assert_eq!(round.requests.borrow().len(), 6);
}

#[test]
fn a_later_open_begins_at_the_callers_url_again() {
    let hop =
        Answer { bytes: "HTTP/1.1 307 T\r\nLocation: /once\r\nContent-Length: 0\r\n\r\n".into(), then: Then::Keep };
    let ok = || Answer { bytes: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na".into(), then: Then::Keep };
    let server = Server::script([hop, ok(), ok()]);
    let mut buf = [0; 700];
    let mut source = Http::new(&server, URL, &mut buf).unwrap();
    fetch(&mut source, 0).0.unwrap();
    fetch(&mut source, 0).0.unwrap();
    assert!(server.request(1).starts_with("GET /once "));
    assert!(server.request(2).starts_with("GET /app.bin?v=2 "));
    // The connection that was kept leads to where the redirect led.
    drop(source);
    assert_eq!(server.connections.borrow().len(), 3);
}

#[test]
fn the_connection_is_kept_where_a_body_was_read_to_its_end() {
    let file = image(900, 1);
    let keeping = |head: &'static str, then| {
        let file = file.clone();
        let server = Server::new(move |request| {
            let mut answer = serve(request, &file, "\"v1\"");
            answer.then = then;
            let text = String::from_utf8_lossy(&answer.bytes[..9]).into_owned();
            assert_eq!(text, "HTTP/1.1 ");
            answer.bytes.splice(..9, head.bytes());
            answer
        });
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap();
        for from in [0, 500, 800] {
            let (meta, bytes) = fetch(&mut source, from);
            assert_eq!((meta.unwrap().start, bytes.len()), (from, 900 - from as usize));
        }
        // Left in the middle.
        block_on(source.open(1)).unwrap();
        fetch(&mut source, 2).0.unwrap();
        server.connections.borrow().len()
    };
    assert_eq!(keeping("HTTP/1.1 ", Then::Keep), 2);
    assert_eq!(keeping("HTTP/1.0 ", Then::Keep), 5);
    // The server closes though it did not say so: a new connection, and no error.
    assert_eq!(keeping("HTTP/1.1 ", Then::Close), 5);
    assert_eq!(keeping("HTTP/1.1 ", Then::Fail), 5);
}

#[test]
fn a_refusal_over_a_connection_that_was_kept_is_not_asked_for_again() {
    let ok = Answer { bytes: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na".into(), then: Then::Keep };
    let server =
        Server::script([ok, Answer::from("HTTP/1.1 503 Busy\r\n\r\n"), Answer::from("HTTP/1.1 503 Busy\r\n\r\n")]);
    let mut buf = [0; 700];
    let mut source = Http::new(&server, URL, &mut buf).unwrap();
    fetch(&mut source, 0).0.unwrap();
    assert_eq!(fetch(&mut source, 0).0, Err(Error::Answer(Fault::Status { code: 503, retry_after: 0 })));
    assert_eq!(server.requests.borrow().len(), 2);
    assert_eq!(block_on(source.read(&mut [0; 9])), Err(Error::Answer(Fault::Closed)), "nothing is open");
}

#[test]
fn what_a_server_says_before_it_was_asked_is_not_the_answer() {
    let file = image(900, 1);
    for (stray, connections) in [
        ("\r\n", 1),
        ("\n\r\n", 1),
        ("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 2),
        ("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 2),
        ("more than was announced\r\n", 2),
    ] {
        let body = file.clone();
        let mut nth = 0;
        let server = Server::new(move |request| {
            nth += 1;
            let mut answer = serve(request, &body, "\"v1\"");
            // It comes before what the second request is answered with.
            if nth == 2 {
                answer.bytes.splice(..0, stray.bytes());
            }
            answer
        });
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap();
        for from in [0, 500, 800] {
            let (meta, bytes) = fetch(&mut source, from);
            assert_eq!(meta.unwrap().start, from, "{stray}");
            assert!(bytes == file[from as usize..], "{stray}");
        }
        drop(source);
        assert_eq!(server.connections.borrow().len(), connections, "{stray}");
    }
    // One that means it says so over a new connection too.
    for (answer, fault) in
        [("HTTP/1.1 400 Bad\r\n\r\n", Fault::Status { code: 400, retry_after: 0 }), ("nonsense\r\n", Fault::Malformed)]
    {
        let ok = Answer { bytes: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na".into(), then: Then::Keep };
        let server = Server::script([ok, Answer::from(answer), Answer::from(answer), Answer::from(answer)]);
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap();
        fetch(&mut source, 0).0.unwrap();
        assert_eq!(fetch(&mut source, 0).0, Err(Error::Answer(fault)));
        assert_eq!(server.requests.borrow().len(), 3);
    }
}

#[test]
fn the_status_of_an_error_is_told_however_long_its_head_is() {
    let fields = "X-Policy: none of your business\r\n".repeat(40);
    for (status, expected) in [
        ("503 Busy", Fault::Status { code: 503, retry_after: 30 }),
        ("404 Not Found", Fault::Status { code: 404, retry_after: 30 }),
        ("200 OK", Fault::HeadTooLong),
        ("302 Found", Fault::HeadTooLong),
    ] {
        assert_eq!(fault(&format!("HTTP/1.1 {status}\r\nRetry-After: 30\r\n{fields}\r\n")), expected);
    }
}

#[test]
fn a_connection_out_of_step_is_not_kept() {
    let answer = |extra: &str, field: &str| {
        let bytes = format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 2\r\n\r\nab{extra}").into();
        Answer { bytes, then: Then::Keep }
    };
    for (extra, field, connections) in [
        ("", "", 1),
        ("HTTP/1.1 200 OK\r\n", "", 2),
        ("", "Connection: Close\r\n", 2),
        ("", "Connection: close\r\nConnection: keep-alive\r\n", 2),
    ] {
        let server = Server::script([answer(extra, field), answer("", "")]);
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap();
        for _ in 0..2 {
            assert_eq!(fetch(&mut source, 0).1, b"ab", "no byte beyond the announced ones");
        }
        drop(source);
        assert_eq!(server.connections.borrow().len(), connections, "{extra}{field}");
    }
}

#[test]
fn r24_chunks_are_put_together_however_they_come() {
    let file = image(2_000, 1);
    let head = "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nTransfer-Encoding: Chunked\r\n\r\n";
    for size in [1, 16, 300, 301, 2_000] {
        for piece in [1, 2, 7, 299, 5_000] {
            let mut bytes = head.as_bytes().to_vec();
            for (nth, chunk) in file.chunks(size).enumerate() {
                bytes.extend(format!("{:X};n={nth}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\nX-Hash: none\r\n\r\n");
            let server = Server::new(move |_| Answer { bytes: bytes.clone(), then: Then::Keep });
            server.piece.set(piece);
            let mut buf = [0; 700];
            let mut source = Http::new(&server, URL, &mut buf).unwrap();
            for _ in 0..2 {
                let (meta, bytes) = fetch(&mut source, 0);
                assert_eq!((meta.unwrap().size, meta.unwrap().tag != 0), (None, true));
                assert!(bytes == file, "{size} {piece}");
            }
            drop(source);
            // A piece of one byte ends before the trailer does: the end is found by the next `read`.
            assert_eq!(server.connections.borrow().len(), 1, "{size} {piece}");
        }
    }
}

#[test]
fn r24_a_range_in_chunks_is_no_longer_and_no_shorter_than_announced() {
    for (body, expected) in [
        ("2\r\ncd\r\n0\r\n\r\n", Some("cd")),
        ("1\r\nc\r\n1\r\nd\r\n0\r\n\r\n", Some("cd")),
        ("5\r\ncdefg\r\n0\r\n\r\n", Some("cd")),
        ("1\r\nc\r\n0\r\n\r\n", None),
        ("0\r\n\r\n", None),
        ("1\r\nc\r\n", None),
    ] {
        for piece in [1, 1_000] {
            let head = "HTTP/1.1 206 P\r\nContent-Range: bytes 2-3/4\r\nTransfer-Encoding: chunked\r\n\r\n";
            let server = text(&format!("{head}{body}"));
            server.piece.set(piece);
            let (meta, bytes) = fetch_from(&server, 2);
            match expected {
                Some(all) => assert_eq!((meta.unwrap().size, &bytes[..]), (Some(4), all.as_bytes()), "{body}"),
                None => {
                    assert_eq!(meta, Err(Error::Answer(Fault::Closed)), "{body}");
                    assert!(bytes.len() < 2);
                }
            }
        }
    }
}

#[test]
fn r09_a_read_that_was_dropped_amid_chunks_leaves_nothing_behind() {
    let body: String = (0..60).map(|nth| format!("5\r\n{nth:05}\r\n")).collect();
    let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n");
    let whole: String = (0..60).map(|nth| format!("{nth:05}")).collect();
    for polls in 1..60 {
        let answer = answer.clone();
        let server = Server::new(move |_| Answer { bytes: answer.clone().into(), then: Then::Keep });
        let mut buf = [0; 400];
        let mut source = Http::new(&server, URL, &mut buf).unwrap();
        server.piece.set(7);
        block_on(source.open(0)).unwrap();
        server.slow.set(true);
        let mut room = [0; 20];
        let mut left = polls;
        // A read that takes two polls is dropped after one, sooner or later.
        while left > 0 && poll_and_drop(source.read(&mut room), 1 + polls % 2).is_some() {
            left -= 1;
        }
        server.slow.set(false);
        assert_eq!(fetch(&mut source, 0).1, whole.as_bytes(), "{polls}");
    }
}

#[test]
fn r24_an_endless_frame_or_body_ends() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (start, more) in [("1;", "x"), ("0\r\n", "X: y\r\n"), ("", "0"), ("1\r\na\r\n", "0")] {
        for piece in [1, 64, 5_000] {
            let server = text(&format!("{head}{start}{}", more.repeat(3_000)));
            server.piece.set(piece);
            let (meta, bytes) = fetch_from(&server, 0);
            assert_eq!(meta, Err(Error::Answer(Fault::Malformed)), "{start} {piece}");
            assert!(bytes.len() <= 1);
        }
    }
    // One chunk after the other: no more than the caller asks for is read.
    let server = text(&format!("{head}{}", "1\r\na\r\n".repeat(10_000)));
    let mut buf = [0; 700];
    let mut source = Http::new(&server, URL, &mut buf).unwrap();
    block_on(source.open(0)).unwrap();
    let mut room = [0; 100];
    for _ in 0..50 {
        assert!(matches!(block_on(source.read(&mut room)), Ok(1..=100)));
    }
}

#[test]
fn interim_answers_are_skipped() {
    let server = text(
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
    );
    server.piece.set(1);
    assert_eq!(fetch_from(&server, 0).1, b"ab");
}

#[test]
fn r24_without_a_length_the_size_is_unknown_and_the_connection_ends_it() {
    let (meta, bytes) = fetch_from(&text("HTTP/1.1 200 OK\r\n\r\nabcdef"), 0);
    assert_eq!((meta.unwrap().size, bytes), (None, b"abcdef".to_vec()));
}

#[test]
fn errors_say_whether_trying_again_helps() {
    let retry = |bytes: &str| fetch_from(&text(bytes), 0).0.unwrap_err().retry();
    for code in [301, 400, 401, 403, 404, 410, 412] {
        assert_eq!(retry(&format!("HTTP/1.1 {code} X\r\n\r\n")), Retry::Never, "{code}");
    }
    for code in [408, 425, 429, 500, 502, 503, 504] {
        assert_eq!(retry(&format!("HTTP/1.1 {code} X\r\nRetry-After: 9\r\n\r\n")), Retry::After(9), "{code}");
    }
    assert_eq!(retry(""), Retry::Later);
    let gone = text("");
    gone.down.set(1);
    let error = fetch_from(&gone, 0).0.unwrap_err();
    assert_eq!((error, error.retry()), (Error::Connection(IoError::ConnectionRefused), Retry::Later));
}

#[test]
fn urls_and_buffers_that_cannot_work_are_refused_at_once() {
    let server = text("");
    let new = |url, room| Http::new(&server, url, &mut vec![0; room]).map(drop);
    assert_eq!(new("http://a.example", 100), Ok(()));
    assert_eq!(new("https://a.example", 100), Ok(()));
    assert_eq!(Http::new(&Plain, "https://a.example", &mut [0; 100]).map(drop), Err(UrlError::Https));
    assert_eq!(new("a.example/x", 100), Err(UrlError::Scheme));
    assert_eq!(new("", 100), Err(UrlError::Scheme));
    assert_eq!(new("http://", 100), Err(UrlError::Host));
    assert_eq!(new("http://a.example:0/", 100), Err(UrlError::Host));
    assert_eq!(new("http://a.example/\r\nX: y", 100), Err(UrlError::Character));
    assert_eq!(new("http://a.example/x", 70), Err(UrlError::TooLong));
    let mut buf = [0; 100];
    let mut short = Http::new(&server, "http://a.example/x", &mut buf).unwrap();
    assert_eq!(block_on(short.open(0)), Err(Error::Answer(Fault::RequestTooLong)));
}

#[test]
fn addresses_in_numbers_keep_their_brackets_in_the_request_only() {
    for (url, host, port, field_is) in [
        ("http://[2001:db8::1]/x?y=[z]", "2001:db8::1", 80, "[2001:db8::1]"),
        ("http://[::1]:8080/x", "::1", 8080, "[::1]:8080"),
        ("http://10.0.0.1:8080?x", "10.0.0.1", 8080, "10.0.0.1:8080"),
    ] {
        let server = text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab");
        assert_eq!(fetch(&mut Http::new(&server, url, &mut [0; 700]).unwrap(), 0).1, b"ab");
        assert_eq!(*server.connections.borrow(), [(host.into(), port)]);
        assert_eq!(field(&server.request(0), "Host"), Some(field_is));
    }
}

#[test]
fn r09_a_request_that_was_dropped_half_way_takes_its_connection_with_it() {
    let file = image(900, 1);
    for polls in 1..20 {
        let body = file.clone();
        let server = Server::new(move |request| serve(request, &body, "\"v1\""));
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap();
        fetch(&mut source, 0).0.unwrap();
        server.slow.set(true);
        server.piece.set(10);
        assert!(poll_and_drop(source.open(700), polls).is_none());
        assert_eq!(fetch(&mut source, 800).1, file[800..], "{polls}");
        drop(source);
        assert!(server.requests.borrow().iter().all(|request| request.matches("GET").count() == 1), "{polls}");
    }
}

#[test]
fn r09_a_dropped_future_leaves_nothing_that_could_be_mixed_up() {
    let file = image(900, 1);
    for polls in 0..40 {
        let body = file.clone();
        let server = Server::new(move |request| serve(request, &body, "\"v1\""));
        server.slow.set(true);
        server.piece.set(50);
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap();
        if let Some(opened) = poll_and_drop(source.open(0), polls) {
            opened.unwrap();
            let mut room = [0; 400];
            if poll_and_drop(source.read(&mut room), 0).is_none() {
                // Dropped before it began: nothing is lost.
            }
            let mut came = 0;
            while let Some(count) = poll_and_drop(source.read(&mut room), 1) {
                came += count.unwrap();
            }
            assert!(came < 900);
            assert_eq!(block_on(source.read(&mut room)), Err(Error::Answer(Fault::Closed)));
        } else {
            assert_eq!(block_on(source.read(&mut [0; 9])), Err(Error::Answer(Fault::Closed)), "{polls}");
        }
        let (meta, bytes) = fetch(&mut source, 100);
        assert_eq!((meta.unwrap().start, bytes), (100, file[100..].to_vec()), "{polls}");
    }
}

#[test]
fn what_went_and_came_is_counted_heads_and_vain_bytes_too() {
    let first = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nlater";
    let second = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd";
    let server = Server::script([Answer::from(first), Answer::from(second)]);
    let mut buf = [0; 700];
    let mut source = Http::new(&server, URL, &mut buf).unwrap();
    assert_eq!(source.paid(), 0);
    assert!(block_on(source.open(0)).is_err());
    assert_eq!(fetch(&mut source, 0).1, b"abcd");
    let sent: usize = server.requests.borrow().iter().map(String::len).sum();
    assert_eq!(source.paid() as usize, sent + first.len() + second.len());
}

#[test]
fn closing_ends_the_connection_and_open_makes_another() {
    let file = image(1_000, 1);
    let body = file.clone();
    let server = Server::new(move |request| serve(request, &body, "\"v1\""));
    let mut buf = [0; 700];
    let mut source = Http::new(&server, URL, &mut buf).unwrap();
    let mut piece = [0; 100];
    block_on(source.open(0)).unwrap();
    block_on(source.read(&mut piece)).unwrap();
    source.close();
    assert!(matches!(block_on(source.read(&mut piece)), Err(Error::Answer(Fault::Closed))));
    assert_eq!(server.connections.borrow().len(), 1);
    assert_eq!(fetch(&mut source, 100).1, file[100..]);
    assert_eq!(server.connections.borrow().len(), 2);
    assert_eq!(field(&server.request(1), "If-Range"), Some("\"v1\""), "of the same version");
}
