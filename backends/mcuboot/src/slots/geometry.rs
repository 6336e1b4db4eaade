//! Sizes and places by mode. All of it runs in the compiler, as a rule.

use dfu_target::flash::align_up;

use super::{ConfigError, Slots, mix};
use crate::mark::{MAGIC_LEN, MAX_MARK};
use crate::preflight::Flags;
use crate::{Config, Mode};

/// What is known of the flash of the primary and the secondary slot.
pub(super) struct Flash {
    pub(super) write: [u32; 2],
    pub(super) unit: [u32; 2],
}

impl Slots {
    #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Checked as it goes, or by the compiler.
    pub(super) const fn with_geometry(sizes: [u32; 2], flash: Flash, config: Config) -> Result<Self, ConfigError> {
        let align = config.align.bytes();
        let mode = config.mode;
        if matches!(mode, Mode::SingleSlot) {
            return Err(ConfigError::SingleSlot);
        }
        if config.index > 15 {
            return Err(ConfigError::Index);
        }
        if mode.chooses() && config.encryption.is_some() && !matches!(mode, Mode::RamLoad | Mode::RamLoadRevert) {
            return Err(ConfigError::Encryption);
        }
        let sectors = match sectors(&sizes, &flash, &config) {
            Ok(sectors) => sectors,
            Err(error) => return Err(error),
        };
        if let Err(error) = check_pair(&sizes, &sectors, &config) {
            return Err(error);
        }

        // What the bootloader counts with is the primary slot's word; the longer one decides what is erased.
        let (write, sector) = (flash.write[0], sectors[0]);
        let longest_write = most(write, flash.write[1]);
        let magic_len = align_up(MAGIC_LEN as u32, align);
        let mark_len = magic_len + 3 * align;
        let info = info(&config);
        let trailer = config.max_sectors.saturating_mul(states(mode) * write).saturating_add(info);
        let longest = config.max_sectors.saturating_mul(states(mode) * longest_write).saturating_add(info);
        let (primary, secondary) = (sizes[0], sizes[1]);
        let smaller = least(primary, secondary);
        if smaller <= longest {
            return Err(ConfigError::Size);
        }
        let start = if matches!(mode, Mode::SwapOffset) { sectors[1] } else { 0 };
        // MCUboot's `app_max_size`, by mode.
        let whole = align_up(trailer, sector);
        let max_image = match mode {
            Mode::SwapMove => {
                least(primary.saturating_sub(whole.saturating_add(sector)), secondary.saturating_sub(whole))
            }
            Mode::SwapOffset => {
                least(primary.saturating_sub(whole), secondary.saturating_sub(whole.saturating_add(sector)))
            }
            Mode::SwapScratch => {
                // The scratch area's own trailer must not reach back beyond the part in the first sector.
                let larger = most(sector, sectors[1]);
                let Some(behind) = (smaller - trailer).checked_rem(larger) else { return Err(ConfigError::SectorSize) };
                let in_first = larger - behind;
                let needed = info.saturating_add(3 * write);
                smaller - trailer - least(needed.saturating_sub(in_first), smaller - trailer)
            }
            _ => smaller - mark_len,
        };
        if max_image == 0 {
            return Err(ConfigError::Size);
        }
        // The header's magic, in whole words of both: either may be the one that does not run.
        let held = if mode.chooses() { most(4, longest_write) } else { 0 };
        let mut identity = 0x4255_434d;
        let parts = [
            primary,
            secondary,
            sector,
            longest,
            max_image,
            mode as u32,
            config.index as u32,
            align,
            config.upgrade as u32,
        ];
        let mut i = 0;
        while i < parts.len() {
            identity = mix(identity, parts[i]);
            i += 1;
        }
        let mut slots = Self {
            primary,
            secondary,
            config,
            start,
            held,
            trailer: longest,
            max_image,
            flags: Flags::of(&config),
            identity,
            request: [config.erased; MAX_MARK],
            mark_len,
        };
        let mut request = slots.request;
        let mut rest: &mut [u8] = &mut request;
        let mut distance = 1;
        while distance <= mark_len
            && let Some((last, before)) = rest.split_last_mut()
        {
            *last = slots.wanted(distance);
            rest = before;
            distance += 1;
        }
        slots.request = request;
        Ok(slots)
    }
}

