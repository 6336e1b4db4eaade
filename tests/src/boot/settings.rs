//! What a bootloader is built with.

use core::ops::Range;

use super::{Bootloader, Mode};

impl Bootloader {
    /// A bootloader for a flash with this write size and sector size: 128 sectors, `MCUBOOT_BOOT_MAX_ALIGN` 8 or
    /// the write size if that is more, erased bytes 0xff, image 0, the primary slot checked at each boot, no keys in
    /// the trailer, versions and counters of no concern.
    pub fn new(mode: Mode, write_size: usize, sector_size: usize) -> Self {
        assert!(write_size.is_power_of_two() && write_size <= 32, "MCUboot has no write size of {write_size}");
        Self {
            mode,
            write_size,
            sector_size,
            max_align: write_size.max(8),
            sectors: 128,
            erased: 0xff,
            image: 0,
            key_space: 0,
            validates_primary: true,
            prevents_downgrade: false,
            compares_build: false,
            counter: None,
            addresses: None,
            executable_ram: 0..u32::MAX,
        }
    }

    /// `MCUBOOT_BOOT_MAX_ALIGN`: 8, 16 or 32, and not less than the write size.
    #[must_use]
    pub fn max_align(mut self, align: usize) -> Self {
        assert!(matches!(align, 8 | 16 | 32) && align >= self.write_size, "MCUboot has no such alignment, {align}");
        self.max_align = align;
        self
    }

    /// `MCUBOOT_MAX_IMG_SECTORS`.
    #[must_use]
    pub fn sectors(mut self, sectors: usize) -> Self {
        self.sectors = sectors;
        self
    }

    /// What erased bytes read as.
    #[must_use]
    pub fn erased_value(mut self, value: u8) -> Self {
        self.erased = value;
        self
    }

    /// Which image of several these slots are for.
    #[must_use]
    pub fn image(mut self, index: u8) -> Self {
        self.image = index;
        self
    }

    /// What the key of one encrypted image takes in the trailer, which has room for two (`MCUBOOT_ENC_IMAGES`): 16
    /// or 32 bytes, up to a multiple of the alignment. Nothing more: the model has no keys.
    #[must_use]
    pub fn key_space(mut self, bytes: usize) -> Self {
        assert!(bytes.is_multiple_of(self.max_align), "a key fills its alignment, and {bytes} bytes do not");
        self.key_space = bytes;
        self
    }

    /// Whether the running image is checked at each boot (`MCUBOOT_VALIDATE_PRIMARY_SLOT`); its magic always is.
    /// Modes that select among the slots always check.
    #[must_use]
    pub fn validates_primary(mut self, on: bool) -> Self {
        self.validates_primary = on;
        self
    }

    /// Whether an image older than the running one is erased (`MCUBOOT_DOWNGRADE_PREVENTION`, by version). Of no
    /// effect in modes that select the highest version anyway.
    #[must_use]
    pub fn prevents_downgrade(mut self, on: bool) -> Self {
        self.prevents_downgrade = on;
        self
    }

    /// Whether build numbers count where versions are compared (`MCUBOOT_VERSION_CMP_USE_BUILD_NUMBER`).
    #[must_use]
    pub fn compares_build(mut self, on: bool) -> Self {
        self.compares_build = on;
        self
    }

    /// Every image must have a security counter of at least `nv`, what the device has stored
    /// (`MCUBOOT_HW_ROLLBACK_PROT`). [`Boot::counter`](super::Boot::counter) is what it has stored afterwards.
    #[must_use]
    pub fn counts(mut self, nv: u32) -> Self {
        self.counter = Some(nv);
        self
    }

    /// Where the two slots lie, for images that were linked for one of them. Otherwise
    /// [`boot`](Self::boot) has them one behind the other from 0, and a flash's own offsets are taken.
    #[must_use]
    pub fn slots_at(mut self, primary: u32, secondary: u32) -> Self {
        self.addresses = Some([primary, secondary]);
        self
    }

    /// The RAM that images may be loaded to; all of it unless set.
    #[must_use]
    pub fn executable_ram(mut self, range: Range<u32>) -> Self {
        self.executable_ram = range;
        self
    }

    /// What erased bytes read as.
    pub fn erased(&self) -> u8 {
        self.erased
    }
}
