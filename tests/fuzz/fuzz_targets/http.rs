//! Any bytes as the answers of an HTTP server, over connections that fail anywhere, in pieces of any size.
//!
//! What must hold: nothing panics, and every call ends after a bounded number of operations. Requests are whole and
//! well formed; from TLS nothing leads away, and the caller's fields go to the caller's host and port only. `start` is what was
//! asked for or 0. No byte is given beyond the announced size or that the server did not send. Where httparse and a
//! plain reading of the body can read the last answer, the bytes given are those, the end is told where it is, and
//! an answer with nothing strange in it is taken.
#![no_main]

use std::cell::{Cell, RefCell};

use dfu_fuzz::Bytes;
use dfu_testkit::poll::run;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use fota_download::connect::{Failure, Server};
use fota_download::http::Error;
use fota_download::{Connect, Http, Meta, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let options = bytes.byte();
    if options & 1 == 0 { client::<false>(options, bytes) } else { client::<true>(options, bytes) }
});

/// What the server sends over one connection, whatever it is asked.
#[derive(Debug)]
struct Script<'d> {
    bytes: &'d [u8],
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Close,
    Reset,
    TooBig,
    Tls,
}

struct Net<'d, const TLS: bool> {
    scripts: Vec<Script<'d>>,
    /// The caller's URL is `https`.
    secure: bool,
    pieces: [u8; 4],
    connections: Cell<usize>,
    operations: Cell<usize>,
    seen: RefCell<Seen>,
}

/// What was seen of the requests so far.
#[derive(Debug, Default)]
struct Seen {
    request: Vec<u8>,
    /// The connection's script, and how much of it was read when the last request was sent.
    answer: Option<(usize, usize)>,
    /// The range that was asked for.
    from: Option<u32>,
    /// One connection of the call was TLS.
    secure: bool,
}

struct Conn<'n, 'd, const TLS: bool> {
    net: &'n Net<'d, TLS>,
    script: usize,
    at: usize,
    /// Where its last answer began, and the range that was asked for.
    last: Option<(usize, Option<u32>)>,
    host: String,
    /// It is the server of the caller's URL.
    is_first: bool,
}

impl<'d, const TLS: bool> Connect for Net<'d, TLS> {
    type Error = ErrorKind;
    type Conn<'c>
        = Conn<'c, 'd, TLS>
    where
        Self: 'c;
    const TLS: bool = TLS;

    async fn connect<'c>(&'c self, server: Server<'_>) -> Result<Conn<'c, 'd, TLS>, ErrorKind> {
        self.operations.set(self.operations.get() + 1);
        let nth = self.connections.replace(self.connections.get() + 1);
        let mut seen = self.seen.borrow_mut();
        seen.request.clear();
        let last = seen.answer.take().and_then(|(script, at)| code(&self.scripts[script].bytes[at..]));
        assert!(server.port != 0 && !server.host.is_empty());
        assert!(!server.tls || TLS, "there is no TLS");
        // But to the caller's own URL, where that is so and an address that a redirect led to has expired.
        let back = server.host == HOST && !matches!(last, Some(300..=399));
        assert!(server.tls || !seen.secure || !self.secure && back, "from TLS to none: {last:?}");
        seen.secure |= server.tls;
        // The last one answers for ever.
        let is_first = server.host.eq_ignore_ascii_case(HOST) && server.port == if self.secure { 443 } else { 80 };
        let script = nth.min(self.scripts.len() - 1);
        Ok(Conn { net: self, script, at: 0, last: None, host: server.host.into(), is_first })
    }

    fn failure(error: &ErrorKind) -> Failure {
        match error {
            ErrorKind::OutOfMemory => Failure::TooBig,
            ErrorKind::InvalidData => Failure::Tls,
            _ => Failure::Network,
        }
    }
}

impl<const TLS: bool> ErrorType for Conn<'_, '_, TLS> {
    type Error = ErrorKind;
}

impl<const TLS: bool> Conn<'_, '_, TLS> {
    fn piece(&self, most: usize) -> usize {
        let nth = self.net.operations.replace(self.net.operations.get() + 1);
        most.min(usize::from(self.net.pieces[nth % 4]).max(1))
    }
}

