//! [`Device`]: a whole device: two slots and a progress log in one flash, MCUboot and an application.

mod board;
mod release;
mod visit;

pub use board::{Board, FlashMap, MODES};
pub use release::Release;
pub(crate) use visit::{Caller, GoesOn, Patient};
pub use visit::{Phase, Visit};

use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Range;

use dfu_target::ProgressLog;
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, RegionError, Shared};
use dfu_target::image::mcuboot::Header;
use dfu_target::session::SessionError;
use dfu_target_mcuboot::{Active, ConfirmError, Error, McubootTarget, Running, RunningState, Side, Slots};

use crate::boot::{Boot, Bootloader, Slot};
use crate::flash::{Chip, SimError, SimFlash};
use crate::poll::run;

/// A simulated device, with the flash's geometry as its type.
///
/// ```text
///  │ foreign │ primary slot │ foreign │ secondary slot │ foreign │ progress log │ foreign │
///  └─ one erase unit each, filled with a pattern; writing there stops the test ──────────┘
/// ```
///
/// or as a [`FlashMap`] has it.
///
/// ```
/// use dfu_testkit::device::{Board, Device, Release, Visit};
/// use dfu_testkit::image::ImageBuilder;
/// use dfu_target_mcuboot::{Mode, RunningState};
///
/// let device = Device::<4, 4096>::new(Board::new(Mode::SwapMove, 8 * 4096));
/// device.install(&ImageBuilder::new().build());
/// let new = ImageBuilder::new().version(2, 0, 0, 0).payload(5000).build();
///
/// device.update(&Release::new(&new), &mut Visit::default()).unwrap();
/// assert_eq!(device.boot().running.unwrap().version.major, 2);
/// assert_eq!(device.state(), RunningState::Trial);
/// device.confirm().unwrap();
/// assert_eq!(device.boot().running.unwrap().version.major, 2);
/// ```
#[derive(Clone, Debug)]
pub struct Device<const W: usize, const E: usize, const R: usize = 1> {
    chip: Chip<W, E, R>,
    map: FlashMap,
    slots: Slots,
    bootloader: Bootloader,
    runs: Cell<Side>,
}

/// A device's running slot.
pub type Primary<'a, const W: usize, const E: usize, const R: usize> = Running<'a, Chip<W, E, R>, &'a Slots>;
/// A device's target: its secondary slot.
pub type Secondary<'a, const W: usize, const E: usize, const R: usize> =
    McubootTarget<'a, Chip<W, E, R>, SoftSha256, &'a Slots, BUFFER>;
/// A device's progress store.
pub type Log<'a, const W: usize, const E: usize, const R: usize> = ProgressLog<'a, Chip<W, E, R>, 192>;
/// Why an update on a device fails.
pub type Failure = SessionError<Error<RegionError<SimError>>>;

impl<const W: usize, const E: usize, const R: usize> Device<W, E, R> {
    /// A device whose slots are empty.
    pub fn new(board: Board) -> Self {
        let [primary, secondary] = board.sizes();
        let slots = Slots::checked::<Chip<W, E, R>, Chip<W, E, R>>(primary, secondary, board.config())
            .expect("slots that MCUboot can use");
        let map = board.places(E as u32);
        // MCUboot has the request and the confirmation written wherever they read as erased, torn or not.
        let [ours, theirs] = [map.primary + primary, map.secondary + secondary].map(|end| end - 128..end);
        let flash = SimFlash::new(map.flash as usize)
            .erased_value(board.erased)
            .aligned_sources(true)
            .forgiving_tears_in(ours)
            .forgiving_tears_in(theirs);
        // So has the library the image's first word, where that is what asks for it.
        let first_words = if slots.config().mode().chooses() { &[map.primary, map.secondary][..] } else { &[] };
        let first_word = |from: u32| from..from + (W as u32).max(4);
        let flash = first_words.iter().fold(flash, |flash, from| flash.forgiving_tears_in(first_word(*from)));
        let runs = Cell::new(Side::Primary);
        let device = Self { chip: Chip::new(flash), map, slots, bootloader: board.bootloader(W, E), runs };
        for foreign in device.foreign() {
            let pattern: Vec<u8> = foreign.clone().map(|at| (at >> 3) as u8 ^ 0x5a).collect();
            device.chip.sim().load(foreign.start, &pattern);
        }
        device.guard();
        device
    }

    /// Nobody but a bootloader writes more than the mark of the running slot, the other slot and the log.
    fn guard(&self) {
        let end = self.running().end;
        self.chip.sim().guard(&[end - 128..end, self.target(), self.log()]);
    }

    /// Its flash.
    pub fn chip(&self) -> &Chip<W, E, R> {
        &self.chip
    }

    /// What the library knows of its slots.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Its bootloader.
    pub fn bootloader(&self) -> &Bootloader {
        &self.bootloader
    }

    /// The first slot: where images run, but in the modes that choose between two.
    pub fn primary(&self) -> Range<u32> {
        self.map.primary..self.map.primary + self.slots.sizes()[0]
    }

    /// The second slot.
    pub fn secondary(&self) -> Range<u32> {
        self.map.secondary..self.map.secondary + self.slots.sizes()[1]
    }

    /// Which slot the application runs from.
    pub fn runs(&self) -> Side {
        self.runs.get()
    }

    /// Lets the application run from this slot, as after a boot of before.
    pub fn set_runs(&self, side: Side) {
        self.runs.set(side);
        self.guard();
    }

    /// Where the running image lies.
    pub fn running(&self) -> Range<u32> {
        match self.runs.get() {
            Side::Primary => self.primary(),
            Side::Secondary => self.secondary(),
        }
    }

