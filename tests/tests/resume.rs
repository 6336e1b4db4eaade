//! What a reset leaves is taken up, if it is of this very image on this very target, and only then.

use dfu_target::session::SessionError;
use dfu_target::{Begun, Digest, ImageId, ImageKind, ProgressStore, Request, Update};
use dfu_target_mcuboot::{Align, Mode, Upgrade};
use dfu_testkit::device::{Board, Device, Release, Visit};
use dfu_testkit::image::{ImageBuilder, ImageFile};
use dfu_testkit::poll::run;
use dfu_testkit::record::Record;
use dfu_testkit::store::RamStore;

type Small = Device<4, 1024, 4>;

const BOARD: Board = Board::new(Mode::SwapMove, 12 * 1024).sectors(12);

fn image() -> ImageFile {
    ImageBuilder::new().version(2, 0, 0, 0).payload(7000).build()
}

fn device(board: Board) -> Small {
    let device = Small::new(board);
    device.install(&ImageBuilder::new().build());
    device
}

/// Stores the first bytes of a file, then resets.
fn begin(device: &Small, file: &[u8], request: Request, upto: usize, said: Option<(Option<u32>, u32)>) {
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, request);
    let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing was stored") };
    if let Some((size, tag)) = said {
        session.agree(size, tag).unwrap();
    }
    for piece in file[..upto].chunks(500) {
        run(session.write(piece)).unwrap();
    }
}

/// From where a session asks for bytes after a reset, and after the source has said what it has. No byte is
/// written or erased for that.
fn asks(device: &Small, request: Request, said: Option<(Option<u32>, u32)>) -> Option<u32> {
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let points = device.chip().sim().points();
    let mut update = Update::new(target, log, request);
    let offset = match run(update.begin()).unwrap() {
        Begun::Staged(_) => None,
        Begun::Receiving(mut session) => Some(match said {
            Some((size, tag)) => session.agree(size, tag).unwrap(),
            None => session.offset(),
        }),
    };
    assert_eq!(device.chip().sim().points(), points, "looking costs no operation");
    offset
}

/// The whole way; how many bytes that took. The image runs in the end.
fn finish(device: &Small, release: &Release<'_>) -> u32 {
    let mut visit = Visit::default();
    let _ = device.update(release, &mut visit).unwrap();
    assert_eq!(device.boot().refused, None);
    assert!(device.holds(device.primary(), release.file()));
    visit.fetched
}

#[test]
fn r11_the_same_request_goes_on_in_the_erase_unit_where_it_was() {
    let (image, size) = (image(), image().len() as u32);
    for upto in (0..image.len()).step_by(250) {
        let device = device(BOARD);
        let release = Release::new(&image).save_every(1);
        begin(&device, &image, release.request(), upto, None);
        let offset = asks(&device, release.request(), None);
        // A word or two are in the writer's buffer yet.
        let durable = (upto / 4 * 4).saturating_sub(256);
        let least = if upto < 500 { 0 } else { durable / 1024 * 1024 };
        assert!(offset >= Some(least as u32) && offset <= Some(upto as u32), "{offset:?} after {upto}");
        assert_eq!(offset.unwrap() % 1024, 0);
        assert_eq!(finish(&device, &release), size - offset.unwrap());
    }
}

#[test]
fn r10_nothing_is_resumed_unless_id_size_index_digest_and_target_are_the_same() {
    let image = image();
    let size = image.len() as u32;
    let id = ImageId::named("job 17");
    let wanted = Request::new(id).size(size).save_every(512);
    let device = device(BOARD);
    begin(&device, &image, wanted.clone(), 5000, None);
    assert_eq!(asks(&device, wanted.clone(), None), Some(4096));
    assert_eq!(asks(&device, wanted.clone().save_every(7), None), Some(4096));
    for (what, other) in [
        ("id", Request::new(ImageId::named("job 18")).size(size)),
        ("no id", Request::new(ImageId([0; 32])).size(size)),
        ("size", Request::new(id).size(size + 1)),
        ("smaller size", Request::new(id).size(4000)),
        ("index", Request::new(id).size(size).index(1)),
    ] {
        assert_eq!(asks(&device, other, None), Some(0), "another {what}");
    }
    assert_eq!(asks(&device, wanted, None), Some(4096), "asking for something else costs nothing");
}

