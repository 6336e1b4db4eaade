//! One request and its answer, without I/O: what to send, what an answer means.

mod request;

use super::response::{CONTENT_RANGE, Head, LOCATION, NO_RANGE, RETRY_AFTER, Range, UNKNOWN, range};
use super::text::{hash, number, part};
use super::url::{Host, UrlError};
use super::{Fault, MAX_VALIDATOR};
use crate::source::{Call, Meta};

/// How many redirects are followed.
const MAX_REDIRECTS: u8 = 5;

/// ```text
///   buf  │ validator │ host:port/path?query │ request, then the answer: head, first bytes of the body │
///        0           MAX_VALIDATOR          work                       at ─────────► end
/// ```
pub(super) struct Exchange<'b> {
    url: &'b str,
    buf: &'b mut [u8],
    /// The server of the address.
    host: Host,
    port: u16,
    /// The length of the validator; 0: none is known, or it is too long.
    validator: usize,
    work: usize,
    /// Received and not yet used.
    at: usize,
    end: usize,
    /// The offset that is asked for.
    from: u32,
    /// The bytes of the body that are still to come; [`UNKNOWN`]: those until the connection ends.
    left: u32,
    /// What the last answer said.
    meta: Meta,
    redirects: u8,
    /// The connection takes another request after the body; and while that is sent: the server may close it.
    keep: bool,
    next: Next,
}

/// What an exchange waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A call. While the body is read too: if that is dropped, only another `open` leads on.
    Begin,
    /// A new connection.
    Connect,
    /// To send the rest of the request.
    Send,
    /// To have it sent.
    Flush,
    /// To read more of the head.
    Head,
    /// To read the body.
    Body,
    /// Nothing: what was asked for is there.
    Answered,
}

impl<'b> Exchange<'b> {
    pub(super) fn new(url: &'b str, buf: &'b mut [u8]) -> Result<Self, UrlError> {
        let mut new = Self {
            url,
            buf,
            host: Host::new(),
            port: 0,
            validator: 0,
            work: 0,
            at: 0,
            end: 0,
            from: 0,
            left: 0,
            meta: Meta::default(),
            redirects: 0,
            keep: false,
            next: Next::Begin,
        };
        new.go_to_start()?;
        Ok(new)
    }

    /// Begins with the caller's URL, which may lead elsewhere than the last time.
    fn begin(&mut self, from: u32) -> Result<(), Fault> {
        self.keep = self.keep && self.next == Next::Body && self.left == 0 && self.redirects == 0;
        self.from = from;
        self.redirects = 0;
        self.go_to_start().map_err(Fault::Redirect)
    }

    /// What to do next for this call, after an operation that moved so many bytes; `None`: it failed.
    #[inline(never)]
    pub(super) fn next(&mut self, done: Next, moved: Option<usize>, call: &mut Call<'_>) -> Result<Next, Fault> {
        let count = moved.unwrap_or(0);
        self.next = match done {
            Next::Begin => match call {
                Call::Open(from, _) => {
                    self.begin(*from)?;
                    if self.keep { self.ask()? } else { Next::Connect }
                }
                // After a dropped future, it is not known how far things went.
                Call::Read(..) if self.next != Next::Body => return Err(Fault::Closed),
                Call::Read(..) => Next::Body,
            },
            Next::Body if count != 0 || (moved.is_some() && self.left == UNKNOWN) => {
                return Ok(self.passed(count, call));
            }
            // The server may close a connection that was kept at any time.
            _ if count == 0 && self.keep && done != Next::Body => Next::Connect,
            _ if count == 0 => return Err(Fault::Closed),
            Next::Connect => {
                self.keep = false;
                self.ask()?
            }
            Next::Send => {
                self.at = self.at.wrapping_add(count);
                if self.at == self.end { Next::Flush } else { Next::Send }
            }
            Next::Flush => {
                self.at = self.work;
                self.end = self.work;
                Next::Head
            }
            _ => {
                self.keep = false;
                self.end = self.end.wrapping_add(count);
                self.received()?
            }
        };
        Ok(if self.next == Next::Body { self.deliver(call) } else { self.next })
    }

