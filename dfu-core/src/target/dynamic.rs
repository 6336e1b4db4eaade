//! The object-safe twin of [`DfuTarget`], for programs with an allocator.

use alloc::boxed::Box;
use core::fmt;

use async_trait::async_trait;

use super::{Applied, Checked, DfuTarget, Error, ErrorKind, ErrorType, Proof, Written};
use crate::image::{Image, ImageKind, Probe};

/// A [`DfuTarget`] whose type is chosen at run time. Every target is one, and a boxed one is a target again:
///
/// ```
/// use dfu_target::{DfuTarget, ErrorType, target::DynDfuTarget};
/// fn boxed<'a, T: DfuTarget + ErrorType<Error: 'static> + 'a>(target: T) -> Box<dyn DynDfuTarget + 'a> {
///     Box::new(target)
/// }
/// ```
///
/// Each call allocates its future; firmware without an allocator uses [`DfuTarget::or`] instead.
#[async_trait(?Send)]
pub trait DynDfuTarget {
    /// [`DfuTarget::identity`].
    fn identity(&self, kind: ImageKind, index: u8) -> u32;
    /// [`DfuTarget::accepts`].
    fn accepts(&self, kind: ImageKind, index: u8) -> bool;
    /// [`DfuTarget::probe`].
    fn probe(&self, head: &[u8], index: u8) -> Probe;
    /// [`DfuTarget::init`].
    async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, BoxedError>;
    /// [`DfuTarget::write`].
    async fn write(&mut self, bytes: &[u8]) -> Result<Written, BoxedError>;
    /// [`DfuTarget::take`].
    fn take(&mut self, bytes: &[u8]) -> bool;
    /// [`DfuTarget::keep`].
    fn keep(&self) -> Option<&[u8]>;
    /// [`DfuTarget::prepare`].
    async fn prepare(&mut self) -> Result<bool, BoxedError>;
    /// [`DfuTarget::digest`].
    async fn digest(&mut self) -> Result<Checked, BoxedError>;
    /// [`DfuTarget::apply`].
    async fn apply(&mut self, proof: Proof) -> Result<Applied, BoxedError>;
    /// [`DfuTarget::abort`].
    async fn abort(&mut self) -> Result<(), BoxedError>;
}

#[async_trait(?Send)]
impl<T> DynDfuTarget for T
where
    T: DfuTarget,
    T::Error: 'static,
{
    fn identity(&self, kind: ImageKind, index: u8) -> u32 {
        DfuTarget::identity(self, kind, index)
    }
    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        DfuTarget::accepts(self, kind, index)
    }
    fn probe(&self, head: &[u8], index: u8) -> Probe {
        DfuTarget::probe(self, head, index)
    }
    async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, BoxedError> {
        DfuTarget::init(self, image, resume).await.map_err(BoxedError::new)
    }
    async fn write(&mut self, bytes: &[u8]) -> Result<Written, BoxedError> {
        DfuTarget::write(self, bytes).await.map_err(BoxedError::new)
    }
    fn take(&mut self, bytes: &[u8]) -> bool {
        DfuTarget::take(self, bytes)
    }
    fn keep(&self) -> Option<&[u8]> {
        DfuTarget::keep(self)
    }
    async fn prepare(&mut self) -> Result<bool, BoxedError> {
        DfuTarget::prepare(self).await.map_err(BoxedError::new)
    }
    async fn digest(&mut self) -> Result<Checked, BoxedError> {
        DfuTarget::digest(self).await.map_err(BoxedError::new)
    }
    async fn apply(&mut self, proof: Proof) -> Result<Applied, BoxedError> {
        DfuTarget::apply(self, proof).await.map_err(BoxedError::new)
    }
    async fn abort(&mut self) -> Result<(), BoxedError> {
        DfuTarget::abort(self).await.map_err(BoxedError::new)
    }
}

impl ErrorType for Box<dyn DynDfuTarget + '_> {
    type Error = BoxedError;
}

impl DfuTarget for Box<dyn DynDfuTarget + '_> {
    fn identity(&self, kind: ImageKind, index: u8) -> u32 {
        (**self).identity(kind, index)
    }
    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        (**self).accepts(kind, index)
    }
    fn probe(&self, head: &[u8], index: u8) -> Probe {
        (**self).probe(head, index)
    }
    async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, BoxedError> {
        (**self).init(image, resume).await
    }
    async fn write(&mut self, bytes: &[u8]) -> Result<Written, BoxedError> {
        (**self).write(bytes).await
    }
    fn take(&mut self, bytes: &[u8]) -> bool {
        (**self).take(bytes)
    }
    fn keep(&self) -> Option<&[u8]> {
        (**self).keep()
    }
    async fn prepare(&mut self) -> Result<bool, BoxedError> {
        (**self).prepare().await
    }
    async fn digest(&mut self) -> Result<Checked, BoxedError> {
        (**self).digest().await
    }
    async fn apply(&mut self, proof: Proof) -> Result<Applied, BoxedError> {
        (**self).apply(proof).await
    }
    async fn abort(&mut self) -> Result<(), BoxedError> {
        (**self).abort().await
    }
}

/// A target's error of any type, with its kind.
#[derive(Debug)]
pub struct BoxedError(Box<dyn Error>);

impl BoxedError {
    fn new(error: impl Error + 'static) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for BoxedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for BoxedError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.0.source()
    }
}

impl Error for BoxedError {
    fn kind(&self) -> ErrorKind {
        self.0.kind()
    }
}
