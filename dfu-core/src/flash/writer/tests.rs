use core::ops::Range;
use std::string::ToString;
use std::vec::Vec;

use super::*;
use crate::blocking::block_on;
use crate::flash::ram::{Done, Ram};

/// Bytes at an address that is a multiple of 4.
#[repr(align(4))]
struct Source([u8; 8192]);

static SOURCE: Source = {
    let mut bytes = [0; 8192];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at / 7) as u8 ^ at as u8;
        at += 1;
    }
    Source(bytes)
};

fn write(span: Range<u32>) -> Done {
    Done::Write(span)
}

fn erase(span: Range<u32>) -> Done {
    Done::Erase(span)
}

/// Streams in pieces of each size arrive, padded, with each word and unit touched once and nothing behind them.
fn arrives<const W: usize, const E: usize, const N: usize>() {
    for len in [0, 1, W, N + 1, E - 1, E, E + 1, 2 * E + W + 1, 3 * E] {
        for piece in [1, 3, W + 1, N, E, 4 * E] {
            let mut writer = FlashWriter::<_, N>::new(Ram::<W, E>::new(4));
            let data = &SOURCE.0[..len];
            let (mut sent, mut durable) = (0, 0);
            for piece in data.chunks(piece) {
                sent += piece.len();
                let now = block_on(writer.write(piece)).unwrap();
                assert!(now >= durable && now == writer.durable() && sent - (now as usize) < N.max(W));
                durable = now;
                assert!(writer.flash().bytes.starts_with(&data[..durable as usize]), "what is promised is there");
            }
            block_on(writer.flush()).unwrap();
            let flash = writer.flash();
            let (words, units) = (len.next_multiple_of(W), len.next_multiple_of(E));
            assert!(flash.bytes.starts_with(data), "{len} bytes in pieces of {piece}, words of {W}");
            assert!(flash.bytes[len..units].iter().all(|byte| *byte == 0xff));
            assert!(flash.bytes[units..].iter().all(|byte| *byte == 0x11));
            let (mut written, mut erased) = (0, 0);
            flash.done().iter().for_each(|done| match done {
                Done::Write(span) => written += span.len(),
                Done::Erase(span) => erased += span.len(),
            });
            assert_eq!((written, erased), (words, units));
        }
    }
}

#[test]
fn any_stream_arrives_in_words_of_any_size() {
    arrives::<4, 64, 24>();
    if cfg!(miri) {
        return; // The others would take it minutes.
    }
    arrives::<1, 64, 1>();
    arrives::<1, 64, 7>();
    arrives::<4, 64, 4>();
    arrives::<8, 64, 64>();
    arrives::<32, 128, 32>();
}

#[test]
fn whole_words_at_an_aligned_address_pass_without_a_copy_and_the_rest_is_gathered() {
    let mut writer = FlashWriter::<_, 16>::new(Ram::<4, 64>::new(4));
    assert_eq!(block_on(writer.write(&SOURCE.0[..102])), Ok(100));
    let passed = [erase(0..64), write(0..64), erase(64..128), write(64..100)];
    assert_eq!(writer.flash().done(), passed, "a unit is erased where it is reached");
    // Two bytes wait, so the next ones are gathered too.
    assert_eq!(block_on(writer.write(&SOURCE.0[..8])), Ok(100));
    assert_eq!(writer.flash().done(), []);
    assert_eq!(block_on(writer.write(&SOURCE.0[..8])), Ok(116));
    assert_eq!(writer.flash().done(), [write(100..116)]);
    block_on(writer.flush()).unwrap();
    assert_eq!(writer.flash().done(), [write(116..120)]);
    assert_eq!(writer.flash().bytes[116..121], [SOURCE.0[6], SOURCE.0[7], 0xff, 0xff, 0xff]);
}

#[test]
fn what_lies_at_an_odd_address_is_gathered() {
    let mut writer = FlashWriter::<_, 16>::new(Ram::<4, 64>::new(4));
    assert_eq!(block_on(writer.write(&SOURCE.0[1..41])), Ok(32));
    assert_eq!(writer.flash().done(), [erase(0..64), write(0..16), write(16..32)]);
}

