//! One transfer, without I/O: what to send and to read, what comes of it.

mod answer;
mod link;
mod request;

use coap_numbers::code;

use self::link::Link;
use super::frame::{Frame, Signal};
use super::settings::{BASE, Settings};
use crate::coap::Fault;
use crate::coap::message::{Answer, UNKNOWN};
use crate::coap::part;
use crate::coap::url::{Security, Url, UrlError};
use crate::connect::Server;
use crate::source::{Call, Meta};

/// The least that is left of the buffer for the head of an answer.
const HEAD: usize = 32;

/// ```text
///   buf  │ what is sent: CSM, request, Pong │ what came: a head, and what came with it │
///        0   out ─────► out_end             split     at ─────► end
/// ```
///
/// What a message carries is read into the buffer only by the way: the most of it goes to the caller's.
///
/// ```text
///   file │ given        next │ left │                       │ asked
///        ├───────────────────┼──────┼───────────────────────┼──────
///        start of its message ──────► the next `open` messages
/// ```
pub(super) struct Transfer<'b> {
    url: Url<'b>,
    buf: &'b mut [u8],
    settings: Settings,
    out: usize,
    out_end: usize,
    split: usize,
    at: usize,
    end: usize,
    /// Bytes of the present message that are not wanted, and those after them that are.
    skip: u32,
    left: u32,
    /// The offset that `open` named.
    from: u32,
    /// What the server said to that offset, so that the start is asked for; 0: nothing. And the offset.
    refused: u8,
    wanted: u32,
    /// It may have been for the moment only: a call failed by it.
    doubted: bool,
    /// The offset of the next byte that is given.
    next: u32,
    /// The offset of what is asked for next.
    asked: u32,
    /// The length of a message, by which those after it are asked for.
    stride: u32,
    /// The length of the file, or [`UNKNOWN`].
    size: u32,
    meta: Meta,
    /// Of the `ETag` that all answers must have.
    tag: u32,
    /// The number of the next request, and of the one that is to be answered next.
    request: u32,
    due: u32,
    /// How many are to be answered, that one among them; and how many may be.
    open: u8,
    window: u8,
    /// The size of the blocks is `16 << szx`, and for 7 that of 6: then a message may have several.
    szx: u8,
    /// The first answer is not there yet.
    opening: bool,
    /// What came last may have been the end.
    doubtful: bool,
    /// There is a connection.
    connected: bool,
    link: Link,
    /// All that is left to do is to say that it is over.
    dying: bool,
    /// The bytes that were sent and received.
    pub(super) paid: u32,
    fault: Fault,
    step: Next,
}

/// What a transfer waits for. A dropped call leaves it there, from where only another `open` leads on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The first `open`.
    Begin,
    /// A new connection.
    Connect,
    /// To send the rest of what is to be sent.
    Send,
    /// To have it sent.
    Flush,
    /// To read.
    Read,
    /// The next call: what was asked for is there.
    Answered,
}

impl<'b> Transfer<'b> {
    #[inline(never)]
    pub(super) fn new(url: &'b str, settings: Settings, buf: &'b mut [u8], tls: bool) -> Result<Self, UrlError> {
        let url = Url::parse_over(url, b"+tcp")?;
        if url.security != Security::None && !tls {
            return Err(UrlError::Tls);
        }
        let mut new = Self {
            url,
            buf,
            settings,
            out: 0,
            out_end: 0,
            split: 0,
            at: 0,
            end: 0,
            skip: 0,
            left: 0,
            from: 0,
            refused: 0,
            wanted: 0,
            doubted: false,
            next: 0,
            asked: 0,
            stride: 0,
            size: UNKNOWN,
            meta: Meta::default(),
            tag: 0,
            request: 0,
            due: 0,
            open: 0,
            window: 1,
            szx: 0,
            opening: true,
            doubtful: false,
            connected: false,
            link: Link::default(),
            dying: false,
            paid: 0,
            fault: Fault::NotOpen,
            step: Next::Begin,
        };
        new.split = new.write(Some(request::MAX_BLOCK));
        if new.split > new.buf.len().saturating_sub(HEAD).min(BASE as usize) { Err(UrlError::TooLong) } else { Ok(new) }
    }

