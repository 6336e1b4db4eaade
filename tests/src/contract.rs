//! [`contract`]: what every [`DfuTarget`] must do, whatever it is made of.

mod rig;

pub use rig::{FlashRig, Rig};

use alloc::collections::BTreeMap;
use alloc::string::ToString;

use dfu_target::image::{HEAD_LEN, Image};
use dfu_target::target::{Assurance, Checked, Written};
use dfu_target::{DfuTarget, Digest, Error, ErrorKind, ErrorType, Probe};

use crate::flash::Cut;
use crate::poll::{Patience, poll_limited, run};

/// Runs the whole suite against the targets that a rig makes; panics where one of them breaks the contract.
pub fn contract<R: Rig>(rig: &R) {
    says_what_it_takes(rig);
    refuses_without_a_trace(rig);
    begins_without_a_trace(rig);
    never_promises_more_than_is_stored(rig);
    resumes_from_any_promise(rig);
    closes_after_a_failed_write(rig);
    closes_after_a_dropped_write(rig);
    reads_back_what_was_sent(rig);
    finds_an_image_complete_after_a_reset(rig);
    applies_what_was_proven_and_nothing_else(rig);
    survives_dropped_futures(rig);
    aborts_and_begins_again(rig);
}

/// The calls of a target in the way the suite needs them.
struct Run<'r, R: Rig> {
    rig: &'r R,
    target: R::Target,
    /// What the target wanted kept with each offset that it promised.
    kept: BTreeMap<u32, [u8; 32]>,
}

impl<'r, R: Rig> Run<'r, R> {
    /// On a place as it was delivered.
    fn fresh(rig: &'r R) -> Self {
        rig.restore();
        rig.power_on();
        Self { rig, target: rig.target(), kept: BTreeMap::new() }
    }

