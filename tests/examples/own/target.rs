// A target of one's own, as short as the contract lets it be: images that begin with `BLOB` and their length, in a
// region whose last erase unit says whether the image is to run. The README's rig tries it.

use core::fmt;

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{FlashWriter, Region, WriterError};
use dfu_target::image::sniff;
use dfu_target::target::{Assurance, Checked, ErrorType, Proof};
use dfu_target::{Applied, DfuTarget, Digest, ErrorKind, Image, ImageKind, Probe, Sha256, Written};
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};

pub const BLOB: ImageKind = ImageKind::Custom(1);
pub const MARK: [u8; 4] = *b"RUN!";

pub struct BlobTarget<'a, F: NorFlash> {
    writer: FlashWriter<Region<'a, F>, 256>,
    engine: SoftSha256,
    /// Where the mark is, and so the most that fits.
    mark: u32,
    /// Of the image that `init` took; 0: there is none.
    size: u32,
    received: u32,
    digest: Option<Digest>,
}

impl<'a, F: NorFlash> BlobTarget<'a, F> {
    pub fn new(region: Region<'a, F>) -> Self {
        let mark = region.size() - F::ERASE_SIZE as u32;
        let (writer, engine) = (FlashWriter::new(region), SoftSha256::default());
        Self { writer, engine, mark, size: 0, received: 0, digest: None }
    }

    async fn is_marked(&mut self) -> Result<bool, BlobError> {
        let mut word = [0; MARK.len()];
        self.writer.flash().read(self.mark, &mut word).await.map_err(storage)?;
        Ok(word == MARK)
    }

    async fn erase_mark(&mut self) -> Result<(), BlobError> {
        self.writer.flash().erase(self.mark, self.mark + F::ERASE_SIZE as u32).await.map_err(storage)
    }
}

impl<F: NorFlash> DfuTarget for BlobTarget<'_, F> {
    fn identity(&self, _: ImageKind, _: u8) -> u32 {
        u32::from_le_bytes(*b"blob") ^ self.mark
    }

    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        kind == BLOB && index == 0
    }

    fn probe(&self, head: &[u8], index: u8) -> Probe {
        if head.starts_with(b"BLOB") && index == 0 { Probe::Taken(BLOB) } else { Probe::Refused(sniff(head)) }
    }

    async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, BlobError> {
        // What is refused takes no bytes.
        (self.size, self.received, self.digest) = (0, 0, None);
        let told = image.head.get(4..8).and_then(|bytes| Some(u32::from_le_bytes(*bytes.first_chunk()?)));
        let Some(size) = told.filter(|told| image.size.is_none_or(|size| size == *told)) else {
            return Err(BlobError(ErrorKind::Refused));
        };
        if size > self.mark {
            return Err(BlobError(ErrorKind::TooLarge));
        }
        if resume != size && self.is_marked().await? {
            return Err(BlobError(ErrorKind::Pending));
        }
        self.received = if resume == size {
            self.writer.start_complete(size);
            size
        } else {
            self.writer.start_at(resume)
        };
        self.size = size;
        Ok(self.received)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<Written, BlobError> {
        if bytes.len() > (self.size - self.received) as usize {
            return Err(BlobError(ErrorKind::TooLarge));
        }
        let durable = self.writer.write(bytes).await.map_err(closed)?;
        self.received += bytes.len() as u32;
        Ok(Written::Committed(durable))
    }

    async fn prepare(&mut self) -> Result<bool, BlobError> {
        self.writer.prepare(self.size).await.map_err(closed)
    }

    async fn digest(&mut self) -> Result<Checked, BlobError> {
        if self.size == 0 || self.received < self.size {
            return Err(BlobError(ErrorKind::Corrupt));
        }
        self.writer.flush().await.map_err(closed)?;
        self.engine.start();
        let mut bytes = [0; 256];
        for at in (0..self.size).step_by(bytes.len()) {
            self.writer.flash().read(at, &mut bytes).await.map_err(storage)?;
            self.engine.update(&bytes[..bytes.len().min((self.size - at) as usize)]);
        }
        let digest = self.engine.finish();
        self.digest = Some(digest);
        // A blob has no hash of its own: the caller's digest has to vouch for it.
        Ok(Checked { digest, assurance: Assurance::None })
    }

    async fn apply(&mut self, proof: Proof) -> Result<Applied, BlobError> {
        if self.digest.as_ref() != Some(proof.digest()) {
            return Err(BlobError(ErrorKind::Order));
        }
        if !self.is_marked().await? {
            // Also what looks blank: it may be a mark that was cut.
            self.erase_mark().await?;
            self.writer.flash().write(self.mark, &MARK).await.map_err(storage)?;
            if !self.is_marked().await? {
                return Err(BlobError(ErrorKind::Storage));
            }
        }
        Ok(Applied::AtReset)
    }

    async fn abort(&mut self) -> Result<(), BlobError> {
        (self.size, self.received, self.digest) = (0, 0, None);
        self.erase_mark().await
    }
}

/// A target for people says more.
#[derive(Debug)]
pub struct BlobError(ErrorKind);

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the blob's target failed: {:?}", self.0)
    }
}

impl core::error::Error for BlobError {}

impl dfu_target::Error for BlobError {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

impl<F: NorFlash> ErrorType for BlobTarget<'_, F> {
    type Error = BlobError;
}

fn storage<E>(_: E) -> BlobError {
    BlobError(ErrorKind::Storage)
}

fn closed<E>(error: WriterError<E>) -> BlobError {
    BlobError(match error {
        WriterError::Flash(_) => ErrorKind::Storage,
        WriterError::NoSpace => ErrorKind::TooLarge,
        WriterError::Closed => ErrorKind::Order,
    })
}
