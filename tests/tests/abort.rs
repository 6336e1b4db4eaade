//! Giving an update up drops what it stored, and nothing else.

use dfu_target::{Begun, Digest, ErrorKind, ImageId, Request, Update};
use dfu_target_mcuboot::{Flag, Mode};
use dfu_testkit::device::{Board, Device, MODES, Release, Visit};
use dfu_testkit::flash::{Cut, Fault};
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::poll::run;

fn device() -> Device<4, 4096> {
    Device::new(Board::new(Mode::SwapMove, 8 * 4096))
}

/// The session of an update that wants bytes.
macro_rules! receiving {
    ($update:ident) => {
        match run($update.begin()).unwrap() {
            Begun::Receiving(session) => session,
            Begun::Staged(_) => panic!("all of it is there"),
        }
    };
}

#[test]
fn what_the_target_holds_of_something_else_stays() {
    let device = device();
    // The image that a swap left there, and is the way back.
    let old = ImageBuilder::new().payload(9000).build();
    device.chip().sim().load(device.secondary().start, &old);
    let before = device.read(0..device.log().end);
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, Request::new(ImageId::named("another")));
    let mut session = receiving!(update);
    // A part of a head is no image yet.
    run(session.write(&old[..40])).unwrap();
    run(session.abort()).unwrap();
    assert_eq!(session.offset(), 0);
    assert_eq!(device.read(0..device.log().end), before);
    assert_eq!(device.chip().sim().points(), 0);
}

#[test]
fn r13_what_was_stored_is_gone_with_its_progress() {
    let image = ImageBuilder::new().payload(9000).build();
    let device = device();
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, Request::of(Digest(image.digest())));
    let mut session = receiving!(update);
    run(session.write(&image[..6000])).unwrap();
    run(session.abort()).unwrap();
    drop(update);
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, Request::of(Digest(image.digest())));
    assert_eq!(receiving!(update).offset(), 0);
    assert_eq!(device.read(device.secondary().start..device.secondary().start + 4), [0xff; 4]);
}

#[test]
fn r22_a_request_to_swap_is_withdrawn() {
    let image = ImageBuilder::new().payload(9000).build();
    let device = device();
    let mut shared = device.share();
    let (_, mut target, log) = device.open(&mut shared);
    let mut update = Update::new(&mut target, log, Request::of(Digest(image.digest())));
    let mut session = receiving!(update);
    run(session.write(&image)).unwrap();
    let staged = run(session.finish()).unwrap();
    let _ = run(staged.verify(&Digest(image.digest())).unwrap().apply()).unwrap();
    let Begun::Staged(staged) = run(update.begin()).unwrap() else { panic!("it is there") };
    assert!(staged.attempted());
    run(staged.into_session().abort()).unwrap();
    assert_eq!(run(target.mark()).unwrap().magic, Flag::Unset);
    assert!(device.boot().swapped.is_none());
}

#[test]
fn r20_an_abort_that_failed_is_repeated_to_its_end() {
    let image = ImageBuilder::new().payload(9000).build();
    let device = device();
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, Request::of(Digest(image.digest())));
    let mut session = receiving!(update);
    run(session.write(&image[..6000])).unwrap();
    device.chip().sim().fault_after(0, Fault::FailedErase);
    assert_eq!(run(session.abort()).unwrap_err().kind(), ErrorKind::Storage);
    // Nothing else goes before it is done.
    assert_eq!(run(session.write(&image)).unwrap_err().kind(), ErrorKind::Order);
    run(session.abort()).unwrap();
    assert_eq!(device.read(device.secondary().start..device.secondary().start + 4), [0xff; 4]);
    // And the session takes the image from its start.
    run(session.write(&image)).unwrap();
    assert!(run(session.finish()).is_ok());
}

#[test]
fn to_withdraw_where_nothing_waits_changes_nothing() {
    for mode in MODES {
        let board = Board::new(mode, 8 * 1024).sectors(12);
        let device = Device::<4, 1024>::new(board);
        device.install(&board.image().build());
        let image = board.image().version(2, 0, 0, 0).payload(5000).build();
        let release = Release::new(&image);
        // Amid the image, with some of it stored.
        device.chip().sim().cut_after(900, Cut::Before);
        device.update(&release, &mut Visit::default()).unwrap_err();
        device.chip().sim().power_on();
        let before = device.read(device.target());
        device.withdraw().unwrap();
        assert!(device.read(device.target()) == before, "{mode:?}");
        let mut visit = Visit::default();
        let _ = device.update(&release, &mut visit).unwrap();
        assert!(visit.from > Some(0), "{mode:?}: {visit:?}");
        assert_eq!(device.boot().running.unwrap().version.major, 2, "{mode:?}");
    }
}
