use std::string::ToString;

use embedded_storage_async::nor_flash::{NorFlashErrorKind, ReadNorFlash};

use super::*;
use crate::blocking::block_on;
use crate::flash::ram::{Done, Ram};
use crate::flash::{Layout, Shared};
use crate::progress::ImageId;

/// The n-th record of an update; every eighth time more than the offset changes.
fn progress(n: u32) -> Progress {
    let mut progress = Progress::new(ImageId([9; 32]));
    progress.set_kind(crate::ImageKind::Mcuboot);
    progress.set_tag(n / 8);
    progress.set_offset(n * 1000);
    progress
}

/// A flash with a unit before the log's two and one behind.
struct Bench<const W: usize, const E: usize, const R: usize>(Option<Ram<W, E, R>>);

impl<const W: usize, const E: usize, const R: usize> Bench<W, E, R> {
    fn new() -> Self {
        Self(Some(Ram::new(4)))
    }

    /// As after a reset.
    fn with<const N: usize, T>(&mut self, work: impl FnOnce(&mut ProgressLog<'_, Ram<W, E, R>, N>) -> T) -> T {
        let mut shared = Shared::new(self.0.take().unwrap());
        let [region] = shared.split(&Layout::checked([(E as u32, 2 * E as u32)]).unwrap());
        let result = work(&mut ProgressLog::new(region));
        self.0 = Some(shared.into_inner());
        result
    }

    fn load<const N: usize>(&mut self) -> Option<Progress> {
        self.with::<N, _>(|log| block_on(log.load()))
    }

    fn flash(&mut self) -> &mut Ram<W, E, R> {
        self.0.as_mut().unwrap()
    }
}

/// Saves with a reset now and then: what was saved last is what is found.
fn comes_back<const W: usize, const E: usize, const R: usize, const N: usize>() {
    let mut bench = Bench::<W, E, R>::new();
    assert_eq!(bench.load::<N>(), None, "what is no record is none");
    let mut n = 0_u32;
    for saves in [1, 2, 1, 60, 5] {
        let before = n.checked_sub(1).map(progress);
        bench.with::<N, _>(|log| {
            assert_eq!(block_on(log.load()), before);
            for _ in 0..saves {
                block_on(log.save(&progress(n))).unwrap();
                n += 1;
            }
            assert_eq!(block_on(log.load()), Some(progress(n - 1)), "words of {W}");
        });
        assert_eq!(bench.load::<N>(), Some(progress(n - 1)), "words of {W}, units of {E}, reads of {R}");
        // Also where nobody looked before.
        bench.with::<N, _>(|log| block_on(log.save(&progress(n))).unwrap());
        n += 1;
        assert_eq!(bench.load::<N>(), Some(progress(n - 1)));
    }
    bench.with::<N, _>(|log| block_on(log.clear()).unwrap());
    assert_eq!(bench.load::<N>(), None);
    let outside = |byte: &u8| *byte == 0x11;
    assert!(bench.flash().bytes[..E].iter().all(outside) && bench.flash().bytes[3 * E..].iter().all(outside));
}

#[test]
fn the_last_record_comes_back_for_words_and_reads_of_any_size() {
    comes_back::<4, 256, 4, 164>();
    if cfg!(miri) {
        return; // The others would take it minutes.
    }
    comes_back::<1, 512, 1, 164>();
    comes_back::<8, 256, 1, 168>();
    comes_back::<32, 1024, 32, 192>();
    comes_back::<4, 512, 16, 192>();
    comes_back::<256, 256, 1, 256>();
    comes_back::<1, 512, 256, 256>();
}

#[test]
fn records_are_appended_until_the_unit_is_full_or_a_reset() {
    let mut bench = Bench::<4, 256, 4>::new();
    let short = |n: u32| Done::Write(n..n + 20);
    bench.with::<164, _>(|log| (0..6).for_each(|n| block_on(log.save(&progress(n))).unwrap()));
    // 164 bytes, and then 20 at 164, 184, 204, 224: four times, as 244 and 20 are more than 256.
    let mut done = [Done::Erase(512..768), Done::Write(512..676)].to_vec();
    done.extend([676, 696, 716, 736].map(short));
    done.extend([Done::Erase(256..512), Done::Write(256..420)]);
    assert_eq!(bench.flash().done(), done);
    bench.with::<164, _>(|log| block_on(log.save(&progress(7))).unwrap());
    assert_eq!(bench.flash().done(), [Done::Erase(512..768), Done::Write(512..676)], "never behind what was there");
    bench.with::<164, _>(|log| {
        block_on(log.save(&progress(7))).unwrap();
        block_on(log.save(&progress(8))).unwrap();
    });
    let full = [Done::Erase(256..512), Done::Write(256..420), Done::Erase(512..768), Done::Write(512..676)];
    assert_eq!(bench.flash().done(), full, "more than the offset changed");
}

#[test]
fn a_record_that_ends_with_its_unit_is_taken() {
    // 164 and 20 bytes.
    let mut bench = Bench::<4, 184, 4>::new();
    bench.with::<164, _>(|log| (0..2).for_each(|n| block_on(log.save(&progress(n))).unwrap()));
    assert_eq!(bench.flash().done().len(), 3, "an erase and two records");
    assert_eq!(bench.load::<164>(), Some(progress(1)));
}

#[test]
fn to_clear_erases_the_older_unit_first() {
    let mut bench = Bench::<4, 256, 4>::new();
    for n in 0..2 {
        bench.with::<164, _>(|log| block_on(log.save(&progress(n))).unwrap());
    }
    let last = bench.flash().done()[2].clone();
    let (newer, older) = if last == Done::Erase(256..512) { (256, 512) } else { (512, 256) };
    bench.with::<164, _>(|log| {
        block_on(log.clear()).unwrap();
        assert_eq!(block_on(log.load()), None);
    });
    assert_eq!(bench.flash().done(), [Done::Erase(older..older + 256), Done::Erase(newer..newer + 256)]);
}

#[test]
fn a_save_or_clear_that_fails_leaves_the_record_of_before_and_the_next_one_works() {
    let failed = Err(StoreError::Flash(NorFlashErrorKind::Other));
    for saved in 1..if cfg!(miri) { 2 } else { 20 } {
        for operation in 0..2 {
            let mut bench = Bench::<4, 256, 4>::new();
            bench.with::<164, _>(|log| (0..saved).for_each(|n| block_on(log.save(&progress(n))).unwrap()));
            bench.flash().fails_after = Some(operation);
            let cleared = bench.with::<164, _>(|log| block_on(log.clear()));
            assert_eq!(cleared, failed);
            let left = bench.load::<164>();
            assert!(left.is_none() || left == Some(progress(saved - 1)), "{left:?}");
            bench.flash().fails_after = None;

            bench.with::<164, _>(|log| block_on(log.save(&progress(saved))).unwrap());
            bench.flash().fails_after = Some(operation);
            let stored = bench.with::<164, _>(|log| {
                let stored = block_on(log.save(&progress(saved + 1)));
                // It looks again at what is there.
                assert_eq!(block_on(log.load()), Some(progress(saved)));
                stored
            });
            assert_eq!(stored, failed);
            bench.flash().fails_after = None;
            bench.with::<164, _>(|log| block_on(log.save(&progress(saved + 2))).unwrap());
            assert_eq!(bench.load::<164>(), Some(progress(saved + 2)));
        }
    }
}

#[test]
fn a_record_that_reads_back_differently_is_no_record() {
    let mut bench = Bench::<4, 256, 4>::new();
    bench.with::<164, _>(|log| block_on(log.save(&progress(1))).unwrap());
    bench.flash().lies = true;
    bench.with::<164, _>(|log| {
        for n in 2..4 {
            assert_eq!(block_on(log.save(&progress(n))), Err(StoreError::Mismatch));
            assert_eq!(block_on(log.load()), Some(progress(1)));
        }
    });
    bench.flash().lies = false;
    bench.with::<164, _>(|log| block_on(log.save(&progress(2))).unwrap());
    assert_eq!(bench.load::<164>(), Some(progress(2)));
}

#[test]
fn only_the_next_record_of_a_unit_counts() {
    let mut bench = Bench::<4, 512, 4>::new();
    bench.with::<164, _>(|log| (0..4).for_each(|n| block_on(log.save(&progress(n))).unwrap()));
    let unit = 2 * 512;
    let record = |n: usize| unit + 164 + 20 * n..unit + 184 + 20 * n;
    // The second short record once more in place of the third.
    let again = bench.flash().bytes[record(1)].to_vec();
    bench.flash().bytes[record(2)].copy_from_slice(&again);
    assert_eq!(bench.load::<164>(), Some(progress(2)));
    // Without the second, the third counts for nothing.
    let third = bench.flash().bytes[record(0)].to_vec();
    bench.flash().bytes[record(1)].copy_from_slice(&third);
    assert_eq!(bench.load::<164>(), Some(progress(1)));
    // And without a full record, none does.
    bench.flash().bytes[unit] ^= 1;
    assert_eq!(bench.load::<164>(), None);
}

#[test]
fn of_two_units_the_one_with_the_later_records_counts_whichever_it_is() {
    for saves in 1..5 {
        let mut bench = Bench::<4, 256, 4>::new();
        for n in 0..saves {
            bench.with::<164, _>(|log| block_on(log.save(&progress(n))).unwrap());
        }
        assert_eq!(bench.load::<164>(), Some(progress(saves - 1)));
        // What was saved before is found where the later one is spoilt.
        let unit = if saves % 2 == 1 { 512 } else { 256 };
        bench.flash().bytes[unit] ^= 1;
        assert_eq!(bench.load::<164>(), (saves > 1).then(|| progress(saves - 2)), "{saves}");
    }
}

#[test]
fn the_region_is_given_back() {
    let mut shared = Shared::new(Ram::<4, 256>::new(2));
    let [region] = shared.split(&Layout::checked([(0, 512)]).unwrap());
    let region = ProgressLog::<_, 164>::new(region).release();
    assert_eq!((region.start(), region.capacity()), (0, 512));
}

#[test]
fn a_region_that_is_too_small_is_named() {
    let mut shared = Shared::new(Ram::<4, 256>::new(4));
    let [region] = shared.split(&Layout::checked([(256, 256)]).unwrap());
    let mut log = ProgressLog::<_>::new(region);
    assert_eq!(block_on(log.load()), None);
    for _ in 0..2 {
        let error = block_on(log.save(&progress(1))).unwrap_err();
        assert_eq!(error, StoreError::Flash(NorFlashErrorKind::OutOfBounds));
        assert_eq!(error.to_string(), "the region for progress is too small, or ends beyond the flash");
    }
}