    /// Where to connect to.
    pub(super) fn server(&self) -> Server<'b> {
        Server { host: self.url.host, port: self.url.port, tls: self.url.security != Security::None }
    }

    /// What to do next, after so many bytes were moved; `None`: the call fails.
    #[inline(never)]
    pub(super) fn next(&mut self, moved: Option<usize>, call: &mut Call<'_>) -> Option<Next> {
        match moved {
            None => self.start(call)?,
            Some(count) => {
                if matches!(self.step, Next::Send | Next::Read) {
                    self.paid = self.paid.saturating_add(count as u32);
                }
                match self.step {
                    _ if count == 0 => self.closed()?,
                    Next::Connect => self.connected(),
                    Next::Send => {
                        self.out = self.out.wrapping_add(count);
                        if self.out >= self.out_end {
                            self.step = Next::Flush;
                            return Some(Next::Flush);
                        }
                    }
                    Next::Read => {
                        self.link.keep = false;
                        if self.came(count, call) {
                            self.step = Next::Answered;
                            return Some(Next::Answered);
                        }
                    }
                    _ => {}
                }
            }
        }
        self.step = self.advance(call)?;
        Some(self.step)
    }

    /// The caller closed the connection.
    pub(super) fn close(&mut self) {
        self.step = Next::Begin;
    }

    /// Ends a call that fails, and says why.
    pub(super) fn end(&mut self) -> Fault {
        self.step = Next::Begin;
        self.fault
    }

    /// What is to be sent.
    pub(super) fn outgoing(&self) -> &[u8] {
        part(self.buf, self.out, self.out_end)
    }

    /// Where to read to.
    pub(super) fn space<'a>(&'a mut self, call: &'a mut Call<'_>) -> &'a mut [u8] {
        let wanted = self.direct();
        match call {
            Call::Read(out, _) if wanted != 0 => {
                let room = out.len().min(wanted as usize);
                out.get_mut(..room)
            }
            _ => self.buf.get_mut(self.end..),
        }
        .unwrap_or_default()
    }

    /// How many bytes come next that need not be looked at.
    fn direct(&self) -> u32 {
        match (self.at == self.end, self.skip) {
            (false, _) => 0,
            (_, 0) => self.left,
            (_, skip) => skip,
        }
    }

    /// Takes what was read; whether that is what the caller waits for.
    fn came(&mut self, count: usize, call: &mut Call<'_>) -> bool {
        match (self.direct(), call) {
            (1.., Call::Read(_, given)) => {
                if self.skip != 0 {
                    self.skip = self.skip.saturating_sub(count as u32);
                    return false;
                }
                self.passed(count);
                **given = count;
                true
            }
            _ => {
                self.end = self.end.wrapping_add(count).min(self.buf.len());
                false
            }
        }
    }

    fn passed(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count as u32);
        self.next = self.next.wrapping_add(count as u32);
    }

    /// What to do first for this call.
    fn start(&mut self, call: &mut Call<'_>) -> Option<()> {
        let well = self.step == Next::Answered;
        match call {
            Call::Open(from, _) => {
                self.connected &= well;
                self.dying = false;
                self.refused = 0;
                self.begin(*from);
                self.link.keep = true;
            }
            Call::Read(..) if !well => return self.fail(Fault::NotOpen),
            Call::Read(..) => self.link.keep = self.open == 0 && self.left == 0 && self.skip == 0,
        }
        Some(())
    }

    /// Starts from an offset. What is still to come of the present message is left out, if it is not too long.
    fn begin(&mut self, from: u32) {
        self.skip = self.skip.saturating_add(self.left);
        self.left = 0;
        self.connected &= self.skip <= self.settings.message;
        self.from = from;
        self.next = from;
        self.size = UNKNOWN;
        self.opening = true;
        self.doubtful = false;
        self.window = self.settings.window;
        self.szx = if self.may_be_long() { 7 } else { self.settings.szx };
        self.forget();
    }

    /// Whether BERT is wanted.
    fn may_be_long(&self) -> bool {
        self.settings.szx == 6 && self.settings.message > BASE
    }

    /// Whether the server's settings must come first.
    fn must_wait(&self) -> bool {
        self.may_be_long() && !self.link.known
    }

    /// Forgets what was asked for: answers to that are nobody's.
    fn forget(&mut self) {
        self.open = 0;
        self.asked = self.next;
    }

    #[inline(never)]
    fn fail<T>(&mut self, fault: Fault) -> Option<T> {
        self.fault = fault;
        None
    }

    /// Gives the connection up, and says so to the server.
    #[inline(never)]
    fn abort<T>(&mut self, fault: Fault) -> Option<T> {
        self.dying = true;
        self.signal(code::ABORT, 0, 0);
        self.fail(fault)
    }

    /// What follows from the call and what is there.
    fn advance(&mut self, call: &mut Call<'_>) -> Option<Next> {
        loop {
            if !self.connected {
                return Some(Next::Connect);
            }
            if self.out != self.out_end {
                return Some(Next::Send);
            }
            if self.dying {
                return None;
            }
            let there = self.end.wrapping_sub(self.at);
            let skipped = there.min(self.skip as usize);
            self.at = self.at.wrapping_add(skipped);
            self.skip = self.skip.wrapping_sub(skipped as u32);
            match call {
                Call::Open(_, meta) if !self.opening => {
                    let Meta { size, tag, start } = self.meta;
                    **meta = Meta { size, tag, start };
                    return Some(Next::Answered);
                }
                Call::Read(out, count) => {
                    let bytes = part(self.buf, self.at, self.end);
                    let room = out.len().min(self.left as usize);
                    let given = bytes.len().min(room);
                    if given != 0 || out.is_empty() || self.next >= self.size {
                        out.iter_mut().zip(bytes).take(given).for_each(|(to, from)| *to = *from);
                        self.at = self.at.wrapping_add(given);
                        self.passed(given);
                        **count = given;
                        return Some(Next::Answered);
                    }
                }
                Call::Open(..) => {}
            }
            if self.skip == 0 && self.left == 0 && self.at != self.end {
                match self.message() {
                    Some(true) => continue,
                    Some(false) => {}
                    None if self.dying => continue,
                    None => return None,
                }
            }
            if self.wants() {
                self.ask()?;
                continue;
            }
            if !self.make_room() {
                let _: Option<()> = self.abort(Fault::TooLong);
                continue;
            }
            return Some(Next::Read);
        }
    }

    /// Whether something is to be asked for.
    fn wants(&self) -> bool {
        if self.link.greeted && self.must_wait() || self.link.released && (self.open != 0 || self.left != 0) {
            return false;
        }
        if self.opening {
            return self.open == 0;
        }
        let flowing = u8::from(self.left != 0);
        self.asked < self.size && self.open < self.window.wrapping_sub(flowing)
    }

    /// Makes room for more in the buffer; whether there is any.
    fn make_room(&mut self) -> bool {
        if self.at == self.end {
            self.at = self.split;
            self.end = self.split;
        } else if self.end >= self.buf.len() && self.at > self.split {
            let mut to = self.split;
            while let Some(byte) = self.buf.get(self.at).copied() {
                if let Some(place) = self.buf.get_mut(to) {
                    *place = byte;
                }
                to = to.wrapping_add(1);
                self.at = self.at.wrapping_add(1);
            }
            self.at = self.split;
            self.end = to;
        }
        self.end < self.buf.len()
    }

    /// Looks at the next message; whether its head is all there.
    #[inline(never)]
    fn message(&mut self) -> Option<bool> {
        let bytes = part(self.buf, self.at, self.end);
        let Some(frame) = Frame::parse(bytes) else { return Some(false) };
        if frame.tkl > 8 {
            return self.abort(Fault::Malformed);
        }
        if !self.link.known && !matches!(frame.code, code::CSM | code::EMPTY | code::ABORT) {
            return self.abort(Fault::Csm);
        }
        let rest = frame.rest();
        let there = bytes.len().wrapping_sub(rest).min(frame.len as usize);
        let complete = there as u32 == frame.len;
        let options = part(bytes, rest, rest.wrapping_add(there));
        let token = part(bytes, frame.token, rest).try_into().ok().map(u32::from_be_bytes);
        let mut head = 0;
        let named = token.map_or(u32::MAX, |token| token.wrapping_sub(self.token(self.due)));
        match frame.code {
            code::CSM | code::RELEASE => {
                let Some(signal) = Signal::parse(options).filter(|signal| complete || signal.payload < there) else {
                    return if complete { self.abort(Fault::Malformed) } else { Some(false) };
                };
                if frame.code == code::RELEASE {
                    self.link.released = true;
                    self.link.hold_off = signal.other.unwrap_or_default();
                } else if signal.critical {
                    return self.abort(Fault::Csm);
                } else {
                    self.link.known = true;
                    self.link.blocks |= signal.other.is_some();
                    self.link.long = signal.message.map_or(self.link.long, |message| message > BASE);
                }
                head = signal.payload;
            }
            code::PING => self.signal(code::PONG, self.at.wrapping_add(frame.token), self.at.wrapping_add(rest)),
            code::ABORT => return self.fail(Fault::Aborted),
            // Answers to requests of ours, and no other message.
            0x40..=0xdf if named < u32::from(self.open) => {
                if named != 0 {
                    // Before its turn: it is asked for again.
                    self.open = 1;
                    self.window = 1;
                } else {
                    let Some(answer) = Answer::parse(options).filter(|answer| complete || answer.payload < there)
                    else {
                        return if complete { self.abort(Fault::Malformed) } else { Some(false) };
                    };
                    head = answer.payload;
                    self.skip = 0;
                    self.at = self.at.wrapping_add(rest).wrapping_add(head);
                    self.answer(frame.code, &answer, frame.len.wrapping_sub(head as u32))?;
                    return Some(true);
                }
            }
            _ => {}
        }
        self.at = self.at.wrapping_add(rest).wrapping_add(head);
        self.skip = frame.len.wrapping_sub(head as u32);
        Some(true)
    }
}
