//! What the caller wants.

use crate::digest::Digest;
use crate::progress::{ImageId, Progress};

/// Which image is wanted, and how often progress is stored.
///
/// ```
/// use dfu_target::{ImageId, Request};
/// const JOB: Request = Request::new(ImageId([7; 32])).size(307_200).save_every(16 * 1024);
/// # let _ = JOB;
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request {
    /// Becomes what is stored.
    pub(super) progress: Progress,
    pub(super) save_every: u32,
    pub(super) attempts: u8,
    pub(super) digest: Option<Digest>,
}

impl Request {
    /// Wants the image of this name. What is stored of an image of another name is not resumed.
    pub const fn new(id: ImageId) -> Self {
        Self { progress: Progress::new(id), save_every: 4096, attempts: 2, digest: None }
    }

    /// Wants the image with this SHA-256. A resume then needs no word from the source that the file is the same.
    /// The comparison itself is [`Staged::verify`](crate::Staged::verify).
    pub const fn of(digest: Digest) -> Self {
        Self::new(ImageId(digest.0)).digest(digest)
    }

    /// The image's length in bytes. Unknown otherwise until the source tells it or the stream ends.
    pub const fn size(mut self, bytes: u32) -> Self {
        self.progress = self.progress.sized(bytes);
        self
    }

    /// Which of several images of the kind; 0 otherwise.
    pub const fn index(mut self, index: u8) -> Self {
        self.progress = self.progress.indexed(index);
        self
    }

    /// Progress is stored each time this many more bytes are safe; 4096 otherwise. Less than the target's erase
    /// unit gains nothing.
    pub const fn save_every(mut self, bytes: u32) -> Self {
        self.save_every = if bytes > 0 { bytes } else { 1 };
        self
    }

    /// How often the image may be fetched in vain, which [`Session::reject`](crate::Session::reject) counts, before it
    /// is [`Rejected`](crate::session::SessionError::Rejected); 2 otherwise, since what is refused once may be the
    /// flash's fault. 255: it is fetched again, however often it was.
    pub const fn attempts(mut self, count: u8) -> Self {
        self.attempts = count;
        self
    }

    /// The image's SHA-256, where the name is another one.
    pub const fn digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_what_was_said() {
        let digest = Digest([7; 32]);
        let request = Request::of(digest).size(0).index(3).save_every(0);
        assert_eq!((request.progress.id(), request.digest), (ImageId([7; 32]), Some(digest)));
        assert_eq!((request.progress.size(), request.progress.index()), (Some(0), 3));
        assert_eq!(request.save_every, 1, "a step of nothing would never end");
        assert_eq!([1, 2, 4096].map(|bytes| request.clone().save_every(bytes).save_every), [1, 2, 4096]);
        let plain = Request::new(ImageId([1; 32]));
        assert_eq!((plain.progress.size(), plain.digest), (None, None));
        assert_eq!((plain.progress.index(), plain.save_every, plain.attempts), (0, 4096, 2));
        assert_eq!(plain.attempts(7).attempts, 7);
    }
}
