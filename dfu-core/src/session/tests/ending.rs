//! From the last byte to the request to run it, and what ends an update before.

use super::*;

#[test]
fn only_the_image_that_was_wanted_goes_on() {
    let file = image(300);
    let mut bench = Bench::holding(&file, State::Complete, Some(300));
    let mut update = bench.update(request());
    let other = all_there(&mut update).verify(&Digest([0; 32])).unwrap_err();
    assert_eq!(other.error(), &SessionError::Mismatch);
    let unknown = other.into_inner().verify_self().unwrap_err();
    assert_eq!(unknown.error(), &SessionError::NotAssured);
    let mut session = unknown.into_inner().into_session();
    assert_eq!(block_on(session.abort()), Ok(()));

    bench.place.assurance = Assurance::Hash;
    bench.memory.record = Some(record(&file, State::Complete, Some(300)));
    let mut update = bench.update(request());
    assert_eq!(block_on(all_there(&mut update).verify_self().unwrap().apply()).unwrap(), Applied::Now);
}

#[test]
fn an_image_may_be_recorded_as_applied_some_time_before_it_is() {
    let file = image(300);
    let mut bench = Bench::holding(&file, State::Complete, Some(300));
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let verified = all_there(&mut update).verify(&digest(&file)).unwrap();
    script.notes();
    let verified = block_on(verified.record()).unwrap();
    assert_eq!(script.notes(), ["save Applied 300"]);
    let verified = block_on(verified.record()).unwrap();
    assert_eq!(script.notes(), [""; 0], "it is recorded");
    assert_eq!(block_on(verified.apply()).unwrap(), Applied::Now);
    assert_eq!(script.notes(), ["apply"]);
    assert!(all_there(&mut update).attempted());
}

#[test]
fn an_image_is_not_applied_where_that_cannot_be_recorded() {
    let file = image(300);
    let mut bench = Bench::holding(&file, State::Complete, Some(300));
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let verified = all_there(&mut update).verify(&digest(&file)).unwrap();
    script.store_fails.set(true);
    let failed = block_on(verified.record()).unwrap_err();
    assert_eq!(failed.error(), &SessionError::Store(StoreError::Other));
    script.notes();
    let failed = block_on(failed.into_inner().apply()).unwrap_err();
    assert_eq!(failed.error(), &SessionError::Store(StoreError::Other));
    assert_eq!(script.notes(), ["save Applied 300"]);
    script.store_fails.set(false);
    script.fails.set(Some(("apply", ErrorKind::Storage)));
    let failed = block_on(failed.into_inner().apply()).unwrap_err();
    assert_eq!(failed.error(), &SessionError::Target(Broken(ErrorKind::Storage)));
    script.notes();
    assert_eq!(block_on(failed.into_inner().apply()).unwrap(), Applied::Now, "legal to repeat");
    assert_eq!(script.notes(), ["apply"]);
}

#[test]
fn a_verified_image_can_be_given_up() {
    let file = image(300);
    let mut bench = Bench::holding(&file, State::Complete, Some(300));
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = all_there(&mut update).verify(&digest(&file)).unwrap().into_session();
    assert_eq!((session.offset(), session.durable(), session.size()), (300, 300, Some(300)));
    // The stream has ended.
    assert_eq!(block_on(session.write(&[])), Err(SessionError::Interrupted));
    assert_eq!(block_on(session.write(&[1])), Err(SessionError::TooLong { size: 300 }));
    assert!(!block_on(session.prepare()).unwrap());
    script.notes();
    session.restart();
    assert_eq!((session.offset(), session.durable(), session.size()), (0, 0, None));
    assert_eq!(script.notes(), [""; 0]);
}

#[test]
fn a_staged_image_is_staged_still_when_it_is_finished_once_more() {
    let file = image(300);
    let mut bench = Bench::holding(&file, State::Complete, Some(300));
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let session = all_there(&mut update).into_session();
    script.notes();
    assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file));
    assert_eq!(script.notes(), [""; 0]);
}

#[test]
fn a_failure_to_store_matters_where_something_depends_on_it() {
    let file = image(300);
    let mut bench = Bench::new();
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    block_on(session.write(&file[..64])).unwrap();
    script.store_fails.set(true);
    block_on(session.write(&file[64..])).unwrap();
    assert_eq!(script.notes().iter().filter(|note| note.starts_with("save Receiving")).count(), 3, "a try for each");
    let failed = block_on(session.finish()).map(|_| "a staged image").unwrap_err();
    assert_eq!(failed.error(), &SessionError::Store(StoreError::Other));
    script.store_fails.set(false);
    let staged = block_on(failed.into_inner().finish()).unwrap();
    assert_eq!(staged.checked().digest, digest(&file));
}

