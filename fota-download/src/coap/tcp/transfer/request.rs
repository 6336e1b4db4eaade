//! What is sent.

use coap_numbers::code;
use coap_numbers::option::{BLOCK2, SIZE2};
use coap_numbers::signaling_option::{BLOCK_WISE_TRANSFER, MAX_MESSAGE_SIZE};

use super::Transfer;
use crate::coap::Fault;
use crate::coap::message::{Form, Writer};
use crate::coap::part;
use crate::coap::url::Url;

/// The numbers of blocks have 20 bits.
pub(super) const MAX_BLOCK: u32 = (1 << 20) - 1;

impl Transfer<'_> {
    /// Asks for what is wanted next, or does what must come before.
    #[inline(never)]
    pub(super) fn ask(&mut self) -> Option<()> {
        if self.link.released {
            if !self.may_move() || !self.knows_again() {
                let hold_off = self.link.hold_off;
                return self.fail(Fault::Released { hold_off });
            }
            self.connected = false;
            return Some(());
        }
        let wait = self.must_wait();
        if self.szx == 7 && !wait && !self.link.long {
            self.szx = 6;
        }
        let block = self.asked >> self.shift();
        if block > MAX_BLOCK {
            return self.fail(Fault::TooLarge);
        }
        self.out = 0;
        self.out_end = self.write((!wait).then_some(block));
        self.link.greeted = true;
        if wait {
            return Some(());
        }
        if self.open == 0 {
            self.due = self.request;
        }
        self.open = self.open.wrapping_add(1);
        self.request = self.request.wrapping_add(1);
        self.asked = self.asked.wrapping_add(self.stride);
        Some(())
    }

    /// Writes our settings where they were not sent, and a request for a block; how long that is, which is longer than
    /// the buffer if it did not fit.
    pub(super) fn write(&mut self, block: Option<u32>) -> usize {
        let token = self.token(self.request).to_be_bytes();
        let mut writer = Writer::over_tcp(self.buf);
        if !self.link.greeted {
            let message = self.settings.message;
            writer.frame(6_usize.wrapping_sub((message.leading_zeros() / 8) as usize), code::CSM, &[]);
            writer.number(MAX_MESSAGE_SIZE, message);
            writer.option(BLOCK_WISE_TRANSFER, &[], Form::Plain);
        }
        let Some(block) = block else { return writer.len() };
        let value = (!self.link.known || self.link.blocks).then_some(block << 4 | u32::from(self.szx));
        let mut counted = Writer::over_tcp(&mut []);
        let (url, opening) = (&self.url, self.opening);
        say(&mut counted, url, value, opening);
        writer.frame(counted.len(), code::GET, &token);
        say(&mut writer, url, value, opening);
        writer.len()
    }

    /// Writes a signaling message without options, with the token that came from here to there.
    #[inline(never)]
    pub(super) fn signal(&mut self, code: u8, token: usize, end: usize) {
        let (out, came) = self.buf.split_at_mut_checked(self.split).unwrap_or_default();
        let mut writer = Writer::over_tcp(out);
        writer.frame(0, code, part(came, token.wrapping_sub(self.split), end.wrapping_sub(self.split)));
        self.out = 0;
        self.out_end = writer.len();
    }

    /// Requests are told apart by their tokens, and none is used twice.
    pub(super) fn token(&self, request: u32) -> u32 {
        self.settings.random.wrapping_add(request)
    }
}

/// What a request says.
#[inline(never)]
fn say(writer: &mut Writer<'_>, url: &Url<'_>, block: Option<u32>, opening: bool) {
    url.write(writer);
    if let Some(value) = block {
        writer.number(BLOCK2, value);
    }
    if opening {
        writer.number(SIZE2, 0);
    }
}
