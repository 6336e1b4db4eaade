//! Two images that are to run together, and power that fails anywhere: both run, or none of them.

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::image::mcuboot::Version;
use dfu_target::{Begun, ProgressLog, Update};
use dfu_target_mcuboot::{
    Active, Config, Error, McubootTarget, Mode, Refusal, Rules, RunningState, Slots, Upgrade, marking_order,
};
use dfu_testkit::boot::{self, Bootloader};
use dfu_testkit::device::Release;
use dfu_testkit::flash::{Chip, Cut, SimFlash};
use dfu_testkit::image::{ImageBuilder, ImageFile};
use dfu_testkit::poll::run;

type Flash = Chip<4, 1024, 4>;

const SLOT: u32 = 6 * 1024;
/// In flash that is erased to ones, and to zeros.
static SLOTS: [[Slots; 2]; 2] = [[slots(0, 0xff), slots(1, 0xff)], [slots(0, 0), slots(1, 0)]];

const fn slots(index: u8, erased: u8) -> Slots {
    let config = Config::new(Mode::SwapMove).max_sectors(8).index(index).upgrade(Upgrade::Permanent);
    Slots::new::<Flash>(SLOT, config.erased(erased))
}

/// Both slots of both images, then the logs.
const MAP: [(u32, u32); 6] = {
    let log = 4 * SLOT;
    [(0, SLOT), (SLOT, SLOT), (2 * SLOT, SLOT), (3 * SLOT, SLOT), (log, 2048), (log + 2048, 2048)]
};

struct Device {
    erased: u8,
    chip: Flash,
    old: [ImageFile; 2],
    new: [ImageFile; 2],
}

impl Device {
    fn new(new: [ImageBuilder; 2], erased: u8) -> Self {
        let old = [0, 1].map(|seed| ImageBuilder::new().seed(seed).payload(700).build());
        let new = new.map(|image| image.version(2, 0, 0, 0).payload(900).build());
        let chip = Flash::new(SimFlash::new(4 * SLOT as usize + 4096).erased_value(erased));
        for ((primary, _), image) in [MAP[0], MAP[2]].into_iter().zip(&old) {
            chip.sim().load(primary, image);
        }
        chip.sim().checkpoint();
        Self { erased, chip, old, new }
    }

    fn slots(&self) -> &'static [Slots; 2] {
        &SLOTS[usize::from(self.erased == 0)]
    }

    /// Fetches what is missing of each image, records that both are to run, asks for both.
    fn update(&self) -> Result<(), String> {
        let mut shared = Shared::new(self.chip.clone());
        let [_, first, _, second, log0, log1] = shared.split(&Layout::checked(MAP).unwrap());
        let active = Active::new(RunningState::Confirmed, Some(Version { major: 1, minor: 0, revision: 0, build: 0 }));
        // Each image's version after the reset.
        let after = [0, 1].map(|index| (index, Version { major: 2, minor: 0, revision: 0, build: 0 }));
        let target = |region, slots| {
            let rules = Rules::new(SoftSha256::default()).images(&after);
            McubootTarget::<_, _, _, 256, _>::verifying(region, SoftSha256::default(), slots, active, rules).unwrap()
        };
        let slots = self.slots();
        let releases = [0, 1].map(|n| Release::new(&self.new[n]).chunk(500));
        let mut updates = [
            Update::new(target(first, &slots[0]), ProgressLog::<_, 192>::new(log0), releases[0].request().index(0)),
            Update::new(target(second, &slots[1]), ProgressLog::<_, 192>::new(log1), releases[1].request().index(1)),
        ];
        let mut verified = Vec::new();
        for (update, release) in updates.iter_mut().zip(&releases) {
            let staged = match run(update.begin()).map_err(|error| error.to_string())? {
                Begun::Staged(staged) => staged,
                Begun::Receiving(mut session) => {
                    while (session.offset() as usize) < release.file().len() {
                        let piece = release.piece(session.offset());
                        run(session.write(piece)).map_err(|error| error.to_string())?;
                    }
                    run(session.finish()).map_err(|failed| failed.into_error().to_string())?
                }
            };
            verified.push(Some(staged.verify(release.digest()).map_err(|failed| failed.into_error().to_string())?));
        }
        for verified in &mut verified {
            let recorded = run(verified.take().unwrap().record()).map_err(|failed| failed.into_error().to_string())?;
            *verified = Some(recorded);
        }
        for place in self.order() {
            let verified = verified[place].take().unwrap();
            let _ = run(verified.apply()).map_err(|failed| failed.into_error().to_string())?;
        }
        Ok(())
    }

    fn order(&self) -> [usize; 2] {
        let needs = [0, 1].map(|n| self.needs(n));
        marking_order([(0, &needs[0]), (1, &needs[1])])
    }

    /// What an image needs, by its own TLVs.
    fn needs(&self, n: usize) -> Vec<dfu_target_mcuboot::Need> {
        let chip = Flash::new(SimFlash::new(SLOT as usize).erased_value(self.erased));
        let mut shared = Shared::new(chip);
        let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
        let active = Active::new(RunningState::Factory, None);
        let rules = Rules::new(SoftSha256::default());
        let slots = &self.slots()[n];
        let target = McubootTarget::<_, _, _, 256, _>::verifying(region, SoftSha256::default(), slots, active, rules);
        let release = Release::new(&self.new[n]);
        let request = release.request().index(n as u8);
        let mut update = Update::new(target.unwrap(), dfu_target::progress::NoProgress, request);
        let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing was stored") };
        run(session.write(release.file())).unwrap();
        let _ = run(session.finish()).unwrap();
        update.release().0.verifier().needs().to_vec()
    }

    /// A reset; which images are the new ones then.
    fn boot(&self) -> [bool; 2] {
        let mut flash = self.chip.sim();
        flash.power_on();
        let mut windows: Vec<Vec<u8>> =
            MAP[..4].iter().map(|(at, len)| flash.bytes()[*at as usize..(at + len) as usize].to_vec()).collect();
        let [a, b, c, d] = &mut windows[..] else { unreachable!() };
        let bootloader = Bootloader::new(boot::Mode::Move, 4, 1024).sectors(8).erased_value(self.erased);
        let boots = bootloader.boot_group(&mut [(a, b), (c, d)]);
        for ((at, _), window) in MAP.iter().zip(&windows) {
            flash.load(*at, window);
        }
        drop(flash);
        [0, 1].map(|n| {
            assert!(boots[n].running.is_ok(), "{boots:?}");
            let slot = &windows[2 * n];
            assert!(slot.starts_with(&self.old[n]) || slot.starts_with(&self.new[n]), "image {n} is damaged");
            slot.starts_with(&self.new[n])
        })
    }

    /// Through one cut to the end; `false`: the cut never came.
    fn live(&self, point: u64, cut: Cut) -> bool {
        self.chip.sim().rollback();
        self.chip.sim().cut_after(point, cut);
        let cut_short = self.update().is_err();
        for _ in 0..4 {
            match self.boot() {
                [true, true] => return cut_short,
                [false, false] => self.update().unwrap(),
                mixed => panic!("cut {cut:?} at {point}: {mixed:?} are new"),
            }
        }
        panic!("no end of it: cut {cut:?} at {point}");
    }
}

