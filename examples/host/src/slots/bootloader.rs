//! What the bootloader was built with, as options.

use clap::{Args, ValueEnum};
use dfu_target_mcuboot::{Align, Config, Encryption, HashKind, Mode};

use crate::notation::{count, erased, number, place};

/// The bootloader's mode, by a short name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeName {
    /// Swap using scratch
    Scratch,
    /// Swap using move
    Move,
    /// Swap using offset
    Offset,
    /// Overwrite only
    Overwrite,
    /// Direct-XIP
    Xip,
    /// Direct-XIP with revert
    XipRevert,
    /// RAM load
    Ramload,
    /// RAM load with revert
    RamloadRevert,
    /// A single slot
    Single,
}

impl ModeName {
    /// Those that have two slots.
    pub(crate) const PAIRS: [Self; 8] = [
        Self::Scratch,
        Self::Move,
        Self::Offset,
        Self::Overwrite,
        Self::Xip,
        Self::XipRevert,
        Self::Ramload,
        Self::RamloadRevert,
    ];

    /// The library's.
    pub(crate) fn mode(self) -> Mode {
        match self {
            Self::Scratch => Mode::SwapScratch,
            Self::Move => Mode::SwapMove,
            Self::Offset => Mode::SwapOffset,
            Self::Overwrite => Mode::OverwriteOnly,
            Self::Xip => Mode::DirectXip,
            Self::XipRevert => Mode::DirectXipRevert,
            Self::Ramload => Mode::RamLoad,
            Self::RamloadRevert => Mode::RamLoadRevert,
            Self::Single => Mode::SingleSlot,
        }
    }

    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Move => "move",
            Self::Offset => "offset",
            Self::Overwrite => "overwrite",
            Self::Xip => "xip",
            Self::XipRevert => "xip-revert",
            Self::Ramload => "ramload",
            Self::RamloadRevert => "ramload-revert",
            Self::Single => "single",
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HashName {
    Sha256,
    Sha384,
    Sha512,
    /// None: signatures are over the image itself
    Pure,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CipherName {
    Aes128,
    Aes256,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AlignName {
    #[value(name = "8")]
    A8,
    #[value(name = "16")]
    A16,
    #[value(name = "32")]
    A32,
}

/// What the bootloader was built with, but for its mode.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The bootloader's build")]
pub(crate) struct Bootloader {
    /// BOOT_MAX_ALIGN
    #[arg(long, value_name = "A", default_value = "8")]
    align: AlignName,
    /// BOOT_MAX_IMG_SECTORS
    #[arg(long, value_name = "N", default_value = "128", value_parser = count)]
    max_sectors: u32,
    /// What an erased byte reads as
    #[arg(long, value_name = "0xff|0x00", default_value = "0xff", value_parser = erased)]
    erased: u8,
    /// The hash that it checks
    #[arg(long, default_value = "sha256")]
    hash: HashName,
    /// It takes encrypted images
    #[arg(long, value_name = "CIPHER")]
    encrypted: Option<CipherName>,
    /// Bytes that its trailer keeps for each key, where that is not the key's length
    #[arg(long, value_name = "N", default_value = "0", value_parser = number)]
    key_space: u32,
    /// It takes compressed images
    #[arg(long)]
    compressed: bool,
    /// It compares build numbers, too
    #[arg(long)]
    build_number: bool,
    /// It takes unknown TLVs that the hash does not cover
    #[arg(long)]
    any_tlv: bool,
    /// The RAM for images that run there
    #[arg(long, value_name = "ADDRESS+SIZE", value_parser = place)]
    ram: Option<(u32, u32)>,
    /// Which of its images this is, 0 to 15
    #[arg(long, value_name = "N", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=15))]
    index: u8,
}

impl Bootloader {
    pub(crate) fn erased(&self) -> u8 {
        self.erased
    }

    pub(crate) fn index(&self) -> u8 {
        self.index
    }

    pub(crate) fn compares_build_number(&self) -> bool {
        self.build_number
    }

    pub(crate) fn hash(&self) -> HashKind {
        match self.hash {
            HashName::Sha256 => HashKind::Sha256,
            HashName::Sha384 => HashKind::Sha384,
            HashName::Sha512 => HashKind::Sha512,
            HashName::Pure => HashKind::Pure,
        }
    }

    /// As the library has it.
    pub(crate) fn config(&self, mode: Mode) -> Config {
        let align = match self.align {
            AlignName::A8 => Align::A8,
            AlignName::A16 => Align::A16,
            AlignName::A32 => Align::A32,
        };
        let mut config = Config::new(mode)
            .align(align)
            .max_sectors(self.max_sectors)
            .erased(self.erased)
            .hash(self.hash())
            .key_space(self.key_space)
            .compressed(self.compressed)
            .compares_build_number(self.build_number)
            .any_tlv(self.any_tlv)
            .index(self.index);
        if let Some(cipher) = self.encrypted {
            config = config.encryption(match cipher {
                CipherName::Aes128 => Encryption::Aes128,
                CipherName::Aes256 => Encryption::Aes256,
            });
        }
        if let Some((address, size)) = self.ram {
            config = config.ram(address, size);
        }
        config
    }

    /// Whether it takes encrypted images, and compressed ones.
    pub(crate) fn takes(&self) -> (bool, bool) {
        (self.encrypted.is_some(), self.compressed)
    }
}
