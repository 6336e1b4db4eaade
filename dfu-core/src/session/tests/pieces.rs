//! From the first byte to the last.

use super::*;

#[test]
fn a_whole_update_asks_and_stores_in_this_order() {
    let (mut bench, file) = (Bench::new(), image(264));
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    assert_eq!(script.notes(), ["load"]);
    assert_eq!((session.offset(), session.durable(), session.kind(), session.size()), (0, 0, None, None));

    block_on(session.write(&file[..10])).unwrap();
    assert_eq!(script.notes(), [""; 0], "the head is not whole");
    assert_eq!((session.offset(), session.durable(), session.kind()), (10, 0, None));
    assert_eq!(block_on(session.write(&file[10..64])).unwrap(), Written::Committed(64));
    assert_eq!(script.notes(), ["init 0", "save Receiving 0", "write 64"]);
    assert_eq!((session.offset(), session.durable(), session.kind()), (64, 64, Some(ImageKind::Mcuboot)));

    assert_eq!(block_on(session.write(&file[64..])).unwrap(), Written::Committed(256));
    assert_eq!(script.notes(), ["write 64", "save Receiving 128", "write 128", "save Receiving 256", "write 8"]);

    let staged = block_on(session.finish()).unwrap();
    assert_eq!(script.notes(), ["digest", "save Complete 264"]);
    assert_eq!(staged.checked(), Checked { digest: digest(&file), assurance: Assurance::None });
    assert!(!staged.attempted());
    assert_eq!(block_on(staged.verify(&digest(&file)).unwrap().apply()).unwrap(), Applied::Now);
    assert_eq!(script.notes(), ["save Applied 264", "apply"]);

    let (place, memory) = update.release();
    assert_eq!(place.took, Some((None, file[..64].into(), [0; 32])));
    assert_eq!(place.stored, file);
    assert_eq!(memory.record.as_ref(), Some(&record(&file, State::Applied, Some(264))));
}

#[test]
fn what_the_target_wants_kept_is_stored_with_the_offset() {
    let mut bench = Bench::new();
    let mut update = bench.update(request().size(300));
    block_on(receiving(&mut update).write(&image(130))).unwrap();
    let found = bench.memory.record.unwrap();
    assert_eq!((found.offset(), found.kept(), found.size()), (128, &[128; 32], Some(300)));
}

#[test]
fn an_image_that_is_shorter_than_a_head_is_known_by_its_size_or_its_end() {
    for size in [Some(40), None] {
        let (mut bench, file) = (Bench::new(), image(40));
        let script = bench.script.clone();
        let mut update = bench.update(size.map_or(request(), |size| request().size(size)));
        let mut session = receiving(&mut update);
        script.notes();
        block_on(session.write(&file[..39])).unwrap();
        assert_eq!(script.notes(), [""; 0]);
        block_on(session.write(&file[39..])).unwrap();
        let taken = ["init 0", "save Receiving 0", "write 40"];
        assert_eq!(script.notes(), if size.is_some() { &taken[..] } else { &[] });
        let staged = block_on(session.finish()).unwrap();
        let ended = ["digest", "save Complete 40"];
        assert_eq!(script.notes(), if size.is_some() { ended.into() } else { [&taken[..], &ended].concat() });
        assert_eq!(staged.checked().digest, digest(&file));
    }
}

#[test]
fn a_stream_that_ends_before_the_size_that_is_known_may_go_on() {
    let file = image(300);
    for have in [0, 3, 63, 64, 65, 299] {
        let mut bench = Bench::new();
        let script = bench.script.clone();
        let mut update = bench.update(request().size(300));
        let mut session = receiving(&mut update);
        block_on(session.write(&file[..have as usize])).unwrap();
        let (mut session, error) = block_on(session.finish()).map(|_| "a staged image").unwrap_err().into_parts();
        assert_eq!((error, error.kind()), (SessionError::Incomplete { have, size: 300 }, ErrorKind::Order));
        assert!(!script.notes().contains(&"digest".into()), "{have}");
        block_on(session.write(&file[have as usize..])).unwrap();
        assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file));
    }
}