#[test]
fn r10_nothing_is_resumed_on_another_target() {
    let image = image();
    let release = Release::new(&image);
    let mut store = RamStore::new();
    let (mut offsets, mut slot) = (Vec::new(), None::<Vec<u8>>);
    for board in [
        BOARD,
        Board::new(Mode::SwapScratch, 12 * 1024).sectors(12),
        Board::new(Mode::OverwriteOnly, 12 * 1024).sectors(12),
        Board::new(Mode::SwapMove, 13 * 1024).sectors(13),
        BOARD.sectors(200),
        BOARD,
    ] {
        // The slot's content is that of the first device.
        let device = device(board);
        if let Some(slot) = &slot {
            device.chip().sim().load(device.secondary().start, slot);
        }
        let mut shared = device.share();
        let (_, target, _) = device.open(&mut shared);
        let mut update = Update::new(target, &mut store, release.request());
        let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("half of it is stored") };
        offsets.push(session.offset());
        if offsets.len() == 1 {
            run(session.write(&image[..5000])).unwrap();
            slot = Some(device.read(device.secondary()));
        }
    }
    assert_eq!(offsets, [0, 0, 0, 0, 0, 4096]);
}

#[test]
fn r10_a_changed_file_starts_over() {
    let image = image();
    let size = image.len() as u32;
    let wanted = Request::new(ImageId::named("latest.bin")).save_every(512);
    let of = |size: u32, tag| Some((Some(size), tag));
    let device = device(BOARD);
    begin(&device, &image, wanted.clone(), 5000, of(size, 7));
    for (said, offset) in [
        (of(size, 7), 4096),
        (Some((None, 7)), 4096),
        (of(size, 8), 0),
        (of(size + 1, 7), 0),
        // In doubt.
        (of(size, 0), 0),
        (Some((None, 0)), 0),
    ] {
        assert_eq!(asks(&device, wanted.clone(), said), Some(offset), "{said:?}");
    }
    // The digest says what the image is, whoever sends it.
    let release = Release::new(&image).save_every(512);
    begin(&device, &image, release.request(), 5000, of(size, 0));
    assert_eq!(asks(&device, release.request(), of(size, 0)), Some(4096));
    assert_eq!(asks(&device, release.request(), of(size, 3)), Some(4096));

    let other = ImageBuilder::new().version(3, 0, 0, 0).payload(7000).seed(5).build();
    begin(&device, &image, wanted.clone(), 5000, of(size, 7));
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, wanted);
    let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("half of it is stored") };
    assert_eq!(session.agree(Some(size), 9), Ok(0));
    run(session.write(&other)).unwrap();
    let staged = run(session.finish()).unwrap();
    assert_eq!(staged.checked().digest, *Release::new(&other).digest());
}

#[test]
fn r10_a_file_of_another_size_than_the_one_asked_for_is_refused() {
    let (image, device) = (image(), device(BOARD));
    let size = image.len() as u32;
    let release = Release::new(&image);
    begin(&device, &image, release.request(), 5000, None);
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let points = device.chip().sim().points();
    let mut update = Update::new(target, log, release.request());
    let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("half of it is stored") };
    let refused = SessionError::WrongSize { wanted: size, offered: size - 1 };
    assert_eq!(session.agree(Some(size - 1), 1), Err(refused));
    assert_eq!(device.chip().sim().points(), points);
    // The right file again: all of it is there still.
    assert_eq!(asks_again(&device, &release), 4096);
}

fn asks_again(device: &Small, release: &Release<'_>) -> u32 {
    asks(device, release.request(), None).unwrap()
}

#[test]
fn r11_a_stored_image_that_is_not_applied_yet_needs_no_byte() {
    for upgrade in [Upgrade::Test, Upgrade::Permanent] {
        let (image, device) = (image(), device(BOARD.upgrade(upgrade)));
        let release = Release::new(&image);
        {
            let mut shared = device.share();
            let (_, target, log) = device.open(&mut shared);
            let mut update = Update::new(target, log, release.request());
            let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing was stored") };
            run(session.write(&image)).unwrap();
            let _ = run(session.finish()).unwrap();
        }
        let points = device.chip().sim().points();
        for _ in 0..3 {
            assert_eq!(device.boot().asked, None);
            let mut shared = device.share();
            let (_, target, log) = device.open(&mut shared);
            let mut update = Update::new(target, log, release.request());
            let Begun::Staged(staged) = run(update.begin()).unwrap() else { panic!("all of it is stored") };
            assert!(!staged.attempted());
            assert_eq!(staged.checked().digest, *release.digest());
        }
        assert_eq!(device.chip().sim().points(), points, "no operation either");
        assert_eq!(asks(&device, Request::new(ImageId::named("another")), None), Some(0));
        assert_eq!(finish(&device, &release), 0);
    }
}

#[test]
fn r11_an_image_that_was_spoilt_since_is_fetched_again() {
    let (image, device) = (image(), device(BOARD));
    let release = Release::new(&image);
    {
        let mut shared = device.share();
        let (_, target, log) = device.open(&mut shared);
        let mut update = Update::new(target, log, release.request());
        let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing was stored") };
        run(session.write(&image)).unwrap();
        let _ = run(session.finish()).unwrap();
    }
    device.chip().sim().flip(device.secondary().start + 3000, 3);
    assert_eq!(asks(&device, release.request(), None), Some(0));
    assert_eq!(finish(&device, &release), image.len() as u32);
}

