//! The head of a response: bytes in, the few facts that matter out.

use super::text::{FOLD, begins, hash, number, part, prefix, skip, until};

/// A parsed head.
#[derive(Default)]
pub(super) struct Head<'b> {
    pub(super) code: u32,
    /// HTTP/1.1, where connections last unless said otherwise.
    lasting: bool,
    /// How many bytes it has; the body begins after them.
    pub(super) len: usize,
    /// By [`NAMES`].
    values: [Option<&'b [u8]>; NAMES.len()],
    /// A bit for each that was named twice and differently.
    mixed: u32,
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
    /// Reads a head; `Some(false)`: there is more to come; `None`: this is none.
    #[inline(never)]
    pub(super) fn parse(&mut self, bytes: &'b [u8]) -> Option<bool> {
        let mut rest = bytes;
        let (minor, code) = match line(&mut rest) {
            [] => return Some(false),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', code @ ..] => (minor, code),
            _ => return None,
        };
        self.lasting = *minor != b'0';
        self.code = number(&mut &*code).filter(|code| matches!(code, 100..=999))?;
        loop {
            match httparse::parse_headers(rest, &mut []) {
                Ok(httparse::Status::Complete((len, _))) => {
                    self.len = bytes.len().wrapping_sub(rest.len()).wrapping_add(len);
                    return Some(true);
                }
                Ok(httparse::Status::Partial) => return Some(false),
                // It is a field: `httparse` checked it up to the end of its line, and `take` splits it at the colon.
                // Given room for it, `httparse` would do that too, in 270 bytes more and with a panic among them.
                Err(httparse::Error::TooManyHeaders) => self.take(line(&mut rest)),
                Err(_) => return None,
            }
        }
    }

    fn take(&mut self, line: &'b [u8]) {
        let colon = until(line, b':', b':');
        let name = hash(part(line, 0, colon), FOLD);
        let mut value = part(line, colon.wrapping_add(1), line.len());
        while let [0..=b' ', rest @ ..] | [rest @ .., 0..=b' '] = value {
            value = rest;
        }
        for (nth, (place, known)) in self.values.iter_mut().zip(&NAMES).enumerate() {
            if *known == name && place.replace(value).is_some_and(|before| before != value) {
                self.mixed |= 1 << nth;
            }
        }
    }

    /// A field's value, empty where there is none.
    pub(super) fn value(&self, field: usize) -> &'b [u8] {
        self.values.get(field).copied().flatten().unwrap_or_default()
    }

    /// The announced length of the body, [`UNKNOWN`] where there is none; `None`: it is no number.
    pub(super) fn length(&self) -> Option<u32> {
        let Some(Some(mut text)) = self.values.get(CONTENT_LENGTH).copied() else { return Some(UNKNOWN) };
        number(&mut text).filter(|_| text.is_empty() && !self.is_mixed(CONTENT_LENGTH))
    }

    /// Whether the body is not the bytes of the file.
    pub(super) fn encoded(&self) -> bool {
        self.encodes(CONTENT_ENCODING) || self.encodes(TRANSFER_ENCODING)
    }

    #[inline(never)]
    fn encodes(&self, field: usize) -> bool {
        let value = self.value(field);
        !value.is_empty() && !begins(value, const { prefix(b"identity") }) || self.is_mixed(field)
    }

    pub(super) fn html(&self) -> bool {
        begins(self.value(CONTENT_TYPE), const { prefix(b"text/html") })
    }

    /// Whether the connection takes another request after the body.
    pub(super) fn keeps(&self) -> bool {
        self.lasting && !begins(self.value(CONNECTION), const { prefix(b"close") }) && !self.is_mixed(CONNECTION)
    }

    fn is_mixed(&self, field: usize) -> bool {
        self.mixed & (1 << field) != 0
    }

    /// What names this version of the file, byte for byte: an `ETag` that is not weak, or a `Last-Modified` that
    /// lies before the answer's own second (RFC 9110, 8.8.2.2).
    pub(super) fn validator(&self) -> &'b [u8] {
        let (etag, modified) = (self.value(ETAG), self.value(LAST_MODIFIED));
        match etag.first() {
            Some(b'"') => etag,
            _ if modified == self.value(DATE) => &[],
            _ => modified,
        }
    }
}

/// `bytes 10-19/20`, or with `*` for the length of the whole; of `bytes */20` the length of the whole alone.
#[inline(never)]
pub(super) fn range(mut text: &[u8]) -> Option<Range> {
    begins(text, const { prefix(b"bytes ") }).then_some(())?;
    text = part(text, 6, text.len());
    let mut range = NO_RANGE;
    if !skip(&mut text, b'*') {
        range.start = number(&mut text)?;
        let last = skip(&mut text, b'-').then(|| number(&mut text))??;
        range.len = last.checked_sub(range.start)?.checked_add(1)?;
    }
    skip(&mut text, b'/').then_some(())?;
    if !skip(&mut text, b'*') {
        range.size = number(&mut text)?;
    }
    let fits = range.len == 0 || range.start.wrapping_add(range.len.wrapping_sub(1)) < range.size;
    (fits && text.is_empty()).then_some(range)
}

/// A length that nobody named.
pub(super) const UNKNOWN: u32 = u32::MAX;

pub(super) const NO_RANGE: Range = Range { start: 0, len: 0, size: UNKNOWN };

/// Takes a line off the front; nothing where it has no end yet.
#[inline(never)]
fn line<'b>(text: &mut &'b [u8]) -> &'b [u8] {
    let end = until(text, b'\n', b'\n').wrapping_add(1);
    let (line, rest) = text.split_at_checked(end).unwrap_or_default();
    *text = rest;
    line
}

const CONTENT_LENGTH: usize = 0;
pub(super) const CONTENT_RANGE: usize = 1;
const ETAG: usize = 2;
const LAST_MODIFIED: usize = 3;
const DATE: usize = 4;
pub(super) const LOCATION: usize = 5;
const CONTENT_TYPE: usize = 6;
const CONTENT_ENCODING: usize = 7;
const TRANSFER_ENCODING: usize = 8;
const CONNECTION: usize = 9;
pub(super) const RETRY_AFTER: usize = 10;

const NAMES: [u32; 11] = [
    hash(b"content-length", FOLD),
    hash(b"content-range", FOLD),
    hash(b"etag", FOLD),
    hash(b"last-modified", FOLD),
    hash(b"date", FOLD),
    hash(b"location", FOLD),
    hash(b"content-type", FOLD),
    hash(b"content-encoding", FOLD),
    hash(b"transfer-encoding", FOLD),
    hash(b"connection", FOLD),
    hash(b"retry-after", FOLD),
];
