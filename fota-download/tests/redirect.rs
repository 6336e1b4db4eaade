//! Where redirects lead, what is sent there, and the fields of the caller.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

mod support;

use fota_download::http::{Error, Fault, UrlError};
use fota_download::{Http, Source};
use support::{Answer, Server, Then, block_on, fetch, field, image, serve};

const URL: &str = "http://fw.example:8080/v1/fw/app.bin?v=2";
const FIELDS: &[(&str, &str)] = &[("authorization", "Bearer t0ken"), ("x-device", "nrf-1")];

fn redirect(code: u16, location: &str) -> Answer {
    let bytes = format!("HTTP/1.1 {code} M\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into();
    Answer { bytes, then: Then::Keep }
}

fn ok() -> Answer {
    Answer { bytes: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab".into(), then: Then::Keep }
}

fn status(code: u16) -> Answer {
    Answer { bytes: format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n").into(), then: Then::Keep }
}

fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap()
}

#[test]
fn r24_references_of_all_kinds_lead_where_they_should() {
    for (location, host, port, to) in [
        ("http://b.example", "b.example", 80, "/"),
        ("http://b.example/a/../b/./c//../d", "b.example", 80, "/b/c/d"),
        ("http://b.example?x=/../y", "b.example", 80, "/?x=/../y"),
        ("//b.example:81/x", "b.example", 81, "/x"),
        ("/x", "fw.example", 8080, "/x"),
        ("/../../x", "fw.example", 8080, "/x"),
        ("x", "fw.example", 8080, "/v1/fw/x"),
        ("./x", "fw.example", 8080, "/v1/fw/x"),
        (".", "fw.example", 8080, "/v1/fw/"),
        ("..", "fw.example", 8080, "/v1/"),
        ("../x", "fw.example", 8080, "/v1/x"),
        ("../../../../x/./y/", "fw.example", 8080, "/x/y/"),
        ("..x/...", "fw.example", 8080, "/v1/fw/..x/..."),
        ("x?../y", "fw.example", 8080, "/v1/fw/x?../y"),
        ("?v=3", "fw.example", 8080, "/v1/fw/app.bin?v=3"),
        ("x#../y", "fw.example", 8080, "/v1/fw/x"),
        ("http://[2001:db8::1]:81/x", "2001:db8::1", 81, "/x"),
        ("http://b.example:/x", "b.example", 80, "/x"),
        ("x?until=10:30", "fw.example", 8080, "/v1/fw/x?until=10:30"),
        ("?u=https://b.example/x", "fw.example", 8080, "/v1/fw/app.bin?u=https://b.example/x"),
        ("x#a:b", "fw.example", 8080, "/v1/fw/x"),
    ] {
        for code in [301, 302, 303, 307, 308] {
            let server = Server::script([redirect(code, location), ok()]);
            assert_eq!(fetch(&mut Http::new(&server, URL, &mut [0; 700]).unwrap(), 0).1, b"ab", "{location}");
            assert_eq!(path(&server.request(1)), to, "{location}");
            assert_eq!(server.connections.borrow()[1], (host.into(), port), "{location}");
        }
    }
}

#[test]
fn addresses_that_hide_something_are_refused() {
    for (location, error) in [
        ("http://fw.example@b.example/", UrlError::Host),
        ("http://user:pw@b.example/", UrlError::Host),
        ("//user@b.example/", UrlError::Host),
        ("http://good.example\\@b.example/", UrlError::Host),
        ("http://[::1/", UrlError::Host),
        ("http:///../b.example", UrlError::Host),
        ("javascript:alert(1)", UrlError::Scheme),
        ("file:///etc/passwd", UrlError::Scheme),
        ("http:b.example", UrlError::Scheme),
        ("/a\tb", UrlError::Character),
        ("/a\u{e4}", UrlError::Character),
    ] {
        let server = Server::script([redirect(302, location)]);
        let (outcome, _) = fetch(&mut Http::new(&server, URL, &mut [0; 700]).unwrap(), 0);
        assert_eq!(outcome, Err(Error::Answer(Fault::Redirect(error))), "{location}");
        assert_eq!(server.connections.borrow().len(), 1);
    }
    let new = |url: &str| Http::new(&Server::script([]), url, &mut [0; 200]).map(drop);
    assert_eq!(new("http://user:pw@b.example/"), Err(UrlError::Host));
    assert_eq!(new("http://b.example/\r\nAuthorization: x"), Err(UrlError::Character));
    assert_eq!(new("http://b.example/a\0"), Err(UrlError::Character));
    assert_eq!(new("http://b.example/a b"), Err(UrlError::Character));
}

#[test]
fn an_address_may_be_as_long_as_the_buffer() {
    let long = format!("/{}", "x".repeat(800));
    let server = Server::script([redirect(302, &long), ok()]);
    assert_eq!(fetch(&mut Http::new(&server, URL, &mut [0; 2_048]).unwrap(), 0).1, b"ab");
    assert_eq!(path(&server.request(1)), long);
    let server = Server::script([redirect(302, &long), ok()]);
    let (outcome, _) = fetch(&mut Http::new(&server, URL, &mut [0; 700]).unwrap(), 0);
    assert_eq!(outcome, Err(Error::Answer(Fault::HeadTooLong)));
    // It fits once, and the request with it doesn't.
    let server = Server::script([redirect(302, &long), ok()]);
    let (outcome, _) = fetch(&mut Http::new(&server, URL, &mut [0; 1_200]).unwrap(), 0);
    assert_eq!(outcome, Err(Error::Answer(Fault::RequestTooLong)));
}

#[test]
fn the_callers_fields_go_to_the_first_host_only() {
    let sent = |hops: &[&str]| -> Vec<bool> {
        let hops: Vec<_> = hops.iter().map(|hop| redirect(302, hop)).chain([ok()]).collect();
        let server = Server::script(hops);
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap().fields(FIELDS);
        assert_eq!(fetch(&mut source, 0).1, b"ab");
        let requests = server.requests.borrow();
        let sent = |request: &String| {
            let fields = FIELDS.iter().map(|(name, value)| field(request, name) == Some(value));
            let fields: Vec<_> = fields.collect();
            assert!(fields[0] == fields[1] && fields[0] == request.contains("t0ken"), "{request}");
            fields[0]
        };
        requests.iter().map(sent).collect()
    };
    assert_eq!(sent(&[]), [true]);
    assert_eq!(sent(&["/x", "y"]), [true, true, true]);
    assert_eq!(sent(&["http://b.example/x", "/y"]), [true, false, false]);
    assert_eq!(sent(&["http://fw.example/x"]), [true, false], "another port is another server");
    assert_eq!(sent(&["http://fw.example.b.example:8080/x"]), [true, false]);
    assert_eq!(sent(&["http://fw.example:808/x"]), [true, false]);
    assert_eq!(sent(&["https://fw.example:8080/x"]), [true, true]);
    assert_eq!(sent(&["http://b.example/x", "http://fw.example:8080/y"]), [true, false, true]);
}

#[test]
fn the_first_host_is_known_however_it_is_written() {
    for (url, to, is_first) in [
        ("https://fw.example/x", "https://fw.example:443/y", true),
        ("https://fw.example:443/x", "https://FW.example:/y", true),
        ("HTTP://Fw.Example#x", "http://fw.example:80/y", true),
        ("http://fw.example:81?x", "//fw.example:81", true),
        ("http://[2001:db8::1]/x", "http://[2001:DB8::1]:80/y", true),
        // Another port, though TLS is better than none.
        ("http://fw.example/x", "https://fw.example/y", false),
        ("https://fw.example/x", "https://fw.example:444/y", false),
        ("http://fw.example/x", "http://fw.exampl/y", false),
        ("http://fw.example/x", "http://fw.example.b/y", false),
        ("http://[2001:db8::1]/x", "http://2001/y", false),
        ("http://[2001:db8::1]/x", "http://[2001:db8::]/y", false),
        ("http://b/fw.example", "http://fw.example/b", false),
    ] {
        let server = Server::script([redirect(302, to), ok()]);
        let mut buf = [0; 700];
        let mut source = Http::new(&server, url, &mut buf).unwrap().fields(FIELDS);
        assert_eq!(fetch(&mut source, 0).1, b"ab", "{url} {to}");
        let sent = [0, 1].map(|nth| field(&server.request(nth), "authorization").is_some());
        assert_eq!(sent, [true, is_first], "{url} {to}");
    }
}

#[test]
fn fields_that_would_be_more_than_that_are_refused() {
    let server = Server::script([ok(), ok()]);
    for bad in [
        ("a", "b\r\nHost: c"),
        ("a", "b\n"),
        ("a", "\0"),
        ("a\r\nb", "c"),
        ("a: b", "c"),
        ("a b", "c"),
        ("", "c"),
        ("\u{e4}", "c"),
    ] {
        let fields = [bad];
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap().fields(&fields);
        assert_eq!(fetch(&mut source, 0).0, Err(Error::Answer(Fault::Field)), "{bad:?}");
    }
    assert!(server.requests.borrow().is_empty());
    let long = "x".repeat(700);
    let fields = [("a", &long[..])];
    let mut buf = [0; 700];
    let mut source = Http::new(&server, URL, &mut buf).unwrap().fields(&fields);
    assert_eq!(fetch(&mut source, 0).0, Err(Error::Answer(Fault::RequestTooLong)));
    let fields = [("A-b_c", "\u{e4} \"x\": ~")];
    let mut source = Http::new(&server, URL, &mut buf).unwrap().fields(&fields);
    assert_eq!(fetch(&mut source, 0).1, b"ab");
    assert_eq!(field(&server.request(0), "A-b_c"), Some(fields[0].1));
}

/// A file that comes by a redirect, a hundred bytes at once; the addresses of the second host expire after two requests.
fn expiring(file: &[u8], answer: u16) -> Server {
    let file = file.to_vec();
    let (mut given, mut used) = (0, 0);
    Server::new(move |request| {
        if path(request).starts_with("/v1/") {
            given += 1;
            used = 0;
            return redirect(302, &format!("http://cdn.example/{given}"));
        }
        used += 1;
        if used > 2 || path(request) != format!("/{given}") {
            return status(answer);
        }
        let from: usize = field(request, "Range").map_or(0, |range| range[6..range.len() - 1].parse().unwrap());
        if from == 0 {
            return serve(request, &file, "\"v1\"");
        }
        let last = (from + 99).min(file.len() - 1);
        let (part, len) = (&file[from..=last], file.len());
        let head = format!("HTTP/1.1 206 P\r\nETag: \"v1\"\r\nContent-Range: bytes {from}-{last}/{len}\r\n\r\n");
        Answer { bytes: [head.as_bytes(), part].concat(), then: Then::Keep }
    })
}

#[test]
fn an_address_that_expired_is_asked_for_again_once() {
    let file = image(1_000, 1);
    for code in [400, 401, 403, 404, 410] {
        let server = expiring(&file, code);
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap();
        let mut all = Vec::new();
        while all.len() < 900 {
            let from = 100 + all.len() as u32;
            let (meta, bytes) = fetch(&mut source, from);
            assert_eq!(meta.unwrap().start, from, "{code}");
            all.extend(bytes);
        }
        assert!(all == file[100..], "{code}");
        let paths: Vec<_> = server.requests.borrow().iter().map(|request| path(request).to_owned()).collect();
        let first = "/v1/fw/app.bin?v=2";
        assert_eq!(paths[..8], [first, "/1", "/1", "/1", first, "/2", "/2", "/2"]);
    }
    // What the caller's own URL leads to at once is no better the second time; and 5xx is no sign of age.
    for (code, requests) in [(403, 2), (503, 2)] {
        let server = Server::new(move |request| match path(request) {
            "/x" => status(code),
            _ => redirect(302, "/x"),
        });
        let mut buf = [0; 700];
        let mut source = Http::new(&server, URL, &mut buf).unwrap();
        assert_eq!(block_on(source.open(4)), Err(Error::Answer(Fault::Status { code: code.into(), retry_after: 0 })));
        assert_eq!(server.requests.borrow().len(), requests);
        // After an error, the caller's URL again.
        assert!(block_on(source.open(4)).is_err());
        assert_eq!(path(&server.request(2)), "/v1/fw/app.bin?v=2");
    }
}

#[test]
fn r24_an_address_that_goes_on_to_lead_elsewhere_does_so_within_the_limit() {
    let mut nth = 0;
    let server = Server::new(move |request| {
        nth += 1;
        match nth {
            // The stretch is given to its end.
            4 => serve(request, &[7; 10], "\"v1\""),
            _ => redirect(307, &format!("/{nth}")),
        }
    });
    let mut buf = [0; 700];
    let mut source = Http::new(&server, URL, &mut buf).unwrap();
    assert_eq!(fetch(&mut source, 5).1, [7; 5]);
    assert_eq!(block_on(source.open(6)), Err(Error::Answer(Fault::Redirects)));
    assert!(server.requests.borrow().len() <= 10);
}
