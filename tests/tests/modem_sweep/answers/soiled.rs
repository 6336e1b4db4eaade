//! The modem's area is not what its offset tells.

use dfu_target::session::SessionError;
use dfu_target::{DfuTarget, Error as _, ErrorKind, ProgressStore};
use dfu_target_nrf_modem::DeltaError;
use dfu_target_nrf_modem::port::{Code, Fault};
use dfu_testkit::modem::{Content, ModemCall, ModemState};
use dfu_testkit::poll::run;

use crate::Boot;
use crate::push::Until;
use crate::stored::Device;

#[test]
fn r27_a_modem_whose_area_is_not_blank_in_mid_stream_is_erased_and_given_all_again_twice_at_most() {
    let device = Device::new(1700, true, false);
    for (code, times) in
        [Code::AreaNotBlank, Code::InvalidFileOffset].into_iter().flat_map(|code| (1..=3).map(move |n| (code, n)))
    {
        let mut life = device.restore();
        device.modem.start_normal().unwrap();
        (0..times).for_each(|n| device.modem.fail(ModemCall::Write, 3 + 4 * n, Fault::Code(code)));
        let mut target = device.target(&life);
        let pushed = device.with_store(&mut life, |store| run(device.push().run(&mut target, store, Until::Applied)));
        if code == Code::InvalidFileOffset {
            // The modem is where it should be: it wants no more, and giving it all again would change nothing.
            assert_eq!(pushed, Err(SessionError::Target(DeltaError::Modem(Fault::Code(code)))));
            assert_eq!(device.modem.count(ModemCall::Erase), 1);
            continue;
        }
        match times {
            1 | 2 => assert_eq!(pushed, Ok(())),
            _ => assert_eq!(pushed, Err(SessionError::Target(DeltaError::Modem(Fault::Code(code))))),
        }
        // That of another delta, and one for each start over.
        assert_eq!(device.modem.count(ModemCall::Erase), 1 + times.min(2) as usize);
        assert_eq!(device.modem.write_resources(), 0);
    }
    // An area that never is: it is not tried for ever.
    let mut life = device.restore();
    device.modem.start_normal().unwrap();
    (0..100).for_each(|_| device.modem.fail(ModemCall::Write, 0, Fault::Code(Code::AreaNotBlank)));
    let mut target = device.target(&life);
    let pushed = device.with_store(&mut life, |store| run(device.push().run(&mut target, store, Until::Applied)));
    assert_eq!(pushed.map_err(|error| error.kind()), Err(ErrorKind::Storage));
    assert_eq!(device.modem.count(ModemCall::Write), 3);
}

#[test]
fn r27_an_area_that_is_said_to_be_empty_and_is_not_blank_is_erased() {
    let device = Device::new(1700, true, false);
    // In front of the first byte, amid the first piece, behind what is recorded; once, and each time it is tried.
    for (at, times) in [0, 63, 64, 100, 700, 1500].into_iter().flat_map(|at| (1..=3).map(move |times| (at, times))) {
        let mut life = device.restore();
        device.modem.start_normal().unwrap();
        let mut target = device.target(&life);
        let blank = ModemState { offset: 0, content: Content::Bytes(vec![]), ..device.before.clone() };
        device.modem.reload(&blank);
        device.modem.start_normal().unwrap();
        for nth in 0..times {
            device.modem.soil_area(at);
            let pushed =
                device.with_store(&mut life, |store| run(device.push().run(&mut target, store, Until::Applied)));
            assert_eq!(pushed, Ok(()), "{at} {nth}");
            if nth + 1 < times {
                device.with_store(&mut life, |store| run(store.clear())).unwrap();
                run(target.abort()).unwrap();
            }
        }
        // What is soiled after three errors of that kind does not hold it up for ever.
        device.with_store(&mut life, |store| run(store.clear())).unwrap();
        run(target.abort()).unwrap();
        (0..3).for_each(|nth| device.modem.fail(ModemCall::Write, 4 + 4 * nth, Fault::Code(Code::AreaNotBlank)));
        let mut push =
            || device.with_store(&mut life, |store| run(device.push().run(&mut target, store, Until::Applied)));
        assert!(push().is_err());
        device.modem.soil_area(1600);
        assert_eq!(push(), Ok(()));
        drop(target);
        device.modem.shutdown().unwrap();
        assert_eq!(device.boot(&mut life), Boot::Done);
        device.finished(&mut life);
    }
}

#[test]
fn r04_a_modem_that_takes_bytes_and_does_not_hold_them_is_found_out() {
    let device = Device::new(1700, true, false);
    // Nothing before the header is whole: the modem itself would miss that.
    for lost in 2..8 {
        let mut life = device.restore();
        life.loses.set(Some(lost));
        device.modem.start_normal().unwrap();
        let mut target = device.target(&life);
        let mut push =
            || device.with_store(&mut life, |store| run(device.push().run(&mut target, store, Until::Applied)));
        let pushed = push();
        let Err(SessionError::Target(error @ DeltaError::Lost { have: 1816, .. })) = pushed else {
            panic!("{lost}: {pushed:?}");
        };
        assert_eq!((error.kind(), device.modem.scheduled()), (ErrorKind::Corrupt, None));
        assert_eq!(push(), Ok(()));
        drop(target);
        device.modem.shutdown().unwrap();
        assert_eq!(device.boot(&mut life), Boot::Done);
        device.finished(&mut life);
    }
}
