//! A slot's places and limits, worked out where the program is compiled.

use core::fmt;

use dfu_target::flash::{align_down, align_up};
use embedded_storage_async::nor_flash::NorFlash;

use crate::{Config, Mode, Upgrade};

/// A slot: where its trailer lies, the largest image, and the bytes that request an upgrade.
///
/// ```text
///  image … │ swap status │ (keys) swap_size │ swap_info │ copy_done │ image_ok │ magic │
///          └─ size of the trailer ──────────┴─ the mark: A bytes each ─────────┴─ 16 ──┘ end of the slot
/// ```
///
/// The layout is that of MCUboot's design document, "Image trailer", with A = `BOOT_MAX_ALIGN`. Make it a
/// `const`: then a slot that the bootloader could not use does not compile, and the firmware computes nothing.
///
/// ```
/// use dfu_target_mcuboot::{Config, Mode, Slot};
/// type Flash = dfu_testkit::flash::SimFlash<4, 4096>;
/// const SLOT: Slot = Slot::new::<Flash>(0x69000, Config::new(Mode::SwapMove));
/// assert_eq!(SLOT.max_image(), 0x67000);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub(crate) size: u32,
    pub(crate) sector: u32,
    /// The first sector with a part of the trailer.
    pub(crate) trailer: u32,
    pub(crate) max_image: u32,
    pub(crate) config: Config,
    /// Geometry, mode and index as one number.
    pub(crate) identity: u32,
    /// The last bytes of the slot as a request leaves them, of which `mark_len` count.
    pub(crate) request: [u8; MAX_MARK],
    pub(crate) mark_len: usize,
    /// What a request writes, in this order: place in `request` and length, in whole words.
    pub(crate) pieces: [(u8, u8); 3],
}

impl Slot {
    /// A slot of `size` bytes on flash of type `F`. For constants: what is wrong with it stops the compiler.
    ///
    /// # Panics
    ///
    /// Outside of constants, where [`checked`](Self::checked) errs.
    #[allow(clippy::panic)] // It is the compiler that panics.
    pub const fn new<F: NorFlash>(size: u32, config: Config) -> Self {
        match Self::checked::<F>(size, config) {
            Ok(slot) => slot,
            Err(ConfigError::Size) => panic!("the slot is not made of whole sectors or has no room for a trailer"),
            Err(ConfigError::WriteSize) => panic!("the flash's word does not go with the bootloader's BOOT_MAX_ALIGN"),
            Err(ConfigError::SectorSize) => panic!("the flash's sectors are smaller than 128 bytes"),
            Err(ConfigError::Sectors) => panic!("the slot has more sectors than the bootloader's BOOT_MAX_IMG_SECTORS"),
        }
    }

    /// A slot of `size` bytes on flash of type `F`, or why the bootloader could not use it.
    pub const fn checked<F: NorFlash>(size: u32, config: Config) -> Result<Self, ConfigError> {
        Self::with_geometry(size, F::WRITE_SIZE as u32, F::ERASE_SIZE as u32, config)
    }

    #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Constants, checked by the compiler.
    const fn with_geometry(size: u32, write: u32, sector: u32, config: Config) -> Result<Self, ConfigError> {
        let align = config.align.bytes();
        if !write.is_power_of_two() || write > align {
            return Err(ConfigError::WriteSize);
        }
        if (sector as usize) < MAX_MARK {
            return Err(ConfigError::SectorSize);
        }
        if !size.is_multiple_of(sector) || !size.is_multiple_of(align) {
            return Err(ConfigError::Size);
        }
        if size / sector > config.max_sectors {
            return Err(ConfigError::Sectors);
        }
        let magic_len = align_up(MAGIC_LEN as u32, align);
        let info = 4 * align + magic_len;
        let trailer = config.max_sectors.saturating_mul(3 * write).saturating_add(info);
        let mark_len = magic_len + 3 * align;
        let taken = match config.mode {
            Mode::SwapMove => align_up(trailer, sector).saturating_add(sector),
            Mode::SwapScratch => {
                // The scratch area's own trailer must not reach back beyond the part in the first sector.
                let first = if trailer.is_multiple_of(sector) { sector } else { trailer % sector };
                trailer.saturating_add((3 * write + info).saturating_sub(first))
            }
            Mode::OverwriteOnly => mark_len,
        };
        if size <= taken || size <= trailer {
            return Err(ConfigError::Size);
        }
        let (request, pieces) = request(&config, write, mark_len as usize);
        let (trailer, max_image) = (align_down(size - trailer, sector), size - taken);
        let geometry = mix(mix(mix(mix(0x4255_434d, size), sector), trailer), max_image);
        Ok(Self {
            size,
            sector,
            trailer,
            max_image,
            config,
            identity: mix(mix(geometry, config.mode as u32), config.index as u32),
            request,
            mark_len: mark_len as usize,
            pieces,
        })
    }

