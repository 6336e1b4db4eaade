//! Two small slots and a bootloader, said once for the library and for the model.

use std::fmt;

use dfu_target::flash::Layout;
use dfu_target_mcuboot::{Align, Config, Mode, Slots, Upgrade};
use dfu_testkit::boot::{self, Bootloader};
use dfu_testkit::image::ImageBuilder;
use embedded_storage_async::nor_flash::NorFlash;

use crate::{Bytes, Ram};

/// How many sectors a slot has.
const SECTORS: usize = 8;

/// How a bootloader was built, and the slots that it has.
#[derive(Clone)]
pub struct Board {
    pub mode: Mode,
    pub upgrade: Upgrade,
    pub erased: u8,
    pub build_number: bool,
    pub any_tlv: bool,
    pub align: Align,
    /// Address and size of the RAM that images run from.
    pub ram: (u32, u32),
    pub slots: Slots,
    pub bootloader: Bootloader,
    /// The size of a slot. The secondary one has the erase unit more that some modes ask for, or not.
    pub primary: usize,
    pub secondary: usize,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, upgrade, erased, build_number, any_tlv, align, ram, primary, secondary, .. } = self;
        write!(f, "{mode:?} {upgrade:?}, {align:?}, erased {erased:#x}, ")?;
        write!(
            f,
            "build number {build_number}, any TLV {any_tlv}, slots of {primary:#x} and {secondary:#x}, RAM {ram:x?}"
        )
    }
}

impl Board {
    /// Four bytes of the fuzzer's choice make any of them.
    pub fn new<const W: usize, const E: usize, const R: usize>(choice: &mut Bytes<'_>) -> Self {
        let [mode, align, options, _] = choice.array();
        let (mode, model) = MODES[usize::from(mode) % MODES.len()];
        let aligns = [(8, Align::A8), (16, Align::A16), (32, Align::A32)];
        let (bytes, align) = aligns[usize::from(align) % aligns.len()];
        let (bytes, align) = if bytes < W { aligns[2] } else { (bytes, align) };
        let upgrade = if options & 1 == 0 { Upgrade::Test } else { Upgrade::Permanent };
        let erased = if options & 2 == 0 { 0xff } else { 0 };
        let (build_number, any_tlv) = (options & 4 != 0, options & 8 != 0);
        let ram = if options & 32 == 0 { (0, u32::MAX) } else { (0x2000_0000, 0x180) };
        let primary = SECTORS * E;
        let secondary = match mode {
            Mode::SwapMove if options & 16 != 0 => primary - E,
            Mode::SwapOffset if options & 16 != 0 => primary + E,
            _ => primary,
        };
        let sectors = SECTORS + 1;
        let config = Config::new(mode)
            .upgrade(upgrade)
            .align(align)
            .max_sectors(sectors as u32)
            .erased(erased)
            .compares_build_number(build_number)
            .any_tlv(any_tlv)
            .ram(ram.0, ram.1);
        let slots = Slots::checked::<Ram<W, E, R>, Ram<W, E, R>>(primary as u32, secondary as u32, config);
        let slots = slots.expect("slots that MCUboot can use");
        let bootloader = Bootloader::new(model, W, E)
            .max_align(bytes)
            .sectors(sectors)
            .erased_value(erased)
            .compares_build(build_number)
            .executable_ram(ram.0..ram.0 + ram.1);
        Self { mode, upgrade, erased, build_number, any_tlv, align, ram, slots, bootloader, primary, secondary }
    }

    /// Both slots, erased, one behind the other.
    pub fn flash<const W: usize, const E: usize, const R: usize>(&self) -> Ram<W, E, R> {
        Ram {
            cells: vec![self.erased; self.primary + self.secondary],
            erased: self.erased,
            lenient: false,
            operations: 0,
        }
    }

    /// The two slots in that flash.
    pub fn layout<F: NorFlash>(&self) -> Layout<F, 2> {
        let (primary, secondary) = (self.primary as u32, self.secondary as u32);
        Layout::checked([(0, primary), (primary, secondary)]).expect("slots of whole sectors")
    }

    /// What a device came with: in the modes that ask for it, confirmed by a programmer.
    pub fn install(&self, slot: &mut [u8], image: &[u8]) {
        slot.fill(self.erased);
        slot[..image.len()].copy_from_slice(image);
        if self.mode.chooses() && self.mode.has_trailer() {
            self.bootloader.confirm(slot).expect("an erased trailer");
        }
    }

    /// A small image that this bootloader runs.
    pub fn image(&self, version: u8, payload: usize) -> Vec<u8> {
        let builder = ImageBuilder::new().header_size(32).payload(payload).version(version, 0, 0, 0);
        let (flags, address) = if self.from_ram() { (0x20, self.ram.0) } else { (0, 0) };
        builder.seed(version.into()).flags(flags).load_addr(address).build().to_vec()
    }

    /// Whether images run in RAM.
    pub fn from_ram(&self) -> bool {
        matches!(self.mode, Mode::RamLoad | Mode::RamLoadRevert)
    }
}

const MODES: [(Mode, boot::Mode); 8] = [
    (Mode::SwapMove, boot::Mode::Move),
    (Mode::SwapScratch, boot::Mode::Scratch),
    (Mode::SwapOffset, boot::Mode::Offset),
    (Mode::OverwriteOnly, boot::Mode::Overwrite),
    (Mode::DirectXip, boot::Mode::DirectXip),
    (Mode::DirectXipRevert, boot::Mode::DirectXipRevert),
    (Mode::RamLoad, boot::Mode::RamLoad),
    (Mode::RamLoadRevert, boot::Mode::RamLoadRevert),
];