const fn least(one: u32, other: u32) -> u32 {
    if one < other { one } else { other }
}

const fn most(one: u32, other: u32) -> u32 {
    if one > other { one } else { other }
}

/// Status words for each sector. Where nothing is swapped MCUboot counts three all the same.
const fn states(mode: Mode) -> u32 {
    match mode {
        Mode::SwapOffset => 2,
        _ => 3,
    }
}

/// The trailer without the swap status.
#[allow(clippy::arithmetic_side_effects)] // Constants, checked by the compiler.
const fn info(config: &Config) -> u32 {
    let align = config.align.bytes();
    let keys = match config.encryption {
        None => 0,
        Some(_) if config.key_space > 0 => align_up(config.key_space, align).saturating_mul(2),
        Some(encryption) => 2 * align_up(encryption.key_len(), align),
    };
    // Swap using offset keeps the length of the TLVs, too.
    let tlv_size = if matches!(config.mode, Mode::SwapOffset) { align } else { 0 };
    keys.saturating_add(4 * align + align_up(MAGIC_LEN as u32, align) + tlv_size)
}

/// The sector of each slot, in bytes.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Constants, checked by the compiler.
const fn sectors(sizes: &[u32; 2], flash: &Flash, config: &Config) -> Result<[u32; 2], ConfigError> {
    let align = config.align.bytes();
    let mut sectors = flash.unit;
    let mut i = 0;
    while i < sectors.len() {
        let (size, write, unit) = (sizes[i], flash.write[i], flash.unit[i]);
        if !write.is_power_of_two() || write > align {
            return Err(ConfigError::WriteSize);
        }
        if config.sector > 0 {
            sectors[i] = config.sector;
        }
        if (unit as usize) < MAX_MARK || !sectors[i].is_multiple_of(unit) {
            return Err(ConfigError::SectorSize);
        }
        if !size.is_multiple_of(sectors[i]) || !size.is_multiple_of(align) {
            return Err(ConfigError::Size);
        }
        let Some(count) = size.checked_div(sectors[i]) else { return Err(ConfigError::SectorSize) };
        if !config.mode.chooses() && count > config.max_sectors {
            return Err(ConfigError::TooManySectors);
        }
        i += 1;
    }
    Ok(sectors)
}

/// MCUboot's `boot_slots_compatible`, by mode: where it says no, an upgrade stays pending for ever.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Constants, checked by the compiler.
const fn check_pair(sizes: &[u32; 2], sectors: &[u32; 2], config: &Config) -> Result<(), ConfigError> {
    let (primary, secondary) = (sizes[0], sizes[1]);
    let same_sectors = sectors[0] == sectors[1];
    let multiples = sectors[0].is_multiple_of(sectors[1]) || sectors[1].is_multiple_of(sectors[0]);
    let larger_sector = most(sectors[0], sectors[1]);
    let (sectors_fit, sizes_fit) = match config.mode {
        Mode::SwapMove => (same_sectors, primary == secondary || primary == secondary.saturating_add(sectors[0])),
        Mode::SwapOffset => (same_sectors, primary == secondary || secondary == primary.saturating_add(sectors[0])),
        Mode::SwapScratch | Mode::OverwriteOnly => (multiples, primary == secondary),
        _ => (true, primary == secondary),
    };
    if !sectors_fit {
        return Err(ConfigError::Sectors);
    }
    if !sizes_fit {
        return Err(ConfigError::Pair);
    }
    if matches!(config.mode, Mode::SwapScratch)
        && config.scratch > 0
        && (config.scratch < larger_sector || !config.scratch.is_multiple_of(larger_sector))
    {
        return Err(ConfigError::Scratch);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
