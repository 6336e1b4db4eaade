//! When to try again.

use crate::source::Retry;

/// How often, and after what pauses, a download tries again: each pause is twice the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Backoff {
    attempts: u8,
    first: u32,
    longest: u32,
    /// 0: no jitter.
    seed: u32,
}

impl Backoff {
    /// 8 more attempts in a row, after 1, 2, 4 ... 128 seconds.
    pub const fn new() -> Self {
        Self { attempts: 8, first: 1_000, longest: 300_000, seed: 0 }
    }

    /// How often in a row it is tried again. A new byte of the file begins a new row.
    pub const fn attempts(mut self, attempts: u8) -> Self {
        self.attempts = attempts;
        self
    }

    /// The first pause, in milliseconds.
    pub const fn first_ms(mut self, ms: u32) -> Self {
        self.first = ms;
        self
    }

    /// The longest pause, in milliseconds, also where a server asks for more. 5 minutes by default.
    pub const fn longest_ms(mut self, ms: u32) -> Self {
        self.longest = ms;
        self
    }

    /// Draws each pause between its half and itself, and adds up to an eighth to what a server asks for: so that a fleet
    /// that was cut off together does not come back together. `seed` is what differs from device to device; 0: without.
    pub const fn jitter(mut self, seed: u32) -> Self {
        self.seed = seed;
        self
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// What is left of a [`Backoff`].
pub(super) struct Patience {
    backoff: Backoff,
    attempt: u32,
    restarts: u32,
    /// How often in a row the target went back, without a byte that never came before.
    rewinds: u32,
    /// Bytes came since the source was opened.
    moved: bool,
    /// Where it was opened.
    base: u32,
    /// The pause before the next attempt, in milliseconds.
    pause: u32,
    /// All bytes before this came since the target went back.
    high: u32,
    /// All bytes before this came once.
    top: u32,
}

impl Patience {
    pub(super) fn new(backoff: Backoff) -> Self {
        let pause = backoff.first;
        Self { backoff, attempt: 0, restarts: 0, rewinds: 0, moved: false, base: 0, pause, high: 0, top: 0 }
    }

    /// The number of failures in a row.
    pub(super) fn attempt(&self) -> u8 {
        self.attempt as u8
    }

    /// All bytes before this offset came.
    pub(super) fn came(&mut self, offset: u32) {
        if offset > self.high {
            self.high = offset;
            self.attempt = 0;
            self.pause = self.backoff.first;
        }
        if offset > self.top {
            self.top = offset;
            self.rewinds = 0;
        }
        self.moved |= offset > self.base;
    }

    /// The source is open at this offset.
    pub(super) fn opened(&mut self, offset: u32) {
        self.moved = false;
        self.base = offset;
    }

    /// Whether a byte came since the source was opened.
    pub(super) fn moved(&self) -> bool {
        self.moved
    }

    /// The file is another one, so that its first bytes are new ones. Bounded by itself: a file that changes all
    /// the time must not go on for ever.
    pub(super) fn started_over(&mut self) {
        self.restarts = self.restarts.wrapping_add(1);
        self.high = 0;
        self.top = 0;
    }

    /// The target wants the bytes from this offset once more, so that they count as new ones. `false`: it went back
    /// too often.
    pub(super) fn went_back(&mut self, offset: u32) -> bool {
        self.rewinds = self.rewinds.wrapping_add(1);
        self.high = self.high.min(offset);
        self.rewinds <= u32::from(self.backoff.attempts)
    }

    /// Uses up an attempt; `false`: there is none left.
    #[inline(never)]
    pub(super) fn spend(&mut self) -> bool {
        self.attempt = self.attempt.wrapping_add(1);
        self.attempt.max(self.restarts) <= u32::from(self.backoff.attempts)
    }

    /// A number up to `most`, by Marsaglia's xorshift.
    fn draw(&mut self, most: u32) -> u32 {
        let seed = &mut self.backoff.seed;
        *seed ^= *seed << 13;
        *seed ^= *seed >> 17;
        *seed ^= *seed << 5;
        seed.checked_rem(most.saturating_add(1)).unwrap_or(0)
    }

    /// The pause before the next attempt, in milliseconds; `None`: there is none.
    pub(super) fn pause(&mut self, retry: Retry) -> Option<u32> {
        let asked = match retry {
            Retry::Never => return None,
            Retry::Later => 0,
            Retry::After(seconds) => seconds.saturating_mul(1_000),
        };
        let mut own = self.pause;
        self.pause = own.saturating_mul(2);
        let mut asked = asked;
        if self.backoff.seed != 0 {
            own = own.saturating_sub(self.draw(own / 2));
            asked = asked.saturating_add(self.draw(asked / 8));
        }
        self.spend().then(|| own.max(asked).min(self.backoff.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn pauses_double_and_end_and_a_new_byte_begins_anew() {
        let mut patience = Patience::new(Backoff::new().attempts(4).longest_ms(5_000));
        patience.came(100);
        let row: Vec<_> = core::iter::from_fn(|| patience.pause(Retry::Later)).collect();
        assert_eq!(row, [1_000, 2_000, 4_000, 5_000]);
        patience.came(100);
        assert_eq!(patience.pause(Retry::Later), None, "byte 100 is none that is new");
        patience.came(101);
        assert_eq!(patience.pause(Retry::Later), Some(1_000));
    }

    #[test]
    fn a_server_is_given_the_time_it_asks_for_but_not_for_ever() {
        let mut patience = Patience::new(Backoff::new());
        assert_eq!(patience.pause(Retry::After(7)), Some(7_000));
        assert_eq!(patience.pause(Retry::After(0)), Some(2_000));
        assert_eq!(patience.pause(Retry::After(u32::MAX)), Some(300_000));
        assert_eq!(patience.pause(Retry::Never), None);
    }

    #[test]
    fn devices_that_were_cut_off_together_come_back_apart() {
        let pauses = |seed: u32| {
            let mut patience = Patience::new(Backoff::new().attempts(3).jitter(seed));
            let asked = patience.pause(Retry::After(80)).unwrap();
            let own = [patience.pause(Retry::Later).unwrap(), patience.pause(Retry::Later).unwrap()];
            assert!((80_000..=90_000).contains(&asked), "{asked}");
            assert!((1_000..=2_000).contains(&own[0]) && (2_000..=4_000).contains(&own[1]), "{own:?}");
            (asked, own)
        };
        let mut all: Vec<_> = (1..=100).map(pauses).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 100);
    }

    #[test]
    fn a_file_that_changes_all_the_time_comes_to_an_end() {
        let mut patience = Patience::new(Backoff::new().attempts(3));
        let mut changes = 0;
        while changes < 100 {
            patience.started_over();
            if !patience.spend() {
                break;
            }
            patience.came(1_000);
            changes += 1;
        }
        assert_eq!(changes, 3);
    }
}
