//! `ProgressLog`: whatever happens to it, it gives the last record, the one before, or none.

use dfu_target::flash::{Layout, Shared};
use dfu_target::image::HEAD_LEN;
use dfu_target::{Digest, Progress, ProgressLog, ProgressStore};
use dfu_testkit::flash::{Chip, Cut, Fault, SimFlash};
use dfu_testkit::poll::{poll_limited, run};
use dfu_testkit::record::Record;

/// The n-th record of a long update; now and then something else than the offset changes.
fn record(n: u32) -> Progress {
    Record {
        size: Some(100_000),
        identity: 0x1234,
        tag: n / 40,
        offset: n * 1000,
        head: vec![n as u8 / 40; HEAD_LEN],
        complete: (n % 40 == 39).then_some(Digest([n as u8; 32])),
        ..Record::default()
    }
    .progress()
}

/// Two foreign units around the log's two.
struct Bench<const W: usize, const E: usize, const R: usize>(Chip<W, E, R>);

impl<const W: usize, const E: usize, const R: usize> Bench<W, E, R> {
    fn new(erased: u8) -> Self {
        let chip = Chip::new(SimFlash::new(4 * E).erased_value(erased).aligned_sources(true));
        let units = E as u32..3 * E as u32;
        chip.sim().guard(core::slice::from_ref(&units));
        Self(chip)
    }

