//! What an answer means.

use coap_numbers::code;

use super::Transfer;
use crate::coap::Fault;
use crate::coap::message::{Answer, UNKNOWN, WHOLE};
use crate::source::Meta;

impl Transfer<'_> {
    /// Takes the answer that is due, of which so many bytes of payload are to come.
    pub(super) fn answer(&mut self, code: u8, answer: &Answer, len: u32) -> Option<()> {
        self.due = self.due.wrapping_add(1);
        self.open = self.open.wrapping_sub(1);
        // Until it is known what is wanted of it.
        self.skip = len;
        if answer.critical {
            return self.fail(Fault::Option);
        }
        if code == code::CONTENT { self.content(answer, len) } else { self.refusal(code, answer.max_age) }
    }

    /// The server does not give what was asked for.
    fn refusal(&mut self, code: u8, max_age: u32) -> Option<()> {
        let beyond = matches!(
            code,
            code::BAD_REQUEST | code::BAD_OPTION | code::REQUEST_ENTITY_INCOMPLETE | code::INTERNAL_SERVER_ERROR
        );
        if self.doubtful && beyond {
            self.size = self.next;
        } else if self.opening && self.from != 0 && beyond {
            // The offset may be behind the end of a file that is shorter now.
            self.refused = if code >= code::REQUEST_ENTITY_INCOMPLETE { code } else { 0 };
            self.wanted = self.from;
            self.begin(0);
        } else if !self.opening && self.window != 1 {
            // It may be that so many were asked for at once.
            self.alone();
        } else {
            return self.fail(Fault::Status { code, max_age });
        }
        Some(())
    }

    /// Goes on with one request at a time.
    fn alone(&mut self) {
        self.window = 1;
        self.forget();
    }

    /// The server gives it.
    fn content(&mut self, answer: &Answer, len: u32) -> Option<()> {
        let whole = answer.block == WHOLE;
        // A whole file is its first block, and has no more.
        let value = if whole { u32::from(self.szx) } else { answer.block };
        let (number, mut more, szx) = (value >> 4, value & 8 != 0, (value & 7) as u8);
        let shift = shift(szx);
        let size = 1_u32 << shift;
        let start = number << shift;
        let fits = match szx {
            _ if whole => true,
            7 => !more || len != 0 && len & size.wrapping_sub(1) == 0,
            _ => len == size || !more && len < size,
        };
        if !whole && start != self.aligned(self.next) || !fits {
            return self.fail(Fault::Block);
        }
        let Some(stop) = start.checked_add(len).filter(|stop| *stop != UNKNOWN) else {
            return self.fail(Fault::TooLarge);
        };
        self.szx = self.szx.min(szx);
        // libcoap 4.3.1, asked for BERT from amid a file, sends one block at a time and says already of the eighth
        // from the end that it is the last. Where nobody named the length, the next one is asked for.
        let unnamed = self.from != 0 && answer.size == UNKNOWN && (self.opening || self.size == UNKNOWN);
        self.doubtful = szx == 7 && !whole && !more && unnamed && len != 0 && len & size.wrapping_sub(1) == 0;
        more |= self.doubtful;
        if more && self.next >= stop {
            // Of the smaller blocks another one is the next.
            self.forget();
            return Some(());
        }
        let from = self.from;
        if self.opening {
            let ends = !more && (len != 0 || start == 0);
            let total = if answer.size == UNKNOWN && ends { stop } else { answer.size };
            // What was seen of it before is another file, or behind the end of this one.
            let tag = if answer.counter { 0 } else { answer.tag };
            let other = self.meta.tag != 0 && tag != 0 && tag != self.meta.tag;
            if from != 0 && (other || from > total || total == UNKNOWN && len == 0) {
                self.begin(0);
                return Some(());
            }
            // It is the same file, and not shorter: before all of it comes again, the offset is worth another call.
            let refused = core::mem::take(&mut self.refused);
            let doubted = core::mem::replace(&mut self.doubted, refused != 0);
            if refused != 0 && !doubted && total > self.wanted && total != UNKNOWN && tag != 0 && tag == self.meta.tag {
                return self.fail(Fault::Status { code: refused, max_age: 0 });
            }
            self.meta = Meta { size: (total != UNKNOWN).then_some(total), tag, start: from };
            self.tag = answer.tag;
            self.size = total;
        } else if answer.tag != self.tag || (answer.size != self.size && answer.size != UNKNOWN && self.size != UNKNOWN)
        {
            return self.fail(Fault::Changed);
        }
        if if more { stop >= self.size } else { self.size != UNKNOWN && stop != self.size } {
            return self.fail(Fault::Changed);
        }
        self.opening = false;
        self.link.answered = true;
        self.skip = self.next.wrapping_sub(start);
        self.left = stop.wrapping_sub(self.next);
        if !more {
            self.size = stop;
            self.open = 0;
        }
        if self.open == 0 {
            self.stride = len;
        } else if len != self.stride {
            // The next ones were asked for by the length of those before.
            self.alone();
        }
        if self.open == 0 {
            self.asked = stop;
        }
        Some(())
    }

    /// The size of the blocks that are asked for is 1 shifted by this.
    pub(super) fn shift(&self) -> u32 {
        shift(self.szx)
    }

    /// Where the block begins that has this offset.
    pub(super) fn aligned(&self, offset: u32) -> u32 {
        offset >> self.shift() << self.shift()
    }
}

/// Blocks of several are counted in those of the size before.
fn shift(szx: u8) -> u32 {
    u32::from(szx.min(6)).wrapping_add(4)
}
