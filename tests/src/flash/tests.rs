use std::panic::{AssertUnwindSafe, catch_unwind};

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};

use super::*;
use crate::poll::{count_polls, poll_limited};

type Small = SimFlash<4, 64>;

/// The message of the panic in `work`.
fn panic_of<R>(work: impl FnOnce() -> R) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(work)) else { panic!("no panic") };
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()))
        .unwrap()
}

fn update(flash: &mut Small) -> Result<(), SimError> {
    flash.erase(0, 128)?;
    flash.write(0, &[0x11; 12])?;
    flash.write(64, &[0x22; 8])?;
    flash.erase(128, 192)
}

#[test]
fn what_the_traits_forbid_panics_with_its_address() {
    let mut flash = Small::new(256).aligned_sources(false);
    let mut buffer = [0; 8];
    for (text, message) in [
        ("write of 4 bytes at 0x2 is not aligned", panic_of(|| flash.write(2, &[0; 4]))),
        ("write of 3 bytes at 0x4 is not aligned", panic_of(|| flash.write(4, &[0; 3]))),
        ("write of 8 bytes at 0xfc is out of", panic_of(|| flash.write(252, &[0; 8]))),
        ("read of 8 bytes at 0xfd is out of", panic_of(|| flash.read(253, &mut buffer))),
        ("erase of 32 bytes at 0x40 is not aligned", panic_of(|| flash.erase(64, 96))),
        ("erase from 0x80 to 0x40", panic_of(|| flash.erase(128, 64))),
        ("erase of 64 bytes at 0x100 is out of", panic_of(|| flash.erase(256, 320))),
    ] {
        assert!(message.contains(text), "{message}");
    }
    let mut wide = SimFlash::<4, 64, 4>::new(64);
    assert!(panic_of(|| wide.read(0, &mut buffer[..3])).contains("aligned to 4"));
    assert_eq!(flash.bytes(), [0xff; 256]);
}

#[test]
fn a_word_is_programmed_once_between_erases() {
    let mut flash = Small::new(128);
    flash.write(4, &[0xff; 4]).unwrap();
    assert!(panic_of(|| flash.write(0, &[0; 12])).contains("the word at 0x4 was programmed"));
    flash.erase(0, 64).unwrap();
    flash.write(0, &[0xf0; 12]).unwrap();

    let mut flash = Small::new(128).overwrites(true);
    flash.write(0, &[0xf0; 4]).unwrap();
    flash.write(0, &[0x3c; 4]).unwrap();
    assert_eq!(flash.bytes()[..5], [0x30, 0x30, 0x30, 0x30, 0xff]);
}

#[test]
fn erased_bytes_can_be_zeros() {
    let mut flash = Small::new(128).erased_value(0);
    flash.write(0, &[0xa5; 4]).unwrap();
    assert_eq!(flash.bytes()[..5], [0xa5, 0xa5, 0xa5, 0xa5, 0]);
    flash.erase(0, 64).unwrap();
    assert!(flash.is_erased(0..128));
    flash.cut_after(0, Cut::Torn(Tear::Front));
    assert_eq!(flash.write(0, &[0xa5; 4]), Err(SimError::PowerCut));
    assert_eq!(flash.bytes()[..4], [0xa5, 0xa5, 0, 0]);
}

#[test]
fn sources_can_have_to_be_aligned_in_ram() {
    #[repr(align(4))]
    struct Aligned([u8; 8]);
    let source = Aligned([0; 8]);
    let mut flash = Small::new(128).aligned_sources(true);
    flash.write(0, &source.0[..4]).unwrap();
    assert!(panic_of(|| flash.write(4, &source.0[1..5])).contains("the source is not aligned"));
}

#[test]
fn the_guard_names_the_range_that_was_left() {
    let mut flash = Small::new(256);
    flash.guard(&[0..64, 128..192]);
    flash.write(60, &[0; 4]).unwrap();
    flash.erase(128, 192).unwrap();
    assert!(panic_of(|| flash.write(60, &[0; 8])).contains("write of 0x3c..0x44 is outside"));
    assert!(panic_of(|| flash.erase(128, 256)).contains("erase of 0x80..0x100 is outside"));
    flash.read(64, &mut [0; 64]).unwrap();
    flash.unguard();
    flash.erase(128, 256).unwrap();
}