#[test]
fn r10_the_old_image_that_a_swap_leaves_in_the_slot_is_never_taken_for_the_new_one() {
    for mode in [Mode::SwapMove, Mode::SwapScratch, Mode::OverwriteOnly] {
        for same_size in [true, false] {
            let device = Small::new(Board::new(mode, 12 * 1024).sectors(12));
            let new = image();
            let old_size = if same_size { new.len() } else { 5000 };
            device.install(&ImageBuilder::new().total_size(old_size).seed(4).build());
            finish(&device, &Release::new(&new));
            device.confirm().unwrap();
            assert_eq!(asks(&device, Release::new(&new).request(), None), Some(0), "{mode:?}");
        }
    }
}

#[test]
fn r23_an_image_that_came_back_says_that_it_was_tried() {
    let (image, device) = (image(), device(BOARD));
    let release = Release::new(&image);
    finish(&device, &release);
    // Nobody confirms it.
    assert!(device.boot().swapped.is_some());
    assert!(!device.holds(device.primary(), &image));
    for round in 0..2 {
        let mut shared = device.share();
        let (_, target, log) = device.open(&mut shared);
        let mut update = Update::new(target, log, release.request());
        let Begun::Staged(staged) = run(update.begin()).unwrap() else { panic!("it lies there still") };
        assert!(staged.attempted(), "round {round}");
        // Once more, because somebody wants it.
        if round == 1 {
            let _ = run(staged.verify(release.digest()).unwrap().apply()).unwrap();
        }
    }
    assert!(device.boot().swapped.is_some());
    assert!(device.holds(device.primary(), &image));
    device.confirm().unwrap();
    assert_eq!(device.boot().asked, None);
}

#[test]
fn r13_an_update_that_was_aborted_leaves_nothing_behind() {
    let (image, release) = (image(), image());
    let release = Release::new(&release);
    for upto in [0, 10, 64, 3000, image.len()] {
        let device = device(BOARD);
        {
            let mut shared = device.share();
            let (_, target, log) = device.open(&mut shared);
            let mut update = Update::new(target, log, release.request());
            let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing was stored") };
            run(session.write(&image[..upto])).unwrap();
            run(session.abort()).unwrap();
            assert_eq!((session.offset(), session.durable()), (0, 0));
            // The same session goes on from zero.
            run(session.write(&image)).unwrap();
            let verified = run(session.finish()).unwrap().verify(release.digest()).unwrap();
            // Marked, and withdrawn again.
            let _ = run(verified.apply()).unwrap();
        }
        {
            let mut shared = device.share();
            let (_, target, log) = device.open(&mut shared);
            let mut update = Update::new(target, log, release.request());
            let Begun::Staged(staged) = run(update.begin()).unwrap() else { panic!("it is pending") };
            run(staged.into_session().abort()).unwrap();
        }
        assert_eq!(device.boot().asked, None, "withdrawn");
        assert_eq!(asks(&device, release.request(), None), Some(0));
        assert_eq!(finish(&device, &release), image.len() as u32);
    }
}

#[test]
fn r02_any_spoilt_bit_of_the_log_costs_bytes_and_nothing_else() {
    let image = ImageBuilder::new().version(2, 0, 0, 0).payload(3000).build();
    let release = Release::new(&image).save_every(1024);
    let device = device(BOARD);
    begin(&device, &image, release.request(), 2600, None);
    device.chip().sim().checkpoint();
    let asked = |at: u32, bit| {
        device.chip().sim().rollback();
        device.chip().sim().flip(at, bit);
        let mut visit = Visit::default();
        let _ = device.update(&release, &mut visit).unwrap();
        assert!(device.boot().swapped.is_some(), "{at:#x}");
        assert!(device.holds(device.primary(), &image), "{at:#x}");
        visit.from.unwrap()
    };
    let mut seen = std::collections::BTreeSet::new();
    let log = device.log();
    for at in (log.start..log.start + 260).chain(log.start + 1024..log.start + 1024 + 260) {
        seen.insert(asked(at, (at % 8) as u8));
    }
    assert!(seen.iter().all(|from| [0, 1024, 2048].contains(from)), "{seen:?}");
    assert!(seen.contains(&0) && seen.contains(&2048), "{seen:?}");
}

