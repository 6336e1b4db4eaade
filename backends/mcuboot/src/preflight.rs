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
        let (least, most) = size.map_or((need, max), |size| (size, size));
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
        } else if matches!(slots.mode(), Mode::RamLoad | Mode::RamLoadRevert) && !fits_ram(header, least, slots) {
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

/// Whether the RAM that the bootloader has for images holds one of this length, where it wants to be.
fn fits_ram(header: &Header, len: u32, slots: &Slots) -> bool {
    let (start, size) = slots.config.ram;
    let end = header.load_addr.checked_add(len);
    header.load_addr >= start && end.is_some_and(|end| end <= start.saturating_add(size))
}
