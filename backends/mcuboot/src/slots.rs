//! The places and limits of an image's two slots, worked out where the program is compiled.

mod geometry;
mod map;

use core::fmt;

use dfu_target::flash::align_down;
use embedded_storage_async::nor_flash::NorFlash;

use self::geometry::Flash;
pub use self::map::MapError;
use crate::mark::MAX_MARK;
use crate::preflight::Flags;
use crate::{Config, Mode};

/// The two slots of one image: where their trailers lie, the largest image, and the bytes that request an upgrade.
///
/// ```text
///  image … │ swap status │ (keys) swap_size │ swap_info │ copy_done │ image_ok │ magic │
///          └─ size of the trailer ──────────┴─ the mark: A bytes each ─────────┴─ 16 ──┘ end of the slot
/// ```
///
/// The layout is that of MCUboot's design document, "Image trailer", with A = `BOOT_MAX_ALIGN`. Make it a
/// `const`: then slots that the bootloader could not use, or would silently never swap, do not compile, and the
/// firmware computes nothing.
///
/// ```
/// use dfu_target_mcuboot::{Config, Mode, Slots};
/// type Flash = dfu_testkit::flash::SimFlash<4, 4096>;
/// const SLOTS: Slots = Slots::new::<Flash>(0x69000, Config::new(Mode::SwapMove));
/// assert_eq!(SLOTS.max_image(), 0x67000);
/// ```
///
/// What takes slots takes anything that is `AsRef<Slots>`: `&SLOTS`, or a type of one's own without a value,
/// which lets the compiler work with the numbers themselves and leave out what the mode does not need.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    pub(crate) primary: u32,
    pub(crate) secondary: u32,
    pub(crate) config: Config,
    /// Where a new image begins in its slot.
    pub(crate) start: u32,
    /// How many of the image's first bytes are written last of all.
    pub(crate) held: u32,
    /// The length of the trailer with its swap status.
    pub(crate) trailer: u32,
    pub(crate) max_image: u32,
    pub(crate) flags: Flags,
    /// Geometry, mode and index as one number.
    pub(crate) identity: u32,
    /// The last bytes of the slot as a request leaves them, of which `mark_len` count.
    pub(crate) request: [u8; MAX_MARK],
    pub(crate) mark_len: u32,
}

impl Slots {
    /// Two slots of `size` bytes each on flash of type `F`. For constants: what is wrong with them stops the
    /// compiler.
    ///
    /// # Panics
    ///
    /// Outside of constants, where [`checked`](Self::checked) errs.
    pub const fn new<F: NorFlash>(size: u32, config: Config) -> Self {
        Self::pair::<F, F>(size, size, config)
    }

    /// A primary slot on flash of type `P` and a secondary one on flash of type `S`, of different sizes perhaps.
    /// For constants.
    ///
    /// # Panics
    ///
    /// Outside of constants, where [`checked`](Self::checked) errs.
    #[allow(clippy::panic)] // It is the compiler that panics.
    pub const fn pair<P: NorFlash, S: NorFlash>(primary: u32, secondary: u32, config: Config) -> Self {
        match Self::checked::<P, S>(primary, secondary, config) {
            Ok(slots) => slots,
            Err(error) => panic!("{}", error.text()),
        }
    }

    /// A primary slot on flash of type `P` and a secondary one on flash of type `S`, or why the bootloader could
    /// not use them.
    pub const fn checked<P: NorFlash, S: NorFlash>(
        primary: u32,
        secondary: u32,
        config: Config,
    ) -> Result<Self, ConfigError> {
        let flash = Flash {
            write: [P::WRITE_SIZE as u32, S::WRITE_SIZE as u32],
            unit: [P::ERASE_SIZE as u32, S::ERASE_SIZE as u32],
        };
        Self::with_geometry([primary, secondary], flash, config)
    }

    /// The largest image file that the bootloader brings to run, in bytes, with its header and TLVs.
    pub const fn max_image(&self) -> u32 {
        self.max_image
    }

