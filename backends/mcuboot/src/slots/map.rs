//! Slots by their names in the device's flash map.

use core::fmt;

use dfu_target::layout::{Device, FlashMap, LayoutError};

use super::geometry::Flash;
use super::{Config, ConfigError, Slots};

impl Slots {
    /// The slots of these names in a map: their sizes, words and erase units are the map's. For constants: what is
    /// wrong with them stops the compiler.
    ///
    /// The map's [`windows`](FlashMap::windows) compare the driver's word and erase unit with the map's. A scratch
    /// area's size is for the [`Config`] to say: `.scratch(MAP.area("mcuboot_scratch").size())`.
    ///
    /// ```
    /// use dfu_target::flash::Layout;
    /// use dfu_target::layout::{Area, Device, FlashMap};
    /// use dfu_target_mcuboot::{Config, Mode, Slots};
    /// # type Flash = dfu_testkit::flash::SimFlash<4, 4096>;
    ///
    /// const MAP: FlashMap = FlashMap::new(
    ///     &[Device::new("internal", 0x10_0000, 4, 0x1000)],
    ///     &[
    ///         Area::new("mcuboot", "internal", 0x0, 0xc000),
    ///         Area::new("mcuboot_primary", "internal", 0xc000, 0x7_8000),
    ///         Area::new("mcuboot_secondary", "internal", 0x8_4000, 0x7_7000), // a sector less: none to move into
    ///         Area::new("progress", "internal", 0xf_b000, 0x2000),
    ///     ],
    /// );
    /// const BOOTLOADER: Config = Config::new(Mode::SwapMove);
    /// const SLOTS: Slots = Slots::of_map(&MAP, "mcuboot_primary", "mcuboot_secondary", BOOTLOADER);
    /// const WINDOWS: Layout<Flash, 3> = MAP.windows(["mcuboot_primary", "mcuboot_secondary", "progress"]);
    /// const _: () = assert!(SLOTS.max_image() >= 400 << 10, "the application has outgrown its slots");
    /// # let _ = WINDOWS;
    /// ```
    ///
    /// A pair that the bootloader would never swap:
    ///
    /// ```compile_fail
    /// # use dfu_target::layout::{Area, Device, FlashMap};
    /// # use dfu_target_mcuboot::{Config, Mode, Slots};
    /// const MAP: FlashMap = FlashMap::new(
    ///     &[Device::new("internal", 0x10_0000, 4, 0x1000)],
    ///     &[
    ///         Area::new("mcuboot_primary", "internal", 0xc000, 0x7_8000),
    ///         Area::new("mcuboot_secondary", "internal", 0x8_4000, 0x7_6000), // two sectors less
    ///     ],
    /// );
    /// const SLOTS: Slots = Slots::of_map(&MAP, "mcuboot_primary", "mcuboot_secondary", Config::new(Mode::SwapMove));
    /// # let _ = SLOTS;
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of constants, where [`checked_of_map`](Self::checked_of_map) errs.
    #[allow(clippy::panic)] // It is the compiler that panics.
    pub const fn of_map<'a>(map: &FlashMap<'a>, primary: &'a str, secondary: &'a str, config: Config) -> Self {
        match Self::checked_of_map(map, primary, secondary, config) {
            Ok(slots) => slots,
            Err(MapError::Layout(error)) => error.stop(),
            Err(MapError::Slots(error)) => panic!("{}", error.text()),
        }
    }

    /// The slots of these names in a map, or why there are none: for maps that are read from a file.
    pub const fn checked_of_map<'a>(
        map: &FlashMap<'a>,
        primary: &'a str,
        secondary: &'a str,
        config: Config,
    ) -> Result<Self, MapError<'a>> {
        let [primary, secondary] = match map.pick([primary, secondary]) {
            Ok(slots) => slots,
            Err(error) => return Err(MapError::Layout(error)),
        };
        let (one, other) = match (map.device(primary.device()), map.device(secondary.device())) {
            (Ok(one), Ok(other)) => (one, other),
            (Err(error), _) | (_, Err(error)) => return Err(MapError::Layout(error)),
        };
        match Self::with_geometry([primary.size(), secondary.size()], flash(one, other), config) {
            Ok(slots) => Ok(slots),
            Err(error) => Err(MapError::Slots(error)),
        }
    }
}

