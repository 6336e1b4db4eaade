//! [`DfuTarget`]: a place that can take a firmware image.

#[cfg(feature = "alloc")]
mod dynamic;
mod proof;
mod select;

#[cfg(feature = "alloc")]
pub use dynamic::{BoxedError, DynDfuTarget};
pub use proof::{Assurance, Checked, NotAssured, Proof};
pub use select::{Select, SelectError};

use crate::image::{Image, ImageKind, Probe, sniff};

/// A place that takes a firmware image as a stream: a bootloader's slot, a modem, another chip.
///
/// ```text
///   init ──► write ... write ──► digest ──► (a Proof) ──► apply ──► reset
///    ▲          │ Rewind(n)         │
///    └──────────┴── error, reset or dropped future: init again, it says where to go on
/// ```
///
/// [`Session`](crate::Session) drives a target and keeps the progress; call a target directly only where you
/// keep track of the offset yourself.
///
/// # Power and cancellation
///
/// Power may fail at any flash word, and any future may be dropped at any await. Both leave the target where
/// [`init`](Self::init) takes it up again. After a failed or dropped `write` the target refuses further bytes
/// ([`ErrorKind::Order`]) until `init` or [`abort`](Self::abort) was called.
///
/// # Bounds
///
/// Between two yields an implementation erases one erase unit or moves 4 KiB at the most.
pub trait DfuTarget: ErrorType {
    /// Backend, place, geometry and mode as one number, for images of this kind and index: a resume must find the
    /// same.
    fn identity(&self, kind: ImageKind, index: u8) -> u32;

    /// Whether images of this kind, for this index, belong here. The index tells several MCUboot images
    /// (application, network core) apart.
    fn accepts(&self, kind: ImageKind, index: u8) -> bool;

    /// What an image is that begins with `head`, and whether it belongs here. `head` holds the first
    /// [`HEAD_LEN`](crate::image::HEAD_LEN) bytes, or the whole image where that is shorter.
    fn probe(&self, head: &[u8], index: u8) -> Probe {
        match sniff(head) {
            Some(kind) if self.accepts(kind, index) => Probe::Taken(kind),
            other => Probe::Refused(other),
        }
    }

    /// Takes an image, from `resume` on, and returns the offset from which it wants bytes: `resume` or less.
    ///
    /// Changes nothing that is stored: it refuses all that the head shows to be wrong, and what must be erased
    /// is erased by the first `prepare` or `write`. Legal to repeat at any time. `resume` is an offset that
    /// [`Written::Committed`] reported for this very image, or its size where all of it was read back by
    /// [`digest`](Self::digest).
    ///
    /// An image that is all there is taken up as complete, also after a reset: where `resume` is the size, the
    /// answer is the size, and the target is ready for `digest`
    /// ([`FlashWriter::start_complete`](crate::flash::FlashWriter::start_complete)). Less is the answer only where
    /// bytes of it were lost: to a mark that was torn and shares its erase unit with the image's end, for one.
    ///
    /// While an image that was applied waits for its reset, only that one is taken, as complete. All else is refused
    /// with [`ErrorKind::Pending`], the same image from an earlier offset too, and what waits stays as it is, until
    /// [`abort`](Self::abort).
    async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, Self::Error>;

    /// Takes the next bytes, all of them or none that count, and says how far the image is safe from a power
    /// cut now, or that it has to go on from an earlier offset.
    async fn write(&mut self, bytes: &[u8]) -> Result<Written, Self::Error>;

    /// Takes the next bytes, all of them, if a copy into RAM is all that it takes; `false`: nothing has changed, call
    /// [`write`](Self::write). What is safe from a power cut stays as it was. [`Session`](crate::Session) asks this
    /// of each piece after the first; a target without a buffer has no use for it.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let _ = bytes;
        false
    }

    /// What has to be known beside the offset that was promised last to go on from there after a reset, 32 bytes at
    /// the most: [`Image::kept`] brings it back. A target keeps a checksum of what it promised, and looks at that again
    /// before it goes on; one that cannot read back what it wrote keeps the digest so far. Zeros: nothing by now.
    /// `None`: nothing ever. With each record that is stored no more than the first four bytes should change: others
    /// make it ten times as long.
    fn keep(&self) -> Option<&[u8]> {
        None
    }

    /// Does one bounded piece of work ahead of the next bytes, an erase as a rule; `true`: more is left.
    /// Call it while the network is waited for. Not calling it costs time only.
    async fn prepare(&mut self) -> Result<bool, Self::Error> {
        Ok(false)
    }

    /// Stores what is still in RAM, reads the whole image back and checks it by the target's own rules.
    /// Legal to repeat. Changes no stored byte of the image.
    async fn digest(&mut self) -> Result<Checked, Self::Error>;

    /// Asks for the image that [`digest`](Self::digest) saw to be run. The mark that commits it is written
    /// last and read back. Legal to repeat: a mark that is there is left as it is.
    ///
    /// Without a `digest` since the last `init` it is refused with [`ErrorKind::Order`], also where the mark is there
    /// from before a reset; so is a proof of another image. Refusing changes nothing that is stored. After it another
    /// image is [`Pending`](ErrorKind::Pending) for [`init`](Self::init). [`ErrorKind::Rewind`]: a mark that was torn
    /// took the image's end with it, which `init` asks for again.
    async fn apply(&mut self, proof: Proof) -> Result<Applied, Self::Error>;

    /// Drops what is stored and withdraws a request to run it; `init` works afterwards without a reset.
    async fn abort(&mut self) -> Result<(), Self::Error>;

    /// Does what `call` says, by the functions above. [`Session`](crate::Session) calls no other, because one
    /// place that waits is much less code than six; a target may do all its work here for the same reason.
    async fn call(&mut self, call: Call<'_>) -> Result<(), Self::Error> {
        match call {
            Call::Init(image, offset) => *offset = self.init(image, *offset).await?,
            Call::Write(bytes, written) => *written = self.write(bytes).await?,
            Call::Prepare(more) => *more = self.prepare().await?,
            Call::Digest(checked) => *checked = self.digest().await?,
            Call::Apply(proof, applied) => *applied = self.apply(Proof::of(*proof.digest())).await?,
            Call::Abort => self.abort().await?,
        }
        Ok(())
    }

    /// This target, or `other` where this one refuses the image: the image's first bytes decide.
    fn or<T: DfuTarget>(self, other: T) -> Select<Self, T>
    where
        Self: Sized,
    {
        Select::new(self, other)
    }
}

