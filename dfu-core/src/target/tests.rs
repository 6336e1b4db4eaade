//! What stands before a target hands everything on: a borrow, a box, either side of two, a call as a value.

use core::fmt;
use std::string::ToString;
use std::vec::Vec;

use super::{
    Applied, Assurance, Call, Checked, DfuTarget, Error, ErrorKind, ErrorType, NotAssured, Proof, SelectError, Written,
};
use crate::blocking::block_on;
use crate::digest::Digest;
use crate::image::{Image, ImageKind, Probe};

/// A target of one kind of image, each answer of which is its own. It takes three bytes at once, and keeps the number
/// of each function that changes something.
#[derive(Debug)]
struct Own {
    kind: ImageKind,
    number: u8,
    fails: bool,
    kept: [u8; 32],
    calls: Vec<&'static str>,
}

impl Own {
    fn new(number: u8) -> Self {
        Self { kind: ImageKind::Custom(number), number, fails: false, kept: [number; 32], calls: Vec::new() }
    }

    fn failing(number: u8) -> Self {
        Self { fails: true, ..Self::new(number) }
    }

    fn did<T>(&mut self, call: &'static str, answer: T) -> Result<T, OwnError> {
        self.calls.push(call);
        if self.fails { Err(OwnError(self.number, NotAssured)) } else { Ok(answer) }
    }

    fn image(&self) -> Image<'static> {
        Image { index: self.number, ..Image::new(self.kind) }
    }

    /// The offset that it wants where this one is offered.
    fn answer(&self, resume: u32) -> u32 {
        resume.saturating_sub(u32::from(self.number))
    }
}

/// Of the target with this number; what is below it is another error.
#[derive(Clone, Copy, Debug, PartialEq)]
struct OwnError(u8, NotAssured);

impl fmt::Display for OwnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "target {} is out of order", self.0)
    }
}

impl core::error::Error for OwnError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.1)
    }
}

impl Error for OwnError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Busy
    }
}

impl ErrorType for Own {
    type Error = OwnError;
}

impl DfuTarget for Own {
    fn identity(&self, _: ImageKind, index: u8) -> u32 {
        u32::from_le_bytes([self.number, index, 0, 1])
    }
    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        (kind, index) == (self.kind, self.number)
    }
    fn probe(&self, head: &[u8], index: u8) -> Probe {
        if head.first() == Some(&self.number) && index == self.number {
            Probe::Taken(self.kind)
        } else {
            Probe::Refused(head.get(1).map(|byte| ImageKind::Custom(*byte)))
        }
    }
    async fn init(&mut self, _: &Image<'_>, resume: u32) -> Result<u32, OwnError> {
        let answer = self.answer(resume);
        self.did("init", answer)
    }
    async fn write(&mut self, bytes: &[u8]) -> Result<Written, OwnError> {
        let answer = Written::Rewind(bytes.iter().map(|byte| u32::from(*byte)).sum());
        self.did("write", answer)
    }
    fn take(&mut self, bytes: &[u8]) -> bool {
        self.did("take", ()).is_ok() && bytes.len() == 3
    }
    fn keep(&self) -> Option<&[u8]> {
        Some(&self.kept)
    }
    async fn prepare(&mut self) -> Result<bool, OwnError> {
        let first = !self.calls.contains(&"prepare");
        self.did("prepare", first)
    }
    async fn digest(&mut self) -> Result<Checked, OwnError> {
        let answer = Checked { digest: Digest([self.number; 32]), assurance: Assurance::Deferred };
        self.did("digest", answer)
    }
    async fn apply(&mut self, proof: Proof) -> Result<Applied, OwnError> {
        let answer = if proof.digest().0 == [self.number; 32] { Applied::Now } else { Applied::AtReset };
        self.did("apply", answer)
    }
    async fn abort(&mut self) -> Result<(), OwnError> {
        self.did("abort", ())
    }
}