    /// Its size in bytes.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// The largest image file that the bootloader swaps in, in bytes, with its header and TLVs.
    pub const fn max_image(&self) -> u32 {
        self.max_image
    }

    /// The sector with the mark: the last one.
    pub(crate) const fn mark_sector(&self) -> u32 {
        self.size.saturating_sub(self.sector)
    }

    pub(crate) const fn image_ok(&self) -> u32 {
        let from_end = (self.mark_len as u32).saturating_sub(self.config.align.bytes().saturating_mul(2));
        self.size.saturating_sub(from_end)
    }

    /// Reads a mark: the last bytes of a slot, 128 or as many as there are.
    pub fn read(&self, mark: &[u8]) -> Mark {
        let align = self.config.align.bytes() as usize;
        let flag = |field: usize| {
            let place = self.mark_len.saturating_sub(align.saturating_mul(field));
            let byte = mark.len().checked_sub(place).and_then(|at| mark.get(at));
            byte.copied()
        };
        let state = |byte| match byte {
            Some(SET) => Flag::Set,
            Some(byte) if byte == self.config.erased => Flag::Unset,
            _ => Flag::Bad,
        };
        let magic = mark.last_chunk::<MAGIC_LEN>();
        Mark {
            magic: if magic == self.request.last_chunk() {
                Flag::Set
            } else if magic == Some(&[self.config.erased; MAGIC_LEN]) {
                Flag::Unset
            } else {
                Flag::Bad
            },
            swap: flag(0).filter(|byte| *byte != self.config.erased).and_then(SwapType::of),
            copy_done: state(flag(1)),
            image_ok: state(flag(2)),
        }
    }
}

/// What a slot's mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Mark {
    /// The magic is there.
    pub magic: Flag,
    /// The image confirmed itself, or need not.
    pub image_ok: Flag,
    /// The bootloader finished a swap.
    pub copy_done: Flag,
    /// The swap it was or is to be; `None`: none that is known.
    pub swap: Option<SwapType>,
}

/// A field of the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Flag {
    /// As written by MCUboot.
    Set,
    /// Erased.
    Unset,
    /// Neither: half written, or something else's data.
    Bad,
}

/// MCUboot's swap types, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum SwapType {
    /// Run once, then confirm or go back.
    Test = 2,
    /// Run from now on.
    Permanent = 3,
    /// Back to the old image.
    Revert = 4,
}

impl SwapType {
    fn of(swap_info: u8) -> Option<Self> {
        match swap_info & 0xf {
            2 => Some(Self::Test),
            3 => Some(Self::Permanent),
            4 => Some(Self::Revert),
            _ => None,
        }
    }
}

/// A slot that the bootloader could not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ConfigError {
    /// It is not made of whole sectors, has no room for an image and a trailer, or is not the region's size.
    Size,
    /// The flash's word is no power of two or larger than `BOOT_MAX_ALIGN`.
    WriteSize,
    /// The sectors are smaller than 128 bytes.
    SectorSize,
    /// It has more sectors than the bootloader keeps track of: it would not even boot.
    Sectors,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "the slot is not made of whole sectors, too small, or not of the region's size",
            Self::WriteSize => "the flash's word is no power of two or larger than the bootloader's BOOT_MAX_ALIGN",
            Self::SectorSize => "the flash's sectors are smaller than 128 bytes",
            Self::Sectors => "the slot has more sectors than the bootloader's BOOT_MAX_IMG_SECTORS",
        })
    }
}

impl core::error::Error for ConfigError {}

/// A flag's byte once it is set.
pub(crate) const SET: u8 = 0x01;
/// The longest mark: that of `BOOT_MAX_ALIGN` 32.
pub(crate) const MAX_MARK: usize = 128;

