//! Whether a file would be taken, by its first bytes alone: a few of them are fetched, and nothing is changed.

use dfu_target::{Error, ErrorKind, ImageKind};
use dfu_target_mcuboot::Mode;
use dfu_testkit::device::{Board, Device};
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::modem::{DeltaFile, uuid};
use dfu_testkit::poll::run;
use dfu_testkit::source::FlakySource;
use fota_download::source::Retry;
use fota_download::{Offer, PreflightError, preflight};

const BOARD: Board = Board::new(Mode::SwapMove, 8 * 1024).sectors(8);

#[test]
fn r17_a_file_is_judged_by_its_first_bytes_and_nothing_is_changed() {
    let device = Device::<4, 1024>::new(BOARD);
    device.install(&ImageBuilder::new().build());
    let stored = || {
        let flash = device.chip().sim();
        (flash.bytes().to_vec(), flash.points())
    };
    let before = stored();
    let judge = |file: &[u8]| {
        let mut shared = device.share();
        let (_, mut target, _) = device.open(&mut shared);
        let mut source = FlakySource::new(file).pieces(1..=40);
        let result = run(preflight(&mut source, &mut target, 0));
        assert!(source.given() <= 64, "{} bytes were fetched", source.given());
        assert_eq!(source.closed(), 1, "the rest of it is not sent for nothing");
        result
    };
    let good = ImageBuilder::new().version(2, 0, 0, 0).payload(3000).build();
    let offer = judge(&good).unwrap();
    assert_eq!((offer.kind, offer.size), (ImageKind::Mcuboot, Some(good.len() as u32)));
    assert_ne!(offer, Offer { tag: 0, ..offer });

    let large = ImageBuilder::new().payload(20_000).build();
    match judge(&large) {
        Err(error @ PreflightError::Target(refused)) => {
            assert_eq!((refused.kind(), error.retry()), (ErrorKind::TooLarge, Retry::Never));
        }
        other => panic!("{other:?}"),
    }
    for (file, kind) in [
        (DeltaFile::new(uuid(1), uuid(2)).build(), Some(ImageKind::ModemDelta)),
        (b"<!DOCTYPE html><html><head><title>404</title></head><body>Not here</body></html>".to_vec(), None),
        (good[..3].to_vec(), None),
    ] {
        let error = judge(&file).unwrap_err();
        assert_eq!(
            (error.retry(), matches!(error, PreflightError::NotTaken(found) if found == kind)),
            (Retry::Never, true)
        );
        assert!(!error.to_string().is_empty());
    }
    assert!(before == stored());
}
