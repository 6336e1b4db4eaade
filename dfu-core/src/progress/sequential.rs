//! Progress as one item of a `sequential-storage` map, for firmware that has such a map anyway.

use embedded_storage_async::nor_flash::{NorFlash, NorFlashError};
use sequential_storage::Error;
use sequential_storage::cache::CacheImpl;
use sequential_storage::map::MapStorage;

use super::{Progress, ProgressStore, StoreError};

/// A record and its key, in whole words of any flash that the map takes.
const BUFFER: usize = (1 + Progress::LEN).next_multiple_of(32);

/// Progress under one key of a [`MapStorage`] with keys of type `u8`.
///
/// Each save writes the whole record, about 170 bytes, and the map's own code is some ten times that of
/// [`ProgressLog`](super::ProgressLog) and can panic: take this where the map is there for other settings anyway.
/// What a power cut leaves is the map's promise: the record of before or the new one.
pub struct SequentialStore<'m, S: NorFlash, C: CacheImpl<u8>> {
    map: &'m mut MapStorage<u8, S, C>,
    key: u8,
}

impl<'m, S: NorFlash, C: CacheImpl<u8>> SequentialStore<'m, S, C> {
    /// Progress under `key`, which nothing else uses.
    pub fn new(map: &'m mut MapStorage<u8, S, C>, key: u8) -> Self {
        Self { map, key }
    }

    async fn store(&mut self, record: &[u8]) -> Result<(), StoreError> {
        let mut buffer = [0; BUFFER];
        self.map.store_item(&mut buffer, &self.key, &record).await.map_err(|error| match error {
            Error::Storage { value, .. } => StoreError::Flash(value.kind()),
            _ => StoreError::Other,
        })
    }
}

impl<S: NorFlash, C: CacheImpl<u8>> ProgressStore for SequentialStore<'_, S, C> {
    async fn load(&mut self) -> Option<Progress> {
        let mut buffer = [0; BUFFER];
        let record: &[u8] = self.map.fetch_item(&mut buffer, &self.key).await.ok()??;
        Progress::from_bytes(record)
    }

    async fn save(&mut self, progress: &Progress) -> Result<(), StoreError> {
        self.store(progress.as_bytes()).await
    }

    /// An empty item takes the record's place.
    async fn clear(&mut self) -> Result<(), StoreError> {
        self.store(&[]).await
    }
}
