//! R20: whatever the slot, its trailer and the log hold, giving up and beginning again works, in bounded time.

use dfu_target::{Begun, DfuTarget, Update};
use dfu_target_mcuboot::Mode;
use dfu_testkit::device::{Board, MODES, Release, Visit};
use dfu_testkit::poll::run;
use dfu_testkit::source::FlakySource;
use fota_download::Job;

use crate::call::{Small, call};

/// What a region may hold after anything: noise, erased or all programmed flash with noise in it, or shreds of what
/// was there.
fn spoil(bytes: &mut [u8], random: &mut fastrand::Rng) {
    match random.u8(0..4) {
        0 => random.fill(bytes),
        1 => bytes.fill(0xff),
        2 => bytes.fill(0),
        _ => {}
    }
    for _ in 0..random.usize(0..6) {
        let from = random.usize(0..bytes.len());
        let to = (from + random.usize(0..64)).min(bytes.len());
        random.fill(&mut bytes[from..to]);
    }
    if random.bool() {
        // Most of what is decided hangs on the last words.
        let end = bytes.len();
        let from = end - random.usize(0..64);
        random.fill(&mut bytes[from..]);
    }
}

/// An update is begun by an application that gives up what is in its way; how many operations all of it took.
fn overcome(device: &Small, release: &Release<'_>) -> u64 {
    device.chip().sim().reset_counts();
    if device.update(release, &mut Visit::default()).is_err() {
        let mut shared = device.share();
        let (_, mut target, log) = device.open(&mut shared);
        run(target.abort()).expect("a slot can be given up whatever is in it");
        let mut update = Update::new(target, log, release.request());
        match run(update.begin()).expect("a slot that was given up can be taken") {
            Begun::Receiving(mut session) => run(session.abort()).expect("an update can be given up"),
            Begun::Staged(_) => panic!("nothing is there"),
        }
        drop(update);
        drop(shared);
        let _ = device.update(release, &mut Visit::default()).expect("nothing is in the way any more");
    }
    let counts = device.chip().sim().counts();
    counts.reads + counts.writes + counts.erases
}

#[test]
fn r20_random_slots_trailers_and_logs_never_keep_an_update_from_beginning() {
    let rounds = if cfg!(debug_assertions) { 500 } else { 10_000 };
    for (nth, mode) in MODES.into_iter().enumerate() {
        let board = Board::new(mode, 8 * 1024).sectors(8);
        let device = Small::new(board);
        device.install(&board.image().build());
        let image = |major| board.image().version(major, 0, 0, 0).seed(major.into()).payload(1500);
        let [new, other] = [3, 2].map(|major| image(major).build());
        let release = Release::new(&new).save_every(512);
        device.chip().sim().checkpoint();
        let runs = device.runs();
        let clean = overcome(&device, &release);
        let mut random = fastrand::Rng::with_seed(20 + nth as u64);
        let mut most = 0;
        for round in 0..rounds {
            device.chip().sim().rollback();
            device.set_runs(runs);
            // All of another update is there, half of this one, or nothing.
            match round % 3 {
                0 => {
                    let _ = device.update(&Release::new(&other), &mut Visit::default()).unwrap();
                }
                1 => device.fetch(&release, 1000, &mut Visit::default()).unwrap(),
                _ => {}
            }
            let parts = [device.target(), device.log()];
            for part in parts {
                device.chip().sim().edit(part, |bytes| spoil(bytes, &mut random));
            }
            most = most.max(overcome(&device, &release));
            let boot = device.boot();
            assert_eq!(boot.running.expect("something runs").version.major, 3, "{mode:?}, round {round}");
        }
        assert!(most <= 3 * clean + 200, "{mode:?}: {most} operations, {clean} on a clean device");
        println!("R20: {mode:?}: {rounds} random states, at most {most} flash operations, {clean} on a clean device");
    }
}

#[test]
fn r20_a_beginning_that_was_spoilt_keeps_no_job_from_its_end() {
    let board = Board::new(Mode::SwapMove, 10 * 1024).sectors(10).recall(false);
    let device = Small::new(board);
    device.install(&board.image().build());
    let new = board.image().version(2, 0, 0, 0).payload(5000).build();
    let release = Release::new(&new);
    device.fetch(&release, 4000, &mut Visit::default()).unwrap();
    device.chip().sim().checkpoint();
    // Behind the header, which is looked at when the update begins, by a target that looks at nothing else.
    for at in (32..3000).step_by(61) {
        device.chip().sim().rollback();
        device.chip().sim().flip(device.target().start + at, (at % 8) as u8);
        let mut source = FlakySource::new(&new).without_tags();
        let first = call(&device, &mut source, &Job::of(*release.digest()), |_| ());
        let second = call(&device, &mut source, &Job::of(*release.digest()), |_| ());
        assert!(first.is_err() && second.is_ok(), "byte {at}: {first:?}, then {second:?}");
    }
}
