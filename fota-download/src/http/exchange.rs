//! One request and its answer, without I/O: what to send, what an answer means.

mod request;

use super::chunks::Chunks;
use super::response::{Head, Range, UNKNOWN};
use super::text::{hash, part};
use super::url::{Host, UrlError};
use super::{Fault, MAX_VALIDATOR};
use crate::connect::Failure;
use crate::source::{Call, Meta};

/// How many redirects are followed.
const MAX_REDIRECTS: u8 = 5;
/// What is tried first where a record is too long: the limit of the nRF91's modem.
const NRF91_RECORD: u16 = 2303;
/// The least that TLS can agree on (RFC 6066, 4).
const LEAST_RECORD: u16 = 512;
/// The least that is asked for.
const LEAST_PIECE: u16 = 64;
/// How much longer a head may get: by the digits of `Content-Range` most of all.
const HEAD_GROWS: u16 = 24;

/// ```text
///   buf  │ validator │ host:port/path?query │ request, then the answer: head, first bytes of the body │
///        0           MAX_VALIDATOR          work                       at ─────────► end
/// ```
pub(super) struct Exchange<'b> {
    url: &'b str,
    buf: &'b mut [u8],
    /// The caller's.
    pub(super) fields: &'b [(&'b str, &'b str)],
    /// The longest TLS record that can be received, and how much is asked for at once over TLS because of it; 0: there
    /// is no limit that is known.
    record: u16,
    piece: u16,
    /// The limit is one that was come down to, and no whole stretch came since that would tell what fits.
    shrunk: bool,
    /// The length of the longest head of a range so far, and some; 0: none came.
    head: u16,
    /// Whether the connector has TLS.
    has_tls: bool,
    /// The server of the address.
    tls: bool,
    port: u16,
    host: Host,
    /// Of the caller's URL.
    first_port: u16,
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
    /// The body comes in chunks.
    chunked: bool,
    chunks: Chunks,
    /// The body is longer than was asked for.
    longer: bool,
    /// What the last answer said.
    meta: Meta,
    redirects: u8,
    /// The address is where an earlier call was led to.
    pinned: bool,
    /// The connection takes another request after the body; and while that is sent: the server may close it.
    keep: bool,
    next: Next,
    /// The bytes that were sent and received.
    pub(super) paid: u32,
    /// Why the last call failed.
    fault: Fault,
}

/// What an exchange waits for. A dropped call leaves it there, from where only another `open` leads on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The first `open`.
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
    /// The next call: what was asked for is there.
    Answered,
}

impl<'b> Exchange<'b> {
    pub(super) fn new(url: &'b str, buf: &'b mut [u8], has_tls: bool) -> Result<Self, UrlError> {
        let mut new = Self {
            url,
            buf,
            fields: &[],
            record: 0,
            piece: 0,
            shrunk: false,
            head: 0,
            has_tls,
            tls: false,
            port: 0,
            host: Host::new(),
            first_port: 0,
            validator: 0,
            work: 0,
            at: 0,
            end: 0,
            from: 0,
            left: 0,
            chunked: false,
            chunks: Chunks::new(),
            longer: false,
            meta: Meta::default(),
            redirects: 0,
            pinned: false,
            keep: false,
            next: Next::Begin,
            paid: 0,
            fault: Fault::Closed,
        };
        new.lead_to_start()?;
        new.first_port = new.port;
        Ok(new)
    }

    /// What to do first for this call; `None`: it fails.
    fn start(&mut self, call: &mut Call<'_>) -> Option<Next> {
        match call {
            Call::Open(from, _) => {
                let well = self.next == Next::Answered;
                // Where all went well, the next stretch comes from where the last one came from.
                self.pinned = well && *from != 0 && self.redirects != 0;
                self.keep = self.keep && well && self.left == 0 && (self.pinned || self.redirects == 0);
                self.from = *from;
                self.redirects = u8::from(self.pinned);
                if !self.pinned {
                    // The caller's URL may lead elsewhere than the last time.
                    self.go_to_start()?;
                }
                self.next = if self.keep { self.ask()? } else { Next::Connect };
                Some(self.next)
            }
            // After a dropped future, it is not known how far things went.
            Call::Read(..) if self.next != Next::Answered => self.fail(Fault::Closed),
            Call::Read(..) => self.deliver(call),
        }
    }

