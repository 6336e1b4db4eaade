//! Every answer at every call of a delta: the update goes through or ends with a typed error, and trying again gets to the end.

mod full;
mod outcome;
mod soiled;

use std::collections::BTreeSet;
use std::time::Instant;

use dfu_target::session::SessionError;
use dfu_target::{DfuTarget, ErrorKind};
use dfu_target_nrf_modem::port::{Code, Errno, Fault};
use dfu_target_nrf_modem::{DeltaError, Outcome, Settled};
use dfu_testkit::flash::{Cut, Tear};
use dfu_testkit::modem::ModemCall;
use dfu_testkit::poll::run;

use crate::push::Until;
use crate::stored::{Device, Life, Target};
use crate::{Boot, report};

/// All that have a name, and one of each that has none.
fn answers() -> Vec<Fault> {
    let codes = Code::ALL.iter().chain(&[Code::Other(99)]).map(|code| Fault::Code(*code));
    let errnos = Errno::ALL.iter().chain(&[Errno::Other(200)]).map(|errno| Fault::Errno(*errno));
    codes.chain(errnos).collect()
}

/// What an attempt came to.
#[derive(Debug, PartialEq)]
enum Attempt {
    Applied,
    Over,
    Failed(DeltaError),
}

/// Settles, and pushes if that is not the end of it.
fn attempt(device: &Device, target: &mut Target, life: &mut Life, told: Option<Outcome>) -> Attempt {
    device.with_store(life, |store| {
        match run(target.settle(store, told)) {
            Ok(Settled::Updated) => {
                assert!(device.is_new(), "it is said to be updated, and is not");
                return Attempt::Over;
            }
            Ok(Settled::Nothing) if device.is_new() => return Attempt::Over,
            Ok(Settled::Nothing | Settled::NotUpdated) => {}
            // Restart the modem.
            Ok(Settled::Waiting) => return Attempt::Applied,
            Ok(other) => panic!("{other:?}"),
            Err(error) => return Attempt::Failed(error),
        }
        match run(device.push().run(target, store, Until::Applied)) {
            Ok(()) => Attempt::Applied,
            Err(SessionError::Target(error)) => Attempt::Failed(error),
            Err(other) => panic!("{other:?}"),
        }
    })
}

/// Which call fails, the how manieth of its kind, with what, and how much of it is done.
type Failure = (ModemCall, u32, Fault, Cut);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Retry {
    /// Even over a restart of the modem alone.
    SameTarget,
    NewTarget,
    Reset,
}

/// A life in which calls fail; what it failed with, if it did. Where a new target is made, the modem's start told
/// nothing.
fn live(device: &Device, failures: &[Failure], retry: Retry) -> Vec<DeltaError> {
    let mut life = device.restore();
    let mut told = device.modem.start_normal().unwrap();
    failures.iter().for_each(|(call, nth, fault, cut)| device.modem.fail_amid(*call, *nth, *fault, *cut));
    let mut target = device.target(&life);
    let mut errors = Vec::new();
    for _ in 0..8 {
        let outcome = told.take().map(Outcome::from_raw);
        let attempt = attempt(device, &mut target, &mut life, outcome.filter(|_| retry != Retry::NewTarget));
        device.check();
        let resets = match attempt {
            Attempt::Over => {
                drop(target);
                device.finished(&mut life);
                return errors;
            }
            Attempt::Applied => true,
            Attempt::Failed(error) => {
                errors.push(error);
                retry == Retry::Reset
            }
        };
        if retry != Retry::SameTarget {
            drop(target);
            assert!(failures.len() > 1 || device.modem.write_resources() == 0, "{failures:?} {retry:?}");
            target = device.target(&life);
        }
        if resets {
            device.modem.shutdown().unwrap();
            told = device.modem.start_normal().unwrap();
            if retry != Retry::SameTarget {
                target = device.target(&life);
            }
        }
    }
    panic!("no end of it after {failures:?} {retry:?}: {errors:?}");
}

/// How often each call is made when nothing goes wrong.
fn undisturbed(device: &Device) -> Vec<(ModemCall, u32)> {
    let mut life = device.restore();
    assert_eq!(
        [(); 2].map(|()| {
            let boot = device.boot(&mut life);
            let _ = device.modem.shutdown();
            boot
        }),
        [Boot::Reset, Boot::Done]
    );
    ModemCall::DELTA.map(|call| (call, device.modem.count(call) as u32)).to_vec()
}

