use std::time::Duration;

use embedded_hal_async::delay::DelayNs;

use super::*;
use crate::flash::{Cut, Tear};
use crate::modem::{ModemCall, Wait};
use crate::poll::run;

#[test]
fn a_delta_is_stored_as_it_is_and_gone_on_with_after_a_pause() {
    let (modem, file) = (normal(), delta());
    let mut port = modem.delta();
    assert_eq!((port.uuid(), port.area(), port.offset()), (Ok(uuid(1)), Ok(8192), Ok(Offset::At(0))));
    port.write_init().unwrap();
    assert_eq!((port.write_init(), modem.write_resources()), (errno(Errno::Already), 1));
    port.write(&file[..300]).unwrap();
    port.write_done().unwrap();
    assert_eq!((port.offset(), modem.write_resources()), (Ok(Offset::At(300)), 0));
    port.write_init().unwrap();
    port.write(&file[300..]).unwrap();
    port.write_done().unwrap();
    assert_eq!(modem.stored(), Offset::At(file.len() as u32));
    assert_eq!(modem.save().content, crate::modem::Content::Bytes(file));
}

#[test]
fn outside_of_normal_mode_every_call_is_refused() {
    let modem = FakeModem::default();
    for in_bootloader in [false, true] {
        if in_bootloader {
            modem.bootloader().start().unwrap();
        }
        let mut port = modem.delta();
        assert_eq!(port.uuid().map(drop), errno(Errno::Perm));
        assert_eq!(port.area().map(drop), errno(Errno::Perm));
        assert_eq!(port.offset().map(drop), errno(Errno::Perm));
        assert_eq!((port.write_init(), port.write_done()), (errno(Errno::Perm), errno(Errno::Perm)));
        assert_eq!((port.erase(), port.update()), (errno(Errno::Perm), errno(Errno::Perm)));
        assert_eq!(port.rollback(), errno(Errno::Perm));
        assert_eq!(port.write(&[1]), errno(Errno::Perm));
    }
}

#[test]
fn calls_out_of_order_are_refused() {
    let (modem, file) = (normal(), delta());
    let mut port = modem.delta();
    assert_eq!(port.write(&file[..100]), code(Code::InvalidOperation));
    assert_eq!(port.write_done(), code(Code::InvalidOperation));
    port.write_init().unwrap();
    port.write(&file).unwrap();
    assert_eq!(port.update(), code(Code::InvalidOperation));
    assert_eq!(port.erase(), code(Code::InvalidOperation));
    assert_eq!(port.rollback(), code(Code::InvalidOperation));
    port.write_done().unwrap();
    assert_eq!(port.rollback(), code(Code::NotAllowed));
    port.update().unwrap();
}

#[test]
fn writes_are_not_empty_not_large_and_have_memory() {
    let modem = FakeModem::new(Settings::new().block(200).memory(1000));
    modem.start_normal().unwrap();
    let (mut port, file) = (modem.delta(), delta());
    port.write_init().unwrap();
    assert_eq!(port.write(&[]), errno(Errno::Inval));
    assert_eq!(port.write(&file[..201]), code(Code::BlockTooLarge));
    modem.take_memory(801);
    assert_eq!(port.write(&file[..200]), errno(Errno::NoMem));
    port.write(&file[..199]).unwrap();
    modem.take_memory(1000);
    assert_eq!(port.offset().map(drop), errno(Errno::NoMem));
    modem.take_memory(0);
    port.write(&file[199..399]).unwrap();
    assert_eq!(modem.stored(), Offset::At(399));
}

#[test]
fn a_delta_is_judged_as_soon_as_its_front_is_there() {
    let spoilt = |at: usize| {
        let mut file = delta();
        file[at] ^= 1;
        file
    };
    let long = DeltaFile::new(uuid(1), uuid(2)).payload(8192 - 115).build();
    let longer = [delta(), vec![0; 100]].concat();
    for (file, wanted) in [
        (spoilt(3), code(Code::InvalidHeader)),
        (spoilt(5), code(Code::InvalidHeader)),
        (spoilt(8), code(Code::InvalidUuid)),
        (spoilt(43), code(Code::InvalidUuid)),
        (long, code(Code::InvalidHeader)),
        (longer, code(Code::InvalidFileOffset)),
        (DeltaFile::new(uuid(2), uuid(1)).build(), code(Code::InvalidUuid)),
        (spoilt(44), Ok(())),
        (delta(), Ok(())),
    ] {
        for chunk in [1, 7, 8, 44, 50, 116, 200] {
            let modem = normal();
            let mut port = modem.delta();
            port.write_init().unwrap();
            assert_eq!(file.chunks(chunk).try_for_each(|chunk| port.write(chunk)), wanted, "{chunk}");
        }
    }
}

#[test]
fn the_write_that_completes_a_field_is_the_one_that_is_refused() {
    let file = DeltaFile::new(uuid(2), uuid(1)).build();
    for (bytes, wanted) in [(&b"01234567"[..], Code::InvalidHeader), (&file[..44], Code::InvalidUuid)] {
        let modem = normal();
        let mut port = modem.delta();
        port.write_init().unwrap();
        let (last, front) = bytes.split_last().unwrap();
        port.write(front).unwrap();
        assert_eq!(port.write(&[*last]), code(wanted));
        assert_eq!(modem.stored(), Offset::At(front.len() as u32), "nothing of it is stored");
    }
}

