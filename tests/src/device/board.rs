//! What a device is made of.

use dfu_target_mcuboot::{Align, Config, Mode, Upgrade};

use crate::boot::{self, Bootloader};
use crate::image::ImageBuilder;

/// The size of the slots, and how the bootloader was built: said once, for the library and for the bootloader.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// How a new image is brought in.
    pub mode: Mode,
    /// Size of each slot in bytes.
    pub slot: u32,
    /// How many bytes more the secondary slot has.
    pub more: i32,
    /// Whether a new image has to confirm itself.
    pub upgrade: Upgrade,
    /// `MCUBOOT_BOOT_MAX_ALIGN`.
    pub align: Align,
    /// `BOOT_MAX_IMG_SECTORS`.
    pub sectors: u32,
    /// What erased bytes read as.
    pub erased: u8,
    /// Whether the target looks at what is there before it goes on.
    pub recall: bool,
    /// Where the parts lie; `None`: one behind the other, with an erase unit of somebody else's around each.
    pub map: Option<FlashMap>,
}

/// A flash map: where the parts of a device lie in its flash. What is in none of them belongs to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashMap {
    /// Size of the flash in bytes.
    pub flash: u32,
    /// Where the primary slot begins.
    pub primary: u32,
    /// Where the secondary slot begins.
    pub secondary: u32,
    /// Where the progress log's two erase units begin.
    pub log: u32,
}

impl FlashMap {
    /// An nRF9160 with 1 MiB as the nRF Connect SDK lays it out: MCUboot in the first 48 KiB, two slots of 476 KiB,
    /// settings at the end; here the first 8 KiB of these hold the progress. For slots of [`NRF9160_SLOT`] bytes.
    ///
    /// [`NRF9160_SLOT`]: Self::NRF9160_SLOT
    pub const NRF9160: Self = Self { flash: 0x10_0000, primary: 0xc000, secondary: 0x8_3000, log: 0xf_a000 };

    /// The size of [`NRF9160`](Self::NRF9160)'s slots.
    pub const NRF9160_SLOT: u32 = 0x7_7000;
}

/// Every way in which MCUboot brings a new image in.
pub const MODES: [Mode; 8] = [
    Mode::SwapMove,
    Mode::SwapScratch,
    Mode::SwapOffset,
    Mode::OverwriteOnly,
    Mode::DirectXip,
    Mode::DirectXipRevert,
    Mode::RamLoad,
    Mode::RamLoadRevert,
];

impl Board {
    /// Two slots of `slot` bytes and a bootloader of this mode with MCUboot's defaults.
    pub const fn new(mode: Mode, slot: u32) -> Self {
        Self {
            mode,
            slot,
            more: 0,
            upgrade: Upgrade::Test,
            align: Align::A8,
            sectors: 128,
            erased: 0xff,
            recall: true,
            map: None,
        }
    }

    /// How many bytes more the secondary slot has.
    #[must_use]
    pub const fn more(mut self, bytes: i32) -> Self {
        self.more = bytes;
        self
    }

    /// Whether a new image has to confirm itself.
    #[must_use]
    pub const fn upgrade(mut self, upgrade: Upgrade) -> Self {
        self.upgrade = upgrade;
        self
    }

    /// `MCUBOOT_BOOT_MAX_ALIGN`.
    #[must_use]
    pub const fn align(mut self, align: Align) -> Self {
        self.align = align;
        self
    }

    /// `BOOT_MAX_IMG_SECTORS`.
    #[must_use]
    pub const fn sectors(mut self, sectors: u32) -> Self {
        self.sectors = sectors;
        self
    }

    /// What erased bytes read as.
    #[must_use]
    pub const fn erased(mut self, value: u8) -> Self {
        self.erased = value;
        self
    }

    /// Whether the target looks at what is there before it goes on: [`Config::recall`].
    #[must_use]
    pub const fn recall(mut self, reads: bool) -> Self {
        self.recall = reads;
        self
    }

    /// Where the parts lie.
    #[must_use]
    pub const fn map(mut self, map: FlashMap) -> Self {
        self.map = Some(map);
        self
    }

    /// An image for this bootloader, which may want it to run from RAM.
    pub fn image(&self) -> ImageBuilder {
        match self.mode {
            Mode::RamLoad | Mode::RamLoadRevert => ImageBuilder::new().flags(0x20).load_addr(0x2000_0000),
            _ => ImageBuilder::new(),
        }
    }

    pub(super) fn sizes(&self) -> [u32; 2] {
        [self.slot, self.slot.wrapping_add_signed(self.more)]
    }

    pub(super) fn places(&self, unit: u32) -> FlashMap {
        let [first, second] = self.sizes();
        let secondary = unit + first + unit;
        let log = secondary + second + unit;
        self.map.unwrap_or(FlashMap { flash: log + 3 * unit, primary: unit, secondary, log })
    }

    pub(super) fn config(&self) -> Config {
        Config::new(self.mode)
            .upgrade(self.upgrade)
            .align(self.align)
            .max_sectors(self.sectors)
            .erased(self.erased)
            .recall(self.recall)
    }

    pub(super) fn bootloader(&self, write: usize, sector: usize) -> Bootloader {
        let mode = match self.mode {
            Mode::SwapMove => boot::Mode::Move,
            Mode::SwapScratch => boot::Mode::Scratch,
            Mode::SwapOffset => boot::Mode::Offset,
            Mode::OverwriteOnly => boot::Mode::Overwrite,
            Mode::DirectXip => boot::Mode::DirectXip,
            Mode::DirectXipRevert => boot::Mode::DirectXipRevert,
            Mode::RamLoad => boot::Mode::RamLoad,
            Mode::RamLoadRevert => boot::Mode::RamLoadRevert,
            other => panic!("the bootloader's model has no {other:?}"),
        };
        Bootloader::new(mode, write, sector)
            .max_align(self.align.bytes() as usize)
            .sectors(self.sectors as usize)
            .erased_value(self.erased)
    }
}
