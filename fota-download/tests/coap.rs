//! The CoAP source against servers that follow a script, over a network that does its worst.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops there"
)]

mod support;

#[path = "support/datagrams.rs"]
mod datagrams;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;

use datagrams::{ACK, CON, Down, Msg, NON, Network, RST, serve, uint};
use dfu_target::progress::NoProgress;
use dfu_target::session::Update;
use dfu_target::{Begun, Digest, ImageId, Request};
use fota_download::coap::{Error, Fault, Security, Settings, UrlError, space};
use fota_download::source::{Error as _, Retry};
use fota_download::{Backoff, Coap, Meta, Source, download};
use support::{Clock, Ram, block_on, image, poll_and_drop};

const URL: &str = "coap://fw.example/app.bin?v=2";
const SETTINGS: Settings = Settings::new(0x1234_5678_9abc_fffe);

/// Opens at an offset and reads to the end, in pieces of so many bytes.
fn fetch(
    source: &mut impl Source<Error = Error<Down>>,
    from: u32,
    piece: usize,
) -> (Result<Meta, Error<Down>>, Vec<u8>) {
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

fn fetch_with(net: &Network, settings: Settings, from: u32) -> (Result<Meta, Error<Down>>, Vec<u8>) {
    let mut buf = vec![0; space(1_024, 8)];
    fetch(&mut Coap::new(net, URL, settings, &mut buf).unwrap(), from, 700)
}

fn fetch_from(net: &Network, from: u32) -> (Result<Meta, Error<Down>>, Vec<u8>) {
    fetch_with(net, SETTINGS, from)
}

fn fault(net: &Network) -> Fault {
    match fetch_from(net, 0).0 {
        Err(Error::Answer(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

/// A download into an empty target: whether it succeeds, what is stored, and the pauses in milliseconds.
fn run(net: &Network, settings: Settings, request: Request) -> (bool, Vec<u8>, Vec<u32>) {
    let mut target = Ram::default();
    let mut update = Update::new(&mut target, NoProgress, request);
    let Ok(Begun::Receiving(mut session)) = block_on(update.begin()) else { panic!("nothing is stored") };
    let (mut buf, mut chunk, mut clock) = (vec![0; space(1_024, 8)], [0; 512], Clock::default());
    let mut source = Coap::new(net, URL, settings, &mut buf).unwrap();
    let outcome = block_on(download(&mut source, &mut session, Backoff::new(), &mut clock, &mut chunk, |_| {
        ControlFlow::Continue(())
    }));
    (outcome.is_ok(), target.bytes, clock.0)
}

fn named() -> Request {
    Request::new(ImageId::named("app"))
}

#[test]
fn r26_a_file_comes_whole_block_by_block() {
    for (len, largest) in [(1, 6), (1_023, 6), (1_024, 6), (1_025, 6), (5_000, 6), (5_000, 4), (700, 0)] {
        for window in [1, 3, 8] {
            let file = image(len.max(4), 1)[..len].to_vec();
            let body = file.clone();
            let net = Network::new(move |request| serve(request, &body, b"ver1", largest));
            let (meta, bytes) = fetch_with(&net, SETTINGS.window(window), 0);
            let meta = meta.unwrap();
            assert_eq!((meta.size, meta.start), (Some(len as u32), 0));
            assert!(meta.tag != 0 && bytes == file, "{len} {largest} {window}");
            let size = 16 << largest;
            assert_eq!(net.blocks(), (0..len.div_ceil(size) as u32).collect::<Vec<_>>());
            assert_eq!(*net.connections.borrow(), [(Security::None, "fw.example".into(), 5683)]);
        }
    }
}

#[test]
fn requests_say_what_they_should_and_are_named_apart() {
    let net = Network::serving(&image(3_000, 1), b"ver1");
    let mut buf = vec![0; space(1_024, 1)];
    let url = "coaps://FW.example:99/a%2Fb//c%20d/?x=%26&y&z";
    let mut source = Coap::new(&net, url, SETTINGS, &mut buf).unwrap();
    fetch(&mut source, 0, 700).0.unwrap();
    fetch(&mut source, 2_500, 700).0.unwrap();
    let requests = net.requests.borrow();
    assert_eq!(requests.len(), 4);
    for (nth, (_, msg)) in requests.iter().enumerate() {
        assert_eq!((msg.kind, msg.code, msg.texts(3)), (CON, 1, vec!["fw.example".into()]));
        assert_eq!(msg.texts(11), ["a/b", "", "c d", ""]);
        assert_eq!(msg.texts(15), ["x=&", "y", "z"]);
        assert_eq!(msg.id, 0x5678_u16.wrapping_add(nth as u16));
        assert_eq!(msg.token, 0x9abc_fffe_u32.wrapping_add(nth as u32).to_be_bytes());
        assert_eq!(msg.option(28), [0, 3].contains(&nth).then_some(&[][..]), "Size2 in the first of each");
        assert_eq!(msg.option(4), None, "never an ETag");
        assert!(msg.payload.is_empty() && msg.options.len() == 9 + msg.options.iter().filter(|o| o.0 == 28).count());
    }
    assert_eq!(*net.connections.borrow(), [(Security::Dtls, "FW.example".into(), 99)]);
    drop(requests);

    for url in ["coap://10.0.0.1/", "coap://[::1]:5683"] {
        let net = Network::serving(&image(30, 1), b"ver1");
        fetch(&mut Coap::new(&net, url, SETTINGS, &mut buf).unwrap(), 0, 700).0.unwrap();
        let options: Vec<_> = net.requests.borrow()[0].1.options.iter().map(|option| option.0).collect();
        assert_eq!(options, [23, 28], "an address needs no name: {url}");
    }
}

#[test]
fn a_proxy_is_asked_for_the_whole_url_and_never_weaker_than_it() {
    let net = Network::serving(&image(3_000, 1), b"ver1");
    let mut buf = vec![0; space(1_024, 1)];
    let mut source = Coap::new(&net, URL, SETTINGS, &mut buf).unwrap().proxy("coaps://proxy.example:7").unwrap();
    fetch(&mut source, 0, 700).0.unwrap();
    let first = net.requests.borrow()[0].1.clone();
    assert_eq!(first.texts(35), [URL]);
    assert_eq!((first.option(3), first.option(11), first.option(15)), (None, None, None));
    assert_eq!(*net.connections.borrow(), [(Security::Dtls, "proxy.example".into(), 7)]);
    let weaker = Coap::new(&net, "coaps://a/b", SETTINGS, &mut buf).unwrap().proxy("coap://proxy.example");
    assert!(matches!(weaker, Err(UrlError::Scheme)));
}

#[test]
fn the_buffer_bounds_the_block_and_the_request() {
    for (len, szx) in [(80, 0), (95, 0), (96, 1), (300, 3), (1_087, 5), (1_088, 6)] {
        let net = Network::serving(&image(3_000, 1), b"ver1");
        let mut buf = vec![0; len];
        let (meta, bytes) = fetch(&mut Coap::new(&net, URL, SETTINGS.window(8), &mut buf).unwrap(), 0, 100);
        assert!(meta.is_ok() && bytes == image(3_000, 1), "{len}");
        assert_eq!(net.requests.borrow()[0].1.block().2, szx);
    }
    let net = Network::serving(&[], b"");
    let long = format!("coap://a/{}", "x".repeat(90));
    let part = format!("coap://a/?{}", "%41".repeat(256));
    for (url, len) in [(URL, 79), (&long, 100), (URL, 0), (&part, 2_000)] {
        assert!(matches!(Coap::new(&net, url, SETTINGS, &mut vec![0; len]), Err(UrlError::TooLong)), "{len}");
    }
}

#[test]
fn a_file_is_read_from_any_offset() {
    let file = image(4_000, 1);
    for largest in [6, 5, 2] {
        let body = file.clone();
        let net = Network::new(move |request| serve(request, &body, b"ver1", largest));
        for window in [1, 8] {
            let mut buf = vec![0; space(1_024, 8)];
            let mut source = Coap::new(&net, URL, SETTINGS.window(window), &mut buf).unwrap();
            for from in [0, 1, 63, 64, 1_023, 1_024, 1_025, 2_047, 3_071, 3_072, 3_999] {
                let (meta, bytes) = fetch(&mut source, from, 333);
                let meta = meta.unwrap();
                assert_eq!((meta.start, meta.size), (from, Some(4_000)));
                assert!(bytes == file[from as usize..], "{largest} {from}");
            }
            for from in [4_097, 10_000] {
                let (meta, bytes) = fetch(&mut source, from, 333);
                assert_eq!(meta.unwrap().start, 0, "a file that is shorter now is given from its start");
                assert!(bytes == file);
            }
        }
    }
}

#[test]
fn a_server_may_choose_smaller_blocks_at_any_time() {
    let file = image(20_000, 1);
    for window in [1, 8] {
        for seed in 0..50 {
            let (body, mut asked) = (file.clone(), 0);
            let net = Network::new(move |request| {
                asked += 1;
                serve(request, &body, b"ver1", [6, 6, 6, 4, 5, 2][asked / 4 % 6])
            });
            net.random.replace(fastrand::Rng::with_seed(seed));
            net.late.set(300);
            let (meta, bytes) = fetch_with(&net, SETTINGS.window(window), 0);
            assert!(meta.is_ok() && bytes == file, "{window} {seed} {meta:?}");
        }
    }
}

#[test]
fn a_server_that_does_not_name_the_length_ends_with_its_last_block() {
    for len in [1_000, 4_096, 4_097, 9_000] {
        for (window, empty) in [(1, true), (8, true), (8, false)] {
            let file = image(len, 1);
            let body = file.clone();
            let net = Network::new(move |request| {
                let (number, _, szx) = request.block();
                let behind = (number as usize) << (szx + 4) >= body.len();
                if behind && empty {
                    return request.answer(0x45).with(4, b"v").with_block(number, false, szx);
                }
                let mut answer = serve(request, &body, b"v", 6);
                answer.options.retain(|option| option.0 != 28);
                answer
            });
            for (late, seed) in [(0, 0), (300, 1), (300, 2), (300, 3)] {
                net.late.set(late);
                net.random.replace(fastrand::Rng::with_seed(seed));
                let (meta, bytes) = fetch_with(&net, SETTINGS.window(window), 0);
                assert_eq!(meta.unwrap().size, (len <= 1_024).then_some(len as u32));
                assert!(bytes == file, "{len} {window} {empty} {seed}");
            }
            // And behind its end.
            assert_eq!(fetch_from(&net, 9_500).0.unwrap().start, 0);
        }
    }
}

#[test]
fn a_server_without_block2_sends_it_in_one_piece() {
    let net = Network::new(|request| request.answer(0x45).with_payload(b"small"));
    let (meta, bytes) = fetch_from(&net, 0);
    assert_eq!((meta.unwrap(), &bytes[..]), (Meta { size: Some(5), tag: 0, start: 0 }, &b"small"[..]));
    assert_eq!(fetch_from(&net, 3).1, b"ll");
}

#[test]
fn an_empty_file_is_empty() {
    let net = Network::new(|request| request.answer(0x45));
    let (meta, bytes) = fetch_from(&net, 0);
    assert_eq!((meta.unwrap().size, bytes.len()), (Some(0), 0));
}

#[test]
fn r26_what_goes_wrong_has_a_name() {
    let status = |code: u8| Network::new(move |request| request.answer(code));
    for (code, retry) in [
        (0x43, Retry::Never),
        (0x80, Retry::Never),
        (0x81, Retry::Never),
        (0x84, Retry::Never),
        (0x88, Retry::Later),
        (0x9d, Retry::After(60)),
        (0xa0, Retry::Later),
        (0xa3, Retry::After(60)),
        (0xa4, Retry::Later),
    ] {
        let fault = fault(&status(code));
        assert_eq!(fault, Fault::Status { code, max_age: 60 });
        assert_eq!(Error::<Down>::Answer(fault).retry(), retry, "{code:#x}");
    }
    for code in [0x9d, 0xa3] {
        let net = Network::new(move |request| request.answer(code).with(14, &uint(700)));
        assert_eq!(Error::<Down>::Answer(fault(&net)).retry(), Retry::After(700));
    }
    let ok = |request: &Msg| serve(request, &image(3_000, 1), b"v", 6);
    type Change = fn(Msg) -> Msg;
    let cases: [(Change, Fault); 6] = [
        (|answer| answer.with(9, b"x"), Fault::Option),
        (|answer| answer.with_block(0, true, 6), Fault::Option),
        (
            |mut answer| {
                answer.options.retain(|o| o.0 != 23);
                answer.with_block(1, true, 6)
            },
            Fault::Block,
        ),
        (
            |mut answer| {
                answer.options.retain(|o| o.0 != 23);
                answer.with_block(0, true, 7)
            },
            Fault::Block,
        ),
        (|answer| answer.with(2_048, &[7; 300]), Fault::TooLong),
        (|answer| answer.with(2_048, &[7; 270]).with_payload(&[]), Fault::Timeout),
    ];
    for (change, expected) in cases {
        let net = Network::new(move |request| change(ok(request)));
        let mut buf = vec![0; space(1_024, 1)];
        let got = fetch(&mut Coap::new(&net, URL, SETTINGS, &mut buf).unwrap(), 0, 700).0;
        assert_eq!(got, Err(Error::Answer(expected)));
    }
    let net = Network::raw(|msg, _| vec![(0, Msg::empty(RST, msg.id).bytes())]);
    assert_eq!(fault(&net), Fault::Reset);
    let net = Network::raw(|_, _| vec![]);
    assert_eq!(fault(&net), Fault::Timeout);
    assert!((62_000..=93_000).contains(&net.elapsed()), "{}", net.elapsed());
    let ids: Vec<_> = net.requests.borrow().iter().map(|(_, msg)| msg.id).collect();
    assert_eq!(ids, [ids[0]; 5], "the same request, five times");
    let net = Network::serving(&[], b"");
    net.down.set(1);
    assert_eq!(fetch_from(&net, 0).0, Err(Error::Connection(Down)));
}

#[test]
fn a_refusal_that_passes_costs_nothing_of_what_came() {
    let file = image(100_000, 1);
    for code in [0x88, 0xa0] {
        // How often the block is refused, and how often one before it is asked for: each refusal but the first meets a
        // transfer that was opened anew.
        for (times, begun, pauses) in [(1, 1, 1), (2, 2, 2), (3, 3, 2), (4, 3, 3)] {
            let body = file.clone();
            let (mut left, starts) = (times, Rc::new(Cell::new(0)));
            let counter = starts.clone();
            let net = Network::new(move |request| {
                let (number, _, _) = request.block();
                counter.set(counter.get() + u32::from(number == 0));
                if number == 90 && left > 0 {
                    left -= 1;
                    return request.answer(code);
                }
                serve(request, &body, b"12345678", 6)
            });
            let (whole, stored, waited) = run(&net, SETTINGS, named());
            assert!(whole && stored == file, "{code:#x} {times}");
            assert_eq!((starts.get(), waited.len()), (begun, pauses), "{code:#x} {times}: {waited:?}");
            // The second time in a row it is believed, and all of the file comes again.
            let requests = net.requests.borrow().len();
            assert_eq!(requests > 150, times > 2, "{code:#x} {times}: {requests}");
        }
    }
}

#[test]
fn a_server_that_promises_an_answer_again_and_again_is_given_up() {
    for retransmissions in [4, 20] {
        let net =
            Network::raw(|msg, _| if msg.code == 1 { vec![(0, Msg::empty(ACK, msg.id).bytes())] } else { vec![] });
        let began = net.now.get();
        let (outcome, _) = fetch_with(&net, SETTINGS.retransmissions(retransmissions), 0);
        assert_eq!(outcome, Err(Error::Answer(Fault::Timeout)));
        let times: Vec<_> = net.requests.borrow().iter().filter(|(_, msg)| msg.code == 1).map(|(at, _)| *at).collect();
        let waits: Vec<_> = times.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) / 1_000).collect();
        let expected = [30, 60, 120].into_iter().chain(std::iter::repeat(240)).take(usize::from(retransmissions));
        assert_eq!(waits, expected.collect::<Vec<_>>());
        assert!(net.now.get().wrapping_sub(began) < 2 * 3_600_000);
    }
}

#[test]
fn separate_answers_are_taken_and_acknowledged_again_and_again() {
    let file = image(5_000, 1);
    for kind in [CON, NON] {
        for window in [1, 4] {
            let body = file.clone();
            let mut id = 0x7000;
            let net = Network::raw(move |msg, _| {
                if msg.code != 1 {
                    return vec![];
                }
                id += 1;
                let mut late = serve(msg, &body, b"v", 6);
                (late.kind, late.id) = (kind, id);
                let late = late.bytes();
                // The server did not hear the first acknowledgement.
                vec![(0, Msg::empty(ACK, msg.id).bytes()), (3_000, late.clone()), (3_050, late.clone()), (5_000, late)]
            });
            let (meta, bytes) = fetch_with(&net, SETTINGS.window(window), 0);
            assert!(meta.is_ok() && bytes == file);
            let requests = net.requests.borrow();
            assert_eq!(requests.iter().filter(|(_, msg)| msg.code == 1).count(), 5, "nothing is sent twice");
            let acks: Vec<_> = requests.iter().filter(|(_, msg)| msg.kind == ACK).map(|(_, msg)| msg.id).collect();
            assert!(requests.iter().all(|(_, msg)| msg.kind != RST));
            if kind == NON {
                assert!(acks.is_empty());
            } else {
                assert!(acks.len() >= 7 && acks.iter().all(|ack| (0x7001..=0x7005).contains(ack)), "{acks:x?}");
            }
        }
    }
}

#[test]
fn an_answer_may_come_without_its_acknowledgement_and_one_that_never_comes_is_asked_for_anew() {
    let file = image(2_000, 1);
    let body = file.clone();
    let net = Network::raw(move |msg, _| {
        let mut late = if msg.code == 1 { serve(msg, &body, b"v", 6) } else { return vec![] };
        (late.kind, late.id) = (NON, 77);
        vec![(0, late.bytes())]
    });
    assert!(fetch_from(&net, 0).1 == file);
    let body = file.clone();
    let mut asked = 0;
    let net = Network::raw(move |msg, _| {
        asked += 1;
        let answer = if asked == 2 { Msg::empty(ACK, msg.id) } else { serve(msg, &body, b"v", 6) };
        vec![(0, answer.bytes())]
    });
    assert!(fetch_from(&net, 0).1 == file);
    assert!((30_000..31_000).contains(&net.elapsed()), "{}", net.elapsed());
    assert_eq!(net.blocks(), [0, 1, 1], "by a new request");
}

#[test]
fn strangers_are_sent_away_and_pings_answered() {
    let file = image(2_000, 1);
    let body = file.clone();
    let net = Network::raw(move |msg, _| {
        if msg.code != 1 {
            return vec![];
        }
        let stranger = |kind, id| Msg { kind, code: 0x45, id, token: vec![1; 4], ..Msg::default() };
        vec![
            (0, stranger(CON, 1).bytes()),
            (0, stranger(NON, 2).bytes()),
            (0, stranger(ACK, 3).bytes()),
            (0, Msg::empty(CON, 4).bytes()),
            (0, Msg::empty(NON, 5).bytes()),
            (0, Msg::empty(RST, msg.id ^ 0x100).bytes()),
            (0, Msg { code: 1, id: 6, ..Msg::default() }.bytes()),
            // The token, but another's acknowledgement.
            (0, Msg { id: msg.id ^ 1, ..serve(msg, &[0; 2_000], b"x", 6) }.bytes()),
            (1, serve(msg, &body, b"v", 6).bytes()),
        ]
    });
    let (meta, bytes) = fetch_from(&net, 0);
    assert!(meta.is_ok() && bytes == file);
    let requests = net.requests.borrow();
    let resets: Vec<_> = requests.iter().filter(|(_, msg)| msg.kind == RST).map(|(_, msg)| msg.id).collect();
    assert_eq!(resets, [1, 4, 6, 1, 4, 6]);
}

#[test]
fn r26_answers_of_an_earlier_transfer_are_not_taken_for_those_of_this_one() {
    let (old, new) = (image(3_000, 1), image(3_000, 2));
    let current = Rc::new(Cell::new(1));
    let version = current.clone();
    let net = Network::new(move |request| serve(request, if version.get() == 1 { &old } else { &new }, b"same", 6));
    let mut buf = vec![0; space(1_024, 8)];
    let mut source = Coap::new(&net, URL, SETTINGS.window(8), &mut buf).unwrap();
    // Two blocks are on their way when it is opened again.
    block_on(async {
        source.open(0).await.unwrap();
        source.read(&mut [0; 1_024]).await.unwrap();
        source.read(&mut [0; 1_024]).await.unwrap();
    });
    assert!(!net.queue.borrow().is_empty());
    current.set(2);
    let (meta, bytes) = fetch(&mut source, 0, 700);
    assert!(meta.is_ok() && bytes == image(3_000, 2));
}

#[test]
fn r26_a_file_that_changes_amid_a_transfer_is_never_mixed() {
    // By ETag, by length, by an ETag that goes or comes.
    for (len, etags) in [(9_000, [&b"a"[..], b"b"]), (9_500, [b"a", b"b"]), (9_000, [b"a", b""]), (9_000, [b"", b"b"])]
    {
        for window in [1, 8] {
            for at in 1..20 {
                let files = [image(9_000, 1), image(len, 2)];
                let [one, other] = files.clone();
                let mut asked = 0;
                let net = Network::new(move |request| {
                    asked += 1;
                    if asked <= at { serve(request, &one, etags[0], 6) } else { serve(request, &other, etags[1], 6) }
                });
                let (meta, bytes) = fetch_with(&net, SETTINGS.window(window), 0);
                let before = usize::min(at * 1_024, 9_000);
                match meta {
                    Ok(_) => assert!(at >= 9 && bytes == files[0]),
                    Err(error) => {
                        assert_eq!(error, Error::Answer(Fault::Changed));
                        assert!(bytes.len() <= before && files[0].starts_with(&bytes));
                    }
                }
                // A download starts over.
                let [one, other] = files.clone();
                let mut asked = 0;
                let net = Network::new(move |request| {
                    asked += 1;
                    if asked <= at { serve(request, &one, etags[0], 6) } else { serve(request, &other, etags[1], 6) }
                });
                let (ok, stored, _) = run(&net, SETTINGS.window(window), named());
                assert!(ok && (stored == files[1] || at >= 9 && stored == files[0]), "{len} {window} {at}");
            }
        }
    }
}

#[test]
fn a_changed_file_is_given_from_its_start_by_the_next_open() {
    let version = Rc::new(Cell::new(1));
    let current = version.clone();
    let net = Network::new(move |request| serve(request, &image(5_000, current.get()), &[current.get(); 4], 6));
    let mut buf = vec![0; space(1_024, 1)];
    let mut source = Coap::new(&net, URL, SETTINGS, &mut buf).unwrap();
    let first = block_on(source.open(0)).unwrap();
    let same = block_on(source.open(2_000)).unwrap();
    assert_eq!(same, Meta { start: 2_000, ..first });
    version.set(2);
    let (other, bytes) = fetch(&mut source, 2_000, 700);
    assert_eq!(other.unwrap().start, 0);
    assert!(other.unwrap().tag != first.tag && bytes == image(5_000, 2));
}

/// Like libcoap: each transfer has an `ETag` of its own, and one that begins amid the file has none.
fn counting(file: Vec<u8>, drop_after: usize) -> Network {
    let (mut transfer, mut asked, mut named) = (0, 0, false);
    Network::raw(move |msg, _| {
        asked += 1;
        if asked % drop_after == 0 {
            named = false;
            return vec![(0, Msg::empty(RST, msg.id).bytes())];
        }
        if msg.block().0 == 0 {
            transfer += 1;
            named = true;
        }
        vec![(0, serve(msg, &file, if named { std::slice::from_ref(&transfer) } else { &[] }, 6).bytes())]
    })
}

#[test]
fn r10_without_a_name_for_the_version_only_a_digest_goes_on() {
    let file = image(20_000, 1);
    let net = counting(file.clone(), 15);
    let (ok, stored, _) = run(&net, SETTINGS, Request::of(Digest([1; 32])));
    assert!(ok && stored == file);
    assert_eq!(net.blocks().iter().filter(|block| **block == 0).count(), 1, "{:?}", net.blocks());
    let net = counting(file.clone(), 30);
    let (ok, stored, _) = run(&net, SETTINGS, named());
    assert!(ok && stored == file);
    let net = counting(file, 15);
    assert!(!run(&net, SETTINGS, named()).0, "it never comes to the end");
}

#[test]
fn r10_a_counter_that_begins_anew_is_not_taken_for_the_same_version() {
    // Two files of the same length under the same number, and a download that was cut within the first block.
    for (etag, goes_on) in [(&b"\x01"[..], false), (b"abc", false), (b"abcd", true)] {
        let version = Rc::new(Cell::new(1));
        let current = version.clone();
        let net = Network::new(move |request| serve(request, &image(5_000, current.get()), etag, 6));
        let mut target = Ram::default();
        let mut update = Update::new(&mut target, NoProgress, named());
        let Ok(Begun::Receiving(mut session)) = block_on(update.begin()) else { panic!("nothing is stored") };
        let (mut buf, mut chunk, mut clock) = (vec![0; space(1_024, 1)], [0; 512], Clock::default());
        for (first, seed) in [(true, 1), (false, 2)] {
            version.set(seed);
            let mut source = Coap::new(&net, URL, SETTINGS, &mut buf).unwrap();
            let _ = block_on(download(&mut source, &mut session, Backoff::new(), &mut clock, &mut chunk, |report| {
                if first && report.offset > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }));
        }
        // The server of the third lies about its version, and it can't be seen.
        assert_eq!(session.offset(), 5_000);
        assert_eq!(target.bytes == image(5_000, 2), !goes_on, "{etag:?}");
    }
}

#[test]
fn r26_blocks_that_are_lost_doubled_late_and_out_of_order_make_the_file_all_the_same() {
    let file = image(40_000, 1);
    let (mut runs, mut faults) = (0, 0);
    for window in [1, 2, 4, 8] {
        for places in [1, 2, 8] {
            for seed in 0..40 {
                let net = Network::serving(&file, b"v");
                net.random.replace(fastrand::Rng::with_seed(seed));
                net.loss.set(100);
                net.doubled.set(100);
                net.late.set(200);
                let mut buf = vec![0; space(512, places)];
                let mut source = Coap::new(&net, URL, SETTINGS.window(window).block(512), &mut buf).unwrap();
                let (meta, bytes) = fetch(&mut source, 0, 700);
                match meta {
                    Ok(_) => assert!(bytes == file, "{window} {places} {seed}"),
                    Err(Error::Answer(Fault::Timeout)) => {
                        assert!(file.starts_with(&bytes));
                        faults += 1;
                    }
                    Err(error) => panic!("{error:?}"),
                }
                runs += 1;
            }
        }
    }
    println!("{runs} transfers over a bad network, {faults} of them given up");
    assert!(faults < 20);
}

#[test]
fn r26_truncated_datagrams_and_garbage_cost_time_and_nothing_else() {
    let file = image(20_000, 1);
    for window in [1, 8] {
        for seed in 0..60 {
            let body = file.clone();
            let mut random = fastrand::Rng::with_seed(seed);
            let net = Network::raw(move |msg, _| {
                if msg.code != 1 {
                    return vec![];
                }
                let mut bytes = serve(msg, &body, b"v", 6).bytes();
                let garbage: Vec<u8> = (0..random.usize(0..40)).map(|_| random.u8(..)).collect();
                match random.u8(..5) {
                    0 => bytes.truncate(random.usize(..bytes.len())),
                    1 => return vec![(0, garbage)],
                    _ => {}
                }
                vec![(0, garbage), (0, bytes)]
            });
            let (meta, bytes) = fetch_with(&net, SETTINGS.window(window).retransmissions(10), 0);
            match meta {
                Ok(_) => assert!(bytes == file, "{window} {seed}"),
                // The last block, cut short.
                Err(error) => {
                    assert_eq!(error, Error::Answer(Fault::Changed));
                    assert!(file.starts_with(&bytes));
                }
            }
        }
    }
}

#[test]
fn noise_does_not_keep_a_lost_request_from_being_sent_again() {
    let file = image(3_000, 1);
    let net = Network::serving(&file, b"v");
    net.noise.set(true);
    net.random.replace(fastrand::Rng::with_seed(3));
    net.loss.set(300);
    let (meta, bytes) = fetch_from(&net, 0);
    assert!(meta.is_ok() && bytes == file);
}

/// Random answers, most of which are nearly right.
#[test]
fn r26_whatever_comes_nothing_panics_and_no_more_is_given_than_was_announced() {
    let (mut given, mut ended, mut faults) = (0, 0, std::collections::BTreeSet::new());
    for seed in 0..30_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let len = random.usize(1..400);
        let mut answers = fastrand::Rng::with_seed(seed + 1_000_000);
        let net = Network::raw(move |msg, _| {
            let random = &mut answers;
            let mut answer = msg.answer(0x45);
            let asked = if msg.code == 1 { msg.block() } else { (0, false, 0) };
            answer.kind = random.u8(..4);
            if random.u8(..10) == 0 {
                answer.code = *random.choice(&[0, 0x43, 0x84, 0xa0, 0xa3, 0x5f, 1]).unwrap();
            }
            if random.u8(..10) == 0 {
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
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            if random.u8(..8) == 0 {
                bytes.truncate(random.usize(..bytes.len()));
            }
            vec![(random.u32(..300), bytes)]
        });
        let mut buf = vec![0; random.usize(80..400)];
        let settings = Settings::new(random.u64(..)).window(random.u8(..10)).block(random.u16(..200));
        let mut source = Coap::new(&net, "coap://1.1.1.1/f", settings, &mut buf).unwrap();
        let mut out = vec![0; random.usize(1..100)];
        for _ in 0..3 {
            let from = if random.bool() { 0 } else { random.u32(..1_000) };
            let Ok(meta) = block_on(source.open(from)) else { continue };
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
                        faults.insert(format!("{error:?}").chars().take(14).collect::<String>());
                        break;
                    }
                }
            }
        }
    }
    println!("{given} bytes given, {ended} ends, faults: {faults:?}");
    assert!(given > 10_000 && ended > 100);
}

