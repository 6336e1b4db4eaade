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
    /// 0: that of the flash.
    pub(crate) sector: u32,
    /// 0: as large as a sector.
    pub(crate) scratch: u32,
    pub(crate) encryption: Option<Encryption>,
    pub(crate) key_space: u32,
    pub(crate) compressed: bool,
    pub(crate) hash: HashKind,
    pub(crate) build_number: bool,
    pub(crate) any_tlv: bool,
    pub(crate) recall: bool,
    /// Address and size.
    pub(crate) ram: (u32, u32),
    pub(crate) erased: u8,
    pub(crate) index: u8,
}

impl Config {
    /// A bootloader of this mode with MCUboot's defaults: `BOOT_MAX_ALIGN` 8, 128 sectors, flash that is erased
    /// to 0xff, image 0, SHA-256, neither encryption nor compression; and a test of the new image rather than a
    /// permanent swap.
    pub const fn new(mode: Mode) -> Self {
        Self {
            mode,
            upgrade: Upgrade::Test,
            align: Align::A8,
            max_sectors: 128,
            sector: 0,
            scratch: 0,
            encryption: None,
            key_space: 0,
            compressed: false,
            hash: HashKind::Sha256,
            build_number: false,
            any_tlv: false,
            recall: true,
            ram: (0, u32::MAX),
            erased: 0xff,
            index: 0,
        }
    }