impl<const TLS: bool> Read for Conn<'_, '_, TLS> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        assert!(!buf.is_empty(), "a read for nothing");
        let script = &self.net.scripts[self.script];
        let rest = &script.bytes[self.at..];
        let count = self.piece(buf.len().min(rest.len()));
        if rest.is_empty() {
            return match script.then {
                Then::Close => Ok(0),
                Then::Reset => Err(ErrorKind::ConnectionReset),
                Then::TooBig => Err(ErrorKind::OutOfMemory),
                Then::Tls => Err(ErrorKind::InvalidData),
            };
        }
        buf[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

impl<const TLS: bool> Write for Conn<'_, '_, TLS> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        assert!(!bytes.is_empty());
        if let Some((from, asked)) = self.last.take() {
            // The connection is kept: it is at the end of the last answer.
            let script = &self.net.scripts[self.script];
            let end = Plain::read(&script.bytes[from..], script.then, asked).and_then(|plain| plain.end);
            assert!(end.is_none_or(|end| self.at == from + end), "out of step: {end:?}, {} - {from}", self.at);
        }
        let count = self.piece(bytes.len());
        let mut seen = self.net.seen.borrow_mut();
        seen.answer = None;
        seen.request.extend(&bytes[..count]);
        Ok(count)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        self.net.operations.set(self.net.operations.get() + 1);
        let mut seen = self.net.seen.borrow_mut();
        let request = std::mem::take(&mut seen.request);
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut fields);
        assert_eq!(
            parsed.parse(&request),
            Ok(httparse::Status::Complete(request.len())),
            "{:?}",
            request.escape_ascii()
        );
        assert_eq!((parsed.method, parsed.version), (Some("GET"), Some(1)));
        let field = |name: &str| {
            let mut values = parsed.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
            let value = values.next().map(|field| String::from_utf8_lossy(field.value).into_owned());
            assert!(values.next().is_none(), "{name} twice");
            value
        };
        let host = field("host").expect("a host");
        assert!(host.contains(&self.host));
        assert_eq!(field("authorization").is_some(), self.is_first, "{host}");
        seen.from = field("range").map(|range| {
            let first = range.strip_prefix("bytes=").and_then(|range| range.split('-').next());
            first.and_then(|first| first.parse().ok()).expect("a range")
        });
        seen.answer = Some((self.script, self.at));
        self.last = Some((self.at, seen.from));
        Ok(())
    }
}

const HOST: &str = "a.example";

