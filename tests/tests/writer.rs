//! `FlashWriter`: any bytes in, whole words out, for each kind of flash.

use dfu_target::flash::{FlashWriter, Layout, Region, Shared, WriterError};
use dfu_testkit::flash::{Chip, Cut, Fault, SimError, SimFlash};
use dfu_testkit::poll::{poll_limited, run};

const UNITS: usize = 4;
/// Miri, which takes a thousand times as long, tries one of so many.
const EVERY: usize = if cfg!(miri) { 60 } else { 1 };

fn bytes(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(len as u64).fill(&mut bytes);
    bytes
}

/// A flash that is full of something else.
fn chip<const W: usize, const E: usize, const R: usize>() -> Chip<W, E, R> {
    let chip = Chip::new(SimFlash::new(UNITS * E).aligned_sources(true));
    chip.sim().load(0, &vec![0x11; UNITS * E]);
    chip.sim().checkpoint();
    chip
}

/// Streams of every length near a border, in pieces of these sizes, arrive with padding and touch nothing behind.
fn stream<const W: usize, const E: usize, const R: usize, const N: usize>() {
    let chip = chip::<W, E, R>();
    let mut rng = fastrand::Rng::with_seed(N as u64);
    for len in [0, 1, W - 1, W, W + 1, N - 1, N + 1, E - 1, E, E + 1, 2 * E + W / 2 + 1, UNITS * E] {
        let data = bytes(len);
        for chunk in [1, 3, W, W + 1, N, 100, E, usize::MAX, 0].into_iter().step_by(EVERY) {
            chip.sim().rollback();
            let mut writer = FlashWriter::<_, N>::new(chip.clone());
            let mut sent = 0;
            let mut durable = 0;
            while sent < len {
                let piece = if chunk == 0 { rng.usize(0..2 * E) } else { chunk };
                let end = sent.saturating_add(piece).min(len);
                let now = run(writer.write(&data[sent..end])).unwrap();
                sent = end;
                assert!(now >= durable && now as usize <= sent && now == writer.durable());
                durable = now;
                assert!(chip.sim().bytes().starts_with(&data[..durable as usize]), "{durable} bytes were promised");
                assert!(sent - (durable as usize) < N.max(W), "{durable} of {sent}: more than the buffer holds");
            }
            for _ in 0..2 {
                run(writer.flush()).unwrap();
            }
            assert_eq!(run(writer.write(&[1])), Err(WriterError::Closed));
            let flash = chip.sim();
            let stored = flash.bytes();
            assert!(stored.starts_with(&data), "{len} bytes in pieces of {chunk}, words of {W}");
            let (words, units) = (len.next_multiple_of(W), len.next_multiple_of(E));
            assert!(stored[len..units].iter().all(|byte| *byte == 0xff), "{len} bytes, then what is erased");
            assert!(stored[units..].iter().all(|byte| *byte == 0x11), "nothing behind the last unit is touched");
            assert_eq!(flash.points() as usize, words / W + units / E, "each word and unit once");
        }
    }
}

#[test]
fn r05_any_stream_arrives_for_any_size_of_word_read_and_unit() {
    stream::<1, 64, 1, 1>();
    stream::<8, 64, 4, 16>();
    if cfg!(miri) {
        return;
    }
    stream::<1, 512, 4, 16>();
    stream::<2, 256, 1, 6>();
    stream::<4, 256, 4, 4>();
    stream::<4, 1024, 1, 256>();
    stream::<8, 512, 8, 8>();
    stream::<16, 512, 1, 48>();
    stream::<32, 256, 32, 32>();
    stream::<256, 4096, 4, 256>();
    stream::<512, 4096, 512, 1024>();
    stream::<4, 4096, 4, 4096>();
}

#[test]
fn erasing_ahead_changes_when_and_not_what() {
    let chip = chip::<4, 256, 4>();
    let data = bytes(700);
    let mut writer = FlashWriter::<_, 16>::new(chip.clone());
    let mut more = 0;
    while run(writer.prepare(700)).unwrap() {
        more += 1;
    }
    assert_eq!((more, chip.sim().counts().erases), (2, 3));
    assert!(!run(writer.prepare(700)).unwrap());
    run(writer.write(&data)).unwrap();
    run(writer.flush()).unwrap();
    assert_eq!(chip.sim().counts().erases, 3);
    assert!(chip.sim().bytes().starts_with(&data));
    assert!(!run(writer.prepare(1024)).unwrap(), "the stream has ended");
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let chip = chip::<4, 256, 4>();
    let mut writer = FlashWriter::<_, 64>::new(chip.clone());
    let data = bytes(UNITS * 256);
    assert_eq!(run(writer.write(&bytes(UNITS * 256 + 1))), Err(WriterError::NoSpace));
    assert_eq!(chip.sim().points(), 0);
    run(writer.write(&data[..1000])).unwrap();
    assert_eq!(run(writer.write(&[0; 25])), Err(WriterError::NoSpace));
    run(writer.write(&data[1000..])).unwrap();
    run(writer.flush()).unwrap();
    assert_eq!(chip.sim().bytes(), data);
}