    /// How the bootloader comes to run a new image.
    pub const fn mode(&self) -> Mode {
        self.mode
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

    /// The bootloader's sector in bytes, where it is larger than what the flash erases at once
    /// (`MCUBOOT_LOGICAL_SECTOR_SIZE`).
    pub const fn sector(mut self, bytes: u32) -> Self {
        self.sector = bytes;
        self
    }

    /// The size of the scratch area in bytes, for [`Mode::SwapScratch`]. As large as a sector, if not said.
    pub const fn scratch(mut self, bytes: u32) -> Self {
        self.scratch = bytes;
        self
    }

    /// The bootloader takes encrypted images (`MCUBOOT_ENC_IMAGES`), which also makes the trailer longer.
    pub const fn encryption(mut self, encryption: Encryption) -> Self {
        self.encryption = Some(encryption);
        self
    }

    /// The bytes that the trailer keeps for each slot's key where that is not the key alone
    /// (`MCUBOOT_SWAP_SAVE_ENCTLV`: the length of the encryption TLV). Rounded up to `BOOT_MAX_ALIGN`.
    pub const fn key_space(mut self, bytes: u32) -> Self {
        self.key_space = bytes;
        self
    }

    /// Whether the bootloader takes compressed images (`MCUBOOT_DECOMPRESS_IMAGES`).
    pub const fn compressed(mut self, taken: bool) -> Self {
        self.compressed = taken;
        self
    }

    /// The hash that the bootloader checks an image by: another one is as good as none to it.
    pub const fn hash(mut self, kind: HashKind) -> Self {
        self.hash = kind;
        self
    }

    /// Whether the bootloader compares versions up to the build number (`MCUBOOT_VERSION_CMP_USE_BUILD_NUMBER`).
    pub const fn compares_build_number(mut self, compares: bool) -> Self {
        self.build_number = compares;
        self
    }

    /// Whether the bootloader takes TLVs of any type behind the hashed part. By default it has a list
    /// (`MCUBOOT_USE_TLV_ALLOW_LIST`) of those that belong there: hashes, keys, signatures.
    pub const fn any_tlv(mut self, taken: bool) -> Self {
        self.any_tlv = taken;
        self
    }

    /// Whether what is stored of an image is read before an update goes on with it, and compared with a checksum that
    /// goes with the progress: what was damaged since, or is of another image, is found before the rest is paid for. It
    /// is, if not said; without it 340 bytes of code are less, and a flipped bit is found when all is there.
    pub const fn recall(mut self, reads: bool) -> Self {
        self.recall = reads;
        self
    }

    /// The RAM for images that run there (`IMAGE_EXECUTABLE_RAM_START` and `_SIZE`), in bytes, for
    /// [`Mode::RamLoad`] and [`Mode::RamLoadRevert`]. Any place is right, if not said.
    pub const fn ram(mut self, address: u32, size: u32) -> Self {
        self.ram = (address, size);
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

/// How the bootloader comes to run a new image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Mode {
    /// Swap using move (`MCUBOOT_SWAP_USING_MOVE`).
    SwapMove,
    /// Swap using scratch (`MCUBOOT_SWAP_USING_SCRATCH`).
    SwapScratch,
    /// Swap using offset (`MCUBOOT_SWAP_USING_OFFSET`): a new image begins in the secondary slot's second sector.
    SwapOffset,
    /// Overwrite only (`MCUBOOT_OVERWRITE_ONLY`, also `_FAST`): there is no way back.
    OverwriteOnly,
    /// Direct-XIP (`MCUBOOT_DIRECT_XIP`): runs the slot with the higher version where it lies.
    DirectXip,
    /// Direct-XIP with revert (`MCUBOOT_DIRECT_XIP_REVERT`).
    DirectXipRevert,
    /// RAM load (`MCUBOOT_RAM_LOAD`): copies the slot with the higher version to RAM and runs it there.
    RamLoad,
    /// RAM load with revert (`MCUBOOT_RAM_LOAD_REVERT`).
    RamLoadRevert,
    /// One slot (`MCUBOOT_SINGLE_APPLICATION_SLOT`): there is no place for a new image beside the one that runs,
    /// so no slots are made of it ([`ConfigError::SingleSlot`](crate::ConfigError::SingleSlot)).
    SingleSlot,
}

impl Mode {
    /// Whether the bootloader leaves images where they are and runs the one with the higher version.
    pub const fn chooses(self) -> bool {
        matches!(self, Self::DirectXip | Self::DirectXipRevert | Self::RamLoad | Self::RamLoadRevert)
    }

    /// Whether the bootloader reads a slot's trailer at all.
    pub const fn has_trailer(self) -> bool {
        !matches!(self, Self::DirectXip | Self::RamLoad | Self::SingleSlot)
    }

    /// Whether an image that does not confirm itself makes room for the one before it.
    pub const fn reverts(self) -> bool {
        self.has_trailer() && !matches!(self, Self::OverwriteOnly)
    }
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

/// The encryption that the bootloader was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Encryption {
    /// AES-128.
    Aes128,
    /// AES-256 (`MCUBOOT_AES_256`).
    Aes256,
}

impl Encryption {
    /// The length of its keys.
    pub(crate) const fn key_len(self) -> u32 {
        match self {
            Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }
}

/// The hash over an image that the bootloader checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HashKind {
    /// SHA-256, the default.
    Sha256,
    /// SHA-384, which goes with ECDSA P-384.
    Sha384,
    /// SHA-512 (`MCUBOOT_SHA512`).
    Sha512,
    /// None: signatures are over the image itself (`MCUBOOT_SIGN_PURE`).
    Pure,
}

impl HashKind {
    /// The type of its TLV; 0 for none.
    pub const fn tlv(self) -> u16 {
        match self {
            Self::Sha256 => 0x10,
            Self::Sha384 => 0x11,
            Self::Sha512 => 0x12,
            Self::Pure => 0,
        }
    }

    /// Its length in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
            Self::Pure => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_chooses_reads_trailers_and_goes_back_as_mcuboots_does() {
        // Mode: chooses by version, reads trailers, goes back to the image before.
        for (mode, wanted) in [
            (Mode::SwapMove, [false, true, true]),
            (Mode::SwapScratch, [false, true, true]),
            (Mode::SwapOffset, [false, true, true]),
            (Mode::OverwriteOnly, [false, true, false]),
            (Mode::DirectXip, [true, false, false]),
            (Mode::DirectXipRevert, [true, true, true]),
            (Mode::RamLoad, [true, false, false]),
            (Mode::RamLoadRevert, [true, true, true]),
            (Mode::SingleSlot, [false, false, false]),
        ] {
            assert_eq!([mode.chooses(), mode.has_trailer(), mode.reverts()], wanted, "{mode:?}");
            assert_eq!(Config::new(mode).mode(), mode);
        }
    }

    #[test]
    fn hashes_and_keys_are_as_long_as_their_names_say() {
        for (kind, tlv, bits) in
            [(HashKind::Sha256, 0x10, 256), (HashKind::Sha384, 0x11, 384), (HashKind::Sha512, 0x12, 512)]
        {
            assert_eq!((kind.tlv(), kind.bytes() * 8), (tlv, bits), "{kind:?}");
        }
        assert_eq!((HashKind::Pure.tlv(), HashKind::Pure.bytes()), (0, 0));
        assert_eq!([Encryption::Aes128, Encryption::Aes256].map(Encryption::key_len), [16, 32]);
        assert_eq!([Align::A8, Align::A16, Align::A32].map(Align::bytes), [8, 16, 32]);
    }
}