#[test]
fn an_image_is_as_long_as_it_was_said_to_be() {
    let (mut bench, file) = (Bench::new(), image(101));
    let script = bench.script.clone();
    let mut update = bench.update(request().size(100));
    let mut session = receiving(&mut update);
    assert_eq!(session.size(), Some(100));
    script.notes();
    assert_eq!(block_on(session.write(&file)), Err(SessionError::TooLong { size: 100 }));
    assert_eq!((session.offset(), script.notes()), (0, Vec::new()), "none of them was taken");
    block_on(session.write(&file[..99])).unwrap();
    assert_eq!(block_on(session.write(&[0; 2])), Err(SessionError::TooLong { size: 100 }));
    let (mut session, error) = block_on(session.finish()).map(|_| "a staged image").unwrap_err().into_parts();
    assert_eq!(error, SessionError::Incomplete { have: 99, size: 100 });
    block_on(session.write(&file[99..100])).unwrap();
    assert_eq!(block_on(session.write(&[0])), Err(SessionError::TooLong { size: 100 }));
    assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file[..100]));
}

#[test]
fn an_image_that_nobody_takes_costs_nothing() {
    let mut bench = Bench::new();
    let script = bench.script.clone();
    for (head, index, wanted) in [
        (b"<html>".repeat(20), INDEX, SessionError::Unknown),
        (image(64), 0, SessionError::NotTaken(ImageKind::Mcuboot)),
    ] {
        let mut update = bench.update(request().index(index));
        let mut session = receiving(&mut update);
        assert_eq!(block_on(session.write(&head)), Err(wanted));
        assert_eq!((session.kind(), script.notes()), (None, ["load".into()].into()));
    }
    // The target refuses it by its head.
    bench.script.fails.set(Some(("init", ErrorKind::Refused)));
    let mut update = bench.update(request());
    let refused = block_on(receiving(&mut update).write(&image(64)));
    assert_eq!(refused, Err(SessionError::Target(Broken(ErrorKind::Refused))));
    assert_eq!(script.notes(), ["load", "init 0"]);
}

#[test]
fn small_pieces_go_to_the_target_s_ram_up_to_the_next_place_where_progress_is_stored() {
    let (mut bench, file) = (Bench::new(), image(150));
    bench.place.gathers = true;
    let script = bench.script.clone();
    let mut update = bench.update(request().size(150));
    let mut session = receiving(&mut update);
    let mut sent = 0;
    let mut write = |count: usize| {
        script.notes();
        let end = sent + count;
        let written = block_on(session.write(&file[sent..end]));
        sent = end;
        assert_eq!(session.offset(), sent as u32);
        (written.unwrap(), script.notes())
    };
    assert_eq!(write(64).1, ["init 0", "save Receiving 0", "write 64"]);
    assert_eq!(write(5), (Written::Committed(64), ["take 5".into()].into()), "and no more is safe");
    assert_eq!(write(58).1, ["take 58"]);
    assert_eq!(write(1).1, ["write 1", "save Receiving 128"], "progress is to be stored here");
    assert_eq!(write(21).1, ["take 21"]);
    assert_eq!(write(1).1, ["write 1"], "the last one");
    assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file));
}

#[test]
fn after_anything_but_a_write_the_target_is_waited_for() {
    let mut bench = Bench::new();
    bench.place.gathers = true;
    let script = bench.script.clone();
    let mut update = bench.update(request().size(1000));
    let mut session = receiving(&mut update);
    for between in 0..3 {
        session.restart();
        assert_eq!(session.agree(Some(1000), 5), Ok(0));
        block_on(session.write(&image(64))).unwrap();
        match between {
            0 => assert!(!block_on(session.prepare()).unwrap()),
            1 => assert_eq!(session.agree(Some(1000), 5), Ok(64)),
            _ => assert_eq!(block_on(session.resume()), Ok(64)),
        }
        script.notes();
        block_on(session.write(&[1; 5])).unwrap();
        assert_eq!(script.notes(), ["write 5"], "{between}");
    }
}

#[test]
fn numbered_blocks_are_taken_from_where_they_are_new() {
    let (mut bench, file) = (Bench::new(), image(200));
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    block_on(session.write_at(0, &file[..100])).unwrap();
    assert_eq!(block_on(session.write_at(101, &file[101..])), Err(SessionError::Gap { wanted: 100, offset: 101 }));
    for (from, to, offset) in [(0, 100, 100), (50, 60, 100), (90, 120, 120), (120, 130, 130), (0, 200, 200)] {
        block_on(session.write_at(from, &file[from as usize..to])).unwrap();
        assert_eq!(session.offset(), offset, "{from}..{to}");
    }
    assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file));
}