/// What a target does that hands on to the one with this number.
fn hands_on_to(own: &Own, target: &mut impl DfuTarget) {
    let (kind, index) = (own.kind, own.number);
    assert_eq!(target.identity(kind, index), own.identity(kind, index));
    assert!(target.accepts(kind, index) && !target.accepts(kind, 0) && !target.accepts(ImageKind::Mcuboot, index));
    assert_eq!(target.probe(&[index, 99], index), Probe::Taken(kind));
    assert_eq!(target.probe(&[index, 99], 0), Probe::Refused(Some(ImageKind::Custom(99))));
    block_on(async {
        assert_eq!(target.init(&own.image(), 1000).await.unwrap(), own.answer(1000));
        assert_eq!(target.write(&[3, 4, 50]).await.unwrap(), Written::Rewind(57));
        assert!(target.take(&[1; 3]) && !target.take(&[1; 4]));
        assert_eq!(target.keep(), Some(&own.kept[..]));
        assert_eq!((target.prepare().await.unwrap(), target.prepare().await.unwrap()), (true, false));
        let checked = target.digest().await.unwrap();
        assert_eq!(checked, Checked { digest: Digest([index; 32]), assurance: Assurance::Deferred });
        assert_eq!(target.apply(checked.assured().unwrap()).await.unwrap(), Applied::Now);
        assert_eq!(target.apply(Proof::of(Digest([0; 32]))).await.unwrap(), Applied::AtReset);
        target.abort().await.unwrap();
    });
}

/// What the target is called for, in that order.
const ALL: [&str; 10] = ["init", "write", "take", "take", "prepare", "prepare", "digest", "apply", "apply", "abort"];

/// The same by calls as values.
fn answers_calls(own: &Own, target: &mut impl DfuTarget) {
    block_on(async {
        let mut offset = 1000;
        target.call(Call::Init(&own.image(), &mut offset)).await.unwrap();
        assert_eq!(offset, own.answer(1000));
        let mut written = Written::Committed(0);
        target.call(Call::Write(&[3, 4, 50], &mut written)).await.unwrap();
        assert_eq!(written, Written::Rewind(57));
        for left in [true, false] {
            let mut more = !left;
            target.call(Call::Prepare(&mut more)).await.unwrap();
            assert_eq!(more, left);
        }
        let mut checked = Checked { digest: Digest([0; 32]), assurance: Assurance::None };
        target.call(Call::Digest(&mut checked)).await.unwrap();
        assert_eq!(checked.digest, Digest([own.number; 32]));
        let mut applied = Applied::AtReset;
        target.call(Call::Apply(&checked.assured().unwrap(), &mut applied)).await.unwrap();
        assert_eq!(applied, Applied::Now);
        target.call(Call::Abort).await.unwrap();
    });
}

const CALLED: [&str; 7] = ["init", "write", "prepare", "prepare", "digest", "apply", "abort"];

/// All that each function that can fail says, by itself and as a value, where the target with this number fails.
async fn failures<T: DfuTarget>(own: &Own, target: &mut T) -> Vec<T::Error> {
    let (mut offset, mut written, mut more) = (7, Written::Committed(7), true);
    let proof = || Proof::of(Digest([7; 32]));
    let mut checked = Checked { digest: Digest([7; 32]), assurance: Assurance::Hash };
    let mut applied = Applied::Now;
    let errors = [
        target.init(&own.image(), 7).await.err(),
        target.write(&[1]).await.err(),
        target.prepare().await.err(),
        target.digest().await.err(),
        target.apply(proof()).await.err(),
        target.abort().await.err(),
        target.call(Call::Init(&own.image(), &mut offset)).await.err(),
        target.call(Call::Write(&[1], &mut written)).await.err(),
        target.call(Call::Prepare(&mut more)).await.err(),
        target.call(Call::Digest(&mut checked)).await.err(),
        target.call(Call::Apply(&proof(), &mut applied)).await.err(),
        target.call(Call::Abort).await.err(),
    ];
    let places = (offset, written, more, checked.digest, applied);
    assert_eq!(places, (7, Written::Committed(7), true, Digest([7; 32]), Applied::Now), "left as it was");
    assert!(errors.iter().all(Option::is_some));
    errors.into_iter().flatten().collect()
}

/// An error says what the one below says.
fn says_what_it_covers(error: &impl Error, own: &Own) {
    let below = OwnError(own.number, NotAssured);
    assert_eq!(error.to_string(), below.to_string());
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(error.source().unwrap().to_string(), NotAssured.to_string());
}

#[test]
fn a_call_is_answered_by_the_function_that_it_names() {
    let (own, mut target) = (Own::new(5), Own::new(5));
    answers_calls(&own, &mut target);
    assert_eq!(target.calls, CALLED);
    for error in block_on(failures(&own, &mut Own::failing(5))) {
        assert_eq!(error, OwnError(5, NotAssured));
    }
}

#[test]
fn a_borrowed_target_does_what_it_is_asked_for_and_its_errors_are_heard() {
    let (own, mut target) = (Own::new(5), Own::new(5));
    hands_on_to(&own, &mut &mut target);
    assert_eq!(target.calls, ALL);
    target.calls.clear();
    answers_calls(&own, &mut &mut target);
    assert_eq!(target.calls, CALLED);
    for error in block_on(failures(&own, &mut &mut Own::failing(5))) {
        assert_eq!(error, OwnError(5, NotAssured));
    }
}

