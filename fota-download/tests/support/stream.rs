//! A CoAP server behind a TCP connection: messages in, bytes out, in pieces as they are wanted.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::Poll;

use embedded_io_async::{ErrorKind as IoError, ErrorType, Read, Write};
use fota_download::connect::{self, Connect, Failure};

pub const CSM: u8 = 0xe1;
pub const PING: u8 = 0xe2;
pub const PONG: u8 = 0xe3;
pub const RELEASE: u8 = 0xe4;
pub const ABORT: u8 = 0xe5;

/// A message, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Msg {
    pub code: u8,
    pub token: Vec<u8>,
    pub options: Vec<(u16, Vec<u8>)>,
    pub payload: Vec<u8>,
}

fn extended(value: usize, four: bool) -> (u8, Vec<u8>) {
    match value {
        0..=12 => (value as u8, vec![]),
        13..=268 => (13, vec![(value - 13) as u8]),
        269..=65_804 => (14, ((value - 269) as u16).to_be_bytes().to_vec()),
        _ => {
            assert!(four);
            (15, ((value - 65_805) as u32).to_be_bytes().to_vec())
        }
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

impl Msg {
    /// The first message of these bytes, and its length.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let nibble = bytes.first()? >> 4;
        let (more, base) = [(1, 13), (2, 269), (4, 65_805)][usize::from(nibble.clamp(13, 15)) - 13];
        let (more, base) = if nibble < 13 { (0, usize::from(nibble)) } else { (more, base) };
        let len = number(bytes.get(1..1 + more)?) + base;
        let tkl = usize::from(bytes[0] & 15);
        let rest = 2 + more + tkl;
        let body = bytes.get(rest..rest + len)?;
        let mut msg = Self { code: bytes[1 + more], token: bytes[2 + more..rest].to_vec(), ..Self::default() };
        let (mut at, mut option) = (0, 0);
        while at < body.len() {
            let first = body[at];
            at += 1;
            if first == 0xff {
                msg.payload = body[at..].to_vec();
                assert!(!msg.payload.is_empty());
                break;
            }
            let mut extended = |nibble: u8| {
                let more = [0, 1, 2][usize::from(nibble.max(12)) - 12];
                at += more;
                match nibble {
                    13 => usize::from(body[at - 1]) + 13,
                    14 => number(&body[at - 2..at]) + 269,
                    small => usize::from(small),
                }
            };
            option += extended(first >> 4) as u16;
            let len = extended(first & 15);
            msg.options.push((option, body[at..at + len].to_vec()));
            at += len;
        }
        Some((msg, rest + len))
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut last = 0;
        for (number, value) in &self.options {
            let parts = [extended(usize::from(number - last), false), extended(value.len(), false)];
            body.push(parts[0].0 << 4 | parts[1].0);
            parts.iter().for_each(|part| body.extend(&part.1));
            body.extend(value);
            last = *number;
        }
        if !self.payload.is_empty() {
            body.push(0xff);
            body.extend(&self.payload);
        }
        let (nibble, more) = extended(body.len(), true);
        let head = [nibble << 4 | self.token.len() as u8];
        [&head[..], &more, &[self.code], &self.token, &body].concat()
    }

    pub fn of(code: u8) -> Self {
        Self { code, ..Self::default() }
    }

    pub fn csm(size: u32) -> Self {
        Self::of(CSM).with(2, &uint(size)).with(4, &[])
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
        let value = number(self.option(23).unwrap()) as u32;
        (value >> 4, value & 8 != 0, (value & 7) as u8)
    }

    pub fn answer(&self, code: u8) -> Self {
        Self { code, token: self.token.clone(), ..Self::default() }
    }

    pub fn with(mut self, number: u16, value: &[u8]) -> Self {
        self.options.push((number, value.to_vec()));
        self.options.sort_by_key(|option| option.0);
        self
    }

    pub fn without(mut self, number: u16) -> Self {
        self.options.retain(|option| option.0 != number);
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

/// A file on a server without quirks: blocks of up to `16 << largest`, and for 7 as many of 1024 bytes as `bert` says.
pub fn serve(request: &Msg, file: &[u8], etag: &[u8], largest: u8, bert: usize) -> Msg {
    let (number, _, szx) = request.block();
    let szx = szx.min(largest);
    let unit = 16 << request.block().2.min(6);
    let size = if szx == 7 { 1_024 * bert } else { 16 << szx };
    let start = number as usize * unit;
    if start >= file.len() && start != 0 {
        return request.answer(0xa0);
    }
    let end = file.len().min(start + size);
    let mut answer = request
        .answer(0x45)
        .with_block((start / (16 << szx.min(6))) as u32, end < file.len(), szx)
        .with_payload(&file[start..end]);
    if !etag.is_empty() {
        answer = answer.with(4, etag);
    }
    if request.option(28).is_some() { answer.with(28, &uint(file.len() as u32)) } else { answer }
}

/// What a server does with a message: bytes to send, and whether it closes the connection then.
type Handler = Box<dyn FnMut(&Msg) -> (Vec<u8>, bool)>;

pub struct Server {
    handler: RefCell<Handler>,
    /// Each message, and over which connection.
    pub messages: RefCell<Vec<(usize, Msg)>>,
    pub connections: RefCell<Vec<(String, u16, bool)>>,
    /// What the server sends when a connection begins.
    pub greeting: RefCell<Vec<u8>>,
    /// The most bytes that are read or written at a time.
    pub piece: Cell<usize>,
    /// Each operation is pending once.
    pub slow: Cell<bool>,
    /// How many of the next connections can't be opened, and why.
    pub down: Cell<usize>,
    pub refuses: Cell<IoError>,
    /// After so many bytes in all, the connection is lost.
    pub cut: Cell<usize>,
    /// The present connection was closed while it was idle.
    pub closed: Cell<bool>,
    /// Of TLS: more bytes than these in one message can't be received.
    pub record: Cell<usize>,
    pub received: Cell<usize>,
    pub sent: Cell<usize>,
    pub largest_read: Cell<usize>,
}

impl Server {
    /// What the server sends to each message, its own settings aside.
    pub fn raw(handler: impl FnMut(&Msg) -> (Vec<u8>, bool) + 'static) -> Self {
        Self {
            handler: RefCell::new(Box::new(handler)),
            messages: RefCell::default(),
            connections: RefCell::default(),
            greeting: RefCell::new(Msg::csm(1 << 20).bytes()),
            piece: Cell::new(usize::MAX),
            slow: Cell::new(false),
            down: Cell::new(0),
            refuses: Cell::new(IoError::ConnectionRefused),
            cut: Cell::new(usize::MAX),
            closed: Cell::new(false),
            record: Cell::new(usize::MAX),
            received: Cell::new(0),
            sent: Cell::new(0),
            largest_read: Cell::new(0),
        }
    }

    /// What the server answers to each request.
    pub fn new(mut handler: impl FnMut(&Msg) -> Msg + 'static) -> Self {
        Self::raw(move |msg| (if msg.code == 1 { handler(msg).bytes() } else { vec![] }, false))
    }

    pub fn serving(file: &[u8], etag: &'static [u8]) -> Self {
        let file = file.to_vec();
        Self::new(move |request| serve(request, &file, etag, 7, 8))
    }

    pub fn requests(&self) -> Vec<Msg> {
        self.messages.borrow().iter().filter(|(_, msg)| msg.code == 1).map(|(_, msg)| msg.clone()).collect()
    }

    /// The numbers and sizes of the blocks that were asked for.
    pub fn blocks(&self) -> Vec<(u32, u8)> {
        self.requests().iter().map(|msg| (msg.block().0, msg.block().2)).collect()
    }

    fn pass(&self, count: usize) -> Result<usize, IoError> {
        let count = count.min(self.piece.get()).min(self.cut.get());
        if count == 0 {
            return Err(IoError::ConnectionReset);
        }
        self.cut.set(self.cut.get().saturating_sub(if self.cut.get() == usize::MAX { 0 } else { count }));
        Ok(count)
    }

    async fn wait(&self) {
        let mut ready = !self.slow.get();
        std::future::poll_fn(|_| if std::mem::replace(&mut ready, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }
}

pub struct Conn<'s> {
    server: &'s Server,
    nth: usize,
    from_client: Vec<u8>,
    to_client: VecDeque<u8>,
    /// Where messages end, for the longest record.
    close: bool,
}

impl Drop for Conn<'_> {
    fn drop(&mut self) {
        self.server.closed.set(false);
    }
}

impl Connect for Server {
    type Error = IoError;
    type Conn<'c> = Conn<'c>;

    const TLS: bool = true;

    async fn connect<'c>(&'c self, server: connect::Server<'_>) -> Result<Conn<'c>, IoError> {
        self.wait().await;
        self.connections.borrow_mut().push((server.host.into(), server.port, server.tls));
        if let Some(left) = self.down.get().checked_sub(1) {
            self.down.set(left);
            return Err(self.refuses.get());
        }
        let (nth, to_client) = (self.connections.borrow().len(), self.greeting.borrow().clone().into());
        Ok(Conn { server: self, nth, from_client: Vec::new(), to_client, close: false })
    }

    fn failure(error: &IoError) -> Failure {
        match error {
            IoError::OutOfMemory => Failure::TooBig,
            IoError::InvalidData => Failure::Tls,
            _ => Failure::Network,
        }
    }
}

impl ErrorType for Conn<'_> {
    type Error = IoError;
}

impl Read for Conn<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, IoError> {
        self.server.wait().await;
        assert!(!buf.is_empty(), "never asks for nothing");
        if self.server.closed.get() {
            return Ok(0);
        }
        if self.to_client.len() > self.server.record.get() {
            return Err(IoError::OutOfMemory);
        }
        if self.to_client.is_empty() {
            return if self.close { Ok(0) } else { Err(IoError::TimedOut) };
        }
        let count = self.server.pass(buf.len().min(self.to_client.len()))?;
        for (to, from) in buf.iter_mut().zip(self.to_client.drain(..count)) {
            *to = from;
        }
        self.server.received.set(self.server.received.get() + count);
        self.server.largest_read.set(self.server.largest_read.get().max(count));
        Ok(count)
    }
}

impl Write for Conn<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, IoError> {
        self.server.wait().await;
        assert!(!bytes.is_empty());
        if self.server.closed.get() {
            return Err(IoError::BrokenPipe);
        }
        let count = self.server.pass(bytes.len())?;
        self.from_client.extend(&bytes[..count]);
        self.server.sent.set(self.server.sent.get() + count);
        while let Some((msg, len)) = Msg::parse(&self.from_client) {
            self.from_client.drain(..len);
            self.server.messages.borrow_mut().push((self.nth, msg.clone()));
            if self.close {
                continue;
            }
            let (answer, close) = (self.server.handler.borrow_mut())(&msg);
            self.to_client.extend(answer);
            self.close |= close;
        }
        Ok(count)
    }

    async fn flush(&mut self) -> Result<(), IoError> {
        self.server.wait().await;
        Ok(())
    }
}