    /// Gives what is there of the body.
    fn deliver(&mut self, call: &mut Call<'_>) -> Next {
        match call {
            Call::Open(_, meta) => {
                **meta = self.meta;
                Next::Answered
            }
            Call::Read(out, _) => {
                let room = out.len().min(self.left as usize);
                let bytes = part(self.buf, self.at, self.end);
                let count = bytes.len().min(room);
                out.iter_mut().zip(bytes).take(count).for_each(|(to, from)| *to = *from);
                self.at = self.at.wrapping_add(count);
                if count != 0 || room == 0 {
                    return self.passed(count, call);
                }
                self.next = Next::Begin;
                Next::Body
            }
        }
    }

    /// Counts bytes of the body.
    #[inline(never)]
    fn passed(&mut self, came: usize, call: &mut Call<'_>) -> Next {
        if self.left != UNKNOWN {
            self.left = self.left.saturating_sub(came as u32);
        }
        if let Call::Read(_, count) = call {
            **count = came;
        }
        self.next = Next::Body;
        Next::Answered
    }

    /// Where to read to.
    #[inline(never)]
    pub(super) fn space<'a>(&'a mut self, call: &'a mut Call<'_>) -> &'a mut [u8] {
        match call {
            Call::Read(out, _) => {
                let room = out.len().min(self.left as usize);
                out.get_mut(..room)
            }
            Call::Open(..) => self.buf.get_mut(self.end..),
        }
        .unwrap_or_default()
    }

    /// Looks at what came of the head.
    fn received(&mut self) -> Result<Next, Fault> {
        loop {
            let bytes = part(self.buf, self.at, self.end);
            let mut head = Head::default();
            if !head.parse(bytes).ok_or(Fault::Malformed)? {
                return if self.end == self.buf.len() { Err(Fault::HeadTooLong) } else { Ok(Next::Head) };
            }
            self.at = self.at.wrapping_add(head.len);
            let Range { mut start, len: mut left, mut size } = range(head.value(CONTENT_RANGE)).unwrap_or(NO_RANGE);
            match head.code {
                // What was received of it stays in the buffer, which bounds how many there may be.
                100..=199 => continue,
                200 | 206 => {
                    if head.encoded() {
                        return Err(Fault::Encoded);
                    }
                    if head.html() {
                        return Err(Fault::Html);
                    }
                    let length = head.length().ok_or(Fault::Length)?;
                    if head.code == 200 {
                        start = 0;
                        left = length;
                        size = length;
                    } else if self.from == 0 || start != self.from || left == 0 || (length != UNKNOWN && length != left)
                    {
                        return Err(Fault::Range);
                    }
                }
                301 | 302 | 303 | 307 | 308 => {
                    self.redirects = self.redirects.saturating_add(1);
                    if self.redirects > MAX_REDIRECTS {
                        return Err(Fault::Redirects);
                    }
                    let (from, end) = place(self.buf, head.value(LOCATION));
                    self.go(from, end).map_err(Fault::Redirect)?;
                    return Ok(Next::Connect);
                }
                416 if self.from != 0 => {
                    if size != self.from {
                        self.from = 0;
                        return Ok(Next::Connect);
                    }
                    start = self.from;
                    left = 0;
                }
                code => {
                    let retry_after = number(&mut head.value(RETRY_AFTER)).unwrap_or(0);
                    return Err(Fault::Status { code, retry_after });
                }
            }
            self.keep = head.keeps() && left != UNKNOWN && head.code != 416;
            let validator = head.validator();
            // An answer to `If-Range` need not repeat the validator.
            if !validator.is_empty() || start == 0 || self.validator == 0 {
                self.meta.tag = if validator.is_empty() { 0 } else { hash(validator, 0).max(1) };
                let (from, end) = place(self.buf, validator);
                let came = core::mem::take(&mut self.end);
                if end.wrapping_sub(from) <= MAX_VALIDATOR {
                    self.copy(from, end);
                }
                self.validator = core::mem::replace(&mut self.end, came);
            }
            self.meta.start = start;
            self.meta.size = (size != UNKNOWN).then_some(size);
            self.left = left;
            // Bytes after the body: the connection is out of step.
            let came = self.end.wrapping_sub(self.at);
            if came > left as usize {
                self.end = self.at.wrapping_add(left as usize);
                self.keep = false;
            }
            return Ok(Next::Body);
        }
    }
}

/// Where a part of `buf` begins and ends.
fn place(buf: &[u8], part: &[u8]) -> (usize, usize) {
    let from = part.as_ptr().addr().wrapping_sub(buf.as_ptr().addr());
    (from, from.wrapping_add(part.len()))
}
