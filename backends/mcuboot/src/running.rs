//! The slot that runs: is it on trial, and the word that keeps it.

use core::fmt;

use dfu_target::flash::{Region, RegionError, align_down};
use dfu_target::image::mcuboot::{HEADER_LEN, Header};
use dfu_target::{Digest, Sha256};
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};

use crate::check::Tlvs;
use crate::mark::{Flag, IMAGE_OK, MAGIC_LEN, MAX_MARK, Mark, SET, SwapType, read_mark};
use crate::verify::{Entry, Verify};
use crate::{Active, ConfigError, Mode, Refusal, Slots};

/// The slot that the application itself runs from: the primary one, but in the modes that choose between two.
///
/// ```text
///  after a reset:  state() ─► Trial ─► self-test ─► confirm() ─► Confirmed
///                                  └─► reset without confirm ─► the old image, state() ─► Reverted
/// ```
///
/// Confirm when the application has proven that it can be updated again: it reached its server, say. Confirming at
/// the start makes a bad image stay.
#[derive(Debug)]
pub struct Running<'a, F, P> {
    region: Region<'a, F>,
    place: P,
}

/// How the area of TLVs behind the hashed part begins.
const TLV_MAGIC: [u8; 2] = [0x07, 0x69];

/// What the bootloader did last with the image that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RunningState {
    /// It was put there by a programmer, not by a swap. It stays; but where the bootloader chooses between two
    /// slots and reverts, it erases such an image unless that is confirmed.
    Factory,
    /// It runs on trial: the next reset brings the old image back, unless it confirms itself.
    Trial,
    /// It was confirmed, or needed no confirmation. It stays.
    Confirmed,
    /// It came back, because the image after it did not confirm itself. It stays. Known in the swap modes alone.
    Reverted,
    /// The trailer is not one that MCUboot writes. The bootloader leaves the image where it is.
    Unknown,
}

impl RunningState {
    /// What a mark says of the image in the slot that runs.
    pub fn of(mark: &Mark, mode: Mode) -> Self {
        match (mark.magic, mark.image_ok, mark.copy_done) {
            _ if !mode.has_trailer() => Self::Confirmed,
            (Flag::Unset, ..) => Self::Factory,
            (Flag::Bad, ..) => Self::Unknown,
            // Overwriting leaves the magic alone, and no way back.
            (Flag::Set, Flag::Unset, _) if mode == Mode::OverwriteOnly => Self::Confirmed,
            // Choosing goes on only from what is set; swapping goes back only from what is erased.
            (Flag::Set, Flag::Unset | Flag::Bad, _) if mode.chooses() => Self::Trial,
            (Flag::Set, Flag::Unset, Flag::Set) => Self::Trial,
            // A programmer put it there with its trailer (`imgtool sign --pad`). A swap that was not through looks
            // the same, but the bootloader finishes that before anything runs.
            (Flag::Set, Flag::Unset, Flag::Unset) => Self::Factory,
            (Flag::Set, Flag::Unset, Flag::Bad) => Self::Unknown,
            (Flag::Set, ..) if mark.swap == Some(SwapType::Revert) => Self::Reverted,
            (Flag::Set, ..) => Self::Confirmed,
        }
    }
}

impl<'a, F: NorFlash, P: AsRef<Slots>> Running<'a, F, P> {
    /// The slot in `region`.
    pub fn new(region: Region<'a, F>, place: P) -> Result<Self, ConfigError> {
        if region.size() != place.as_ref().primary {
            return Err(ConfigError::Region);
        }
        Ok(Self { region, place })
    }

    /// What the slot's mark says. Reads only.
    pub async fn mark(&mut self) -> Result<Mark, ConfirmError<RegionError<F::Error>>> {
        read_mark(&mut self.region, self.place.as_ref()).await.map_err(ConfirmError::Flash)
    }

    /// What the bootloader did last. Reads only.
    pub async fn state(&mut self) -> Result<RunningState, ConfirmError<RegionError<F::Error>>> {
        let mode = self.place.as_ref().mode();
        self.mark().await.map(|mark| RunningState::of(&mark, mode))
    }

