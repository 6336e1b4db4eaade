//! A device that was updated before, a new release for it, and its life from there on under power cuts.

// The chip runs this, too, and has no more than an allocator: examples/qemu-m33.
extern crate alloc;

use alloc::vec::Vec;

use dfu_target::ErrorKind;
use dfu_target_mcuboot::{Mode, RunningState, Side, Upgrade};
use dfu_testkit::boot::{Refusal, SwapType};
use dfu_testkit::device::{Board, Device, Phase, Release, Visit};
use dfu_testkit::flash::Cut;
use dfu_testkit::image::ImageFile;

/// What is swept.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    board: Board,
    old: usize,
    /// `None`: as large as the slot takes.
    new: Option<usize>,
    chunk: usize,
    save_every: u32,
    prepares: bool,
}

/// A cut to come, counted in mutation points from the reset before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cutting {
    pub(crate) point: u64,
    pub(crate) cut: Cut,
}

/// A device in front of an update, and how it got there.
pub(crate) struct World<const W: usize, const E: usize, const R: usize> {
    device: Device<W, E, R>,
    scenario: Scenario,
    old: ImageFile,
    new: ImageFile,
    foreign: Vec<u8>,
    /// Where the old image runs.
    runs: Side,
}

impl Scenario {
    pub(crate) fn new(board: Board) -> Self {
        Self { board, old: 1000, new: Some(1000), chunk: 512, save_every: 1024, prepares: false }
    }

    pub(crate) fn sizes(mut self, old: usize, new: usize) -> Self {
        (self.old, self.new) = (old, Some(new));
        self
    }

    /// The largest new image that the slot takes.
    pub(crate) fn maximal(mut self, old: usize) -> Self {
        (self.old, self.new) = (old, None);
        self
    }

    pub(crate) fn fetching(mut self, chunk: usize, save_every: u32) -> Self {
        (self.chunk, self.save_every) = (chunk, save_every);
        self
    }

    pub(crate) fn preparing(mut self) -> Self {
        self.prepares = true;
        self
    }

    /// A device on which one update went well before: both slots and the log have a past.
    pub(crate) fn build<const W: usize, const E: usize, const R: usize>(self) -> World<W, E, R> {
        let device = Device::<W, E, R>::new(self.board);
        let max = device.slots().max_image() as usize;
        let image =
            |major, size| self.board.image().version(major, 0, 0, 0).seed(major.into()).total_size(size).build();
        let (older, old, new) = (image(1, 900), image(2, self.old), image(3, self.new.unwrap_or(max)));
        device.install(&older);
        let _ = device.update(&Release::new(&old), &mut Visit::default()).unwrap();
        assert!(device.boot().running.is_ok());
        device.confirm().unwrap();
        assert!(device.holds(device.running(), &old));
        let foreign = device.foreign().into_iter().flat_map(|range| device.read(range)).collect();
        device.chip().sim().checkpoint();
        let runs = device.runs();
        World { device, scenario: self, old, new, foreign, runs }
    }
}

impl<const W: usize, const E: usize, const R: usize> World<W, E, R> {
    /// As it was before the update.
    fn restore(&self) {
        self.device.chip().sim().rollback();
        self.device.set_runs(self.runs);
    }

    /// Lives on until the new image runs and stays, through all of these cuts; how many of them happened.
    pub(crate) fn live(&self, cuttings: &[Cutting]) -> u64 {
        let device = &self.device;
        self.restore();
        let mut cuts = 0;
        let mut life = Life::default();
        for Cutting { point, cut } in cuttings {
            device.chip().sim().cut_after(*point, *cut);
            if self.until_reset(&mut life) {
                break;
            }
            cuts += u64::from(!device.chip().sim().is_powered());
            self.reset(&mut life);
        }
        for _ in 0..6 {
            if self.until_reset(&mut life) {
                self.finished();
                return cuts;
            }
            self.reset(&mut life);
        }
        panic!("no end of it after {cuttings:?}");
    }

