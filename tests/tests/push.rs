//! A transport that pushes needs no source: it hands its pieces to the session as they come.

use dfu_target::session::SessionError;
use dfu_target::{Begun, ImageId, ImageKind, Request, Update, Written};
use dfu_target_mcuboot::{Mode, RunningState};
use dfu_testkit::device::{Board, Device, Release};
use dfu_testkit::image::{ImageBuilder, ImageFile};
use dfu_testkit::poll::run;

type Phone = Device<4, 1024, 4>;

fn device() -> (Phone, ImageFile) {
    let device = Phone::new(Board::new(Mode::SwapMove, 10 * 1024).sectors(10));
    device.install(&ImageBuilder::new().build());
    (device, ImageBuilder::new().version(2, 0, 0, 0).payload(5003).signature(71).build())
}

#[test]
fn r12_an_image_is_pushed_in_uneven_pieces_with_block_0_twice_and_a_restart_in_the_middle() {
    let (device, image) = device();
    let release = Release::new(&image);
    let mut rng = fastrand::Rng::with_seed(3);
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, Request::new(ImageId::named("pushed")));
    {
        let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing is stored yet") };
        assert!(matches!(run(session.write(&image[..100])), Ok(Written::Committed(0..=100))));
        assert_eq!(session.kind(), Some(ImageKind::Mcuboot));
        // The peer did not hear the answer, and begins again.
        session.restart();
        assert_eq!(session.offset(), 0);
        run(session.write(&image[..100])).unwrap();
        while session.offset() < 3000 {
            let at = session.offset() as usize;
            run(session.write(&image[at..at + rng.usize(0..200)])).unwrap();
        }
        // It was cut off, and starts over.
        session.restart();
        assert_eq!((session.offset(), session.durable(), session.kind()), (0, 0, None));
        while (session.offset() as usize) < image.len() {
            let at = session.offset() as usize;
            let piece = &image[at..image.len().min(at + rng.usize(0..300))];
            run(session.write(piece)).unwrap();
            assert_eq!(session.offset() as usize, at + piece.len());
        }
        let staged = run(session.finish()).unwrap();
        let _ = run(staged.verify(release.digest()).unwrap().apply()).unwrap();
    }
    drop(update);
    assert!(device.boot().swapped.is_some());
    assert!(device.holds(device.primary(), &image));
    assert_eq!(device.state(), RunningState::Trial);
}

#[test]
fn r26_numbered_blocks_may_come_twice_and_overlap_and_a_gap_is_refused() {
    let (device, image) = device();
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, Release::new(&image).request());
    let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing is stored yet") };
    let block = |n: usize| &image[n * 256..image.len().min((n + 1) * 256)];
    let mut at = 0;
    while at < image.len() {
        assert_eq!(session.offset() as usize, at);
        let gap = run(session.write_at(at as u32 + 1, block(at / 256)));
        assert_eq!(gap, Err(SessionError::Gap { wanted: at as u32, offset: at as u32 + 1 }));
        // The block, of which a part may be there already; the same again; the first one; nothing.
        let n = at / 256;
        run(session.write_at(n as u32 * 256, block(n))).unwrap();
        let after = session.offset();
        assert_eq!(after as usize, n * 256 + block(n).len());
        for (number, bytes) in [(n, block(n)), (0, block(0)), (n, &block(n)[..1]), (n, &[])] {
            run(session.write_at(number as u32 * 256, bytes)).unwrap();
            assert_eq!(session.offset(), after);
        }
        // One that overlaps what is there by ten bytes, and goes on for a hundred.
        let end = image.len().min(after as usize + 100);
        run(session.write_at(after - 10, &image[after as usize - 10..end])).unwrap();
        at = end;
    }
    let staged = run(session.finish()).unwrap();
    assert_eq!(staged.checked().digest, *Release::new(&image).digest());
}