#[test]
fn every_word_and_every_unit_is_a_point_to_cut_at() {
    let mut whole = Small::new(256);
    whole.load(0, &[0x55; 256]);
    let fresh = whole.clone();
    update(&mut whole).unwrap();
    assert_eq!(whole.points(), 2 + 3 + 2 + 1);

    for cut in Cut::ALL {
        for point in 0..whole.points() {
            let mut flash = fresh.clone();
            flash.cut_after(point, cut);
            assert_eq!(update(&mut flash), Err(SimError::PowerCut), "{cut:?} {point}");
            assert!(!flash.is_powered());
            assert_eq!(flash.read(0, &mut [0]), Err(SimError::PowerCut));
            assert_eq!(flash.erase(0, 64), Err(SimError::PowerCut));
            let done = point + u64::from(cut == Cut::After);
            assert_eq!(flash.points(), done, "{cut:?}");

            // Everything before the point is done, everything behind it is untouched.
            let expected = |done: u64| {
                let mut bytes = vec![0x55; 256];
                let steps: [(usize, usize, u8); 8] = [
                    (0, 64, 0xff),
                    (64, 64, 0xff),
                    (0, 4, 0x11),
                    (4, 4, 0x11),
                    (8, 4, 0x11),
                    (64, 4, 0x22),
                    (68, 4, 0x22),
                    (128, 64, 0xff),
                ];
                for (at, len, value) in &steps[..done as usize] {
                    bytes[*at..at + len].fill(*value);
                }
                bytes
            };
            if !matches!(cut, Cut::Torn(_)) {
                assert_eq!(flash.bytes(), expected(done), "{cut:?} {point}");
            } else {
                let (before, after) = (expected(point), expected(point + 1));
                let between = flash.bytes().iter().zip(before.iter().zip(&after));
                assert!(between.clone().all(|(got, (a, b))| (got ^ a) & !(a ^ b) == 0), "{cut:?} {point}");
            }
            flash.power_on();
            flash.erase(0, 256).unwrap();
        }
        let mut flash = fresh.clone();
        flash.cut_after(whole.points(), cut);
        assert_eq!(update(&mut flash), Ok(()), "{cut:?}");
        assert!(flash.is_powered());
    }
}

#[test]
fn what_a_cut_hit_must_be_erased_before_it_is_programmed() {
    for forgiving in [false, true] {
        let mut flash = Small::new(64).forgiving_tears(forgiving);
        flash.cut_after(0, Cut::Torn(Tear::Front));
        assert!(flash.write(0, &[0xff, 0xff, 0, 0]).is_err());
        assert!(flash.is_erased(0..64));
        flash.power_on();
        assert_eq!(catch_unwind(AssertUnwindSafe(|| flash.write(0, &[0; 4]))).is_ok(), forgiving);

        let mut flash = Small::new(64).forgiving_tears(forgiving);
        flash.cut_after(0, Cut::Torn(Tear::Random));
        assert!(flash.erase(0, 64).is_err());
        assert_eq!(flash.wear(), [1], "a torn erase wears as well");
        flash.power_on();
        assert_eq!(catch_unwind(AssertUnwindSafe(|| flash.write(0, &[0; 4]))).is_ok(), forgiving);
        flash.erase(0, 64).unwrap();
        flash.write(0, &[0; 4]).unwrap();
    }
    let mut flash = Small::new(64);
    flash.cut_after(0, Cut::Before);
    assert!(flash.write(0, &[0; 4]).is_err());
    flash.power_on();
    flash.write(0, &[0; 4]).unwrap();
}

#[test]
fn the_same_point_and_seed_tear_the_same_way() {
    let torn = |seed, before| {
        let mut flash = SimFlash::<16, 64>::new(128).seed(seed);
        flash.checkpoint();
        for _ in 0..before {
            flash.cut_after(0, Cut::Torn(Tear::Random));
            flash.write(64, &[0; 16]).unwrap_err();
            flash.rollback();
        }
        flash.cut_after(1, Cut::Torn(Tear::Random));
        flash.write(0, &[0; 32]).unwrap_err();
        flash.bytes().to_vec()
    };
    assert_eq!(torn(1, 0), torn(1, 3));
    assert_ne!(torn(1, 0), torn(2, 0));
    let first_word_at = |point: u64| {
        let mut flash = SimFlash::<16, 64>::new(128);
        for _ in 0..point {
            flash.erase(64, 128).unwrap();
        }
        flash.cut_after(0, Cut::Torn(Tear::Random));
        flash.write(0, &[0; 16]).unwrap_err();
        flash.bytes()[..16].to_vec()
    };
    assert_ne!(first_word_at(0), first_word_at(1), "each point has bits of its own");
}