    /// Another image is pending when the new one is to be fetched: that is refused until it is withdrawn, and the
    /// power fails at each point of both. It runs as it is or not at all. How often it did not, and how often it did.
    pub(crate) fn replace_pending(&self, cut: Cut) -> [u64; 2] {
        let device = &self.device;
        self.restore();
        let other = self.scenario.board.image().version(9, 0, 0, 0).seed(9).total_size(self.new.len()).build();
        let _ = device.update(&Release::new(&other), &mut Visit::default()).unwrap();
        device.chip().sim().checkpoint();
        let before = device.read(device.target());
        let refused = device.update(&Release::new(&self.new), &mut Visit::default()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Pending, "{refused}");
        assert!(device.read(device.target()) == before, "and nothing of it was touched");
        let mut outcomes = [0, 0];
        for point in 0.. {
            self.restore();
            device.chip().sim().cut_after(point, cut);
            let withdrawn = device.withdraw().is_ok();
            if withdrawn && device.update(&Release::new(&self.new), &mut Visit::default()).is_ok() {
                break;
            }
            let boot = device.boot();
            let moved = device.runs() != self.runs || boot.swapped.is_some();
            // The erase of a sector that holds the image's end and the mark can stop where the mark stands yet:
            // there MCUboot's own check is what helps.
            let one_erase =
                self.scenario.board.mode.chooses() || other.len() as u32 > device.slots().sizes()[1] - E as u32;
            let shared = one_erase && matches!(cut, Cut::Torn(_));
            assert!(boot.refused.is_none() || shared, "a bad image was pending: {:?}", boot.refused);
            let runs = |image| device.holds(device.running(), image);
            assert!(if moved { runs(&other) && !withdrawn || runs(&self.new) } else { runs(&self.old) });
            outcomes[usize::from(moved && runs(&other))] += 1;
        }
        self.restore();
        device.chip().sim().commit();
        outcomes
    }

    /// The update is given up, at each stage of it, and the power fails at each point of that. The old image runs,
    /// or the new one if it was asked for, and the update can begin again. How many points that were.
    pub(crate) fn abort(&self, cut: Cut) -> u64 {
        let device = &self.device;
        let release = Release::new(&self.new);
        let mut points = 0;
        for stage in [Some(100), Some(self.new.len() as u64 / W as u64 / 2), None] {
            self.restore();
            let pending = match stage {
                Some(stop) => {
                    device.chip().sim().cut_after(stop, Cut::Before);
                    let _ = device.update(&release, &mut Visit::default());
                    device.chip().sim().power_on();
                    false
                }
                None => device.update(&release, &mut Visit::default()).is_ok(),
            };
            device.chip().sim().checkpoint();
            for point in 0.. {
                self.restore();
                device.chip().sim().cut_after(point, cut);
                let aborted = device.abort(&release).is_ok();
                let boot = device.boot();
                let runs_new = device.holds(device.running(), &self.new);
                assert!(runs_new || device.holds(device.running(), &self.old), "what runs is damaged");
                assert_eq!(runs_new, boot.swapped.is_some() || device.runs() != self.runs);
                assert!(pending && !aborted || !runs_new, "nobody asked for it");
                // As when another image takes its place: one erase can hit the image's end and the mark.
                let shared =
                    self.new.len() as u32 > device.slots().sizes()[1] - E as u32 && matches!(cut, Cut::Torn(_));
                assert!(boot.refused.is_none() || shared && pending, "a bad image was pending: {:?}", boot.refused);
                if aborted {
                    assert_eq!(boot.asked, None, "it was withdrawn");
                    break;
                }
                points += 1;
                if !runs_new {
                    let _ = device.update(&release, &mut Visit::default()).unwrap();
                    assert_eq!(device.boot().refused, None);
                }
                device.confirm().unwrap();
                self.finished();
            }
            self.restore();
            device.chip().sim().commit();
        }
        points
    }

    /// The application until the reset that it asks for or that a cut makes; whether there is nothing left to do.
    fn until_reset(&self, life: &mut Life) -> bool {
        let device = &self.device;
        let power = || device.chip().sim().is_powered();
        if device.holds(device.running(), &self.new) {
            let confirmed = device.confirm();
            assert!(confirmed.is_ok() || !power(), "{confirmed:?}");
            return power();
        }
        assert_ne!(device.state(), RunningState::Trial, "the old image was confirmed");
        let release = Release::new(&self.new).chunk(self.scenario.chunk).save_every(self.scenario.save_every);
        let mut visit = Visit::default();
        let result = device.update(&release.prepares(self.scenario.prepares), &mut visit);
        assert!(result.is_ok() || !power(), "{result:?} {visit:?}");
        self.check_resume(life, &visit);
        life.last = visit.phase;
        life.complete = visit.complete || life.complete && visit.from.is_none();
        life.floor = life.floor.max(self.safe(&visit));
        false
    }

