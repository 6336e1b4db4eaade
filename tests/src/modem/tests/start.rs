use super::*;
use crate::flash::Cut;
use crate::modem::{Mode, ModemCall, Outcome, Scheduled};

#[test]
fn an_update_runs_at_the_next_start_and_leaves_the_way_back() {
    let (modem, file) = (normal(), delta());
    assert_eq!(apply(&modem, &file), Ok(Some(Outcome::OK)));
    assert_eq!((modem.running(), modem.stored()), (uuid(2), Offset::At(file.len() as u32)));
    let mut port = modem.delta();
    assert!(!port.is_scheduled());
    port.rollback().unwrap();
    assert!(port.is_scheduled());
    assert_eq!((modem.running(), modem.scheduled()), (uuid(2), Some(Scheduled::Rollback)));
    modem.power_on();
    assert!(!port.is_scheduled(), "nobody remembers");
    assert_eq!((modem.start_normal(), modem.running()), (Ok(Some(Outcome::OK)), uuid(1)));
    assert_eq!(port.rollback(), code(Code::NotAllowed));
    modem.shutdown().unwrap();
    assert_eq!((modem.start_normal(), modem.running()), (Ok(None), uuid(1)));
}

#[test]
fn erasing_ends_the_way_back() {
    let modem = normal();
    apply(&modem, &delta()).unwrap();
    erase(&modem);
    assert_eq!((modem.delta().rollback(), modem.running()), (code(Code::NotAllowed), uuid(2)));
}

#[test]
fn what_is_not_genuine_or_for_another_firmware_is_refused_and_the_old_one_runs() {
    let mut forged = delta();
    forged[300] ^= 1;
    let modem = normal();
    assert_eq!(apply(&modem, &forged), Ok(Some(Outcome::AUTH_ERROR)));
    assert_eq!((modem.running(), modem.mode(), modem.scheduled()), (uuid(1), Mode::Normal, None));
    erase(&modem);
    assert_eq!(apply(&modem, &delta()), Ok(Some(Outcome::OK)));
    // What was used is for the firmware of before.
    modem.delta().update().unwrap();
    modem.shutdown().unwrap();
    assert_eq!(modem.start_normal(), Ok(Some(Outcome::UUID_ERROR)));
    assert_eq!((modem.running(), modem.scheduled()), (uuid(2), None));
}

#[test]
fn low_voltage_delays_an_update_and_nothing_else() {
    let modem = normal();
    modem.set_low_voltage(true);
    modem.shutdown().unwrap();
    assert_eq!(modem.start_normal(), Ok(None));
    modem.set_low_voltage(false);
    store(&modem, &delta()).unwrap();
    modem.delta().update().unwrap();
    modem.shutdown().unwrap();
    modem.set_low_voltage(true);
    for _ in 0..2 {
        assert_eq!(modem.start_normal().map(drop), errno(Errno::Again));
        assert_eq!((modem.mode(), modem.last_result()), (Mode::Off, Some(Outcome::VOLTAGE_LOW)));
        assert_eq!(modem.scheduled(), Some(Scheduled::Update));
        assert!(modem.delta().is_scheduled());
    }
    modem.set_low_voltage(false);
    modem.set_next_result(Outcome::VOLTAGE_LOW);
    assert_eq!(modem.start_normal().map(drop), errno(Errno::Again));
    assert_eq!(modem.start_normal(), Ok(Some(Outcome::OK)));
    assert!(!modem.delta().is_scheduled());
}

#[test]
fn a_fatal_outcome_is_told_once_and_then_nothing_starts() {
    for fatal in [Outcome::INTERNAL_ERROR, Outcome::HARDWARE_ERROR] {
        let modem = normal();
        modem.set_next_result(fatal);
        assert_eq!(apply(&modem, &delta()), Ok(Some(fatal)));
        assert_eq!((modem.is_alive(), modem.mode()), (false, Mode::Off));
        for _ in 0..2 {
            assert_eq!(modem.start_normal().map(drop), errno(Errno::Io));
            modem.power_on();
        }
    }
    let modem = normal();
    modem.kill();
    assert_eq!(modem.delta().uuid().map(drop), errno(Errno::Perm));
    assert_eq!(modem.start_normal().map(drop), errno(Errno::Io));
}

#[test]
fn any_refusal_can_be_asked_for() {
    let modem = normal();
    modem.set_next_result(Outcome::AUTH_ERROR);
    assert_eq!(apply(&modem, &delta()), Ok(Some(Outcome::AUTH_ERROR)));
    assert_eq!((modem.running(), modem.is_alive()), (uuid(1), true));
}