#[test]
fn a_fault_strikes_once_and_only_what_it_is_for() {
    let mut flash = Small::new(128);
    flash.fault_after(1, Fault::FailedWrite);
    flash.read(0, &mut [0]).unwrap();
    flash.write(0, &[1; 4]).unwrap();
    flash.erase(64, 128).unwrap();
    assert_eq!(flash.write(4, &[1; 4]), Err(SimError::Failed));
    assert!(!flash.fault_is_due());
    assert!(flash.is_erased(4..128));
    assert!(panic_of(|| flash.write(4, &[1; 4])).contains("programmed"));
    flash.write(8, &[1; 4]).unwrap();

    flash.fault_after(0, Fault::FailedErase);
    assert_eq!(flash.erase(0, 64), Err(SimError::Failed));
    assert_eq!(flash.bytes()[0], 1);
    flash.fault_after(2, Fault::Failed);
    flash.erase(0, 64).unwrap();
    flash.write(0, &[1; 4]).unwrap();
    assert_eq!(flash.read(0, &mut [0]), Err(SimError::Failed));
    flash.read(0, &mut [0]).unwrap();
}

#[test]
fn silent_faults_report_success() {
    let mut flash = Small::new(128);
    flash.fault_after(0, Fault::SilentWrite);
    flash.write(0, &[0x0f; 4]).unwrap();
    assert!(flash.is_erased(0..128));
    flash.erase(0, 64).unwrap();
    flash.write(0, &[0x0f; 4]).unwrap();
    flash.fault_after(0, Fault::SilentErase);
    flash.erase(0, 64).unwrap();
    flash.write(0, &[0x3c; 4]).unwrap();
    assert_eq!(flash.bytes()[..4], [0x0c; 4]);

    flash.fault_after(0, Fault::WeakWrite);
    flash.write(64, &[0; 16]).unwrap();
    assert_eq!(flash.bytes()[64..80].iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);

    flash.fault_after(0, Fault::FlippedRead);
    let mut read = [0; 16];
    flash.read(80, &mut read).unwrap();
    assert_eq!(read.iter().map(|byte| byte.count_zeros()).sum::<u32>(), 1);
    flash.flip(80, 3);
    assert_eq!(flash.bytes()[80], 0xf7);
}

#[test]
fn a_rollback_restores_everything_and_checkpoints_nest() {
    let same = |a: &Small, b: &Small| {
        assert_eq!(a.cells, b.cells);
        assert_eq!(a.used, b.used);
        assert_eq!(a.wear, b.wear);
        assert_eq!((a.counts(), a.part_counts.clone(), a.elapsed()), (b.counts(), b.part_counts.clone(), b.elapsed()));
        assert_eq!((a.state.powered, a.state.cut_at), (b.state.powered, b.state.cut_at));
    };
    let mut rng = fastrand::Rng::with_seed(4);
    // Units both smaller and larger than what the journal saves at a time.
    let mut flash = Small::new(4096).region("low", 0..2048).timing(Timing::NRF9160).overwrites(true);
    let mut shuffle = |flash: &mut Small| {
        for _ in 0..rng.usize(0..30) {
            let unit = rng.u32(0..64);
            let word = rng.u32(0..1024) * 4;
            let done = match rng.u8(0..8) {
                0 => flash.erase(unit * 64, unit * 64 + 64),
                1 => {
                    flash.load(word + 1, &[rng.u8(..); 3]);
                    Ok(())
                }
                2 => {
                    flash.cut_after(rng.u64(0..9), Cut::ALL[rng.usize(0..7)]);
                    Ok(())
                }
                _ => flash.write(word, &[rng.u8(..); 4]),
            };
            if done.is_err() && rng.bool() {
                flash.power_on();
            }
        }
    };
    for _ in 0..200 {
        shuffle(&mut flash);
        flash.power_on();
        let outer = flash.clone();
        flash.checkpoint();
        for _ in 0..3 {
            shuffle(&mut flash);
            let inner = flash.clone();
            flash.checkpoint();
            for _ in 0..3 {
                shuffle(&mut flash);
                flash.rollback();
                same(&flash, &inner);
            }
            shuffle(&mut flash);
            flash.commit();
            shuffle(&mut flash);
            flash.rollback();
            same(&flash, &outer);
        }
        shuffle(&mut flash);
        flash.commit();
    }
    assert!(flash.wear().iter().sum::<u32>() > 100);
}

