//! [`RamStore`]: a progress store that keeps its record as long as the test keeps the store.

use dfu_target::progress::StoreError;
use dfu_target::{Progress, ProgressStore};

use crate::poll::yield_once;

/// Keeps one record over simulated resets: lend it to a session as `&mut`, drop the session, lend it again.
///
/// A save happens wholly or, where it fails, not at all.
#[derive(Clone, Debug, Default)]
pub struct RamStore {
    record: Option<Progress>,
    counts: StoreCounts,
    fails_after: Option<u64>,
    broken: bool,
    yields: bool,
}

/// What was asked of a store, failures included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Records asked for.
    pub loads: u64,
    /// Records to be stored.
    pub saves: u64,
    /// Times it was to forget.
    pub clears: u64,
}

impl RamStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that holds this record.
    pub fn holding(record: Progress) -> Self {
        Self { record: Some(record), ..Self::default() }
    }

    /// Makes each operation pending once, before it does anything.
    #[must_use]
    pub fn yields(mut self, on: bool) -> Self {
        self.yields = on;
        self
    }

    /// The record.
    pub fn record(&self) -> Option<&Progress> {
        self.record.as_ref()
    }

    /// Changes the record behind everyone's back.
    pub fn record_mut(&mut self) -> &mut Option<Progress> {
        &mut self.record
    }

    /// What was asked so far.
    pub fn counts(&self) -> StoreCounts {
        self.counts
    }

    /// Lets one save or clear fail with [`StoreError::Other`], after `operations` that work.
    pub fn fail_after(&mut self, operations: u64) {
        self.fails_after = Some(operations);
    }

    /// Lets every save and clear fail, or no longer. What is stored can still be read.
    pub fn set_broken(&mut self, broken: bool) {
        self.broken = broken;
    }

    async fn change(&mut self, record: Option<Progress>) -> Result<(), StoreError> {
        if self.yields {
            yield_once().await;
        }
        let failed = match &mut self.fails_after {
            Some(0) => self.fails_after.take().is_some(),
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        if failed || self.broken {
            return Err(StoreError::Other);
        }
        self.record = record;
        Ok(())
    }
}

impl ProgressStore for RamStore {
    async fn load(&mut self) -> Option<Progress> {
        self.counts.loads += 1;
        if self.yields {
            yield_once().await;
        }
        self.record.clone()
    }

    async fn save(&mut self, progress: &Progress) -> Result<(), StoreError> {
        self.counts.saves += 1;
        self.change(Some(progress.clone())).await
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.counts.clears += 1;
        self.change(None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::{poll_limited, run};
    use dfu_target::progress::ImageId;

    fn progress(offset: u32) -> Progress {
        let mut progress = Progress::new(ImageId::named("job"));
        progress.set_offset(offset);
        progress
    }

    #[test]
    fn a_record_outlives_whoever_borrowed_the_store() {
        let mut store = RamStore::new();
        assert_eq!(run(store.load()), None);
        {
            let mut lent = &mut store;
            run(ProgressStore::save(&mut lent, &progress(4096))).unwrap();
        }
        assert_eq!(run(store.load()), Some(progress(4096)));
        run(store.clear()).unwrap();
        assert_eq!(store.record(), None);
        assert_eq!(store.counts(), StoreCounts { loads: 2, saves: 1, clears: 1 });
    }

    #[test]
    fn a_failure_or_a_dropped_future_leaves_the_record_of_before() {
        let mut store = RamStore::holding(progress(1));
        store.fail_after(1);
        run(store.save(&progress(2))).unwrap();
        assert_eq!(run(store.clear()), Err(StoreError::Other));
        assert_eq!(store.record(), Some(&progress(2)));
        run(store.save(&progress(3))).unwrap();

        store.set_broken(true);
        for _ in 0..2 {
            assert_eq!(run(store.save(&progress(4))), Err(StoreError::Other));
        }
        assert_eq!(run(store.load()), Some(progress(3)));
        store.set_broken(false);

        let mut store = store.yields(true);
        assert_eq!(poll_limited(store.save(&progress(4)), 1), None);
        assert_eq!(store.record(), Some(&progress(3)));
        assert_eq!(poll_limited(store.save(&progress(4)), 2), Some(Ok(())));
        assert_eq!(store.record(), Some(&progress(4)));
    }
}