#[test]
fn work_ahead_is_done_once_the_image_is_taken() {
    let mut bench = Bench::new();
    bench.place.ahead = 3;
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    block_on(session.write(&image(10))).unwrap();
    script.notes();
    assert!(!block_on(session.prepare()).unwrap() && !session.more_to_prepare());
    assert_eq!(script.notes(), [""; 0], "nobody knows for what");
    block_on(session.write(&image(64)[10..])).unwrap();
    script.notes();
    for left in [true, true, false] {
        assert_eq!(block_on(session.prepare()).unwrap(), left);
        assert_eq!((session.more_to_prepare(), script.notes()), (left, ["prepare".into()].into()));
    }
}

#[test]
fn the_target_may_go_back_and_that_is_stored_before_it_takes_bytes_again() {
    let (mut bench, file) = (Bench::new(), image(400));
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    block_on(session.write(&file[..200])).unwrap();
    script.notes();
    for wanted in [96, 160] {
        script.rewinds.set(Some(wanted));
        assert_eq!(block_on(session.write(&file[session.offset() as usize..])).unwrap(), Written::Rewind(wanted));
        assert_eq!((session.offset(), session.durable()), (wanted, wanted));
        script.notes();
        block_on(session.write(&file[wanted as usize..300])).unwrap();
        assert_eq!(script.notes().first(), Some(&format!("save Receiving {wanted}")));
    }
    block_on(session.write(&file[300..])).unwrap();
    assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file));
}

#[test]
fn a_target_that_goes_back_into_the_head_gets_all_of_it_again() {
    let (mut bench, file) = (Bench::new(), image(200));
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    block_on(session.write(&file[..150])).unwrap();
    for (wanted, offset) in [(64, 64), (63, 0), (0, 0)] {
        script.rewinds.set(Some(wanted));
        assert_eq!(block_on(session.write(&[9; 3])).unwrap(), Written::Rewind(offset), "{wanted}");
        assert_eq!((session.offset(), session.kind().is_some()), (offset, offset > 0));
        script.notes();
        block_on(session.write(&file[offset as usize..150])).unwrap();
        let noted = script.notes();
        assert_eq!(noted[0], if offset > 0 { "save Receiving 64" } else { "init 0" });
    }
    assert_eq!(session.offset(), 150);
}

#[test]
fn after_a_write_that_failed_no_bytes_are_taken_until_it_is_resumed() {
    for (sent, resumed, notes) in [(0, 0, &[][..]), (64, 64, &["init 64"]), (200, 192, &["init 192"])] {
        let (mut bench, file) = (Bench::new(), image(300));
        let script = bench.script.clone();
        let mut update = bench.update(request());
        let mut session = receiving(&mut update);
        block_on(session.write(&file[..sent])).unwrap();
        script.fails.set(Some(("write", ErrorKind::Storage)));
        let failed = block_on(session.write(&file[sent..]));
        assert_eq!(failed, Err(SessionError::Target(Broken(ErrorKind::Storage))));
        script.notes();
        assert_eq!(block_on(session.write(&file[sent..])), Err(SessionError::Interrupted));
        assert!(!block_on(session.prepare()).unwrap());
        let (mut session, error) = block_on(session.finish()).map(|_| "a staged image").unwrap_err().into_parts();
        assert_eq!((error, script.notes()), (SessionError::Interrupted, Vec::new()));
        assert_eq!(block_on(session.resume()), Ok(resumed));
        assert_eq!(script.notes(), notes);
        block_on(session.write(&file[resumed as usize..])).unwrap();
        assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file));
    }
}

#[test]
fn a_resume_where_nothing_was_interrupted_changes_nothing() {
    let (mut bench, file) = (Bench::new(), image(100));
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    block_on(session.write(&file[..10])).unwrap();
    script.notes();
    assert_eq!((block_on(session.resume()), script.notes()), (Ok(10), Vec::new()));
    block_on(session.write(&file[10..])).unwrap();
    assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file));
}
