//! What is stored about an update, so that a reset costs as little as it can.

mod log;
mod record;
#[cfg(feature = "sequential-storage")]
mod sequential;

pub use log::ProgressLog;
pub use record::Progress;
#[cfg(feature = "sequential-storage")]
pub use sequential::SequentialStore;

use core::fmt;

use embedded_storage_async::nor_flash::NorFlashErrorKind;

use crate::digest::Digest;

/// The stages of an update that survive a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum State {
    /// Bytes are missing.
    Receiving = 0,
    /// All bytes are there.
    Complete = 1,
    /// It was asked to run, or was about to be: if it still lies there, it ran and came back, or never ran.
    Applied = 2,
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
            let hash = bytes
                .iter()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
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
    /// The last record saved, if there is one. What cannot be read now is as good as gone: the next record takes its
    /// place. Where another task uses the same flash, share it with [`Shared::waiting`](crate::flash::Shared::waiting).
    async fn load(&mut self) -> Option<Progress>;
    /// Stores a record in place of the last one.
    async fn save(&mut self, progress: &Progress) -> Result<(), StoreError>;
    /// Forgets.
    async fn clear(&mut self) -> Result<(), StoreError>;

    /// Loads or saves, by the functions above: one place that waits, as with [`DfuTarget::call`](crate::DfuTarget::call).
    async fn call(&mut self, call: StoreCall<'_>) -> Result<(), StoreError> {
        match call {
            StoreCall::Load(found) => *found = self.load().await,
            StoreCall::Save(progress) => self.save(progress).await?,
        }
        Ok(())
    }
}

/// A call of a [`ProgressStore`] as a value, with a place for its answer.
#[derive(Debug)]
pub enum StoreCall<'a> {
    /// [`ProgressStore::load`].
    Load(&'a mut Option<Progress>),
    /// [`ProgressStore::save`].
    Save(&'a Progress),
}

/// Progress could not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The flash below failed. Out of bounds: the store's region is too small, or ends beyond the flash.
    Flash(NorFlashErrorKind),
    /// The flash took the record and reads back something else.
    Mismatch,
    /// A store of your own failed.
    Other,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(NorFlashErrorKind::OutOfBounds) => {
                f.write_str("the region for progress is too small, or ends beyond the flash")
            }
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
    fn call(&mut self, call: StoreCall<'_>) -> impl Future<Output = Result<(), StoreError>> {
        S::call(self, call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

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

    #[test]
    fn a_long_name_is_kept_as_its_hash_and_its_end() {
        let name = "https://example.com/thing/1.2.3/app.bin";
        let ImageId(id) = ImageId::named(name);
        // FNV-1a with 64 bits, as computed elsewhere.
        assert_eq!(id[..8], 0x1414_b5fa_464b_d004_u64.to_le_bytes());
        assert_eq!(id[8..], name.as_bytes()[name.len() - 24..]);
    }

    /// A store of somebody's own, with the functions that it must have.
    #[derive(Default)]
    struct Own(Option<Progress>);

    impl ProgressStore for Own {
        async fn load(&mut self) -> Option<Progress> {
            self.0.clone()
        }
        async fn save(&mut self, progress: &Progress) -> Result<(), StoreError> {
            if self.0.is_some() {
                return Err(StoreError::Other);
            }
            self.0 = Some(progress.clone());
            Ok(())
        }
        async fn clear(&mut self) -> Result<(), StoreError> {
            self.0 = None;
            Ok(())
        }
    }

    #[test]
    fn a_call_does_what_it_is_the_value_of_also_through_a_borrow() {
        async fn check(mut store: impl ProgressStore) {
            let progress = Progress::new(ImageId::named("an image"));
            assert_eq!(store.load().await, None);
            store.call(StoreCall::Save(&progress)).await.unwrap();
            assert_eq!(store.save(&progress).await, Err(StoreError::Other));
            assert_eq!(store.call(StoreCall::Save(&progress)).await, Err(StoreError::Other));
            assert_eq!(store.load().await.as_ref(), Some(&progress));
            let mut found = None;
            store.call(StoreCall::Load(&mut found)).await.unwrap();
            assert_eq!(found, Some(progress));
            store.clear().await.unwrap();
            store.call(StoreCall::Load(&mut found)).await.unwrap();
            assert_eq!(found, None);
        }
        let mut store = Own::default();
        crate::blocking::block_on(check(&mut store));
        crate::blocking::block_on(check(store));
    }

    #[test]
    fn a_store_s_error_says_what_happened() {
        let flash = StoreError::Flash(NorFlashErrorKind::OutOfBounds);
        let texts = [flash, StoreError::Mismatch, StoreError::Other].map(|error| error.to_string());
        for (text, word) in texts.iter().zip(["too small", "differently", "failed"]) {
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn a_store_that_keeps_nothing_takes_all_and_knows_nothing() {
        crate::blocking::block_on(async {
            let progress = Progress::new(ImageId::from(Digest([7; 32])));
            assert_eq!(progress.id(), ImageId([7; 32]), "an image's digest is a name for it");
            assert_eq!(NoProgress.save(&progress).await, Ok(()));
            assert_eq!(NoProgress.load().await, None);
            assert_eq!(NoProgress.clear().await, Ok(()));
        });
    }
}
