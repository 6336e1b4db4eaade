//! A network for datagrams in virtual time, which delays, loses, doubles and reorders them by a seed, and a CoAP
//! server behind it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::cell::{Cell, RefCell};
use std::task::Poll;

use fota_download::coap::{Datagram, Datagrams, Security};

pub const CON: u8 = 0;
pub const NON: u8 = 1;
pub const ACK: u8 = 2;
pub const RST: u8 = 3;

/// A message, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Msg {
    pub kind: u8,
    pub code: u8,
    pub id: u16,
    pub token: Vec<u8>,
    pub options: Vec<(u16, Vec<u8>)>,
    pub payload: Vec<u8>,
}

impl Msg {
    pub fn parse(bytes: &[u8]) -> Self {
        assert_eq!(bytes[0] >> 6, 1, "version");
        let tkl = usize::from(bytes[0] & 15);
        let mut msg = Self {
            kind: bytes[0] >> 4 & 3,
            code: bytes[1],
            id: u16::from_be_bytes([bytes[2], bytes[3]]),
            token: bytes[4..4 + tkl].to_vec(),
            ..Self::default()
        };
        let (mut at, mut number) = (4 + tkl, 0);
        while at < bytes.len() {
            let first = bytes[at];
            at += 1;
            if first == 0xff {
                msg.payload = bytes[at..].to_vec();
                break;
            }
            let mut extended = |nibble: u8| match nibble {
                13 => {
                    at += 1;
                    u16::from(bytes[at - 1]) + 13
                }
                14 => {
                    at += 2;
                    u16::from_be_bytes([bytes[at - 2], bytes[at - 1]]) + 269
                }
                15 => panic!("reserved"),
                small => u16::from(small),
            };
            number += extended(first >> 4);
            let len = usize::from(extended(first & 15));
            msg.options.push((number, bytes[at..at + len].to_vec()));
            at += len;
        }
        msg
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![1 << 6 | self.kind << 4 | self.token.len() as u8, self.code];
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(&self.token);
        let mut last = 0;
        for (number, value) in &self.options {
            let parts = [number - last, value.len() as u16].map(|part| match part {
                0..=12 => (part as u8, vec![]),
                13..=268 => (13, vec![(part - 13) as u8]),
                _ => (14, (part - 269).to_be_bytes().to_vec()),
            });
            bytes.push(parts[0].0 << 4 | parts[1].0);
            parts.iter().for_each(|part| bytes.extend(&part.1));
            bytes.extend(value);
            last = *number;
        }
        if !self.payload.is_empty() {
            bytes.push(0xff);
            bytes.extend(&self.payload);
        }
        bytes
    }

    pub fn option(&self, number: u16) -> Option<&[u8]> {
        self.options.iter().find(|option| option.0 == number).map(|option| &option.1[..])
    }

    pub fn texts(&self, number: u16) -> Vec<String> {
        let of = self.options.iter().filter(|option| option.0 == number);
        of.map(|option| String::from_utf8(option.1.clone()).unwrap()).collect()
    }

    /// Number, more, SZX.
    pub fn block(&self) -> (u32, bool, u8) {
        let value = self.option(23).unwrap().iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        (value >> 4, value & 8 != 0, (value & 7) as u8)
    }

    /// An answer to this request that comes with the acknowledgement.
    pub fn answer(&self, code: u8) -> Self {
        Self { kind: ACK, code, id: self.id, token: self.token.clone(), ..Self::default() }
    }

    pub fn empty(kind: u8, id: u16) -> Self {
        Self { kind, id, ..Self::default() }
    }

    pub fn with(mut self, number: u16, value: &[u8]) -> Self {
        self.options.push((number, value.to_vec()));
        self.options.sort_by_key(|option| option.0);
        self
    }

    pub fn with_block(self, number: u32, more: bool, szx: u8) -> Self {
        self.with(23, &uint(number << 4 | u32::from(more) << 3 | u32::from(szx)))
    }

    pub fn with_payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }
}

pub fn uint(value: u32) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip(value.leading_zeros() as usize / 8).collect()
}

/// A file on a server without quirks.
pub fn serve(request: &Msg, file: &[u8], etag: &[u8], largest: u8) -> Msg {
    let (number, _, szx) = request.block();
    let size = 16 << szx.min(largest);
    let start = (number as usize) << (szx + 4);
    if start >= file.len() && start != 0 {
        return request.answer(0xa0);
    }
    let end = file.len().min(start + size);
    let mut answer = request
        .answer(0x45)
        .with_block((start / size) as u32, end < file.len(), szx.min(largest))
        .with_payload(&file[start..end]);
    if !etag.is_empty() {
        answer = answer.with(4, etag);
    }
    if request.option(28).is_some() { answer.with(28, &uint(file.len() as u32)) } else { answer }
}

type Handler = Box<dyn FnMut(&Msg, u32) -> Vec<(u32, Vec<u8>)>>;

/// The network, and the server at its other end: a function from a message and the time to datagrams, each with what
/// it takes longer than the way back.
pub struct Network {
    handler: RefCell<Handler>,
    pub now: Cell<u32>,
    /// Milliseconds, there and back.
    pub rtt: Cell<u32>,
    /// Of 1000 datagrams, so many are lost, doubled, and held up for up to a round trip and a half.
    pub loss: Cell<u32>,
    pub doubled: Cell<u32>,
    pub late: Cell<u32>,
    pub random: RefCell<fastrand::Rng>,
    /// On the way to the client: when they come.
    pub queue: RefCell<Vec<(u32, Vec<u8>)>>,
    pub requests: RefCell<Vec<(u32, Msg)>>,
    pub connections: RefCell<Vec<(Security, String, u16)>>,
    /// How many of the next operations fail.
    pub down: Cell<usize>,
    /// Each millisecond in which nothing else comes brings noise.
    pub noise: Cell<bool>,
    /// Each operation is pending once.
    pub slow: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Down;

impl std::fmt::Display for Down {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the network is down")
    }
}

