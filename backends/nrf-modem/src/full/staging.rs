//! The staging region: the file at its start, the markers at its end.

use dfu_target::flash::{FlashWriter, Region, RegionError, WriterError, align_down, align_up};
use dfu_target::{Digest, Sha256};
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use super::marker::{Marker, Stage};
use super::{FullError, FullPolicy, Phase};
use crate::{Wrapper, WrapperError};

/// The region, with a buffer of a kilobyte: for the wrapper, for markers, for reading back.
#[derive(Debug)]
pub(super) struct Staging<'a, F: NorFlash, const N: usize> {
    writer: FlashWriter<Region<'a, F>, N>,
    buffer: Buffer,
    place: [u32; 2],
    /// The copy of the marker that is to be touched last, as of the last look.
    last: u32,
}

#[derive(Debug)]
#[repr(align(8))]
struct Buffer([u8; Wrapper::MAX_LEN]);

type Result<T, F> = core::result::Result<T, FullError<RegionError<<F as ErrorType>::Error>>>;

impl<'a, F: NorFlash, const N: usize> Staging<'a, F, N> {
    pub(super) fn new(region: Region<'a, F>) -> Self {
        const {
            let buffer = Wrapper::MAX_LEN;
            assert!(buffer.is_multiple_of(F::READ_SIZE), "a kilobyte is a whole number of reads");
            assert!(buffer.is_multiple_of(F::WRITE_SIZE), "a kilobyte is a whole number of words");
            assert!(F::ERASE_SIZE >= Marker::LEN.next_multiple_of(F::WRITE_SIZE), "a marker fits into an erase unit");
        }
        let place = [region.start(), region.size()];
        Self { writer: FlashWriter::new(region), buffer: Buffer([0; Wrapper::MAX_LEN]), place, last: 0 }
    }

    /// What tells this place from others.
    pub(super) fn place(&self) -> [u32; 2] {
        self.place
    }

    /// How many bytes a file may have: the markers are behind it.
    pub(super) fn capacity(&self) -> u32 {
        self.unit(0)
    }

    /// Where a copy of the marker is.
    fn unit(&self, copy: u32) -> u32 {
        let [_, size] = self.place;
        let behind = 2_u32.saturating_sub(copy).saturating_mul(F::ERASE_SIZE as u32);
        size.saturating_sub(behind)
    }

    /// Takes bytes behind those that were gathered; how many there was room for.
    pub(super) fn gather(&mut self, have: u32, bytes: &[u8]) -> usize {
        let room = self.buffer.0.get_mut(have as usize..).unwrap_or_default();
        let len = room.len().min(bytes.len());
        room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        len
    }

    /// The first bytes of those that were gathered.
    pub(super) fn gathered(&self, have: u32) -> &[u8] {
        self.buffer.0.get(..have as usize).unwrap_or(&self.buffer.0)
    }

    /// Goes on at an offset, or at the start of its erase unit, which is returned.
    pub(super) fn start_at(&mut self, offset: u32) -> u32 {
        self.writer.start_at(offset)
    }

    /// Stores what was gathered, at the region's start.
    pub(super) async fn write_gathered(&mut self, have: u32) -> Result<(), F> {
        self.writer.start_at(0);
        let bytes = self.buffer.0.get(..have as usize).unwrap_or(&[]);
        self.writer.write(bytes).await.map(drop).map_err(writer)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), F> {
        self.writer.write(bytes).await.map(drop).map_err(writer)
    }

    pub(super) async fn prepare(&mut self, until: u32) -> Result<bool, F> {
        self.writer.prepare(until).await.map_err(writer)
    }

    pub(super) async fn flush(&mut self) -> Result<(), F> {
        self.writer.flush().await.map_err(writer)
    }

    pub(super) fn durable(&self) -> u32 {
        self.writer.durable()
    }

