//! The blocks that are asked for and not yet taken.

use super::settings::MAX_WINDOW;

/// ```text
///   taken │ next             sent │ not asked for
///  ───────┼───┬───┬───┬───┬───┬───┼──────────────
///         │ W │ S │ W │ L │ A │ W │                Waiting, Stored, Lost, Acknowledged
///         └───┴───┴───┴───┴───┴───┘ at most 8
/// ```
pub(super) struct Window {
    slots: [Slot; SLOTS],
    /// The number of the first block that was not taken.
    pub(super) next: u32,
    /// No block from this one on is asked for but as the next: there may be none.
    pub(super) limit: u32,
    /// No block from this one on is asked for before the next was taken: there is no room for it.
    full: u32,
    /// How many requests may be open, and the most of them.
    open: u8,
    most: u8,
    /// Answers since `open` grew.
    answers: u8,
    /// Losses of requests before this one have been paid for.
    recover: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) state: State,
    /// How often it was sent again.
    pub(super) times: u8,
    /// How many later requests were answered.
    pub(super) passed: u8,
    /// The application was away while it was open: how long the answer took is not known.
    pub(super) unmeasured: bool,
    /// The length of a stored block.
    pub(super) len: u16,
    /// The request's number, of which message id and token are made.
    pub(super) request: u32,
    /// When it was sent first.
    pub(super) sent: u32,
    /// When it is given up.
    pub(super) due: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Not asked for.
    Free,
    /// To be asked for again, by the same request.
    Lost,
    /// Asked for.
    Waiting,
    /// The server said that the answer will come separately.
    Acknowledged,
    /// There, before its turn.
    Stored,
}

impl Slot {
    fn is_open(&self) -> bool {
        matches!(self.state, State::Waiting | State::Acknowledged)
    }
}

const SLOTS: usize = MAX_WINDOW as usize;
const FREE: Slot =
    Slot { state: State::Free, times: 0, passed: 0, unmeasured: false, len: 0, request: 0, sent: 0, due: 0 };

impl Window {
    pub(super) fn new() -> Self {
        Self { slots: [FREE; SLOTS], next: 0, limit: 0, full: u32::MAX, open: 1, most: 1, answers: 0, recover: 0 }
    }

    /// Begins at a block, which is asked for alone.
    #[inline(never)]
    pub(super) fn begin(&mut self, next: u32) {
        self.slots = [FREE; SLOTS];
        self.next = next;
        self.limit = next;
        self.full = u32::MAX;
        self.open = 1;
        self.most = 1;
        self.answers = 0;
    }

    /// Lets more than one request be open.
    pub(super) fn widen(&mut self, most: u8) {
        self.limit = u32::MAX;
        self.open = most;
        self.most = most;
    }

    /// Forgets all requests: blocks have another size from here on.
    pub(super) fn renumber(&mut self, next: u32) {
        self.slots = [FREE; SLOTS];
        self.next = next;
        self.limit = u32::MAX;
    }

    #[inline(never)]
    pub(super) fn slot(&mut self, block: u32) -> &mut Slot {
        let [first, others @ ..] = &mut self.slots;
        let nth = block as usize % SLOTS;
        others.get_mut(nth.wrapping_sub(1)).unwrap_or(first)
    }

    /// The block of a request that waits for an answer, by those bits of its number that are in `mask`.
    #[inline(never)]
    pub(super) fn block_of(&mut self, request: u32, mask: u32) -> Option<u32> {
        (self.next..self.next.saturating_add(u32::from(MAX_WINDOW))).find(|block| {
            let slot = self.slot(*block);
            slot.is_open() && (slot.request ^ request) & mask == 0
        })
    }

    /// The next block to ask for, if one more request may be open; `end`: there are no blocks from here on.
    #[inline(never)]
    pub(super) fn wanted(&mut self, end: u32) -> Option<u32> {
        let open = self.open().count();
        if open >= usize::from(self.open) {
            return None;
        }
        let (next, limit, full) = (self.next, self.limit, self.full);
        (next..next.saturating_add(u32::from(self.most)).min(end))
            .filter(|block| *block == next || *block < limit.min(full))
            .find(|block| matches!(self.slot(*block).state, State::Free | State::Lost))
    }

    /// There is nothing from this block on, or nobody knows what: asks for no more of them, but as the next.
    pub(super) fn close(&mut self, block: u32) {
        self.limit = self.limit.min(block);
        self.cancel(block);
    }

    /// There is no room for this block before the next was taken.
    pub(super) fn no_room(&mut self, block: u32) {
        self.full = self.full.min(block);
        self.cancel(block);
    }

    #[inline(never)]
    fn cancel(&mut self, block: u32) {
        for block in block..self.next.saturating_add(u32::from(MAX_WINDOW)) {
            *self.slot(block) = FREE;
        }
    }

