//! One request and its answer, without I/O: what to send, what an answer means.

use super::response::{Head, Range};
use super::text::{Put, decimal, hash, part, until};
use super::url::{self, Host, UrlError};
use super::{Fault, MAX_VALIDATOR};
use crate::source::Meta;

/// How many redirects are followed.
const MAX_REDIRECTS: u8 = 5;

/// ```text
///   buf  │ validator │ host:port/path?query │ request, then the answer: head, first bytes of the body │
///        0           MAX_VALIDATOR          work                       at ─────────► end
/// ```
pub(super) struct Exchange<'b> {
    url: &'b str,
    buf: &'b mut [u8],
    /// The length of the validator; 0: none is known, or it is too long.
    validator: usize,
    work: usize,
    /// Received and not yet used.
    at: usize,
    end: usize,
    /// The offset that is asked for.
    from: u32,
    /// The bytes of the body that are still to come; without it, they end with the connection.
    left: Option<u32>,
    /// What the last answer said.
    pub(super) meta: Meta,
    redirects: u8,
    /// The connection takes another request after the body.
    keep: bool,
}

/// What to do after bytes came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Read on.
    More,
    /// Send another request, on a new connection.
    Again,
    /// The body begins.
    Body,
}

impl<'b> Exchange<'b> {
    pub(super) fn new(url: &'b str, buf: &'b mut [u8]) -> Result<Self, UrlError> {
        let mut new = Self {
            url,
            buf,
            validator: 0,
            work: 0,
            at: 0,
            end: 0,
            from: 0,
            left: Some(0),
            meta: Meta { size: None, tag: 0, start: 0 },
            redirects: 0,
            keep: false,
        };
        new.go_to_start()?;
        new.server(&mut Host::new())?;
        Ok(new)
    }

    /// Begins with the caller's URL, which may lead elsewhere than the last time. Whether the connection of the
    /// last time serves.
    #[inline(never)]
    pub(super) fn begin(&mut self, from: u32) -> Result<bool, Fault> {
        let reuse = self.keep && self.left == Some(0) && self.redirects == 0;
        self.from = from;
        self.redirects = 0;
        self.go_to_start().map_err(Fault::Redirect)?;
        Ok(reuse)
    }

    fn go_to_start(&mut self) -> Result<(), UrlError> {
        let mut put = Put { buf: self.buf, at: MAX_VALIDATOR, full: false };
        put.bytes(self.url.as_bytes());
        if put.full {
            return Err(UrlError::TooLong);
        }
        let end = put.at;
        self.work = MAX_VALIDATOR;
        self.go(MAX_VALIDATOR, end)
    }

    /// Goes to the address that this part of the buffer names.
    #[inline(never)]
    fn go(&mut self, from: usize, end: usize) -> Result<(), UrlError> {
        let url = part(self.buf, from, end);
        let url = part(url, 0, until(url, b'#', b'#'));
        let (kept, left_out) = url::reference(url, self.address())?;
        let end = from.wrapping_add(url.len());
        self.work = shift(self.buf, from.wrapping_add(left_out), end, MAX_VALIDATOR.wrapping_add(kept));
        Ok(())
    }

    /// Host and port to connect to.
    pub(super) fn server(&self, host: &mut Host) -> Result<u16, UrlError> {
        url::server(self.address(), host)
    }

    /// `host:port/path?query`.
    fn address(&self) -> &[u8] {
        part(self.buf, MAX_VALIDATOR, self.work)
    }

    /// Writes the request; it is to be sent as it is.
    #[inline(never)]
    pub(super) fn request(&mut self) -> Result<&[u8], Fault> {
        self.keep = false;
        self.left = Some(0);
        self.at = self.work;
        self.end = self.work;
        let (known, work) = self.buf.split_at_mut_checked(self.work).unwrap_or_default();
        let address = part(known, MAX_VALIDATOR, known.len());
        let host = url::authority(address);
        let path = part(address, host, address.len());
        let mut put = Put { buf: work, at: 0, full: false };
        put.bytes(b"GET ");
        if path.first() != Some(&b'/') {
            put.bytes(b"/");
        }
        put.bytes(path);
        put.bytes(b" HTTP/1.1\r\nAccept-Encoding: identity\r\nHost: ");
        put.bytes(part(address, 0, host));
        if self.from != 0 {
            put.bytes(b"\r\nRange: bytes=");
            put.bytes(decimal(self.from, &mut [0; 10]));
            put.bytes(b"-");
            if self.validator != 0 {
                put.bytes(b"\r\nIf-Range: ");
                put.bytes(part(known, 0, self.validator));
            }
        }
        put.bytes(b"\r\n\r\n");
        let len = put.at;
        if put.full { Err(Fault::RequestTooLong) } else { Ok(part(work, 0, len)) }
    }

