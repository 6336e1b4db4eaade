//! What is stored about an update, so that a reset costs as little as it can.

mod log;
mod record;

pub use log::ProgressLog;

use core::fmt;

use embedded_storage_async::nor_flash::NorFlashErrorKind;

use crate::digest::Digest;
use crate::image::{Head, ImageKind};

/// How far an update is, and of which image: all of it must match before anything is resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The caller's name for the image.
    pub id: ImageId,
    /// What the image's first bytes said.
    pub kind: ImageKind,
    /// Which of several images of that kind.
    pub index: u8,
    /// The image's length, if known.
    pub size: Option<u32>,
    /// The target's [`identity`](crate::DfuTarget::identity).
    pub identity: u32,
    /// A tag of what the source says about its version of the file; 0 where it says nothing.
    pub tag: u32,
    /// All bytes before this are stored and survive a power cut.
    pub offset: u32,
    /// The image's first bytes.
    pub head: Head,
    /// How far the update is.
    pub state: State,
}

/// The stages of an update that survive a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// Bytes are missing.
    Receiving,
    /// All bytes are there; this is their digest.
    Complete(Digest),
    /// It was asked to run, or was about to be: if it still lies there, it ran and came back, or never ran.
    Applied(Digest),
}

/// The caller's name for an image: its SHA-256 where that is known, else the name of the job or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ImageId(pub [u8; 32]);

impl ImageId {
    /// Names an image by a text, a URL or a job's id. Up to 32 bytes are kept as they are; of a longer one the
    /// last 24 bytes and a 64-bit FNV-1a hash of all.
    pub fn named(name: &str) -> Self {
        let bytes = name.as_bytes();
        let mut id = [0; 32];
        if bytes.len() <= id.len() {
            id.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        } else {
            let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
            });
            let tail = bytes.iter().rev().take(24).rev();
            id.iter_mut().zip(hash.to_le_bytes().iter().chain(tail)).for_each(|(to, from)| *to = *from);
        }
        Self(id)
    }
}

impl From<Digest> for ImageId {
    fn from(digest: Digest) -> Self {
        Self(digest.0)
    }
}

/// Where progress is kept: [`ProgressLog`] on two erase units of flash, [`NoProgress`], or your own.
///
/// # Power and cancellation
///
/// A cut in `save`, or its future dropped, leaves the record of before or the new one. A cut in `clear` leaves
/// the record of before or none. What cannot be read is no progress, never an error.
pub trait ProgressStore {
    /// The last record saved, if there is one.
    async fn load(&mut self) -> Option<Progress>;
    /// Stores a record in place of the last one.
    async fn save(&mut self, progress: &Progress) -> Result<(), StoreError>;
    /// Forgets.
    async fn clear(&mut self) -> Result<(), StoreError>;
}

/// Progress could not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The flash below failed.
    Flash(NorFlashErrorKind),
    /// The flash took the record and reads back something else.
    Mismatch,
    /// A store of your own failed.
    Other,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(kind) => write!(f, "flash error while storing progress: {kind}"),
            Self::Mismatch => f.write_str("the progress record reads back differently"),
            Self::Other => f.write_str("the progress store failed"),
        }
    }
}

impl core::error::Error for StoreError {}

#[cfg(feature = "defmt")]
impl defmt::Format for StoreError {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", defmt::Display2Format(self));
    }
}

/// Keeps nothing: every update starts from zero after a reset.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl ProgressStore for NoProgress {
    async fn load(&mut self) -> Option<Progress> {
        None
    }
    async fn save(&mut self, _: &Progress) -> Result<(), StoreError> {
        Ok(())
    }
    async fn clear(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<S: ProgressStore> ProgressStore for &mut S {
    // Plain functions: forwarding costs no state machine.
    fn load(&mut self) -> impl Future<Output = Option<Progress>> {
        S::load(self)
    }
    fn save(&mut self, progress: &Progress) -> impl Future<Output = Result<(), StoreError>> {
        S::save(self, progress)
    }
    fn clear(&mut self) -> impl Future<Output = Result<(), StoreError>> {
        S::clear(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_where_the_texts_do() {
        let long = "https://firmware.example.com/products/thing/releases/1.2.3/app_update.bin";
        let names = ["", "a", "b", "job-17", long, &long.replace("1.2.3", "1.2.4"), &long[1..], &long[..72]];
        for (i, a) in names.iter().enumerate() {
            for b in &names[..i] {
                assert_ne!(ImageId::named(a), ImageId::named(b), "{a} {b}");
            }
            assert_eq!(ImageId::named(a), ImageId::named(a));
        }
        assert!(ImageId::named("job-17").0.starts_with(b"job-17\0"));
    }
}