#[test]
fn r09_a_dropped_future_costs_the_transfer_and_never_the_source() {
    let file = image(6_000, 1);
    let mut drops = 0;
    for window in [1, 4] {
        for polls in 0..60 {
            let net = Network::serving(&file, b"v");
            net.slow.set(true);
            let mut buf = vec![0; space(1_024, 4)];
            let mut source = Coap::new(&net, URL, SETTINGS.window(window), &mut buf).unwrap();
            let mut out = [0; 500];
            let mut bytes = Vec::new();
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
                        dropped = true;
                        amid = used > 0;
                        break;
                    }
                }
            }
            assert!(file.starts_with(&bytes));
            if dropped {
                drops += 1;
                let sockets = net.connections.borrow().len();
                if amid {
                    assert_eq!(block_on(source.read(&mut out)), Err(Error::Answer(Fault::NotOpen)));
                    block_on(source.open(0)).unwrap();
                    assert_eq!(net.connections.borrow().len(), sockets + 1);
                }
            }
            let (meta, rest) = fetch(&mut source, bytes.len().min(5_999) as u32, 700);
            assert!(meta.is_ok() && rest == file[bytes.len().min(5_999)..], "{window} {polls}");
        }
    }
    println!("{drops} drops");
    assert!(drops > 60);
}

