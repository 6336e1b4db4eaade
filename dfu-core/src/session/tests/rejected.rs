//! What was fetched in vain, and what that is remembered for.

use super::*;

const FILE: u32 = 0x77;

/// For the image with the digest of `file`, under a name of its own.
fn named(file: &[u8]) -> Request {
    request().digest(digest(file))
}

/// Fetches a file and rejects it; what was asked for.
fn reject(bench: &mut Bench, request: Request, tag: u32, file: &[u8]) -> Result<Vec<String>, SessionError<Broken>> {
    let script = bench.script.clone();
    let mut update = bench.update(request);
    let mut session = match block_on(update.begin())? {
        Begun::Receiving(session) => session,
        Begun::Staged(staged) => staged.into_session(),
    };
    assert_eq!(session.agree(None, tag)?, session.offset());
    block_on(session.write(&file[session.offset() as usize..]))?;
    script.fails.set(Some(("digest", ErrorKind::Refused)));
    let mut session = block_on(session.finish()).map(|_| "a staged image").unwrap_err().into_inner();
    let before = session.attempts();
    script.notes();
    block_on(session.reject())?;
    assert_eq!((session.offset(), Some(session.attempts())), (0, before.checked_add(1)));
    Ok(script.notes())
}

#[test]
fn an_image_is_fetched_as_often_as_the_request_bears() {
    let file = image(300);
    let mut bench = Bench::new();
    for nth in 1..=3 {
        let notes = reject(&mut bench, named(&file).attempts(3), 0, &file).unwrap();
        assert_eq!(notes, ["save Receiving 0", "abort"], "what is remembered comes first");
        assert_eq!(bench.memory.record.as_ref().unwrap().attempts(), nth);
    }
    for limit in [0, 2, 3] {
        assert_eq!(reject(&mut bench, named(&file).attempts(limit), 0, &file), Err(SessionError::Rejected));
    }
    assert_eq!(bench.script.notes(), ["load"; 3], "not a byte");
    let begins = |bench: &mut Bench, limit| block_on(bench.update(named(&file).attempts(limit)).begin()).map(|_| ());
    assert_eq!([4, 255].map(|limit| begins(&mut bench, limit)), [Ok(()); 2]);
    let record = bench.memory.record.as_mut().unwrap();
    (0..300).for_each(|_| record.reject());
    assert_eq!([254, 255].map(|limit| begins(&mut bench, limit)), [Err(SessionError::Rejected), Ok(())]);
}

#[test]
fn what_came_in_vain_is_known_while_it_is_fetched_again_and_when_that_is_given_up() {
    let file = image(300);
    let mut bench = Bench::new();
    reject(&mut bench, named(&file), 0, &file).unwrap();
    for len in [64, 200] {
        let mut update = bench.update(named(&file));
        let mut session = receiving(&mut update);
        assert_eq!(session.attempts(), 1);
        block_on(session.write(&file[session.offset() as usize..len])).unwrap();
        assert_eq!(bench.memory.record.as_ref().unwrap().attempts(), 1);
    }
    let mut update = bench.update(named(&file));
    block_on(receiving(&mut update).abort()).unwrap();
    reject(&mut bench, named(&file), 0, &file).unwrap();
    assert_eq!(reject(&mut bench, named(&file), 0, &file), Err(SessionError::Rejected));
}

#[test]
fn nothing_is_held_against_another_image() {
    let (file, other) = (image(300), image(301));
    let begins = |request: Request| {
        let mut bench = Bench::new();
        for _ in 0..2 {
            reject(&mut bench, named(&file), 0, &file).unwrap();
        }
        block_on(bench.update(request).begin()).map(|begun| match begun {
            Begun::Receiving(session) => session.attempts(),
            Begun::Staged(_) => panic!("nothing is there"),
        })
    };
    assert_eq!(begins(named(&file)), Err(SessionError::Rejected));
    assert_eq!(begins(named(&other)), Ok(0), "the same name for another digest");
    assert_eq!(begins(named(&file).index(INDEX + 1)), Ok(0), "another index");
    assert_eq!(begins(Request::of(digest(&file)).index(INDEX)), Ok(0), "another name");
    assert_eq!(begins(request()), Ok(2), "of which file this will be, its source tells");
}

#[test]
fn without_a_digest_a_file_is_known_by_its_tag() {
    let file = image(300);
    let mut bench = Bench::new();
    for _ in 0..2 {
        reject(&mut bench, request(), FILE, &file).unwrap();
    }
    let agrees = |bench: &mut Bench, request: Request, tag: u32| {
        let mut update = bench.update(request);
        let mut session = receiving(&mut update);
        session.agree(None, tag).map(|offset| (offset, session.attempts()))
    };
    assert_eq!(agrees(&mut bench, request(), FILE), Err(SessionError::Rejected));
    assert_eq!(agrees(&mut bench, request(), 0), Ok((0, 2)), "which file it is nobody knows");
    assert_eq!(agrees(&mut bench, request(), FILE + 1), Ok((0, 0)), "another file");
    assert_eq!(agrees(&mut bench, request().attempts(3), FILE), Ok((0, 2)));
    // What is under way is not stopped.
    let mut update = bench.update(request().attempts(3));
    let mut session = receiving(&mut update);
    session.agree(None, FILE).unwrap();
    block_on(session.write(&file[..128])).unwrap();
    assert_eq!(agrees(&mut bench, request(), FILE), Ok((128, 2)));

    let mut bench = Bench::new();
    reject(&mut bench, named(&file), FILE, &file).unwrap();
    assert_eq!(agrees(&mut bench, named(&file), FILE + 1), Ok((0, 1)), "the digest says which it is");
}

