//! R11: what was stored before a reset is not trusted: all of it is read back before the mark.

use dfu_target_mcuboot::Mode;
use dfu_testkit::device::{Board, Release, Visit};

use crate::call::Small;

#[test]
fn r11_a_prefix_that_was_spoilt_since_is_found_out_before_the_mark() {
    for mode in [Mode::SwapMove, Mode::SwapOffset, Mode::OverwriteOnly, Mode::DirectXipRevert] {
        let board = Board::new(mode, 10 * 1024).sectors(10);
        let device = Small::new(board);
        device.install(&board.image().build());
        let new = board.image().version(2, 0, 0, 0).payload(5000).build();
        let release = Release::new(&new);
        device.fetch(&release, 4000, &mut Visit::default()).unwrap();
        device.chip().sim().checkpoint();
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
