//! Power fails at every flash operation of an update, in seven ways; then the device boots, and the update is done once
//! more. What becomes of it, with embassy-boot and with this library, in one table.

use std::fmt;

use dfu_beside_embassy_boot as embassy;
use dfu_target_mcuboot::{Mode, RunningState};
use dfu_testkit::device::{Board, Device, Release, Visit};
use dfu_testkit::flash::{Cut, Tear};
use dfu_testkit::image::ImageBuilder;
use embassy_boot::State;

/// Where the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The image is stored, and is asked for.
    Update,
    /// The bootloader brings it in.
    Swap,
    /// The bootloader takes it back, for it was not confirmed.
    Revert,
    /// The application confirms it.
    Confirm,
}

/// What becomes of a device whose power failed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// One of the two images runs, the application is told which, and the update succeeds later.
    Good,
    /// Neither image runs: parts of both.
    Bricked,
    /// The application is told of the image that runs what is not so.
    Misled,
    /// The update does not succeed any more.
    Stuck,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    points: u32,
    bricked: u32,
    misled: u32,
    stuck: u32,
}

impl Tally {
    fn count(&mut self, fate: Fate) {
        self.points += 1;
        match fate {
            Fate::Good => {}
            Fate::Bricked => self.bricked += 1,
            Fate::Misled => self.misled += 1,
            Fate::Stuck => self.stuck += 1,
        }
    }

    fn is_clean(&self) -> bool {
        self.points > 0 && self.bricked + self.misled + self.stuck == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:6} {:7} {:6} {:5}", self.points, self.bricked, self.misled, self.stuck)
    }
}

/// Between two operations, as a reset falls; and within one, by what is left of the word or page.
const WAYS: [(&str, &[Cut]); 6] = [
    ("between operations", &[Cut::Before, Cut::After]),
    ("torn, front half", &[Cut::Torn(Tear::Front)]),
    ("torn, back half", &[Cut::Torn(Tear::Back)]),
    ("torn, leading bits", &[Cut::Torn(Tear::Prefix)]),
    ("torn, any bits", &[Cut::Torn(Tear::Random)]),
    ("torn, one bit late", &[Cut::Torn(Tear::Late)]),
];

#[test]
fn power_fails_at_every_operation_of_both() {
    println!("{:22} {:>30}  {:>30}", "", "embassy-boot 0.7.0", "this library, MCUboot's model");
    let columns = format!("{:>6} {:>7} {:>6} {:>5}", "points", "bricked", "misled", "stuck");
    println!("{:22} {columns:>30}  {columns:>30}", "");
    for phase in [Phase::Update, Phase::Confirm, Phase::Swap, Phase::Revert] {
        for (way, cuts) in WAYS {
            // A confirmation has few points: the random ones a hundred times.
            let seeds = if phase == Phase::Confirm { 100 } else { 1 };
            let theirs = sweep(cuts, seeds, |cutting| embassy_boot_after(phase, cutting));
            let ours = match phase {
                Phase::Update | Phase::Confirm => {
                    Some(sweep(cuts, seeds, |cutting| this_library_after(phase, cutting)))
                }
                // MCUboot's own work, and its own simulator's.
                Phase::Swap | Phase::Revert => None,
            };
            let shown = ours.map_or("the bootloader's own".into(), |tally| tally.to_string());
            println!("{:8} {way:18} {theirs:>26}  {shown:>30}", format!("{phase:?}"));
            assert!(ours.is_none_or(|tally| tally.is_clean()), "{phase:?}, {way}: {ours:?}");
            assert!(theirs.points > 0);
        }
    }
}

struct Cutting {
    point: u64,
    cut: Cut,
    seed: u64,
}

/// Every point of every cut, until none is hit; with each seed where it is random what a cut leaves.
fn sweep(cuts: &[Cut], seeds: u64, mut after: impl FnMut(&Cutting) -> Option<Fate>) -> Tally {
    let mut tally = Tally::default();
    for cut in cuts {
        let seeds = if matches!(cut, Cut::Torn(_)) { seeds } else { 1 };
        for seed in 0..seeds {
            for point in 0.. {
                match after(&Cutting { point, cut: *cut, seed }) {
                    Some(fate) => tally.count(fate),
                    None => break,
                }
            }
        }
    }
    tally
}

