//! The pairs of slots in a map, and what the library makes of them.

use dfu_target_mcuboot::{Config, ConfigError, Mode, Slots};
use dfu_testkit::flash::SimFlash;

use super::map::{Flash, FlashMap};

/// The two slots of an image, by their places in the map.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) image: u8,
    pub(crate) primary: usize,
    pub(crate) secondary: usize,
}

/// Finds them by their names: that of a slot without its partner is a problem.
pub(crate) fn find(map: &FlashMap, problems: &mut Vec<String>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for image in 0..16 {
        let suffix = if image == 0 { String::new() } else { format!("_{image}") };
        let place = |slot: &str| map.areas.iter().position(|area| area.name == format!("mcuboot_{slot}{suffix}"));
        match (place("primary"), place("secondary")) {
            (Some(primary), Some(secondary)) => pairs.push(Pair { image, primary, secondary }),
            (Some(_), None) => problems.push(format!("mcuboot_primary{suffix} has no mcuboot_secondary{suffix}")),
            (None, Some(_)) => problems.push(format!("mcuboot_secondary{suffix} has no mcuboot_primary{suffix}")),
            (None, None) => {}
        }
    }
    pairs
}

impl Pair {
    /// The slots, or why the bootloader could not use them.
    pub(crate) fn slots(&self, map: &FlashMap, config: Config) -> Result<Slots, String> {
        let slot = |at: usize| {
            let area = map.areas.get(at)?;
            Some((area, map.flashes.get(area.flash)?))
        };
        let (Some((primary, one)), Some((secondary, other))) = (slot(self.primary), slot(self.secondary)) else {
            return Err("there is no such slot".into());
        };
        let scratch = map.areas.iter().find(|area| area.name == "mcuboot_scratch");
        let config = match scratch {
            Some(scratch) if config.mode() == Mode::SwapScratch => config.scratch(scratch.size),
            _ => config,
        };
        let sizes = [primary.size, secondary.size];
        let (Some(word), Some(sector)) = (both(one.write, other.write), both(one.erase, other.erase)) else {
            return Err(format!(
                "{} is no flash",
                [one, other].into_iter().find(|flash| is_ram(flash)).map_or("", |flash| &flash.name)
            ));
        };
        checked(word, sector, sizes, config)
    }
}

fn both(one: Option<u32>, other: Option<u32>) -> Option<(u32, u32)> {
    one.zip(other)
}

fn is_ram(flash: &Flash) -> bool {
    flash.erase.is_none()
}

/// Asks the library, whose flash is a type for each word and sector. Where both slots have the same sector, that is
/// a multiple of a small one.
fn checked(words: (u32, u32), sectors: (u32, u32), sizes: [u32; 2], config: Config) -> Result<Slots, String> {
    macro_rules! words {
        ($unit:literal $other:literal, [$($word:literal)*] $seconds:tt, $config:expr) => {
            match words.0 {
                $($word => words!(@second $unit $other, $word $seconds, $config),)*
                _ => Err(ConfigError::WriteSize),
            }
        };
        (@second $unit:literal $other:literal, $word:literal [$($second:literal)*], $config:expr) => {
            match words.1 {
                $($second => {
                    Slots::checked::<SimFlash<$word, $unit>, SimFlash<$second, $other>>(sizes[0], sizes[1], $config)
                })*
                _ => Err(ConfigError::WriteSize),
            }
        };
    }
    // Each pair is compiled: of different sectors there are those of chips and the flash beside them.
    match sectors {
        (one, other) if one == other => words!(128 128, [1 2 4 8 16 32][1 2 4 8 16 32], config.sector(one)),
        (2048, 4096) => words!(2048 4096, [4 8 16][1 4], config),
        (4096, 65536) => words!(4096 65536, [1 4 16][1 4], config),
        (8192, 4096) => words!(8192 4096, [4 8 16][1 4], config),
        (8192, 65536) => words!(8192 65536, [4 8 16][1 4], config),
        (131_072, 4096) => words!(131_072 4096, [4 8 32][1 4], config),
        (131_072, 65536) => words!(131_072 65536, [4 8 32][1 4], config),
        (one, other) => return Err(format!("sectors of {one} and {other} bytes side by side are not known here")),
    }
    .map_err(|error| error.to_string())
}