#[test]
fn counts_time_and_wear_add_up() {
    let mut flash = SimFlash::nrf9160().aligned_sources(false).region("a", 0..4096).region("b", 4096..12288);
    flash.erase(0, 8192).unwrap();
    flash.write(4088, &[0; 16]).unwrap();
    flash.read(4095, &mut [0; 3]).unwrap();
    let all = flash.counts();
    assert_eq!((all.erases, all.bytes_erased, all.longest_erase), (1, 8192, 8192));
    assert_eq!((all.writes, all.bytes_written, all.longest_write), (1, 16, 16));
    assert_eq!((all.reads, all.bytes_read, all.longest_read), (1, 3, 3));
    assert_eq!(all.points, 2 + 4);
    let (a, b) = (flash.counts_of("a"), flash.counts_of("b"));
    assert_eq!((a.bytes_erased, a.bytes_written, a.bytes_read, a.points), (4096, 8, 1, 3));
    assert_eq!((b.bytes_erased, b.bytes_written, b.bytes_read, b.points), (4096, 8, 2, 3));
    assert_eq!(flash.wear()[..3], [1, 1, 0]);
    assert_eq!(flash.elapsed(), Duration::from_nanos(2 * 87_000_000 + 4 * 41_000 + 3 * 16));
    assert_eq!(flash.longest(), Duration::from_millis(174));
    flash.reset_counts();
    assert_eq!((flash.counts(), flash.counts_of("a"), flash.elapsed()), Default::default());
    assert_eq!(flash.wear()[0], 1);
    assert!(panic_of(|| flash.counts_of("c")).contains("no region `c`"));
}

#[test]
fn futures_can_be_dropped_before_and_after_the_operation() {
    use embedded_storage_async::nor_flash::NorFlash as Async;
    for (before, after) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut flash = Small::new(64).yields(before).yields_after(after);
        let polls = 1 + usize::from(before) + usize::from(after);
        for limit in 0..polls {
            assert_eq!(poll_limited(Async::write(&mut flash, 0, &[7; 4]), limit), None);
            assert_eq!(flash.is_erased(0..4), limit <= usize::from(before), "{before} {after} {limit}");
            NorFlash::erase(&mut flash, 0, 64).unwrap();
        }
        assert_eq!(count_polls(Async::write(&mut flash, 0, &[7; 4])), (Ok(()), polls));
    }
}

#[test]
fn edits_of_two_ranges_see_their_own_bytes() {
    let mut flash = Small::new(256);
    flash.checkpoint();
    for (first, second) in [(0..64, 128..256), (128..256, 0..64)] {
        flash.erase(0, 256).unwrap();
        flash.edit_two(first.clone(), second.clone(), |a, b| {
            assert_eq!((a.len(), b.len()), (first.len(), second.len()));
            a.fill(1);
            b.fill(2);
        });
        for at in [4, 132] {
            assert!(panic_of(|| flash.write(at, &[0; 4])).contains("programmed"));
        }
        assert!(flash.bytes()[first.start as usize..first.end as usize].iter().all(|byte| *byte == 1));
        assert!(flash.bytes()[second.start as usize..second.end as usize].iter().all(|byte| *byte == 2));
    }
    assert!(panic_of(|| flash.edit_two(0..10, 9..20, |_, _| ())).contains("overlap"));
    flash.write(64, &[0; 4]).unwrap();
    flash.rollback();
    assert!(flash.is_erased(0..256));
}

#[test]
fn contents_survive_in_a_file() {
    let path = std::env::temp_dir().join(format!("dfu-testkit-{}.bin", std::process::id()));
    let mut flash = Small::open(256, &path).unwrap();
    assert!(flash.is_erased(0..256));
    flash.write(64, b"kept").unwrap();
    flash.save(&path).unwrap();
    let mut again = Small::open(256, &path).unwrap();
    assert_eq!(again.bytes(), flash.bytes());
    assert!(panic_of(|| again.write(64, &[0; 4])).contains("programmed"));
    assert!(Small::open(128, &path).is_err());
    std::fs::remove_file(path).unwrap();
}

