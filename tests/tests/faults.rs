//! Flash that fails, or says that it worked and did not: an update ends right, or with an error and no mark.

use dfu_target::session::{Failed, SessionError};
use dfu_target::{Begun, ErrorKind, Update};
use dfu_target_mcuboot::{Mode, Upgrade};
use dfu_testkit::device::{Board, Device, Failure, Phase, Release, Visit};
use dfu_testkit::flash::Fault;
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::poll::run;

const OLD_SIZE: usize = 2000;

/// An application that does not give up: it resumes, or starts over where what is stored is wrong.
fn stubborn<const W: usize, const E: usize, const R: usize>(
    device: &Device<W, E, R>,
    release: &Release<'_>,
) -> Vec<Failure> {
    let size = release.file().len() as u32;
    let mut failures = Vec::new();
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, release.request());
    for _ in 0..6 {
        let error = match run(update.begin()) {
            Err(error) => error,
            Ok(Begun::Receiving(mut session)) => {
                let wrong = failures.last().is_some_and(|error: &Failure| error.kind() == ErrorKind::Corrupt);
                if wrong {
                    session.restart();
                }
                let mut error = None;
                while session.offset() < size && error.is_none() {
                    error = run(session.write(release.piece(session.offset()))).err();
                    if let Some(SessionError::Target(_)) = error {
                        // A resume in the same process; where it fails too, all begins again.
                        failures.extend(error.take());
                        error = run(session.resume()).err();
                    }
                }
                match error {
                    Some(error) => error,
                    None => match run(session.finish()) {
                        Ok(_) => continue,
                        Err(failed) => failed.into_error(),
                    },
                }
            }
            Ok(Begun::Staged(staged)) => {
                let result = staged.verify(release.digest()).map_err(Failed::into_error);
                match result.and_then(|verified| run(verified.apply()).map_err(Failed::into_error)) {
                    Ok(_) => return failures,
                    Err(error) => error,
                }
            }
        };
        failures.push(error);
    }
    panic!("no end of it: {failures:?}");
}

fn sweep<const W: usize, const E: usize, const R: usize>(board: Board, fault: Fault) -> usize {
    let device = Device::<W, E, R>::new(board);
    let old = ImageBuilder::new().total_size(OLD_SIZE).build();
    let new = ImageBuilder::new().version(2, 0, 0, 0).total_size(device.slots().max_image() as usize).build();
    device.install(&old);
    let older = ImageBuilder::new().version(0, 9, 0, 0).build();
    // The slot has a past that is not erased.
    let _ = device.update(&Release::new(&older), &mut Visit::default()).unwrap();
    device.withdraw().unwrap();
    device.chip().sim().checkpoint();
    let mut noticed = 0;
    for operation in 0.. {
        device.chip().sim().rollback();
        device.chip().sim().fault_after(operation, fault);
        let failures = stubborn(&device, &Release::new(&new).chunk(600));
        noticed += usize::from(!failures.is_empty());
        let due = device.chip().sim().fault_is_due();
        let boot = device.boot();
        assert_eq!(boot.refused, None, "{fault:?} at {operation}: a bad image was pending: {failures:?}");
        assert!(device.holds(device.primary(), &new), "{fault:?} at {operation}: {failures:?}");
        if due {
            assert!(operation > 5, "{fault:?}");
            return noticed;
        }
    }
    unreachable!()
}

fn each_geometry(fault: Fault) -> usize {
    sweep::<4, 1024, 4>(Board::new(Mode::SwapMove, 8 * 1024).sectors(8), fault)
        + sweep::<8, 1024, 1>(Board::new(Mode::SwapScratch, 5 * 1024).sectors(8).upgrade(Upgrade::Permanent), fault)
        + sweep::<4, 1024, 1>(Board::new(Mode::OverwriteOnly, 5 * 1024).sectors(8).erased(0), fault)
}

#[test]
fn r04_an_operation_that_fails_is_done_again() {
    for fault in [Fault::Failed, Fault::FailedRead, Fault::FailedWrite, Fault::FailedErase] {
        assert!(each_geometry(fault) > 10, "{fault:?} went unnoticed");
    }
}

#[test]
fn r04_a_write_that_did_not_happen_is_found_out() {
    for fault in [Fault::SilentWrite, Fault::WeakWrite] {
        assert!(each_geometry(fault) > 10, "{fault:?} went unnoticed");
    }
}

#[test]
fn r04_an_erase_that_did_not_happen_is_found_out() {
    assert!(each_geometry(Fault::SilentErase) > 2);
}

#[test]
fn r04_a_bit_that_is_read_wrong_is_found_out() {
    assert!(each_geometry(Fault::FlippedRead) > 2);
}

#[test]
fn r21_a_device_whose_update_failed_runs_what_it_ran() {
    let device = Device::<4, 1024>::new(Board::new(Mode::SwapMove, 8 * 1024).sectors(8));
    let (old, new) = (ImageBuilder::new().build(), ImageBuilder::new().version(2, 0, 0, 0).payload(3000).build());
    device.install(&old);
    device.chip().sim().checkpoint();
    for operation in 0.. {
        device.chip().sim().rollback();
        device.chip().sim().fault_after(operation, Fault::WeakWrite);
        let mut visit = Visit::default();
        let result = device.update(&Release::new(&new), &mut visit);
        if device.chip().sim().fault_is_due() {
            break;
        }
        let boot = device.boot();
        assert_eq!(boot.refused, None, "at {operation}: {result:?}");
        // A mark that reads back wrong is an error, and may be right enough for MCUboot.
        assert_eq!(
            boot.swapped.is_some() || visit.phase == Phase::Apply,
            result.is_ok() || visit.phase == Phase::Apply
        );
        let runs = if boot.swapped.is_some() { &new } else { &old };
        assert!(device.holds(device.primary(), runs), "at {operation}: {result:?}");
    }
}