#[test]
fn r26_a_long_pause_of_the_application_is_not_taken_for_a_loss() {
    let file = image(30_000, 1);
    for window in [1, 8] {
        let net = Network::serving(&file, b"v");
        let mut buf = vec![0; space(1_024, window)];
        let mut source = Coap::new(&net, URL, SETTINGS.window(window), &mut buf).unwrap();
        let mut bytes: Vec<u8> = Vec::new();
        block_on(async {
            source.open(0).await.unwrap();
            let mut out = [0; 1_024];
            loop {
                // 20 seconds for an erase.
                net.now.set(net.now.get().wrapping_add(20_000));
                match source.read(&mut out).await.unwrap() {
                    0 => break,
                    count => bytes.extend(&out[..count]),
                }
            }
        });
        assert!(bytes == file);
        let gets = net.requests.borrow().len();
        assert_eq!(gets, 30, "no request is sent twice");
    }
}

#[test]
fn a_network_that_is_slow_or_gets_so_is_waited_for() {
    let file = image(40_000, 1);
    for (before, after) in [(5_000, 5_000), (100, 3_000), (100, 900), (20_000, 20_000), (3_000, 50)] {
        for window in [1, 8] {
            let net = Network::serving(&file, b"ver1");
            net.rtt.set(before);
            let mut buf = vec![0; space(1_024, window)];
            let mut source = Coap::new(&net, URL, SETTINGS.window(window), &mut buf).unwrap();
            let (mut bytes, mut out): (Vec<u8>, _) = (Vec::new(), [0; 1_024]);
            block_on(async {
                source.open(0).await.unwrap();
                loop {
                    match source.read(&mut out).await.unwrap() {
                        0 => break,
                        count => bytes.extend(&out[..count]),
                    }
                    if bytes.len() > 15_000 {
                        net.rtt.set(after);
                    }
                }
            });
            assert!(bytes == file);
            let requests = net.requests.borrow().len();
            println!("{before} ms, then {after}: window {window}, {requests} requests for 40 blocks");
            assert!(requests < 70, "{requests}");
        }
    }
}

