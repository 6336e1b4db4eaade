//! The head of a response: bytes in, the few facts that matter out.

use super::Fault;
use super::text::{FOLD, begins, hash, number, part, prefix, skip, until};

/// How many fields a head may have.
const MAX_FIELDS: usize = 32;

/// A parsed head. A text that is not there is empty.
#[derive(Default)]
pub(super) struct Head<'b> {
    pub(super) code: u32,
    /// How many bytes it has; the body begins after them.
    pub(super) len: usize,
    /// The connection takes another request after the body.
    pub(super) keeps: bool,
    pub(super) html: bool,
    pub(super) encoded: bool,
    pub(super) length: Option<u32>,
    pub(super) range: Range,
    pub(super) location: &'b [u8],
    /// In seconds; 0: not named.
    pub(super) retry_after: u32,
    etag: &'b [u8],
    modified: &'b [u8],
    date: &'b [u8],
}

/// `Content-Range`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u32,
    /// 0: there is no such field, or none to be used.
    pub(super) len: u32,
    /// The length of the whole file.
    pub(super) size: Option<u32>,
}

impl<'b> Head<'b> {
    /// Reads a head; `false`: there is more to come.
    #[inline(never)]
    pub(super) fn parse(&mut self, bytes: &'b [u8]) -> Result<bool, Fault> {
        let end = until(bytes, b'\n', b'\n').wrapping_add(1);
        let Some((line, rest)) = bytes.split_at_checked(end) else { return Ok(false) };
        let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', code @ ..] = line else {
            return Err(Fault::Malformed);
        };
        let code = number(&mut &*code).filter(|code| matches!(code, 100..=999)).ok_or(Fault::Malformed)?;
        self.code = code;
        self.keeps = *minor != b'0';
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let (len, fields) = match httparse::parse_headers(rest, &mut fields) {
            Ok(httparse::Status::Complete(parsed)) => parsed,
            Ok(httparse::Status::Partial) => return Ok(false),
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::HeadTooLong),
            Err(_) => return Err(Fault::Malformed),
        };
        self.len = line.len().wrapping_add(len);
        for field in fields {
            self.take(hash(field.name.as_bytes(), FOLD), field.value)?;
        }
        Ok(true)
    }

    fn take(&mut self, name: u32, mut value: &'b [u8]) -> Result<(), Fault> {
        match name {
            CONTENT_LENGTH => {
                let length = number(&mut value)
                    .filter(|length| value.is_empty() && self.length.is_none_or(|other| other == *length));
                self.length = Some(length.ok_or(Fault::Length)?);
            }
            CONTENT_RANGE => self.range = range(value).unwrap_or_default(),
            ETAG => self.etag = value,
            LAST_MODIFIED => self.modified = value,
            DATE => self.date = value,
            LOCATION => self.location = value,
            CONTENT_TYPE => self.html = begins(value, const { prefix(b"text/html") }),
            CONTENT_ENCODING | TRANSFER_ENCODING => self.encoded |= !begins(value, const { prefix(b"identity") }),
            CONNECTION => self.keeps &= !begins(value, const { prefix(b"close") }),
            RETRY_AFTER => self.retry_after = number(&mut value).unwrap_or(0),
            _ => {}
        }
        Ok(())
    }

    /// What names this version of the file, byte for byte: an `ETag` that is not weak, or a `Last-Modified` that
    /// lies before the answer's own second (RFC 9110, 8.8.2.2).
    pub(super) fn validator(&self) -> &'b [u8] {
        match self.etag.first() {
            Some(b'"') => self.etag,
            _ if self.modified == self.date => &[],
            _ => self.modified,
        }
    }
}

/// `bytes 10-19/20`, or with `*` for the length of the whole; of `bytes */20` the length of the whole alone.
fn range(mut text: &[u8]) -> Option<Range> {
    begins(text, const { prefix(b"bytes ") }).then_some(())?;
    text = part(text, 6, text.len());
    let mut range = Range::default();
    if !skip(&mut text, b'*') {
        range.start = number(&mut text)?;
        let last = skip(&mut text, b'-').then(|| number(&mut text))??;
        range.len = last.checked_sub(range.start)?.checked_add(1)?;
    }
    skip(&mut text, b'/').then_some(())?;
    if !skip(&mut text, b'*') {
        range.size = Some(number(&mut text)?);
    }
    let fits =
        range.size.is_none_or(|size| range.start.wrapping_add(range.len.wrapping_sub(1)) < size || range.len == 0);
    (fits && text.is_empty()).then_some(range)
}

const CONTENT_LENGTH: u32 = hash(b"content-length", FOLD);
const CONTENT_RANGE: u32 = hash(b"content-range", FOLD);
const ETAG: u32 = hash(b"etag", FOLD);
const LAST_MODIFIED: u32 = hash(b"last-modified", FOLD);
const DATE: u32 = hash(b"date", FOLD);
const LOCATION: u32 = hash(b"location", FOLD);
const CONTENT_TYPE: u32 = hash(b"content-type", FOLD);
const CONTENT_ENCODING: u32 = hash(b"content-encoding", FOLD);
const TRANSFER_ENCODING: u32 = hash(b"transfer-encoding", FOLD);
const CONNECTION: u32 = hash(b"connection", FOLD);
const RETRY_AFTER: u32 = hash(b"retry-after", FOLD);
