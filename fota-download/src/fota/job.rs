//! [`Job`]: which update is wanted.

use dfu_target::{Digest, ImageId, ImageKind, Request};

use crate::download::Backoff;

/// Which update is wanted, and what it has to be.
#[derive(Clone, Debug)]
pub struct Job {
    id: ImageId,
    pub(super) digest: Option<Digest>,
    size: Option<u32>,
    pub(super) max_size: Option<u32>,
    pub(super) kind: Option<ImageKind>,
    index: u8,
    save_every: Option<u32>,
    pub(super) backoff: Backoff,
    attempts: u8,
    pub(super) again: bool,
    pub(super) deadline: u32,
    pub(super) silence: u32,
}

impl Job {
    /// The update of this name, whatever it turns out to be; the image has to carry what its target can check.
    pub const fn new(id: ImageId) -> Self {
        Self {
            id,
            digest: None,
            size: None,
            max_size: None,
            kind: None,
            index: 0,
            save_every: None,
            backoff: Backoff::new(),
            attempts: 2,
            again: false,
            deadline: u32::MAX,
            silence: 120_000,
        }
    }

    /// The file with this SHA-256: nothing else is applied.
    pub const fn of(digest: Digest) -> Self {
        Self::new(ImageId(digest.0)).digest(digest)
    }

    /// The file's SHA-256, where the name is another one.
    pub const fn digest(self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self }
    }

    /// The file's length in bytes.
    pub const fn size(self, bytes: u32) -> Self {
        Self { size: Some(bytes), ..self }
    }

    /// Refuses a file that is longer.
    pub const fn max_size(self, bytes: u32) -> Self {
        Self { max_size: Some(bytes), ..self }
    }

    /// Refuses an image of any other kind.
    pub const fn kind(self, kind: ImageKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Which of several images of the kind.
    pub const fn index(self, index: u8) -> Self {
        Self { index, ..self }
    }

    /// Stores progress each time so many more bytes are safe: [`Request::save_every`].
    pub const fn save_every(self, bytes: u32) -> Self {
        Self { save_every: Some(bytes), ..self }
    }

    /// How often, and after what pauses, it is tried again.
    pub const fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// Ends the update after so many milliseconds, pauses included, if not all bytes came until then: within a tenth of
    /// a second, or when the flash has done what it is at. What is stored stays.
    pub const fn deadline(self, ms: u32) -> Self {
        Self { deadline: ms, ..self }
    }

    /// Takes a source that says nothing for so many milliseconds for lost, and opens it anew: 120,000 without. The
    /// answer to `open`, name service and TLS included, has to come within them, too.
    pub const fn silence(self, ms: u32) -> Self {
        Self { silence: ms, ..self }
    }

    /// How often the image may be fetched in vain before it is refused without a byte: [`Request::attempts`], 2
    /// otherwise; 255: it is fetched again, however often that was.
    pub const fn attempts(self, count: u8) -> Self {
        Self { attempts: count, ..self }
    }

    /// Applies an image again that ran and came back.
    pub const fn again(self) -> Self {
        Self { again: true, ..self }
    }

    pub(super) fn request(&self) -> Request {
        let mut request = Request::new(self.id).index(self.index).attempts(self.attempts);
        if let Some(size) = self.size {
            request = request.size(size);
        }
        if let Some(digest) = self.digest {
            request = request.digest(digest);
        }
        if let Some(bytes) = self.save_every {
            request = request.save_every(bytes);
        }
        request
    }
}
