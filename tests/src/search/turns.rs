//! Who takes which point.

use core::sync::atomic::{AtomicUsize, Ordering};

/// One worker's share of the points, which all workers pass in the same order.
#[derive(Debug)]
pub(crate) struct Turns<'n> {
    /// The next block that nobody has; `None`: all points are this worker's.
    next: Option<&'n AtomicUsize>,
    block: usize,
    passed: usize,
}

impl<'n> Turns<'n> {
    /// A worker who shares with the others that have the same counter.
    pub(crate) fn new(next: &'n AtomicUsize) -> Self {
        Self { next: Some(next), block: next.fetch_add(1, Ordering::Relaxed), passed: 0 }
    }

    /// A worker without others.
    pub(crate) fn all() -> Self {
        Self { next: None, block: 0, passed: 0 }
    }

    /// Whether the next point is this worker's.
    pub(crate) fn mine(&mut self) -> bool {
        let Some(next) = self.next else { return true };
        let block = self.passed / BLOCK;
        self.passed += 1;
        while self.block < block {
            self.block = next.fetch_add(1, Ordering::Relaxed);
        }
        self.block == block
    }
}

/// Points that are taken at once.
const BLOCK: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_is_taken_once_whoever_is_faster() {
        let next = AtomicUsize::new(0);
        let mut workers = [(); 3].map(|()| (Turns::new(&next), 0, Vec::new()));
        let mut rng = fastrand::Rng::with_seed(1);
        while workers.iter().any(|(_, at, _)| *at < 1000) {
            let (turns, at, taken) = &mut workers[rng.usize(0..3)];
            for _ in 0..rng.usize(0..30).min(1000 - *at) {
                if turns.mine() {
                    taken.push(*at);
                }
                *at += 1;
            }
        }
        let mut all: Vec<usize> = workers.into_iter().flat_map(|(.., taken)| taken).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..1000));
        assert!((0..100).all(|_| Turns::all().mine()));
    }
}
