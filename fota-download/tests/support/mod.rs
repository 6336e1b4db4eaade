//! A web server that follows a script, a target in RAM, a clock that only writes down.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use dfu_target::target::{Assurance, Checked, Proof};
use dfu_target::{Applied, DfuTarget, Digest, ErrorKind, ErrorType, Image, ImageKind, Written};
use embedded_hal_async::delay::DelayNs;
use embedded_io_async::{ErrorKind as IoError, Read, Write};
use fota_download::Connect;
use fota_download::connect::{self, Failure};
use fota_download::http::Error;
use fota_download::{Meta, Source};

pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// Polls a few times, then drops the future.
pub fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
    }
    None
}

/// What a server sends, and what its connection does then.
pub struct Answer {
    pub bytes: Vec<u8>,
    pub then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    Keep,
    Close,
    Fail,
    /// A record comes that can't be received.
    TooBig,
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self { bytes: text.into(), then: Then::Close }
    }
}

type Handler = Box<dyn FnMut(&str) -> Answer>;

/// A server: a function from a request to an answer.
pub struct Server {
    handler: RefCell<Handler>,
    pub requests: RefCell<Vec<String>>,
    /// Where each connection went.
    pub connections: RefCell<Vec<(String, u16)>>,
    /// The most bytes that a read gives.
    pub piece: Cell<usize>,
    /// Each read and write is pending once.
    pub slow: Cell<bool>,
    /// How many of the next connections can't be opened.
    pub down: Cell<usize>,
    /// And why.
    pub refuses: Cell<IoError>,
    /// Which connections are TLS.
    pub secure: RefCell<Vec<bool>>,
    /// Over TLS: the longest record that can be received, and the longest that is sent. An answer's head and its
    /// body come in one, if that is long enough.
    pub record: Cell<usize>,
    pub sends: Cell<usize>,
    /// The length of each record so far.
    pub records: RefCell<Vec<usize>>,
}

impl Server {
    pub fn new(handler: impl FnMut(&str) -> Answer + 'static) -> Self {
        Self {
            handler: RefCell::new(Box::new(handler)),
            requests: RefCell::default(),
            connections: RefCell::default(),
            piece: Cell::new(usize::MAX),
            slow: Cell::new(false),
            down: Cell::new(0),
            refuses: Cell::new(IoError::ConnectionRefused),
            secure: RefCell::default(),
            record: Cell::new(usize::MAX),
            sends: Cell::new(16_384),
            records: RefCell::default(),
        }
    }

    /// One answer after the other; after the last, connections fail.
    pub fn script(answers: impl IntoIterator<Item = Answer>) -> Self {
        let mut answers: VecDeque<_> = answers.into_iter().collect();
        Server::new(move |_| answers.pop_front().unwrap_or(Answer { bytes: Vec::new(), then: Then::Fail }))
    }

    pub fn request(&self, nth: usize) -> String {
        self.requests.borrow()[nth].clone()
    }
}

pub struct Conn<'s> {
    server: &'s Server,
    tls: bool,
    /// How much is left of the record that is being read.
    record: usize,
    request: Vec<u8>,
    answer: VecDeque<u8>,
    then: Then,
}

impl Connect for Server {
    type Error = IoError;
    type Conn<'c> = Conn<'c>;

    const TLS: bool = true;

    async fn connect<'c>(&'c self, server: connect::Server<'_>) -> Result<Conn<'c>, IoError> {
        self.connections.borrow_mut().push((server.host.into(), server.port));
        self.secure.borrow_mut().push(server.tls);
        if let Some(left) = self.down.get().checked_sub(1) {
            self.down.set(left);
            return Err(self.refuses.get());
        }
        let (tls, answer) = (server.tls, VecDeque::new());
        Ok(Conn { server: self, tls, record: 0, request: Vec::new(), answer, then: Then::Keep })
    }

    fn failure(error: &IoError) -> Failure {
        match error {
            IoError::OutOfMemory => Failure::TooBig,
            IoError::InvalidData => Failure::Tls,
            _ => Failure::Network,
        }
    }
}

impl embedded_io_async::ErrorType for Conn<'_> {
    type Error = IoError;
}

impl Conn<'_> {
    async fn wait(&self) {
        let mut ready = !self.server.slow.get();
        std::future::poll_fn(|_| if std::mem::replace(&mut ready, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }
}

impl Read for Conn<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, IoError> {
        self.wait().await;
        if self.answer.is_empty() {
            return match self.then {
                Then::Close => Ok(0),
                Then::Keep => Err(IoError::TimedOut),
                Then::Fail => Err(IoError::ConnectionReset),
                Then::TooBig => Err(IoError::OutOfMemory),
            };
        }
        let mut count = buf.len().min(self.answer.len()).min(self.server.piece.get());
        if self.tls {
            if self.record == 0 {
                self.record = self.answer.len().min(self.server.sends.get());
                self.server.records.borrow_mut().push(self.record);
                if self.record > self.server.record.get() {
                    self.answer.clear();
                    self.then = Then::Fail;
                    return Err(IoError::OutOfMemory);
                }
            }
            count = count.min(self.record);
            self.record -= count;
        }
        for (to, from) in buf.iter_mut().zip(self.answer.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }
}

impl Write for Conn<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, IoError> {
        self.wait().await;
        if self.then != Then::Keep {
            return Err(IoError::BrokenPipe);
        }
        let count = bytes.len().min(self.server.piece.get());
        self.request.extend(&bytes[..count]);
        if self.request.ends_with(b"\r\n\r\n") {
            let request = String::from_utf8(std::mem::take(&mut self.request)).unwrap();
            let answer = (self.server.handler.borrow_mut())(&request);
            self.server.requests.borrow_mut().push(request);
            self.answer.extend(answer.bytes);
            self.then = answer.then;
        }
        Ok(count)
    }

    async fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }
}