    /// Where a new image is stored.
    pub fn target(&self) -> Range<u32> {
        match self.runs.get() {
            Side::Primary => self.secondary(),
            Side::Secondary => self.primary(),
        }
    }

    /// Whether the place for new images holds this one, wherever in it that is.
    pub fn stores(&self, image: &[u8]) -> bool {
        let Range { start, end } = self.target();
        let flash = self.chip.sim();
        let slot = &flash.bytes()[start as usize..end as usize];
        slot.starts_with(image) || slot[self.slots.start() as usize..].starts_with(image)
    }

    /// Where the progress is stored.
    pub fn log(&self) -> Range<u32> {
        self.map.log..self.map.log + 2 * E as u32
    }

    /// What belongs to somebody else.
    pub fn foreign(&self) -> Vec<Range<u32>> {
        let mut parts = [self.primary(), self.secondary(), self.log()];
        parts.sort_unstable_by_key(|part| part.start);
        let ends = [0].into_iter().chain(parts.iter().map(|part| part.end));
        let starts = parts.iter().map(|part| part.start).chain([self.map.flash]);
        ends.zip(starts).map(|(end, start)| end..start).filter(|range| !range.is_empty()).collect()
    }

    /// The bytes of a part of the flash.
    pub fn read(&self, range: Range<u32>) -> Vec<u8> {
        self.chip.sim().bytes()[range.start as usize..range.end as usize].to_vec()
    }

    /// Whether a part of the flash begins with these bytes.
    pub fn holds(&self, range: Range<u32>, bytes: &[u8]) -> bool {
        self.chip.sim().bytes()[range.start as usize..range.end as usize].starts_with(bytes)
    }

    /// Places the image that runs, as a programmer does.
    pub fn install(&self, image: &[u8]) {
        let primary = self.primary();
        let erased = self.bootloader.erased();
        self.set_runs(Side::Primary);
        self.chip.sim().edit(primary, |slot| {
            slot.fill(erased);
            slot[..image.len()].copy_from_slice(image);
            if self.slots.config().mode().chooses() {
                // Without a mark some of these bootloaders run nothing.
                self.bootloader.mark_pending(slot, true).expect("an erased trailer");
                self.bootloader.confirm(slot).expect("a good trailer");
            }
        });
    }

    /// The flash as the library takes it; [`open`](Self::open) comes next.
    pub fn share(&self) -> Shared<Chip<W, E, R>> {
        Shared::new(self.chip.clone())
    }

    /// What the application has after a reset: the running slot, the target and the progress store.
    pub fn open<'a>(
        &'a self,
        shared: &'a mut Shared<Chip<W, E, R>>,
    ) -> (Primary<'a, W, E, R>, Secondary<'a, W, E, R>, Log<'a, W, E, R>) {
        let windows = [self.running(), self.target(), self.log()].map(|range| (range.start, range.end - range.start));
        let layout = Layout::checked(windows).expect("a layout without overlaps");
        let [primary, secondary, log] = shared.split(&layout);
        let running = Running::new(primary, &self.slots).expect("a region of the slot's size");
        let active = self.active();
        let target = McubootTarget::new(secondary, SoftSha256::default(), &self.slots, active);
        let target = target.expect("a region of the slot's size");
        (running, target, ProgressLog::new(log))
    }

    /// What the library makes of the slot that runs.
    pub fn active(&self) -> Active {
        let Range { start, end } = self.running();
        let flash = self.chip.sim();
        let slot = &flash.bytes()[start as usize..end as usize];
        let state = RunningState::of(&self.slots.read(slot), self.slots.config().mode());
        Active::new(state, Header::parse(slot).ok().map(|header| header.version))
    }

    /// A reset: the power is on again, and the bootloader does its work.
    pub fn boot(&self) -> Boot {
        let mut flash = self.chip.sim();
        flash.power_on();
        flash.settle_anew();
        let boot = self.bootloader.boot_in(&mut flash, self.primary(), self.secondary());
        drop(flash);
        if let Ok(running) = &boot.running {
            self.set_runs(match running.slot {
                Slot::Primary => Side::Primary,
                Slot::Secondary => Side::Secondary,
            });
        }
        boot
    }

    /// What the application learns of the image that runs.
    pub fn state(&self) -> RunningState {
        let mut shared = self.share();
        let (mut running, _, _) = self.open(&mut shared);
        run(running.state()).expect("a flash that can be read")
    }

    /// The application takes back what waits for the reset.
    pub fn withdraw(&self) -> Result<(), Error<RegionError<SimError>>> {
        let mut shared = self.share();
        let (_, mut target, _) = self.open(&mut shared);
        self.chip.sim().guard(&[self.target()]);
        let result = run(target.withdraw());
        self.guard();
        result
    }

    /// The application keeps the image that runs. It may write nothing but the last bytes of the running slot.
    pub fn confirm(&self) -> Result<(), ConfirmError<RegionError<SimError>>> {
        self.confirm_by(&mut Patient)
    }

    /// [`confirm`](Self::confirm) by somebody who may drop that call.
    pub(crate) fn confirm_by(&self, caller: &mut impl Caller) -> Result<(), ConfirmError<RegionError<SimError>>> {
        let end = self.running().end;
        let mark = end - 128..end;
        let mut shared = self.share();
        self.chip.sim().guard(core::slice::from_ref(&mark));
        let result = loop {
            let (mut running, _, _) = self.open(&mut shared);
            if let Some(result) = caller.wait(running.confirm(), &mut Visit::default()) {
                break result;
            }
            if caller.goes_on() == GoesOn::Same {
                break run(running.confirm());
            }
        };
        self.guard();
        result
    }
}

/// The buffer of a device's target.
const BUFFER: usize = 256;