fn sweep(new: [ImageBuilder; 2]) -> u64 {
    [0xff, 0].into_iter().map(|erased| sweep_on(&Device::new(new.clone(), erased))).sum()
}

fn sweep_on(device: &Device) -> u64 {
    let mut points = 0;
    for cut in Cut::ALL {
        for point in 0.. {
            if !device.live(point, cut) {
                break;
            }
            points += 1;
        }
    }
    points
}

fn needing(index: u8, seed: u64) -> ImageBuilder {
    let version = dfu_testkit::image::Version { major: 2, ..Default::default() };
    ImageBuilder::new().seed(seed).needs(index, version)
}

#[test]
fn r01_two_images_run_together_or_not_at_all_when_one_needs_the_other() {
    let bare = |seed| ImageBuilder::new().seed(seed);
    let points = sweep([needing(1, 5), bare(6)]) + sweep([bare(5), needing(0, 6)]);
    println!("fault points: {points} (two images, one needs the other)");
    assert!(points > 4000, "{points}");
}

#[test]
fn r01_two_images_run_together_or_not_at_all_when_they_need_each_other() {
    let points = sweep([needing(1, 5), needing(0, 6)]);
    println!("fault points: {points} (two images that need each other)");
    assert!(points > 2000, "{points}");
}

#[test]
fn r17_an_image_whose_needs_will_not_be_met_is_refused() {
    let device = Device::new([needing(1, 5), ImageBuilder::new().seed(6)], 0xff);
    let chip = Flash::new(SimFlash::new(SLOT as usize));
    for (other, met) in [(None, false), (Some(1), false), (Some(2), true), (Some(3), true)] {
        let mut shared = Shared::new(chip.clone());
        let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
        let version = |major| Version { major, minor: 0, revision: 0, build: 0 };
        let after: Vec<_> = other.into_iter().map(|major| (1, version(major))).collect();
        let rules = Rules::new(SoftSha256::default()).images(&after);
        let active = Active::new(RunningState::Confirmed, None);
        let target =
            McubootTarget::<_, _, _, 256, _>::verifying(region, SoftSha256::default(), &SLOTS[0][0], active, rules);
        let release = Release::new(&device.new[0]);
        let mut update = Update::new(target.unwrap(), dfu_target::progress::NoProgress, release.request());
        let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing was stored") };
        run(session.write(release.file())).unwrap();
        let result = run(session.finish()).map(drop).map_err(|failed| failed.into_error());
        let refusal = Refusal::Dependency { image: 1, needs: version(2), has: other.map(version) };
        let expected =
            if met { Ok(()) } else { Err(dfu_target::session::SessionError::Target(Error::Refused(refusal))) };
        assert_eq!(result, expected, "{other:?}");
    }
}