impl std::error::Error for Down {}

impl Network {
    /// What the server sends to each message.
    pub fn raw(handler: impl FnMut(&Msg, u32) -> Vec<(u32, Vec<u8>)> + 'static) -> Self {
        Self {
            handler: RefCell::new(Box::new(handler)),
            now: Cell::new(u32::MAX - 3_000),
            rtt: Cell::new(100),
            loss: Cell::new(0),
            doubled: Cell::new(0),
            late: Cell::new(0),
            random: RefCell::new(fastrand::Rng::with_seed(1)),
            queue: RefCell::default(),
            requests: RefCell::default(),
            connections: RefCell::default(),
            down: Cell::new(0),
            noise: Cell::new(false),
            slow: Cell::new(false),
        }
    }

    /// What the server answers to each request at once.
    pub fn new(mut handler: impl FnMut(&Msg) -> Msg + 'static) -> Self {
        Self::raw(move |msg, _| if msg.code == 1 { vec![(0, handler(msg).bytes())] } else { vec![] })
    }

    pub fn serving(file: &[u8], etag: &'static [u8]) -> Self {
        let file = file.to_vec();
        Self::new(move |request| serve(request, &file, etag, 6))
    }

    /// A datagram on its way, or none; it may arrive twice.
    fn pass(&self, at: u32) -> Vec<u32> {
        let mut random = self.random.borrow_mut();
        let mut happens = |of_1000: u32| random.u32(0..1_000) < of_1000;
        let times = if happens(self.loss.get()) { 0 } else { 1 + usize::from(happens(self.doubled.get())) };
        let late = happens(self.late.get());
        let most = self.rtt.get() * 3 / 2 + 1;
        (0..times).map(|_| at.wrapping_add(if late { random.u32(0..most) } else { 0 })).collect()
    }

    /// Sends a datagram to the client, `ms` from now.
    pub fn push(&self, ms: u32, bytes: &[u8]) {
        self.queue.borrow_mut().push((self.now.get().wrapping_add(ms), bytes.to_vec()));
    }

    pub fn elapsed(&self) -> u32 {
        self.now.get().wrapping_sub(u32::MAX - 3_000)
    }

    async fn wait(&self) -> Result<(), Down> {
        let mut ready = !self.slow.get();
        std::future::poll_fn(|_| if std::mem::replace(&mut ready, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
        match self.down.get().checked_sub(1) {
            Some(left) => {
                self.down.set(left);
                Err(Down)
            }
            None => Ok(()),
        }
    }

    /// Requests for blocks, without those that were sent again.
    pub fn blocks(&self) -> Vec<u32> {
        let mut seen = std::collections::HashSet::new();
        let requests = self.requests.borrow();
        let gets = requests.iter().filter(|(_, msg)| msg.code == 1 && seen.insert(msg.token.clone()));
        gets.map(|(_, msg)| msg.block().0).collect()
    }
}

pub struct Socket<'n>(&'n Network);

impl Datagrams for Network {
    type Error = Down;
    type Socket<'c> = Socket<'c>;

    async fn connect<'c>(&'c self, security: Security, host: &str, port: u16) -> Result<Socket<'c>, Down> {
        self.wait().await?;
        self.connections.borrow_mut().push((security, host.into(), port));
        Ok(Socket(self))
    }
}

impl Datagram for Socket<'_> {
    type Error = Down;

    async fn send(&mut self, datagram: &[u8]) -> Result<(), Down> {
        let net = self.0;
        net.wait().await?;
        let (now, msg) = (net.now.get(), Msg::parse(datagram));
        net.requests.borrow_mut().push((now, msg.clone()));
        for there in net.pass(now.wrapping_add(net.rtt.get() / 2)) {
            let answers = (net.handler.borrow_mut())(&msg, there);
            for (more, answer) in answers {
                for at in net.pass(there.wrapping_add(net.rtt.get() / 2).wrapping_add(more)) {
                    net.queue.borrow_mut().push((at, answer.clone()));
                }
            }
        }
        Ok(())
    }

    async fn receive(&mut self, buf: &mut [u8], timeout_ms: u32) -> Result<Option<usize>, Down> {
        let net = self.0;
        net.wait().await?;
        let (now, mut queue) = (net.now.get(), net.queue.borrow_mut());
        let first = (0..queue.len()).min_by_key(|nth| queue[*nth].0.wrapping_sub(now) as i32);
        let left = first.map(|nth| (queue[nth].0.wrapping_sub(now) as i32).max(0) as u32);
        match (first, left) {
            (Some(nth), Some(left)) if left == 0 || left <= timeout_ms && !net.noise.get() => {
                net.now.set(now.wrapping_add(left));
                let (_, datagram) = queue.remove(nth);
                let count = datagram.len().min(buf.len());
                buf[..count].copy_from_slice(&datagram[..count]);
                Ok(Some(count))
            }
            _ if net.noise.get() => {
                net.now.set(now.wrapping_add(1));
                buf[0] = 0;
                Ok(Some(1))
            }
            _ => {
                net.now.set(now.wrapping_add(timeout_ms));
                Ok(None)
            }
        }
    }

    fn now_ms(&self) -> u32 {
        self.0.now.get()
    }
}