    /// The wrapper of the file that is staged, if it begins with one.
    pub(super) async fn wrapper(&mut self) -> Result<core::result::Result<Wrapper<'_>, WrapperError>, F> {
        self.writer.flash().read(0, &mut self.buffer.0).await.map_err(FullError::Flash)?;
        Ok(Wrapper::parse(&self.buffer.0))
    }

    /// SHA-256 over a part of the file.
    pub(super) async fn hash<H: Sha256, V: FullPolicy>(
        &mut self,
        engine: &mut H,
        policy: &mut V,
        from: u32,
        to: u32,
    ) -> Result<Digest, F> {
        engine.start();
        let mut at = from;
        while at < to {
            let flash = self.writer.flash();
            let bytes = read(flash, at, to, &mut self.buffer.0).await?;
            engine.update(bytes);
            at = at.saturating_add(bytes.len().max(1) as u32);
            policy.progress(Phase::Checking, at.saturating_sub(from), to.saturating_sub(from));
        }
        Ok(engine.finish())
    }

    /// Bytes of the file from `at` on, as many as the buffer takes and not beyond `to`.
    pub(super) async fn read<'b>(&mut self, at: u32, to: u32, buffer: &'b mut [u8]) -> Result<&'b [u8], F> {
        read(self.writer.flash(), at, to, buffer).await
    }

    /// The marker that counts. Takes the buffer.
    pub(super) async fn marker(&mut self) -> Result<Marker, F> {
        let first = self.copy(0).await?;
        let second = self.copy(1).await?;
        let is_first = first.stage != Stage::None && (second.stage == Stage::None || first.count >= second.count);
        self.last = u32::from(!is_first);
        Ok(if is_first { first } else { second })
    }

    async fn copy(&mut self, copy: u32) -> Result<Marker, F> {
        let at = self.unit(copy);
        let len = align_up(Marker::LEN as u32, F::READ_SIZE as u32) as usize;
        let bytes = self.buffer.0.get_mut(..len).unwrap_or_default();
        self.writer.flash().read(at, bytes).await.map_err(FullError::Flash)?;
        Ok(Marker::from_bytes(bytes))
    }

    /// Writes both copies, the one that does not count first, and reads them back. What is there is left as it is.
    pub(super) async fn mark(&mut self, marker: &Marker) -> Result<(), F> {
        let found = self.marker().await?;
        let last = self.last;
        let count = if found.is_like(marker) { found.count } else { found.count.wrapping_add(1) };
        let marker = Marker { count, ..*marker };
        for copy in [1_u32.saturating_sub(last), last] {
            if self.copy(copy).await? == marker {
                continue;
            }
            self.erase(copy).await?;
            let len = align_up(Marker::LEN as u32, F::WRITE_SIZE as u32) as usize;
            let bytes = self.buffer.0.get_mut(..len).unwrap_or_default();
            bytes.fill(0xff);
            bytes.iter_mut().zip(marker.to_bytes()).for_each(|(to, from)| *to = from);
            let at = self.unit(copy);
            let bytes = self.buffer.0.get(..len).unwrap_or_default();
            self.writer.flash().write(at, bytes).await.map_err(FullError::Flash)?;
            if self.copy(copy).await? != marker {
                return Err(FullError::MarkNotWritten);
            }
        }
        Ok(())
    }

    /// Erases both copies, the one that counts last: as [`marker`](Self::marker) has seen them. Leaves the buffer alone,
    /// where the wrapper is that was gathered.
    pub(super) async fn unmark(&mut self) -> Result<(), F> {
        self.erase(1_u32.saturating_sub(self.last)).await?;
        self.erase(self.last).await
    }

    async fn erase(&mut self, copy: u32) -> Result<(), F> {
        let at = self.unit(copy);
        let to = at.saturating_add(F::ERASE_SIZE as u32);
        self.writer.flash().erase(at, to).await.map_err(FullError::Flash)
    }
}

/// Bytes from `at` on, as many as the buffer takes and not beyond `to`, by whole reads.
async fn read<'b, F: NorFlash>(
    flash: &mut Region<'_, F>,
    at: u32,
    to: u32,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], F> {
    let unit = F::READ_SIZE as u32;
    let from = align_down(at, unit);
    let room = align_down(buffer.len() as u32, unit);
    let end = align_up(to, unit).min(from.saturating_add(room));
    let whole = buffer.get_mut(..end.saturating_sub(from) as usize).unwrap_or_default();
    flash.read(from, whole).await.map_err(FullError::Flash)?;
    let len = to.min(end).saturating_sub(at) as usize;
    let bytes = whole.get(at.saturating_sub(from) as usize..).unwrap_or_default();
    Ok(bytes.get(..len).unwrap_or(bytes))
}

fn writer<E>(error: WriterError<E>) -> FullError<E> {
    match error {
        WriterError::Flash(error) => FullError::Flash(error),
        _ => FullError::Closed,
    }
}