/// `None`: the power did not fail.
fn embassy_boot_after(phase: Phase, cutting: &Cutting) -> Option<Fate> {
    let [old, new] = embassy::images();
    let device = embassy::Device::new(&old);
    if phase != Phase::Update {
        device.update(&new).unwrap();
        if phase != Phase::Swap {
            device.boot().unwrap();
            assert!(device.runs(&new));
        }
    }
    device.flash(|flash| {
        *flash = flash.clone().seed(cutting.seed);
        flash.cut_after(cutting.point, cutting.cut);
    });
    let whole = match phase {
        Phase::Update => device.update(&new).is_ok(),
        Phase::Confirm => device.confirm().is_ok(),
        Phase::Swap | Phase::Revert => device.start().is_ok(),
    };
    if whole && device.flash(|flash| flash.is_powered()) {
        return None;
    }
    if device.boot().is_err() {
        return Some(Fate::Bricked);
    }
    let (runs_old, runs_new) = (device.runs(&old), device.runs(&new));
    if !runs_old && !runs_new {
        return Some(Fate::Bricked);
    }
    let told = device.state().ok()?;
    let true_to_it = match told {
        State::Swap => runs_new,
        State::Boot => runs_old || phase == Phase::Confirm,
        State::Revert => runs_old,
        State::DfuDetach => false,
    };
    if !true_to_it {
        return Some(Fate::Misled);
    }
    if !runs_new {
        // From the start on, since nothing is known of what is stored.
        if device.update(&new).is_err() || device.boot().is_err() {
            return Some(Fate::Stuck);
        }
    }
    let kept = device.confirm().is_ok() && device.boot().is_ok() && device.runs(&new);
    Some(if kept { Fate::Good } else { Fate::Stuck })
}

/// `None`: the power did not fail.
fn this_library_after(phase: Phase, cutting: &Cutting) -> Option<Fate> {
    // Slots in which MCUboot's swap has room for an image like the other's.
    let device = Device::<4, 1024>::new(Board::new(Mode::SwapMove, 8 * 1024).sectors(8));
    let [old, new] = [1, 2].map(|major| ImageBuilder::new().version(major, 0, 0, 0).payload(3900).build());
    let release = Release::new(&new).chunk(256).save_every(1024);
    device.install(&old);
    if phase == Phase::Confirm {
        let _ = device.update(&release, &mut Visit::default()).unwrap();
        device.boot();
    }
    let mut flash = device.chip().sim();
    *flash = flash.clone().seed(cutting.seed);
    flash.cut_after(cutting.point, cutting.cut);
    drop(flash);
    match phase {
        Phase::Confirm => drop(device.confirm()),
        _ => drop(device.update(&release, &mut Visit::default())),
    }
    if device.chip().sim().is_powered() {
        return None;
    }
    let boot = device.boot();
    let (runs_old, runs_new) = (device.holds(device.primary(), &old), device.holds(device.primary(), &new));
    if boot.running.is_err() || !runs_old && !runs_new {
        return Some(Fate::Bricked);
    }
    let true_to_it = match device.state() {
        RunningState::Trial => runs_new,
        RunningState::Confirmed => runs_new && phase == Phase::Confirm,
        RunningState::Reverted => runs_old && phase == Phase::Confirm,
        _ => runs_old,
    };
    if !true_to_it || boot.refused.is_some() {
        return Some(Fate::Misled);
    }
    if !runs_new && (device.update(&release, &mut Visit::default()).is_err() || device.boot().running.is_err()) {
        return Some(Fate::Stuck);
    }
    let kept = device.confirm().is_ok() && device.boot().running.is_ok() && device.holds(device.primary(), &new);
    Some(if kept { Fate::Good } else { Fate::Stuck })
}