#[test]
fn no_operation_moves_more_than_4096_bytes() {
    let mut writer = FlashWriter::<_, 16>::new(Ram::<4, 8192>::new(1));
    block_on(writer.write(&SOURCE.0[..6000])).unwrap();
    assert_eq!(writer.flash().done(), [erase(0..8192), write(0..4096), write(4096..6000)]);
}

#[test]
fn at_the_end_of_an_erase_unit_nothing_is_held_back() {
    let mut writer = FlashWriter::<_, 32>::new(Ram::<4, 64>::new(4));
    assert_eq!(block_on(writer.write(&SOURCE.0[1..31])), Ok(0));
    assert_eq!(block_on(writer.write(&SOURCE.0[1..29])), Ok(32));
    assert_eq!(block_on(writer.write(&SOURCE.0[1..6])), Ok(32));
    assert_eq!(block_on(writer.write(&SOURCE.0[1..2])), Ok(64), "26 and 5 and 1 bytes end the unit");
    assert_eq!(writer.flash().done(), [erase(0..64), write(0..32), write(32..64)]);
}

#[test]
fn a_full_buffer_that_reaches_into_the_next_unit_waits_for_its_erase() {
    let mut writer = FlashWriter::<_, 48>::new(Ram::<4, 64>::new(4));
    block_on(writer.write(&SOURCE.0[1..97])).unwrap();
    assert_eq!(writer.flash().done(), [erase(0..64), write(0..48), erase(64..128), write(48..96)]);
}

#[test]
fn what_is_erased_ahead_is_not_erased_again() {
    let mut writer = FlashWriter::<_, 16>::new(Ram::<4, 64>::new(4));
    assert_eq!(block_on(writer.prepare(0)), Ok(false));
    assert_eq!(block_on(writer.prepare(65)), Ok(true));
    assert_eq!(block_on(writer.prepare(65)), Ok(false));
    assert_eq!(block_on(writer.prepare(128)), Ok(false));
    assert_eq!(writer.flash().done(), [erase(0..64), erase(64..128)]);
    block_on(writer.write(&SOURCE.0[..128])).unwrap();
    assert_eq!(writer.flash().done(), [write(0..128)]);
    assert_eq!([0, 1, 2].map(|_| block_on(writer.prepare(u32::MAX))), [Ok(true), Ok(false), Ok(false)]);
    assert_eq!(writer.flash().done(), [erase(128..192), erase(192..256)], "no further than there is flash");
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let mut writer = FlashWriter::<_, 16>::new(Ram::<4, 64>::new(2));
    assert_eq!(block_on(writer.write(&SOURCE.0[..129])), Err(WriterError::NoSpace));
    block_on(writer.write(&SOURCE.0[..99])).unwrap();
    writer.flash().done();
    assert_eq!(block_on(writer.write(&SOURCE.0[..30])), Err(WriterError::NoSpace));
    assert_eq!(writer.flash().done(), []);
    assert_eq!(block_on(writer.write(&SOURCE.0[..29])), Ok(128), "as much as there is");
}

#[test]
fn a_start_goes_back_to_the_erase_unit_which_is_erased_again() {
    let mut writer = FlashWriter::<_, 16>::new(Ram::<4, 64>::new(4));
    block_on(writer.write(&SOURCE.0[..202])).unwrap();
    for (offset, start) in [(200, 192), (128, 128), (127, 64), (1, 0)] {
        assert_eq!((writer.start_at(offset), writer.durable()), (start, start));
        writer.flash().done();
        block_on(writer.write(&SOURCE.0[start as usize..202])).unwrap();
        assert_eq!(writer.flash().done()[0], erase(start..start + 64));
        block_on(writer.flush()).unwrap();
        assert!(writer.flash().bytes.starts_with(&SOURCE.0[..202]));
    }
    assert_eq!(writer.start_at(u32::MAX), 256, "the end, where nothing fits");
    assert_eq!(block_on(writer.write(&[0])), Err(WriterError::NoSpace));
}

