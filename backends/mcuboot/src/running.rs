//! The slot that runs: is it on trial, and the word that keeps it.

use core::fmt;

use dfu_target::flash::{Region, RegionError};
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};

use crate::slot::{Flag, MAX_MARK, SET, SwapType};
use crate::{ConfigError, Mode, Slot};

/// The primary slot, of which the application itself runs.
///
/// ```text
///  after a reset:  state() ─► Trial ─► self-test ─► confirm() ─► Confirmed
///                                  └─► reset without confirm ─► the old image, state() ─► Reverted
/// ```
///
/// Confirm when the application has proven that it can be updated again: it reached its server, say. Confirming at
/// the start makes a bad image stay.
#[derive(Debug)]
pub struct Running<'a, F> {
    region: Region<'a, F>,
    slot: &'a Slot,
}

/// What the bootloader did last with the image that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RunningState {
    /// It was put there by a programmer, not by a swap. It stays.
    Factory,
    /// It runs on trial: the next reset brings the old image back, unless it confirms itself.
    Trial,
    /// It was confirmed, or needed no confirmation. It stays.
    Confirmed,
    /// It came back, because the image after it did not confirm itself. It stays.
    Reverted,
    /// The trailer is not one that MCUboot writes. The bootloader leaves the image where it is.
    Unknown,
}

impl<'a, F: NorFlash> Running<'a, F> {
    /// The primary slot in `region`.
    pub fn new(region: Region<'a, F>, slot: &'a Slot) -> Result<Self, ConfigError> {
        const { assert!(F::READ_SIZE <= MAX_MARK, "a flash that reads 128 bytes or less at once") };
        if region.size() != slot.size || slot.sector != F::ERASE_SIZE as u32 {
            return Err(ConfigError::Size);
        }
        Ok(Self { region, slot })
    }

    /// What the bootloader did last. Reads only.
    pub async fn state(&mut self) -> Result<RunningState, ConfirmError<RegionError<F::Error>>> {
        // A whole number of reads, whatever their size.
        let mut buffer = [0; 2 * MAX_MARK];
        let bytes = buffer.get_mut(..const { MAX_MARK.next_multiple_of(F::READ_SIZE) }).unwrap_or_default();
        let at = self.slot.size.saturating_sub(bytes.len() as u32);
        self.region.read(at, bytes).await.map_err(ConfirmError::Flash)?;
        let mark = self.slot.read(bytes);
        Ok(match (mark.magic, mark.image_ok, mark.copy_done) {
            (Flag::Unset, ..) => RunningState::Factory,
            (Flag::Bad, ..) => RunningState::Unknown,
            // Overwriting leaves the magic alone, and no way back.
            (Flag::Set, Flag::Unset, _) if self.slot.config.mode == Mode::OverwriteOnly => RunningState::Confirmed,
            (Flag::Set, Flag::Unset, Flag::Set) => RunningState::Trial,
            // A swap that was not through: the bootloader finishes it before anything runs.
            (Flag::Set, Flag::Unset, _) => RunningState::Unknown,
            (Flag::Set, ..) if mark.swap == Some(SwapType::Revert) => RunningState::Reverted,
            // Half written counts as written: MCUboot goes back only where the byte is erased.
            (Flag::Set, ..) => RunningState::Confirmed,
        })
    }

    /// Keeps the image that runs. Legal to repeat; an image that needs no confirmation costs no write.
    ///
    /// # Power and cancellation
    ///
    /// One word is written. A cut in it leaves the image on trial or confirmed.
    pub async fn confirm(&mut self) -> Result<(), ConfirmError<RegionError<F::Error>>> {
        match self.state().await? {
            RunningState::Factory | RunningState::Confirmed | RunningState::Reverted => return Ok(()),
            RunningState::Unknown => return Err(ConfirmError::Trailer),
            RunningState::Trial => {}
        }
        let mut word = [self.slot.config.erased; 32];
        if let Some(first) = word.first_mut() {
            *first = SET;
        }
        let word = word.get(..F::WRITE_SIZE).unwrap_or(&[]);
        self.region.write(self.slot.image_ok(), word).await.map_err(ConfirmError::Flash)?;
        match self.state().await? {
            RunningState::Trial => Err(ConfirmError::NotWritten),
            _ => Ok(()),
        }
    }

    /// Gives the region back.
    pub fn release(self) -> Region<'a, F> {
        self.region
    }
}

/// Why an image could not be confirmed, or its state not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ConfirmError<E> {
    /// The flash failed.
    Flash(E),
    /// The slot's trailer is not one that MCUboot writes: there is nothing to confirm.
    Trailer,
    /// The flash took the word and reads back as before.
    NotWritten,
}

impl<E: fmt::Debug> fmt::Display for ConfirmError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "flash error: {error:?}"),
            Self::Trailer => f.write_str("the running slot's trailer is not one that MCUboot writes"),
            Self::NotWritten => f.write_str("the flash did not keep the confirmation"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for ConfirmError<E> {}
