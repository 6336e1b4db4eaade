//! What the bootloader was built with, and what is asked of it.

/// What the bootloader was built with. Take the values from its configuration: nothing on the flash shows them.
///
/// ```
/// use dfu_target_mcuboot::{Align, Config, Mode};
/// const BOOTLOADER: Config = Config::new(Mode::SwapMove).align(Align::A8).max_sectors(256);
/// # let _ = BOOTLOADER;
/// ```
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    pub(crate) mode: Mode,
    pub(crate) upgrade: Upgrade,
    pub(crate) align: Align,
    pub(crate) max_sectors: u32,
    pub(crate) erased: u8,
    pub(crate) index: u8,
}

impl Config {
    /// A bootloader of this mode with MCUboot's defaults: `BOOT_MAX_ALIGN` 8, 128 sectors, flash that is erased
    /// to 0xff, image 0; and a test of the new image rather than a permanent swap.
    pub const fn new(mode: Mode) -> Self {
        Self { mode, upgrade: Upgrade::Test, align: Align::A8, max_sectors: 128, erased: 0xff, index: 0 }
    }

    /// Whether the new image has to confirm itself.
    pub const fn upgrade(mut self, upgrade: Upgrade) -> Self {
        self.upgrade = upgrade;
        self
    }

    /// `MCUBOOT_BOOT_MAX_ALIGN`.
    pub const fn align(mut self, align: Align) -> Self {
        self.align = align;
        self
    }

    /// `BOOT_MAX_IMG_SECTORS`, `CONFIG_BOOT_MAX_IMG_SECTORS` in Zephyr.
    pub const fn max_sectors(mut self, sectors: u32) -> Self {
        self.max_sectors = sectors;
        self
    }

    /// What an erased byte reads as: 0xff, or 0x00.
    pub const fn erased(mut self, value: u8) -> Self {
        self.erased = value;
        self
    }

    /// Which image of the bootloader's: 0, or 1 for a network core and the like. 15 at the most.
    pub const fn index(mut self, index: u8) -> Self {
        self.index = index;
        self
    }
}

/// How the bootloader brings a new image into the primary slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Mode {
    /// Swap using move (`MCUBOOT_SWAP_USING_MOVE`), with slots of the same size.
    SwapMove,
    /// Swap using scratch (`MCUBOOT_SWAP_USING_SCRATCH`), with slots of the same size.
    SwapScratch,
    /// Overwrite only (`MCUBOOT_OVERWRITE_ONLY`), with slots of the same size: there is no way back.
    OverwriteOnly,
}

/// Whether the new image has to confirm itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Upgrade {
    /// It runs once; without [`confirm`](crate::Running::confirm) the next reset brings the old image back.
    Test,
    /// It stays, whatever it does. Only for images that were tried elsewhere.
    Permanent,
}

/// `MCUBOOT_BOOT_MAX_ALIGN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Align {
    /// 8 bytes, the default.
    A8,
    /// 16 bytes.
    A16,
    /// 32 bytes.
    A32,
}

impl Align {
    /// In bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::A8 => 8,
            Self::A16 => 16,
            Self::A32 => 32,
        }
    }
}
