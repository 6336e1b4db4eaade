//! How long to wait for an answer: by what the earlier ones took (RFC 6298).

/// The first timeout (RFC 7252, `ACK_TIMEOUT`), in milliseconds.
const FIRST: u32 = 2_000;
/// No timeout is shorter, however near the server is.
const SHORTEST: u32 = 200;
/// Nor longer than this, before the random part.
const LONGEST: u32 = 60_000;

/// An estimate of the round-trip time.
pub(super) struct Rtt {
    /// Milliseconds; eight times the mean and four times the deviation. 0: nothing is known.
    mean8: u32,
    deviation4: u32,
    /// Before back-off and random part.
    timeout: u32,
    /// Kept until there is a sample: where round trips got longer than the timeout, there would never be one.
    backoff: u8,
    random: u32,
}

impl Rtt {
    pub(super) fn new(random: u32) -> Self {
        Self { mean8: 0, deviation4: 0, timeout: FIRST, backoff: 0, random: random | 1 }
    }

    /// Takes a round-trip time. `sure`: of a request that was sent once. Otherwise it is the time since the first of
    /// two: the truth where the network got slower, and too much where one was lost. It moves the mean alone.
    pub(super) fn sample(&mut self, ms: u32, sure: bool) {
        let ms = ms.min(LONGEST);
        let mean = self.mean8 / 8;
        if self.mean8 == 0 && !sure {
            return;
        }
        if self.mean8 == 0 {
            self.mean8 = ms.wrapping_mul(8).max(1);
            self.deviation4 = ms.wrapping_mul(2);
        } else {
            self.mean8 = self.mean8.wrapping_sub(mean).wrapping_add(ms).max(1);
            if sure {
                self.deviation4 = self.deviation4.wrapping_sub(self.deviation4 / 4).wrapping_add(mean.abs_diff(ms));
            }
        }
        let mean = self.mean8 / 8;
        // Well above the mean, also where all round trips took the same.
        self.timeout = mean.saturating_add(self.deviation4.max(mean / 2)).clamp(SHORTEST, LONGEST);
        self.backoff = 0;
    }

    /// A request that was sent so often had no answer in time.
    pub(super) fn lost(&mut self, times: u8) {
        self.backoff = self.backoff.max(times);
    }

    /// How long to wait for the answer to a request that was sent so often before.
    pub(super) fn timeout(&mut self, times: u8) -> u32 {
        let mut ms = self.timeout;
        for nth in 0..times.max(self.backoff) {
            // Two losses are bad luck. More are a break of the network, which short timeouts must outlive too.
            ms = ms.saturating_mul(if nth >= 2 && ms < FIRST { 4 } else { 2 }).min(LONGEST);
        }
        // Up to half more, at random (xorshift): devices that were cut off together don't come back together.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        ms.wrapping_add((ms / 2).wrapping_mul(self.random >> 24) >> 8)
    }

    /// Whether so long a time is too much to be left unmeasured.
    pub(super) fn matters(&self, ms: u32) -> bool {
        ms > self.timeout / 8
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "a test stops there")]

    use super::*;

    fn within(rtt: &mut Rtt, times: u8, from: u32) {
        for _ in 0..100 {
            let ms = rtt.timeout(times);
            assert!(ms >= from && ms - from <= from / 2, "{ms} {from}");
        }
    }

    #[test]
    fn without_a_sample_timeouts_are_those_of_the_standard() {
        let mut rtt = Rtt::new(7);
        for (times, from) in [(0, 2_000), (1, 4_000), (2, 8_000), (3, 16_000), (4, 32_000), (9, 60_000)] {
            within(&mut rtt, times, from);
        }
    }

    #[test]
    fn timeouts_follow_the_round_trips_and_stay_above_them() {
        let mut rtt = Rtt::new(7);
        for ms in [0, 1, 100, 700, 5_000, u32::MAX] {
            (0..200).for_each(|_| rtt.sample(ms, true));
            let ms = ms.min(LONGEST);
            assert!(
                (SHORTEST.max(ms + ms / 4).min(LONGEST)..=SHORTEST.max(ms * 2)).contains(&rtt.timeout),
                "{ms} {}",
                rtt.timeout
            );
        }
        (0..200).for_each(|nth| rtt.sample(if nth % 2 == 0 { 100 } else { 300 }, true));
        assert!((500..=900).contains(&rtt.timeout), "{}", rtt.timeout);
    }

    #[test]
    fn back_off_ends_with_the_next_sample() {
        let mut rtt = Rtt::new(7);
        rtt.sample(100, true);
        let before = rtt.timeout;
        rtt.lost(1);
        within(&mut rtt, 0, before * 2);
        rtt.lost(2);
        within(&mut rtt, 1, before * 4);
        within(&mut rtt, 3, before * 16);
        rtt.sample(100, true);
        let now = rtt.timeout;
        within(&mut rtt, 0, now);
        assert!(rtt.timeout <= before);
    }

    #[test]
    fn a_request_that_was_sent_twice_says_nothing_at_first_and_little_later() {
        let mut rtt = Rtt::new(7);
        rtt.sample(2_500, false);
        within(&mut rtt, 0, FIRST);
        (0..100).for_each(|_| rtt.sample(400, true));
        rtt.sample(1_200, false);
        assert!(rtt.timeout < 800, "{}", rtt.timeout);
        // But where all are sent twice, the network got slower.
        (0..30).for_each(|_| rtt.sample(1_200, false));
        assert!(rtt.timeout > 1_200, "{}", rtt.timeout);
    }
}
