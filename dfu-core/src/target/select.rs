//! Two targets behind one.

use core::fmt;

use super::{Applied, Call, Checked, DfuTarget, Error, ErrorKind, ErrorType, Proof, Written};
use crate::image::{Image, ImageKind, Probe};

/// Two targets of which the image chooses one, made by [`DfuTarget::or`]. The first that takes it gets it.
#[derive(Debug)]
pub struct Select<A, B> {
    a: A,
    b: B,
    second: bool,
}

impl<A: DfuTarget, B: DfuTarget> Select<A, B> {
    pub(super) fn new(a: A, b: B) -> Self {
        Self { a, b, second: false }
    }

    /// The first target.
    pub fn first(&mut self) -> &mut A {
        &mut self.a
    }

    /// The second target.
    pub fn second(&mut self) -> &mut B {
        &mut self.b
    }
}

impl<A: DfuTarget, B: DfuTarget> ErrorType for Select<A, B> {
    type Error = SelectError<A::Error, B::Error>;
}

impl<A: DfuTarget, B: DfuTarget> DfuTarget for Select<A, B> {
    fn identity(&self, kind: ImageKind, index: u8) -> u32 {
        if self.a.accepts(kind, index) { self.a.identity(kind, index) } else { self.b.identity(kind, index) }
    }

    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        self.a.accepts(kind, index) || self.b.accepts(kind, index)
    }

    fn probe(&self, head: &[u8], index: u8) -> Probe {
        match self.a.probe(head, index) {
            Probe::Refused(_) => self.b.probe(head, index),
            taken => taken,
        }
    }

    async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, Self::Error> {
        self.second = !self.a.accepts(image.kind, image.index);
        if self.second {
            self.b.init(image, resume).await.map_err(SelectError::Second)
        } else {
            self.a.init(image, resume).await.map_err(SelectError::First)
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<Written, Self::Error> {
        if self.second {
            self.b.write(bytes).await.map_err(SelectError::Second)
        } else {
            self.a.write(bytes).await.map_err(SelectError::First)
        }
    }

    fn take(&mut self, bytes: &[u8]) -> bool {
        if self.second { self.b.take(bytes) } else { self.a.take(bytes) }
    }

    fn keep(&self) -> Option<&[u8]> {
        if self.second { self.b.keep() } else { self.a.keep() }
    }

    async fn prepare(&mut self) -> Result<bool, Self::Error> {
        if self.second {
            self.b.prepare().await.map_err(SelectError::Second)
        } else {
            self.a.prepare().await.map_err(SelectError::First)
        }
    }

    async fn digest(&mut self) -> Result<Checked, Self::Error> {
        if self.second {
            self.b.digest().await.map_err(SelectError::Second)
        } else {
            self.a.digest().await.map_err(SelectError::First)
        }
    }

    async fn apply(&mut self, proof: Proof) -> Result<Applied, Self::Error> {
        if self.second {
            self.b.apply(proof).await.map_err(SelectError::Second)
        } else {
            self.a.apply(proof).await.map_err(SelectError::First)
        }
    }

    async fn abort(&mut self) -> Result<(), Self::Error> {
        if self.second {
            self.b.abort().await.map_err(SelectError::Second)
        } else {
            self.a.abort().await.map_err(SelectError::First)
        }
    }

    async fn call(&mut self, call: Call<'_>) -> Result<(), Self::Error> {
        if let Call::Init(image, _) = call {
            self.second = !self.a.accepts(image.kind, image.index);
        }
        if self.second {
            self.b.call(call).await.map_err(SelectError::Second)
        } else {
            self.a.call(call).await.map_err(SelectError::First)
        }
    }
}

/// The error of one of two targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SelectError<A, B> {
    /// Of the first.
    First(A),
    /// Of the second.
    Second(B),
}

impl<A: fmt::Display, B: fmt::Display> fmt::Display for SelectError<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(error) => error.fmt(f),
            Self::Second(error) => error.fmt(f),
        }
    }
}

impl<A: Error, B: Error> core::error::Error for SelectError<A, B> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::First(error) => error.source(),
            Self::Second(error) => error.source(),
        }
    }
}

impl<A: Error, B: Error> Error for SelectError<A, B> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::First(error) => error.kind(),
            Self::Second(error) => error.kind(),
        }
    }
}