    /// As after a reset.
    fn with<const N: usize, T>(&self, work: impl FnOnce(&mut ProgressLog<'_, Chip<W, E, R>, N>) -> T) -> T {
        let mut shared = Shared::new(self.0.clone());
        let [region] = shared.split(&Layout::checked([(E as u32, 2 * E as u32)]).unwrap());
        work(&mut ProgressLog::new(region))
    }

    fn load<const N: usize>(&self) -> Option<Progress> {
        self.0.sim().power_on();
        self.with::<N, _>(|log| run(log.load()))
    }
}

/// Saves up to `last`, resets now and then; every record can be read back.
fn fill<const W: usize, const E: usize, const R: usize, const N: usize>(erased: u8) {
    let bench = Bench::<W, E, R>::new(erased);
    assert_eq!(bench.load::<N>(), None);
    let mut n = 0_u32;
    for run_length in [1, 2, 3, 60, 1, 200] {
        bench.with::<N, _>(|log| {
            assert_eq!(run(log.load()), n.checked_sub(1).map(record));
            for _ in 0..run_length {
                run(log.save(&record(n))).unwrap();
                n += 1;
            }
        });
        assert_eq!(bench.load::<N>(), Some(record(n - 1)), "words of {W}");
        // Also where nobody looked before.
        bench.with::<N, _>(|log| run(log.save(&record(n))).unwrap());
        n += 1;
        assert_eq!(bench.load::<N>(), Some(record(n - 1)), "words of {W}");
    }
    bench.with::<N, _>(|log| run(log.clear()).unwrap());
    assert_eq!(bench.load::<N>(), None);
    bench.with::<N, _>(|log| run(log.save(&record(7))).unwrap());
    assert_eq!(bench.load::<N>(), Some(record(7)));
}

#[test]
fn r05_records_come_back_for_every_word_size() {
    for erased in [0xff, 0x00] {
        fill::<1, 512, 1, 164>(erased);
        fill::<2, 512, 2, 164>(erased);
        fill::<4, 4096, 4, 192>(erased);
        fill::<4, 256, 1, 192>(erased);
        fill::<8, 1024, 8, 192>(erased);
        fill::<16, 4096, 16, 192>(erased);
        fill::<32, 4096, 32, 192>(erased);
        fill::<64, 2048, 1, 192>(erased);
        fill::<256, 4096, 256, 256>(erased);
        fill::<512, 4096, 1, 512>(erased);
        fill::<512, 4096, 512, 512>(erased);
        fill::<512, 512, 4, 512>(erased);
        // What is read at once is more than a word.
        fill::<4, 1024, 16, 192>(erased);
        fill::<1, 2048, 64, 192>(erased);
        fill::<8, 4096, 512, 512>(erased);
    }
}

/// Each save and clear, cut at each point in each way, from each state of before.
fn cut<const W: usize, const E: usize, const R: usize, const N: usize>(erased: u8) -> u32 {
    let bench = Bench::<W, E, R>::new(erased);
    let mut points = 0;
    let mut n = 0_u32;
    for step in 0..26 {
        let before = n.checked_sub(1).map(record);
        let clears = step % 9 == 8;
        bench.0.sim().checkpoint();
        for reset in [true, false] {
            for cut in Cut::ALL {
                for point in 0.. {
                    bench.0.sim().rollback();
                    let done = bench.with::<N, _>(|log| {
                        if !reset {
                            // Behind an append, without a reset between.
                            run(log.save(&record(n))).unwrap();
                        }
                        bench.0.sim().cut_after(point, cut);
                        if clears { run(log.clear()) } else { run(log.save(&record(n + 1))) }
                    });
                    let last = if reset { before.clone() } else { Some(record(n)) };
                    let next = (!clears).then(|| record(n + 1));
                    let found = bench.load::<N>();
                    if done.is_ok() {
                        assert_eq!(found, next, "words of {W}, {cut:?} at {point}");
                        break;
                    }
                    points += 1;
                    assert!(found == last || found == next, "words of {W}, {cut:?} at {point}: {found:?}");
                    assert!(cut != Cut::Before || point > 0 || found == last);
                    // And it goes on, whether what a cut left was seen or not.
                    bench.with::<N, _>(|log| run(log.save(&record(n + 2))).unwrap());
                    assert_eq!(bench.load::<N>(), Some(record(n + 2)), "words of {W}, {cut:?} at {point}");
                }
            }
        }
        bench.0.sim().rollback();
        bench.0.sim().commit();
        bench.with::<N, _>(|log| {
            for _ in 0..=step % 4 {
                run(log.save(&record(n))).unwrap();
                n += 1;
            }
        });
    }
    points
}

#[test]
fn r02_a_cut_in_a_save_leaves_the_record_of_before_or_the_new_one() {
    let points = [
        cut::<1, 512, 1, 164>(0xff),
        cut::<4, 512, 4, 192>(0xff),
        cut::<4, 512, 1, 192>(0x00),
        cut::<8, 512, 4, 192>(0xff),
        cut::<16, 1024, 16, 192>(0xff),
        cut::<32, 1024, 1, 192>(0x00),
        cut::<256, 1024, 1, 256>(0xff),
        cut::<512, 1024, 512, 512>(0xff),
    ];
    assert!(points.iter().all(|points| *points > 500), "{points:?}");
}

#[test]
fn r09_a_dropped_save_leaves_the_record_of_before_or_the_new_one_and_the_next_one_works() {
    for (before, after) in [(true, false), (false, true)] {
        let bench = Bench::<4, 512, 4>::new(0xff);
        bench.0.sim().set_yields(before, after);
        let mut drops = 0;
        for n in (1..60).step_by(if cfg!(miri) { 60 } else { 3 }) {
            bench.with::<192, _>(|log| {
                run(log.save(&record(n))).unwrap();
                for polls in 0.. {
                    let done = poll_limited(log.save(&record(n + 1)), polls).is_some();
                    let found = bench.load::<192>();
                    assert!(found == Some(record(n)) || found == Some(record(n + 1)), "{found:?} after {polls} polls");
                    if done {
                        assert_eq!(found, Some(record(n + 1)));
                        break;
                    }
                    drops += 1;
                    // The same log, without a reset.
                    run(log.save(&record(n))).unwrap();
                    assert_eq!(bench.load::<192>(), Some(record(n)));
                }
            });
        }
        assert!(drops > if cfg!(miri) { 0 } else { 50 });
    }
}

#[test]
fn r08_an_update_without_interruption_erases_next_to_nothing() {
    let bench = Bench::<4, 4096, 4>::new(0xff);
    bench.with::<192, _>(|log| {
        assert_eq!(run(log.load()), None);
        for n in 0..192 {
            run(log.save(&Record { offset: n * 4096, ..Record::default() }.progress())).unwrap();
        }
    });
    assert_eq!(bench.0.sim().counts().erases, 1, "768 KiB, saved every 4 KiB");
    assert_eq!(bench.0.sim().counts().writes, 192);
    let written = bench.0.sim().counts().bytes_written;
    assert!(written < 4096, "{written}");
}

#[test]
fn r20_any_garbage_is_no_record() {
    let mut rng = fastrand::Rng::with_seed(5);
    let bench = Bench::<4, 512, 4>::new(0xff);
    bench.with::<192, _>(|log| (0..5).for_each(|n| run(log.save(&record(n))).unwrap()));
    let (from, to) = (512, 3 * 512);
    let real = bench.0.sim().bytes()[from as usize..to as usize].to_vec();
    for round in 0..if cfg!(miri) { 12 } else { 3000 } {
        let mut bytes = vec![0; real.len()];
        match round % 4 {
            0 => rng.fill(&mut bytes),
            1 => bytes.fill(rng.choice([0, 0xff, 0x55]).unwrap()),
            2 => {
                // Real records, and some bytes of them spoilt.
                bytes.copy_from_slice(&real);
                (0..rng.usize(1..200)).for_each(|_| bytes[rng.usize(0..real.len())] = rng.u8(..));
            }
            _ => {
                // Real records, elsewhere.
                bytes.copy_from_slice(&real);
                bytes.rotate_right(rng.usize(1..512));
            }
        }
        bench.0.sim().load(from, &bytes);
        let found = bench.load::<192>();
        let known = found.as_ref().is_none_or(|found| (0..5).any(|n| *found == record(n)));
        assert!(known && (round % 4 > 1 || found.is_none()), "{found:?}");
        bench.with::<192, _>(|log| run(log.save(&record(9))).unwrap());
        assert_eq!(bench.load::<192>(), Some(record(9)));
    }
}

#[test]
fn r04_a_flash_that_fails_or_lies_makes_a_save_an_error() {
    for fault in [Fault::FailedWrite, Fault::FailedErase, Fault::FailedRead, Fault::SilentWrite, Fault::WeakWrite] {
        let bench = Bench::<4, 512, 4>::new(0xff);
        bench.with::<192, _>(|log| {
            run(log.save(&record(1))).unwrap();
            let mut failures = 0;
            for n in 2..40 {
                bench.0.sim().fault_after(0, fault);
                let saved = run(log.save(&record(n)));
                let struck = !bench.0.sim().fault_is_due();
                bench.0.sim().power_on();
                assert_eq!(saved.is_err(), struck, "{fault:?}");
                failures += u32::from(struck);
                if struck {
                    run(log.save(&record(n))).unwrap();
                }
                assert_eq!(bench.load::<192>(), Some(record(n)), "{fault:?}");
            }
            assert!(failures > 0, "{fault:?}");
        });
    }
}

#[test]
fn r20_a_flash_that_cannot_be_read_holds_no_record() {
    let bench = Bench::<4, 512, 4>::new(0xff);
    bench.with::<192, _>(|log| run(log.save(&record(1))).unwrap());
    bench.with::<192, _>(|log| {
        bench.0.sim().fault_after(1, Fault::FailedRead);
        assert_eq!(run(log.load()), None);
        assert_eq!(run(log.load()), Some(record(1)));
    });
}