    /// The next block was taken.
    pub(super) fn taken(&mut self) {
        let next = self.next;
        *self.slot(next) = FREE;
        self.next = next.wrapping_add(1);
        self.full = u32::MAX;
        if self.limit == next {
            // The server refused it before its turn, and gave it now.
            self.limit = u32::MAX;
        }
    }

    /// The additive part of AIMD: one more request for each window of answers. A request is taken for lost, once, when
    /// three later ones were answered: that is sooner known than by its timeout.
    pub(super) fn answered(&mut self, request: u32, upcoming: u32) {
        self.answers = self.answers.wrapping_add(1);
        if self.answers >= self.open {
            self.answers = 0;
            self.open = self.open.wrapping_add(1).min(self.most);
        }
        let mut lost = None;
        for slot in self.open().filter(|slot| (request.wrapping_sub(slot.request) as i32) > 0) {
            slot.passed = slot.passed.saturating_add(1);
            if slot.passed == 3 && slot.times == 0 && slot.state == State::Waiting {
                slot.times = 1;
                slot.state = State::Lost;
                lost = Some(slot.request);
            }
        }
        if let Some(request) = lost {
            self.lost(request, upcoming);
        }
    }

    /// The multiplicative part: half as many, once for all that were lost together. `upcoming`: the number of the
    /// next request.
    pub(super) fn lost(&mut self, request: u32, upcoming: u32) {
        if request.wrapping_sub(self.recover) as i32 >= 0 {
            self.recover = upcoming;
            self.open = (self.open / 2).max(1);
            self.answers = 0;
        }
    }

    /// The requests that are open.
    pub(super) fn open(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().filter(|slot| slot.is_open())
    }

    /// For how long nothing is due.
    pub(super) fn wait(&mut self, now: u32) -> u32 {
        let left = |slot: &mut Slot| (slot.due.wrapping_sub(now) as i32).max(0) as u32;
        self.open().map(left).min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "a test stops there")]

    use super::*;
    use std::vec::Vec;

    /// Asks for all that may be asked for; their requests have the numbers of the blocks.
    fn ask(window: &mut Window) -> Vec<u32> {
        core::iter::from_fn(|| {
            let block = window.wanted(100)?;
            let slot = window.slot(block);
            (slot.state, slot.request) = (State::Waiting, block);
            Some(block)
        })
        .collect()
    }

    fn opened(most: u8) -> Window {
        let mut window = Window::new();
        window.begin(0);
        window.widen(most);
        window
    }

    fn take(window: &mut Window) {
        let next = window.next;
        window.taken();
        window.answered(next, 100);
    }

    #[test]
    fn the_first_block_is_asked_for_alone_and_then_as_many_as_may_be() {
        let mut window = Window::new();
        window.begin(5);
        assert_eq!(ask(&mut window), [5]);
        window.widen(3);
        window.taken();
        assert_eq!(ask(&mut window), [6, 7, 8]);
        assert_eq!(window.wanted(100), None);
    }

    #[test]
    fn a_loss_halves_the_window_once_and_answers_widen_it_by_one_at_a_time() {
        let mut window = opened(8);
        assert_eq!(ask(&mut window).len(), 8);
        // Three of the same eight are lost.
        (0..3).for_each(|request| window.lost(request, 8));
        assert_eq!(window.open, 4);
        window.lost(8, 20);
        window.lost(20, 21);
        window.lost(21, 22);
        assert_eq!(window.open, 1, "never less than one");
        let mut sizes = Vec::new();
        for _ in 0..40 {
            take(&mut window);
            sizes.push(window.open);
        }
        assert_eq!(sizes[..10], [2, 2, 3, 3, 3, 4, 4, 4, 4, 5]);
        assert_eq!(sizes.last(), Some(&8), "never more than was allowed");
    }

    #[test]
    fn what_has_no_room_is_asked_for_again_when_the_next_was_taken() {
        let mut window = opened(4);
        assert_eq!(ask(&mut window), [0, 1, 2, 3]);
        window.no_room(2);
        assert_eq!(ask(&mut window), []);
        window.taken();
        assert_eq!(ask(&mut window), [2, 3, 4]);
    }

    #[test]
    fn what_was_refused_before_its_turn_is_asked_for_in_its_turn_and_then_all_goes_on() {
        let mut window = opened(4);
        assert_eq!(ask(&mut window), [0, 1, 2, 3]);
        window.close(2);
        window.taken();
        assert_eq!(ask(&mut window), []);
        window.taken();
        assert_eq!(ask(&mut window), [2]);
        window.taken();
        assert_eq!(ask(&mut window), [3, 4, 5, 6]);
    }
}
