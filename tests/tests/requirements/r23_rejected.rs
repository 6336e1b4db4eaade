//! R23: an image that came back is not fetched again unless the job says so; one that is refused costs its bytes once.

use dfu_target::{Digest, ImageId};
use dfu_target_mcuboot::{Mode, Upgrade};
use dfu_testkit::device::{Board, Release};
use dfu_testkit::image::ImageFile;
use dfu_testkit::source::FlakySource;
use fota_download::Job;

use crate::call::{Small, call};

fn devices() -> impl Iterator<Item = (Mode, Small, ImageFile)> {
    [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset].into_iter().map(|mode| {
        let board = Board::new(mode, 10 * 1024).sectors(10).upgrade(Upgrade::Test);
        let device = Small::new(board);
        device.install(&board.image().build());
        (mode, device, board.image().version(2, 0, 0, 0).payload(4000).build())
    })
}

#[test]
fn r23_an_image_that_came_back_costs_no_byte_and_no_trial_until_it_is_asked_for_again() {
    for (mode, device, new) in devices() {
        let (mut source, digest) = (FlakySource::new(&new), *Release::new(&new).digest());
        for job in [Job::of(digest), Job::new(ImageId::named("latest")).digest(digest)] {
            let _ = call(&device, &mut source, &job.clone().again(), |_| ()).unwrap();
            device.boot();
            device.boot();
            let given = source.given();
            for _ in 0..3 {
                let text = call(&device, &mut source, &job, |_| ()).unwrap_err();
                assert!(text.contains("applied before and came back"), "{mode:?}: {text}");
                assert_eq!(source.given(), given, "{mode:?}: it was fetched again");
                assert!(device.boot().swapped.is_none(), "{mode:?}: it was tried again");
            }
        }
        let _ = call(&device, &mut source, &Job::of(digest).again(), |_| ()).unwrap();
        assert!(device.boot().swapped.is_some(), "{mode:?}");
    }
}

#[test]
fn r23_a_file_that_is_wrong_is_fetched_twice_never_tried_and_then_left_alone_until_it_is_asked_for_again() {
    for (mode, device, new) in devices() {
        // Right by its digest, and not by the hash that it carries.
        let mut broken = new.to_vec();
        broken[1000] ^= 1;
        let broken_job = Job::of(*Release::new(&broken).digest());
        let other = Job::new(ImageId::named("latest")).digest(Digest([7; 32]));
        for (file, job) in [(&broken[..], broken_job), (&new[..], other)] {
            let (mut source, size) = (FlakySource::new(file), file.len());
            for calls in 1..=2 {
                // The flash may be to blame for the first.
                let _ = call(&device, &mut source, &job, |_| ()).unwrap_err();
                assert_eq!(source.given(), calls * size, "{mode:?}");
            }
            for _ in 0..3 {
                let text = call(&device, &mut source, &job, |_| ()).unwrap_err();
                assert!(text.contains("not fetched again"), "{mode:?}: {text}");
                assert_eq!(source.given(), 2 * size, "{mode:?}: it was fetched again");
            }
            let _ = call(&device, &mut source, &job.attempts(255), |_| ()).unwrap_err();
            assert_eq!(source.given(), 3 * size, "{mode:?}: it was asked for");
            assert!(device.boot().swapped.is_none(), "{mode:?}");
        }
        let right = Job::new(ImageId::named("latest")).digest(*Release::new(&new).digest());
        let _ = call(&device, &mut FlakySource::new(&new), &right, |_| ()).expect("nothing is held against another");
        assert!(device.boot().swapped.is_some(), "{mode:?}");
    }
}

#[test]
fn r23_without_a_digest_a_wrong_file_is_known_by_its_validator() {
    for (mode, device, new) in devices() {
        let mut broken = new.to_vec();
        broken[1000] ^= 1;
        let job = Job::new(ImageId::named("latest"));
        let mut source = FlakySource::new(&broken);
        for _ in 0..2 {
            let _ = call(&device, &mut source, &job, |_| ()).unwrap_err();
        }
        let given = source.given();
        let text = call(&device, &mut source, &job, |_| ()).unwrap_err();
        assert!(text.contains("not fetched again"), "{mode:?}: {text}");
        assert!(source.given() <= given, "{mode:?}: it was fetched again");
        let mut mended = FlakySource::new(&new).tag(2);
        let _ = call(&device, &mut mended, &job, |_| ()).expect("the file is another one");
        assert!(device.boot().swapped.is_some(), "{mode:?}");
    }
}

#[test]
fn r23_what_the_bootloader_erased_when_it_went_back_is_fetched_once_more_and_no_further() {
    let board = Board::new(Mode::DirectXipRevert, 10 * 1024).sectors(10);
    let device = Small::new(board);
    device.install(&board.image().build());
    let new = board.image().version(2, 0, 0, 0).payload(4000).build();
    let (mut source, job) = (FlakySource::new(&new), Job::of(*Release::new(&new).digest()));
    for calls in 1..=2 {
        let _ = call(&device, &mut source, &job, |_| ()).unwrap();
        assert_eq!(source.given(), calls * new.len());
        assert_eq!(device.boot().running.unwrap().version.major, 2);
        assert_eq!(device.boot().running.unwrap().version.major, 1, "it was not confirmed");
    }
    let text = call(&device, &mut source, &job, |_| ()).unwrap_err();
    assert!(text.contains("not fetched again"), "{text}");
    assert_eq!(source.given(), 2 * new.len());
}