const MAGIC_LEN: usize = 16;
const MAGIC: [u8; MAGIC_LEN] =
    [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
/// Behind two bytes with `BOOT_MAX_ALIGN`, where that is not 8.
const MAGIC_END: [u8; MAGIC_LEN - 2] =
    [0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a];

/// Mixes a number into another, as FNV-1a does.
pub(crate) const fn mix(hash: u32, value: u32) -> u32 {
    (hash ^ value).wrapping_mul(0x0100_0193)
}

/// The mark of a request, and the order in which it is written: the magic last.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Constants, checked by the compiler.
const fn request(config: &Config, write: u32, mark_len: usize) -> ([u8; MAX_MARK], [(u8, u8); 3]) {
    let align = config.align.bytes() as usize;
    let mut bytes = [config.erased; MAX_MARK];
    let swap_info = MAX_MARK - mark_len;
    let image_ok = swap_info + 2 * align;
    let magic_block = swap_info + 3 * align;
    let magic = MAX_MARK - MAGIC_LEN;
    bytes[swap_info] = (config.index << 4) | SwapType::Test as u8;
    let mut confirmed = 0;
    if let Upgrade::Permanent = config.upgrade {
        bytes[swap_info] = (config.index << 4) | SwapType::Permanent as u8;
        bytes[image_ok] = SET;
        confirmed = write as u8;
    }
    let mut i = 0;
    while i < MAGIC_LEN {
        bytes[magic + i] = match i {
            _ if align == 8 => MAGIC[i],
            0 => align as u8,
            1 => 0,
            i => MAGIC_END[i - 2],
        };
        i += 1;
    }
    let pieces = [
        (swap_info as u8, write as u8),
        (image_ok as u8, confirmed),
        (magic_block as u8, (MAX_MARK - magic_block) as u8),
    ];
    (bytes, pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Align;

    const S: u32 = 0x2_0000;

    fn slot(align: Align, mode: Mode, write: u32) -> Slot {
        Slot::with_geometry(S, write, 4096, Config::new(mode).align(align)).unwrap()
    }

    #[test]
    fn the_places_are_those_of_mcuboot() {
        // Align, swap_info, image_ok, magic block: distances from the end of the slot.
        for (align, places) in [(Align::A8, [40, 24, 16]), (Align::A16, [64, 32, 16]), (Align::A32, [128, 64, 32])] {
            let slot = slot(align, Mode::SwapMove, 8);
            assert_eq!(slot.pieces.map(|(at, _)| MAX_MARK - usize::from(at)), places, "{align:?}");
            assert_eq!(slot.mark_len, places[0]);
        }
    }

    #[test]
    fn the_largest_image_is_the_one_that_mcuboot_still_swaps() {
        // 128 KiB slots, 4 KiB sectors, 128 sectors: observed on MCUboot's own code.
        for (align, write, mode, max) in [
            (Align::A8, 8, Mode::SwapScratch, 127_952),
            (Align::A8, 8, Mode::SwapMove, 122_880),
            (Align::A8, 8, Mode::OverwriteOnly, 131_032),
            (Align::A32, 32, Mode::SwapMove, 110_592),
            (Align::A32, 32, Mode::SwapScratch, 118_528),
            (Align::A16, 16, Mode::SwapMove, 118_784),
        ] {
            assert_eq!(slot(align, mode, write).max_image(), max, "{align:?} {mode:?}");
        }
    }

    #[test]
    fn a_slot_that_would_never_swap_is_refused() {
        let config = Config::new(Mode::SwapMove);
        let refused = |size, write, sector, config| Slot::with_geometry(size, write, sector, config).unwrap_err();
        assert_eq!(refused(S + 8, 4, 4096, config), ConfigError::Size);
        assert_eq!(refused(0, 4, 4096, config), ConfigError::Size);
        assert_eq!(refused(8192, 4, 4096, config), ConfigError::Size);
        assert_eq!(refused(S, 16, 4096, config), ConfigError::WriteSize);
        assert_eq!(refused(S, 12, 4096, config.align(Align::A16)), ConfigError::WriteSize);
        assert_eq!(refused(S, 4, 64, config.max_sectors(4096)), ConfigError::SectorSize);
        assert_eq!(refused(S, 4, 4096, config.max_sectors(31)), ConfigError::Sectors);
        assert!(Slot::with_geometry(S, 4, 4096, config.max_sectors(32)).is_ok());
    }

    #[test]
    fn a_request_reads_back_as_one_and_the_old_bytes_do_not() {
        for align in [Align::A8, Align::A16, Align::A32] {
            for (upgrade, image_ok, swap) in
                [(Upgrade::Test, Flag::Unset, SwapType::Test), (Upgrade::Permanent, Flag::Set, SwapType::Permanent)]
            {
                let config = Config::new(Mode::SwapMove).align(align).upgrade(upgrade).index(1);
                let slot = Slot::with_geometry(S, 4, 4096, config).unwrap();
                let mut bytes = slot.request;
                let wanted = Mark { magic: Flag::Set, image_ok, copy_done: Flag::Unset, swap: Some(swap) };
                assert_eq!(slot.read(&bytes), wanted);
                bytes[MAX_MARK - 1] = 0xff;
                assert_eq!(slot.read(&bytes).magic, Flag::Bad);
                bytes.fill(0xff);
                let unset = Mark { magic: Flag::Unset, image_ok: Flag::Unset, copy_done: Flag::Unset, swap: None };
                assert_eq!(slot.read(&bytes), unset);
                assert_eq!(slot.read(&[]).magic, Flag::Bad);
            }
        }
    }
}
