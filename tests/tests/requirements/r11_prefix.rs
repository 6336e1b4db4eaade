//! R11: what was stored before a reset is not trusted: it is read back before the update goes on.

use dfu_target_mcuboot::Mode;
use dfu_testkit::device::{Board, MODES, Release, Visit};
use dfu_testkit::image::ImageFile;

use crate::call::Small;

/// A device on which 4000 bytes of an image are stored, and that image.
fn interrupted(board: Board, save_every: u32) -> (Small, ImageFile) {
    let device = Small::new(board);
    device.install(&board.image().build());
    let new = board.image().version(2, 0, 0, 0).payload(5000).build();
    device.fetch(&Release::new(&new).save_every(save_every), 4000, &mut Visit::default()).unwrap();
    device.chip().sim().checkpoint();
    (device, new)
}

fn board(mode: Mode) -> Board {
    Board::new(mode, 10 * 1024).sectors(10)
}

#[test]
fn r11_what_was_spoilt_since_is_found_before_a_byte_more_is_fetched() {
    for mode in MODES {
        // At the end of each erase unit, and within.
        for save_every in [1024, 300] {
            let (device, new) = interrupted(board(mode), save_every);
            let release = Release::new(&new).save_every(save_every);
            let (runs, start) = (device.runs(), device.target().start + device.slots().start());
            let update = || {
                let mut visit = Visit::default();
                let _ = device.update(&release, &mut visit).expect("nothing stands in its way");
                assert!(device.boot().running.is_ok_and(|running| running.version.major == 2), "{mode:?}");
                visit
            };
            let goes_on = update().from.unwrap();
            assert_eq!(goes_on, if save_every == 1024 { 4096 } else { 3072 }, "{mode:?}: as it was it is gone on with");
            for at in (16..goes_on).step_by(61) {
                device.chip().sim().rollback();
                device.set_runs(runs);
                device.chip().sim().flip(start + at, (at % 8) as u8);
                assert_eq!(update().from, Some(0), "{mode:?}, byte {at}");
            }
        }
    }
}

#[test]
fn r11_an_image_that_somebody_else_put_there_is_not_gone_on_with() {
    for mode in [Mode::SwapMove, Mode::SwapOffset, Mode::OverwriteOnly] {
        let (device, new) = interrupted(board(mode), 1024);
        let other = board(mode).image().version(3, 0, 0, 0).payload(5000).build();
        let (slot, start) = (device.target(), device.slots().start() as usize);
        let unit = device.chip().sim().bytes()[slot.start as usize..][..start].to_vec();
        device.chip().sim().load(slot.start, &[&unit, &other[..]].concat());
        let mut visit = Visit::default();
        let _ = device.update(&Release::new(&new), &mut visit).expect("nothing stands in its way");
        assert_eq!(visit.from, Some(0), "{mode:?}");
        assert!(device.boot().running.is_ok_and(|running| running.version.major == 2), "{mode:?}");
    }
}

#[test]
fn r11_a_target_that_does_not_look_finds_out_before_the_mark() {
    for mode in [Mode::SwapMove, Mode::SwapOffset, Mode::OverwriteOnly, Mode::DirectXipRevert] {
        let (device, new) = interrupted(board(mode).recall(false), 1024);
        let release = Release::new(&new);
        let (runs, start) = (device.runs(), device.target().start + device.slots().start());
        for at in (16..3000).step_by(61) {
            device.chip().sim().rollback();
            device.chip().sim().flip(start + at, (at % 8) as u8);
            let mut visit = Visit::default();
            let error = device.update(&release, &mut visit).unwrap_err();
            assert!(visit.from > Some(3000) && !visit.complete, "{mode:?}, byte {at}: {visit:?}");
            let boot = device.boot();
            assert_eq!((boot.asked, boot.swapped), (None, None), "{mode:?}, byte {at}: {error}");
            device.abort(&release).unwrap();
            let _ = device.update(&release, &mut Visit::default()).expect("it is fetched again");
            assert!(device.boot().running.is_ok_and(|running| running.version.major == 2), "{mode:?}, byte {at}");
            device.set_runs(runs);
        }
    }
}