#[test]
fn r11_a_record_that_lies_never_brings_in_a_bad_image() {
    let image = image();
    let release = Release::new(&image);
    let size = image.len() as u32;
    let device = device(BOARD);
    let identity = {
        let mut shared = device.share();
        let (_, target, _) = device.open(&mut shared);
        dfu_target::DfuTarget::identity(&target, ImageKind::Mcuboot, 0)
    };
    let digest = *release.digest();
    let honest = Record {
        id: ImageId(digest.0),
        size: Some(size),
        identity,
        offset: 4096,
        head: image[..64].to_vec(),
        ..Record::default()
    };
    let with = |change: &dyn Fn(&mut Record)| {
        let mut record = honest.clone();
        change(&mut record);
        record
    };
    let whole = Record { offset: size, complete: Some(digest), ..honest.clone() };
    let records = [
        honest.clone(),
        with(&|r| r.offset = size),
        with(&|r| r.offset = size + 1),
        with(&|r| r.offset = u32::MAX),
        with(&|r| r.offset = 63),
        with(&|r| r.offset = 65),
        with(&|r| r.size = None),
        with(&|r| (r.size, r.offset) = (Some(u32::MAX - 1), u32::MAX - 1)),
        with(&|r| r.head.clear()),
        with(&|r| r.head.fill(0xff)),
        with(&|r| r.head.truncate(40)),
        with(&|r| r.head[12..].fill(0xff)),
        with(&|r| r.kind = ImageKind::ModemDelta),
        with(&|r| r.kind = ImageKind::Custom(200)),
        with(&|r| r.complete = Some(digest)),
        whole.clone(),
        Record { applied: true, ..whole.clone() },
        Record { applied: true, complete: Some(Digest([0; 32])), ..whole.clone() },
        Record { offset: u32::MAX, ..whole.clone() },
    ];
    for (n, record) in records.into_iter().enumerate() {
        let device = self::device(BOARD);
        let mut store = RamStore::holding(record.progress());
        let mut done = false;
        for _ in 0..4 {
            let mut shared = device.share();
            let (_, target, _) = device.open(&mut shared);
            let mut update = Update::new(target, &mut store, release.request());
            let staged = match run(update.begin()) {
                Ok(Begun::Staged(staged)) => staged,
                Ok(Begun::Receiving(mut session)) => {
                    run(session.write(&image[session.offset() as usize..])).unwrap();
                    match run(session.finish()) {
                        Ok(staged) => staged,
                        Err(failed) => {
                            // The slot holds nothing of what the record says: start over.
                            assert!(matches!(failed.error(), SessionError::Target(_)), "{n}: {failed}");
                            let mut session = failed.into_inner();
                            session.restart();
                            run(session.write(&image)).unwrap();
                            run(session.finish()).unwrap()
                        }
                    }
                }
                // What a caller does whom `begin` refuses: forget.
                Err(_) => {
                    run(store.clear()).unwrap();
                    continue;
                }
            };
            let _ = run(staged.verify(release.digest()).unwrap().apply()).unwrap();
            done = true;
            break;
        }
        assert!(done, "record {n}: {record:?}");
        assert_eq!(device.boot().refused, None, "record {n}");
        assert!(device.holds(device.primary(), &image), "record {n}: {record:?}");
    }
}

#[test]
fn an_update_without_a_store_that_works_still_arrives_or_says_why() {
    let (image, device) = (image(), device(BOARD));
    let release = Release::new(&image);
    let mut store = RamStore::new();
    store.set_broken(true);
    {
        let mut shared = device.share();
        let (_, target, _) = device.open(&mut shared);
        let points = device.chip().sim().points();
        let mut update = Update::new(target, &mut store, release.request());
        let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing was stored") };
        assert!(matches!(run(session.write(&image)), Err(SessionError::Store(_))), "an old record could lie");
        assert_eq!(device.chip().sim().points(), points);
    }
    store.set_broken(false);
    // Saves that fail on the way cost bytes after a reset, no more.
    let mut shared = device.share();
    let (_, target, _) = device.open(&mut shared);
    let mut update = Update::new(target, &mut store, release.request().save_every(512));
    let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing was stored") };
    run(session.write(&image[..1000])).unwrap();
    drop(update);
    store.fail_after(1);
    let (_, target, _) = device.open(&mut shared);
    let mut update = Update::new(target, &mut store, release.request().save_every(512));
    let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("not all is stored") };
    run(session.write(&image[session.offset() as usize..])).unwrap();
    let _ = run(session.finish()).unwrap();
}

#[test]
fn alignments_of_the_trailer_resume_alike() {
    let image = image();
    for align in [Align::A8, Align::A16, Align::A32] {
        let device = device(BOARD.align(align));
        let release = Release::new(&image);
        begin(&device, &image, release.request(), 5000, None);
        assert_eq!(asks_again(&device, &release), 4096);
        assert_eq!(finish(&device, &release), image.len() as u32 - 4096);
    }
}
