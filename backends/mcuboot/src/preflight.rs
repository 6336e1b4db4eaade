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
        } else if matches!(slots.mode(), Mode::DirectXip | Mode::DirectXipRevert)
            && header.flags & flags::ROM_FIXED != 0
            && header.load_addr != address
        {
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
/// runs. A header that was cut while it was written is one that no bootloader looks at, as a rule.
pub(crate) fn is_preferred(header: &Header, running: Option<Version>, slots: &Slots) -> bool {
    let Flags { refused, needed } = slots.flags;
    header.hashed_len() <= slots.max_image
        && header.flags & refused == 0
        && header.flags & needed == needed
        && running.is_none_or(|running| header.version.beats(&running, slots.config.build_number))
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
