//! The CoAP source over TCP against servers that follow a script.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

mod support;

#[path = "support/stream.rs"]
mod stream;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;

use dfu_target::progress::NoProgress;
use dfu_target::session::Update;
use dfu_target::{Begun, ImageId, Request};
use embedded_io_async::ErrorKind as IoError;
use fota_download::coap::tcp::Settings;
use fota_download::coap::{Error, Fault, UrlError};
use fota_download::source::{Error as _, Retry};
use fota_download::{Backoff, CoapTcp, Meta, Source, download};
use stream::{ABORT, CSM, Msg, PING, PONG, RELEASE, Server, serve, uint};
use support::{Clock, Plain, Ram, block_on, image, poll_and_drop};

const URL: &str = "coap+tcp://fw.example/app.bin?v=2";
const SETTINGS: Settings = Settings::new(0xffff_fffe);

type Outcome = (Result<Meta, Error<IoError>>, Vec<u8>);

/// Opens at an offset and reads to the end, in pieces of so many bytes.
fn fetch(source: &mut impl Source<Error = Error<IoError>>, from: u32, piece: usize) -> Outcome {
    let mut all = Vec::new();
    let outcome = block_on(async {
        let meta = source.open(from).await?;
        let mut buf = vec![0; piece];
        loop {
            match source.read(&mut buf).await? {
                0 => return Ok(meta),
                count => all.extend(&buf[..count]),
            }
        }
    });
    (outcome, all)
}

fn fetch_with(server: &Server, settings: Settings, from: u32) -> Outcome {
    let mut buf = [0; 128];
    fetch(&mut CoapTcp::new(server, URL, settings, &mut buf).unwrap(), from, 700)
}

fn fetch_from(server: &Server, from: u32) -> Outcome {
    fetch_with(server, SETTINGS, from)
}

