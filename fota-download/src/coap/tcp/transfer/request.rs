//! What is sent.

use coap_numbers::code;
use coap_numbers::option::{BLOCK2, SIZE2};
use coap_numbers::signaling_option::{BLOCK_WISE_TRANSFER, MAX_MESSAGE_SIZE};

use super::Transfer;
use crate::coap::Fault;
use crate::coap::message::{Form, Writer};
use crate::coap::tcp::frame::length;

/// The numbers of blocks have 20 bits.
pub(super) const MAX_BLOCK: u32 = (1 << 20) - 1;

/// Room for what comes before a request's options: a CSM of up to 8 bytes, and length, code and token.
///
/// ```text
///   │   │ CSM │ Len, Code, Token │ options
///   0                            16
///          ◄─ as far to the right as they can be
/// ```
const BEFORE: usize = 16;

impl Transfer<'_> {
    /// Asks for what is wanted next, or does what must come before.
    #[inline(never)]
    pub(super) fn ask(&mut self) -> Option<()> {
        if self.released {
            let hold_off = self.hold_off;
            if !self.answered || hold_off != 0 {
                return self.fail(Fault::Released { hold_off });
            }
            self.connected = false;
            return Some(());
        }
        if self.must_wait() {
            self.out = self.greet(BEFORE);
            self.out_end = BEFORE;
            return Some(());
        }
        if self.szx == 7 && !(self.blocks && self.long && self.may_be_long()) {
            self.szx = 6;
        }
        let block = self.asked >> self.shift();
        if block > MAX_BLOCK {
            return self.fail(Fault::TooLarge);
        }
        self.out_end = self.write(block);
        if self.open == 0 {
            self.due = self.request;
        }
        self.open = self.open.wrapping_add(1);
        self.request = self.request.wrapping_add(1);
        self.asked = self.aligned(self.asked).wrapping_add(self.stride);
        Some(())
    }

    /// Writes a request, and our settings where they were not sent; where it ends, which is behind the end of the buffer
    /// if it is too long.
    pub(super) fn write(&mut self, block: u32) -> usize {
        let mut writer = Writer::options(self.buf, BEFORE);
        self.url.write(&mut writer);
        if !self.known || self.blocks {
            writer.number(BLOCK2, block << 4 | u32::from(self.szx));
        }
        if self.opening {
            writer.number(SIZE2, 0);
        }
        let end = writer.len();
        let (first, more, count) = length(end.wrapping_sub(BEFORE));
        let [high, low] = more;
        let [a, b, c, d] = self.token(self.request).to_be_bytes();
        self.put(BEFORE.wrapping_sub(7), [high, low, code::GET, a, b, c, d]);
        let begin = BEFORE.wrapping_sub(6).wrapping_sub(count);
        self.put(begin, [first | 4]);
        self.out = if self.greeted { begin } else { self.greet(begin) };
        end
    }

    /// Writes our settings so that they end here; where they begin.
    fn greet(&mut self, end: usize) -> usize {
        let message = self.settings.message;
        let len = 4_usize.wrapping_sub((message.leading_zeros() / 8) as usize).wrapping_add(2);
        let begin = end.wrapping_sub(len).wrapping_sub(2);
        self.put(begin, [(len as u8) << 4, code::CSM]);
        let mut writer = Writer::options(self.buf, begin.wrapping_add(2));
        writer.number(MAX_MESSAGE_SIZE, message);
        writer.option(BLOCK_WISE_TRANSFER, &[], Form::Plain);
        self.greeted = true;
        begin
    }

    /// Writes a signaling message without options, with the token that is in the buffer here.
    pub(super) fn signal(&mut self, code: u8, token: usize, tkl: usize) {
        self.put(0, [tkl as u8, code]);
        for nth in 0..tkl {
            if let Some(byte) = self.buf.get(token.wrapping_add(nth)).copied() {
                self.put(nth.wrapping_add(2), [byte]);
            }
        }
        self.out = 0;
        self.out_end = tkl.wrapping_add(2);
    }

    #[inline(never)]
    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        let places = self.buf.get_mut(at..).unwrap_or_default();
        places.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    }

    /// Requests are told apart by their tokens, and none is used twice.
    pub(super) fn token(&self, request: u32) -> u32 {
        self.settings.random.wrapping_add(request)
    }
}
