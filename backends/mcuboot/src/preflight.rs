//! What an image's first bytes show to be wrong.

use dfu_target::image::mcuboot::{Header, TLV_INFO_LEN, Version, flags};

use crate::{Config, Encryption, Mode, Refusal, Slots};

/// The flags of an image that the bootloader has an opinion on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    /// None of these may be set.
    refused: u32,
    /// All of these must be.
    needed: u32,
}

impl Flags {
    pub(crate) const fn of(config: &Config) -> Self {
        let mut refused = flags::NON_BOOTABLE;
        refused |= match config.encryption {
            None => flags::ENCRYPTED_AES128 | flags::ENCRYPTED_AES256,
            Some(Encryption::Aes128) => flags::ENCRYPTED_AES256,
            Some(Encryption::Aes256) => flags::ENCRYPTED_AES128,
        };
        if !config.compressed {
            refused |= flags::COMPRESSED;
        }
        let needed = match config.mode {
            Mode::RamLoad | Mode::RamLoadRevert => flags::RAM_LOAD,
            _ => 0,
        };
        Self { refused, needed }
    }
}

/// An image as its first bytes show it.
pub(crate) struct Preflight<'h> {
    pub(crate) header: &'h Header,
    /// The length of the file, if it is known.
    pub(crate) size: Option<u32>,
    /// The version that runs, if it is known.
    pub(crate) running: Option<Version>,
    /// Where the slot is.
    pub(crate) address: u32,
}

impl Preflight<'_> {
    /// The least and the greatest length that the file may have.
    #[inline(always)] // Once; what the mode does not need goes away.
    pub(crate) fn check(&self, slots: &Slots) -> Result<(u32, u32), Refusal> {
        let Self { header, size, running, address } = *self;
        let (need, max) = (header.hashed_len().saturating_add(TLV_INFO_LEN), slots.max_image);
        let room = ram_left(header, slots);
        let (least, most) = size.map_or((need, max.min(room)), |size| (size, size));
        let unfit = header.flags & slots.flags.refused;
        let offered = header.version;
        Err(if least.max(need) > max {
            Refusal::TooLarge { size: least.max(need), max }
        } else if least < need {
            Refusal::Truncated { have: least, need }
        } else if unfit != 0 {
            Refusal::Flags(unfit)
        } else if header.flags & slots.flags.needed != slots.flags.needed {
            Refusal::NotForRam
        } else if least > room {
            Refusal::Ram { image: header.load_addr, size: least }
        } else if is_elsewhere(header, slots, address) {
            Refusal::Address { image: header.load_addr, slot: address }
        } else if let Some(running) = running
            && slots.mode().chooses()
            && !offered.beats(&running, slots.config.build_number)
        {
            Refusal::Outranked { running, offered }
        } else {
            return Ok((least, most));
        })
    }
}

/// Whether a bootloader that chooses by version would look at an image with this header, and prefer it to the one that
/// runs; from which address, where that is known. A header that was cut while it was written is one that no bootloader
/// looks at, as a rule.
pub(crate) fn is_preferred(header: &Header, running: Option<Version>, slots: &Slots, address: Option<u32>) -> bool {
    let Flags { refused, needed } = slots.flags;
    header.hashed_len() <= slots.max_image
        && header.flags & refused == 0
        && header.flags & needed == needed
        && address.is_none_or(|address| !is_elsewhere(header, slots, address))
        && running.is_none_or(|running| header.version.beats(&running, slots.config.build_number))
}

/// Whether an image that runs where it lies runs nowhere but at another address.
fn is_elsewhere(header: &Header, slots: &Slots, address: u32) -> bool {
    matches!(slots.mode(), Mode::DirectXip | Mode::DirectXipRevert)
        && header.flags & flags::ROM_FIXED != 0
        && header.load_addr != address
}

