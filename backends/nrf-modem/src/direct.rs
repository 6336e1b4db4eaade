//! A full update straight into the modem, for want of flash to stage it in.

use core::fmt;

use dfu_target::flash::yield_now;
use dfu_target::image::modem::is_full;
use dfu_target::target::{Applied, Assurance, Checked, ErrorType, Proof, Written};
use dfu_target::{DfuTarget, Digest, Error, ErrorKind, Image, ImageKind, Sha256};

use crate::port::{Bootloader, Errno, Fault};
use crate::{FullPolicy, Phase, Wrapper, WrapperError};

/// The modem itself, as a target for full updates that come over a link which needs no modem: UART, USB, BLE.
///
/// **What it risks:** from the first segment behind the loader until the last byte the modem has no firmware, and
/// nothing on the device can give it one. A cut, a lost link or a damaged byte leaves a modem that does not start, until
/// a whole update comes again over that link. Where there is flash for 2 MB, use [`ModemFull`](crate::ModemFull).
///
/// The signature is checked by the modem before its flash is touched; the hash over the segments can only be compared
/// when all are programmed. Nothing is kept over a reset: every update starts from zero. Dropping it ends the modem's
/// bootloader mode.
///
/// `H` is a SHA-256 engine, of which it takes two: the file's own hash does not cover its wrapper.
#[derive(Debug)]
pub struct ModemFullDirect<B: Bootloader, H, V = ()> {
    modem: B,
    file: H,
    blob: H,
    policy: V,
    stage: Stage,
    /// The modem is in its bootloader.
    begun: bool,
    size: u32,
    received: u32,
    total: u32,
    /// Which segment comes next, and how much of it is there.
    segment: usize,
    done: u32,
    digest: Digest,
    wrapper: [u8; Wrapper::MAX_LEN],
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Closed,
    Wrapper,
    Body,
    Whole,
    Checked,
}

/// The most that is given to the modem at once.
const PIECE: usize = 4096;

impl<B: Bootloader, H: Sha256> ModemFullDirect<B, H> {
    /// The modem, which need not be able to start.
    pub fn new(modem: B, engines: [H; 2]) -> Self {
        Self::with(modem, engines, ())
    }
}

impl<B: Bootloader, H: Sha256, V: FullPolicy> ModemFullDirect<B, H, V> {
    /// The modem, with what the caller decides.
    pub fn with(modem: B, engines: [H; 2], policy: V) -> Self {
        let [file, blob] = engines;
        Self {
            modem,
            file,
            blob,
            policy,
            stage: Stage::Closed,
            begun: false,
            size: 0,
            received: 0,
            total: 0,
            segment: 0,
            done: 0,
            digest: Digest([0; 32]),
            wrapper: [0; Wrapper::MAX_LEN],
        }
    }

    /// Gathers the wrapper; returns how many bytes of it were taken, and begins with the modem when it is whole.
    fn gather(&mut self, bytes: &[u8]) -> Result<usize, DirectError> {
        let have = self.received as usize;
        let room = self.wrapper.get_mut(have..).unwrap_or_default();
        room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let end = have.saturating_add(bytes.len()).min(Wrapper::MAX_LEN);
        let wrapper = match Wrapper::parse(self.wrapper.get(..end).unwrap_or_default()) {
            Ok(wrapper) => wrapper,
            Err(WrapperError::Truncated) => return Ok(bytes.len()),
            Err(error) => return Err(DirectError::Wrapper(error)),
        };
        if self.size != 0 && self.size != wrapper.total_len() {
            return Err(DirectError::WrongSize { told: wrapper.total_len(), offered: self.size });
        }
        if !self.policy.accepts(&wrapper) {
            return Err(DirectError::Policy);
        }
        self.total = wrapper.total_len();
        // Of what was gathered before, all belongs to the wrapper.
        let taken = (wrapper.len() as usize).saturating_sub(have);
        self.begun = true;
        self.modem.start()?;
        self.stage = Stage::Body;
        Ok(taken)
    }