#[test]
fn an_odd_reset_takes_back_an_update_whose_delta_was_left() {
    for erased in [false, true] {
        let modem = normal();
        apply(&modem, &delta()).unwrap();
        if erased {
            erase(&modem);
        }
        modem.odd_reset();
        modem.power_on();
        assert_eq!(modem.start_normal(), Ok(None));
        assert_eq!(modem.running(), if erased { uuid(2) } else { uuid(1) });
    }
}

#[test]
fn starting_and_shutting_down_have_their_order() {
    let modem = FakeModem::default();
    assert_eq!(modem.shutdown(), errno(Errno::Perm));
    modem.start_normal().unwrap();
    assert_eq!(modem.start_normal().map(drop), errno(Errno::Perm));
    modem.delta().write_init().unwrap();
    modem.shutdown().unwrap();
    assert_eq!((modem.mode(), modem.write_resources()), (Mode::Off, 0));
    modem.bootloader().start().unwrap();
    assert_eq!(modem.start_normal().map(drop), errno(Errno::Perm));
    modem.bootloader().stop().unwrap();
    assert_eq!(modem.start_normal(), Ok(None));
}

#[test]
fn every_call_can_be_made_to_fail_once_in_its_turn() {
    let fault = Fault::Code(Code::Internal7);
    for call in ModemCall::DELTA.into_iter().chain(ModemCall::BOOTLOADER) {
        for cut in [Cut::Before, Cut::After] {
            let modem = FakeModem::default();
            modem.fail_amid(call, 0, fault, cut);
            modem.start_normal().unwrap();
            let mut met = Vec::new();
            let mut note = |called: ModemCall, result: Result<(), Fault>| {
                if result == Err(fault) {
                    met.push(called);
                }
            };
            let mut port = modem.delta();
            note(ModemCall::DeltaUuid, port.uuid().map(drop));
            note(ModemCall::Area, port.area().map(drop));
            note(ModemCall::Offset, port.offset().map(drop));
            note(ModemCall::WriteInit, port.write_init());
            note(ModemCall::Write, port.write(&delta()));
            note(ModemCall::WriteDone, port.write_done());
            note(ModemCall::DeltaUpdate, port.update());
            modem.shutdown().unwrap();
            modem.start_normal().unwrap();
            note(ModemCall::Rollback, port.rollback());
            note(ModemCall::Erase, port.erase());
            let (mut port, file) = (modem.bootloader(), FullFile::small(uuid(3)));
            note(ModemCall::Start, port.start());
            note(ModemCall::BlWrite, port.bl_write(&file.blob()[..256]));
            note(ModemCall::BootloaderUpdate, port.update());
            note(ModemCall::Verify, port.verify(&file.wrapper()));
            note(ModemCall::Digest, port.digest(&file.digest_ranges()).map(drop));
            note(ModemCall::BootloaderUuid, port.uuid().map(drop));
            note(ModemCall::FwWrite, port.fw_write(0x6000, &[1]));
            note(ModemCall::Stop, port.stop());
            assert_eq!((met, modem.failures_due()), (vec![call], 0), "{cut:?}");
            assert!(ModemCall::DELTA.into_iter().chain(ModemCall::BOOTLOADER).all(|call| modem.count(call) == 1));
            assert_eq!(modem.calls().len(), 17);
        }
    }
}

#[test]
fn a_failure_waits_for_its_turn_and_what_was_done_in_spite_of_it_is_done() {
    let modem = normal();
    let fault = Fault::Errno(Errno::TimedOut);
    modem.fail(ModemCall::Write, 2, fault);
    modem.fail_amid(ModemCall::DeltaUpdate, 0, fault, Cut::After);
    let (mut port, file) = (modem.delta(), delta());
    port.write_init().unwrap();
    assert_eq!(
        file.chunks(100).map(|chunk| port.write(chunk)).take(3).collect::<Vec<_>>(),
        [Ok(()), Ok(()), Err(fault)]
    );
    assert_eq!(modem.stored(), Offset::At(200));
    port.write(&file[200..]).unwrap();
    port.write_done().unwrap();
    assert_eq!(port.update(), Err(fault));
    assert_eq!((port.is_scheduled(), modem.scheduled()), (false, Some(Scheduled::Update)));
    modem.forget_calls();
    assert_eq!(modem.calls(), []);
}
