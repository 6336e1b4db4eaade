//! The flash: what lies where, from `layout.toml`.

use dfu_target::layout::{Area, Device, FlashMap};
use dfu_target_mcuboot::{Config, Mode, Slots};

use crate::external::ExternalFlash;
use crate::internal::InternalFlash;

/// The whole map.
pub const MAP: FlashMap<'_> = include!(concat!(env!("OUT_DIR"), "/map.rs"));

/// MCUboot's two slots, as it was built for them.
pub const SLOTS: Slots = Slots::new::<InternalFlash>(MAP.area("mcuboot_primary").size(), Config::new(Mode::SwapMove));

const _: () = {
    let (primary, secondary) = (MAP.area("mcuboot_primary"), MAP.area("mcuboot_secondary"));
    assert!(primary.size() == secondary.size(), "the slots are of one size");
    assert!(MAP.area("modem_staging").size() >= 0x20_2000, "a full update of the modem is 2 MB, and two erase units");
    // Both drivers are what the map says of their devices.
    let _ = MAP.windows::<InternalFlash, 3>(["mcuboot_primary", "mcuboot_secondary", "progress"]);
    let _ = MAP.windows::<ExternalFlash, 1>(["modem_staging"]);
};
