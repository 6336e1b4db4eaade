//! What a request says, and how it is named.

use coap_numbers::code::GET;
use coap_numbers::option::{BLOCK2, PROXY_URI, SIZE2};

use super::{Next, Transfer};
use crate::coap::Fault;
use crate::coap::message::{Form, Writer};
use crate::coap::url::UrlError;
use crate::coap::window::State;

/// The numbers of blocks have 20 bits.
const MAX_BLOCK: u32 = (1 << 20) - 1;

impl Transfer<'_> {
    /// Asks for a block.
    pub(super) fn ask(&mut self, block: u32, now: u32) -> Option<Next> {
        if block > MAX_BLOCK {
            self.fault = Some(Fault::TooLarge);
            return None;
        }
        let (upcoming, timeout) = (self.request, &mut self.rtt);
        let slot = self.window.slot(block);
        if slot.state == State::Free {
            slot.request = upcoming;
            slot.sent = now;
            self.request = upcoming.wrapping_add(1);
        }
        slot.state = State::Waiting;
        slot.due = now.wrapping_add(timeout.timeout(slot.times));
        let request = slot.request;
        self.len = self.write(request, block);
        Some(Next::Send)
    }

    /// Whether the longest request fits.
    pub(super) fn fits(&mut self) -> Result<(), UrlError> {
        self.opening = true;
        if self.write(0, MAX_BLOCK) > self.buf.len() { Err(UrlError::TooLong) } else { Ok(()) }
    }

    #[inline(never)]
    fn write(&mut self, request: u32, block: u32) -> usize {
        let (id, token) = (self.id(request), self.token(request).to_be_bytes());
        let mut writer = Writer::new(self.buf, GET, id, token);
        if self.proxy.is_none() {
            self.url.write(&mut writer);
        }
        writer.number(BLOCK2, block << 4 | u32::from(self.szx));
        if self.opening {
            writer.number(SIZE2, 0);
        }
        if self.proxy.is_some() {
            writer.option(PROXY_URI, self.url.text.as_bytes(), Form::Plain);
        }
        writer.len()
    }

    /// Message ids go up from a random one: none comes back within its lifetime (RFC 7252, 4.4).
    pub(super) fn id(&self, request: u32) -> u16 {
        ((self.settings.random >> 32) as u16).wrapping_add(request as u16)
    }

    /// Tokens too, so that each tells which request it was made for, and none is used twice.
    pub(super) fn token(&self, request: u32) -> u32 {
        (self.settings.random as u32).wrapping_add(request)
    }
}
