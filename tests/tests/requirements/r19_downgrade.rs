//! R19: what is too old is refused when it comes, and again before the mark if the device was updated meanwhile; and
//! the counter that counts is that of the image that runs, so it moves when an image is confirmed.

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::image::mcuboot::Version;
use dfu_target::session::Failed;
use dfu_target::{Begun, ErrorKind, Update};
use dfu_target_mcuboot::{Active, McubootTarget, Mode, Rules, Running, RunningState, VersionRule};
use dfu_testkit::device::{Board, Failure, Release};
use dfu_testkit::image::ImageFile;
use dfu_testkit::poll::run;
use dfu_testkit::store::RamStore;

use crate::call::Small;

fn board() -> Board {
    Board::new(Mode::SwapMove, 10 * 1024).sectors(10)
}

fn image(major: u8, counter: u8) -> ImageFile {
    board().image().version(major, 0, 0, 0).protected(0x50, &[counter, 0, 0, 0]).payload(3000).build()
}

/// An update under the rule of this version and counter that runs: up to the mark, or without it.
fn update(
    device: &Small,
    image: &ImageFile,
    store: &mut RamStore,
    runs: (u8, u32),
    marks: bool,
) -> Result<(), Failure> {
    let mut shared = Shared::new(device.chip().clone());
    let target = device.target();
    let [region] = shared.split(&Layout::checked([(target.start, target.end - target.start)]).unwrap());
    let active = Active::new(RunningState::Confirmed, Some(Version { major: runs.0, minor: 0, revision: 0, build: 0 }));
    let rules = Rules::new(SoftSha256::default()).version(VersionRule::Newer).counter(runs.1);
    let engine = SoftSha256::default();
    let target = McubootTarget::<_, _, _, 256, _>::verifying(region, engine, device.slots(), active, rules).unwrap();
    let release = Release::new(image);
    let mut update = Update::new(target, store, release.request());
    let staged = match run(update.begin())? {
        Begun::Staged(staged) => staged,
        Begun::Receiving(mut session) => {
            run(session.write(image))?;
            run(session.finish()).map_err(Failed::into_error)?
        }
    };
    let verified = staged.verify(release.digest()).map_err(Failed::into_error)?;
    if marks {
        let _ = run(verified.apply()).map_err(Failed::into_error)?;
    }
    Ok(())
}

#[test]
fn r19_what_was_new_enough_when_it_came_is_judged_again_before_the_mark() {
    // By its version, by its counter, and an image that is still new enough.
    for (runs, taken) in [((3, 1), false), ((2, 1), false), ((1, 9), false), ((1, 5), true)] {
        let (device, mut store, new) = (Small::new(board()), RamStore::new(), image(2, 5));
        device.install(&image(1, 1));
        assert_eq!(update(&device, &new, &mut store, (1, 1), false), Ok(()), "it is stored whole");
        let result = update(&device, &new, &mut store, runs, true).map_err(|error| error.kind());
        assert_eq!(result, if taken { Ok(()) } else { Err(ErrorKind::Refused) }, "{runs:?} runs");
        assert_eq!(device.boot().swapped.is_some(), taken, "{runs:?} runs");
    }
}

#[test]
fn r19_the_counter_moves_only_when_an_image_is_confirmed() {
    let device = Small::new(board());
    device.install(&image(1, 1));
    let counter = || {
        let mut shared = Shared::new(device.chip().clone());
        let running = device.running();
        let [region] = shared.split(&Layout::checked([(running.start, running.end - running.start)]).unwrap());
        let mut running = Running::new(region, device.slots()).unwrap();
        (run(running.state()).unwrap(), run(running.security_counter()).unwrap())
    };
    update(&device, &image(2, 5), &mut RamStore::new(), (1, 1), true).unwrap();
    assert_eq!(counter().1, Some(1), "what waits does not count");
    device.boot();
    assert_eq!(counter(), (RunningState::Trial, Some(5)));
    device.boot();
    assert_eq!(counter(), (RunningState::Reverted, Some(1)), "it was not confirmed: what ran may be offered again");
    update(&device, &image(3, 4), &mut RamStore::new(), (1, 1), true).unwrap();
    device.boot();
    device.confirm().unwrap();
    assert_eq!(counter(), (RunningState::Confirmed, Some(4)));
}
