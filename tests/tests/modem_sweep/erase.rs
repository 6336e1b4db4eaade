//! Erasing takes its time, or never ends; the voltage is low.

use core::ops::ControlFlow;
use std::time::Duration;

use dfu_target::Error as _;
use dfu_target::digest::SoftSha256;
use dfu_target::progress::State;
use dfu_target::session::SessionError;
use dfu_target::target::Written;
use dfu_target::{DfuTarget, ErrorKind, Image, ImageKind, ProgressStore};
use dfu_target_nrf_modem::{DeltaError, DeltaPolicy, ModemDelta, Settled};
use dfu_testkit::modem::{Content, DeltaFile, FakeModem, ModemCall, ModemState, Settings, Wait, uuid};
use dfu_testkit::poll::{count_polls, run};
use dfu_testkit::store::RamStore;

use crate::push::{Push, Until};

/// Gives up after so many milliseconds, and counts how often it was asked.
struct Patience(u32, u32);

impl DeltaPolicy for Patience {
    fn erasing(&mut self, waited_ms: u32) -> ControlFlow<()> {
        self.1 += 1;
        if waited_ms >= self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// A modem with the rest of another delta.
fn modem(erase: Wait, registered: Wait) -> (FakeModem, Vec<u8>) {
    let modem = FakeModem::new(Settings::new().area(8192).erase(erase, registered));
    let other = DeltaFile::new(FakeModem::FIRST, uuid(9)).build();
    modem.reload(&ModemState { offset: 700, content: Content::Bytes(other[..700].to_vec()), ..modem.save() });
    modem.start_normal().unwrap();
    (modem, DeltaFile::new(FakeModem::FIRST, uuid(2)).build())
}

fn target(modem: &FakeModem) -> ModemDelta<FakeModem, dfu_testkit::modem::Delay, SoftSha256> {
    ModemDelta::new(modem.clone(), modem.delay(), SoftSha256::default()).chunk(256)
}

fn push(file: &[u8]) -> Push<'_> {
    Push { file, chunk: 256, save_every: 512, prepares: false }
}

fn settles(modem: &FakeModem, store: &mut RamStore) {
    modem.shutdown().unwrap();
    modem.start_normal().unwrap();
    assert_eq!(run(target(modem).settle(store, None)), Ok(Settled::Updated));
    assert_eq!(modem.running(), uuid(2));
}

#[test]
fn r27_a_registered_modem_that_never_erases_is_waited_for_so_long_and_offline_it_goes_on() {
    let (modem, file) = modem(Wait::Millis(5_000), Wait::Forever);
    modem.set_registered(true);
    let (mut target, mut store) = (target(&modem).erase_limit_ms(30_000), RamStore::new());
    for nth in 1..=2 {
        let pushed = run(push(&file).run(&mut target, &mut store, Until::Applied)).unwrap_err();
        assert_eq!(pushed, SessionError::Target(DeltaError::EraseTimeout { waited_ms: 30_000 }));
        assert_eq!(pushed.kind(), ErrorKind::Busy);
        assert_eq!((modem.elapsed(), modem.write_resources()), (Duration::from_secs(30 * nth), 0));
    }
    modem.set_registered(false);
    run(push(&file).run(&mut target, &mut store, Until::Applied)).unwrap();
    assert_eq!(modem.count(ModemCall::Erase), 1, "the modem erased on");
    // The same when it is settled.
    modem.shutdown().unwrap();
    modem.start_normal().unwrap();
    modem.set_registered(true);
    let settled = run(target.settle(&mut store, None));
    assert_eq!(settled, Err(DeltaError::EraseTimeout { waited_ms: 30_000 }));
    assert!(store.record().is_some(), "to be settled yet");
    modem.set_registered(false);
    assert_eq!(run(target.settle(&mut store, None)), Ok(Settled::Updated));
    assert_eq!(store.record().unwrap().state(), State::Receiving, "it is over");
    modem.power_on();
    modem.odd_reset();
    assert_eq!((modem.start_normal(), modem.running()), (Ok(None), uuid(2)));
}

#[test]
fn r27_the_policy_gives_up_waiting_and_the_modem_erases_on() {
    let (modem, file) = modem(Wait::Millis(2_000), Wait::Forever);
    let (mut policy, mut store) = (Patience(700, 0), RamStore::new());
    let mut target = ModemDelta::with(modem.clone(), modem.delay(), SoftSha256::default(), &mut policy);
    let pushed = run(push(&file).run(&mut target, &mut store, Until::Applied)).unwrap_err();
    assert_eq!((pushed, pushed.kind()), (SessionError::Target(DeltaError::Cancelled), ErrorKind::Busy));
    drop(target);
    assert_eq!((policy.1, modem.elapsed()), (8, Duration::from_millis(700)));
    modem.pass(Duration::from_millis(1_300));
    policy = Patience(0, 0);
    let mut target = ModemDelta::with(modem.clone(), modem.delay(), SoftSha256::default(), &mut policy);
    run(push(&file).run(&mut target, &mut store, Until::Applied)).unwrap();
    assert_eq!(modem.count(ModemCall::Erase), 1);
    settles(&modem, &mut store);
}

#[test]
fn r07_prepare_erases_ahead_in_bounded_steps() {
    let (modem, file) = modem(Wait::Millis(1_950), Wait::Forever);
    let mut target = target(&modem);
    let size = Some(file.len() as u32);
    let image = Image { kind: ImageKind::ModemDelta, size, index: 0, head: &file[..64], kept: &[0; 32] };
    assert_eq!(run(target.init(&image, 0)), Ok(0));
    let (mut steps, mut longest) = (0, 0);
    let before = modem.elapsed();
    loop {
        let (calls, (more, polls)) = (modem.calls().len(), count_polls(target.prepare()));
        // An erase and a look at it, at most.
        assert!(modem.calls().len() - calls <= 2 && polls <= 2);
        longest = longest.max(polls);
        if !more.unwrap() {
            break;
        }
        steps += 1;
        assert_eq!(modem.elapsed() - before, Duration::from_millis(100 * steps));
    }
    assert_eq!((steps, longest), (20, 2));
    assert_eq!(modem.count(ModemCall::Erase), 1);
    // Bytes now find it done.
    assert_eq!(run(target.write(&file)), Ok(Written::Committed(file.len() as u32 / 64 * 64)));
    assert_eq!(modem.elapsed() - before, Duration::from_millis(2_000));
}

#[test]
fn r27_low_voltage_is_busy_wherever_it_comes_and_passes() {
    for low_from in [0, 1, 600, 1500, 10_000] {
        let (modem, file) = modem(Wait::Polls(1), Wait::Polls(1));
        let (mut target, mut store) = (target(&modem), RamStore::new());
        let until = if low_from > 9_000 { Until::Verified } else { Until::Received(low_from) };
        run(push(&file).run(&mut target, &mut store, until)).unwrap();
        modem.set_low_voltage(true);
        for _ in 0..3 {
            let pushed = run(push(&file).run(&mut target, &mut store, Until::Applied)).unwrap_err();
            assert_eq!(pushed.kind(), ErrorKind::Busy, "{pushed:?}");
            assert_eq!(modem.write_resources(), 0);
        }
        modem.set_low_voltage(false);
        run(push(&file).run(&mut target, &mut store, Until::Applied)).unwrap();
        // At the modem's start it is told, and put off.
        modem.set_low_voltage(true);
        modem.shutdown().unwrap();
        assert!(modem.start_normal().is_err());
        modem.set_low_voltage(false);
        modem.start_normal().unwrap();
        assert_eq!(modem.running(), uuid(2));
        // And when it is settled.
        modem.set_low_voltage(true);
        let mut target = self::target(&modem);
        assert_eq!(run(target.settle(&mut store, None)).map_err(|error| error.kind()), Err(ErrorKind::Busy));
        modem.set_low_voltage(false);
        assert_eq!(run(target.settle(&mut store, None)), Ok(Settled::Updated));
        assert_eq!(run(store.load()).map(|record| record.state()), Some(State::Receiving));
    }
}