#[test]
fn to_give_up_before_the_target_took_anything_asks_nothing() {
    let mut bench = Bench::new();
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    block_on(session.write(&image(63))).unwrap();
    script.notes();
    assert_eq!(block_on(session.abort()), Ok(()));
    assert_eq!((session.offset(), script.notes()), (0, Vec::new()));
}

#[test]
fn to_give_up_is_stored_first_and_can_be_repeated() {
    let file = image(300);
    let mut bench = Bench::new();
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    block_on(session.write(&file[..200])).unwrap();
    script.notes();
    script.store_fails.set(true);
    assert_eq!(block_on(session.abort()), Err(SessionError::Store(StoreError::Other)));
    assert_eq!(script.notes(), ["save Receiving 0"]);
    script.store_fails.set(false);
    script.fails.set(Some(("abort", ErrorKind::Storage)));
    assert_eq!(block_on(session.abort()), Err(SessionError::Target(Broken(ErrorKind::Storage))));
    assert_eq!(script.notes(), ["save Receiving 0", "abort"]);
    assert_eq!(block_on(session.abort()), Ok(()));
    assert_eq!(script.notes(), ["save Receiving 0", "abort"]);
    assert_eq!((session.offset(), session.kind()), (0, None));
    block_on(session.write(&file)).unwrap();
    assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file));
}

#[test]
fn what_was_started_over_is_given_up_all_the_same() {
    let file = image(300);
    for (stored, state) in [(128, State::Receiving), (300, State::Complete), (300, State::Applied)] {
        let mut bench = Bench::holding(&file[..stored], state, Some(300));
        let script = bench.script.clone();
        let mut update = bench.update(request());
        let mut session = match block_on(update.begin()).unwrap() {
            Begun::Staged(staged) => staged.into_session(),
            Begun::Receiving(session) => session,
        };
        session.restart();
        script.notes();
        assert_eq!(block_on(session.abort()), Ok(()));
        assert_eq!(script.notes(), ["save Receiving 0", "abort"], "{state:?}");
        assert_eq!(block_on(session.abort()), Ok(()));
        assert_eq!(script.notes(), [""; 0], "{state:?}: nothing is there any more");
    }
}

#[test]
fn what_was_written_before_a_resume_from_zero_or_an_answer_of_another_file_is_given_up() {
    let mut bench = Bench::new();
    let script = bench.script.clone();
    let mut update = bench.update(request());
    for resumes in [true, false] {
        let mut session = receiving(&mut update);
        session.agree(None, 5).unwrap();
        if resumes {
            script.fails.set(Some(("write", ErrorKind::Storage)));
            block_on(session.write(&image(64))).unwrap_err();
            assert_eq!(block_on(session.resume()), Ok(0));
        } else {
            block_on(session.write(&image(200))).unwrap();
            assert_eq!(session.agree(None, 6), Ok(0));
        }
        script.notes();
        assert_eq!(block_on(session.abort()), Ok(()));
        assert_eq!(script.notes().last().map(String::as_str), Some("abort"), "{resumes}");
    }
}

#[test]
fn to_resume_ends_what_was_being_given_up() {
    let file = image(300);
    for rejects in [false, true] {
        for store_fails in [false, true] {
            let mut bench = Bench::new();
            let script = bench.script.clone();
            let mut update = bench.update(request());
            let mut session = receiving(&mut update);
            block_on(session.write(&file[..200])).unwrap();
            script.store_fails.set(store_fails);
            script.fails.set(Some(("abort", ErrorKind::Storage)));
            let given_up = if rejects { block_on(session.reject()) } else { block_on(session.abort()) };
            given_up.unwrap_err();
            assert_eq!(block_on(session.write(&file)), Err(SessionError::Interrupted));
            script.store_fails.set(false);
            script.fails.set(None);
            script.notes();
            assert_eq!(block_on(session.resume()), Ok(0));
            let notes = script.notes();
            assert_eq!(notes[usize::from(store_fails)..], ["abort"], "{notes:?}");
            block_on(session.write(&file)).unwrap();
            assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file));
        }
    }
}

#[test]
fn what_was_being_given_up_is_so_after_a_second_beginning() {
    let mut bench = Bench::new();
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    block_on(session.write(&image(200))).unwrap();
    script.fails.set(Some(("abort", ErrorKind::Storage)));
    block_on(session.abort()).unwrap_err();
    let mut session = receiving(&mut update);
    script.notes();
    assert_eq!(block_on(session.abort()), Ok(()));
    assert_eq!(script.notes(), ["save Receiving 0", "abort"]);
}