#[test]
fn unstable_bits_read_differently_until_they_are_programmed_or_erased() {
    for erased in [0xff, 0x00] {
        let mut flash = Small::new(128).erased_value(erased).forgiving_tears(true);
        flash.checkpoint();
        let reads = |flash: &mut Small| -> Vec<[u8; 4]> {
            let read = |_| {
                let mut word = [0; 4];
                flash.read(0, &mut word).unwrap();
                word
            };
            (0..50).map(read).collect()
        };
        let differ = |reads: &[[u8; 4]]| reads.iter().any(|word| *word != reads[0]);

        flash.cut_after(0, Cut::Torn(Tear::Unstable));
        flash.write(0, &[!erased; 4]).unwrap_err();
        flash.power_on();
        let words = reads(&mut flash);
        assert!(differ(&words));
        let still =
            words.iter().fold([0xff; 4], |still, word| core::array::from_fn(|n| still[n] & !(word[n] ^ words[0][n])));
        assert_ne!(still, [0; 4], "some bits are decided");

        flash.checkpoint();
        flash.erase(0, 64).unwrap();
        assert_eq!(reads(&mut flash), [[erased; 4]; 50]);
        flash.rollback();
        assert!(differ(&reads(&mut flash)), "a rollback brings them back");
        flash.commit();

        flash.rollback();
        flash.write(0, &[!erased; 4]).unwrap();
        flash.cut_after(0, Cut::Torn(Tear::Unstable));
        flash.erase(0, 64).unwrap_err();
        flash.power_on();
        assert!(differ(&reads(&mut flash)));
        flash.erase(0, 64).unwrap();
        assert_eq!(reads(&mut flash), [[erased; 4]; 50]);
    }
}

#[test]
fn an_unstable_word_that_has_read_as_erased_may_be_programmed_where_tears_are_forgiven() {
    let mut programmed = 0;
    for seed in 0..40 {
        let mut flash = Small::new(128).forgiving_tears(true).seed(seed);
        flash.cut_after(0, Cut::Torn(Tear::Unstable));
        flash.write(0, &[0xff, 0xff, 0xff, 0xfe]).unwrap_err();
        flash.power_on();
        let mut word = [0; 4];
        for _ in 0..10 {
            flash.read(0, &mut word).unwrap();
            if word == [0xff; 4] {
                flash.write(0, &[0xff, 0xff, 0xff, 0xfe]).unwrap();
                programmed += 1;
                break;
            }
        }
    }
    assert!(programmed > 5, "{programmed}");
}

#[test]
fn a_stuck_bit_never_changes() {
    let mut flash = Small::new(128);
    flash.checkpoint();
    flash.stick(5, 3, false);
    flash.stick(6, 0, true);
    assert_eq!(flash.bytes()[4..8], [0xff, 0xf7, 0xff, 0xff]);
    flash.erase(0, 64).unwrap();
    assert_eq!(flash.bytes()[4..8], [0xff, 0xf7, 0xff, 0xff]);
    flash.write(4, &[0; 4]).unwrap();
    assert_eq!(flash.bytes()[4..8], [0, 0, 1, 0]);
    flash.rollback();
    flash.write(4, &[0; 4]).unwrap();
    assert_eq!(flash.bytes()[4..8], [0, 0, 1, 0]);
    flash.unstick();
    flash.erase(0, 64).unwrap();
    assert!(flash.is_erased(0..128));
}

#[test]
fn two_flashes_on_one_supply_lose_power_together() {
    let (mut one, mut other) = (Small::new(128), SimFlash::<1, 32>::new(64));
    other.share_supply(&one);
    one.checkpoint();
    other.write(0, &[1]).unwrap();
    one.cut_after(0, Cut::Before);
    assert_eq!(one.write(0, &[1; 4]), Err(SimError::PowerCut));
    assert_eq!(other.write(1, &[1]), Err(SimError::PowerCut));
    other.power_on();
    one.write(0, &[1; 4]).unwrap();
    other.cut_after(0, Cut::After);
    assert_eq!(other.write(1, &[1]), Err(SimError::PowerCut));
    assert!(!one.is_powered());
    one.rollback();
    assert!(one.is_powered() && other.is_powered());
    let apart = one.clone();
    one.cut_after(0, Cut::Before);
    one.erase(0, 64).unwrap_err();
    assert!(apart.is_powered());
}