/// How many bytes of RAM the bootloader has for this image, where it wants to be; no end of them where it does not
/// run from RAM.
fn ram_left(header: &Header, slots: &Slots) -> u32 {
    if !matches!(slots.mode(), Mode::RamLoad | Mode::RamLoadRevert) {
        return u32::MAX;
    }
    let (start, size) = slots.config.ram;
    if header.load_addr < start { 0 } else { start.saturating_add(size).saturating_sub(header.load_addr) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Flash = dfu_testkit::flash::SimFlash<4, 4096>;

    const VERSION: Version = Version { major: 1, minor: 0, revision: 0, build: 0 };

    fn slots(config: Config) -> Slots {
        Slots::new::<Flash>(0x10000, config)
    }

    fn header(flags: u32) -> Header {
        Header { header_size: 32, image_size: 1000, flags, version: VERSION, ..Header::EMPTY }
    }

    #[test]
    fn the_bootloader_s_build_decides_which_flags_it_takes() {
        let plain = Config::new(Mode::SwapMove);
        let (aes_128, aes_256) = (plain.encryption(Encryption::Aes128), plain.encryption(Encryption::Aes256));
        for (config, refused) in [
            (plain, [true, true, true, true, true, true]),
            (aes_128, [true, false, true, true, true, true]),
            (aes_256, [true, true, false, true, true, true]),
            (plain.compressed(true), [true, true, true, false, false, false]),
        ] {
            let flags = [flags::NON_BOOTABLE, flags::ENCRYPTED_AES128, flags::ENCRYPTED_AES256, 0x200, 0x400, 0x800];
            assert_eq!(flags.map(|flag| Flags::of(&config).refused & flag != 0), refused, "{config:?}");
            assert_eq!(Flags::of(&config).refused & (flags::RAM_LOAD | flags::ROM_FIXED), 0);
        }
    }

    #[test]
    fn an_image_is_preferred_if_it_could_run_and_is_higher() {
        let slots = slots(Config::new(Mode::DirectXip));
        let preferred = |header: Header, running| is_preferred(&header, running, &slots, None);
        assert!(preferred(header(0), None));
        assert!(!preferred(header(0), Some(VERSION)), "the same");
        let (lower, higher) = (Version { major: 0, ..VERSION }, Version { minor: 1, ..VERSION });
        assert!(preferred(header(0), Some(lower)) && !preferred(header(0), Some(higher)));
        assert!(preferred(header(flags::ROM_FIXED), None) && !preferred(header(flags::NON_BOOTABLE), None));
        let sized = |image_size| Header { image_size, ..header(0) };
        assert!(preferred(sized(slots.max_image - 32), None) && !preferred(sized(slots.max_image - 31), None));
    }

    #[test]
    fn an_image_that_runs_elsewhere_is_not_preferred() {
        for mode in [Mode::DirectXip, Mode::DirectXipRevert] {
            let slots = slots(Config::new(mode));
            let fixed = |load_addr| Header { load_addr, ..header(flags::ROM_FIXED) };
            let preferred = |load_addr| is_preferred(&fixed(load_addr), None, &slots, Some(0x8000));
            assert_eq!((preferred(0x8000), preferred(0)), (true, false), "{mode:?}");
            assert!(is_preferred(&header(0), None, &slots, Some(0x8000)), "{mode:?}: it says no address");
        }
    }

    #[test]
    fn an_image_for_ram_says_so() {
        let slots = slots(Config::new(Mode::RamLoad));
        let preferred = |flags| is_preferred(&header(flags), None, &slots, Some(1));
        assert!(preferred(flags::RAM_LOAD) && preferred(flags::RAM_LOAD | flags::ROM_FIXED));
        assert!(!preferred(0) && !preferred(flags::ROM_FIXED));
    }

    #[test]
    fn ram_is_left_from_the_load_address_on() {
        let left = |mode, load_addr| {
            ram_left(&Header { load_addr, ..header(0) }, &slots(Config::new(mode).ram(0x2000_0000, 0x1000)))
        };
        for mode in [Mode::RamLoad, Mode::RamLoadRevert] {
            for (address, wanted) in
                [(0x1fff_ffff, 0), (0x2000_0000, 0x1000), (0x2000_0f00, 0x100), (0x2000_1000, 0), (u32::MAX, 0)]
            {
                assert_eq!(left(mode, address), wanted, "{address:#x}");
            }
        }
        assert_eq!(left(Mode::DirectXip, 0), u32::MAX);
    }
}