    /// As after a reset.
    fn reset(self) -> Self {
        drop(self.target);
        self.rig.power_on();
        Self { target: self.rig.target(), ..self }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<Written, <R::Target as ErrorType>::Error> {
        let written = run(self.target.write(bytes))?;
        self.keep(written);
        Ok(written)
    }

    fn keep(&mut self, written: Written) {
        if let Written::Committed(durable) = written {
            let mut kept = [0; 32];
            let bytes = self.target.keep().unwrap_or_default();
            kept[..bytes.len()].copy_from_slice(bytes);
            self.kept.insert(durable, kept);
        }
    }

    fn try_init(&mut self, resume: u32) -> Result<u32, <R::Target as ErrorType>::Error> {
        let image = self.rig.image();
        let head = &image[..image.len().min(HEAD_LEN)];
        let Probe::Taken(kind) = self.target.probe(head, self.rig.index()) else {
            panic!("the rig's image is refused")
        };
        let kept = self.kept.get(&resume).unwrap_or(&[0; 32]);
        let image = Image { kind, size: Some(image.len() as u32), index: self.rig.index(), head, kept };
        let wanted = run(self.target.init(&image, resume))?;
        assert!(wanted <= resume, "wants bytes from {wanted}, later than {resume}");
        Ok(wanted)
    }

    fn init(&mut self, resume: u32) -> u32 {
        self.try_init(resume).expect("the rig's image is taken")
    }

    /// Sends what is left, from an offset on; each promise goes to `promised`.
    fn feed(
        &mut self,
        mut at: u32,
        chunk: usize,
        mut promised: impl FnMut(&R, u32, u32),
    ) -> Result<(), <R::Target as ErrorType>::Error> {
        let image = self.rig.image();
        while (at as usize) < image.len() {
            let piece = &image[at as usize..image.len().min(at as usize + chunk)];
            match self.write(piece)? {
                Written::Committed(durable) => {
                    at += piece.len() as u32;
                    assert!(durable <= at, "promises {durable} of {at} bytes");
                    promised(self.rig, durable, at);
                }
                Written::Rewind(wanted) => {
                    assert!(wanted <= at, "goes back to {wanted} from {at}");
                    at = wanted;
                }
            }
        }
        Ok(())
    }

    /// All of it, from an offset that `init` gave.
    fn complete(&mut self, from: u32) -> Checked {
        self.feed(from, 512, |_, _, _| ()).expect("writes work");
        self.digest()
    }

    fn digest(&mut self) -> Checked {
        let checked = run(self.target.digest()).expect("the image is right");
        assert_eq!(checked.digest, sha256(self.rig.image()));
        self.kept.insert(self.rig.image().len() as u32, checked.digest.0);
        assert!(self.rig.stored().starts_with(self.rig.image()), "it is stored bit for bit");
        checked
    }

    fn refuses_order<T: core::fmt::Debug>(result: Result<T, <R::Target as ErrorType>::Error>, what: &str) {
        assert_eq!(result.map_err(|error| error.kind()).unwrap_err(), ErrorKind::Order, "{what}");
    }
}

fn says_what_it_takes<R: Rig>(rig: &R) {
    let run = Run::fresh(rig);
    let head = &rig.image()[..rig.image().len().min(HEAD_LEN)];
    let Probe::Taken(kind) = run.target.probe(head, rig.index()) else { panic!("its own image is refused") };
    assert!(run.target.accepts(kind, rig.index()));
    for head in [&[][..], &[0; 64], &[0xff; 64], b"<!DOCTYPE html>"] {
        assert!(matches!(run.target.probe(head, rig.index()), Probe::Refused(_)), "{head:x?}");
    }
    let identity = run.target.identity(kind, rig.index());
    assert_eq!(run.reset().target.identity(kind, rig.index()), identity, "a reset changes no identity");
}

fn refuses_without_a_trace<R: Rig>(rig: &R) {
    let refused = rig.refused();
    assert!(!refused.is_empty(), "the rig knows of images that are to be refused");
    for (name, head, size) in refused {
        let mut run = Run::fresh(rig);
        let before = rig.operations();
        let Probe::Taken(kind) = run.target.probe(&head, rig.index()) else { continue };
        let image = Image { size, index: rig.index(), head: &head, ..Image::new(kind) };
        let error = crate::poll::run(run.target.init(&image, 0)).expect_err(&name);
        let kinds = [ErrorKind::Refused, ErrorKind::TooLarge, ErrorKind::Corrupt];
        assert!(kinds.contains(&error.kind()), "{name}: {error}");
        assert!(!error.to_string().is_empty());
        assert_eq!(rig.operations(), before, "{name}: refusing costs no operation");
        assert!(crate::poll::run(run.target.write(&head)).is_err(), "{name}: it was refused");
        assert_eq!(rig.operations(), before, "{name}");
        // And a good one is taken by the same target.
        let from = run.init(0);
        run.complete(from);
    }
}

fn begins_without_a_trace<R: Rig>(rig: &R) {
    let mut run = Run::fresh(rig);
    let before = rig.operations();
    for resume in [0, 0, 0] {
        assert_eq!(run.init(resume), 0);
    }
    assert_eq!(rig.operations(), before, "init changes nothing that is stored");
    run.complete(0);
    // In the middle of another one, too.
    let from = run.init(0);
    run.complete(from);
}

fn never_promises_more_than_is_stored<R: Rig>(rig: &R) {
    for chunk in [1, 7, 64, 333, 4096, rig.image().len()] {
        let mut run = Run::fresh(rig);
        let from = run.init(0);
        let mut last = 0;
        let fed = run.feed(from, chunk, |rig, durable, _| {
            assert!(durable >= last, "a promise is never taken back: {durable} after {last}");
            last = durable;
            let stored = rig.stored();
            assert!(stored[..durable as usize] == rig.image()[..durable as usize], "{durable} bytes were promised");
        });
        fed.expect("writes work");
        run.digest();
    }
}

fn resumes_from_any_promise<R: Rig>(rig: &R) {
    let mut promises = vec![0];
    let mut first = Run::fresh(rig);
    let from = first.init(0);
    first.feed(from, 300, |_, durable, _| promises.push(durable)).expect("writes work");
    promises.dedup();
    let later = promises.iter().max().copied().unwrap_or(0);
    assert!(later > 0, "something is promised before the end");
    for stop in promises {
        for reset in [true, false] {
            let mut run = Run::fresh(rig);
            let from = run.init(0);
            let image = rig.image();
            let (mut at, mut durable) = (from, 0);
            while durable < stop {
                let piece = &image[at as usize..image.len().min(at as usize + 300)];
                if let Written::Committed(now) = run.write(piece).expect("writes work") {
                    durable = now;
                }
                at += piece.len() as u32;
            }
            if reset {
                run = run.reset();
            }
            let wanted = run.init(stop);
            run.complete(wanted);
        }
    }
}

fn closes_after_a_failed_write<R: Rig>(rig: &R) {
    for points in [0, 1, 5, 40] {
        let mut run = Run::fresh(rig);
        let from = run.init(0);
        rig.cut_after(points, Cut::Before);
        let mut durable = 0;
        if run.feed(from, 200, |_, promised, _| durable = promised).is_ok() {
            assert!(points > 0, "a write without power works");
            continue;
        }
        rig.power_on();
        let piece = rig.image()[..100].to_vec();
        Run::<R>::refuses_order(crate::poll::run(run.target.write(&piece)), "a write after a failed one");
        assert!(crate::poll::run(run.target.digest()).is_err(), "not all of it came");
        let wanted = run.init(durable);
        run.complete(wanted);
    }
}

fn closes_after_a_dropped_write<R: Rig>(rig: &R) {
    rig.set_yields(true);
    let mut dropped = 0;
    for polls in 1..60 {
        let mut run = Run::fresh(rig);
        run.init(0);
        let image = rig.image();
        let piece = &image[..image.len().min(3000)];
        if poll_limited(run.target.write(piece), polls).is_some() {
            break;
        }
        dropped += 1;
        Run::<R>::refuses_order(crate::poll::run(run.target.write(&image[..100])), "a write after a dropped one");
        let wanted = run.init(0);
        run.complete(wanted);
    }
    assert!(dropped > 0, "the rig's place makes the futures wait");
    rig.set_yields(false);
}

fn reads_back_what_was_sent<R: Rig>(rig: &R) {
    let mut run = Run::fresh(rig);
    let from = run.init(0);
    let checked = run.complete(from);
    let before = rig.operations();
    for _ in 0..3 {
        assert_eq!(run.digest(), checked, "it can be repeated");
    }
    assert_eq!(rig.operations(), before, "and changes nothing");
    // The bytes ended with it.
    assert!(crate::poll::run(run.target.write(&[0])).is_err(), "no byte fits behind the end");
    // What is not whole has no digest.
    let mut run = Run::fresh(rig);
    run.init(0);
    assert!(crate::poll::run(run.target.digest()).is_err(), "nothing was sent");
    let mut run = Run::fresh(rig);
    run.init(0);
    let image = rig.image();
    crate::poll::run(run.target.write(&image[..image.len() - 1])).expect("writes work");
    assert!(crate::poll::run(run.target.digest()).is_err(), "a byte is missing");
}

fn finds_an_image_complete_after_a_reset<R: Rig>(rig: &R) {
    let size = rig.image().len() as u32;
    let mut run = Run::fresh(rig);
    let from = run.init(0);
    let checked = run.complete(from);
    let before = rig.operations();
    for _ in 0..2 {
        run = run.reset();
        assert_eq!(run.init(size), size, "all of it is there");
        assert_eq!(run.digest(), checked);
    }
    assert_eq!(rig.operations(), before, "and nothing was changed for that");
}

fn applies_what_was_proven_and_nothing_else<R: Rig>(rig: &R) {
    let mut run = Run::fresh(rig);
    let of = |digest: Digest| Checked { digest, assurance: Assurance::None }.matches(&digest).expect("the same digest");
    let right = sha256(rig.image());
    let apply = |run: &mut Run<'_, R>, digest| crate::poll::run(run.target.apply(of(digest)));
    let before = rig.operations();
    Run::<R>::refuses_order(apply(&mut run, right), "apply before init");
    let from = run.init(0);
    Run::<R>::refuses_order(apply(&mut run, right), "apply before the first byte");
    assert_eq!(rig.operations(), before);
    run.feed(from, 512, |_, _, _| ()).expect("writes work");
    assert!(apply(&mut run, right).is_err(), "apply before it was read back");
    run.digest();
    let before = rig.operations();
    assert!(apply(&mut run, Digest([7; 32])).is_err(), "the proof is of another image");
    assert_eq!(rig.operations(), before, "refusing costs no operation");
    assert!(!rig.is_applied());
    let _ = apply(&mut run, right).expect("it was proven");
    assert!(rig.is_applied());
    let before = rig.operations();
    let _ = apply(&mut run, right).expect("it can be repeated");
    assert_eq!(rig.operations(), before, "what is there is left as it is");
    // After a reset that did not run it.
    let mut run = run.reset();
    assert_eq!(run.init(rig.image().len() as u32), rig.image().len() as u32);
    Run::<R>::refuses_order(apply(&mut run, right), "apply before it was read back");
    run.digest();
    let _ = apply(&mut run, right).expect("it was proven");
    assert_eq!(rig.operations(), before);
    // What waits for the reset is not written over, but given up first.
    let image = rig.image();
    let head = &image[..image.len().min(HEAD_LEN)];
    let Probe::Taken(kind) = run.target.probe(head, rig.index()) else { panic!("its own image is refused") };
    let another = Image { size: Some(image.len() as u32), index: rig.index(), head, ..Image::new(kind) };
    let error = crate::poll::run(run.target.init(&another, 0)).expect_err("an image waits there");
    assert_eq!(error.kind(), ErrorKind::Pending, "{error}");
    assert!(crate::poll::run(run.target.write(&image[..200])).is_err(), "it was refused");
    assert_eq!(rig.operations(), before, "and what waits is as it was");
    assert!(rig.is_applied());
    crate::poll::run(run.target.abort()).expect("it can be given up");
    assert!(!rig.is_applied(), "the request is withdrawn");
    run.init(0);
    crate::poll::run(run.target.write(&image[..200])).expect("writes work");
}

fn survives_dropped_futures<R: Rig>(rig: &R) {
    rig.set_yields(true);
    let image = rig.image();
    let size = image.len() as u32;
    let mut nth = 1;
    loop {
        let mut run = Run::fresh(rig);
        let mut patience = Patience::until(nth);
        let mut durable = 0;
        let mut at = run.init(0);
        // Written, read back, applied: one of these futures is dropped.
        let mut dropped = false;
        while at < size && !dropped {
            let piece = &image[at as usize..image.len().min(at as usize + 700)];
            match patience.wait(run.target.write(piece)) {
                Some(written) => {
                    let written = written.expect("writes work");
                    run.keep(written);
                    if let Written::Committed(promised) = written {
                        durable = promised;
                    }
                    at += piece.len() as u32;
                }
                None => dropped = true,
            }
        }
        if !dropped {
            dropped = patience.wait(run.target.digest()).is_none();
            durable = if dropped { durable } else { size };
        }
        if !dropped {
            let proof = Checked { digest: sha256(image), assurance: Assurance::None }.matches(&sha256(image));
            dropped = patience.wait(run.target.apply(proof.expect("the same"))).is_none();
        }
        if !dropped {
            break;
        }
        let wanted = run.init(durable);
        let checked = run.complete(wanted);
        let proof = checked.matches(&sha256(image)).expect("the same digest");
        if let Err(error) = crate::poll::run(run.target.apply(proof)) {
            // A mark that was torn and shares its place with the image's end.
            assert_eq!(error.kind(), ErrorKind::Rewind, "{error}");
        }
        nth += 1;
    }
    assert!(nth > 10, "the rig's place makes the futures wait");
    rig.set_yields(false);
}

fn aborts_and_begins_again<R: Rig>(rig: &R) {
    let image = rig.image();
    for upto in [0, 100, image.len() / 2, image.len()] {
        for applies in [false, true] {
            let mut run = Run::fresh(rig);
            let from = run.init(0);
            if applies {
                let checked = run.complete(from);
                let _ = crate::poll::run(run.target.apply(checked.matches(&checked.digest).expect("itself")))
                    .expect("it is right");
            } else {
                crate::poll::run(run.target.write(&image[..upto])).expect("writes work");
            }
            crate::poll::run(run.target.abort()).expect("it can be given up");
            assert!(!rig.is_applied(), "the request is withdrawn");
            assert!(crate::poll::run(run.target.write(&image[..10])).is_err(), "no image was accepted");
            let proof = Checked { digest: sha256(image), assurance: Assurance::None }.matches(&sha256(image));
            assert!(crate::poll::run(run.target.apply(proof.expect("the same"))).is_err(), "it is gone");
            // The same target, without a reset.
            let from = run.init(0);
            run.complete(from);
        }
    }
    // Where nothing was begun.
    let mut run = Run::fresh(rig);
    crate::poll::run(run.target.abort()).expect("nothing to give up");
    let from = run.init(0);
    run.complete(from);
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest(<sha2::Sha256 as sha2::Digest>::digest(bytes).into())
}
