//! R13: progress is made invalid before the first erase, of the update that is given up or gives way to another.

use dfu_target::{ImageId, ProgressStore};
use dfu_target_mcuboot::Mode;
use dfu_testkit::device::{Board, Release, Visit};
use dfu_testkit::flash::Cut;
use dfu_testkit::poll::run;

use crate::call::Small;

#[test]
fn r13_a_record_is_gone_before_anything_of_its_image_is_erased() {
    for mode in [Mode::SwapMove, Mode::SwapOffset, Mode::OverwriteOnly, Mode::DirectXipRevert] {
        let board = Board::new(mode, 10 * 1024).sectors(10);
        let device = Small::new(board);
        device.install(&board.image().build());
        let [new, other] =
            [2, 3].map(|major| board.image().version(major, 0, 0, 0).seed(major.into()).payload(5000).build());
        let (release, other) = (Release::new(&new), Release::new(&other));
        device.fetch(&release, 4000, &mut Visit::default()).unwrap();
        device.chip().sim().checkpoint();
        let before = device.read(device.target());
        for gives_up in [true, false] {
            let mut changed = 0;
            for point in 0.. {
                device.chip().sim().rollback();
                device.chip().sim().cut_after(point, Cut::Before);
                let over = if gives_up {
                    device.abort(&release).is_ok()
                } else {
                    device.fetch(&other, 1500, &mut Visit::default()).is_ok()
                };
                device.chip().sim().power_on();
                if device.read(device.target()) != before {
                    changed += 1;
                    let mut shared = device.share();
                    let (_, _, mut log) = device.open(&mut shared);
                    let promises = run(log.load())
                        .is_some_and(|record| record.id() == ImageId(release.digest().0) && record.offset() > 0);
                    assert!(!promises, "{mode:?}, point {point}: erased, and the record says otherwise");
                }
                if over {
                    break;
                }
            }
            assert!(changed > 0, "{mode:?}: nothing was erased");
        }
    }
}
