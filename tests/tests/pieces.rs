//! Small pieces are gathered in RAM by plain code, without a wait, and nothing else changes by that.

use core::future::Future;

use dfu_target::session::{Call, SessionError};
use dfu_target::{Begun, DfuTarget, Image, ImageKind, ProgressStore, Request, Session, Update, Written};
use dfu_target_mcuboot::Mode;
use dfu_testkit::device::{Board, Device, Release};
use dfu_testkit::flash::Cut;
use dfu_testkit::image::{ImageBuilder, ImageFile};
use dfu_testkit::poll::{count_polls, run};

type Phone = Device<4, 1024, 4>;

/// The bytes that the device's target has room for.
const BUFFER: usize = 256;

fn device() -> (Phone, ImageFile) {
    let device = Phone::new(Board::new(Mode::SwapMove, 10 * 1024).sectors(10));
    device.install(&ImageBuilder::new().build());
    (device, ImageBuilder::new().version(2, 0, 0, 0).payload(5003).signature(71).build())
}

fn receiving<'u, T: DfuTarget, S: ProgressStore>(update: &'u mut Update<T, S>) -> Session<'u, T, S> {
    let Ok(Begun::Receiving(session)) = run(update.begin()) else { panic!("nothing is stored yet") };
    session
}

#[test]
fn r12_small_pieces_are_written_a_buffer_at_a_time() {
    let (device, image) = device();
    let release = Release::new(&image);
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, release.request().save_every(1024));
    let mut session = receiving(&mut update);
    let (mut waits, mut calls) = (0, 0);
    let mut last = Written::Committed(0);
    for piece in image.chunks(16) {
        let writes = device.chip().sim().counts().writes;
        let (written, polls) = count_polls(session.write(piece));
        let written = written.unwrap();
        if device.chip().sim().counts().writes == writes {
            // Without an operation nothing more is safe, and nobody waits.
            assert!(written == last || session.offset() <= 64, "{written:?} after {last:?}");
            assert_eq!(polls, 1);
        } else {
            waits += 1;
        }
        last = written;
        calls += 1;
    }
    assert!(calls > 300 && waits <= image.len() / BUFFER + image.len() / 1024 + 2, "{waits} of {calls}");
    let staged = run(session.finish()).unwrap();
    assert_eq!(staged.checked().digest, *release.digest());
}

#[test]
fn r11_what_is_only_in_ram_never_counts() {
    let (device, image) = device();
    device.chip().sim().checkpoint();
    for (size, save_every) in (1..=40).map(|size| (size, 1024)).chain([(13, 100), (64, 4096), (255, 2048), (256, 512)])
    {
        device.chip().sim().rollback();
        let request = Release::new(&image).request().save_every(save_every);
        let mut shared = device.share();
        let (_, target, log) = device.open(&mut shared);
        let mut update = Update::new(target, log, request);
        let mut session = receiving(&mut update);
        for piece in image.chunks(size) {
            let at = session.offset() as usize;
            let Written::Committed(durable) = run(session.write(piece)).unwrap() else { panic!("nothing is lost") };
            assert_eq!((session.durable(), session.offset() as usize), (durable, at + piece.len()));
            let start = device.secondary().start;
            assert!(device.holds(start..start + durable, &image[..durable as usize]), "{durable} in pieces of {size}");
            // Progress is stored where it always was: behind a whole number of pieces all is in the flash.
            if session.offset().is_multiple_of(1024) {
                assert_eq!(durable, session.offset(), "pieces of {size}");
            }
        }
        assert_eq!(run(session.finish()).unwrap().checked().digest, *Release::new(&image).digest());
    }
}

#[test]
fn r09_after_a_failed_or_dropped_call_small_pieces_wait_too() {
    let (device, image) = device();
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, Release::new(&image).request());
    let mut session = receiving(&mut update);
    run(session.write(&image[..1100])).unwrap();
    run(session.write(&image[1100..1104])).unwrap();
    // A call is what it is from the moment that it is made.
    drop(session.call(Call::Resume));
    assert!(matches!(run(session.write(&image[1104..1108])), Err(SessionError::Interrupted)));

    let at = run(session.resume()).unwrap() as usize;
    run(session.write(&image[at..1100])).unwrap();
    device.chip().sim().cut_after(0, Cut::Before);
    assert!(run(session.write(&image[1100..3000])).is_err());
    device.chip().sim().power_on();
    assert!(matches!(run(session.write(&image[1100..1104])), Err(SessionError::Interrupted)));

    let at = run(session.resume()).unwrap() as usize;
    for piece in image[at..].chunks(7) {
        run(session.write(piece)).unwrap();
    }
    assert_eq!(run(session.finish()).unwrap().checked().digest, *Release::new(&image).digest());
}

#[test]
fn r16_a_size_that_is_known_late_bounds_small_pieces_too() {
    let (device, image) = device();
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let digest = *Release::new(&image).digest();
    let mut update = Update::new(target, log, Request::of(digest));
    let mut session = receiving(&mut update);
    let (size, at) = (image.len() as u32, image.len() - 20);
    run(session.write(&image[..at])).unwrap();
    assert_eq!(session.agree(Some(size), 0), Ok(at as u32));
    for left in [20, 10] {
        let too_long = run(session.write(&[0; 21][..left + 1]));
        assert!(matches!(too_long, Err(SessionError::TooLong { size: known }) if known == size));
        let at = image.len() - left;
        run(session.write(&image[at..at + 10])).unwrap();
    }
    assert_eq!(run(session.finish()).unwrap().checked().digest, digest);
}

/// Which of these calls took their bytes.
fn taken<T: DfuTarget>(target: &mut T, pieces: &[&[u8]]) -> Vec<bool> {
    pieces.iter().map(|piece| target.take(piece)).collect()
}

#[test]
fn a_target_takes_what_fits_and_nothing_else() {
    fn done<T, E: core::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
        run(future).unwrap()
    }
    let (device, image) = device();
    let mut shared = device.share();
    let (_, mut target, _) = device.open(&mut shared);
    let size = image.len();
    assert!(!target.take(&image[..1]), "no image was taken");
    let head = Image { size: Some(size as u32), head: &image[..64], ..Image::new(ImageKind::Mcuboot) };
    assert_eq!(done(target.init(&head, 0)), 0);
    assert_eq!(done(target.write(&image[..64])), Written::Committed(64));
    // One byte less than the buffer, and no more.
    let end = 64 + BUFFER;
    assert_eq!(
        taken(&mut target, &[&image[64..end], &image[64..end - 1], &image[end - 1..end], &[]]),
        [false, true, false, true]
    );
    let end = end - 1;
    assert_eq!(done(target.write(&image[end..1020])), Written::Committed(1020));
    // Not up to the end of an erase unit, which is written at once; but beyond it.
    assert_eq!(taken(&mut target, &[&image[1020..1024], &image[1020..1025]]), [false, true]);
    done(target.write(&image[1025..size - 2]));
    // Not a byte more than the image has.
    assert_eq!(taken(&mut target, &[&[0; 3], &image[size - 2..], &[0]]), [false, true, false]);
    assert_eq!(done(target.digest()).digest, *Release::new(&image).digest());
    assert!(!target.take(&[]), "all of it came");
}
