//! R5: the slots lie in two flashes of different kinds, on one supply, and power fails at each point of either.

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::image::mcuboot::Version;
use dfu_target::{Begun, ProgressLog, Update};
use dfu_target_mcuboot::{Active, Config, ConfigError, McubootTarget, Mode, RunningState, Slots};
use dfu_testkit::boot::{self, Boot, Bootloader};
use dfu_testkit::device::Release;
use dfu_testkit::flash::{Chip, Cut, SimFlash};
use dfu_testkit::image::{ImageBuilder, ImageFile};
use dfu_testkit::poll::run;

/// The chip's own: the running image and the progress.
type Inside = Chip<4, 1024, 4>;
const SLOT: u32 = 8 * 1024;
const LOG: u32 = 2 * 1024;

/// A chip with a flash beside it, where words have `W` bytes and erase units `E`.
struct Device<const W: usize, const E: usize> {
    inside: Inside,
    beside: Chip<W, E>,
    slots: Slots,
    bootloader: Bootloader,
    old: ImageFile,
    new: ImageFile,
}

impl<const W: usize, const E: usize> Device<W, E> {
    fn new(mode: Mode) -> Self {
        let larger = (E as u32).max(1024);
        let (model, sector) = match mode {
            // A sector of the bootloader's is as many erase units of the other flash, which is `MCUBOOT_LOGICAL_SECTOR_SIZE`.
            Mode::SwapMove => (boot::Mode::Move, larger),
            Mode::SwapOffset => (boot::Mode::Offset, larger),
            // These take sectors as they are, if one is a multiple of the other.
            Mode::SwapScratch => (boot::Mode::Scratch, 0),
            _ => (boot::Mode::Overwrite, 0),
        };
        let config = Config::new(mode).max_sectors(16).sector(sector);
        let slots = Slots::checked::<Inside, Chip<W, E>>(SLOT, SLOT, config).unwrap();
        let old = ImageBuilder::new().payload(900).build();
        let new = ImageBuilder::new().version(2, 0, 0, 0).payload(3000).build();
        let inside = Inside::new(SimFlash::new((SLOT + LOG) as usize));
        let end = SLOT - 128..SLOT;
        let mut beside = SimFlash::new(SLOT as usize + E).forgiving_tears_in(end.start + E as u32..end.end + E as u32);
        beside.load(0, &vec![0x5a; E]);
        beside.share_supply(&inside.sim());
        inside.sim().load(0, &old);
        let (beside, bootloader) = (Chip::new(beside), Bootloader::new(model, 4, larger as usize));
        let device = Self { inside, beside, slots, bootloader: bootloader.sectors(16), old, new };
        let (log, slot) = (SLOT..SLOT + LOG, E as u32..SLOT + E as u32);
        device.inside.sim().guard(core::slice::from_ref(&log));
        device.beside.sim().guard(core::slice::from_ref(&slot));
        device.inside.sim().checkpoint();
        device.beside.sim().checkpoint();
        device
    }

    fn update(&self) -> Result<(), String> {
        let (mut inside, mut beside) = (Shared::new(self.inside.clone()), Shared::new(self.beside.clone()));
        let [log] = inside.split(&Layout::checked([(SLOT, LOG)]).unwrap());
        let [slot] = beside.split(&Layout::checked([(E as u32, SLOT)]).unwrap());
        let active = Active::new(RunningState::Confirmed, Some(Version { major: 1, minor: 0, revision: 0, build: 0 }));
        let target = McubootTarget::<_, _, _, 256>::new(slot, SoftSha256::default(), &self.slots, active).unwrap();
        let release = Release::new(&self.new).chunk(300).save_every(1024);
        let mut update = Update::new(target, ProgressLog::<_, 192>::new(log), release.request());
        let text = |error: &dyn core::fmt::Display| error.to_string();
        let staged = match run(update.begin()).map_err(|error| text(&error))? {
            Begun::Staged(staged) => staged,
            Begun::Receiving(mut session) => {
                session.agree(Some(self.new.len() as u32), 0).unwrap();
                while session.offset() < self.new.len() as u32 {
                    run(session.write(release.piece(session.offset()))).map_err(|error| text(&error))?;
                }
                run(session.finish()).map_err(|failed| text(&failed))?
            }
        };
        let verified = staged.verify(release.digest()).map_err(|failed| text(&failed))?;
        run(verified.apply()).map(drop).map_err(|failed| text(&failed))
    }

    fn boot(&self) -> Boot {
        self.inside.sim().power_on();
        self.beside.sim().power_on();
        self.beside.sim().settle_anew();
        let slot = E as u32..SLOT + E as u32;
        self.bootloader.boot_across((&mut self.inside.sim(), 0..SLOT), (&mut self.beside.sim(), slot))
    }

    fn runs(&self, image: &ImageFile) -> bool {
        self.inside.sim().bytes().starts_with(image)
    }

    /// One life with this cut of either flash; whether it happened.
    fn live(&self, inside: bool, point: u64, cut: Cut) -> bool {
        self.inside.sim().rollback();
        self.beside.sim().rollback();
        if inside {
            self.inside.sim().cut_after(point, cut);
        } else {
            self.beside.sim().cut_after(point, cut);
        }
        let result = self.update();
        let powered = self.inside.sim().is_powered();
        assert_eq!(result.is_ok(), powered, "{result:?}");
        let boot = self.boot();
        assert_eq!(boot.refused, None, "a bad image was pending");
        assert!(powered || self.runs(&self.old) || boot.swapped.is_some(), "what runs is damaged");
        if !self.runs(&self.new) {
            assert!(self.runs(&self.old));
            self.update().unwrap();
            assert!(self.boot().swapped.is_some());
        }
        assert!(self.runs(&self.new));
        assert!(self.beside.sim().bytes()[..E].iter().all(|byte| *byte == 0x5a));
        !powered
    }
}

fn sweep<const W: usize, const E: usize>(mode: Mode) -> usize {
    let device = Device::<W, E>::new(mode);
    let points = |inside, cut| (0..).take_while(|point| device.live(inside, *point, cut)).count();
    let count = [true, false].map(|inside| Cut::ALL.map(|cut| points(inside, cut)).into_iter().sum::<usize>());
    assert!(count.iter().all(|count| *count > 100), "{count:?}");
    count.into_iter().sum()
}

#[test]
fn r05_an_update_in_another_flash_than_its_progress_survives_a_cut_anywhere_in_either() {
    for mode in [Mode::OverwriteOnly, Mode::SwapScratch, Mode::SwapMove, Mode::SwapOffset] {
        let points = sweep::<4, 512>(mode) + sweep::<1, 1024>(mode) + sweep::<8, 2048>(mode);
        println!("fault points: {points} (two flashes, {mode:?})");
    }
}

#[test]
fn r05_sectors_of_two_sizes_are_refused_where_the_bootloader_would_never_swap() {
    for mode in [Mode::SwapMove, Mode::SwapOffset] {
        let config = Config::new(mode).max_sectors(16);
        assert_eq!(Slots::checked::<Inside, Chip<8, 2048>>(SLOT, SLOT, config).err(), Some(ConfigError::Sectors));
    }
}
