//! A full update without staging: what is refused before the modem is touched, what is out of order, giving up.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use dfu_target::blocking::block_on;
use dfu_target::digest::SoftSha256;
use dfu_target::target::{Assurance, Checked, Proof};
use dfu_target::{Applied, DfuTarget, Digest, Error, ErrorKind, Image, ImageKind, Written};
use dfu_target_nrf_modem::port::{Errno, Fault};
use dfu_target_nrf_modem::{DirectError, FullPolicy, ModemFullDirect, Phase, Wrapper, WrapperError};
use dfu_testkit::modem::{DeltaFile, FakeModem, FullFile, Mode, ModemCall, signed_wrapper, uuid};

fn target<V: FullPolicy>(modem: &FakeModem, policy: V) -> ModemFullDirect<FakeModem, SoftSha256, V> {
    ModemFullDirect::with(modem.clone(), [SoftSha256::default(), SoftSha256::default()], policy)
}

fn file() -> FullFile {
    FullFile::small(uuid(2))
}

/// The file begins, of this size if it is known, and these bytes of it come in pieces.
fn feed<T: DfuTarget>(target: &mut T, file: &[u8], size: Option<u32>, chunk: usize) -> Result<(), T::Error> {
    let image = Image { size, head: &file[..64], ..Image::new(ImageKind::ModemFull) };
    block_on(async {
        assert_eq!(target.init(&image, 0).await?, 0);
        for piece in file.chunks(chunk) {
            assert_eq!(target.write(piece).await?, Written::Committed(0), "nothing is kept over a reset");
        }
        Ok(())
    })
}

/// All of it.
fn update<T: DfuTarget>(target: &mut T, file: &[u8]) -> Result<Applied, T::Error> {
    feed(target, file, Some(file.len() as u32), 500)?;
    block_on(async {
        let checked = target.digest().await?;
        target.apply(checked.assured().unwrap()).await
    })
}

fn proof(digest: Digest) -> Proof {
    Checked { digest, assurance: Assurance::Hash }.assured().unwrap()
}

#[test]
fn what_the_first_bytes_or_the_wrapper_show_to_be_wrong_leaves_the_modem_alone() {
    struct Never;
    impl FullPolicy for Never {
        fn accepts(&mut self, _: &Wrapper<'_>) -> bool {
            false
        }
    }
    let (good, modem) = (file().build(), FakeModem::default());
    let size = good.len() as u32;
    let mut manifest = file().manifest();
    manifest.segments[1].1 = 0;
    let damaged = [signed_wrapper(&manifest.encode()), file().blob()].concat();
    let delta = DeltaFile::new(FakeModem::FIRST, uuid(2)).build();
    for chunk in [1, 64, 5000] {
        let refused = |bytes: &[u8], size| feed(&mut target(&modem, ()), bytes, size, chunk);
        assert_eq!(refused(&delta, None), Err(DirectError::NotFull));
        assert_eq!(refused(&damaged, None), Err(DirectError::Wrapper(WrapperError::SegmentEmpty(1))));
        for offered in [size - 1, size + 1] {
            assert_eq!(refused(&good, Some(offered)), Err(DirectError::WrongSize { told: size, offered }));
        }
        assert_eq!(feed(&mut target(&modem, Never), &good, None, chunk), Err(DirectError::Policy));
    }
    assert!(modem.calls().is_empty());
}

#[test]
fn bytes_that_are_missing_or_too_many_are_told() {
    let (good, modem) = (file().build(), FakeModem::default());
    let (size, wrapper) = (good.len() as u32, file().wrapper().len() as u32);
    for (have, known) in [(64, None), (64, Some(size)), (wrapper, None), (size - 1, None)] {
        let mut target = target(&modem, ());
        feed(&mut target, &good[..have as usize], known, 100).unwrap();
        // Before the wrapper is whole nobody knows but the source.
        let need = if have < wrapper { known.unwrap_or(0) } else { size };
        assert_eq!(block_on(target.digest()), Err(DirectError::Truncated { have, need }));
    }
    let long = [&good[..], &[0]].concat();
    for chunk in [100, long.len()] {
        assert_eq!(feed(&mut target(&modem, ()), &long, None, chunk).unwrap_err().kind(), ErrorKind::TooLarge);
    }
    assert_eq!(feed(&mut target(&modem, ()), &long, None, long.len()), Err(DirectError::TooLong { size }));
}

#[test]
fn nothing_is_done_out_of_order() {
    let (good, modem) = (file().build(), FakeModem::default());
    let mut target = target(&modem, ());
    block_on(async {
        assert_eq!(target.write(&good).await, Err(DirectError::Closed));
        assert_eq!(target.digest().await, Err(DirectError::Closed));
        assert_eq!(target.apply(proof(Digest([0; 32]))).await, Err(DirectError::NotChecked));
    });
    assert!(modem.calls().is_empty());
    feed(&mut target, &good, None, 500).unwrap();
    block_on(async {
        assert_eq!(target.apply(proof(Digest([0; 32]))).await, Err(DirectError::NotChecked), "it was not read");
        let checked = target.digest().await.unwrap();
        assert_eq!((checked.assurance, target.digest().await), (Assurance::Hash, Ok(checked)), "legal to repeat");
        assert_eq!(target.apply(proof(Digest([7; 32]))).await, Err(DirectError::NotChecked), "of another file");
        assert_eq!(modem.count(ModemCall::Stop), 0);
        assert_eq!(target.apply(checked.assured().unwrap()).await, Ok(Applied::AtReset));
    });
    assert_eq!((modem.count(ModemCall::Stop), modem.running()), (1, uuid(2)));
}

