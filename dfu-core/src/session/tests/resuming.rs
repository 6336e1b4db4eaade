//! What is taken up after a reset, and what is not.

use super::*;

#[test]
fn an_update_goes_on_where_the_record_says() {
    let file = image(300);
    for (stored, size) in [(64, Some(300)), (128, None), (300, Some(300))] {
        let mut bench = Bench::holding(&file[..stored], State::Receiving, size);
        let script = bench.script.clone();
        let mut update = bench.update(request());
        let mut session = receiving(&mut update);
        assert_eq!(script.notes(), ["load".into(), format!("init {stored}")]);
        assert_eq!((session.offset(), session.durable(), session.size()), (stored as u32, stored as u32, size));
        assert_eq!(session.kind(), Some(ImageKind::Mcuboot));
        block_on(session.write(&file[stored..])).unwrap();
        assert!(!script.notes().contains(&format!("save Receiving {stored}")), "it is stored already");
        assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file));
        let took = bench.place.took.unwrap();
        assert_eq!(took, (size, file[..64].into(), digest(&file[..stored]).0), "with what was kept");
    }
}

#[test]
fn what_is_of_another_image_counts_for_nothing() {
    let file = image(300);
    let same = || record(&file[..128], State::Receiving, Some(300));
    let changed = |change: fn(&mut Progress)| {
        let mut record = same();
        change(&mut record);
        record
    };
    let begins = |record: Progress, request: Request| {
        let mut bench = Bench::holding(&file[..128], State::Receiving, None);
        let stored = record.clone();
        bench.memory.record = Some(record);
        let script = bench.script.clone();
        let mut update = bench.update(request.size(300));
        let session = receiving(&mut update);
        let (offset, kind) = (session.offset(), session.kind());
        assert_eq!(session.size(), Some(300));
        let asked = script.notes().contains(&format!("init {}", stored.offset()));
        assert_eq!((asked, kind.is_some()), (offset > 0, offset > 0));
        assert_eq!(bench.memory.record, Some(stored), "nothing is stored by a look");
        offset
    };
    assert_eq!(begins(same(), request()), 128);
    assert_eq!(begins(changed(|record| record.set_offset(64)), request()), 64);
    assert_eq!(begins(changed(|record| record.set_offset(300)), request()), 300);
    assert_eq!(begins(same(), Request::new(ImageId([2; 32])).index(INDEX)), 0, "another name");
    assert_eq!(begins(same(), request().index(3)), 0, "another index");
    assert_eq!(begins(changed(|record| record.set_identity(0x1235)), request()), 0, "another target");
    assert_eq!(begins(changed(|record| record.set_kind(ImageKind::ModemDelta)), request()), 0, "another kind");
    assert_eq!(begins(changed(|record| record.set_size(Some(299))), request()), 0, "another size");
    assert_eq!(begins(changed(|record| record.set_size(None)), request()), 0, "no size");
    assert_eq!(begins(changed(|record| record.set_offset(63)), request()), 0, "less than a head");
    assert_eq!(begins(changed(|record| record.set_offset(301)), request()), 0, "more than there is");
    // A target of the same number that takes no such image.
    let mut other = changed(|record| record.set_kind(ImageKind::ModemFull));
    other.set_identity(0);
    assert_eq!(begins(other, request()), 0, "no image of this target");
}

/// A log looks at a record's CRC and no more: that may come of another version of this crate.
#[test]
fn a_record_that_means_nothing_leads_to_no_wrong_image() {
    let file = image(300);
    let (mut gone_on, mut right) = (0, 0);
    // Kind, state, and how much of the head there is.
    for (at, value) in [48, 49, 50, 152].into_iter().flat_map(|at| (0..=255).map(move |value| (at, value))) {
        let mut bench = Bench::holding(&file[..128], State::Receiving, Some(300));
        let mut bytes = [0; 8 + Progress::LEN];
        bytes[8..].copy_from_slice(record(&file[..128], State::Receiving, Some(300)).as_bytes());
        bytes[8 + at] = value;
        bench.memory.record = Some(Progress::of(&bytes));
        let mut update = bench.update(request());
        let staged = match block_on(update.begin()).unwrap() {
            Begun::Staged(staged) => staged,
            Begun::Receiving(mut session) => {
                let from = session.offset();
                gone_on += u32::from(from > 0);
                block_on(session.write(&file[from as usize..])).unwrap();
                match block_on(session.finish()) {
                    Ok(staged) => staged,
                    Err(failed) => {
                        assert_eq!(at, 152, "{value}: {}", failed.error());
                        continue;
                    }
                }
            }
        };
        let verified = staged.verify(&digest(&file)).is_ok();
        // A state that says that these 128 bytes are all is for the digest to find.
        assert!(verified == (at != 50 || value == 0) || at == 152, "{at}: {value}");
        right += u32::from(verified);
    }
    assert!(gone_on > 0 && right > 2 * 256, "{gone_on} {right}");
}

#[test]
fn a_record_of_a_store_that_fails_counts_for_nothing() {
    let mut bench = Bench::holding(&image(300)[..128], State::Receiving, Some(300));
    bench.script.store_fails.set(true);
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    assert_eq!(session.offset(), 0);
    // Before the first erase it has to be stored that nothing is there.
    assert_eq!(block_on(session.write(&image(64))), Err(SessionError::Store(StoreError::Other)));
}

