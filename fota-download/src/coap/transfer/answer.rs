//! What a datagram means.

use super::{HEAD, Transfer};
use crate::coap::message::{ACK, Answer, CON, Message, RST, UNKNOWN, WHOLE};
use crate::coap::window::{Slot, State};
use crate::coap::{Fault, code, part};
use crate::source::Meta;

/// How long a separate answer is waited for, in milliseconds, before it is asked for once more: twice as long each time,
/// up to 4 minutes.
const SEPARATE: u32 = 30_000;

impl Transfer<'_> {
    /// Takes a datagram; `None`: it is of no use.
    #[inline(never)]
    pub(super) fn came(&mut self, count: usize, now: u32) -> Option<()> {
        let filled = count >= self.area();
        let message = Message::parse(part(self.buf, 0, count))?;
        // By its message id, an acknowledgement or a reset answers a request that waits.
        let named = u32::from(message.id.wrapping_sub(self.id(0)));
        if message.code == code::EMPTY {
            if message.kind == CON {
                self.reply(RST, message.id);
            }
            let block = self.window.block_of(named, 0xffff)?;
            let slot = self.window.slot(block);
            match message.kind {
                RST => self.fault = Some(Fault::Reset),
                ACK if slot.state == State::Waiting => {
                    slot.state = State::Acknowledged;
                    slot.due = now.wrapping_add(SEPARATE << slot.times.min(3));
                    let slot = *slot;
                    self.measure(slot, now);
                }
                _ => return None,
            }
            return Some(());
        }
        // One of another length is never ours.
        let request = message.token.map_or(u32::MAX, |token| token.wrapping_sub(self.token(0)));
        let ours = request < self.request;
        // We answer no requests.
        if message.code >> 5 == 0 || message.kind == RST {
            if message.kind == CON {
                self.reply(RST, message.id);
            }
            return None;
        }
        let answer = Answer::parse(part(self.buf, message.rest, count));
        // One that came before is acknowledged again: the server may not have heard it.
        if message.kind == CON {
            self.reply(if ours && answer.is_some() { ACK } else { RST }, message.id);
        }
        let answer = answer?;
        let block = self.window.block_of(request, u32::MAX)?;
        if message.kind == ACK && named != request & 0xffff {
            return None;
        }
        if filled {
            return self.fail(Fault::TooLong);
        }
        if answer.critical {
            return self.fail(Fault::Option);
        }
        let payload = (message.rest.wrapping_add(answer.payload), count);
        let slot = *self.window.slot(block);
        if message.code == code::CONTENT {
            self.content(block, &answer, payload)?;
        } else {
            self.refusal(block, message.code, answer.max_age);
        }
        if message.kind == ACK && slot.state == State::Waiting {
            self.measure(slot, now);
        }
        self.window.answered(slot.request, self.request);
        Some(())
    }

    #[inline(never)]
    fn fail(&mut self, fault: Fault) -> Option<()> {
        self.fault = Some(fault);
        Some(())
    }

    /// An acknowledgement came.
    fn measure(&mut self, slot: Slot, now: u32) {
        if slot.times <= 1 && !slot.unmeasured {
            self.rtt.sample(now.wrapping_sub(slot.sent), slot.times == 0);
        }
    }

    /// The server does not give the block.
    fn refusal(&mut self, block: u32, code: u8, max_age: u32) {
        let beyond = matches!(
            code,
            code::BAD_REQUEST | code::BAD_OPTION | code::REQUEST_ENTITY_INCOMPLETE | code::INTERNAL_SERVER_ERROR
        );
        if self.opening && self.from != 0 && beyond {
            // The offset may be behind the end of a file that is shorter now.
            self.refused = if code >= code::REQUEST_ENTITY_INCOMPLETE { code } else { 0 };
            self.wanted = self.from;
            self.open(0);
        } else if block != self.window.next {
            // Nor this one: it may be behind the end, which is not known.
            self.window.close(block);
        } else {
            self.fault = Some(Fault::Status { code, max_age });
        }
    }

    /// The server gives the block; `None`: it is as good as lost.
    fn content(&mut self, block: u32, answer: &Answer, (mut at, end): (usize, usize)) -> Option<()> {
        let next = block == self.window.next;
        let len = end.wrapping_sub(at) as u32;
        let whole = answer.block == WHOLE;
        // A whole file is its first block, and has no more.
        let value = if whole { u32::from(self.szx) } else { answer.block };
        let (number, more, szx) = (value >> 4, value & 8 != 0, (value & 7) as u8);
        let start = block << self.shift();
        let shift = u32::from(szx).wrapping_add(4);
        if szx > self.szx || number << shift != start {
            return self.fail(Fault::Block);
        }
        let size = 1_u32 << shift;
        if !whole && (len > size || more && len < size) || (szx < self.szx && !next) {
            return None;
        }
        let stop = start.wrapping_add(len);
        let from = self.from;
        if self.opening && szx < self.szx && more && from >= stop {
            // Of the smaller blocks another one is the first.
            self.szx = szx;
            self.window.begin(from >> shift);
            return Some(());
        }
        if self.opening {
            let ends = !more && (len != 0 || block == 0);
            let total = if answer.size == UNKNOWN && ends { stop } else { answer.size };
            // What was seen of it before is another file, or behind the end of this one.
            let tag = if answer.counter { 0 } else { answer.tag };
            let other = self.meta.tag != 0 && tag != 0 && tag != self.meta.tag;
            if from != 0 && (other || from > total || total == UNKNOWN && len == 0) {
                self.open(0);
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
        } else if len == 0 && !next {
            // Behind the end, which is where the last block will say.
            self.window.close(block);
            return Some(());
        }
        if if more { stop >= self.size } else { self.size != UNKNOWN && stop != self.size } {
            return self.fail(Fault::Changed);
        }
        if !more {
            self.size = stop;
            self.window.close(block.wrapping_add(1));
        }
        if next {
            if szx < self.szx {
                self.szx = szx;
                self.window.renumber(number);
            }
            if core::mem::take(&mut self.opening) {
                at = at.wrapping_add(from.wrapping_sub(start) as usize).min(end);
                self.window.widen(self.settings.window);
                if !more {
                    self.window.close(number.wrapping_add(1));
                }
            }
            self.at = at;
            self.end = end;
            self.window.taken();
            if !more {
                // All of it in one piece may be longer than a block.
                self.window.next = self.blocks();
            }
            return Some(());
        }
        if block.wrapping_sub(self.window.next) > self.places() {
            self.window.no_room(block);
            return Some(());
        }
        let store = self.store(block);
        let slot = self.window.slot(block);
        slot.state = State::Stored;
        slot.len = len as u16;
        let (area, stored) = self.buf.split_at_mut_checked(HEAD.wrapping_add(16 << self.settings.szx))?;
        let to = stored.get_mut(store.wrapping_sub(area.len())..)?;
        to.iter_mut().zip(part(area, at, end)).for_each(|(to, from)| *to = *from);
        Some(())
    }
}