const fn flash(one: Device<'_>, other: Device<'_>) -> Flash {
    Flash { write: [one.write_size(), other.write_size()], unit: [one.erase_size(), other.erase_size()] }
}

/// Why a map has no slots of these names that the bootloader could use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MapError<'a> {
    /// The map has no areas of these names that could be slots.
    Layout(LayoutError<'a>),
    /// The bootloader could not use them as slots.
    Slots(ConfigError),
}

impl fmt::Display for MapError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(error) => error.fmt(f),
            Self::Slots(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for MapError<'_> {}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use dfu_target::layout::Area;

    use super::*;
    use crate::Mode;

    const MAP: FlashMap = FlashMap::new(
        &[Device::new("internal", 0x10_0000, 4, 0x1000), Device::new("external", 0x80_0000, 1, 0x1_0000)],
        &[
            Area::span("mcuboot_primary", "internal", 0x1_0000, 0x7_0000),
            Area::new("mcuboot_pad", "internal", 0x1_0000, 0x200),
            Area::new("app", "internal", 0x1_0200, 0x6_fe00),
            Area::new("mcuboot_secondary", "internal", 0x8_0000, 0x6_f000),
            Area::new("elsewhere", "external", 0, 0x7_0000),
        ],
    );

    fn refusal(secondary: &'static str, mode: Mode) -> MapError<'static> {
        Slots::checked_of_map(&MAP, "mcuboot_primary", secondary, Config::new(mode)).unwrap_err()
    }

    #[test]
    fn the_map_has_the_slots_sizes_and_geometry() {
        const SLOTS: Slots = Slots::of_map(&MAP, "mcuboot_primary", "mcuboot_secondary", Config::new(Mode::SwapMove));
        assert_eq!((SLOTS.sizes(), SLOTS.max_image()), ([0x7_0000, 0x6_f000], 0x6_e000));
        let config = Config::new(Mode::OverwriteOnly).max_sectors(128);
        let apart = Slots::checked_of_map(&MAP, "mcuboot_primary", "elsewhere", config).unwrap();
        let by_hand = Flash { write: [4, 1], unit: [0x1000, 0x1_0000] };
        let by_hand = Slots::with_geometry([0x7_0000; 2], by_hand, config).unwrap();
        assert_eq!((apart.identity, apart.max_image()), (by_hand.identity, by_hand.max_image()));
    }

    #[test]
    fn a_refusal_is_the_map_s_or_the_bootloader_s() {
        let unknown = MapError::Layout(LayoutError::Unknown("slot1"));
        assert_eq!(refusal("slot1", Mode::SwapMove), unknown);
        let inside = MapError::Layout(LayoutError::Overlap("mcuboot_primary", "mcuboot_primary"));
        assert_eq!(refusal("mcuboot_primary", Mode::SwapMove), inside);
        assert_eq!(refusal("mcuboot_secondary", Mode::SwapOffset), MapError::Slots(ConfigError::Pair));
        assert_eq!(refusal("elsewhere", Mode::SwapMove), MapError::Slots(ConfigError::Sectors));
        let devices = ["one", "other"].map(|name| Device::new(name, 1 << 31, 4, 1 << 31));
        let slots = [Area::new("a", "one", 0, 1 << 31), Area::new("b", "other", 0, 1 << 31)];
        let huge = FlashMap::checked(&devices, &slots).unwrap();
        let huge = Slots::checked_of_map(&huge, "a", "b", Config::new(Mode::SwapMove)).unwrap_err();
        assert_eq!(huge, MapError::Slots(ConfigError::Size), "one sector is no slot, however large");
        assert_eq!(unknown.to_string(), "the map has nothing that is called `slot1`");
        assert_eq!(MapError::Slots(ConfigError::Pair).to_string(), ConfigError::Pair.to_string());
    }
}