#[test]
fn an_area_that_is_not_blank_is_met_where_it_is_not_and_erasing_helps() {
    let modem = normal();
    modem.soil_area(250);
    assert_eq!(modem.delta().offset(), Ok(Offset::At(0)));
    assert_eq!(store(&modem, &delta()), code(Code::AreaNotBlank));
    assert_eq!(modem.stored(), Offset::At(200));
    modem.delta().write_done().unwrap();
    modem.soil_area(8191);
    erase(&modem);
    assert_eq!(modem.save().content, crate::modem::Content::Bytes(vec![]));
    assert_eq!(store(&modem, &delta()), Ok(()));
}

#[test]
fn erasing_takes_its_polls_and_more_while_registered() {
    let modem = FakeModem::new(Settings::new().erase(Wait::Polls(3), Wait::Polls(5)));
    modem.start_normal().unwrap();
    for (registered, wanted) in [(false, 3), (true, 5)] {
        modem.set_registered(registered);
        store(&modem, &delta()).unwrap();
        let mut port = modem.delta();
        port.update().unwrap();
        assert!(port.is_scheduled());
        port.erase().unwrap();
        assert!(!port.is_scheduled());
        assert_eq!(modem.scheduled(), None);
        assert_eq!((port.update(), port.erase()), (code(Code::ErasePending), code(Code::ErasePending)));
        port.write_init().unwrap();
        assert_eq!(port.write(&delta()), code(Code::ErasePending));
        port.write_done().unwrap();
        for _ in 0..wanted {
            assert_eq!(port.offset().map(drop), code(Code::ErasePending));
        }
        assert_eq!(port.offset(), Ok(Offset::At(0)));
    }
}

#[test]
fn erasing_takes_its_time_and_may_not_end_before_the_modem_is_offline() {
    let modem = FakeModem::new(Settings::new().erase(Wait::Millis(500), Wait::Forever));
    modem.start_normal().unwrap();
    modem.set_registered(true);
    let (mut port, mut delay) = (modem.delta(), modem.delay());
    port.erase().unwrap();
    run(delay.delay_ms(499));
    assert_eq!(port.offset().map(drop), code(Code::ErasePending));
    run(delay.delay_ms(100_000));
    assert_eq!(port.offset().map(drop), code(Code::ErasePending));
    modem.set_registered(false);
    assert_eq!(port.offset(), Ok(Offset::At(0)));
    port.erase().unwrap();
    run(delay.delay_us(499_999));
    assert_eq!(port.offset().map(drop), code(Code::ErasePending));
    run(delay.delay_ns(1_000));
    assert_eq!(port.offset(), Ok(Offset::At(0)));
    assert_eq!(modem.elapsed(), Duration::from_millis(499 + 100_000 + 500));
}

#[test]
fn a_wait_that_is_dropped_takes_no_time() {
    let modem = normal();
    assert!(crate::poll::poll_limited(modem.delay().delay_ms(9), 1).is_none());
    assert_eq!(modem.elapsed(), Duration::ZERO);
}

#[test]
fn an_update_needs_all_of_the_delta() {
    let (modem, file) = (normal(), delta());
    assert_eq!(modem.delta().update(), code(Code::IncompleteData));
    store(&modem, &file[..file.len() - 1]).unwrap();
    assert_eq!(modem.delta().update(), code(Code::IncompleteData));
    store(&modem, &file[file.len() - 1..]).unwrap();
    assert_eq!(modem.delta().update(), Ok(()));
    assert!(modem.delta().is_scheduled());
}

#[test]
fn low_voltage_refuses_what_programs() {
    let modem = normal();
    store(&modem, &delta()).unwrap();
    modem.set_low_voltage(true);
    let mut port = modem.delta();
    assert_eq!((port.erase(), port.update()), (code(Code::LowVoltage), code(Code::LowVoltage)));
    port.write_init().unwrap();
    assert_eq!(port.write(&[1]), code(Code::LowVoltage));
    port.write_done().unwrap();
    assert_eq!(port.offset(), Ok(Offset::At(delta().len() as u32)));
    modem.set_low_voltage(false);
    assert_eq!(port.update(), Ok(()));
}

#[test]
fn an_aborted_write_leaves_the_area_dirty_until_it_is_erased() {
    let modem = normal();
    modem.fail_amid(ModemCall::Write, 1, Fault::Code(Code::InterruptedWrite), Cut::Torn(Tear::Front));
    assert_eq!(store(&modem, &delta()), code(Code::InterruptedWrite));
    assert_eq!((modem.delta().offset(), modem.failures_due()), (Ok(Offset::Dirty), 0));
    assert_eq!(modem.delta().write(&[1]), code(Code::InterruptedWrite));
    modem.delta().write_done().unwrap();
    erase(&modem);
    assert_eq!(store(&modem, &delta()), Ok(()));
}