fn client<const TLS: bool>(options: u8, mut bytes: Bytes<'_>) {
    let pieces = bytes.array();
    let steps = bytes.array::<6>();
    let number = u32::from_le_bytes(bytes.array());
    let mut scripts = Vec::new();
    for nth in 0..4 {
        let then = [Then::Close, Then::Reset, Then::TooBig, Then::Tls][usize::from(bytes.byte() & 3)];
        // Up to a byte that no answer needs, so that a mutation of one answer leaves the next one alone.
        let end = bytes.0.iter().position(|byte| *byte == 0xfe && nth != 3).unwrap_or(bytes.0.len());
        let (script, rest) = bytes.0.split_at(end);
        scripts.push(Script { bytes: script, then });
        bytes.0 = rest.get(1..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
    }
    let secure = TLS && options & 2 != 0;
    let net = Net::<TLS> {
        scripts,
        secure,
        pieces,
        connections: Cell::new(0),
        operations: Cell::new(0),
        seen: RefCell::default(),
    };
    let url = format!("{}://{HOST}/fw/a.bin", if secure { "https" } else { "http" });
    let mut buf = vec![0; if options & 4 == 0 { 1_024 } else { 180 + usize::from(options) }];
    let room = buf.len() - 64 - 64;
    let mut source = Http::new(&net, &url, &mut buf).expect("a good URL").fields(&[("Authorization", "x")]);
    if options & 8 != 0 {
        source = source.record_limit(u16::from(options) * 8);
    }
    for step in steps {
        let from = match step % 5 {
            0 => 0,
            1 => 1,
            2 => 10,
            3 => number,
            _ => u32::from(step),
        };
        *net.seen.borrow_mut() = Seen { secure, ..Seen::default() };
        let before = (net.connections.get(), net.operations.get());
        let sent = net.scripts.iter().map(|script| script.bytes.len()).max().unwrap_or_default();
        let opened = run(source.open(from));
        // Redirects, records that are too long, an address that expired, another version, a kept connection.
        let connections = net.connections.get() - before.0;
        assert!(connections <= 40, "{connections} connections");
        let operations = net.operations.get() - before.1;
        assert!(operations <= (connections + 1) * (sent + 3 * 1_024), "{operations} operations");
        let answer = net.seen.borrow().answer;
        let asked = net.seen.borrow().from;
        let script = answer.map(|(script, at)| (&net.scripts[script].bytes[at..], net.scripts[script].then));
        let plain = script.and_then(|(bytes, then)| Plain::read(bytes, then, asked));
        let meta = match opened {
            Ok(meta) => meta,
            Err(error) => {
                let plain = plain.as_ref().filter(|plain| plain.simple && plain.head <= room);
                assert!(plain.is_none(), "{error:?} for {plain:?}");
                continue;
            }
        };
        assert!(meta.start == 0 || meta.start == from, "{meta:?} for {from}");
        assert!(answer.is_some(), "nobody was asked");
        read(&net, &mut source, meta, script.map_or(0, |(bytes, _)| bytes.len()), plain, step);
    }
}

/// Reads to the end, to an error, or not at all.
fn read<const TLS: bool>(
    net: &Net<'_, TLS>,
    source: &mut Http<'_, '_, Net<'_, TLS>>,
    meta: Meta,
    sent: usize,
    plain: Option<Plain>,
    step: u8,
) {
    if let Some(plain) = &plain {
        assert_eq!((meta.start, meta.size), (plain.start, plain.size), "{plain:?}");
    }
    if step & 0x80 != 0 {
        return;
    }
    let mut given: Vec<u8> = Vec::new();
    let mut buf = vec![0; 1 + usize::from(step) * 3];
    loop {
        let before = net.operations.get();
        let outcome: Result<usize, Error<ErrorKind>> = run(source.read(&mut buf));
        assert!(net.operations.get() - before <= sent + 1);
        let count = match outcome {
            Ok(count) => count,
            Err(error) => {
                let plain = plain.filter(|plain| plain.simple && plain.ends && !plain.more);
                assert!(plain.is_none(), "{error:?} for {plain:?}");
                return;
            }
        };
        given.extend(&buf[..count]);
        assert!(given.len() <= sent, "more than was sent");
        let size = meta.size.map_or(usize::MAX, |size| (size - meta.start) as usize);
        assert!(given.len() <= size, "more than was announced");
        if let Some(plain) = &plain {
            let (both, rest) = (given.len().min(plain.body.len()), given.len() > plain.body.len());
            assert_eq!(given[..both], plain.body[..both]);
            assert!(!rest || plain.strange, "more than the body has");
        }
        if count == 0 {
            if let Some(plain) = &plain {
                assert!(
                    plain.strange || (plain.ends || plain.enough) && given.len() == plain.body.len(),
                    "an end that is none: {plain:?}"
                );
            }
            return;
        }
    }
}

/// The status code of an answer, as httparse has it.
fn code(bytes: &[u8]) -> Option<u16> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut fields);
    match answer.parse(bytes) {
        Ok(httparse::Status::Complete(head)) if answer.code? < 200 => code(&bytes[head..]),
        Ok(httparse::Status::Complete(_)) => answer.code,
        _ => None,
    }
}

/// An answer as httparse and a plain reading have it.
#[derive(Debug)]
struct Plain {
    start: u32,
    size: Option<u32>,
    /// As far as it came, and as far as it makes sense.
    body: Vec<u8>,
    /// The body is all there.
    ends: bool,
    /// All that the range announces is there, whatever its chunks say.
    enough: bool,
    /// Something comes behind it.
    more: bool,
    /// Its chunks are not as the standard wants them.
    strange: bool,
    head: usize,
    /// Where it ends, if it says so in advance.
    end: Option<usize>,
    /// There is nothing in it that may be refused.
    simple: bool,
}

