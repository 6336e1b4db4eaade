//! A CoAP server that answers well, badly or not at all: by a model of one with a file in two versions, whose answers
//! get lost, late, doubled or mutated, and by any bytes.
//!
//! What must hold: nothing panics, and every call ends after a bounded number of operations and time. Requests are well
//! formed and name the file, by the reading of `coap-message-implementations`. `start` is what was asked for or 0. No
//! byte is given that nobody sent, and none beyond the announced size. Where all answers are honest, the bytes of a
//! transfer are those of one version from `start` on, and its end is told where it is. Once the server answers well,
//! the whole file comes.
#![no_main]

use std::cell::{Cell, RefCell};
use std::fmt;

use coap_message::{MessageOption, MinimalWritableMessage, ReadableMessage};
use coap_message_implementations::inmemory::{Message, MessageMut};
use dfu_fuzz::Bytes;
use dfu_testkit::poll::run;
use fota_download::coap::{Datagram, Datagrams, Security, Settings};
use fota_download::{Coap, Meta, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let [options, block, window, room, retransmissions, etag] = bytes.array();
    let lens = bytes.array::<2>().map(|len| usize::from(len) * 2);
    let steps = bytes.array::<4>();
    let seed = u64::from_le_bytes(bytes.array());
    let net = Net {
        files: [file(lens[0], 1), file(lens[1], 2)],
        version: Cell::new(0),
        named: options & 1 == 0,
        etag: 1 + usize::from(etag % 8),
        size2: options & 2 == 0,
        beyond: [0xa0, 0x80, 0x45, 0x82][usize::from(options >> 2 & 3)],
        largest: Cell::new(6),
        script: RefCell::new(bytes),
        // Wraps after a while.
        now: Cell::new(u32::MAX - 20_000),
        queue: RefCell::default(),
        sent: RefCell::default(),
        operations: Cell::new(0),
        honest: Cell::new(true),
    };
    let settings =
        Settings::new(seed).block(16 << (block % 4)).window(1 + window % 8).retransmissions(retransmissions % 6);
    let mut buf = vec![0; 80 + usize::from(room) * 3];
    let mut source = Coap::new(&net, URL, settings, &mut buf).expect("a good URL");
    for step in steps {
        let from = match step % 4 {
            0 => 0,
            1 => lens[0] as u32,
            _ => u32::from(step) * 3,
        };
        if step & 0x80 != 0 {
            net.now.set(net.now.get().wrapping_add(40_000));
        }
        let opened = net.bounded(|| run(source.open(from)));
        let Ok(meta) = opened else { continue };
        assert!(meta.start == 0 || meta.start == from, "{meta:?} for {from}");
        read(&net, &mut source, meta, step);
    }
    // From here on all goes well.
    net.script.borrow_mut().0 = &[];
    net.queue.borrow_mut().clear();
    net.largest.set(6);
    net.honest.set(true);
    let meta = net.bounded(|| run(source.open(0))).expect("a server that answers");
    let all = read(&net, &mut source, meta, 5).expect("all of it");
    assert!(all == net.files[net.version.get()], "{} bytes", all.len());
});

const URL: &str = "coap://a.example/fw/a.bin?v=1";

fn file(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add((at >> 8) as u8) ^ seed).collect()
}

/// Reads to the end, or to an error, or some.
fn read<'d>(net: &Net<'d>, source: &mut Coap<'_, '_, Net<'d>>, meta: Meta, step: u8) -> Option<Vec<u8>> {
    let mut given: Vec<u8> = Vec::new();
    let mut buf = vec![0; 1 + usize::from(step)];
    let start = meta.start as usize;
    loop {
        let count = net.bounded(|| run(source.read(&mut buf))).ok()?;
        let bytes = &buf[..count];
        if !net.honest.get() && count != 0 {
            // The last ones first: that is where they are.
            let sent = net.sent.borrow();
            assert!(sent.iter().rev().any(|sent| sent.windows(count).any(|sent| sent == bytes)), "nobody sent that");
        }
        given.extend(bytes);
        let size =
            meta.size.map_or(usize::MAX, |size| (size as usize).checked_sub(start).expect("a start in the file"));
        assert!(given.len() <= size, "more than was announced");
        if net.honest.get() {
            let of = |file: &Vec<u8>| file.get(start..).is_some_and(|rest| rest.starts_with(&given));
            let mut versions = net.files.iter().filter(|file| of(file));
            assert!(versions.clone().next().is_some(), "{} bytes from {start} on are of no version", given.len());
            if count == 0 {
                assert!(versions.any(|file| file.len() == start + given.len()), "an end that is none");
            }
        }
        if count == 0 {
            return Some(given);
        }
        if step % 16 == 15 && given.len() > 100 {
            return None;
        }
    }
}

