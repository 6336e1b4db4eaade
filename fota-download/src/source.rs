//! [`Source`]: where the bytes of a file come from.

/// A file somewhere else that can be read from any offset: over HTTP, CoAP, a serial link, from a card.
///
/// ```text
///   open(from) ──► Meta ──► read ... read ──► 0
///       ▲                    │                │ the end of the file, or of the stretch the server gave
///       └── error, or another offset wanted ──┘
/// ```
///
/// A source does not try again by itself and has no clock: [`download`](crate::download()) does and has. It asks
/// the [`Error`] whether that helps.
///
/// # Cancellation
///
/// Any future may be dropped; `open` works afterwards. After a dropped `open` or `read`, or one that failed, `read` is not
/// called before `open` is: a `read` all the same may be an error, or give what lies behind bytes that were lost.
pub trait Source {
    /// Why the file could not be had.
    type Error: Error;

    /// Starts to give the file's bytes from offset `from`, or from zero where it can't do better:
    /// [`Meta::start`] tells. A source that saw a version of the file before asks for bytes of that one only,
    /// and answers with `start` 0 and another tag if it is gone.
    async fn open(&mut self, from: u32) -> Result<Meta, Self::Error>;

    /// The next bytes: at least one, unless there are no more or `buf` is empty. Fewer bytes than were announced
    /// are an error, and never more of them are given.
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error>;

    /// What it cost so far: the bytes that were sent and received, heads and what came in vain among them, as its
    /// sockets see them; what TLS and the layers below add is not. 0 where that is not known.
    fn paid(&self) -> u32 {
        0
    }

    /// Closes what is open, the connection for instance. `open` works afterwards.
    fn close(&mut self) {}

    /// Does what `call` says, by the functions above. [`download`](crate::download()) calls no other, because one
    /// place that waits is less code than two; a source may do all its work here for the same reason.
    async fn call(&mut self, call: Call<'_>) -> Result<(), Self::Error> {
        match call {
            Call::Open(from, meta) => *meta = self.open(from).await?,
            Call::Read(buf, count) => *count = self.read(buf).await?,
        }
        Ok(())
    }
}

/// A call of a [`Source`] as a value, with a place for its answer, which a failed call leaves as it was.
#[derive(Debug)]
pub enum Call<'a> {
    /// [`Source::open`].
    Open(u32, &'a mut Meta),
    /// [`Source::read`].
    Read(&'a mut [u8], &'a mut usize),
}

/// What a source says about its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Meta {
    /// The length of the whole file, if it is known.
    pub size: Option<u32>,
    /// Names this version of the file: it differs when the bytes do. 0: nothing is known.
    pub tag: u32,
    /// The offset of the first byte that `read` gives: what was asked for, or 0.
    pub start: u32,
}

/// An error that says whether trying again helps.
pub trait Error: core::error::Error {
    /// Whether and when the same request may succeed.
    fn retry(&self) -> Retry;
}

/// Whether the same request may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Retry {
    /// No.
    Never,
    /// Maybe.
    Later,
    /// Maybe, but not before this many seconds.
    After(u32),
}

impl<S: Source> Source for &mut S {
    type Error = S::Error;

    // Plain functions: forwarding costs no state machine.
    fn open(&mut self, from: u32) -> impl Future<Output = Result<Meta, Self::Error>> {
        S::open(self, from)
    }
    fn read(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize, Self::Error>> {
        S::read(self, buf)
    }
    fn paid(&self) -> u32 {
        S::paid(self)
    }
    fn close(&mut self) {
        S::close(self);
    }
    fn call(&mut self, call: Call<'_>) -> impl Future<Output = Result<(), Self::Error>> {
        S::call(self, call)
    }
}
