//! What is gone on with, from where, and what is forgotten before anything is erased: both updates of the modem.

use std::ops::Range;

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::progress::Progress;
use dfu_target::session::{Failed, SessionError};
use dfu_target::{Begun, DfuTarget, Digest, ImageId, ProgressLog, ProgressStore, Request, Update};
use dfu_target_nrf_modem::ModemFull;
use dfu_testkit::flash::Cut;
use dfu_testkit::modem::{Content, DeltaFile, FakeModem, FullFile, uuid};
use dfu_testkit::poll::run;
use dfu_testkit::store::RamStore;

use crate::full::small;
use crate::push::{Push, Until};
use crate::staged::Device as Full;
use crate::stored::Device as Delta;

/// From where bytes are wanted.
fn wanted<T: DfuTarget>(target: T, store: &mut RamStore, request: Request) -> u32 {
    let mut update = Update::new(target, store, request);
    match run(update.begin()).unwrap() {
        Begun::Receiving(session) => session.offset(),
        Begun::Staged(_) => panic!("half of it is stored"),
    }
}

/// Half of an update is stored: none but this very one goes on with it.
fn goes_on_with_the_same_only<T: DfuTarget>(target: impl Fn() -> T, push: Push<'_>, store: &mut RamStore) {
    let size = push.file.len() as u32;
    run(push.run(target(), &mut *store, Until::Received(size * 2 / 3))).unwrap();
    let digest = push.digest();
    for (what, other) in [
        ("id", Request::of(Digest([7; 32])).size(size)),
        ("name", Request::new(ImageId::named("the modem's")).size(size)),
        ("size", Request::of(digest).size(size + 1)),
        ("smaller size", Request::of(digest).size(size / 2)),
        ("index", Request::of(digest).size(size).index(1)),
    ] {
        assert_eq!(wanted(target(), store, other), 0, "another {what}");
    }
    assert!(wanted(target(), store, Request::of(digest).size(size)) > 0, "asking for something else costs nothing");
}

#[test]
fn r10_a_full_update_goes_on_with_the_same_file_in_the_same_region_only() {
    let device = Full::<4, 1024>::new(&small(), 300);
    let mut store = RamStore::new();
    let Range { start, end } = device.ours();
    let target = |less: u32| {
        let shared = Box::leak(Box::new(Shared::new(device.chip.clone())));
        let [region] = shared.split(&Layout::checked([(start, end - start - 2048 - less)]).unwrap());
        ModemFull::<_, _, 256>::new(region, SoftSha256::default())
    };
    goes_on_with_the_same_only(|| target(0), device.push(&device.file), &mut store);
    let request = Request::of(device.push(&device.file).digest()).size(device.file.len() as u32);
    assert_eq!(wanted(target(1024), &mut store, request), 0, "another region");
}

#[test]
fn r10_a_delta_goes_on_with_the_same_file_only() {
    let device = Delta::new(1700, true, false);
    let life = device.restore();
    device.modem.start_normal().unwrap();
    goes_on_with_the_same_only(|| device.target(&life), device.push(), &mut RamStore::new());
}

#[test]
fn r11_what_a_full_update_calls_durable_lies_in_the_flash() {
    let device = Full::<4, 1024>::new(&small(), 300);
    let start = device.ours().start as usize;
    let request = Request::of(device.push(&device.file).digest()).size(device.file.len() as u32);
    device.with(|target, _| {
        let mut update = Update::new(target, RamStore::new(), request);
        let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing is stored") };
        let mut most = 0;
        for piece in device.file.chunks(77) {
            run(session.write(piece)).unwrap();
            let durable = session.durable() as usize;
            assert!(device.chip.sim().bytes()[start..start + durable] == device.file[..durable], "{durable} bytes");
            most = most.max(durable);
        }
        assert!(most > device.file.len() / 2);
    });
}