#[test]
fn r27_every_answer_at_every_call_of_a_delta_is_typed_and_trying_again_gets_to_the_end() {
    let (began, mut points) = (Instant::now(), 0);
    let device = Device::new(1700, true, false);
    let mut seen = BTreeSet::new();
    for (call, count) in undisturbed(&device) {
        assert!(count > 0 || call == ModemCall::Rollback, "{call:?}");
        let changes = matches!(
            call,
            ModemCall::WriteInit | ModemCall::Write | ModemCall::WriteDone | ModemCall::Erase | ModemCall::DeltaUpdate
        );
        let cuts = [Cut::Before, Cut::Torn(Tear::Front), Cut::After];
        for (nth, cut) in
            (0..count).flat_map(|nth| cuts[..if changes { 3 } else { 1 }].iter().map(move |cut| (nth, *cut)))
        {
            for fault in answers() {
                for retry in [Retry::SameTarget, Retry::NewTarget, Retry::Reset] {
                    let errors = live(&device, &[(call, nth, fault, cut)], retry);
                    points += 1;
                    assert!(errors.len() <= 2, "{call:?} {nth} {fault} {cut:?}: {errors:?}");
                    for error in errors {
                        if error == DeltaError::Modem(fault) && fault.is_low_voltage() {
                            assert_eq!(dfu_target::Error::kind(&error), ErrorKind::Busy);
                        }
                        seen.insert(format!("{error:?}"));
                    }
                }
            }
        }
    }
    assert!(answers().iter().all(|fault| seen.contains(&format!("{:?}", DeltaError::Modem(*fault)))));
    report(points, began, "answers to a delta");
}

#[test]
fn r27_two_calls_of_a_delta_that_fail_are_no_worse() {
    let (began, mut points) = (Instant::now(), 0);
    let device = Device::new(1300, true, false);
    let counts = undisturbed(&device);
    let calls = || counts.iter().flat_map(|(call, count)| (0..*count + 1).map(move |nth| (*call, nth)));
    let faults = [Fault::Code(Code::Internal4), Fault::Code(Code::ErasePending), Fault::Errno(Errno::Perm)];
    for ((first, nth), (second, mth)) in calls().flat_map(|first| calls().map(move |second| (first, second))) {
        for (fault, cut) in faults.into_iter().flat_map(|fault| [(fault, Cut::Before), (fault, Cut::After)]) {
            for retry in [Retry::SameTarget, Retry::NewTarget, Retry::Reset] {
                let errors = live(&device, &[(first, nth, fault, cut), (second, mth, fault, cut)], retry);
                assert!(errors.len() <= 4, "{errors:?}");
                points += 1;
            }
        }
    }
    report(points, began, "two failing calls of a delta");
}

#[test]
fn r21_what_a_modem_that_did_not_tell_its_firmware_takes_is_never_said_to_be_installed() {
    // At the start the modem does not tell which firmware runs. Then power fails at any point: where nothing was
    // installed, nothing says so.
    let device = Device::new(700, false, false);
    for point in 0..20 {
        let mut life = device.restore();
        device.modem.start_normal().unwrap();
        device.modem.fail(ModemCall::DeltaUuid, 0, Fault::Errno(Errno::Io));
        let mut target = device.target(&life);
        device.modem.cut_after(point, Cut::Before);
        let first = device.with_store(&mut life, |store| run(device.push().run(&mut target, store, Until::Applied)));
        assert_eq!(first, Err(SessionError::Target(DeltaError::Modem(Fault::Errno(Errno::Io)))));
        let _ = device.with_store(&mut life, |store| run(device.push().run(&mut target, store, Until::Applied)));
        drop(target);
        device.modem.power_on();
        let boots: Vec<_> = (0..3)
            .map(|_| {
                let boot = device.boot(&mut life);
                let _ = device.modem.shutdown();
                boot
            })
            .collect();
        assert!(boots.contains(&Boot::Done) && device.is_new());
    }
}

#[test]
fn r27_a_stream_that_is_left_and_begun_again_holds_no_memory_in_between() {
    let device = Device::new(1700, true, false);
    for abort in [false, true] {
        let mut life = device.restore();
        device.modem.start_normal().unwrap();
        let mut target = device.target(&life);
        let mut push = |until| device.with_store(&mut life, |store| run(device.push().run(&mut target, store, until)));
        push(Until::Received(1000)).unwrap();
        assert_eq!(device.modem.write_resources(), 1);
        if abort {
            run(target.abort()).unwrap();
        } else {
            push(Until::Received(0)).unwrap();
        }
        assert_eq!(device.modem.write_resources(), 0);
    }
}