struct Net<'d> {
    files: [Vec<u8>; 2],
    version: Cell<usize>,
    /// Each answer has an `ETag`, of this length; else there is one version.
    named: bool,
    etag: usize,
    size2: bool,
    /// What is answered behind the end.
    beyond: u8,
    /// The largest blocks that the server gives.
    largest: Cell<u8>,
    /// What becomes of each request.
    script: RefCell<Bytes<'d>>,
    now: Cell<u32>,
    /// What is on its way to the client, and when it arrives.
    queue: RefCell<Vec<(u32, Vec<u8>)>>,
    sent: RefCell<Vec<Vec<u8>>>,
    operations: Cell<u32>,
    /// Nothing was sent but what the model says.
    honest: Cell<bool>,
}

#[derive(Debug)]
struct Down;

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("down")
    }
}

impl std::error::Error for Down {}

impl Net<'_> {
    /// A call ends in time.
    fn bounded<R>(&self, call: impl FnOnce() -> R) -> R {
        let before = (self.operations.get(), self.now.get(), self.queue.borrow().len());
        let result = call();
        let operations = self.operations.get() - before.0;
        assert!(operations < 1_000 + before.2 as u32, "{operations} operations");
        let ms = self.now.get().wrapping_sub(before.1);
        assert!(ms < 4_000_000, "{ms} ms");
        result
    }

    fn push(&self, ms: u32, bytes: Vec<u8>) {
        self.queue.borrow_mut().push((self.now.get().wrapping_add(ms), bytes.clone()));
        self.sent.borrow_mut().push(bytes);
    }

    fn answer(&self, request: &[u8]) -> Result<(), Down> {
        assert_eq!(request[0], 0x44, "confirmable, and a token of 4 bytes");
        assert_eq!(request[1], 1, "GET");
        let message = Message::new_from_slice(request[1], &request[8..]);
        let (mut names, mut block) = (Vec::new(), None);
        for option in message.options() {
            match option.number() {
                23 => block = Some(option.value().iter().fold(0, |number, byte| number << 8 | u32::from(*byte))),
                28 => assert_eq!(option.value(), b""),
                number => names.push((number, option.value().to_vec())),
            }
        }
        let name = [(3, &b"a.example"[..]), (11, b"fw"), (11, b"a.bin"), (15, b"v=1")];
        assert_eq!(names, name.map(|(number, value)| (number, value.to_vec())));
        assert!(message.payload().is_empty());
        let block = block.expect("a block");
        assert!(block & 8 == 0 && block & 7 < 7);

        let mut script = self.script.borrow_mut();
        let action = script.byte();
        let ms = u32::from(action >> 4) * 40;
        let tail = |bytes: Vec<u8>| [&[0x64, bytes[0], request[2], request[3]], &request[4..8], &bytes[1..]].concat();
        match action & 15 {
            1 => {}
            2 => {
                let answer = tail(self.good(block, true));
                self.push(ms, answer.clone());
                self.push(ms * 3, answer);
            }
            3 => self.push(20 * ms, tail(self.good(block, true))),
            4 if self.named => {
                self.version.set(1 - self.version.get());
                self.push(ms, tail(self.good(block, true)));
            }
            5 => return Err(Down),
            6 => {
                self.honest.set(false);
                let mut answer = tail(self.good(block, true));
                let at = usize::from(script.byte()) % answer.len();
                answer[at] ^= script.byte();
                self.push(ms, answer);
            }
            7 => {
                self.honest.set(false);
                let len = usize::from(script.byte());
                let (raw, rest) = script.0.split_at(len.min(script.0.len()));
                script.0 = rest;
                self.push(ms, if action & 16 == 0 { raw.to_vec() } else { tail([&[0x45], raw].concat()) });
            }
            8 => self.push(ms, tail(self.good(block, false))),
            9 => {
                // First the acknowledgement, which may get lost, then the answer.
                if action & 16 == 0 {
                    self.push(0, vec![0x60, 0, request[2], request[3]]);
                }
                let mut answer = tail(self.good(block, true));
                answer[0] = if action & 32 == 0 { 0x44 } else { 0x54 };
                answer[2] ^= 0x80;
                self.push(ms, answer);
            }
            10 => self.push(ms, tail(vec![script.byte() & 0x1f | 0x80])),
            11 => self.push(ms, tail(vec![[0xa3, 0x9d, 0xa0, 0x84][usize::from(action >> 4 & 3)]])),
            12 => {
                self.largest.set(action >> 4 & 7);
                self.push(ms, tail(self.good(block, true)));
            }
            13 => self.push(ms, vec![0x70, 0, request[2], request[3]]),
            14 => {
                // A request of the server's own.
                self.push(ms, vec![0x40, 1, request[2], request[3]]);
                self.push(ms, tail(self.good(block, true)));
            }
            _ => self.push(ms, tail(self.good(block, true))),
        }
        Ok(())
    }

    /// Code and what comes behind the token.
    fn good(&self, block: u32, size2: bool) -> Vec<u8> {
        let file = &self.files[self.version.get()];
        let asked = 1 << ((block & 7) + 4);
        let from = (block >> 4) as usize * asked;
        let szx = (block & 7).min(u32::from(self.largest.get()));
        let size = 1 << (szx + 4);
        // The first of the smaller blocks.
        let number = (from / size) as u32;
        let behind = from >= file.len() && from != 0;
        let (mut code, mut tail) = (0, [0; 1_200]);
        let mut message = MessageMut::new_in_slice(&mut code, &mut tail);
        message.set_code(if behind { self.beyond } else { 0x45 });
        let rest = file.get(from..).unwrap_or_default();
        let payload = &rest[..rest.len().min(size)];
        if !behind || self.beyond == 0x45 {
            if self.named {
                let etag = [b'a' + self.version.get() as u8; 8];
                message.add_option(4, &etag[..self.etag]).expect("room");
            }
            let value = number << 4 | u32::from(rest.len() > size) << 3 | szx;
            let skip = value.leading_zeros() as usize / 8;
            message.add_option(23, &value.to_be_bytes()[skip..]).expect("room");
            if self.size2 && size2 {
                let len = file.len() as u32;
                message.add_option(28, &len.to_be_bytes()[len.leading_zeros() as usize / 8..]).expect("room");
            }
            message.set_payload(payload).expect("room");
        }
        let (len, _) = message.finish();
        [&[code], &tail[..len]].concat()
    }
}

