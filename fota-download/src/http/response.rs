//! The head of a response: bytes in, the few facts that matter out.

use super::Fault;
use super::text::{FOLD, begins, hash, number, prefix, skip, until};

/// What a head says.
pub(super) struct Head<'b> {
    pub(super) code: u32,
    /// How many bytes it has; the body begins after them.
    pub(super) len: usize,
    /// The connection takes another request after the body.
    pub(super) keep: bool,
    /// The body comes in chunks.
    pub(super) chunked: bool,
    /// Why the body is not the bytes of the file.
    pub(super) fault: Option<Fault>,
    /// The announced length of the body, or [`UNKNOWN`].
    pub(super) length: u32,
    pub(super) range: Range,
    /// Seconds.
    pub(super) retry_after: u32,
    pub(super) location: &'b [u8],
    etag: &'b [u8],
    modified: &'b [u8],
    date: &'b [u8],
}

/// `Content-Range`.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) start: u32,
    /// 0: there is no such field, or none to be used.
    pub(super) len: u32,
    /// The length of the whole file, or [`UNKNOWN`].
    pub(super) size: u32,
}

impl<'b> Head<'b> {
    /// Says nothing.
    pub(super) fn new() -> Self {
        Self {
            code: 0,
            len: 0,
            keep: false,
            chunked: false,
            fault: None,
            length: UNKNOWN,
            range: Range { start: 0, len: 0, size: UNKNOWN },
            retry_after: 0,
            location: &[],
            etag: &[],
            modified: &[],
            date: &[],
        }
    }

    /// Reads a head; `Some(false)`: there is more to come; `None`: this is none.
    #[inline(never)]
    pub(super) fn parse(&mut self, bytes: &'b [u8]) -> Option<bool> {
        let mut rest = bytes;
        // Lines that are empty are no answer yet (RFC 9112, 2.2).
        while let [b'\r' | b'\n', after @ ..] = rest {
            rest = after;
        }
        let mut status = up_to(&mut rest, b'\n');
        if status.is_empty() {
            return Some(false);
        }
        let version = hash(up_to(&mut status, b' '), 0);
        self.keep = version == HTTP_1_1;
        if !self.keep && version != HTTP_1_0 {
            return None;
        }
        self.code = number(&mut status).filter(|code| matches!(code, 100..=999))?;
        loop {
            match httparse::parse_headers(rest, &mut []) {
                Ok(httparse::Status::Complete((len, _))) => {
                    self.len = bytes.len().wrapping_sub(rest.len()).wrapping_add(len);
                    return Some(true);
                }
                Ok(httparse::Status::Partial) => return Some(false),
                // It is a field: `httparse` checked it up to the end of its line, and `take` splits it at the colon.
                // Given room for it, `httparse` would do that too, in 270 bytes more and with a panic among them.
                Err(httparse::Error::TooManyHeaders) => self.take(up_to(&mut rest, b'\n')),
                Err(_) => return None,
            }
        }
    }

    /// Takes a field.
    #[inline(never)]
    fn take(&mut self, line: &'b [u8]) {
        let mut value = line;
        let name = hash(up_to(&mut value, b':'), FOLD);
        while let [0..=b' ', rest @ ..] | [rest @ .., 0..=b' '] = value {
            value = rest;
        }
        match NAMES.iter().position(|known| *known == name).unwrap_or(NAMES.len()) {
            CONTENT_LENGTH => {
                let length = number(&mut value).filter(|_| value.is_empty());
                let known = core::mem::replace(&mut self.length, length.unwrap_or(0));
                if length.is_none() || known != UNKNOWN && known != self.length {
                    self.fault = Some(Fault::Length);
                }
            }
            CONTENT_RANGE => {
                if let Some(range) = range(value) {
                    self.range = range;
                }
            }
            ETAG => self.etag = value,
            LAST_MODIFIED => self.modified = value,
            DATE => self.date = value,
            LOCATION => self.location = value,
            CONTENT_TYPE if begins(value, const { prefix(b"text/html") }) => self.fault = Some(Fault::Html),
            TRANSFER_ENCODING if !self.chunked && hash(value, FOLD) == CHUNKED => self.chunked = true,
            CONTENT_ENCODING | TRANSFER_ENCODING if !value.is_empty() && hash(value, FOLD) != IDENTITY => {
                self.fault = Some(Fault::Encoded);
            }
            CONNECTION => self.keep &= !begins(value, const { prefix(b"close") }),
            RETRY_AFTER => self.retry_after = number(&mut value).unwrap_or(0),
            _ => {}
        }
    }

