//! Each future is dropped at each of its awaits, and things go on: in the same process, or after a reset.

use core::future::Future;
use std::time::Instant;

use dfu_target::ProgressStore;
use dfu_target::progress::State;
use dfu_target_nrf_modem::{Recovered, Settled, Start};
use dfu_testkit::flash::Cut;
use dfu_testkit::modem::{FullFile, uuid};
use dfu_testkit::poll::{poll_limited, run};

use crate::push::Until;
use crate::staged::{self, NEW};
use crate::stored::Device;
use crate::{Boot, report};

/// Polls so often and drops it; whether it was ready by then.
fn is_ready<F: Future>(future: F, polls: usize) -> bool {
    poll_limited(future, polls).is_some()
}

#[test]
fn r09_a_recovery_that_is_dropped_anywhere_is_done_again() {
    let began = Instant::now();
    let device = staged::Device::<4, 1024>::new(&FullFile::small(uuid(NEW)), 512).applied();
    device.chip.sim().set_yields(true, true);
    let mut points = 0;
    for resets in [false, true] {
        for polls in 0.. {
            let mut life = device.restore();
            let ready = device.with(|mut target, _| {
                let (modem, program) = (&mut device.bootloader(), device.program());
                let ready = is_ready(target.recover(modem, Start::NotTried, &program, &mut [0; 100]), polls);
                device.check(&life);
                if !ready && !resets {
                    let again = run(target.recover(modem, Start::NotTried, &program, &mut [0; 100]));
                    // Dropped behind the mark, it was done.
                    assert!(matches!(again, Ok(Recovered::Programmed | Recovered::Nothing)), "{again:?}");
                }
                ready
            });
            if resets {
                device.modem.power_on();
            } else {
                let _ = device.modem.shutdown();
            }
            assert_eq!(device.go_on(&mut life, &[]), 0);
            if ready {
                break;
            }
            points += 1;
        }
    }
    report(points, began, "dropped recoveries");
}

#[test]
fn r09_a_full_update_that_is_dropped_anywhere_goes_on() {
    let began = Instant::now();
    let device = staged::Device::<32, 512, 4>::new(&FullFile::small(uuid(NEW)), 300);
    device.chip.sim().set_yields(true, true);
    let mut points = 0;
    for resets in [false, true] {
        for polls in 0.. {
            let mut life = device.restore();
            let mut store = dfu_testkit::store::RamStore::new().yields(true);
            let ready = device.with(|mut target, _| {
                let push = device.push(&device.file);
                let ready = is_ready(push.run(&mut target, &mut store, Until::Applied), polls);
                device.check(&life);
                if !ready && !resets {
                    run(push.run(&mut target, &mut store, Until::Applied)).unwrap();
                }
                ready
            });
            life.store = Some(store);
            device.modem.power_on();
            assert_eq!(device.go_on(&mut life, &[]), 0);
            if ready {
                break;
            }
            points += 1;
        }
    }
    report(points, began, "dropped stagings");
}

#[test]
fn r09_a_delta_that_is_dropped_anywhere_goes_on() {
    let began = Instant::now();
    let device = Device::new(1700, false, false);
    let mut points = 0;
    for (resets, same) in [(false, true), (false, false), (true, false)] {
        for polls in 0.. {
            let mut life = device.restore();
            life.store = Some(dfu_testkit::store::RamStore::new().yields(true));
            device.modem.start_normal().unwrap();
            let mut target = device.target(&life);
            let ready = device
                .with_store(&mut life, |store| is_ready(device.push().run(&mut target, store, Until::Applied), polls));
            device.check();
            if !ready && !resets {
                if !same {
                    drop(target);
                    assert_eq!(device.modem.write_resources(), 0);
                    target = device.target(&life);
                }
                let pushed =
                    device.with_store(&mut life, |store| run(device.push().run(&mut target, store, Until::Applied)));
                assert_eq!(pushed, Ok(()));
            }
            drop(target);
            device.modem.power_on();
            while device.boot(&mut life) == Boot::Reset {
                device.modem.shutdown().unwrap();
            }
            device.finished(&mut life);
            if ready {
                break;
            }
            points += 1;
        }
    }
    report(points, began, "dropped deltas");
}

#[test]
fn r09_settling_that_is_dropped_anywhere_is_done_again() {
    let began = Instant::now();
    let device = Device::new(700, false, false);
    let mut points = 0;
    for (resets, same) in [(false, true), (false, false), (true, false)] {
        for polls in 0.. {
            let mut life = device.restore();
            life.store = Some(dfu_testkit::store::RamStore::new().yields(true));
            assert_eq!(device.boot(&mut life), Boot::Reset);
            device.modem.shutdown().unwrap();
            device.modem.start_normal().unwrap();
            let mut target = device.target(&life);
            let ready = device.with_store(&mut life, |store| is_ready(target.settle(store, None), polls));
            device.check();
            if resets {
                drop(target);
                device.modem.power_on();
                device.modem.start_normal().unwrap();
                target = device.target(&life);
            } else if !same {
                target = device.target(&life);
            }
            let record = device.with_store(&mut life, |store| run(store.load()));
            let settled = device.with_store(&mut life, |store| run(target.settle(store, None)));
            let applied = record.is_some_and(|record| record.state() == State::Applied);
            let wanted = if applied { Settled::Updated } else { Settled::Nothing };
            assert_eq!(settled, Ok(wanted));
            device.finished(&mut life);
            if ready {
                break;
            }
            points += 1;
        }
    }
    report(points, began, "dropped settling");
}

#[test]
fn r09_giving_a_delta_up_is_dropped_anywhere_or_cut_and_another_begins() {
    let began = Instant::now();
    let device = Device::new(700, true, false);
    let mut points = 0;
    let mut life = device.restore();
    assert_eq!(device.boot(&mut life), Boot::Reset);
    // Applied, and then withdrawn.
    for cut in Cut::ALL.into_iter().map(Some).chain([None]) {
        for at in 0.. {
            let mut life = device.restore();
            assert_eq!(device.boot(&mut life), Boot::Reset);
            let mut target = device.target(&life);
            let mut polls = usize::MAX;
            match cut {
                Some(cut) => device.modem.cut_after(at, cut),
                None => polls = at as usize,
            }
            let aborted = poll_limited(dfu_target::DfuTarget::abort(&mut target), polls);
            drop(target);
            let over = aborted == Some(Ok(()));
            assert!(!over || device.modem.scheduled().is_none());
            device.modem.power_on();
            let mut boots = 0;
            while device.boot(&mut life) == Boot::Reset {
                device.modem.shutdown().unwrap();
                boots += 1;
                assert!(boots < 4);
            }
            device.finished(&mut life);
            if over {
                break;
            }
            points += 1;
        }
    }
    report(points, began, "giving a delta up");
}
