//! A CoAP server over TCP that does anything: answers as it should, cut short, damaged, out of order, of another
//! version of the file, or any bytes at all, in pieces of any size.
//!
//! What must hold: nothing panics, and every call ends after a bounded number of operations. What is sent are whole
//! messages. `start` is what was asked for or 0, and no more is given than the announced size. A server that says which
//! version it sends never makes the source mix two; and where the end is told without an error, all of the file came.
#![no_main]

// What the tests of the source have for a server.
#[path = "../../../fota-download/tests/support/stream.rs"]
mod stream;

use std::cell::RefCell;
use std::rc::Rc;

use dfu_fuzz::Bytes;
use dfu_testkit::poll::run;
use fota_download::coap::tcp::Settings;
use fota_download::{CoapTcp, Source};
use libfuzzer_sys::fuzz_target;
use stream::{ABORT, Msg, PING, RELEASE, Server, serve, uint};

/// Two versions of a file.
struct Files {
    versions: [Vec<u8>; 2],
    now: usize,
    etag: usize,
    /// The server said what is not so.
    lies: bool,
}

impl Files {
    fn etag(&self) -> &'static [u8] {
        let etags: [&[u8]; 6] = [b"first1", b"secon2", b"1a", b"2b", b"", b""];
        etags[self.etag % 3 * 2 + self.now]
    }
}

fn content(len: usize, version: u32) -> Vec<u8> {
    (0..len as u32).map(|at| ((at + version * 7).wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let [len_low, len_high, more, etag, largest, bert, window, piece, block, message] = bytes.array();
    let len = usize::from(u16::from_be_bytes([len_high, len_low])) % 5_000;
    let other = if more & 1 == 0 { len } else { len + usize::from(more) };
    let files = Files { versions: [content(len, 1), content(other, 2)], now: 0, etag: etag.into(), lies: false };
    let files = Rc::new(RefCell::new(files));
    let (largest, bert) = (largest % 8, usize::from(bert % 9).max(1));

    // A third for what is done, the rest for what the server does.
    let (calls, mut script) = bytes.0.split_at(bytes.0.len() / 3);
    let script: Vec<u8> = std::mem::take(&mut script).to_vec();
    let (theirs, mut at, mut held) = (files.clone(), 0, Vec::new());
    let server = Server::raw(move |msg| {
        let mut next = || {
            at += 1;
            script.get(at - 1).copied().unwrap_or(0)
        };
        let mut files = theirs.borrow_mut();
        if msg.code != 1 {
            return (vec![], false);
        }
        let step = next();
        if step & 15 == 7 {
            files.now = 1;
        }
        let (file, name) = (&files.versions[files.now], files.etag());
        let mut answer = match msg.option(23) {
            Some(_) => serve(msg, file, name, largest, bert),
            None if name.is_empty() => msg.answer(0x45).with_payload(file),
            None => msg.answer(0x45).with(4, name).with_payload(file),
        };
        let mut sent = std::mem::take(&mut held);
        match step & 15 {
            1 => sent.extend(Msg::of(PING).bytes()),
            2 => sent.extend(Msg { token: vec![next(); 3], ..answer.clone() }.bytes()),
            3 => {
                sent.extend(answer.bytes());
                return (sent, true);
            }
            4 => {
                let whole = answer.bytes();
                sent.extend(&whole[..usize::from(next()) * 7 % whole.len()]);
                return (sent, true);
            }
            5 => {
                files.lies = true;
                let count = usize::from(next() % 40);
                sent.extend((0..count).map(|_| next()));
                return (sent, step & 16 != 0);
            }
            6 => {
                files.lies = true;
                let mut whole = answer.bytes();
                let place = usize::from(u16::from_be_bytes([next(), next()])) % whole.len().min(40);
                whole[place] ^= next();
                sent.extend(whole);
                return (sent, false);
            }
            8 => {
                sent.extend(answer.bytes());
                sent.extend(Msg::of(RELEASE).bytes());
                return (sent, step & 16 != 0);
            }
            9 => {
                sent.extend(Msg::of(ABORT).bytes());
                return (sent, true);
            }
            10 => {
                let code = [0x84, 0xa3, 0x9d, 0xa0, 0x80][usize::from(next()) % 5];
                answer = msg.answer(code).with(14, &uint(next().into()));
            }
            11 => answer = answer.without(28),
            12 => {
                held = answer.bytes();
                return (sent, false);
            }
            13 => {
                files.lies = true;
                answer = answer.without(23).with(23, &uint(u32::from_be_bytes([0, next(), next(), next()])));
            }
            14 => {
                files.lies = true;
                answer = answer.without(28).with(28, &uint(u32::from(next())));
            }
            _ => {}
        }
        sent.extend(answer.bytes());
        (sent, false)
    });
    server.piece.set(usize::from(piece) * 4 + 1);
    match more >> 6 {
        1 => *server.greeting.borrow_mut() = Msg::csm(u32::from(more) * 100).bytes(),
        2 => *server.greeting.borrow_mut() = Msg::of(stream::CSM).bytes(),
        3 => server.greeting.borrow_mut().extend([0, 0]),
        _ => {}
    }
    let settings =
        Settings::new(0x0001_0203).window(window % 9).block(16 << (block % 8)).message(u32::from(message) * 64);
    let mut buf = vec![0; 96 + usize::from(block)];
    let mut source = CoapTcp::new(&server, "coap+tcp://h/a", settings, &mut buf).unwrap();

    let mut calls = Bytes(calls);
    for _ in 0..4 {
        let from = u32::from(u16::from_be_bytes(calls.array())) % 5_500;
        let before = files.borrow().now;
        let Ok(meta) = run(source.open(from)) else { continue };
        assert!(meta.start == from || meta.start == 0, "{meta:?} for {from}");
        let (mut came, mut ended) = (Vec::new(), false);
        let mut out = vec![0; usize::from(calls.byte()) * 9 + 40];
        loop {
            match run(source.read(&mut out)) {
                Ok(0) => ended = true,
                Ok(count) => {
                    came.extend(&out[..count]);
                    let size = meta.size.map_or(u64::MAX, u64::from);
                    assert!(u64::from(meta.start) + came.len() as u64 <= size, "{meta:?}: {}", came.len());
                    continue;
                }
                Err(_) => {}
            }
            break;
        }
        let files = files.borrow();
        // Without a name, or with one that two versions may share, only the digest tells.
        if !files.lies && files.etag % 3 == 0 {
            let of = |version: &Vec<u8>| {
                let rest = version.get(meta.start as usize..).unwrap_or_default();
                rest.starts_with(&came) && (!ended || rest.len() == came.len())
            };
            assert!(files.versions[before..=files.now].iter().any(of), "{meta:?}, {} bytes, {ended}", came.len());
        }
        if calls.byte() & 1 == 1 {
            source.close();
            assert!(run(source.read(&mut out)).is_err(), "it is closed");
        }
    }
    // Another connection is for what the last one was closed before, or after it was answered.
    let (connections, requests) = (server.connections.borrow().len(), server.requests().len());
    assert!(connections <= requests + 16, "{connections} connections for {requests} requests");
});