fn fault(server: &Server) -> Fault {
    match fetch_from(server, 0).0 {
        Err(Error::Answer(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

/// A download into an empty target: whether it succeeds, what is stored, and the pauses in milliseconds.
fn run(server: &Server, settings: Settings, request: Request) -> (bool, Vec<u8>, Vec<u32>) {
    let mut target = Ram::default();
    let mut update = Update::new(&mut target, NoProgress, request);
    let Ok(Begun::Receiving(mut session)) = block_on(update.begin()) else { panic!("nothing is stored") };
    let (mut buf, mut chunk, mut clock) = ([0; 128], [0; 512], Clock::default());
    let mut source = CoapTcp::new(server, URL, settings, &mut buf).unwrap();
    let outcome = block_on(download(&mut source, &mut session, Backoff::new(), &mut clock, &mut chunk, |_| {
        ControlFlow::Continue(())
    }));
    (outcome.is_ok(), target.bytes, clock.0)
}

fn named() -> Request {
    Request::new(ImageId::named("app"))
}

#[test]
fn r26_a_file_comes_whole_in_messages_of_any_size() {
    for len in [1, 1_023, 1_024, 1_025, 5_000, 8_192, 8_193, 30_000] {
        let file = image(len.max(4), 1)[..len].to_vec();
        for (largest, bert) in [(7, 8), (7, 1), (7, 3), (6, 0), (4, 0), (0, 0)] {
            for window in [1, 2, 3, 8] {
                for piece in [1, 7, usize::MAX] {
                    if (piece == 1 || largest == 0) && len > 6_000 {
                        continue;
                    }
                    let body = file.clone();
                    let server = Server::new(move |request| serve(request, &body, b"ver1", largest, bert));
                    server.piece.set(piece);
                    let (meta, bytes) = fetch_with(&server, SETTINGS.window(window), 0);
                    let what = format!("{len} {largest} {bert} {window} {piece}");
                    let meta = meta.unwrap();
                    assert_eq!((meta.size, meta.start), (Some(len as u32), 0), "{what}");
                    assert!(meta.tag != 0 && bytes == file, "{what}");
                    let size = if largest == 7 { 1_024 * bert } else { 16 << largest };
                    let unit = 16 << largest.min(6);
                    let numbers: Vec<_> = server.blocks().iter().map(|block| block.0 as usize).collect();
                    let all: Vec<_> = (0..len.div_ceil(size)).map(|nth| nth * size / unit).collect();
                    assert_eq!(numbers, all, "{what}: each once");
                    assert_eq!(*server.connections.borrow(), [("fw.example".into(), 5683, false)]);
                }
            }
        }
    }
}

#[test]
fn what_is_sent_is_what_it_should_be() {
    let server = Server::serving(&image(20_000, 1), b"ver1");
    let mut buf = [0; 160];
    let url = "coaps+tcp://FW.example:99/a%2Fb//c%20d/?x=%26&y&z";
    let mut source = CoapTcp::new(&server, url, SETTINGS, &mut buf).unwrap();
    fetch(&mut source, 0, 700).0.unwrap();
    fetch(&mut source, 15_500, 700).0.unwrap();
    assert_eq!(source.paid() as usize, server.sent.get() + server.received.get());
    let messages = server.messages.borrow();
    assert_eq!(messages[0].1, Msg::of(CSM).with(2, &uint(8_320)).with(4, &[]), "settings come first");
    let requests = server.requests();
    assert_eq!(requests.len(), messages.len() - 1);
    assert_eq!(server.blocks(), [(0, 7), (8, 7), (16, 7), (15, 7)]);
    for (nth, msg) in requests.iter().enumerate() {
        assert_eq!((msg.code, msg.texts(3)), (1, vec!["fw.example".into()]));
        assert_eq!(
            (msg.texts(11), msg.texts(15)),
            (["a/b", "", "c d", ""].map(String::from).to_vec(), ["x=&", "y", "z"].map(String::from).to_vec())
        );
        assert_eq!(msg.token, 0xffff_fffe_u32.wrapping_add(nth as u32).to_be_bytes());
        assert_eq!(msg.option(28), [0, 3].contains(&nth).then_some(&[][..]), "Size2 in the first of each");
        assert_eq!(msg.option(4), None, "never an ETag");
        assert!(msg.payload.is_empty() && msg.options.len() == 9 + msg.options.iter().filter(|o| o.0 == 28).count());
    }
    assert_eq!(*server.connections.borrow(), [("FW.example".into(), 99, true)]);

    let mut buf = [0; 128];
    for (url, secure) in [("coap+tcp://10.0.0.1/", false), ("coaps+tcp://[::1]", true)] {
        let server = Server::serving(&image(30, 1), b"ver1");
        fetch(&mut CoapTcp::new(&server, url, SETTINGS, &mut buf).unwrap(), 0, 700).0.unwrap();
        let options: Vec<_> = server.requests()[0].options.iter().map(|option| option.0).collect();
        assert_eq!(options, [23, 28], "an address needs no name: {url}");
        let (host, port) = if secure { ("::1", 5684) } else { ("10.0.0.1", 5683) };
        assert_eq!(*server.connections.borrow(), [(host.into(), port, secure)]);
    }
}

#[test]
fn urls_of_other_transports_and_without_tls_are_refused() {
    let (mut buf, server) = ([0; 2_000], Server::serving(&[], b""));
    for url in
        ["coap://a/x", "coaps://a/x", "coap+ws://a/x", "http://a/x", "coap+tc://a", "coap+tcps://a", "coap+tcp", ""]
    {
        assert!(matches!(CoapTcp::new(&server, url, SETTINGS, &mut buf), Err(UrlError::Scheme)), "{url}");
    }
    assert!(CoapTcp::new(&server, "COAPS+TCP://a/x", SETTINGS, &mut buf).is_ok());
    assert!(CoapTcp::new(&Plain, "coap+tcp://a/x", SETTINGS, &mut buf).is_ok());
    assert!(matches!(CoapTcp::new(&Plain, "coaps+tcp://a/x", SETTINGS, &mut buf), Err(UrlError::Tls)));
    let long = format!("coap+tcp://a/{}", "x".repeat(200));
    let (part, more) =
        (format!("coap+tcp://a/?{}", "%41".repeat(256)), format!("coap+tcp://a{}", "/0123456789".repeat(120)));
    for (url, len) in [(URL, 60), (URL, 0), (&long, 200), (&part, 2_000), (&more, 2_000)] {
        assert!(matches!(CoapTcp::new(&server, url, SETTINGS, &mut buf[..len]), Err(UrlError::TooLong)), "{len}");
    }
}

#[test]
fn the_buffer_may_be_as_small_as_it_is_allowed_to_be() {
    let file = image(9_000, 1);
    let long = format!("coap+tcp://fw.example/{}?q={}", "x".repeat(200), "y".repeat(200));
    for url in [URL, "coap+tcp://10.0.0.1", &long] {
        let body = file.clone();
        let server = Server::new(move |request| serve(request, &body, b"a long ", 7, 2));
        let mut buf = [0; 1_000];
        let least = (0..1_000).find(|len| CoapTcp::new(&server, url, SETTINGS, &mut buf[..*len]).is_ok()).unwrap();
        for len in least..least + 40 {
            for window in [1, 3] {
                let mut source = CoapTcp::new(&server, url, SETTINGS.window(window), &mut buf[..len]).unwrap();
                let (meta, bytes) = fetch(&mut source, 0, 100);
                assert!(meta.is_ok() && bytes == file, "{len} {meta:?}");
            }
        }
        println!("{} bytes of URL: {least} bytes of buffer", url.len());
    }
}

#[test]
fn bert_is_asked_for_only_where_both_sides_may() {
    let file = image(20_000, 1);
    let csm = |bytes: &[(u16, &[u8])]| bytes.iter().fold(Msg::of(CSM), |msg, (number, value)| msg.with(*number, value));
    for (greeting, settings, szx) in [
        (csm(&[(2, &[0x04, 0x81]), (4, &[])]), SETTINGS, 7),
        (csm(&[(2, &[0x04, 0x80]), (4, &[])]), SETTINGS, 6),
        (csm(&[(4, &[])]), SETTINGS, 6),
        (csm(&[(2, &[0x10, 0]), (4, &[])]), SETTINGS.message(0), 6),
        (csm(&[(2, &[0x10, 0]), (4, &[])]), SETTINGS.message(1_153), 7),
        (csm(&[(2, &[0x10, 0]), (4, &[])]), SETTINGS.block(1_023), 5),
        (csm(&[(2, &[0x10, 0]), (4, &[]), (2_000, b"elective")]), SETTINGS, 7),
        // Settings may come in two messages.
        (csm(&[(2, &[0x10, 0])]), SETTINGS, 7),
        (csm(&[(2, &[0x10, 0]), (4, &[]), (6, b"and more")]), SETTINGS, 7),
    ] {
        let body = file.clone();
        let server = Server::new(move |request| serve(request, &body, b"ver1", 7, 4));
        let mut bytes = greeting.bytes();
        if greeting.option(4).is_none() && szx == 7 {
            bytes.extend(csm(&[(4, &[])]).bytes());
        }
        if greeting.option(6).is_some() {
            bytes.extend(csm(&[]).bytes());
        }
        server.greeting.replace(bytes);
        assert!(fetch_with(&server, settings, 0).1 == file);
        assert!(server.blocks().iter().all(|block| block.1 == szx), "{greeting:?} {:?}", server.blocks());
        let announced = server.messages.borrow()[0].1.clone();
        assert!(announced.code == CSM && announced.option(4) == Some(&[]), "{announced:?}");
    }
    // One that knows no blocks is not asked for any.
    let body = file.clone();
    let server = Server::new(move |request| request.answer(0x45).with(4, b"ver1").with_payload(&body));
    server.greeting.replace(csm(&[(2, &[1, 0, 0, 0])]).bytes());
    for from in [0, 1, 15_000] {
        let (meta, bytes) = fetch_from(&server, from);
        assert_eq!((meta.unwrap().start, bytes), (from, file[from as usize..].to_vec()));
    }
    assert!(server.requests().iter().all(|request| request.option(23).is_none()));
}

#[test]
fn a_request_goes_out_with_our_settings_where_it_may() {
    // The server's come with its first answer only.
    let file = image(5_000, 1);
    let body = file.clone();
    let mut greeted = false;
    let server = Server::raw(move |msg| {
        let greeting = if std::mem::replace(&mut greeted, true) { vec![] } else { Msg::csm(1_152).bytes() };
        let answer = if msg.code == 1 { serve(msg, &body, b"v", 6, 0).bytes() } else { vec![] };
        ([greeting, answer].concat(), false)
    });
    server.greeting.take();
    assert!(fetch_with(&server, SETTINGS.message(1_152), 0).1 == file);
    assert_eq!(server.messages.borrow()[0].1.code, CSM);
}

#[test]
fn a_file_is_read_from_any_offset() {
    let file = image(20_000, 1);
    for (largest, bert) in [(7, 7), (7, 1), (6, 0), (5, 0), (2, 0)] {
        let body = file.clone();
        let server = Server::new(move |request| serve(request, &body, b"ver1", largest, bert));
        for window in [1, 8] {
            let mut buf = [0; 128];
            let mut source = CoapTcp::new(&server, URL, SETTINGS.window(window), &mut buf).unwrap();
            for from in [0, 1, 63, 64, 1_023, 1_024, 1_025, 2_047, 8_191, 8_192, 8_193, 19_455, 19_456, 19_999, 20_000]
            {
                let (meta, bytes) = fetch(&mut source, from, 333);
                let meta = meta.unwrap();
                assert_eq!((meta.start, meta.size), (from, Some(20_000)));
                assert!(bytes == file[from as usize..], "{largest} {from}");
            }
            for from in [20_481, 100_000] {
                let (meta, bytes) = fetch(&mut source, from, 333);
                assert_eq!(meta.unwrap().start, 0, "a file that is shorter now is given from its start");
                assert!(bytes == file);
            }
        }
        assert_eq!(server.connections.borrow().len(), 2, "one for each source");
    }
    let server = Server::serving(&file, b"v");
    assert_eq!(fetch_from(&server, 1 << 30).0, Err(Error::Answer(Fault::TooLarge)));
}

#[test]
fn a_server_may_choose_smaller_blocks_at_any_time() {
    let file = image(60_000, 1);
    for window in [1, 2, 8] {
        for shift in 0..12 {
            for from in [0, 5_000, 33_333] {
                let (body, mut asked) = (file.clone(), 0);
                let server = Server::new(move |request| {
                    asked += 1;
                    let (largest, bert) = [(7, 8), (7, 3), (6, 0), (4, 0), (5, 0), (2, 0)][(asked + shift) / 4 % 6];
                    serve(request, &body, b"ver1", largest, bert)
                });
                let (meta, bytes) = fetch_with(&server, SETTINGS.window(window), from);
                assert!(meta.is_ok() && bytes == file[from as usize..], "{window} {shift} {from} {meta:?}");
            }
        }
    }
}

#[test]
fn a_refusal_that_passes_costs_nothing_of_what_came() {
    let file = image(100_000, 1);
    for code in [0x88, 0xa0] {
        // How often what begins there is refused, and how often the start is asked for: each refusal but the first meets
        // a transfer that was opened anew.
        for (times, begun, pauses) in [(1, 1, 1), (2, 2, 2), (3, 3, 2), (4, 3, 3)] {
            let body = file.clone();
            let (mut left, starts) = (times, Rc::new(Cell::new(0)));
            let counter = starts.clone();
            let server = Server::new(move |request| {
                let (number, _, _) = request.block();
                counter.set(counter.get() + u32::from(number == 0));
                if number == 88 && left > 0 {
                    left -= 1;
                    return request.answer(code);
                }
                serve(request, &body, b"12345678", 6, 1)
            });
            let (whole, stored, waited) = run(&server, SETTINGS, named());
            assert!(whole && stored == file, "{code:#x} {times}");
            assert_eq!((starts.get(), waited.len()), (begun, pauses), "{code:#x} {times}: {waited:?}");
        }
    }
}

#[test]
fn larger_blocks_than_were_asked_for_do_no_harm() {
    let file = image(20_000, 1);
    for window in [1, 3] {
        for from in [0, 1_024, 5_000, 19_990] {
            let body = file.clone();
            let server = Server::new(move |request| {
                let (number, _, szx) = request.block();
                let start = (number as usize) << (szx + 4) & !1_023;
                if start >= body.len() {
                    return request.answer(0xa0);
                }
                let end = body.len().min(start + 1_024);
                let answer = request.answer(0x45).with(4, b"ver1").with_payload(&body[start..end]);
                answer.with_block(start as u32 / 1_024, end < body.len(), 6)
            });
            let (meta, bytes) = fetch_with(&server, SETTINGS.block(64).window(window), from);
            // From amid one of them it is not what was asked for.
            match from % 1_024 < 64 {
                true => assert!(meta.is_ok() && bytes == file[from as usize..], "{meta:?}"),
                false => assert_eq!(meta, Err(Error::Answer(Fault::Block))),
            }
        }
    }
}

#[test]
fn a_server_that_does_not_name_the_length_ends_with_its_last_block() {
    for len in [1_000, 4_096, 4_097, 9_000, 16_384] {
        for (window, empty) in [(1, true), (8, true), (8, false)] {
            for bert in [1, 2, 8] {
                let file = image(len, 1);
                let body = file.clone();
                let server = Server::new(move |request| {
                    let (number, _, szx) = request.block();
                    let behind = number as usize * 1_024 >= body.len();
                    if behind && empty {
                        return request.answer(0x45).with(4, b"v").with_block(number, false, szx);
                    }
                    serve(request, &body, b"v", 7, bert).without(28)
                });
                let (meta, bytes) = fetch_with(&server, SETTINGS.window(window), 0);
                assert_eq!(meta.unwrap().size, (len <= 1_024 * bert).then_some(len as u32));
                assert!(bytes == file, "{len} {window} {empty}");
                // And behind its end.
                for from in [20_500, 32_768] {
                    let (meta, bytes) = fetch_from(&server, from);
                    assert!(meta.unwrap().start == 0 && bytes == file);
                }
            }
        }
    }
}

/// As libcoap does it: from amid a file one block at a time, without a name or a length, and too early the last.
#[test]
fn an_end_that_is_said_too_early_is_not_believed() {
    for len in [19_000, 20_480] {
        for refusal in [0x80, 0xa0, 0x45] {
            let file = image(len, 1);
            let body = file.clone();
            let server = Server::new(move |request| {
                let (number, _, szx) = request.block();
                let start = number as usize * 1_024;
                if start >= body.len() {
                    let answer = request.answer(refusal);
                    return if refusal == 0x45 { answer.with_block(number, false, szx) } else { answer };
                }
                let end = body.len().min(start + 1_024);
                let answer = request.answer(0x45).with_payload(&body[start..end]);
                answer.with_block(number, start + 8_192 < body.len(), szx)
            });
            for window in [1, 2, 8] {
                for from in [1_024, 7_000, 11_000, len - 2_000, len - 1] {
                    let (meta, bytes) = fetch_with(&server, SETTINGS.window(window), from as u32);
                    assert_eq!(meta.unwrap().start as usize, from);
                    assert!(bytes == file[from..], "{len} {refusal} {window} {from} {}", bytes.len());
                }
            }
        }
    }
}

#[test]
fn a_server_that_sends_all_at_once_is_read_as_it_comes() {
    for len in [5, 300, 70_000, 300_000] {
        let file = image(len, 1);
        let body = file.clone();
        let server = Server::new(move |request| request.answer(0x45).with(4, b"ver1").with_payload(&body));
        for window in [1, 4] {
            for from in [0, 1, 3, len / 2, len - 1, len] {
                let (meta, bytes) = fetch_with(&server, SETTINGS.window(window), from as u32);
                let meta = meta.unwrap();
                assert_eq!((meta.size, meta.start), (Some(len as u32), from as u32));
                assert!(bytes == file[from..], "{len} {from}");
            }
            let (meta, bytes) = fetch_with(&server, SETTINGS.window(window), len as u32 + 1);
            assert!(meta.unwrap().start == 0 && bytes == file);
        }
    }
    let server = Server::new(|request| request.answer(0x45));
    let (meta, bytes) = fetch_from(&server, 0);
    assert_eq!((meta.unwrap().size, bytes.len()), (Some(0), 0), "an empty file is empty");
}

#[test]
fn what_is_read_goes_to_the_caller_and_not_through_the_buffer() {
    let server = Server::serving(&image(80_000, 1), b"ver1");
    let mut buf = [0; 128];
    let (meta, bytes) = fetch(&mut CoapTcp::new(&server, URL, SETTINGS, &mut buf).unwrap(), 0, 4_096);
    assert!(meta.is_ok() && bytes == image(80_000, 1));
    assert_eq!(server.largest_read.get(), 4_096);
}

#[test]
fn r26_what_goes_wrong_has_a_name() {
    let status = |code: u8| Server::new(move |request| request.answer(code).with_payload(b"this is why it is so"));
    for (code, retry) in [
        (0x43, Retry::Never),
        (0x80, Retry::Never),
        (0x84, Retry::Never),
        (0x88, Retry::Later),
        (0x9d, Retry::After(60)),
        (0xa0, Retry::Later),
        (0xa3, Retry::After(60)),
    ] {
        let fault = fault(&status(code));
        assert_eq!(fault, Fault::Status { code, max_age: 60 });
        assert_eq!(Error::<IoError>::Answer(fault).retry(), retry, "{code:#x}");
    }
    for code in [0x9d, 0xa3] {
        let server = Server::new(move |request| request.answer(code).with(14, &uint(700)));
        assert_eq!(Error::<IoError>::Answer(fault(&server)).retry(), Retry::After(700));
    }
    type Change = fn(Msg) -> Msg;
    let cases: [(Change, Fault); 16] = [
        (|answer| answer.with(9, b"x"), Fault::Option),
        (|answer| answer.with_block(0, true, 6), Fault::Option),
        (|answer| answer.without(23).with_block(1, true, 7), Fault::Block),
        (|answer| answer.without(23).with_block(8, false, 7), Fault::Block),
        // Messages that have not the length they should.
        (|answer| answer.with_payload(&[7; 1_000]), Fault::Block),
        (|answer| answer.with_payload(&[7; 2_049]), Fault::Block),
        (|answer| answer.with_payload(&[]), Fault::Block),
        (|answer| answer.without(23).with_block(0, true, 6), Fault::Block),
        (|answer| answer.without(23).with_block(0, false, 5), Fault::Block),
        // Lies about the length of the file.
        (|answer| answer.without(28).with(28, &uint(8_192)), Fault::Changed),
        (|answer| answer.without(28).with(28, &uint(1)), Fault::Changed),
        (|answer| answer.without(23).with_block(0, false, 7), Fault::Changed),
        (|answer| answer.without(28).with(28, &[]), Fault::Changed),
        (|answer| answer.with(2_048, &[7; 100]), Fault::TooLong),
        (|answer| answer.with(2_048, &[7; 300]), Fault::TooLong),
        (|answer| answer.without(23).without(28).with(28, &uint(9_000)), Fault::Changed),
    ];
    for (nth, (change, expected)) in cases.into_iter().enumerate() {
        let server = Server::new(move |request| change(serve(request, &image(30_000, 1), b"v", 7, 8)));
        assert_eq!(fault(&server), expected, "{nth}");
        let died = server.messages.borrow().last().unwrap().1.code == ABORT;
        assert_eq!(died, expected == Fault::TooLong);
    }
    let server = Server::serving(&[], b"");
    for (why, expected) in [
        (IoError::ConnectionRefused, Error::Connection(IoError::ConnectionRefused)),
        (IoError::InvalidData, Error::Tls(IoError::InvalidData)),
        (IoError::OutOfMemory, Error::Record(IoError::OutOfMemory)),
    ] {
        server.down.set(1);
        server.refuses.set(why);
        let got = fetch_from(&server, 0).0;
        assert_eq!(got, Err(expected));
        let retry = if matches!(expected, Error::Connection(_)) { Retry::Later } else { Retry::Never };
        assert_eq!(expected.retry(), retry);
    }
    for (fault, retry) in [
        (Fault::Closed, Retry::Later),
        (Fault::Aborted, Retry::Later),
        (Fault::Released { hold_off: 0 }, Retry::Later),
        (Fault::Released { hold_off: 9 }, Retry::After(9)),
        (Fault::Malformed, Retry::Never),
        (Fault::Csm, Retry::Never),
    ] {
        assert_eq!(Error::<IoError>::Answer(fault).retry(), retry);
        assert!(fault.to_string().len() > 10);
    }
}

#[test]
fn what_is_no_message_ends_the_connection() {
    // Instead of an answer.
    for (bytes, expected) in [
        (&[0x09, 0x45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], Fault::Malformed),
        // A marker and no payload; an option that is longer than the message; lengths that are reserved.
        (&[0x14, 0x45, 0xff, 0xff, 0xff, 0xfe, 0xff], Fault::Malformed),
        (&[0x14, 0x45, 0xff, 0xff, 0xff, 0xfe, 0x41], Fault::Malformed),
        (&[0x24, 0x45, 0xff, 0xff, 0xff, 0xfe, 0xf0, 0], Fault::Malformed),
        (&[0x24, 0x45, 0xff, 0xff, 0xff, 0xfe, 0x0f, 0], Fault::Malformed),
        (&[0x10, 0xe1, 0xf0], Fault::Malformed),
        (&[0x10, 0xe4, 0xff], Fault::Malformed),
        (&[0x20, 0xe1, 0x11, 7], Fault::Csm),
        (&[0x00, 0xe5], Fault::Aborted),
        (&[0x60, 0xe5, 0xff, b'w', b'h', b'y', b' ', b'?'], Fault::Aborted),
        // Cut in the middle.
        (&[0xf4, 0xff, 0xff, 0xff, 0xff, 0x45, 0xff, 0xff, 0xff, 0xfe], Fault::Closed),
        (&[0xe4], Fault::Closed),
        (&[0x34, 0x45, 0xff, 0xff, 0xff, 0xfe, 0xff, 1], Fault::Closed),
        (&[], Fault::Closed),
    ] {
        for piece in [1, usize::MAX] {
            let server = Server::raw(move |msg| if msg.code == 1 { (bytes.to_vec(), true) } else { (vec![], false) });
            server.piece.set(piece);
            assert_eq!(fault(&server), expected, "{bytes:x?}");
            let aborted = server.messages.borrow().last().unwrap().1 == Msg::of(ABORT);
            assert_eq!(aborted, matches!(expected, Fault::Malformed | Fault::Csm), "{bytes:x?}");
        }
    }
    // Instead of the server's settings.
    for (bytes, expected) in [
        (Msg::of(PING).bytes(), Fault::Csm),
        (Msg::of(0x45).bytes(), Fault::Csm),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Fault::Csm),
        (Msg::of(CSM).with(3, b"x").bytes(), Fault::Csm),
        (Msg::of(ABORT).with_payload(b"go away").bytes(), Fault::Aborted),
        (Msg::of(CSM).with(2_000, &[7; 200]).bytes(), Fault::TooLong),
    ] {
        let server = Server::serving(&image(3_000, 1), b"v");
        server.greeting.replace(bytes.clone());
        assert_eq!(fault(&server), expected, "{bytes:x?}");
    }
    let server = Server::serving(&image(3_000, 1), b"v");
    server.greeting.take();
    assert_eq!(fetch_from(&server, 0).0, Err(Error::Connection(IoError::TimedOut)));
}

#[test]
fn a_failure_while_giving_up_does_not_hide_why() {
    let server = Server::raw(|msg| if msg.code == 1 { (vec![0x09, 0x45], false) } else { (vec![], false) });
    // All there is up to the faulty message.
    let whole = {
        assert_eq!(fault(&server), Fault::Malformed);
        server.sent.get() + server.received.get() - 2
    };
    let server = Server::raw(|msg| if msg.code == 1 { (vec![0x09, 0x45], false) } else { (vec![], false) });
    server.cut.set(whole);
    assert_eq!(fault(&server), Fault::Malformed);
}

/// What may come at any time: other's answers, requests, pings, empty messages, new settings.
fn noise(random: &mut fastrand::Rng, token: &[u8]) -> Msg {
    let foreign: Vec<u8> = (0..random.usize(..9)).map(|_| random.u8(..)).collect();
    let payload = vec![7; *random.choice(&[0, 1, 12, 13, 300, 70_000]).unwrap()];
    let msg = match random.u8(..9) {
        0 => Msg::of(PING).with(2, &[]),
        1 => Msg::of(PONG),
        2 => Msg::of(0),
        3 => Msg::csm(9_999).with(2_000, b"?"),
        4 => return Msg { token: token.to_vec(), ..Msg::of(1).with(11, b"hello").with_payload(&payload) },
        5 => Msg::of(0xe9).with(1, b"?"),
        _ => Msg::of(0x45).with_block(random.u32(..99), true, 6).with(2_048, &[7; 300]).with_payload(&payload),
    };
    if msg.code == CSM { msg } else { Msg { token: foreign, ..msg } }
}

#[test]
fn strangers_messages_are_left_out_and_pings_answered() {
    let file = image(30_000, 1);
    let (mut pings, mut pongs) = (0, 0);
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (window, piece) = (random.u8(1..5), *random.choice(&[1, 5, 64, usize::MAX]).unwrap());
        let sent = Rc::new(std::cell::RefCell::new(Vec::new()));
        let (body, list, largest) = (file.clone(), sent.clone(), random.u8(5..8));
        let server = Server::raw(move |msg| {
            if msg.code != 1 {
                return (vec![], false);
            }
            let mut bytes = Vec::new();
            let mut some = |bytes: &mut Vec<u8>| {
                for _ in 0..random.usize(..3) {
                    let msg = noise(&mut random, &msg.token);
                    bytes.extend(msg.bytes());
                    if msg.code == PING {
                        list.borrow_mut().push(msg.token);
                    }
                }
            };
            some(&mut bytes);
            bytes.extend(serve(msg, &body, b"v", largest, 3).bytes());
            some(&mut bytes);
            (bytes, false)
        });
        server.piece.set(piece);
        let (meta, bytes) = fetch_with(&server, SETTINGS.window(window), 0);
        assert!(meta.is_ok() && bytes == file, "{seed} {meta:?}");
        let answers: Vec<_> =
            server.messages.borrow().iter().filter(|(_, msg)| msg.code == PONG).map(|(_, msg)| msg.clone()).collect();
        assert!(answers.iter().all(|msg| msg.options.is_empty() && msg.payload.is_empty()));
        let tokens: Vec<_> = answers.iter().map(|msg| msg.token.clone()).collect();
        assert!(sent.borrow().starts_with(&tokens), "{seed}: the same, in the same order");
        pings += sent.borrow().len();
        pongs += tokens.len();
    }
    println!("{pings} pings, {pongs} pongs");
    // Those after the last byte are not read.
    assert!(pongs > 500 && pings - pongs < 300);
}

#[test]
fn r26_answers_in_another_order_are_asked_for_again_one_at_a_time() {
    let file = image(60_000, 1);
    for window in [2, 3, 8] {
        for seed in 0..100 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (body, bert) = (file.clone(), random.usize(1..5));
            let mut held: Vec<Vec<u8>> = Vec::new();
            let server = Server::raw(move |msg| {
                if msg.code != 1 {
                    return (vec![], false);
                }
                held.push(serve(msg, &body, b"v", 7, bert).bytes());
                // The last requests of a burst overtake those before.
                random.shuffle(&mut held);
                let now = if msg.block().0 as usize > 2 && random.u8(..4) == 0 { 0 } else { held.len() };
                (held.drain(..now).flatten().collect(), false)
            });
            let (meta, bytes) = fetch_with(&server, SETTINGS.window(window), 0);
            assert!(file.starts_with(&bytes), "{window} {seed}");
            match meta {
                Ok(_) => assert!(bytes == file),
                // It waits for what the server holds back.
                Err(error) => assert_eq!(error, Error::Connection(IoError::TimedOut)),
            }
        }
    }
    // Two that change places.
    let (body, mut first) = (file.clone(), None);
    let server = Server::raw(move |msg| {
        if msg.code != 1 {
            return (vec![], false);
        }
        let answer = serve(msg, &body, b"v", 7, 4).bytes();
        match msg.block().0 {
            8 if first.is_none() => {
                first = Some(answer);
                (vec![], false)
            }
            _ => (
                answer
                    .into_iter()
                    .chain(if msg.block().0 == 12 { first.take().unwrap_or_default() } else { vec![] })
                    .collect(),
                false,
            ),
        }
    });
    let (meta, bytes) = fetch_with(&server, SETTINGS.window(3), 0);
    assert!(meta.is_ok() && bytes == file, "{meta:?}");
    let numbers: Vec<_> = server.blocks().iter().map(|block| block.0).collect();
    assert_eq!(numbers[..8], [0, 4, 8, 12, 16, 12, 16, 20], "{numbers:?}");
}

#[test]
fn a_server_that_refuses_what_is_asked_ahead_is_asked_one_at_a_time() {
    let file = image(60_000, 1);
    let (body, mut asked) = (file.clone(), 0);
    let server = Server::new(move |request| {
        asked += 1;
        if asked == 4 { request.answer(0x9d) } else { serve(request, &body, b"v", 7, 4) }
    });
    let (meta, bytes) = fetch_with(&server, SETTINGS.window(3), 0);
    assert!(meta.is_ok() && bytes == file);
    let numbers: Vec<_> = server.blocks().iter().map(|block| block.0).collect();
    assert_eq!(numbers[..9], [0, 4, 8, 12, 16, 20, 12, 16, 20], "{numbers:?}");
    // Refused again, it is refused.
    let body = file.clone();
    let server =
        Server::new(
            move |request| {
                if request.block().0 == 12 { request.answer(0x9d) } else { serve(request, &body, b"v", 7, 4) }
            },
        );
    let (meta, bytes) = fetch_with(&server, SETTINGS.window(3), 0);
    assert_eq!((meta, bytes.len()), (Err(Error::Answer(Fault::Status { code: 0x9d, max_age: 60 })), 12_288));
}

#[test]
fn more_is_asked_for_before_the_present_answer_is_through() {
    let server = Server::serving(&image(80_000, 1), b"v");
    let mut buf = [0; 128];
    for (window, asked) in [(1, 0), (2, 1), (4, 3), (8, 7)] {
        server.messages.borrow_mut().clear();
        let mut source = CoapTcp::new(&server, URL, SETTINGS.window(window), &mut buf).unwrap();
        block_on(source.open(0)).unwrap();
        let mut out = [0; 500];
        let mut read = 0;
        while read < 3_000 {
            read += block_on(source.read(&mut out)).unwrap();
        }
        assert_eq!(server.requests().len(), 1 + asked);
    }
    // Never beyond the end.
    let server = Server::serving(&image(20_000, 1), b"v");
    fetch_with(&server, SETTINGS.window(8), 0).0.unwrap();
    assert_eq!(server.blocks().len(), 3);
}

#[test]
fn r26_a_connection_that_is_cut_anywhere_is_gone_on_with_and_never_mixed() {
    let file = image(5_000, 1);
    let make = || {
        let body = file.clone();
        Server::new(move |request| serve(request, &body, b"ver1", 7, 2))
    };
    let whole = make();
    assert!(fetch_from(&whole, 0).1 == file);
    let all = whole.sent.get() + whole.received.get();
    for window in [1, 3] {
        for cut in 0..all {
            let server = make();
            server.cut.set(cut);
            let mut buf = [0; 128];
            let mut source = CoapTcp::new(&server, URL, SETTINGS.window(window), &mut buf).unwrap();
            let (meta, mut bytes) = fetch(&mut source, 0, 700);
            let error = meta.expect_err("it was cut");
            assert!(matches!(error, Error::Connection(IoError::ConnectionReset)), "{error:?}");
            assert!(file.starts_with(&bytes));
            assert_eq!(block_on(source.read(&mut [0; 9])), Err(Error::Answer(Fault::NotOpen)));
            server.cut.set(usize::MAX);
            let (meta, rest) = fetch(&mut source, bytes.len() as u32, 700);
            assert_eq!(meta.unwrap().start as usize, bytes.len());
            bytes.extend(rest);
            assert!(bytes == file, "{window} {cut}");

            let server = make();
            server.cut.set(cut);
            let (ok, stored, _) = {
                let reset = &server;
                let mut target = Ram::default();
                let mut update = Update::new(&mut target, NoProgress, named());
                let Ok(Begun::Receiving(mut session)) = block_on(update.begin()) else { panic!("nothing is stored") };
                let (mut buf, mut chunk, mut clock) = ([0; 128], [0; 512], Clock::default());
                let mut source = CoapTcp::new(reset, URL, SETTINGS.window(window), &mut buf).unwrap();
                let mut calls = 0;
                let outcome = loop {
                    let outcome = block_on(download(
                        &mut source,
                        &mut session,
                        Backoff::new().attempts(1),
                        &mut clock,
                        &mut chunk,
                        |_| ControlFlow::Continue(()),
                    ));
                    calls += 1;
                    if outcome.is_ok() || calls > 2 {
                        break outcome;
                    }
                    server.cut.set(usize::MAX);
                };
                (outcome.is_ok(), target.bytes, clock.0)
            };
            assert!(ok && stored == file, "{window} {cut}");
        }
    }
}

#[test]
fn a_connection_that_is_closed_amid_a_message_is_an_error() {
    let file = image(30_000, 1);
    for window in [1, 3] {
        let (body, mut asked) = (file.clone(), 0);
        let server = Server::raw(move |msg| {
            if msg.code != 1 {
                return (vec![], false);
            }
            asked += 1;
            let mut answer = serve(msg, &body, b"ver1", 7, 4).bytes();
            answer.truncate(if asked == 2 { 3_000 } else { answer.len() });
            (answer, asked == 2)
        });
        let (meta, bytes) = fetch_with(&server, SETTINGS.window(window), 0);
        assert_eq!(meta, Err(Error::Answer(Fault::Closed)));
        assert!(bytes.len() > 6_000 && file.starts_with(&bytes));
        assert_eq!(server.connections.borrow().len(), 1);
    }
}

#[test]
fn without_room_nothing_is_read() {
    let server = Server::serving(&image(3_000, 1), b"ver1");
    let mut buf = [0; 128];
    let mut source = CoapTcp::new(&server, URL, SETTINGS, &mut buf).unwrap();
    block_on(source.open(0)).unwrap();
    let mut all = Vec::<u8>::new();
    while all.len() < 3_000 {
        assert_eq!(block_on(source.read(&mut [])), Ok(0));
        let mut out = [0; 300];
        let count = block_on(source.read(&mut out)).unwrap();
        all.extend(&out[..count]);
    }
    assert!(all == image(3_000, 1));
}

#[test]
fn r26_a_connection_that_was_closed_while_nothing_was_asked_for_is_opened_again() {
    let file = image(30_000, 1);
    for window in [1, 2] {
        let server = Server::serving(&file, b"ver1");
        let mut buf = [0; 128];
        let mut source = CoapTcp::new(&server, URL, SETTINGS.window(window), &mut buf).unwrap();
        let (mut all, mut out) = (Vec::<u8>::new(), [0; 1_024]);
        block_on(source.open(0)).unwrap();
        while all.len() < 30_000 {
            // Between two messages.
            if window == 1 && all.len() == 8_192 || all.len() == 30_000 {
                server.closed.set(true);
            }
            let count = block_on(source.read(&mut out)).unwrap();
            all.extend(&out[..count]);
        }
        assert!(all == file);
        assert_eq!(server.connections.borrow().len(), if window == 1 { 2 } else { 1 });
        // And between two files.
        server.closed.set(true);
        assert!(fetch(&mut source, 7, 700).1 == file[7..]);
        // But not again and again.
        server.closed.set(true);
        server.down.set(usize::MAX);
        assert_eq!(block_on(source.open(0)), Err(Error::Connection(IoError::ConnectionRefused)));
    }
}

#[test]
fn a_released_connection_gives_what_is_due_and_another_one_the_rest() {
    let file = image(60_000, 1);
    for window in [1, 2, 4] {
        for (at, before) in [(1, true), (1, false), (3, true), (3, false), (8, true), (8, false)] {
            for close in [true, false] {
                let (body, mut asked) = (file.clone(), 0);
                let server = Server::raw(move |msg| {
                    if msg.code != 1 {
                        return (vec![], false);
                    }
                    asked += 1;
                    let answer = serve(msg, &body, b"ver1", 7, 4).bytes();
                    let release = Msg::of(RELEASE).with(2, b"other.example").with_payload(b"I want to sleep").bytes();
                    match (asked == at, before) {
                        (false, _) => (answer, false),
                        (true, true) => ([release, answer].concat(), close),
                        (true, false) => ([answer, release].concat(), close),
                    }
                });
                let (meta, bytes) = fetch_with(&server, SETTINGS.window(window), 0);
                let what = format!("{window} {at} {before} {close} {meta:?}");
                assert!(meta.is_ok() && bytes == file, "{what}");
                assert_eq!(server.connections.borrow().len(), 2, "{what}");
                let messages = server.messages.borrow();
                let second = messages.iter().position(|(nth, _)| *nth == 2).unwrap();
                assert!(messages[second].1.code == CSM && messages[second + 1].1.code == 1);
                let numbers: Vec<_> = server.blocks().iter().map(|block| block.0).collect();
                // Unless the server closes it before it has answered all: nothing is asked for twice.
                assert!(numbers.len() == 15 || close && (window > 1 || !before), "{what} {numbers:?}");
            }
        }
    }
    // One that answers nothing, or wants a pause.
    for (hold_off, after, expected) in [(None, 0, 0), (Some(30), 0, 30), (Some(30), 2, 30)] {
        let (body, mut asked) = (file.clone(), 0);
        let server = Server::raw(move |msg| {
            if msg.code != 1 {
                return (vec![], false);
            }
            asked += 1;
            if asked <= after {
                return (serve(msg, &body, b"ver1", 7, 4).bytes(), false);
            }
            let release = Msg::of(RELEASE);
            (hold_off.map_or(release.clone(), |seconds| release.with(4, &uint(seconds))).bytes(), true)
        });
        let (meta, bytes) = fetch_from(&server, 0);
        assert_eq!(meta, Err(Error::Answer(Fault::Released { hold_off: expected })));
        assert!(file.starts_with(&bytes) && bytes.len() == 4_096 * after && server.connections.borrow().len() == 1);
    }
    let server = Server::serving(&file, b"ver1");
    server.greeting.replace([Msg::csm(9_999).bytes(), Msg::of(RELEASE).bytes()].concat());
    assert_eq!(fault(&server), Fault::Released { hold_off: 0 });
}

#[test]
fn r10_a_break_amid_a_file_without_a_name_is_not_gone_over() {
    let file = image(60_000, 1);
    for etag in [&b""[..], b"\x01", b"abc"] {
        for window in [1, 2] {
            // Released, lost while idle, a record that is too long: each after the first message.
            for how in 0..3 {
                let (body, mut asked) = (file.clone(), 0);
                let server = Server::raw(move |msg| {
                    if msg.code != 1 {
                        return (vec![], false);
                    }
                    asked += 1;
                    let answer = serve(msg, &body, etag, 7, 4).bytes();
                    let release = if asked == 1 && how == 0 { Msg::of(RELEASE).bytes() } else { vec![] };
                    ([answer, release].concat(), false)
                });
                let mut buf = [0; 128];
                let mut source = CoapTcp::new(&server, URL, SETTINGS.window(window), &mut buf).unwrap();
                block_on(source.open(0)).unwrap();
                let (mut all, mut out) = (Vec::new(), [0; 1_024]);
                let error = loop {
                    if how == 2 && all.len() >= 4_096 {
                        server.record.set(2_303);
                    }
                    if how == 1 && all.len() == 4_096 {
                        server.closed.set(true);
                    }
                    match block_on(source.read(&mut out)) {
                        Ok(count) => all.extend(&out[..count]),
                        Err(error) => break error,
                    }
                };
                assert!(file.starts_with(&all) && all.len() < 20_000);
                let expected = match how {
                    0 => Error::Answer(Fault::Released { hold_off: 0 }),
                    1 => Error::Connection(IoError::BrokenPipe),
                    _ => Error::Connection(IoError::OutOfMemory),
                };
                // With more asked for, that the connection is lost is seen when it is read.
                let closed = how == 1 && window == 2 && error == Error::Answer(Fault::Closed);
                assert!(error == expected || closed, "{error:?}");
                assert_eq!(error.retry(), Retry::Later);
                assert_eq!(server.connections.borrow().len(), 1);
                let (meta, rest) = fetch(&mut source, all.len() as u32, 700);
                assert!(meta.unwrap().start as usize == all.len() && rest == file[all.len()..]);
            }
        }
    }
}

#[test]
fn r25_records_that_are_too_long_are_made_shorter_once() {
    let file = image(30_000, 1);
    for from in [0, 12_345] {
        let body = file.clone();
        let server = Server::new(move |request| serve(request, &body, b"v", 7, 8));
        server.record.set(2_303);
        let (meta, bytes) = fetch_from(&server, from);
        assert!(meta.is_ok() && bytes == file[from as usize..], "{meta:?}");
        assert_eq!(server.connections.borrow().len(), 2);
        assert!(server.blocks()[1..].iter().all(|block| block.1 == 6));
        let announced: Vec<_> =
            server.messages.borrow().iter().filter(|(_, msg)| msg.code == CSM).map(|(_, msg)| msg.clone()).collect();
        assert_eq!(announced[1].option(2), Some(&uint(1_152)[..]));
        server.record.set(1_000);
        assert_eq!(fetch_from(&server, 0).0, Err(Error::Record(IoError::OutOfMemory)));
    }
}

#[test]
fn r26_a_file_that_changes_amid_a_transfer_is_never_mixed() {
    for (len, etags) in
        [(29_000, [&b"a"[..], b"b"]), (29_500, [b"a", b"b"]), (29_000, [b"a", b""]), (29_000, [b"", b"b"])]
    {
        for window in [1, 4] {
            for at in 1..12 {
                let make = || {
                    let [one, other] = [image(29_000, 1), image(len, 2)];
                    let mut asked = 0;
                    Server::new(move |request| {
                        asked += 1;
                        let old = asked <= at;
                        serve(request, if old { &one } else { &other }, etags[usize::from(!old)], 7, 4)
                    })
                };
                let (meta, bytes) = fetch_with(&make(), SETTINGS.window(window), 0);
                match meta {
                    Ok(_) => assert!(at >= 8 && bytes == image(29_000, 1)),
                    Err(error) => {
                        assert_eq!(error, Error::Answer(Fault::Changed));
                        assert!(bytes.len() <= at * 4_096 && image(29_000, 1).starts_with(&bytes));
                    }
                }
                // A download starts over.
                let (ok, stored, _) = run(&make(), SETTINGS.window(window), named());
                assert!(
                    ok && (stored == image(len, 2) || at >= 8 && stored == image(29_000, 1)),
                    "{len} {window} {at}"
                );
            }
        }
    }
}

#[test]
fn without_a_name_a_new_length_is_seen_at_once() {
    for window in [1, 4] {
        let mut asked = 0;
        let server = Server::new(move |request| {
            asked += 1;
            let file = if asked <= 2 { image(29_000, 1) } else { image(29_500, 2) };
            let answer = serve(request, &file, b"", 7, 4).without(28);
            answer.with(28, &uint(file.len() as u32))
        });
        let (meta, bytes) = fetch_with(&server, SETTINGS.window(window), 0);
        assert_eq!(meta, Err(Error::Answer(Fault::Changed)));
        assert!(bytes == image(29_000, 1)[..8_192]);
    }
}

#[test]
fn a_changed_file_is_given_from_its_start_by_the_next_open() {
    for whole in [false, true] {
        let version = Rc::new(Cell::new(1));
        let current = version.clone();
        let server = Server::new(move |request| {
            let file = image(50_000, current.get());
            match whole {
                true => request.answer(0x45).with(4, &[current.get(); 4]).with_payload(&file),
                false => serve(request, &file, &[current.get(); 4], 7, 8),
            }
        });
        let mut buf = [0; 128];
        let mut source = CoapTcp::new(&server, URL, SETTINGS, &mut buf).unwrap();
        let first = block_on(source.open(0)).unwrap();
        let same = block_on(source.open(20_000)).unwrap();
        assert_eq!(same, Meta { start: 20_000, ..first });
        version.set(2);
        let (other, bytes) = fetch(&mut source, 20_000, 700);
        assert_eq!(other.unwrap().start, 0);
        assert!(other.unwrap().tag != first.tag && bytes == image(50_000, 2));
        // What is left of a message that is not too long is left out, and the connection kept.
        assert_eq!(server.connections.borrow().len(), if whole { 4 } else { 1 });
    }
}

#[test]
fn r10_short_etags_name_no_version() {
    for (etag, known) in [(&b"\x01"[..], false), (b"abc", false), (b"abcd", true)] {
        let server = Server::serving(&image(5_000, 1), etag);
        assert_eq!(fetch_from(&server, 0).0.unwrap().tag != 0, known);
    }
}

#[test]
fn r09_a_dropped_future_costs_the_transfer_and_never_the_source() {
    let file = image(6_000, 1);
    let mut drops = 0;
    for window in [1, 3] {
        for polls in 0..120 {
            let server = Server::serving(&file, b"v");
            server.slow.set(true);
            server.piece.set(900);
            let mut buf = [0; 128];
            let mut source = CoapTcp::new(&server, URL, SETTINGS.window(window), &mut buf).unwrap();
            let (mut out, mut bytes) = ([0; 500], Vec::new());
            // So many polls, over all calls.
            let mut left = polls;
            let (mut dropped, mut amid) = (false, false);
            for nth in 0.. {
                let mut used = 0;
                let done = {
                    let mut call = std::pin::pin!(async {
                        if nth == 0 { source.open(0).await.map(|_| usize::MAX) } else { source.read(&mut out).await }
                    });
                    loop {
                        if used == left {
                            break None;
                        }
                        used += 1;
                        if let Some(result) = poll_and_drop(call.as_mut(), 1) {
                            break Some(result.unwrap());
                        }
                    }
                };
                left -= used;
                match done {
                    Some(usize::MAX) => {}
                    Some(0) => break,
                    Some(count) => bytes.extend(&out[..count]),
                    None => {
                        (dropped, amid) = (true, used > 0);
                        break;
                    }
                }
            }
            assert!(file.starts_with(&bytes));
            if dropped {
                drops += 1;
                let connections = server.connections.borrow().len();
                if amid {
                    if polls % 2 == 0 {
                        assert_eq!(block_on(source.read(&mut out)), Err(Error::Answer(Fault::NotOpen)));
                    }
                    block_on(source.open(0)).unwrap();
                    assert_eq!(server.connections.borrow().len(), connections + 1);
                }
            }
            let (meta, rest) = fetch(&mut source, bytes.len() as u32, 700);
            assert!(meta.is_ok() && rest == file[bytes.len()..], "{window} {polls} {meta:?}");
        }
    }
    println!("{drops} drops");
    assert!(drops > 60);
}

/// Random answers, most of which are nearly right.
#[test]
fn r26_whatever_comes_nothing_panics_and_no_more_is_given_than_was_announced() {
    let (mut given, mut ended, mut faults) = (0, 0, std::collections::BTreeSet::new());
    for seed in 0..30_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let len = random.usize(1..400);
        let mut answers = fastrand::Rng::with_seed(seed + 1_000_000);
        let server = Server::raw(move |msg| {
            let random = &mut answers;
            if msg.code != 1 {
                return (vec![], false);
            }
            let mut answer = msg.answer(0x45);
            let asked = if msg.option(23).is_some() { msg.block() } else { (0, false, 6) };
            if random.u8(..10) == 0 {
                answer.code = *random.choice(&[0, 0x43, 0x84, 0xa0, 0xa3, 0x5f, 1, CSM, PING, RELEASE, ABORT]).unwrap();
            }
            if random.u8(..20) == 0 {
                answer.token.truncate(random.usize(..5));
            }
            if random.u8(..10) > 0 {
                let number = if random.u8(..6) == 0 { random.u32(..1 << 20) } else { asked.0 };
                answer =
                    answer.with_block(number, random.u8(..5) > 0, if random.bool() { asked.2 } else { random.u8(..8) });
            }
            if random.u8(..3) == 0 {
                answer = answer.with(28, &uint(if random.bool() { len as u32 } else { random.u32(..) }));
            }
            if random.u8(..8) == 0 {
                answer = answer.with(4, &[random.u8(..2)]);
            }
            let size = if random.u8(..4) == 0 { random.usize(..100) } else { 16 << asked.2.min(6) };
            let mut bytes = answer.with_payload(&vec![7; size]).bytes();
            if random.u8(..6) == 0 {
                let at = random.usize(..bytes.len().min(20));
                bytes[at] = random.u8(..);
            }
            if random.u8(..8) == 0 {
                bytes.truncate(random.usize(..bytes.len()));
            }
            (bytes, random.u8(..10) == 0)
        });
        server.piece.set(*random.choice(&[1, 3, 50, usize::MAX]).unwrap());
        let mut buf = vec![0; random.usize(70..200)];
        let message = if random.bool() { 1_152 } else { 9_000 };
        let settings =
            Settings::new(random.u32(..)).window(random.u8(..10)).block(1 << random.u8(4..11)).message(message);
        let mut source = CoapTcp::new(&server, "coap+tcp://1.1.1.1/f", settings, &mut buf).unwrap();
        let mut out = vec![0; random.usize(1..100)];
        for _ in 0..3 {
            let from = if random.bool() { 0 } else { random.u32(..1_000) };
            let meta = match block_on(source.open(from)) {
                Ok(meta) => meta,
                Err(error) => {
                    faults.insert(format!("{error:?}").chars().take(18).collect::<String>());
                    continue;
                }
            };
            assert!(meta.start == from || meta.start == 0);
            let mut left = meta.size.map_or(u32::MAX, |size| size.checked_sub(meta.start).unwrap());
            for _ in 0..200 {
                match block_on(source.read(&mut out)) {
                    Ok(0) => {
                        ended += 1;
                        assert!(meta.size.is_none() || left == 0);
                        break;
                    }
                    Ok(count) => {
                        given += count;
                        left = left
                            .checked_sub(count as u32)
                            .unwrap_or_else(|| panic!("{seed} {from} {meta:?} {left} {count}"));
                    }
                    Err(error) => {
                        faults.insert(format!("{error:?}").chars().take(18).collect::<String>());
                        break;
                    }
                }
            }
        }
    }
    println!("{given} bytes given, {ended} ends, faults: {faults:?}");
    assert!(given > 10_000 && ended > 100);
}