#[test]
fn r26_a_download_over_a_bad_network_of_a_file_that_changes_is_one_of_the_two() {
    let files = [image(20_000, 1), image(20_000, 2)];
    let mut outcomes = [0; 3];
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (at, etag) = (random.usize(..30), *random.choice(&[4, 8, 1]).unwrap());
        let (both, mut asked) = (files.clone(), 0);
        let net = Network::new(move |request| {
            asked += 1;
            let version = usize::from(asked > at);
            serve(request, &both[version], &vec![version as u8; etag], 6)
        });
        net.random.replace(random.fork());
        net.loss.set(100);
        net.doubled.set(100);
        net.late.set(200);
        let (ok, stored, _) = run(&net, SETTINGS.window(random.u8(1..9)), named());
        match files.iter().position(|file| *file == stored) {
            Some(which) => outcomes[which] += 1,
            None => {
                assert!(!ok, "{seed}");
                assert!(files.iter().any(|file| file.starts_with(&stored)), "{seed}");
                outcomes[2] += 1;
            }
        }
    }
    println!("the old one, the new one, given up: {outcomes:?}");
    assert!(outcomes[1] > 200);
}

#[test]
fn r26_the_time_that_the_application_is_away_is_not_the_networks() {
    let file = image(40_000, 1);
    let (body, mut lost) = (file.clone(), false);
    let net = Network::raw(move |msg, _| {
        if msg.block().0 == 30 && !std::mem::replace(&mut lost, true) {
            return vec![];
        }
        vec![(0, serve(msg, &body, b"ver1", 6).bytes())]
    });
    let mut buf = vec![0; space(1_024, 2)];
    let mut source = Coap::new(&net, URL, SETTINGS.window(2), &mut buf).unwrap();
    let mut out = [0; 1_024];
    block_on(async {
        source.open(0).await.unwrap();
        for _ in 0..29 {
            source.read(&mut out).await.unwrap();
            net.now.set(net.now.get().wrapping_add(2_000));
        }
        let before = net.elapsed();
        for _ in 29..35 {
            source.read(&mut out).await.unwrap();
        }
        let took = net.elapsed() - before;
        assert!((400..1_000).contains(&took), "{took}");
    });
}