#[test]
fn the_target_may_want_bytes_from_an_earlier_offset() {
    let file = image(300);
    for (wants, offset) in [(129, 128), (96, 96), (64, 64), (63, 0), (0, 0)] {
        let mut bench = Bench::holding(&file[..128], State::Receiving, Some(300));
        bench.place.wants = wants;
        let script = bench.script.clone();
        let mut update = bench.update(request().size(300));
        let mut session = receiving(&mut update);
        assert_eq!((session.offset(), session.durable()), (offset, offset));
        script.notes();
        block_on(session.write(&file[offset as usize..])).unwrap();
        let noted = script.notes();
        let first = match offset {
            128 => "write 128".into(),
            0 => "init 0".into(),
            _ => format!("save Receiving {offset}"),
        };
        assert_eq!(noted.first(), Some(&first), "{noted:?}");
        assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file));
    }
}

#[test]
fn what_is_all_there_is_read_back_and_needs_no_byte() {
    let file = image(300);
    for (state, attempted) in [(State::Complete, false), (State::Applied, true)] {
        let mut bench = Bench::holding(&file, state, Some(300));
        let script = bench.script.clone();
        let mut update = bench.update(request().digest(digest(&file)));
        let staged = all_there(&mut update);
        assert_eq!(script.notes(), ["load", "init 300", "digest"]);
        assert_eq!((staged.attempted(), staged.checked().digest), (attempted, digest(&file)));
        assert_eq!(block_on(staged.verify(&digest(&file)).unwrap().apply()).unwrap(), Applied::Now);
        let stored = ["save Applied 300", "apply"];
        assert_eq!(script.notes(), stored[usize::from(attempted)..], "what is recorded is not stored again");
    }
}

#[test]
fn what_is_all_there_of_another_digest_is_not_looked_at() {
    let mut bench = Bench::holding(&image(300), State::Complete, Some(300));
    let script = bench.script.clone();
    let mut update = bench.update(request().digest(Digest([0; 32])));
    assert_eq!(receiving(&mut update).offset(), 0);
    assert_eq!(script.notes(), ["load"]);
}

#[test]
fn what_reads_back_differently_is_fetched_again() {
    let file = image(300);
    let mut bench = Bench::holding(&file, State::Complete, Some(300));
    bench.place.stored[200] ^= 1;
    let script = bench.script.clone();
    let mut update = bench.update(request());
    let mut session = receiving(&mut update);
    assert_eq!((session.offset(), session.kind(), session.size()), (0, None, None));
    assert_eq!(script.notes(), ["load", "init 300", "digest"]);
    block_on(session.write(&file)).unwrap();
    assert_eq!(script.notes()[..2], ["init 0", "save Receiving 0"]);
}

#[test]
fn where_the_target_wants_bytes_of_what_was_all_there_the_record_says_so_first() {
    let file = image(300);
    for wants in [128, 299] {
        let mut bench = Bench::holding(&file, State::Complete, Some(300));
        bench.place.wants = wants;
        let script = bench.script.clone();
        let mut update = bench.update(request());
        let mut session = receiving(&mut update);
        assert_eq!((session.offset(), script.notes()), (wants, ["load".into(), "init 300".into()].into()));
        block_on(session.write(&file[wants as usize..])).unwrap();
        assert_eq!(script.notes().first(), Some(&format!("save Receiving {wants}")));
        assert_eq!(block_on(session.finish()).unwrap().checked().digest, digest(&file));
    }
}

#[test]
fn an_error_that_will_stay_starts_over_and_any_other_is_told() {
    let file = image(300);
    for call in ["init", "digest"] {
        for (kind, told) in [
            (ErrorKind::Storage, true),
            (ErrorKind::Busy, true),
            (ErrorKind::Pending, true),
            (ErrorKind::Refused, false),
            (ErrorKind::TooLarge, false),
            (ErrorKind::Corrupt, false),
            (ErrorKind::Rewind, false),
            (ErrorKind::Order, false),
        ] {
            let mut bench = Bench::holding(&file, State::Complete, Some(300));
            bench.script.fails.set(Some((call, kind)));
            let mut update = bench.update(request());
            if told {
                let error = block_on(update.begin()).map(|_| "a beginning").unwrap_err();
                assert_eq!(error, SessionError::Target(Broken(kind)), "{call}");
                assert_eq!(all_there(&mut update).checked().digest, digest(&file), "it is there the next time");
            } else {
                assert_eq!(receiving(&mut update).offset(), 0, "{call} {kind:?}");
            }
        }
    }
}

#[test]
fn a_second_beginning_looks_at_what_is_stored_again() {
    let file = image(300);
    let mut bench = Bench::new();
    let script = bench.script.clone();
    let mut update = bench.update(request());
    block_on(receiving(&mut update).write(&file[..200])).unwrap();
    script.notes();
    assert_eq!(receiving(&mut update).offset(), 128);
    assert_eq!(script.notes(), ["load", "init 128"]);
}