/// Opens at an offset and reads to the end of the file, or of the stretch that the server gave.
pub fn fetch(source: &mut impl Source<Error = Error<IoError>>, from: u32) -> (Result<Meta, Error<IoError>>, Vec<u8>) {
    let mut all = Vec::new();
    let outcome = block_on(async {
        let meta = source.open(from).await?;
        let mut buf = [0; 300];
        loop {
            match source.read(&mut buf).await? {
                0 => return Ok(meta),
                count => all.extend(&buf[..count]),
            }
        }
    });
    (outcome, all)
}

/// A connector without TLS, and without a network.
pub struct Plain;

impl Connect for Plain {
    type Error = IoError;
    type Conn<'c> = Conn<'c>;

    async fn connect<'c>(&'c self, server: connect::Server<'_>) -> Result<Conn<'c>, IoError> {
        assert!(!server.tls, "never");
        Err(IoError::NotConnected)
    }
}

/// The value of a request's field.
pub fn field<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A file on a proper server: `Range`, `If-Range`, 416.
pub fn serve(request: &str, file: &[u8], etag: &str) -> Answer {
    let range = field(request, "Range")
        .map(|range| range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).unwrap())
        .map(|(from, last)| (from.parse::<usize>().unwrap(), last.parse().unwrap_or(usize::MAX)));
    let from = range.filter(|_| field(request, "If-Range").is_none_or(|known| known == etag));
    let len = file.len();
    let (status, range, body) = match from {
        None => ("200 OK", String::new(), file),
        Some((from, last)) if from < len => {
            let last = last.min(len - 1);
            ("206 Partial Content", format!("Content-Range: bytes {from}-{last}/{len}\r\n"), &file[from..=last])
        }
        Some(_) => ("416 Range Not Satisfiable", format!("Content-Range: bytes */{len}\r\n"), &[][..]),
    };
    let head = format!("HTTP/1.1 {status}\r\nETag: {etag}\r\nContent-Length: {}\r\n{range}\r\n", body.len());
    Answer { bytes: [head.as_bytes(), body].concat(), then: Then::Keep }
}

/// An image by its first four bytes; the rest differs with the seed.
pub fn image(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add((at >> 8) as u8) ^ seed).collect();
    bytes[..4].copy_from_slice(&[0x3d, 0xb8, 0xf3, 0x96]);
    bytes
}

/// What [`Ram`] has for a SHA-256: four sums that tell files apart.
pub fn sum(bytes: &[u8]) -> Digest {
    let mut lanes = [0xcbf2_9ce4_8422_2325_u64; 4];
    for (at, byte) in bytes.iter().enumerate() {
        let lane = &mut lanes[at % 4];
        *lane = (*lane ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    }
    let mut digest = [0; 32];
    digest.chunks_mut(8).zip(lanes).for_each(|(to, lane)| to.copy_from_slice(&lane.to_be_bytes()));
    Digest(digest)
}

/// A target that keeps what it gets.
#[derive(Debug, Default)]
pub struct Ram {
    pub bytes: Vec<u8>,
    pub writes: usize,
    /// Fails at this write, this often.
    pub fail: Option<(usize, usize)>,
    /// Wants bytes from here once more, at this write.
    pub rewind: Option<(usize, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RamError;

impl std::fmt::Display for RamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the flash failed")
    }
}

impl std::error::Error for RamError {}

impl dfu_target::Error for RamError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Storage
    }
}

impl ErrorType for Ram {
    type Error = RamError;
}

impl DfuTarget for Ram {
    fn identity(&self, _: ImageKind, _: u8) -> u32 {
        1
    }

    fn accepts(&self, kind: ImageKind, _: u8) -> bool {
        kind == ImageKind::Mcuboot
    }

    async fn init(&mut self, _: &Image<'_>, resume: u32) -> Result<u32, RamError> {
        // Goes back to a multiple of 100, as flash does to an erase unit.
        let from = resume / 100 * 100;
        self.bytes.truncate(from as usize);
        Ok(from)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<Written, RamError> {
        self.writes += 1;
        if let Some((at, times)) = self.fail.filter(|(at, times)| self.writes >= *at && *times > 0) {
            self.fail = Some((at, times - 1));
            return Err(RamError);
        }
        if let Some((_, to)) = self.rewind.filter(|(at, _)| self.writes >= *at) {
            self.rewind = None;
            self.bytes.truncate(to as usize);
            return Ok(Written::Rewind(to));
        }
        self.bytes.extend(bytes);
        Ok(Written::Committed(self.bytes.len() as u32))
    }

    async fn digest(&mut self) -> Result<Checked, RamError> {
        Ok(Checked { digest: sum(&self.bytes), assurance: Assurance::Hash })
    }

    async fn apply(&mut self, _: Proof) -> Result<Applied, RamError> {
        Ok(Applied::AtReset)
    }

    async fn abort(&mut self) -> Result<(), RamError> {
        self.bytes.clear();
        Ok(())
    }
}

/// Writes pauses down instead of waiting, in milliseconds.
#[derive(Default)]
pub struct Clock(pub Vec<u32>);

impl DelayNs for Clock {
    async fn delay_ns(&mut self, _: u32) {}

    async fn delay_ms(&mut self, ms: u32) {
        self.0.push(ms);
    }
}