    /// What to do next for this call, at first or after an operation that moved so many bytes; `None`: it fails.
    #[inline(never)]
    pub(super) fn next(&mut self, moved: Option<usize>, call: &mut Call<'_>) -> Option<Next> {
        let Some(count) = moved else { return self.start(call) };
        if !matches!(self.next, Next::Connect | Next::Flush) {
            self.paid = self.paid.saturating_add(count as u32);
        }
        self.next = match self.next {
            Next::Body if count != 0 || self.left == UNKNOWN && !self.chunked => return self.passed(count, call),
            // The server may close a connection that was kept at any time.
            _ if count == 0 && self.is_kept() => Next::Connect,
            _ if count == 0 => return self.fail(Fault::Closed),
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
                self.end = self.end.wrapping_add(count);
                let next = self.received()?;
                if let (Next::Answered, Call::Open(_, meta)) = (next, call) {
                    // As one value it would be copied by `memmove`, which nothing else needs.
                    let Meta { size, tag, start } = self.meta;
                    **meta = Meta { size, tag, start };
                }
                next
            }
        };
        Some(self.next)
    }

    /// Whether the connection may have been closed since the last request, so that its failure says nothing.
    pub(super) fn is_kept(&self) -> bool {
        self.keep && matches!(self.next, Next::Send | Next::Flush | Next::Head)
    }

    /// What to make of a failure of the connection. Where a record is too long, less is asked for from then on, and
    /// now if that is an answer's first one and no stretch came before.
    pub(super) fn failed(&mut self, failure: Failure) -> Failure {
        if failure != Failure::TooBig || self.next == Next::Connect {
            return failure;
        }
        if self.next == Next::Head && self.head != 0 {
            // Stretches came before: it may be that this is none, but the page of an error, which no request makes
            // shorter and no other one should pay for.
            self.piece = self.piece.wrapping_sub(self.piece / 4).max(LEAST_PIECE);
            self.keep = false;
            return Failure::Network;
        }
        let record = match self.record {
            0 => NRF91_RECORD,
            record => record.wrapping_sub(record / 4),
        };
        if !self.tls || record < LEAST_RECORD || self.next == Next::Body && self.longer {
            return failure;
        }
        self.shrunk = self.record != 0;
        self.limit(record);
        self.keep = true;
        Failure::Network
    }

    /// Sets the longest record.
    pub(super) fn limit(&mut self, record: u16) {
        let record = record.max(LEAST_RECORD);
        let head = if self.head == 0 { record / 3 } else { self.head };
        self.record = record;
        self.piece = record.saturating_sub(head).max(LEAST_PIECE);
    }

    /// How many bytes to ask for at once; 0: all of them.
    fn piece(&self) -> u32 {
        if self.tls { self.piece.into() } else { 0 }
    }

    /// The connection was closed.
    pub(super) fn closed(&mut self) {
        self.next = Next::Begin;
    }

    /// Ends a call that fails, and says why. That is kept until here, because a `Result` with it is more code in each
    /// place that it passes.
    pub(super) fn end(&mut self) -> Fault {
        self.next = Next::Begin;
        self.fault
    }

    pub(super) fn fail<T>(&mut self, fault: Fault) -> Option<T> {
        self.fault = fault;
        None
    }

    /// Gives what is there of the body.
    fn deliver(&mut self, call: &mut Call<'_>) -> Option<Next> {
        loop {
            let Call::Read(out, _) = call else { return None };
            let room = out.len().min(self.left as usize);
            let bytes = part(self.buf, self.at, self.end);
            let count = bytes.len().min(room);
            out.iter_mut().zip(bytes).take(count).for_each(|(to, from)| *to = *from);
            self.at = self.at.wrapping_add(count);
            self.next = Next::Body;
            if count == 0 && room != 0 || self.passed(count, call)? == Next::Answered {
                return Some(self.next);
            }
        }
    }

    /// Counts bytes of the body that came to where the caller wants them.
    fn passed(&mut self, mut came: usize, call: &mut Call<'_>) -> Option<Next> {
        let Call::Read(out, given) = call else { return None };
        if self.chunked && came != 0 {
            let Some(kept) = self.chunks.take(out.get_mut(..came).unwrap_or_default()) else {
                return self.fail(Fault::Malformed);
            };
            came = kept;
            if self.chunks.is_done() {
                if self.left != UNKNOWN && self.left > kept as u32 {
                    return self.fail(Fault::Closed);
                }
                self.left = kept as u32;
            } else if kept == 0 {
                return Some(Next::Body);
            }
        }
        if self.left != UNKNOWN {
            self.left = self.left.saturating_sub(came as u32);
        }
        **given = came;
        self.next = Next::Answered;
        Some(Next::Answered)
    }

    /// Where to read to.
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
    fn received(&mut self) -> Option<Next> {
        loop {
            let bytes = part(self.buf, self.at, self.end);
            let mut head = Head::new();
            let whole = match head.parse(bytes) {
                Some(whole) => whole,
                // It may be the rest of what came before over this connection.
                None if self.keep => return Some(Next::Connect),
                None => return self.fail(Fault::Malformed),
            };
            if !whole && self.end < self.buf.len() {
                return Some(Next::Head);
            }
            // Of an error, what came will do.
            if !whole && head.code < 400 {
                return self.fail(Fault::HeadTooLong);
            }
            self.at = self.at.wrapping_add(head.len);
            let piece = self.piece();
            let Range { mut start, len: mut left, mut size } = head.range;
            match head.code {
                // What was received of it stays in the buffer, which bounds how many there may be.
                100..=199 => continue,
                200 | 206 => {
                    if let Some(fault) = head.fault {
                        return self.fail(fault);
                    }
                    let length = head.length;
                    if head.chunked && length != UNKNOWN {
                        return self.fail(Fault::Length);
                    }
                    if head.code == 200 {
                        start = 0;
                        left = length;
                        size = length;
                    } else if self.from == 0 && piece == 0
                        || start != self.from
                        || left == 0
                        || (length != UNKNOWN && length != left)
                    {
                        return self.fail(Fault::Range);
                    } else if piece != 0 {
                        let head = head.len as u16;
                        self.head = self.head.max(head.wrapping_add(HEAD_GROWS));
                        if self.shrunk && left == piece {
                            self.record = self.record.min(head.saturating_add(left as u16));
                            self.shrunk = false;
                        }
                        if !self.shrunk {
                            // The head was a guess, or the stretch shorter than it has to be.
                            self.piece = self.piece.max(self.record.saturating_sub(self.head));
                        }
                    }
                }
                301 | 302 | 303 | 307 | 308 => {
                    self.redirects = self.redirects.wrapping_add(1);
                    if self.redirects > MAX_REDIRECTS {
                        return self.fail(Fault::Redirects);
                    }
                    let (from, end) = place(self.buf, head.location);
                    return self.go(from, end);
                }
                // Addresses that a redirect leads to expire.
                400 | 401 | 403 | 404 | 410 if self.pinned => {
                    self.pinned = false;
                    self.redirects = 0;
                    return self.go_to_start();
                }
                // What a server says that waited too long for a request. This one may have crossed it.
                400 | 408 if self.keep => return Some(Next::Connect),
                416 if self.from != 0 || piece != 0 && size == 0 => {
                    if size != self.from {
                        self.from = 0;
                        return Some(Next::Connect);
                    }
                    start = self.from;
                    left = 0;
                    head.keep = false;
                }
                code => {
                    return self.fail(Fault::Status { code, retry_after: head.retry_after });
                }
            }
            let (keep, chunked) = (head.keep, head.chunked);
            let sent = part(self.buf, 0, self.validator);
            // An answer to `If-Range` repeats an entity tag (RFC 9110, 15.3.7), and need not repeat a date; one that says
            // there is no more need not repeat anything.
            let is_same = start != 0 && piece == 0 && head.is_undated() && (left == 0 || sent.first() != Some(&b'"'));
            let validator = if is_same { sent } else { head.validator() };
            let tag = match validator {
                _ if is_same && left == 0 => self.meta.tag,
                [] => 0,
                _ => (hash(validator, 0) ^ head.weak()).max(1),
            };
            let known = core::mem::replace(&mut self.meta.tag, tag);
            if start != 0 && tag != 0 && known != 0 && tag != known {
                self.from = 0;
                return Some(Next::Connect);
            }
            let (from, end) = place(self.buf, validator);
            let came = core::mem::take(&mut self.end);
            if end.wrapping_sub(from) <= MAX_VALIDATOR {
                self.copy(from, end);
            }
            self.validator = core::mem::replace(&mut self.end, came);
            self.meta.start = start;
            self.meta.size = (size != UNKNOWN).then_some(size);
            self.left = left;
            self.longer = piece != 0 && left > piece;
            self.keep = keep && chunked == (left == UNKNOWN);
            self.chunked = chunked;
            if chunked {
                self.chunks = Chunks::new();
                return Some(Next::Answered);
            }
            // Bytes after the body: the connection is out of step.
            let came = self.end.wrapping_sub(self.at);
            if came > self.left as usize {
                self.end = self.at.wrapping_add(self.left as usize);
                self.keep = false;
            }
            return Some(Next::Answered);
        }
    }
}

/// Where a part of `buf` begins and ends.
fn place(buf: &[u8], part: &[u8]) -> (usize, usize) {
    let from = part.as_ptr().addr().wrapping_sub(buf.as_ptr().addr());
    (from, from.wrapping_add(part.len()))
}
