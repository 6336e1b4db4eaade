//! R21: an update ends well once, and only where the image is to run; what is said after a reset is what runs.

use std::collections::BTreeMap;

use dfu_target::digest::SoftSha256;
use dfu_target::{Digest, ImageKind};
use dfu_target_mcuboot::{Mode, RunningState, Upgrade};
use dfu_testkit::device::{Board, Release, Visit};
use dfu_testkit::flash::Cut;
use dfu_testkit::image::ImageFile;
use dfu_testkit::poll::run;
use dfu_testkit::source::FlakySource;
use fota_download::{Event, Job};

use crate::call::{Small, call};

const MODES: [Mode; 5] =
    [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset, Mode::OverwriteOnly, Mode::DirectXipRevert];

fn board(mode: Mode, upgrade: Upgrade) -> Board {
    Board::new(mode, 8 * 1024).sectors(8).upgrade(upgrade)
}

/// One cut in so many is tried.
const STEP: usize = if cfg!(debug_assertions) { 13 } else { 1 };

#[test]
fn r21_a_call_ends_well_once_and_only_where_the_image_is_to_run() {
    let (mut well, mut badly) = (0, 0);
    for mode in MODES {
        let board = board(mode, Upgrade::Test);
        let device = Small::new(board);
        let [old, new] = [1, 2].map(|major| board.image().version(major, 0, 0, 0).payload(2500).build());
        device.install(&old);
        device.chip().sim().checkpoint();
        let runs = device.runs();
        let job = Job::of(*Release::new(&new).digest()).kind(ImageKind::Mcuboot);
        for point in (0..).step_by(STEP) {
            device.chip().sim().rollback();
            device.set_runs(runs);
            device.chip().sim().cut_after(point, Cut::ALL[point as usize % Cut::ALL.len()]);
            let mut verified = 0;
            let mut source = FlakySource::new(&new).seed(point).pieces(1..=900).breaks_after(1500..=6000);
            let ended =
                call(&device, &mut source, &job, |event| verified += u32::from(matches!(event, Event::Verified(_))));
            let powered = device.chip().sim().is_powered();
            assert!(verified <= 1 && (ended.is_err() || verified == 1), "{mode:?}, {point}: {verified} times verified");
            // A cut behind the last word leaves a call that ended well.
            assert!(powered || ended.is_err(), "{mode:?}, {point}: without power nothing ends well");
            device.boot();
            let runs_new = device.holds(device.running(), &new);
            assert!(ended.is_err() || runs_new, "{mode:?}, {point}: it was said to run next");
            well += u32::from(ended.is_ok());
            badly += u32::from(ended.is_err());
            if powered {
                break;
            }
        }
    }
    assert!(well == MODES.len() as u32 && badly > 50, "{well} {badly}");
    println!("R21: {badly} calls ended by a cut, {well} ended well");
}

#[test]
fn r21_what_is_said_after_a_cut_anywhere_is_what_runs() {
    let mut states = BTreeMap::new();
    for (mode, upgrade) in MODES.into_iter().flat_map(|mode| [(mode, Upgrade::Test), (mode, Upgrade::Permanent)]) {
        let board = board(mode, upgrade);
        let device = Small::new(board);
        let images = [1, 2].map(|major| board.image().version(major, 0, 0, 0).payload(1500).build());
        device.install(&images[0]);
        device.chip().sim().checkpoint();
        let runs = device.runs();
        for (cut, confirms) in Cut::ALL.into_iter().flat_map(|cut| [(cut, true), (cut, false)]) {
            for point in (0..).step_by(STEP) {
                device.chip().sim().rollback();
                device.set_runs(runs);
                // Cut in the update, or in the confirmation.
                device.chip().sim().cut_after(point, cut);
                let mut over = device.update(&Release::new(&images[1]), &mut Visit::default()).is_ok();
                let mut before = None;
                for boot in 1..=3 {
                    device.boot();
                    let mut said = check(&device, &images, upgrade);
                    *states.entry(format!("{said:?}")).or_insert(0) += 1;
                    let runs_new = device.holds(device.running(), &images[1]);
                    if let Some((said, ran_new)) = before {
                        let stays = ran_new && said != RunningState::Trial;
                        assert_eq!(runs_new, stays, "{mode:?}, {upgrade:?}: {said:?} was said before this reset");
                    }
                    if boot == 1 && over && confirms {
                        over = device.confirm().is_ok();
                        if over {
                            said = device.state();
                        }
                    }
                    before = Some((said, runs_new)).filter(|_| !wavers(&device) && device.chip().sim().is_powered());
                }
                if over {
                    break;
                }
            }
        }
    }
    assert!(
        ["Trial", "Reverted", "Confirmed", "Factory"].iter().all(|state| states.contains_key(*state)),
        "{states:?}"
    );
    println!("R21: said after a cut: {states:?}");
}

/// Whether bits that a cut left between two values may make another mark of what was none, or none of one.
fn wavers(device: &Small) -> bool {
    [device.running(), device.target()].into_iter().any(|slot| device.chip().sim().is_unstable(slot))
}

/// What the library says of the image that runs, if it is so.
fn check(device: &Small, [old, new]: &[ImageFile; 2], upgrade: Upgrade) -> RunningState {
    let runs_new = device.holds(device.running(), new);
    let (state, mode) = (device.state(), device.slots().config().mode());
    let what = format!("{mode:?}, {upgrade:?}: {state:?}, and the new one runs: {runs_new}");
    assert_eq!(digest(device).as_ref(), Some(Release::new(if runs_new { new } else { old }).digest()), "{what}");
    match state {
        RunningState::Trial => assert!(runs_new && upgrade == Upgrade::Test, "{what}"),
        RunningState::Reverted => assert!(!runs_new && mode.reverts(), "{what}"),
        RunningState::Factory => assert!(!runs_new, "{what}"),
        // The first one was put there by a programmer: with its mark, where the bootloader chooses.
        RunningState::Confirmed => assert!(runs_new || mode.chooses(), "{what}"),
        _ => panic!("{what}"),
    }
    state
}

/// What the library says of the file that runs.
fn digest(device: &Small) -> Option<Digest> {
    let mut shared = device.share();
    let (mut running, _, _) = device.open(&mut shared);
    run(running.digest(&mut SoftSha256::default())).unwrap()
}