    /// Gives the modem bytes of one segment, as many as one call takes; returns how many.
    fn feed(&mut self, bytes: &[u8]) -> Result<usize, DirectError> {
        let wrapper = Wrapper::parse(&self.wrapper).map_err(DirectError::Wrapper)?;
        let Some(segment) = wrapper.segments().nth(self.segment) else { return Err(DirectError::Closed) };
        let left = segment.len.saturating_sub(self.done) as usize;
        let piece = bytes.get(..left.min(PIECE)).unwrap_or(bytes);
        let phase = if self.segment == 0 { Phase::Loader } else { Phase::Programming };
        match phase {
            Phase::Loader => self.modem.bl_write(piece)?,
            _ => self.modem.fw_write(segment.address.wrapping_add(self.done), piece)?,
        }
        self.blob.update(piece);
        self.done = self.done.saturating_add(piece.len() as u32);
        self.policy.progress(phase, self.received.saturating_add(piece.len() as u32), self.total);
        if self.done == segment.len {
            let last = self.segment.saturating_add(1) == wrapper.segments().len();
            if self.segment == 0 || last {
                self.modem.update()?;
            }
            if self.segment == 0 {
                self.policy.progress(Phase::Verifying, 0, 1);
                self.modem.verify(wrapper.as_bytes()).map_err(|fault| match fault {
                    Fault::Errno(Errno::Perm | Errno::NoExec) => DirectError::Refused(fault),
                    fault => DirectError::Modem(fault),
                })?;
                self.policy.progress(Phase::Verifying, 1, 1);
            }
            self.segment = self.segment.saturating_add(1);
            self.done = 0;
            if last {
                self.stage = Stage::Whole;
            }
        }
        Ok(piece.len())
    }
}

impl<B: Bootloader, H, V> ErrorType for ModemFullDirect<B, H, V> {
    type Error = DirectError;
}

impl<B: Bootloader, H: Sha256, V: FullPolicy> DfuTarget for ModemFullDirect<B, H, V> {
    fn identity(&self, _: ImageKind, _: u8) -> u32 {
        u32::from_le_bytes(*b"mfwD")
    }

    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        kind == ImageKind::ModemFull && index == 0
    }

    /// Always wants the file from its start.
    async fn init(&mut self, image: &Image<'_>, _: u32) -> Result<u32, DirectError> {
        self.stage = Stage::Closed;
        if !is_full(image.head) {
            return Err(DirectError::NotFull);
        }
        self.size = image.size.unwrap_or(0);
        self.received = 0;
        self.total = 0;
        self.segment = 0;
        self.done = 0;
        self.file.start();
        self.blob.start();
        self.stage = Stage::Wrapper;
        Ok(0)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<Written, DirectError> {
        let stage = core::mem::replace(&mut self.stage, Stage::Closed);
        if !matches!(stage, Stage::Wrapper | Stage::Body) {
            return Err(DirectError::Closed);
        }
        let mut rest = bytes;
        self.stage = stage;
        while let (false, stage @ (Stage::Wrapper | Stage::Body)) = (rest.is_empty(), self.stage) {
            let taken = match stage {
                Stage::Wrapper => self.gather(rest),
                _ => self.feed(rest),
            };
            let Ok(taken) = taken.inspect_err(|_| self.stage = Stage::Closed) else {
                return taken.map(|_| Written::Committed(0));
            };
            let (piece, behind) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            self.file.update(piece);
            self.received = self.received.saturating_add(piece.len() as u32);
            rest = behind;
            let stage = core::mem::replace(&mut self.stage, Stage::Closed);
            yield_now().await;
            self.stage = stage;
        }
        if !rest.is_empty() {
            self.stage = Stage::Closed;
            return Err(DirectError::TooLong { size: self.total });
        }
        Ok(Written::Committed(0))
    }

    async fn digest(&mut self) -> Result<Checked, DirectError> {
        match self.stage {
            Stage::Checked => {}
            Stage::Whole => {
                let wrapper = Wrapper::parse(&self.wrapper).map_err(DirectError::Wrapper)?;
                self.stage = Stage::Closed;
                if self.blob.finish() != wrapper.blob_hash() {
                    return Err(DirectError::BlobHash);
                }
                self.digest = self.file.finish();
                self.stage = Stage::Checked;
            }
            Stage::Wrapper | Stage::Body => {
                return Err(DirectError::Truncated { have: self.received, need: self.total.max(self.size) });
            }
            Stage::Closed => return Err(DirectError::Closed),
        }
        Ok(Checked { digest: self.digest, assurance: Assurance::Hash })
    }

    /// Shuts the modem's bootloader down: what was programmed runs after the chip's reset.
    async fn apply(&mut self, proof: Proof) -> Result<Applied, DirectError> {
        if self.stage != Stage::Checked || *proof.digest() != self.digest {
            return Err(DirectError::NotChecked);
        }
        self.modem.stop()?;
        self.begun = false;
        Ok(Applied::AtReset)
    }

    /// Shuts the modem's bootloader down. A firmware that was begun stays incomplete: the modem does not start until a
    /// whole update is done.
    async fn abort(&mut self) -> Result<(), DirectError> {
        self.stage = Stage::Closed;
        if !self.begun {
            return Ok(());
        }
        self.modem.stop()?;
        self.begun = false;
        Ok(())
    }
}