#[test]
fn a_stream_that_is_all_there_is_taken_up_without_an_operation() {
    let mut writer = FlashWriter::<_, 16>::new(Ram::<4, 64>::new(4));
    block_on(writer.write(&SOURCE.0[..202])).unwrap();
    block_on(writer.flush()).unwrap();
    let mut writer = FlashWriter::<_, 16>::new(core::mem::replace(writer.flash(), Ram::new(1)));
    writer.flash().done();
    writer.start_complete(202);
    assert_eq!((writer.durable(), block_on(writer.flush()), block_on(writer.prepare(256))), (202, Ok(()), Ok(false)));
    assert_eq!(block_on(writer.write(&[0])), Err(WriterError::Closed));
    assert_eq!(writer.flash().done(), []);
    assert!(writer.flash().bytes.starts_with(&SOURCE.0[..202]));
    // What waits in RAM is of no stream any more.
    writer.start_at(0);
    block_on(writer.write(&[1, 2, 3])).unwrap();
    writer.flash().done();
    writer.start_complete(u32::MAX);
    assert_eq!((writer.durable(), block_on(writer.flush())), (256, Ok(())), "no further than there is flash");
    assert_eq!(writer.flash().done(), []);
    assert_eq!(writer.start_at(202), 192, "and it can be started again");
}

#[test]
fn a_stream_that_ended_or_failed_takes_no_bytes() {
    let mut writer = FlashWriter::<_, 16>::new(Ram::<4, 64>::new(4));
    block_on(writer.flush()).unwrap();
    assert_eq!(writer.flash().done(), [], "nothing came, nothing is written");
    writer.start_at(0);
    block_on(writer.write(&[1, 2, 3])).unwrap();
    block_on(writer.flush()).unwrap();
    writer.flash().done();
    block_on(writer.flush()).unwrap();
    assert_eq!(block_on(writer.write(&[4])), Err(WriterError::Closed));
    assert_eq!((block_on(writer.prepare(256)), writer.flash().done()), (Ok(false), Vec::new()));

    let failed = WriterError::Flash(NorFlashErrorKind::Other);
    for operation in 0..4 {
        writer.start_at(0);
        writer.flash().fails_after = Some(operation);
        assert_eq!(block_on(writer.write(&SOURCE.0[..100])), Err(failed), "{operation}");
        writer.flash().fails_after = None;
        for _ in 0..2 {
            assert_eq!(block_on(writer.write(&SOURCE.0[..200])), Err(WriterError::Closed), "of whatever length");
            assert_eq!(block_on(writer.flush()), Err(WriterError::Closed));
        }
    }
    writer.start_at(0);
    writer.flash().fails_after = Some(0);
    assert_eq!(block_on(writer.prepare(1)), Err(failed));
}

#[test]
fn a_writer_says_what_failed() {
    let flash: WriterError<NorFlashErrorKind> = WriterError::Flash(NorFlashErrorKind::OutOfBounds);
    let others = [WriterError::NoSpace, WriterError::Closed];
    assert_eq!(flash.flash(), Some(NorFlashErrorKind::OutOfBounds));
    assert_eq!(others.map(|error| error.flash()), [None; 2]);
    let texts = [flash, others[0], others[1]].map(|error| error.to_string());
    for (text, word) in texts.iter().zip(["OutOfBounds", "fit", "closed"]) {
        assert!(text.contains(word), "{text}");
    }
}

/// The part without I/O, on words of 4 bytes and units of 64.
type Flash = Ram<4, 64>;

/// What a writer asks for until it opens or ends the stream.
fn asks(writer: &mut Writer<16>, mut input: &[u8], last: bool) -> Vec<Done> {
    assert!(writer.close());
    let mut asked = Vec::new();
    while let Some(op) = writer.next::<Flash>(&mut input, last) {
        asked.push(match op {
            Op::Write(at, bytes) => Done::Write(at..at + bytes.len() as u32),
            Op::Erase(from, to) => Done::Erase(from..to),
            Op::Read(..) => panic!("nothing is read"),
        });
    }
    assert!(input.is_empty());
    asked
}

