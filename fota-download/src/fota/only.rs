//! A target that takes images of one kind.

use dfu_target::target::{Applied, Call, Checked, ErrorType, Proof, Written};
use dfu_target::{DfuTarget, Image, ImageKind, Probe};

/// A target, for images of one kind alone, if that is asked for.
#[derive(Debug)]
pub(super) struct Only<T> {
    target: T,
    kind: Option<ImageKind>,
}

impl<T> Only<T> {
    pub(super) fn new(target: T, kind: Option<ImageKind>) -> Self {
        Self { target, kind }
    }

    fn wants(&self, kind: ImageKind) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind)
    }
}

impl<T: ErrorType> ErrorType for Only<T> {
    type Error = T::Error;
}

impl<T: DfuTarget> DfuTarget for Only<T> {
    fn identity(&self, kind: ImageKind, index: u8) -> u32 {
        self.target.identity(kind, index)
    }
    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        self.wants(kind) && self.target.accepts(kind, index)
    }
    fn probe(&self, head: &[u8], index: u8) -> Probe {
        match self.target.probe(head, index) {
            Probe::Taken(kind) if !self.wants(kind) => Probe::Refused(Some(kind)),
            probe => probe,
        }
    }
    // Plain functions: forwarding costs no state machine.
    fn init(&mut self, image: &Image<'_>, resume: u32) -> impl Future<Output = Result<u32, Self::Error>> {
        self.target.init(image, resume)
    }
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<Written, Self::Error>> {
        self.target.write(bytes)
    }
    fn take(&mut self, bytes: &[u8]) -> bool {
        self.target.take(bytes)
    }
    fn keep(&self) -> Option<&[u8]> {
        self.target.keep()
    }
    fn prepare(&mut self) -> impl Future<Output = Result<bool, Self::Error>> {
        self.target.prepare()
    }
    fn digest(&mut self) -> impl Future<Output = Result<Checked, Self::Error>> {
        self.target.digest()
    }
    fn apply(&mut self, proof: Proof) -> impl Future<Output = Result<Applied, Self::Error>> {
        self.target.apply(proof)
    }
    fn abort(&mut self) -> impl Future<Output = Result<(), Self::Error>> {
        self.target.abort()
    }
    fn call(&mut self, call: Call<'_>) -> impl Future<Output = Result<(), Self::Error>> {
        self.target.call(call)
    }
}