impl<B: Bootloader, H, V> Drop for ModemFullDirect<B, H, V> {
    fn drop(&mut self) {
        if self.begun {
            // Whatever it says: the chip is reset, or the next update begins anew.
            let _ = self.modem.stop();
        }
    }
}

/// Why an update without staging failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DirectError {
    /// The first bytes are not those of a full update. The modem was not touched.
    NotFull,
    /// The wrapper is damaged. The modem was not touched.
    Wrapper(WrapperError),
    /// The wrapper tells of another length than the source. The modem was not touched.
    WrongSize {
        /// What the wrapper tells.
        told: u32,
        /// What was offered.
        offered: u32,
    },
    /// The caller's [policy](FullPolicy) refused it. The modem was not touched.
    Policy,
    /// The modem refused the signature. Its firmware is as it was.
    Refused(Fault),
    /// The modem or its library failed: do all of the update again.
    Modem(Fault),
    /// Bytes follow the last segment.
    TooLong {
        /// The file's length.
        size: u32,
    },
    /// Bytes are missing.
    Truncated {
        /// How many there are.
        have: u32,
        /// How many there should be, so far as it is known.
        need: u32,
    },
    /// The segments are not those that the wrapper tells of, and are programmed: do all of the update again.
    BlobHash,
    /// The image was not checked, or the proof is of another one.
    NotChecked,
    /// An earlier write failed or was dropped, or the stream has ended.
    Closed,
}

impl Error for DirectError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFull | Self::Wrapper(_) | Self::WrongSize { .. } | Self::Policy | Self::Refused(_) => {
                ErrorKind::Refused
            }
            Self::Modem(fault) if fault.is_low_voltage() => ErrorKind::Busy,
            Self::Modem(_) => ErrorKind::Storage,
            Self::TooLong { .. } => ErrorKind::TooLarge,
            Self::Truncated { .. } | Self::BlobHash => ErrorKind::Corrupt,
            Self::NotChecked | Self::Closed => ErrorKind::Order,
        }
    }
}

impl From<Fault> for DirectError {
    fn from(fault: Fault) -> Self {
        Self::Modem(fault)
    }
}

impl fmt::Display for DirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFull => f.write_str("this is no full update for the modem"),
            Self::Wrapper(error) => error.fmt(f),
            Self::WrongSize { told, offered } => {
                write!(f, "the wrapper tells of {told} bytes, and there are {offered}")
            }
            Self::Policy => f.write_str("the caller does not want this update"),
            Self::Refused(fault) => write!(f, "the modem refused the update's signature: {fault}"),
            Self::Modem(fault) => write!(f, "{fault}; the modem needs the whole update again"),
            Self::TooLong { size } => write!(f, "more bytes than the {size} of the update"),
            Self::Truncated { have, need } => write!(f, "{have} bytes of {need} came"),
            Self::BlobHash => f.write_str("the segments are not those that the wrapper tells of, and are programmed"),
            Self::NotChecked => f.write_str("no update was checked, or the proof is of another one"),
            Self::Closed => f.write_str("an earlier write failed or was dropped: begin again"),
        }
    }
}

impl core::error::Error for DirectError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Modem(fault) | Self::Refused(fault) => Some(fault),
            Self::Wrapper(error) => Some(error),
            _ => None,
        }
    }
}