#[test]
fn of_two_targets_the_one_that_takes_the_image_gets_all_of_it() {
    let mut target = Own::new(5).or(Own::new(6));
    for (own, other) in [(Own::new(5), Own::new(6)), (Own::new(6), Own::new(5))] {
        hands_on_to(&own, &mut target);
        let first = own.number == target.first().number;
        let (called, idle) = if first { (0, 1) } else { (1, 0) };
        let calls = [target.first().calls.split_off(0), target.second().calls.split_off(0)];
        assert_eq!(calls[called], ALL, "{own:?}");
        assert!(calls[idle].is_empty(), "{other:?}");

        answers_calls(&own, &mut target);
        let calls = [target.first().calls.split_off(0), target.second().calls.split_off(0)];
        assert_eq!(calls[called], CALLED, "{own:?}");
        assert!(calls[idle].is_empty(), "{other:?}");
    }
}

#[test]
fn of_two_targets_the_first_is_asked_first() {
    let mut both = Own::new(5).or(Own { kind: ImageKind::Mcuboot, ..Own::new(5) });
    assert_eq!(both.probe(&[5], 5), Probe::Taken(ImageKind::Custom(5)));
    assert_eq!(both.second().probe(&[5], 5), Probe::Taken(ImageKind::Mcuboot));
    assert_eq!(both.probe(&[0, 9], 5), Probe::Refused(Some(ImageKind::Custom(9))));
}

#[test]
fn of_two_targets_the_error_tells_which_one_failed() {
    let mut first = Own::failing(5).or(Own::new(6));
    for error in block_on(failures(&Own::new(5), &mut first)) {
        assert_eq!(error, SelectError::First(OwnError(5, NotAssured)));
        says_what_it_covers(&error, &Own::new(5));
    }
    let mut second = Own::new(5).or(Own::failing(6));
    for error in block_on(failures(&Own::new(6), &mut second)) {
        assert_eq!(error, SelectError::Second(OwnError(6, NotAssured)));
        says_what_it_covers(&error, &Own::new(6));
    }
}

#[cfg(feature = "alloc")]
#[test]
fn a_boxed_target_does_what_it_is_asked_for_and_its_errors_are_heard() {
    use super::DynDfuTarget;
    use alloc::boxed::Box;

    let (own, mut target) = (Own::new(5), Own::new(5));
    let mut boxed: Box<dyn DynDfuTarget + '_> = Box::new(&mut target);
    hands_on_to(&own, &mut boxed);
    drop(boxed);
    assert_eq!(target.calls, ALL);

    let mut boxed: Box<dyn DynDfuTarget> = Box::new(Own::failing(5));
    for error in block_on(failures(&own, &mut boxed)) {
        says_what_it_covers(&error, &own);
    }
}

/// A target that says no more than it must.
#[derive(Default)]
struct Plain;

impl ErrorType for Plain {
    type Error = OwnError;
}

impl DfuTarget for Plain {
    fn identity(&self, _: ImageKind, _: u8) -> u32 {
        0
    }
    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        (kind, index) == (ImageKind::Mcuboot, 1)
    }
    async fn init(&mut self, _: &Image<'_>, resume: u32) -> Result<u32, OwnError> {
        Ok(resume)
    }
    async fn write(&mut self, _: &[u8]) -> Result<Written, OwnError> {
        Ok(Written::Committed(0))
    }
    async fn digest(&mut self) -> Result<Checked, OwnError> {
        Ok(Checked { digest: Digest([0; 32]), assurance: Assurance::None })
    }
    async fn apply(&mut self, _: Proof) -> Result<Applied, OwnError> {
        Ok(Applied::AtReset)
    }
    async fn abort(&mut self) -> Result<(), OwnError> {
        Ok(())
    }
}

#[test]
fn a_target_that_says_no_more_than_it_must_takes_what_it_accepts_and_has_nothing_to_prepare() {
    let head = &crate::image::mcuboot::MAGIC;
    assert_eq!(Plain.probe(head, 1), Probe::Taken(ImageKind::Mcuboot));
    assert_eq!(Plain.probe(head, 0), Probe::Refused(Some(ImageKind::Mcuboot)));
    assert_eq!(Plain.probe(b"<!DOCTYPE html>", 1), Probe::Refused(None));
    assert!(!Plain.take(&[]) && !Plain.take(&[1]));
    assert_eq!(Plain.keep(), None);
    assert_eq!(block_on(Plain.prepare()), Ok(false));
}
