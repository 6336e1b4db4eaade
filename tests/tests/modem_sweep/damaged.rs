//! What is staged is damaged, or does not become what was expected.

use std::time::Instant;

use dfu_target::session::SessionError;
use dfu_target::{DfuTarget, Digest};
use dfu_target_nrf_modem::{FullError, Program, Recovered, Start};
use dfu_testkit::flash::{Cut, Fault};
use dfu_testkit::modem::{FullFile, uuid};
use dfu_testkit::poll::run;
use dfu_testkit::store::RamStore;

use crate::full::small;
use crate::push::Until;
use crate::report;
use crate::staged::{Device, Target};

#[test]
fn r02_either_copy_of_the_marker_is_enough() {
    let device = Device::<4, 1024>::new(&small(), 512).applied();
    let units = device.file.len().div_ceil(1024) as u32;
    for copy in [units + 1, units + 2] {
        let mut states = [0; 3];
        for point in 0.. {
            let mut life = device.restore();
            device.modem.cut_after(point, Cut::After);
            let _ = device.boot(&mut life);
            let over = device.modem.is_powered();
            device.modem.power_on();
            let dead = !device.modem.is_alive();
            states[usize::from(dead) + 2 * usize::from(over)] += 1;
            if dead || over {
                device.chip.sim().flip(copy * 1024 + 9, 5);
                device.check(&life);
            }
            assert_eq!(device.go_on(&mut life, &[]), 0);
            if over {
                break;
            }
        }
        assert!(states.iter().all(|count| *count > 0), "{states:?}");
    }
}

#[test]
fn r28_a_staged_file_that_was_damaged_is_not_given_to_the_modem() {
    let device = Device::<4, 1024>::new(&small(), 512).applied();
    for byte in 0..device.file.len() as u32 {
        let _ = device.restore();
        device.chip.sim().flip(1024 + byte, (byte % 8) as u8);
        device.with(|mut target, _| {
            let modem = &mut device.bootloader();
            let recovered = run(target.recover(modem, Start::NotTried, &device.program(), &mut [0; 512]));
            assert_eq!(recovered, Err(FullError::Damaged), "byte {byte}");
        });
        assert_eq!(device.modem.calls(), []);
        assert!(device.modem.start_normal().is_ok());
    }
}

#[test]
fn r23_a_modem_that_never_reads_as_expected_is_programmed_three_times_and_then_waits_for_another_file() {
    let began = Instant::now();
    let device = Device::<4, 1024>::new(&small(), 512).applied();
    let ranges = small().digest_ranges();
    let program = Program::new().expect(&ranges, Digest([1; 32]));
    let mut points = 0;
    for cut in Cut::ALL {
        for point in 0.. {
            let _ = device.restore();
            device.modem.cut_after(point, cut);
            let (mut cuts, mut boots) = (0, 0);
            loop {
                let recovered = device.with(|mut target, _| {
                    run(target.recover(&mut device.bootloader(), Start::NotTried, &program, &mut [0; 512]))
                });
                match recovered {
                    Ok(Recovered::Nothing) => break,
                    Err(FullError::Mismatch) => {}
                    other => {
                        assert!(other.is_err() && !device.modem.is_powered(), "{other:?}");
                        cuts += 1;
                    }
                }
                boots += 1;
                assert!(boots <= 3 + cuts, "there is no end of it");
                if !device.modem.is_powered() {
                    device.modem.power_on();
                }
            }
            // It may start for all that.
            assert!(device.modem.start_normal().is_ok());
            let other = FullFile::small(uuid(8)).version(2, 2).build();
            device.with(|mut target, _| {
                let modem = &mut device.modem.bootloader();
                let recovered = run(target.recover(modem, Start::Worked, &program, &mut [0; 64]));
                assert_eq!(recovered, Ok(Recovered::Nothing));
                run(device.push(&other).run(&mut target, RamStore::new(), Until::Applied)).unwrap();
                let recovered = run(target.recover(modem, Start::NotTried, &Program::new(), &mut [0; 64]));
                assert_eq!((recovered, device.modem.running()), (Ok(Recovered::Programmed), uuid(8)));
            });
            if cuts == 0 {
                break;
            }
            points += 1;
        }
    }
    report(points, began, "not as expected");
}

#[test]
fn r28_with_a_dead_modem_and_a_damaged_file_the_application_goes_on_and_another_file_helps() {
    let device = Device::<4, 1024>::new(&small(), 512).applied();
    let mut life = device.restore();
    // The marker's four words of 13 each, then the pages.
    let dead = (0..).find(|point| {
        life = device.restore();
        device.modem.cut_after(*point, Cut::After);
        let _ = device.boot(&mut life);
        !device.modem.is_alive()
    });
    assert!(dead.is_some());
    device.modem.power_on();
    device.chip.sim().flip(1024 + 900, 3);
    let other = FullFile::small(uuid(8)).version(2, 2).build();
    device.with(|mut target, _| {
        let modem = &mut device.bootloader();
        let mut recover = |target: &mut Target<'_, 4, 1024, 1>, start| {
            run(target.recover(modem, start, &device.program(), &mut [0; 512]))
        };
        assert_eq!(recover(&mut target, Start::NotTried), Err(FullError::Damaged));
        assert!(device.modem.start_normal().is_err());
        assert_eq!(recover(&mut target, Start::Failed), Err(FullError::Damaged));
        for _ in 0..2 {
            let pushed = run(device.push(&other).run(&mut target, RamStore::new(), Until::Applied));
            assert_eq!(pushed, Err(SessionError::Target(FullError::Incomplete)));
            assert_eq!(run(target.abort()), Err(FullError::Incomplete));
        }
        run(target.discard()).unwrap();
        assert_eq!(recover(&mut target, Start::Failed), Ok(Recovered::NoRemedy));
        run(device.push(&other).run(&mut target, RamStore::new(), Until::Applied)).unwrap();
        let recovered =
            run(target.recover(&mut device.modem.bootloader(), Start::NotTried, &Program::new(), &mut [0; 64]));
        assert_eq!(recovered, Ok(Recovered::Programmed));
    });
    device.modem.power_on();
    assert_eq!((device.modem.start_normal(), device.modem.running()), (Ok(None), uuid(8)));
}

#[test]
fn r04_a_flash_that_fails_once_anywhere_costs_a_boot_or_two() {
    use Fault::*;
    let (began, mut points) = (Instant::now(), 0);
    let device = Device::<4, 1024>::new(&small(), 512).applied();
    for fault in [Failed, FailedRead, FailedWrite, FailedErase, SilentWrite, SilentErase, WeakWrite, FlippedRead] {
        for nth in 0.. {
            let _ = device.restore();
            device.chip.sim().fault_after(nth, fault);
            let recover = |start| {
                device.with(|mut target, _| {
                    run(target.recover(&mut device.bootloader(), start, &device.program(), &mut [0; 200]))
                })
            };
            let mut errors = 0;
            for boot in 0.. {
                assert!(boot < 5, "{fault:?} {nth}: there is no end of it");
                let mut recovered = recover(Start::NotTried);
                if device.modem.start_normal().is_ok() && recovered == Ok(Recovered::Nothing) {
                    break;
                }
                if recovered == Ok(Recovered::Nothing) {
                    recovered = recover(Start::Failed);
                }
                errors += u32::from(recovered.is_err());
                let _ = device.modem.shutdown();
            }
            assert!(errors <= 1 && device.modem.running() == device.new_firmware());
            if device.chip.sim().fault_is_due() {
                break;
            }
            points += 1;
        }
    }
    report(points, began, "faults of the flash");
}