    /// What the next update has to know: the state and the version. Reads only.
    pub async fn active(&mut self) -> Result<Active, ConfirmError<RegionError<F::Error>>> {
        let state = self.state().await?;
        let mut buffer = [0; MAX_MARK];
        let bytes = buffer.get_mut(..const { HEADER_LEN.next_multiple_of(F::READ_SIZE) }).unwrap_or_default();
        self.region.read(0, bytes).await.map_err(ConfirmError::Flash)?;
        Ok(Active { state, version: Header::parse(bytes).ok().map(|header| header.version) })
    }

    /// The security counter of the image that runs, by its hashed TLVs: what the next image has to have at least
    /// ([`Rules::counter`](crate::Rules::counter)). `None`: it has none, or what stands before it is damaged. Reads only.
    pub async fn security_counter(&mut self) -> Result<Option<u32>, ConfirmError<RegionError<F::Error>>> {
        let mut buffer = [0; MAX_MARK];
        let head = buffer.get_mut(..const { HEADER_LEN.next_multiple_of(F::READ_SIZE) }).unwrap_or_default();
        self.region.read(0, head).await.map_err(ConfirmError::Flash)?;
        let Ok(header) = Header::parse(head) else { return Ok(None) };
        let mut counter = Counter::default();
        let mut tlvs = Tlvs::new(header.tlv_offset(), u32::from(header.protected_size));
        let mut at = align_down(header.tlv_offset(), F::READ_SIZE as u32);
        while at < self.region.size() {
            let skipped = header.tlv_offset().saturating_sub(at);
            let bytes = buffer.get_mut(..const { MAX_MARK / F::READ_SIZE * F::READ_SIZE }).unwrap_or_default();
            let left = self.region.size().saturating_sub(at) as usize;
            let len = bytes.len().min(left);
            let bytes = bytes.get_mut(..len).unwrap_or_default();
            self.region.read(at, bytes).await.map_err(ConfirmError::Flash)?;
            for byte in bytes.iter().skip(skipped as usize) {
                if tlvs.feed(*byte, self.place.as_ref(), &mut counter).is_err() {
                    return Ok(None);
                }
                // The first one counts for MCUboot, too, and all that counts is in the hashed part.
                if counter.missing == 0 || tlvs.is_behind_hashed() {
                    return Ok((counter.missing == 0).then(|| u32::from_le_bytes(counter.bytes)));
                }
            }
            at = at.saturating_add(len as u32);
        }
        Ok(None)
    }

    /// The SHA-256 of the file that this slot's image came from, up to the end of its TLVs: where it is the wanted
    /// file's, nothing has to be fetched. `None`: there is no image, or its sizes are not those of one. Reads only.
    pub async fn digest(
        &mut self,
        engine: &mut impl Sha256,
    ) -> Result<Option<Digest>, ConfirmError<RegionError<F::Error>>> {
        let mut buffer = [0; MAX_MARK];
        let head = buffer.get_mut(..const { HEADER_LEN.next_multiple_of(F::READ_SIZE) }).unwrap_or_default();
        self.region.read(0, head).await.map_err(ConfirmError::Flash)?;
        let Ok(header) = Header::parse(head) else { return Ok(None) };
        let info = header.tlv_offset().saturating_add(header.protected_size.into());
        // Magic and length of the TLVs, of which the last two bytes tell where the file ends.
        let mut tlvs = [0; 4];
        let mut end = info.saturating_add(tlvs.len() as u32);
        let mut at = 0;
        engine.start();
        while at < end && end <= self.region.size() {
            let bytes = buffer.get_mut(..const { MAX_MARK / F::READ_SIZE * F::READ_SIZE }).unwrap_or_default();
            let left = self.region.size().saturating_sub(at) as usize;
            let len = bytes.len().min(left);
            let bytes = bytes.get_mut(..len).unwrap_or_default();
            self.region.read(at, bytes).await.map_err(ConfirmError::Flash)?;
            for (nth, place) in (info..).zip(&mut tlvs) {
                let byte = nth.checked_sub(at).and_then(|nth| bytes.get(nth as usize));
                *place = *byte.unwrap_or(place);
            }
            let next = at.saturating_add(len as u32);
            if next >= info.saturating_add(tlvs.len() as u32) {
                let [magic @ .., low, high] = tlvs;
                let total = u32::from(u16::from_le_bytes([low, high]));
                if magic != TLV_MAGIC || total < tlvs.len() as u32 {
                    return Ok(None);
                }
                end = info.saturating_add(total);
            }
            engine.update(bytes.get(..end.saturating_sub(at) as usize).unwrap_or(bytes));
            at = next;
        }
        Ok((at >= end).then(|| engine.finish()))
    }