#[test]
fn r11_what_was_spoilt_of_a_full_update_since_is_found_before_a_byte_more_is_fetched() {
    let device = Full::<4, 1024>::new(&small().ranges(&[(0x6000, 6000)]), 300);
    let request = Request::of(device.push(&device.file).digest()).size(device.file.len() as u32);
    for at in (0..4096).step_by(97) {
        let (_, mut store) = (device.restore(), RamStore::new());
        device.modem.start_normal().unwrap();
        let push = |until, store: &mut RamStore| {
            device.with(|target, _| run(device.push(&device.file).run(target, store, until)))
        };
        push(Until::Received(5000), &mut store).unwrap();
        let offset = |store: &mut RamStore| device.with(|target, _| wanted(target, store, request.clone()));
        assert_eq!(offset(&mut store), 4096, "as it was it is gone on with");
        device.chip.sim().flip(device.ours().start + at, 3);
        assert_eq!(offset(&mut store), 0, "byte {at}");
        push(Until::Applied, &mut store).expect("it is fetched again");
        assert!(device.region().starts_with(&device.file), "byte {at}");
    }
}

#[test]
fn r11_a_full_update_that_is_all_there_goes_on_though_its_size_was_never_told() {
    // It ends with an erase unit, so that all of it is promised before the stream is ended.
    let file = |len| small().ranges(&[(0x6000, len)]);
    let len = (4000..6000).find(|len| file(*len).build().len().is_multiple_of(1024)).unwrap();
    let device = Full::<4, 1024>::new(&file(len), 300);
    let request = || Request::of(device.push(&device.file).digest()).save_every(1);
    let mut store = RamStore::new();
    device.with(|target, _| {
        let mut update = Update::new(target, &mut store, request());
        let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing is stored") };
        for piece in device.file.chunks(77) {
            run(session.write(piece)).unwrap();
        }
    });
    let offset = device.with(|target, _| wanted(target, &mut store, request()));
    assert_eq!(offset as usize, device.file.len());
}

#[test]
fn r13_a_record_is_gone_before_anything_of_its_full_update_is_erased() {
    let device = Full::<4, 1024>::new(&small(), 300);
    let other = FullFile::small(uuid(9)).version(4, 1).build();
    let (mut changed, mut points) = (0, 0);
    for gives_up in [true, false] {
        for point in 0.. {
            let _ = device.restore();
            device.modem.start_normal().unwrap();
            let run_on = |file, until| {
                device.with(|target, log| {
                    let store = ProgressLog::<_, 192>::new(log);
                    run(device.push(file).run(target, store, until))
                })
            };
            run_on(&device.file, Until::Received(device.file.len() as u32 * 2 / 3)).unwrap();
            let before = device.region();
            device.modem.cut_after(point, Cut::Before);
            let over = if gives_up { gives(&device) } else { run_on(&other, Until::Received(900)).is_ok() };
            device.modem.power_on();
            let record = device.with(|_, log| run(ProgressLog::<_, 192>::new(log).load()));
            if device.region() != before {
                changed += 1;
                assert!(!is_of(record.as_ref(), &device.file), "point {point}: erased, and {record:?} says otherwise");
            }
            if over {
                break;
            }
            points += 1;
        }
    }
    assert!(changed > 2 && points > changed, "{points} {changed}");
}