    /// Where in the slot a new image begins, in bytes: zero but in swap using offset.
    pub const fn start(&self) -> u32 {
        self.start
    }

    /// The length in bytes of the trailer at the end of a slot, with its swap status.
    pub const fn trailer(&self) -> u32 {
        self.trailer
    }

    /// What the bootloader was built with.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The sizes in bytes of the primary and the secondary slot.
    pub const fn sizes(&self) -> [u32; 2] {
        [self.primary, self.secondary]
    }

    /// The erase unit with the mark: the last one of a new image's slot.
    pub(crate) const fn mark_unit(&self, unit: u32) -> u32 {
        self.secondary.saturating_sub(unit)
    }

    /// The first erase unit with a part of the trailer.
    pub(crate) const fn trailer_unit(&self, unit: u32) -> u32 {
        align_down(self.secondary.saturating_sub(self.trailer), unit)
    }

    /// How much at the slot's start is erased before the first byte of an image: headers of before.
    pub(crate) const fn front(&self, unit: u32) -> u32 {
        if self.held > 0 { unit } else { self.start }
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.config.mode
    }

    /// How far from the slot's end the field lies that is the `nth` of the mark: swap_info, copy_done, image_ok,
    /// the magic.
    pub(crate) const fn distance(&self, nth: u32) -> u32 {
        self.mark_len.saturating_sub(self.config.align.bytes().saturating_mul(nth))
    }
}

impl AsRef<Self> for Slots {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// Slots that the bootloader could not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// A slot is not made of whole sectors, or has no room for an image and a trailer.
    Size,
    /// The two sizes do not go together: the bootloader would never swap, and not say so.
    Pair,
    /// The two slots' sectors do not go together: the bootloader would never swap, and not say so.
    Sectors,
    /// A slot has more sectors than the bootloader keeps track of: it would not even boot.
    TooManySectors,
    /// The sector is no multiple of what the flash erases at once, or smaller than 128 bytes.
    SectorSize,
    /// The scratch area is smaller than a sector, or not made of whole ones.
    Scratch,
    /// The flash's word is no power of two or larger than `BOOT_MAX_ALIGN`.
    WriteSize,
    /// There is no second slot.
    SingleSlot,
    /// The image's index is beyond 15, which is all that swap_info has room for.
    Index,
    /// MCUboot does not run encrypted images in this mode.
    Encryption,
    /// The region has not the slot's size.
    Region,
    /// The hash is not SHA-256, and nothing here can work it out.
    Hash,
    /// The bootloader chooses by version, and that of the running image is not known.
    Version,
}

impl ConfigError {
    const fn text(self) -> &'static str {
        match self {
            Self::Size => "a slot is not made of whole sectors or has no room for an image and a trailer",
            Self::Pair => "the sizes of the two slots do not go together in this mode: it would never swap",
            Self::Sectors => "the sectors of the two slots do not go together in this mode: it would never swap",
            Self::TooManySectors => "a slot has more sectors than the bootloader's BOOT_MAX_IMG_SECTORS",
            Self::SectorSize => "the sector is no multiple of what the flash erases at once, or smaller than 128 bytes",
            Self::Scratch => "the scratch area does not hold a sector of each slot",
            Self::WriteSize => "the flash's word is no power of two or larger than the bootloader's BOOT_MAX_ALIGN",
            Self::SingleSlot => "with a single slot there is no place for a new image",
            Self::Index => "the image's index is beyond 15",
            Self::Encryption => "MCUboot does not run encrypted images in this mode",
            Self::Region => "the region has not the slot's size",
            Self::Hash => "the bootloader's hash is not SHA-256, and the target was given no engine for it",
            Self::Version => "the bootloader chooses by version, and that of the running image is not known",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for ConfigError {}

/// Mixes a number into another, as FNV-1a does.
pub(crate) const fn mix(hash: u32, value: u32) -> u32 {
    (hash ^ value).wrapping_mul(0x0100_0193)
}