    /// What names this version of the file, byte for byte: an `ETag` that is not weak, or a `Last-Modified` that
    /// lies before the answer's own second (RFC 9110, 8.8.2.2).
    pub(super) fn validator(&self) -> &'b [u8] {
        match self.etag {
            [b'"', ..] => self.etag,
            _ if self.date.is_empty() || self.modified == self.date => &[],
            _ => self.modified,
        }
    }

    /// It names no version but perhaps by a weak `ETag`.
    pub(super) fn is_undated(&self) -> bool {
        self.modified.is_empty() && self.etag.first() != Some(&b'"')
    }

    /// Of a weak `ETag`: two versions of the same second may differ in it. 0: there is none.
    pub(super) fn weak(&self) -> u32 {
        match self.etag {
            [] | [b'"', ..] => 0,
            weak => hash(weak, 0),
        }
    }
}

/// `bytes 10-19/20`, or with `*` for the length of the whole; of `bytes */20` the length of the whole alone.
fn range(mut text: &[u8]) -> Option<Range> {
    let unit = hash(up_to(&mut text, b' '), FOLD);
    (unit == BYTES).then_some(())?;
    let mut range = Range { start: 0, len: 0, size: UNKNOWN };
    if !skip(&mut text, b'*') {
        range.start = number(&mut text)?;
        let last = skip(&mut text, b'-').then(|| number(&mut text))??;
        range.len = last.checked_add(1)?.checked_sub(range.start)?;
    }
    skip(&mut text, b'/').then_some(())?;
    if !skip(&mut text, b'*') {
        range.size = number(&mut text)?;
    }
    let fits = range.start.wrapping_add(range.len) <= range.size;
    (fits && text.is_empty()).then_some(range)
}

/// A length that nobody named.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// Takes off the front what ends with this byte; nothing where it is not there.
#[inline(never)]
fn up_to<'b>(text: &mut &'b [u8], byte: u8) -> &'b [u8] {
    let end = until(text, byte, byte).wrapping_add(1);
    let (first, rest) = text.split_at_checked(end).unwrap_or_default();
    *text = rest;
    first
}

const CHUNKED: u32 = hash(b"chunked", FOLD);
const IDENTITY: u32 = hash(b"identity", FOLD);
const BYTES: u32 = hash(b"bytes ", FOLD);
const HTTP_1_0: u32 = hash(b"HTTP/1.0 ", 0);
const HTTP_1_1: u32 = hash(b"HTTP/1.1 ", 0);

const CONTENT_LENGTH: usize = 0;
const CONTENT_RANGE: usize = 1;
const ETAG: usize = 2;
const LAST_MODIFIED: usize = 3;
const DATE: usize = 4;
const LOCATION: usize = 5;
const CONTENT_TYPE: usize = 6;
const CONTENT_ENCODING: usize = 7;
const TRANSFER_ENCODING: usize = 8;
const CONNECTION: usize = 9;
const RETRY_AFTER: usize = 10;

const NAMES: [u32; 11] = [
    hash(b"content-length:", FOLD),
    hash(b"content-range:", FOLD),
    hash(b"etag:", FOLD),
    hash(b"last-modified:", FOLD),
    hash(b"date:", FOLD),
    hash(b"location:", FOLD),
    hash(b"content-type:", FOLD),
    hash(b"content-encoding:", FOLD),
    hash(b"transfer-encoding:", FOLD),
    hash(b"connection:", FOLD),
    hash(b"retry-after:", FOLD),
];