#[test]
fn r13_a_record_is_gone_before_anything_of_its_delta_is_erased() {
    let device = Delta::new(1700, true, true);
    let other = DeltaFile::new(FakeModem::FIRST, uuid(4)).seed(4).build();
    let (mut changed, mut points) = (0, 0);
    for gives_up in [true, false] {
        for point in 0.. {
            let mut life = device.restore();
            device.modem.start_normal().unwrap();
            let mut target = device.target(&life);
            device.with_store(&mut life, |store| {
                run(device.push().run(&mut target, store, Until::Received(1200))).unwrap();
            });
            let before = device.modem.save();
            device.modem.cut_after(point, Cut::Before);
            let over = device.with_store(&mut life, |store| {
                if gives_up {
                    let request = Request::of(device.push().digest()).size(device.file.len() as u32);
                    return run(give_up(&mut Update::new(&mut target, store, request))).is_ok();
                }
                let push = Push { file: &other, ..device.push() };
                run(push.run(&mut target, store, Until::Received(700))).is_ok()
            });
            drop(target);
            device.modem.power_on();
            let record = device.with_store(&mut life, |store| run(store.load()));
            if device.modem.save() != before {
                changed += 1;
                assert!(!is_of(record.as_ref(), &device.file), "point {point}: erased, and {record:?} says otherwise");
            }
            if over {
                break;
            }
            points += 1;
        }
    }
    assert!(changed > 2 && points > changed, "{points} {changed}");
}

/// Gives a full update up; whether that went through.
fn gives(device: &Full<4, 1024>) -> bool {
    let request = Request::of(device.push(&device.file).digest()).size(device.file.len() as u32);
    device.with(|target, log| {
        let mut update = Update::new(target, ProgressLog::<_, 192>::new(log), request);
        run(give_up(&mut update)).is_ok()
    })
}

async fn give_up<T: DfuTarget, S: ProgressStore>(update: &mut Update<T, S>) -> Result<(), SessionError<T::Error>> {
    match update.begin().await? {
        Begun::Receiving(mut session) => session.abort().await,
        Begun::Staged(staged) => staged.into_session().abort().await,
    }
}

/// Whether a record promises bytes of this file.
fn is_of(record: Option<&Progress>, file: &[u8]) -> bool {
    let digest = Push { file, chunk: 1, save_every: 1, prepares: false }.digest();
    record.is_some_and(|record| record.id() == ImageId(digest.0) && record.offset() > 0)
}

#[test]
fn r12_a_delta_in_any_pieces_with_resets_lies_in_the_modem_bit_for_bit() {
    let device = Delta::new(1700, true, false);
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut life = device.restore();
        device.modem.start_normal().unwrap();
        let mut left = 4;
        loop {
            let target = device.target(&life);
            let request = Request::of(device.push().digest()).size(device.file.len() as u32).save_every(64);
            let over = device
                .with_store(&mut life, |store| pieces(target, store, request, &device.file, &mut random, &mut left));
            if over {
                break;
            }
            device.modem.power_on();
            device.modem.start_normal().unwrap();
        }
        assert_eq!(device.modem.save().content, Content::Bytes(device.file.clone()), "seed {seed}");
    }
}

#[test]
fn r12_a_full_update_in_any_pieces_with_resets_lies_in_the_flash_bit_for_bit() {
    let device = Full::<4, 1024>::new(&small(), 300);
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let _ = device.restore();
        let mut left = 4;
        let request = || Request::of(device.push(&device.file).digest()).size(device.file.len() as u32).save_every(64);
        while !device.with(|target, log| {
            let store = ProgressLog::<_, 192>::new(log);
            pieces(target, store, request(), &device.file, &mut random, &mut left)
        }) {}
        assert!(device.region().starts_with(&device.file), "seed {seed}");
    }
}

/// Sends a file in pieces of chance; `false`: there was a reset meanwhile.
fn pieces<T: DfuTarget, S: ProgressStore>(
    target: T,
    store: S,
    request: Request,
    file: &[u8],
    random: &mut fastrand::Rng,
    resets: &mut u32,
) -> bool {
    let mut update = Update::new(target, store, request);
    let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { return true };
    while (session.offset() as usize) < file.len() {
        if *resets > 0 && random.u8(..) < 20 {
            *resets -= 1;
            return false;
        }
        let at = session.offset() as usize;
        run(session.write(&file[at..file.len().min(at + random.usize(1..200))])).unwrap();
    }
    let _ = run(session.finish()).map_err(Failed::into_error).unwrap();
    true
}
