//! Where blocks lie, in the file and in the buffer.

use super::{HEAD, Transfer};
use crate::coap::window::State;

impl Transfer<'_> {
    /// Takes the next block from where it was stored.
    pub(super) fn take_stored(&mut self) {
        let next = self.window.next;
        let slot = *self.window.slot(next);
        if slot.state == State::Stored {
            self.at = self.store(next);
            self.end = self.at.wrapping_add(usize::from(slot.len));
            self.window.taken();
        }
    }

    /// The place for a block that comes before its turn.
    pub(super) fn store(&self, block: u32) -> usize {
        let nth = block.checked_rem(self.places()).unwrap_or_default();
        self.area().wrapping_add((nth << self.shift()) as usize)
    }

    /// How many such places there are.
    pub(super) fn places(&self) -> u32 {
        (self.buf.len().saturating_sub(self.area()) as u32) >> self.shift()
    }

    /// The length of the place for a datagram.
    #[inline(never)]
    pub(super) fn area(&self) -> usize {
        HEAD.wrapping_add(16 << (self.settings.szx & 7))
    }

    #[inline(never)]
    pub(super) fn shift(&self) -> u32 {
        u32::from(self.szx & 7).wrapping_add(4)
    }

    /// How many blocks the file has, or as many as any may have.
    #[inline(never)]
    pub(super) fn blocks(&self) -> u32 {
        let last = self.size.saturating_sub(1) >> self.shift();
        if self.size == 0 { 0 } else { last.wrapping_add(1) }
    }
}
