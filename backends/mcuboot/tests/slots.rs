//! Slots that no bootloader could use, outside of constants: each stops with its reason.

#![allow(clippy::unwrap_used)] // A test.

use std::fmt::Display;
use std::panic::{UnwindSafe, catch_unwind};

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::image::mcuboot::Version;
use dfu_target::layout::{Area, Device, FlashMap, LayoutError};
use dfu_target_mcuboot::{Active, Config, ConfigError, McubootTarget, Mode, RunningState, Slots};
use dfu_testkit::flash::{Chip, SimFlash};

type Flash = Chip<4, 4096, 4>;

const SIZE: u32 = 0x8000;
const MOVE: Config = Config::new(Mode::SwapMove);

/// It stops, and says this.
fn stops<T>(make: impl FnOnce() -> T + UnwindSafe, reason: impl Display) {
    let Err(panic) = catch_unwind(|| drop(make())) else { unreachable!("it went on instead of: {reason}") };
    let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    assert_eq!(said, Some(&*reason.to_string()));
}

#[test]
fn what_is_wrong_with_slots_stops_whoever_makes_them() {
    stops(|| Slots::new::<Flash>(SIZE + 4, MOVE), ConfigError::Size);
    stops(|| Slots::new::<Flash>(SIZE, MOVE.max_sectors(7)), ConfigError::TooManySectors);
    stops(|| Slots::pair::<Flash, Flash>(SIZE, 2 * SIZE, MOVE), ConfigError::Pair);
    stops(|| Slots::pair::<Flash, Chip<4, 8192, 4>>(SIZE, SIZE, MOVE), ConfigError::Sectors);
    stops(|| Slots::new::<Flash>(SIZE, Config::new(Mode::SingleSlot)), ConfigError::SingleSlot);
    assert_eq!(Slots::new::<Flash>(SIZE, MOVE.max_sectors(8)).sizes(), [SIZE; 2]);
}

#[test]
fn what_is_wrong_with_slots_of_a_map_stops_whoever_makes_them() {
    let devices = [Device::new("internal", 0x2_0000, 4, 0x1000)];
    let slots = [Area::new("slot0", "internal", 0, SIZE), Area::new("slot1", "internal", SIZE, SIZE)];
    let map = FlashMap::checked(&devices, &slots).unwrap();
    let made = |other, config| Slots::of_map(&map, "slot0", other, config);
    assert_eq!(made("slot1", MOVE).max_image(), Slots::new::<Flash>(SIZE, MOVE).max_image());
    stops(|| made("slot1", MOVE.max_sectors(7)), ConfigError::TooManySectors);
    stops(|| made("slot2", MOVE), LayoutError::Unknown("slot2"));
}

#[test]
fn a_target_is_made_for_its_own_slot_and_knows_what_runs() {
    let made = |size, config, runs: Option<Version>| {
        let slots = Slots::new::<Flash>(SIZE, config);
        let mut shared = Shared::new(Flash::new(SimFlash::new(2 * SIZE as usize)));
        let [region] = shared.split(&Layout::checked([(0, size)]).unwrap());
        let active = Active::new(RunningState::Confirmed, runs);
        McubootTarget::<_, _, _, 128>::new(region, SoftSha256::default(), &slots, active).map(drop)
    };
    let runs = Some(Version { major: 1, minor: 0, revision: 0, build: 0 });
    for size in [SIZE - 4096, SIZE + 4096, 2 * SIZE] {
        assert_eq!(made(size, MOVE, runs), Err(ConfigError::Region), "{size:#x}");
    }
    assert_eq!((made(SIZE, MOVE, runs), made(SIZE, MOVE, None)), (Ok(()), Ok(())));
    for mode in [Mode::DirectXip, Mode::DirectXipRevert, Mode::RamLoad, Mode::RamLoadRevert] {
        assert_eq!(made(SIZE, Config::new(mode), runs), Ok(()), "{mode:?}");
        assert_eq!(made(SIZE, Config::new(mode), None), Err(ConfigError::Version), "{mode:?}");
    }
}