#[test]
fn after_a_call_that_failed_only_a_new_beginning_is_taken() {
    for (call, fault, kind) in [
        (ModemCall::Start, Fault::Errno(Errno::Again), ErrorKind::Busy),
        (ModemCall::BlWrite, Fault::Errno(Errno::TimedOut), ErrorKind::Storage),
        (ModemCall::Verify, Fault::Errno(Errno::Io), ErrorKind::Storage),
        (ModemCall::FwWrite, Fault::Errno(Errno::TimedOut), ErrorKind::Storage),
    ] {
        let (good, modem) = (file().build(), FakeModem::default());
        let mut target = target(&modem, ());
        modem.fail(call, 0, fault);
        let error = feed(&mut target, &good, None, 500).unwrap_err();
        assert_eq!((error, error.kind()), (DirectError::Modem(fault), kind), "{call:?}");
        block_on(async {
            assert_eq!(target.write(&good).await, Err(DirectError::Closed));
            assert_eq!(target.digest().await, Err(DirectError::Closed));
        });
        assert_eq!((update(&mut target, &good), modem.running()), (Ok(Applied::AtReset), uuid(2)), "{call:?}");
    }
}

#[test]
fn giving_up_ends_the_bootloader_mode_where_it_was_begun() {
    let (good, modem) = (file().build(), FakeModem::default());
    let wrapper = file().wrapper().len();
    let loader = file().segments()[0].1 as usize;
    // Nothing, half a wrapper, all of it, the loader, some of the firmware.
    for (come, stops) in [(0, 0), (64, 0), (wrapper, 1), (wrapper + loader, 1), (wrapper + loader + 5000, 1)] {
        let mut target = target(&modem, ());
        modem.forget_calls();
        if come > 0 {
            feed(&mut target, &good[..come.min(good.len())], None, 200).unwrap();
        }
        for _ in 0..2 {
            assert_eq!(block_on(target.abort()), Ok(()));
            assert_eq!(modem.count(ModemCall::Stop), stops, "{come} bytes");
        }
        assert_eq!((modem.mode(), block_on(target.write(&good))), (Mode::Off, Err(DirectError::Closed)));
    }
    // Also where another file was begun since, and where it is dropped.
    let mut again = target(&modem, ());
    feed(&mut again, &good[..wrapper], None, 200).unwrap();
    feed(&mut again, &good[..64], None, 64).unwrap();
    assert_eq!((block_on(again.abort()), modem.mode()), (Ok(()), Mode::Off));
    feed(&mut again, &good[..wrapper], None, 200).unwrap();
    assert_ne!(modem.mode(), Mode::Off);
    drop(again);
    assert_eq!(modem.mode(), Mode::Off);
    let mut target = target(&modem, ());
    feed(&mut target, &good[..wrapper], None, 200).unwrap();
    let fault = Fault::Errno(Errno::TimedOut);
    modem.fail(ModemCall::Stop, 0, fault);
    assert_eq!(block_on(target.abort()), Err(DirectError::Modem(fault)));
    assert_eq!((update(&mut target, &good), modem.running()), (Ok(Applied::AtReset), uuid(2)));
}

#[test]
fn a_lent_modem_and_a_lent_policy_hear_of_each_piece() {
    struct Seen(Vec<(Phase, u32, u32)>);
    impl FullPolicy for Seen {
        fn accepts(&mut self, wrapper: &Wrapper<'_>) -> bool {
            wrapper.segments().len() > 1
        }
        fn progress(&mut self, phase: Phase, done: u32, total: u32) {
            self.0.push((phase, done, total));
        }
    }
    let (good, mut modem, mut seen) = (file().build(), FakeModem::default(), Seen(Vec::new()));
    let engines = [SoftSha256::default(), SoftSha256::default()];
    let mut target = ModemFullDirect::with(&mut modem, engines, &mut seen);
    assert_eq!(update(&mut target, &good), Ok(Applied::AtReset));
    drop(target);
    assert_eq!(modem.running(), uuid(2));
    let (size, verified) = (good.len() as u32, seen.0.iter().position(|at| *at == (Phase::Verifying, 1, 1)).unwrap());
    let (before, after) = seen.0.split_at(verified);
    let (told, loader) = before.split_last().unwrap();
    assert_eq!(*told, (Phase::Verifying, 0, 1));
    assert!(loader.iter().all(|(phase, ..)| *phase == Phase::Loader) && loader.is_sorted_by_key(|(_, done, _)| *done));
    let firmware = &after[1..];
    assert!(firmware.iter().all(|(phase, ..)| *phase == Phase::Programming));
    assert!(
        firmware.is_sorted_by_key(|(_, done, _)| *done) && firmware.last() == Some(&(Phase::Programming, size, size))
    );
}
