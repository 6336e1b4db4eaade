//! Every answer at every call of the modem's bootloader.

use std::time::Instant;

use dfu_target::ErrorKind;
use dfu_target_nrf_modem::port::{Errno, Fault};
use dfu_target_nrf_modem::{FullError, Recovered, Start};
use dfu_testkit::flash::{Cut, Tear};
use dfu_testkit::modem::{FullFile, ModemCall, uuid};
use dfu_testkit::poll::run;

use super::answers;
use crate::staged::{Device, NEW};
use crate::{Boot, report};

#[test]
fn r28_every_answer_at_every_call_of_a_full_update_is_typed_and_the_next_boot_gets_to_the_end() {
    let (began, mut points) = (Instant::now(), 0);
    let device = Device::<4, 1024>::new(&FullFile::small(uuid(NEW)), 512).applied();
    let counts = {
        assert_eq!(device.boot(&mut device.restore()), Boot::Reset);
        ModemCall::BOOTLOADER.map(|call| (call, device.modem.count(call) as u32))
    };
    // The first point at which power fails so that the modem is dead.
    let deadly = (0..).find(|point| {
        let mut life = device.restore();
        device.modem.cut_after(*point, Cut::After);
        let _ = device.boot(&mut life);
        !device.modem.is_alive()
    });
    for (dead, (call, count)) in [None, deadly].into_iter().flat_map(|dead| counts.map(|counts| (dead, counts))) {
        assert!(count > 0 || call == ModemCall::BootloaderUuid, "{call:?}");
        for (nth, cut) in
            (0..count).flat_map(|nth| [Cut::Before, Cut::Torn(Tear::Random), Cut::After].map(|cut| (nth, cut)))
        {
            for fault in answers() {
                let mut life = device.restore();
                if let Some(point) = dead {
                    device.modem.cut_after(point, Cut::After);
                    assert_eq!((device.boot(&mut life), device.modem.is_alive()), (Boot::Reset, false));
                    device.modem.power_on();
                }
                device.modem.fail_amid(call, nth, fault, cut);
                let recovered = device.with(|mut target, _| {
                    let modem = &mut device.bootloader();
                    let recovered = run(target.recover(modem, Start::NotTried, &device.program(), &mut [0; 200]));
                    life.refused = matches!(recovered, Err(FullError::Refused(_)));
                    device.check(&life);
                    recovered
                });
                points += 1;
                let refuses = call == ModemCall::Verify && matches!(fault, Fault::Errno(Errno::Perm | Errno::NoExec));
                match recovered {
                    Ok(Recovered::Programmed) => {}
                    Err(FullError::Refused(told)) => assert!(refuses && told == fault && dead.is_none()),
                    Err(error @ FullError::Modem(told)) => {
                        assert_eq!(told, fault);
                        let kind = dfu_target::Error::kind(&error);
                        assert_eq!(fault.is_low_voltage(), kind == ErrorKind::Busy);
                    }
                    // The loader was not run, or torn: what the modem says then is its own.
                    other => panic!("{call:?} {nth} {fault} {cut:?}: {other:?}"),
                }
                assert!(device.modem.is_alive() || !refuses || dead.is_some());
                device.modem.power_on();
                assert_eq!(device.go_on(&mut life, &[]), 0);
            }
        }
    }
    report(points, began, "answers to a full update");
}