    /// From where a resume may ask for bytes at the earliest: the beginning of the erase unit of what was stored.
    fn safe(&self, visit: &Visit) -> u32 {
        let saved = visit.durable.saturating_sub(self.scenario.save_every - 1);
        saved / E as u32 * E as u32
    }

    fn check_resume(&self, life: &Life, visit: &Visit) {
        // Where a torn mark shares a sector with the image's end, that end is wanted again; where the mark is the
        // image's first word, all of it is. And a bootloader that goes back may erase what it goes back from.
        let chooses = self.scenario.board.mode.chooses();
        let lost = chooses && visit.from == Some(0) && (life.last == Phase::Apply || life.went_back);
        if lost {
            return;
        }
        let shared = self.device.slots().sizes()[1] - E as u32;
        if life.complete && visit.phase != Phase::Begin && !visit.staged {
            assert_eq!(visit.from, Some(shared), "all of it was stored: {visit:?}");
            assert!(self.new.len() as u32 > shared && life.last == Phase::Apply, "no reason to fetch: {visit:?}");
        }
        if let Some(from) = visit.from {
            assert!(from >= life.floor.min(shared), "asks for {from:#x} while {:#x} is safe: {visit:?}", life.floor);
            let again = visit.fetched.saturating_sub(self.new.len() as u32 - from);
            assert!(again <= E as u32, "{again} bytes came twice without a reset: {visit:?}");
        }
    }

    fn reset(&self, life: &mut Life) {
        let (device, mode) = (&self.device, self.scenario.board.mode);
        let (ran, ran_old) = (device.runs(), device.holds(device.running(), &self.old));
        let boot = device.boot();
        let runs_new = device.holds(device.running(), &self.new);
        assert!(runs_new || device.holds(device.running(), &self.old), "what runs is damaged");
        let hash = boot.running.expect("an image runs").hash;
        let image = if runs_new { &self.new } else { &self.old };
        assert_eq!(hash[..], <sha2::Sha256 as sha2::Digest>::digest(&image[image.hashed()])[..]);
        let moved = boot.swapped.is_some() || device.runs() != ran;
        // Cut before the confirmation was there.
        let back = moved && !runs_new;
        // A word longer than the header's magic can be cut so that the magic alone is there: MCUboot looks at that
        // image, and throws it away.
        let torn_first = mode.chooses() && W > 4 && life.last == Phase::Apply && !moved;
        let expected = (back && mode.chooses()).then_some(Refusal::Unconfirmed);
        assert!(boot.refused == expected || torn_first, "a bad image was pending: {:?}", boot.refused);
        if !moved {
            assert_eq!(runs_new, !ran_old);
        } else if back {
            life.went_back = true;
            assert!(!ran_old && mode.reverts() && self.scenario.board.upgrade == Upgrade::Test);
        } else {
            if let Some(swap) = boot.swapped {
                let test = self.scenario.board.upgrade == Upgrade::Test;
                assert_eq!(swap, if test { SwapType::Test } else { SwapType::Perm });
            }
            assert!(ran_old, "the new image ran already");
            assert!(matches!(life.last, Phase::Apply | Phase::Applied), "nobody asked for a swap: {:?}", life.last);
            life.complete = true;
        }
    }

    fn finished(&self) {
        let device = &self.device;
        assert_eq!(device.state(), RunningState::Confirmed);
        let boot = device.boot();
        assert_eq!((boot.asked, boot.swapped), (None, None));
        assert!(device.holds(device.running(), &self.new), "the new image stays, bit for bit");
        let foreign: Vec<u8> = device.foreign().into_iter().flat_map(|range| device.read(range)).collect();
        assert!(foreign == self.foreign, "what belongs to others is as it was");
        assert!(self.scenario.board.mode == Mode::OverwriteOnly || device.stores(&self.old));
    }
}

/// What is known of the past.
#[derive(Default)]
struct Life {
    last: Phase,
    floor: u32,
    complete: bool,
    went_back: bool,
}