#[test]
fn a_writer_is_closed_until_it_is_started_and_whenever_it_was_not_asked_to_the_end() {
    let mut writer = Writer::<16>::new::<Flash>(0xff);
    assert!(!writer.is_open() && !writer.close() && !writer.is_flushed() && !writer.pending());
    assert_eq!((writer.start_at::<Flash>(70, 200), writer.durable(), writer.room()), (64, 64, 136));
    assert!(writer.is_open());
    assert_eq!(asks(&mut writer, &SOURCE.0[..6], false), [erase(64..128), write(64..68)]);
    assert!(writer.is_open() && writer.pending() && !writer.is_flushed());
    assert_eq!((writer.durable(), writer.room()), (68, 130));
    assert_eq!(writer.buffered()[..2], SOURCE.0[4..6]);
    assert_eq!(asks(&mut writer, &[], true), [write(68..72)]);
    assert!(!writer.is_open() && !writer.pending() && writer.is_flushed());
    assert!(!writer.close());

    writer.start_at::<Flash>(0, 200);
    assert!(writer.close() && !writer.close(), "an operation may be under way");
    writer.start_at::<Flash>(0, 200);
    writer.buffer().fill(7);
    assert!(!writer.is_open(), "the buffer is of something else now");
    assert_eq!(writer.buffered(), &[7; 16]);
}

#[test]
fn a_stream_that_is_all_there_has_nothing_left_to_write() {
    let mut writer = Writer::<16>::new::<Flash>(0xff);
    writer.start_at::<Flash>(0, 200);
    asks(&mut writer, &[1, 2], false);
    writer.start_complete(150);
    assert_eq!((writer.durable(), writer.room()), (150, 50));
    assert!(!writer.is_open() && writer.is_flushed() && !writer.pending());
}

#[test]
fn what_is_left_out_stays_blank_in_a_unit_that_is_erased() {
    let mut writer = Writer::<16>::new::<Flash>(0xff);
    writer.start_at::<Flash>(64, 256);
    writer.leave_out::<Flash>(12);
    assert_eq!(writer.durable(), 76);
    assert_eq!(writer.unprepared(256), Some(128), "its unit is");
    assert_eq!(asks(&mut writer, &SOURCE.0[..8], false), [write(76..84)]);
}

#[test]
fn bytes_gather_without_an_operation_short_of_a_full_buffer_and_of_a_unit_s_end() {
    let mut writer = Writer::<16>::new::<Flash>(0xff);
    assert!(!writer.gather::<Flash>(&[1]), "it is closed");
    writer.start_at::<Flash>(0, 256);
    assert!(writer.gather::<Flash>(&SOURCE.0[..10]) && writer.gather::<Flash>(&SOURCE.0[10..15]));
    for len in [1, 2] {
        assert!(!writer.gather::<Flash>(&SOURCE.0[15..15 + len]));
    }
    assert_eq!((writer.durable(), writer.room()), (0, 241), "what was refused changed nothing");
    assert_eq!(writer.buffered()[..15], SOURCE.0[..15]);
    assert_eq!(asks(&mut writer, &SOURCE.0[15..16], false), [erase(0..64), write(0..16)]);
    asks(&mut writer, &SOURCE.0[16..52], false);
    assert_eq!(writer.durable(), 52);
    assert!(!writer.gather::<Flash>(&SOURCE.0[..12]), "they end the unit");
    assert!(writer.gather::<Flash>(&SOURCE.0[..11]) && writer.pending());
}

#[test]
fn the_unit_ahead_is_the_one_that_the_bytes_reach_into() {
    let mut writer = Writer::<16>::new::<Flash>(0xff);
    assert_eq!(writer.unprepared(256), None, "it is closed");
    writer.start_at::<Flash>(64, 130);
    assert_eq!((writer.unprepared(64), writer.unprepared(65)), (None, Some(64)));
    writer.prepared::<Flash>();
    assert_eq!((writer.unprepared(128), writer.unprepared(129)), (None, Some(128)));
    writer.prepared::<Flash>();
    assert_eq!(writer.unprepared(256), None, "nothing is written there");
}