impl Plain {
    fn read(bytes: &[u8], then: Then, asked: Option<u32>) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(head)) = answer.parse(bytes) else { return None };
        let (code, version) = (answer.code?, answer.version?);
        if code < 200 {
            let rest = Self::read(&bytes[head..], then, asked)?;
            return Some(Self { head: rest.head + head, end: rest.end.map(|end| end + head), simple: false, ..rest });
        }
        let mut simple = bytes.starts_with(b"HTTP/1.");
        let once = |name: &str| -> Result<Option<String>, ()> {
            let mut values = answer.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
            let value = values.next().map(|field| String::from_utf8_lossy(field.value).trim().to_owned());
            if values.next().is_some() { Err(()) } else { Ok(value) }
        };
        let length = once("content-length").ok()?;
        let range = once("content-range").ok()?;
        let coding = once("transfer-encoding").ok()?;
        let chunked = coding.as_ref().is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        for field in answer.headers.iter() {
            let name = field.name.to_ascii_lowercase();
            simple &= match &name[..] {
                "content-length" | "content-range" | "etag" | "last-modified" | "date" | "server" | "connection" => {
                    true
                }
                "transfer-encoding" => chunked,
                _ => false,
            };
            simple &= field.value.iter().all(|byte| (b' '..0x7f).contains(byte));
        }
        let length = match length {
            Some(text) => Some(digits(&text)?),
            None => None,
        };
        if coding.is_some() && (!chunked || length.is_some() || version == 0) {
            return None;
        }
        let (start, len, size) = match code {
            200 => (0, length, length),
            206 => {
                let (first, rest) =
                    range?.strip_prefix("bytes ")?.split_once('-').map(|(a, b)| (a.to_owned(), b.to_owned()))?;
                let (last, size) = rest.split_once('/')?;
                let (first, last) = (digits(&first)?, digits(last)?);
                let size = if size == "*" { None } else { Some(digits(size)?) };
                let len = last.checked_add(1)?.checked_sub(first)?;
                simple &= asked == Some(first) && length.is_none_or(|length| length == len) && len != 0;
                simple &= size.is_none_or(|size| last < size);
                // Of a body in chunks its own length counts, if that is the shorter one.
                (first, Some(len), size)
            }
            _ => return None,
        };
        let rest = &bytes[head..];
        let (mut body, mut ends, mut more, mut strange) = (rest.to_vec(), then == Then::Close, false, false);
        if chunked {
            (body, ends, more, strange) = chunks(rest);
        }
        let end = len.filter(|_| !chunked).map(|len| head + len as usize);
        let enough = len.is_some_and(|len| body.len() >= len as usize);
        if let Some(len) = len.map(|len| len as usize) {
            if chunked {
                strange |= ends && body.len() != len;
                simple &= !strange;
            } else {
                ends = body.len() >= len;
                more = body.len() > len;
            }
            body.truncate(len);
        }
        Some(Self { start, size, body, ends, enough, more, strange, head, end, simple })
    }
}

fn digits(text: &str) -> Option<u32> {
    let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| good && *number != u32::MAX)
}

/// What is in chunks, whether all of it is there, whether something comes behind it, whether something is wrong.
fn chunks(mut rest: &[u8]) -> (Vec<u8>, bool, bool, bool) {
    let (mut body, mut frame) = (Vec::new(), 0);
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
            return (body, false, false, !rest.iter().all(u8::is_ascii_hexdigit) || frame + rest.len() > 900);
        };
        let (line, after) = rest.split_at(end);
        frame += end;
        let number = std::str::from_utf8(line).ok().and_then(|line| u32::from_str_radix(line, 16).ok());
        let Some(size) = number.filter(|_| line.iter().all(u8::is_ascii_hexdigit) && frame < 900) else {
            return (body, false, false, true);
        };
        rest = &after[2..];
        if size == 0 {
            // With fields behind it, it is left to the other reading.
            let Some(rest) = rest.strip_prefix(b"\r\n") else { return (body, false, false, true) };
            return (body, true, !rest.is_empty(), false);
        }
        let size = size as usize;
        let there = size.min(rest.len());
        body.extend(&rest[..there]);
        frame = 0;
        match rest[there..] {
            [] | [b'\r'] => return (body, false, false, false),
            [b'\r', b'\n', ref next @ ..] => rest = next,
            _ => return (body, false, false, true),
        }
    }
}