/// How long 100 KiB take, in milliseconds.
fn time(window: u8, loss: u32, seed: u64) -> (u32, usize) {
    let file = image(102_400, 1);
    let net = Network::serving(&file, b"v");
    net.random.replace(fastrand::Rng::with_seed(seed));
    net.loss.set(loss);
    let mut buf = vec![0; space(1_024, window)];
    let mut source = Coap::new(&net, URL, SETTINGS.window(window), &mut buf).unwrap();
    let (meta, bytes) = fetch(&mut source, 0, 1_024);
    assert!(meta.is_ok() && bytes == file, "{window} {loss} {seed} {meta:?}");
    (net.elapsed(), net.requests.borrow().len())
}

#[test]
fn a_window_is_fast_and_loss_costs_little() {
    println!("100 KiB, 100 ms there and back; each way loses the same share; over 100 seeds");
    for (window, most) in [(1, 10_500), (2, 5_400), (4, 2_800), (8, 1_600)] {
        let (free, requests) = time(window, 0, 0);
        println!("window {window}, no loss: {free} ms, {requests} requests");
        assert!(free <= most && requests == 100);
        for loss in [20, 50] {
            let mut times: Vec<_> = (0..100).map(|seed| time(window, loss, seed)).collect();
            times.sort_unstable();
            let mean = times.iter().map(|time| time.0).sum::<u32>() / 100;
            let requests = times.iter().map(|time| time.1).sum::<usize>() / 100;
            println!(
                "window {window}, {} %: mean {mean} ms, {} to {} ms, {requests} requests",
                loss / 10,
                times[0].0,
                times[99].0
            );
            assert!(mean <= 3 * free, "{window} {loss}: {mean} ms");
        }
    }
}

#[test]
fn what_went_and_came_is_counted_and_closing_ends_the_socket() {
    let file = image(5_000, 1);
    let body = file.clone();
    let answered = Rc::new(Cell::new(0));
    let counts = answered.clone();
    let net = Network::new(move |request| {
        let answer = serve(request, &body, b"ver1", 6);
        counts.set(counts.get() + answer.bytes().len());
        answer
    });
    let mut buf = vec![0; space(1_024, 1)];
    let mut source = Coap::new(&net, URL, SETTINGS, &mut buf).unwrap();
    assert_eq!(fetch(&mut source, 0, 700).1, file);
    let sent: usize = net.requests.borrow().iter().map(|(_, request)| request.bytes().len()).sum();
    assert_eq!(source.paid() as usize, sent + answered.get());
    assert!(sent > 0 && answered.get() > 5_000);

    block_on(source.open(0)).unwrap();
    source.close();
    assert!(matches!(block_on(source.read(&mut [0; 9])), Err(Error::Answer(Fault::NotOpen))));
    assert_eq!(net.connections.borrow().len(), 1);
    assert_eq!(fetch(&mut source, 1_000, 700).1, file[1_000..]);
    assert_eq!(net.connections.borrow().len(), 2);
}
