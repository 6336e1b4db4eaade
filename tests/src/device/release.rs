//! What is to be fetched.

use dfu_target::{Digest, Request};

/// An image on a server, and how it is fetched.
#[derive(Clone, Copy, Debug)]
pub struct Release<'i> {
    file: &'i [u8],
    digest: Digest,
    chunk: usize,
    save_every: u32,
    pub(super) prepares: bool,
}

impl<'i> Release<'i> {
    /// A file that comes in pieces of 512 bytes; progress is stored every 1024.
    pub fn new(file: &'i [u8]) -> Self {
        let digest = Digest(<sha2::Sha256 as sha2::Digest>::digest(file).into());
        Self { file, digest, chunk: 512, save_every: 1024, prepares: false }
    }

    /// How many bytes come at once.
    #[must_use]
    pub fn chunk(mut self, bytes: usize) -> Self {
        self.chunk = bytes;
        self
    }

    /// How often progress is stored.
    #[must_use]
    pub fn save_every(mut self, bytes: u32) -> Self {
        self.save_every = bytes;
        self
    }

    /// Has the application erase ahead before each piece.
    #[must_use]
    pub fn prepares(mut self, on: bool) -> Self {
        self.prepares = on;
        self
    }

    /// The file.
    pub fn file(&self) -> &'i [u8] {
        self.file
    }

    /// The file's SHA-256.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The update that asks for it.
    pub fn request(&self) -> Request {
        Request::of(self.digest).size(self.file.len() as u32).save_every(self.save_every)
    }

    /// The piece at an offset.
    pub fn piece(&self, offset: u32) -> &'i [u8] {
        let rest = &self.file[offset as usize..];
        &rest[..rest.len().min(self.chunk)]
    }
}