    /// Keeps the image that runs. Legal to repeat; an image that needs no confirmation costs no write.
    ///
    /// # Power and cancellation
    ///
    /// One word is written: a cut in it leaves the image on trial or confirmed. Only where the bootloader chooses
    /// between two slots and reverts, an image from a programmer gets the magic as well, behind it. A cut within the
    /// magic leaves [`ConfirmError::Trailer`], and an image that the bootloader erases, as it would have without.
    pub async fn confirm(&mut self) -> Result<(), ConfirmError<RegionError<F::Error>>> {
        let mode = self.place.as_ref().mode();
        let chooses = mode.chooses();
        let mark = self.mark().await?;
        let state = RunningState::of(&mark, mode);
        match state {
            RunningState::Factory if chooses => {}
            RunningState::Factory | RunningState::Confirmed | RunningState::Reverted => return Ok(()),
            // A word that was written is not written again.
            RunningState::Unknown => return Err(ConfirmError::Trailer),
            RunningState::Trial if mark.image_ok == Flag::Bad => return Err(ConfirmError::Trailer),
            RunningState::Trial => {}
        }
        let config = self.place.as_ref().config;
        if mark.image_ok != Flag::Set {
            let mut word = [config.erased; 32];
            if let Some(first) = word.first_mut() {
                *first = SET;
            }
            let word = word.get(..F::WRITE_SIZE).unwrap_or(&[]);
            let at = self.region.size().saturating_sub(self.place.as_ref().distance(IMAGE_OK));
            self.region.write(at, word).await.map_err(ConfirmError::Flash)?;
        }
        if state == RunningState::Factory {
            let slots = *self.place.as_ref();
            let len = const { if F::WRITE_SIZE > MAGIC_LEN { F::WRITE_SIZE } else { MAGIC_LEN } };
            let magic = slots.request.get(MAX_MARK.saturating_sub(len)..).unwrap_or(&[]);
            let at = self.region.size().saturating_sub(len as u32);
            self.region.write(at, magic).await.map_err(ConfirmError::Flash)?;
        }
        match self.state().await? {
            RunningState::Trial | RunningState::Factory => Err(ConfirmError::NotWritten),
            _ => Ok(()),
        }
    }

    /// Gives the region back.
    pub fn release(self) -> Region<'a, F> {
        self.region
    }
}

/// The first security counter among an image's hashed TLVs.
struct Counter {
    bytes: [u8; 4],
    /// How many bytes of it are to come.
    missing: usize,
    here: bool,
}

impl Default for Counter {
    fn default() -> Self {
        Self { bytes: [0; 4], missing: 4, here: false }
    }
}

impl Verify for Counter {
    fn entry(&mut self, entry: &Entry) -> Result<(), Refusal> {
        self.here = entry.tlv == SECURITY_COUNTER && entry.protected && usize::from(entry.len) == self.bytes.len();
        Ok(())
    }

    fn value(&mut self, byte: u8) -> Result<(), Refusal> {
        let at = self.bytes.len().saturating_sub(self.missing);
        if let Some(place) = self.bytes.get_mut(at).filter(|_| self.here) {
            *place = byte;
            self.missing = self.missing.saturating_sub(1);
        }
        Ok(())
    }
}

const SECURITY_COUNTER: u16 = 0x50;

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
