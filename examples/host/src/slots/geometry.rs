//! Where the slots are, as options.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dfu_target_mcuboot::{Config, Mode, Side};

use super::files::{SlotFile, is_same};
use super::{Bootloader, ModeName};
use crate::ending::{Outcome, Problem};
use crate::notation::{count, number, power_of_two};

/// The largest slot that is simulated, in bytes.
const MOST: u32 = 256 << 20;

/// Two slots in files.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The slots")]
pub(crate) struct Geometry {
    /// The primary slot's file: all of it, or an image, behind which it is erased; erased if there is none
    #[arg(long, value_name = "FILE")]
    primary: PathBuf,
    /// The secondary slot's file, in the same way. It is as long as the slot when it was changed
    #[arg(long, value_name = "FILE")]
    secondary: PathBuf,
    /// The scratch area's file, whose length counts; a sector, erased, if there is none
    #[arg(long, value_name = "FILE")]
    scratch: Option<PathBuf>,
    /// How the bootloader comes to run a new image
    #[arg(long)]
    pub(crate) mode: ModeName,
    /// The primary slot's size in bytes
    #[arg(long, value_name = "N", value_parser = count)]
    slot_size: u32,
    /// The secondary slot's size in bytes [default: as the primary's]
    #[arg(long, value_name = "N", value_parser = count)]
    secondary_size: Option<u32>,
    /// What is erased at once, in bytes
    #[arg(long, value_name = "N", value_parser = power_of_two)]
    pub(crate) sector: u32,
    /// What is programmed at once, in bytes
    #[arg(long, value_name = "W", value_parser = power_of_two)]
    pub(crate) write_size: u32,
    /// Where the primary slot is, for images that run at one address only
    #[arg(long, value_name = "N", default_value = "0", value_parser = number)]
    primary_address: u32,
    /// Where the secondary slot is [default: behind the primary one]
    #[arg(long, value_name = "N", value_parser = number)]
    secondary_address: Option<u32>,
    /// Which slot runs, in the modes that choose by version [default: as far as the files show it]
    #[arg(long, value_name = "SLOT")]
    pub(crate) runs: Option<SideName>,
    #[command(flatten)]
    pub(crate) bootloader: Bootloader,
}

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SideName {
    Primary,
    Secondary,
}

impl SideName {
    pub(crate) fn side(self) -> Side {
        match self {
            Self::Primary => Side::Primary,
            Self::Secondary => Side::Secondary,
        }
    }
}

/// A slot's name.
pub(crate) fn side_name(side: Side) -> &'static str {
    match side {
        Side::Primary => "primary",
        Side::Secondary => "secondary",
    }
}

impl Geometry {
    /// The sizes of the primary and the secondary slot.
    pub(crate) fn sizes(&self) -> [u32; 2] {
        [self.slot_size, self.secondary_size.unwrap_or(self.slot_size)]
    }

    /// Where they are.
    pub(crate) fn addresses(&self) -> [u32; 2] {
        let behind = self.primary_address.saturating_add(self.slot_size);
        [self.primary_address, self.secondary_address.unwrap_or(behind)]
    }

    /// What the options say of the bootloader and its flash.
    pub(crate) fn config(&self) -> Outcome<Config> {
        if self.runs.is_some() && !self.mode.mode().chooses() {
            return Err(Problem::usage("--runs: in this mode it is the primary slot that runs"));
        }
        for ((size, address), name) in self.sizes().into_iter().zip(self.addresses()).zip(["primary", "secondary"]) {
            if size > MOST {
                return Err(Problem::usage(format!("the {name} slot has more than {MOST} bytes")));
            }
            if address.checked_add(size).is_none() {
                return Err(Problem::usage(format!("the {name} slot ends beyond 4 GiB")));
            }
        }
        // That of the secondary slot follows from the size, if it is not given.
        for address in [Some(self.primary_address), self.secondary_address].into_iter().flatten() {
            if !address.is_multiple_of(self.sector) {
                return Err(Problem::usage(format!("a slot's address, {address:#x}, is no multiple of the sector")));
            }
        }
        let config = self.bootloader.config(self.mode.mode()).sector(self.sector);
        Ok(match self.scratch_size()? {
            Some(size) => config.scratch(size),
            None => config,
        })
    }

    /// The slots as their files have them.
    pub(crate) fn files(&self) -> Outcome<[SlotFile; 2]> {
        let mut rest = &[Some(&self.primary), Some(&self.secondary), self.scratch.as_ref()][..];
        while let [Some(path), others @ ..] = rest {
            if others.iter().flatten().any(|other| is_same(path, other)) {
                return Err(Problem::usage(format!("{}: one file cannot be two of the areas", path.display())));
            }
            rest = others;
        }
        let ([primary, secondary], erased) = (self.sizes(), self.bootloader.erased());
        let starts = if self.mode.mode() == Mode::SwapOffset { [0, self.sector] } else { [0, 0] };
        let read = |path, size| SlotFile::read(path, size, erased, &starts);
        Ok([read(&self.primary, primary)?, read(&self.secondary, secondary)?])
    }

    /// Makes the scratch area's file, if there is none. The library leaves it alone.
    pub(crate) fn make_scratch(&self) -> Outcome<()> {
        let Some(path) = self.scratch.as_deref().filter(|path| !path.exists()) else { return Ok(()) };
        let scratch = SlotFile::read(path, self.sector, self.bootloader.erased(), &[])?;
        Ok(scratch.keep(&scratch.bytes)?)
    }

    fn scratch_size(&self) -> Outcome<Option<u32>> {
        let Some(path) = &self.scratch else { return Ok(None) };
        match std::fs::metadata(path) {
            Ok(file) if file.len() > 0 => Ok(Some(u32::try_from(file.len()).unwrap_or(u32::MAX))),
            _ => Ok(Some(self.sector)),
        }
    }
}