#[test]
fn what_is_pushed_after_that_has_no_tag_of_the_file_that_was_rejected() {
    let file = image(300);
    let mut bench = Bench::new();
    reject(&mut bench, request(), FILE, &file).unwrap();
    // By the next session, and by one that goes on.
    let mut update = bench.update(request().attempts(9));
    let mut session = receiving(&mut update);
    for _ in 0..2 {
        block_on(session.write(&file[..200])).unwrap();
        assert_eq!((session.offset(), session.agree(None, FILE)), (200, Ok(0)), "it may be another file");
        session.agree(None, FILE).unwrap();
        block_on(session.write(&file[..100])).unwrap();
        block_on(session.reject()).unwrap();
    }
    assert_eq!(bench.memory.record.unwrap().tag(), FILE);
}

#[test]
fn what_came_in_vain_is_known_when_abort_does_the_rest() {
    let file = image(300);
    for request in [request, || named(&image(300))] {
        let mut bench = Bench::new();
        for _ in 0..2 {
            bench.script.fails.set(Some(("abort", ErrorKind::Storage)));
            let mut update = bench.update(request());
            let mut session = receiving(&mut update);
            session.agree(None, FILE).unwrap();
            block_on(session.write(&file)).unwrap();
            block_on(session.reject()).unwrap_err();
            block_on(session.abort()).unwrap();
        }
        assert_eq!(reject(&mut bench, request(), FILE, &file), Err(SessionError::Rejected));
    }
}

#[test]
fn what_came_in_vain_is_known_by_its_tag_when_another_attempt_is_given_up() {
    let file = image(300);
    for (tag, attempts) in [(FILE, 1), (FILE + 1, 0)] {
        let mut bench = Bench::new();
        reject(&mut bench, request(), FILE, &file).unwrap();
        let mut update = bench.update(request());
        let mut session = receiving(&mut update);
        session.agree(None, FILE).unwrap();
        block_on(session.write(&file[..200])).unwrap();
        block_on(session.abort()).unwrap();
        let mut update = bench.update(request());
        let mut session = receiving(&mut update);
        assert_eq!((session.agree(None, tag), session.attempts()), (Ok(0), attempts));
    }
}

#[test]
fn what_came_in_vain_is_known_after_a_resume_from_zero_and_a_cut() {
    let file = image(300);
    for way in ["a write fails", "the target wants all of it again", "the caller starts over"] {
        let mut bench = Bench::new();
        reject(&mut bench, named(&file), 0, &file).unwrap();
        bench.place.wants = 0;
        let script = bench.script.clone();
        let mut update = bench.update(named(&file));
        let mut session = receiving(&mut update);
        block_on(session.write(&file[..200])).unwrap();
        match way {
            "a write fails" => {
                script.fails.set(Some(("write", ErrorKind::Storage)));
                block_on(session.write(&file[200..])).unwrap_err();
                assert_eq!(block_on(session.resume()), Ok(0));
            }
            "the target wants all of it again" => {
                script.rewinds.set(Some(0));
                assert_eq!(block_on(session.write(&file[200..])), Ok(Written::Rewind(0)));
            }
            _ => session.restart(),
        }
        script.notes();
        block_on(session.write(&file[..64])).unwrap();
        assert_eq!(script.notes()[..2], ["init 0", "save Receiving 0"], "{way}");
        let mut update = bench.update(named(&file));
        assert_eq!(receiving(&mut update).attempts(), 1, "{way}");
    }
}

#[test]
fn a_second_beginning_knows_what_the_store_knows_by_then() {
    let file = image(300);
    let mut bench = Bench::new();
    let script = bench.script.clone();
    let mut update = bench.update(named(&file).attempts(1));
    let mut session = receiving(&mut update);
    block_on(session.write(&file)).unwrap();
    block_on(session.reject()).unwrap();
    assert!(matches!(block_on(update.begin()), Err(SessionError::Rejected)));
    script.store_fails.set(true);
    assert_eq!(receiving(&mut update).attempts(), 0);
}

#[test]
fn an_image_that_is_not_where_the_record_has_it_came_in_vain() {
    let file = image(300);
    for state in [State::Complete, State::Applied] {
        let mut bench = Bench::holding(&file, state, Some(300));
        // After a swap the old image is there.
        bench.place.stored = image(299);
        assert_eq!(receiving(&mut bench.update(named(&file))).attempts(), 1, "{state:?}");
        let mut bench = Bench::holding(&file, state, Some(300));
        bench.script.fails.set(Some(("init", ErrorKind::Refused)));
        assert_eq!(receiving(&mut bench.update(named(&file))).attempts(), 1, "{state:?}");
    }
}

#[test]
fn to_reject_what_the_target_never_took_asks_nothing() {
    let mut bench = Bench::new();
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    block_on(session.write(&image(63))).unwrap();
    script.notes();
    assert_eq!(block_on(session.reject()), Ok(()));
    assert_eq!((session.offset(), script.notes()), (0, Vec::new()));
}