impl<'d> Datagrams for Net<'d> {
    type Error = Down;
    type Socket<'c>
        = Socket<'c, 'd>
    where
        Self: 'c;

    async fn connect<'c>(&'c self, security: Security, host: &str, port: u16) -> Result<Socket<'c, 'd>, Down> {
        assert_eq!((security, host, port), (Security::None, "a.example", 5683));
        self.operations.set(self.operations.get() + 1);
        Ok(Socket(self))
    }
}

struct Socket<'n, 'd>(&'n Net<'d>);

impl Datagram for Socket<'_, '_> {
    type Error = Down;

    async fn send(&mut self, datagram: &[u8]) -> Result<(), Down> {
        self.0.operations.set(self.0.operations.get() + 1);
        // An acknowledgement or a reset.
        if datagram.len() == 4 {
            assert!(matches!(datagram[..2], [0x60 | 0x70, 0]));
            return Ok(());
        }
        self.0.answer(datagram)
    }

    async fn receive(&mut self, buf: &mut [u8], timeout_ms: u32) -> Result<Option<usize>, Down> {
        let net = self.0;
        net.operations.set(net.operations.get() + 1);
        let (now, mut queue) = (net.now.get(), net.queue.borrow_mut());
        let left = |at: u32| (at.wrapping_sub(now) as i32).max(0) as u32;
        let first = (0..queue.len()).min_by_key(|nth| left(queue[*nth].0));
        let Some(nth) = first.filter(|nth| left(queue[*nth].0) <= timeout_ms) else {
            net.now.set(now.wrapping_add(timeout_ms));
            return Ok(None);
        };
        let (at, datagram) = queue.remove(nth);
        net.now.set(now.wrapping_add(left(at)));
        let count = datagram.len().min(buf.len());
        buf[..count].copy_from_slice(&datagram[..count]);
        Ok(Some(count))
    }

    fn now_ms(&self) -> u32 {
        self.0.now.get()
    }
}
