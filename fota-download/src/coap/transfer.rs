//! One transfer, without I/O: what to send and to wait for, what an answer means.

mod answer;
mod blocks;
mod request;

use super::message::{UNKNOWN, empty};
use super::rtt::Rtt;
use super::settings::Settings;
use super::url::{Security, Url, UrlError};
use super::window::{Slot, State, Window};
use super::{Fault, part};
use crate::source::{Call, Meta};

/// What comes before the payload of an answer: header, token, options.
pub(super) const HEAD: usize = 64;

/// Datagrams in a row that are nobody's answer, before what is due is looked at all the same.
const NOISE: u8 = 16;

/// ```text
///   buf  │ a request, then a datagram: head, block │ block │ block │ ...
///        0                 at ──────► end          area    those that came before their turn
/// ```
pub(super) struct Transfer<'b> {
    url: Url<'b>,
    /// Who is asked for it instead of its own server.
    proxy: Option<Url<'b>>,
    buf: &'b mut [u8],
    settings: Settings,
    rtt: Rtt,
    window: Window,
    /// The number of the next request.
    request: u32,
    /// The size of the blocks is `16 << szx`.
    szx: u8,
    /// The first block is not there yet.
    opening: bool,
    /// Received and not yet given.
    at: usize,
    end: usize,
    /// The length of what is to be sent.
    len: usize,
    /// The offset that was asked for.
    from: u32,
    /// What the server said to that offset, so that the start is asked for; 0: nothing. And the offset.
    refused: u8,
    wanted: u32,
    /// It may have been for the moment only: a call failed by it.
    doubted: bool,
    /// The length of the file, or [`UNKNOWN`].
    size: u32,
    meta: Meta,
    /// Of the `ETag` that all blocks must have.
    tag: u32,
    /// When the last call ended.
    left: u32,
    noise: u8,
    /// The bytes that were sent and received.
    pub(super) paid: u32,
    reply: Option<[u8; 4]>,
    replying: [u8; 4],
    fault: Option<Fault>,
    next: Next,
}

/// What a transfer waits for. A dropped call leaves it there, from where only another `open` leads on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The first `open`.
    Begin,
    /// A new socket.
    Connect,
    /// To send a request.
    Send,
    /// To send an acknowledgement or a reset.
    Reply,
    /// To receive a datagram within so many milliseconds.
    Receive(u32),
    /// The next call: what was asked for is there.
    Answered,
}

/// What happened.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// The caller wants something.
    Called,
    /// What was to be done is done.
    Done,
    /// A datagram of this length.
    Came(usize),
    /// The time is over.
    Silence,
}

impl<'b> Transfer<'b> {
    #[inline(never)]
    pub(super) fn new(url: &'b str, settings: Settings, buf: &'b mut [u8]) -> Result<Self, UrlError> {
        let [.., a, b, c, d] = settings.random.to_be_bytes();
        let mut new = Self {
            url: Url::parse(url)?,
            proxy: None,
            buf,
            settings,
            rtt: Rtt::new(u32::from_be_bytes([a, b, c, d])),
            window: Window::new(),
            request: 0,
            szx: 0,
            opening: false,
            at: 0,
            end: 0,
            len: 0,
            from: 0,
            refused: 0,
            wanted: 0,
            doubted: false,
            size: UNKNOWN,
            meta: Meta::default(),
            tag: 0,
            left: 0,
            noise: 0,
            paid: 0,
            reply: None,
            replying: [0; 4],
            fault: None,
            next: Next::Begin,
        };
        let room = new.buf.len().checked_sub(HEAD).ok_or(UrlError::TooLong)?;
        while 16 << new.settings.szx > room {
            new.settings.szx = new.settings.szx.checked_sub(1).ok_or(UrlError::TooLong)?;
        }
        new.fits()?;
        Ok(new)
    }

    /// Has a proxy asked for the URL.
    pub(super) fn through(&mut self, proxy: &'b str) -> Result<(), UrlError> {
        let proxy = Url::parse(proxy)?;
        if self.url.security == Security::Dtls && proxy.security != Security::Dtls {
            return Err(UrlError::Scheme);
        }
        self.proxy = Some(proxy);
        self.fits()
    }