/// A call of a [`DfuTarget`] as a value, with a place for its answer, which a failed call leaves as it was.
#[derive(Debug)]
pub enum Call<'a> {
    /// [`DfuTarget::init`]; the offset is the one to resume from, then the one that is wanted.
    Init(&'a Image<'a>, &'a mut u32),
    /// [`DfuTarget::write`].
    Write(&'a [u8], &'a mut Written),
    /// [`DfuTarget::prepare`].
    Prepare(&'a mut bool),
    /// [`DfuTarget::digest`].
    Digest(&'a mut Checked),
    /// [`DfuTarget::apply`].
    Apply(&'a Proof, &'a mut Applied),
    /// [`DfuTarget::abort`].
    Abort,
}

/// How far the image is, after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Written {
    /// All bytes before this offset survive a power cut.
    Committed(u32),
    /// Bytes from this offset on are needed once more; nothing after it counts.
    Rewind(u32),
}

/// When an applied image runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "an update at `AtReset` needs the reset"]
pub enum Applied {
    /// At the next reset of this device.
    AtReset,
    /// It does already.
    Now,
}

/// The error type of a target, shared by everything a target can do.
pub trait ErrorType {
    /// Why an operation failed.
    type Error: Error;
}

/// An error that generic code can act on.
pub trait Error: core::error::Error {
    /// What kind of failure this is, and so whether trying again helps.
    fn kind(&self) -> ErrorKind;
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ErrorKind {
    /// The flash or the link below failed. Begin again: the target goes back to what is safe.
    Storage,
    /// Something else is using the place. Later may do.
    Busy,
    /// An earlier update waits there for its reset, or runs on trial: confirm it, withdraw it or reset first.
    Pending,
    /// The image is wrong for this target. The same image will be refused again.
    Refused,
    /// The image does not fit. The same image will be refused again.
    TooLarge,
    /// What is stored is not the image that was sent, or not whole. Begin again from zero.
    Corrupt,
    /// Some of the stored bytes have to be sent again. Begin again: `init` says from where.
    Rewind,
    /// Called out of order, or after a failed or dropped call. Begin again.
    Order,
}

impl<T: ErrorType> ErrorType for &mut T {
    type Error = T::Error;
}

impl<T: DfuTarget> DfuTarget for &mut T {
    fn identity(&self, kind: ImageKind, index: u8) -> u32 {
        T::identity(self, kind, index)
    }
    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        T::accepts(self, kind, index)
    }
    fn probe(&self, head: &[u8], index: u8) -> Probe {
        T::probe(self, head, index)
    }
    // Plain functions: forwarding costs no state machine.
    fn init(&mut self, image: &Image<'_>, resume: u32) -> impl Future<Output = Result<u32, Self::Error>> {
        T::init(self, image, resume)
    }
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<Written, Self::Error>> {
        T::write(self, bytes)
    }
    fn take(&mut self, bytes: &[u8]) -> bool {
        T::take(self, bytes)
    }
    fn keep(&self) -> Option<&[u8]> {
        T::keep(self)
    }
    fn prepare(&mut self) -> impl Future<Output = Result<bool, Self::Error>> {
        T::prepare(self)
    }
    fn digest(&mut self) -> impl Future<Output = Result<Checked, Self::Error>> {
        T::digest(self)
    }
    fn apply(&mut self, proof: Proof) -> impl Future<Output = Result<Applied, Self::Error>> {
        T::apply(self, proof)
    }
    fn abort(&mut self) -> impl Future<Output = Result<(), Self::Error>> {
        T::abort(self)
    }
    fn call(&mut self, call: Call<'_>) -> impl Future<Output = Result<(), Self::Error>> {
        T::call(self, call)
    }
}

#[cfg(test)]
mod tests;
