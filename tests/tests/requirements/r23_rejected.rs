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
fn r23_a_file_that_is_not_the_one_wanted_is_fetched_once_by_each_call_and_never_tried() {
    for (mode, device, new) in devices() {
        let (mut source, size) = (FlakySource::new(&new), new.len());
        let job = Job::new(ImageId::named("latest")).digest(Digest([7; 32]));
        for calls in 1..=3 {
            let _ = call(&device, &mut source, &job, |_| ()).unwrap_err();
            // Whether to call again is for who holds the job.
            assert_eq!(source.given(), calls * size, "{mode:?}");
            assert!(device.boot().swapped.is_none(), "{mode:?}");
        }
    }
}