    /// Whom to send to.
    pub(super) fn server(&self) -> &Url<'b> {
        self.proxy.as_ref().unwrap_or(&self.url)
    }

    /// What to do next; `None`: the call fails.
    #[inline(never)]
    pub(super) fn next(&mut self, now: u32, event: Event, call: &mut Call<'_>) -> Option<Next> {
        match event {
            Event::Called => {
                self.fault = None;
                match call {
                    Call::Open(from, _) => {
                        let kept = self.next == Next::Answered;
                        self.refused = 0;
                        self.open(*from);
                        if !kept {
                            self.next = Next::Connect;
                            return Some(Next::Connect);
                        }
                    }
                    Call::Read(..) if self.next != Next::Answered => self.fault = Some(Fault::NotOpen),
                    Call::Read(..) => self.back(now),
                }
            }
            Event::Done => self.paid = self.paid.saturating_add(self.sent() as u32),
            Event::Came(count) => {
                self.paid = self.paid.saturating_add(count as u32);
                let useful = self.came(count, now).is_some();
                self.noise = if useful { 0 } else { self.noise.saturating_add(1) };
            }
            Event::Silence => self.expire(now),
        }
        self.next = self.advance(now, call)?;
        if self.next == Next::Answered {
            self.left = now;
        }
        Some(self.next)
    }

    /// The socket was closed.
    pub(super) fn closed(&mut self) {
        self.next = Next::Begin;
    }

    /// Ends a call that fails, and says why.
    pub(super) fn end(&mut self) -> Fault {
        self.next = Next::Begin;
        self.fault.unwrap_or(Fault::NotOpen)
    }

    /// Where a datagram is to go.
    pub(super) fn space(&mut self) -> &mut [u8] {
        let area = self.area();
        self.buf.get_mut(..area).unwrap_or_default()
    }

    /// How much was to be sent.
    fn sent(&self) -> usize {
        match self.next {
            Next::Send => self.len,
            Next::Reply => self.replying.len(),
            _ => 0,
        }
    }

    /// What is to be sent.
    pub(super) fn outgoing(&self) -> &[u8] {
        if self.next == Next::Reply { &self.replying } else { part(self.buf, 0, self.len) }
    }

    /// Starts from an offset.
    #[inline(never)]
    fn open(&mut self, from: u32) {
        self.szx = self.settings.szx;
        self.from = from;
        self.size = UNKNOWN;
        self.at = 0;
        self.end = 0;
        self.opening = true;
        self.reply = None;
        self.window.begin(from >> self.shift());
    }

    /// What follows from the call and what is there.
    fn advance(&mut self, now: u32, call: &mut Call<'_>) -> Option<Next> {
        if let Some(reply) = self.reply.take() {
            self.replying = reply;
            return Some(Next::Reply);
        }
        if self.fault.is_some() {
            return None;
        }
        match call {
            Call::Open(_, meta) if !self.opening => {
                let Meta { size, tag, start } = self.meta;
                **meta = Meta { size, tag, start };
                return Some(Next::Answered);
            }
            Call::Read(out, count) => {
                if self.at == self.end {
                    self.take_stored();
                }
                let bytes = part(self.buf, self.at, self.end);
                if !bytes.is_empty() || out.is_empty() || self.window.next >= self.blocks() {
                    let given = bytes.len().min(out.len());
                    out.iter_mut().zip(bytes).take(given).for_each(|(to, from)| *to = *from);
                    self.at = self.at.wrapping_add(given);
                    **count = given;
                    return Some(Next::Answered);
                }
            }
            Call::Open(..) => {}
        }
        let end = self.blocks();
        if self.noise >= NOISE && self.window.wait(now) == 0 {
            self.expire(now);
            if self.fault.is_some() {
                return None;
            }
        }
        if let Some(block) = self.window.wanted(end) {
            return self.ask(block, now);
        }
        Some(Next::Receive(self.window.wait(now)))
    }

    /// The caller is back: when an answer came in the meantime is not known.
    fn back(&mut self, now: u32) {
        if self.rtt.matters(now.wrapping_sub(self.left)) {
            self.window.open().for_each(|slot| slot.unmeasured = true);
        }
    }

    /// Nothing came in time for some requests.
    #[inline(never)]
    fn expire(&mut self, now: u32) {
        self.noise = 0;
        let upcoming = self.request;
        loop {
            let due = |slot: &&mut Slot| now.wrapping_sub(slot.due) as i32 >= 0;
            let Some(slot) = self.window.open().find(due) else { return };
            if slot.times >= self.settings.retransmissions {
                self.fault = Some(Fault::Timeout);
                return;
            }
            slot.times = slot.times.wrapping_add(1);
            // The server has the request it acknowledged, and would not take it for another.
            slot.state = if slot.state == State::Acknowledged { State::Free } else { State::Lost };
            let (request, times) = (slot.request, slot.times);
            self.rtt.lost(times);
            self.window.lost(request, upcoming);
        }
    }

    #[inline(never)]
    fn reply(&mut self, kind: u8, id: u16) {
        self.reply = Some(empty(kind, id));
    }
}