#[test]
fn a_start_goes_back_to_the_beginning_of_the_unit_and_erases_it_again() {
    let chip = chip::<4, 256, 4>();
    let data = bytes(900);
    let mut writer = FlashWriter::<_, 64>::new(chip.clone());
    let durable = run(writer.write(&data[..601])).unwrap();
    for (offset, start) in [(durable, 512), (512, 512), (511, 256), (5, 0), (0, 0)] {
        assert_eq!(writer.start_at(offset), start);
        run(writer.write(&data[start as usize..])).unwrap();
        run(writer.flush()).unwrap();
        assert!(chip.sim().bytes().starts_with(&data), "again from {start}");
    }
    assert_eq!(writer.start_at(u32::MAX), UNITS as u32 * 256, "the end, where nothing fits");
    assert_eq!(run(writer.write(&[0])), Err(WriterError::NoSpace));
}

#[test]
fn a_write_that_fails_closes_the_writer_until_it_is_started_again() {
    let chip = chip::<8, 256, 1>();
    let data = bytes(800);
    for fault in [Fault::FailedWrite, Fault::FailedErase] {
        for operation in (0..).step_by(EVERY) {
            chip.sim().rollback();
            chip.sim().fault_after(operation, fault);
            let mut writer = FlashWriter::<_, 32>::new(chip.clone());
            let mut durable = 0;
            let failed = data.chunks(75).find_map(|piece| match run(writer.write(piece)) {
                Ok(now) => {
                    durable = now;
                    None
                }
                Err(error) => Some(error),
            });
            let failed = failed.or_else(|| run(writer.flush()).err());
            if chip.sim().fault_is_due() {
                break;
            }
            assert_eq!(failed, Some(WriterError::Flash(SimError::Failed)));
            for _ in 0..2 {
                assert_eq!(run(writer.write(&data[..8])), Err(WriterError::Closed));
                assert_eq!(run(writer.flush()), Err(WriterError::Closed));
            }
            assert!(!run(writer.prepare(800)).unwrap(), "nothing is prepared for a closed writer");
            let start = writer.start_at(durable) as usize;
            run(writer.write(&data[start..])).unwrap();
            run(writer.flush()).unwrap();
            assert!(chip.sim().bytes().starts_with(&data), "{fault:?} at {operation}");
        }
    }
}

#[test]
fn r09_a_write_that_is_dropped_or_cut_closes_the_writer_until_it_is_started_again() {
    let chip = chip::<4, 256, 1>();
    let data = bytes(700);
    for after in [false, true] {
        chip.sim().set_yields(!after, after);
        for polls in (1..).step_by(EVERY) {
            chip.sim().rollback();
            let mut writer = FlashWriter::<_, 32>::new(chip.clone());
            let durable = run(writer.write(&data[..101])).unwrap();
            if poll_limited(writer.write(&data[101..]), polls).is_some() {
                assert!(polls > 5);
                break;
            }
            assert_eq!(run(writer.write(&data[101..])), Err(WriterError::Closed));
            let start = writer.start_at(durable) as usize;
            run(writer.write(&data[start..])).unwrap();
            run(writer.flush()).unwrap();
            assert!(chip.sim().bytes().starts_with(&data), "dropped after {polls}");
        }
    }
    chip.sim().set_yields(false, false);
    for cut in Cut::ALL {
        for point in (0..).step_by(EVERY) {
            chip.sim().rollback();
            chip.sim().cut_after(point, cut);
            let mut writer = FlashWriter::<_, 32>::new(chip.clone());
            let mut durable = 0;
            let done = data.chunks(90).all(|piece| run(writer.write(piece)).map(|now| durable = now).is_ok());
            if done && run(writer.flush()).is_ok() {
                break;
            }
            chip.sim().power_on();
            assert!(chip.sim().bytes().starts_with(&data[..durable as usize]), "what was promised is there");
            // A new one, as after a reset.
            let mut writer = FlashWriter::<_, 32>::new(chip.clone());
            let start = writer.start_at(durable) as usize;
            run(writer.write(&data[start..])).unwrap();
            run(writer.flush()).unwrap();
            assert!(chip.sim().bytes().starts_with(&data), "{cut:?} at {point}");
        }
    }
}

#[test]
fn r06_a_writer_over_a_region_stays_inside() {
    let chip = chip::<4, 256, 4>();
    let window = 256..768;
    chip.sim().guard(core::slice::from_ref(&window));
    let mut shared = Shared::new(chip.clone());
    let [region]: [Region<'_, _>; 1] = shared.split(&Layout::checked([(256, 512)]).unwrap());
    let data = bytes(512);
    let mut writer = FlashWriter::<_, 64>::new(region);
    assert_eq!(run(writer.write(&bytes(513))), Err(WriterError::NoSpace));
    for piece in data.chunks(99) {
        run(writer.write(piece)).unwrap();
    }
    run(writer.flush()).unwrap();
    assert_eq!(chip.sim().bytes()[256..768], data);
}