    /// Where to read the answer to.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.buf.get_mut(self.end..).unwrap_or_default()
    }

    /// Whether the answer has begun.
    pub(super) fn answered(&self) -> bool {
        self.end != self.work
    }

    /// Takes `count` bytes that were read to [`space`](Self::space).
    #[inline(never)]
    pub(super) fn received(&mut self, count: usize) -> Result<Next, Fault> {
        self.end = self.end.wrapping_add(count);
        loop {
            let bytes = part(self.buf, self.at, self.end);
            let mut head = Head::default();
            if !head.parse(bytes)? {
                return if self.end == self.buf.len() { Err(Fault::HeadTooLong) } else { Ok(Next::More) };
            }
            self.at = self.at.wrapping_add(head.len);
            let Range { mut start, len, mut size } = head.range;
            let mut left = Some(len);
            match head.code {
                // What was received of it stays in the buffer, which bounds how many there may be.
                100..=199 => continue,
                200 | 206 if head.encoded => return Err(Fault::Encoded),
                200 | 206 if head.html => return Err(Fault::Html),
                200 => {
                    start = 0;
                    left = head.length;
                    size = left;
                }
                206 => {
                    let asked = self.from != 0 && start == self.from && len != 0;
                    if !asked || head.length.is_some_and(|length| length != len) {
                        return Err(Fault::Range);
                    }
                }
                301 | 302 | 303 | 307 | 308 => {
                    self.redirects = self.redirects.saturating_add(1);
                    if self.redirects > MAX_REDIRECTS {
                        return Err(Fault::Redirects);
                    }
                    let (from, end) = place(self.buf, head.location);
                    self.go(from, end).map_err(Fault::Redirect)?;
                    return Ok(Next::Again);
                }
                416 if self.from != 0 => {
                    if size != Some(self.from) {
                        self.from = 0;
                        return Ok(Next::Again);
                    }
                    start = self.from;
                    left = Some(0);
                }
                code => return Err(Fault::Status { code, retry_after: head.retry_after }),
            }
            let validator = head.validator();
            self.keep = head.keeps && left.is_some() && head.code != 416;
            // An answer to `If-Range` need not repeat the validator.
            if !validator.is_empty() || start == 0 || self.validator == 0 {
                self.meta.tag = if validator.is_empty() { 0 } else { hash(validator, 0).max(1) };
                let (from, end) = place(self.buf, validator);
                self.validator = if validator.len() > MAX_VALIDATOR { 0 } else { shift(self.buf, from, end, 0) };
            }
            self.meta.start = start;
            self.meta.size = size;
            self.left = left;
            // Bytes after the body: the connection is out of step.
            let came = self.end.wrapping_sub(self.at);
            let room = self.room(came);
            if came != room {
                self.end = self.at.wrapping_add(room);
                self.keep = false;
            }
            return Ok(Next::Body);
        }
    }

    /// How much of the body may be read at once to a buffer of this length; 0 at its end.
    pub(super) fn room(&self, len: usize) -> usize {
        self.left.map_or(len, |left| len.min(left as usize))
    }

    /// Moves bytes of the body that came with the head.
    pub(super) fn take(&mut self, out: &mut [u8]) -> usize {
        let bytes = part(self.buf, self.at, self.end);
        let count = bytes.len().min(out.len());
        out.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.at = self.at.wrapping_add(count);
        count
    }

    /// Whether nothing but the end of the connection ends the body.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.left.is_none()
    }

    /// Counts bytes of the body.
    pub(super) fn passed(&mut self, count: usize) {
        self.left = self.left.map(|left| left.saturating_sub(count as u32));
    }
}

/// Where a part of `buf` begins and ends.
fn place(buf: &[u8], part: &[u8]) -> (usize, usize) {
    let from = part.as_ptr().addr().wrapping_sub(buf.as_ptr().addr());
    (from, from.wrapping_add(part.len()))
}

/// Moves bytes towards the front; returns where they end.
#[inline(never)]
fn shift(buf: &mut [u8], from: usize, end: usize, mut to: usize) -> usize {
    for at in from..end {
        let byte = buf.get(at).copied().unwrap_or_default();
        if let Some(place) = buf.get_mut(to) {
            *place = byte;
            to = to.wrapping_add(1);
        }
    }
    to
}