#[test]
fn what_a_source_says_does_not_end_the_giving_up() {
    let mut bench = Bench::new();
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    block_on(session.write(&image(200))).unwrap();
    script.fails.set(Some(("abort", ErrorKind::Storage)));
    assert_eq!(block_on(session.abort()), Err(SessionError::Target(Broken(ErrorKind::Storage))));
    script.notes();
    assert_eq!(session.agree(Some(300), 5), Ok(0));
    assert_eq!(block_on(session.abort()), Ok(()));
    assert_eq!(script.notes().last().map(String::as_str), Some("abort"), "the target holds some of it still");
}

/// The offset from which bytes are wanted of a file of which 128 bytes are there, with this size and tag.
fn agreed(request: Request, known: (Option<u32>, u32), said: (Option<u32>, u32)) -> Result<u32, SessionError<Broken>> {
    let file = image(300);
    let mut bench = Bench::holding(&file[..128], State::Receiving, known.0);
    if let Some(record) = &mut bench.memory.record {
        record.set_tag(known.1);
    }
    let mut update = bench.update(request);
    let mut session = receiving(&mut update);
    assert_eq!(session.offset(), 128);
    let agreed = session.agree(said.0, said.1);
    assert_eq!(session.offset(), agreed.unwrap_or(0), "bytes are wanted from where it says");
    if agreed == Ok(128) {
        assert_eq!(session.size(), known.0.or(said.0));
        // Another tag that is not known to be of another file is stored with what comes.
        block_on(session.write(&file[128..257])).unwrap();
        assert_eq!(bench.memory.record.unwrap().tag(), if said.1 == 0 { known.1 } else { said.1 });
    }
    agreed
}

#[test]
fn the_source_s_file_is_the_one_whose_beginning_is_there() {
    let by_digest = || request().digest(digest(&image(300)));
    let (size, none) = (Some(300), None);
    for (known, said) in [((size, 5), (size, 5)), ((none, 5), (size, 5)), ((size, 5), (none, 5))] {
        assert_eq!(agreed(request(), known, said), Ok(128));
        assert_eq!(agreed(by_digest(), known, said), Ok(128));
    }
    for (known, said) in [(0, 0), (5, 0), (0, 5)] {
        assert_eq!(agreed(request(), (size, known), (size, said)), Ok(0), "no tag on both sides");
        assert_eq!(agreed(by_digest(), (size, known), (size, said)), Ok(128), "the digest decides");
    }
    assert_eq!(agreed(request(), (size, 5), (size, 6)), Ok(0));
    assert_eq!(agreed(by_digest(), (size, 5), (size, 6)), Ok(0));
}

#[test]
fn a_file_of_another_size_is_another_file() {
    let other = (Some(301), 5);
    assert_eq!(agreed(request(), (Some(300), 5), other), Ok(0), "of what was found before");
    let wrong = SessionError::WrongSize { wanted: 300, offered: 301 };
    assert_eq!(agreed(request().size(300), (Some(300), 5), other), Err(wrong), "of what is wanted");
}

#[test]
fn a_file_with_less_bytes_than_came_is_another_one() {
    let file = image(300);
    for (size, from) in [(300, 300), (301, 300), (299, 0), (200, 0)] {
        let mut bench = Bench::new();
        let mut update = bench.update(request().digest(digest(&file)));
        let mut session = receiving(&mut update);
        block_on(session.write(&file)).unwrap();
        assert_eq!((session.agree(Some(size), 0), session.size()), (Ok(from), Some(size)));
    }
}

#[test]
fn what_the_source_says_of_a_file_that_begins_is_taken() {
    let mut bench = Bench::new();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    assert_eq!((session.agree(Some(300), 0), session.size()), (Ok(0), Some(300)));
    block_on(session.write(&image(10))).unwrap();
    assert_eq!(session.agree(Some(300), 0), Ok(0), "without a tag it may be another");
    assert_eq!(session.offset(), 0);
    assert_eq!(session.agree(Some(300), 7), Ok(0));
    block_on(session.write(&image(10))).unwrap();
    assert_eq!(session.agree(Some(300), 7), Ok(10));
    block_on(session.write(&image(64)[10..])).unwrap();
    let stored = bench.memory.record.unwrap();
    assert_eq!((stored.tag(), stored.size()), (7, Some(300)));
}

#[test]
fn a_file_that_takes_another_s_place_has_a_size_of_its_own() {
    let mut bench = Bench::new();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    assert_eq!((session.agree(Some(300), 7), session.size()), (Ok(0), Some(300)));
    assert_eq!((session.agree(None, 8), session.size()), (Ok(0), None));
    block_on(session.write(&image(400))).unwrap();
    assert_eq!(session.offset(), 400);
}
