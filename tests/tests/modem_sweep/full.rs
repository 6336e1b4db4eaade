//! Full updates, staged: cuts everywhere.

use std::time::Instant;

use dfu_target_nrf_modem::{FullError, Recovered, Start};
use dfu_testkit::flash::Cut;
use dfu_testkit::modem::{FullFile, uuid};
use dfu_testkit::poll::run;

use crate::staged::{Device, NEW};
use crate::{SOME, report, sweep, sweep_pairs};

fn small() -> FullFile {
    FullFile::small(uuid(NEW))
}

#[test]
fn a_full_update_survives_a_cut_anywhere() {
    let began = Instant::now();
    let device = Device::<4, 1024>::new(&small(), 300);
    let points = sweep(&Cut::ALL, |cuts| device.live(cuts));
    assert!(points > 7 * 500, "{points}");
    report(points, began, "words of 4, units of 1024, from the first byte on");

    let began = Instant::now();
    let file = small().loader(1500).ranges(&[(0x6000, 9000), (0x5_0000, 700)]);
    let device = Device::<32, 512, 4>::new(&file, 1000);
    let points = sweep(&Cut::ALL, |cuts| device.live(cuts));
    assert!(points > 7 * 400, "{points}");
    report(points, began, "words of 32, units of 512, from the first byte on");
}

#[test]
fn a_full_update_survives_two_cuts_anywhere() {
    let began = Instant::now();
    let mut device = Device::<32, 512, 4>::new(&small(), 512);
    device.record = Some(Default::default());
    let points = sweep_pairs(SOME, |cuts| device.live(cuts));
    report(points, began, "pairs, words of 32, from the first byte on");
}

#[test]
fn programming_survives_two_cuts_anywhere() {
    let began = Instant::now();
    if cfg!(debug_assertions) {
        let device = Device::<32, 512, 4>::new(&small(), 512).verified();
        let points = sweep_pairs(&Cut::ALL, |cuts| device.live(cuts));
        return report(points, began, "pairs, words of 32, from apply on");
    }
    let device = Device::<4, 1024>::new(&small(), 512).verified();
    let points = sweep_pairs(&Cut::ALL, |cuts| device.live(cuts));
    report(points, began, "pairs, words of 4, from apply on");
}

#[test]
fn cut_after_cut_after_cut_is_survived() {
    let began = Instant::now();
    let device = Device::<4, 1024>::new(&small(), 512).verified();
    let mut rng = fastrand::Rng::with_seed(11);
    let chains = if cfg!(debug_assertions) { 2_000 } else { 50_000 };
    let points = (0..chains).map(|_| {
        let cuts = [(); 5].map(|()| crate::Cutting { point: rng.u64(0..110), cut: rng.choice(Cut::ALL).unwrap() });
        device.live(&cuts)
    });
    report(points.sum(), began, "up to five in a row, at random");
}

#[test]
fn a_modem_that_dies_later_is_programmed_again_through_cuts_anywhere() {
    let began = Instant::now();
    let device = Device::<4, 1024>::new(&small(), 512).applied();
    let mut last = 0;
    for cut in Cut::ALL {
        for point in 0.. {
            let mut life = device.restore();
            let boots = [device.boot(&mut life)];
            assert_eq!((boots, device.modem.running()), ([crate::Boot::Reset], device.new_firmware()));
            device.modem.power_on();
            device.modem.kill();
            device.modem.cut_after(point, cut);
            let again = |start| {
                device.with(|mut target, _| {
                    let modem = &mut device.modem.bootloader();
                    run(target.recover(modem, start, &device.program(), &mut [0; 512]))
                })
            };
            if again(Start::NotTried) != Ok(Recovered::Nothing) {
                panic!("its normal start is to be tried first");
            }
            assert!(device.modem.start_normal().is_err());
            let is_over = again(Start::Failed) == Ok(Recovered::Programmed);
            if !is_over {
                assert!(!device.modem.is_powered());
                device.modem.power_on();
                // First thing at the next boot; where it was cut before the mark, the modem has to fail once more.
                if again(Start::NotTried) == Ok(Recovered::Nothing) && device.modem.start_normal().is_err() {
                    assert_eq!(again(Start::Failed), Ok(Recovered::Programmed));
                }
            }
            device.modem.power_on();
            assert_eq!(again(Start::NotTried), Ok(Recovered::Nothing));
            assert!(device.modem.start_normal().is_ok() && device.modem.running() == device.new_firmware());
            if is_over {
                break;
            }
            last += 1;
        }
    }
    report(last, began, "programmed again");
}

#[test]
fn a_staged_file_that_was_damaged_is_not_given_to_the_modem() {
    let device = Device::<4, 1024>::new(&small(), 512).applied();
    for byte in 0..device.file.len() as u32 {
        let _ = device.restore();
        device.chip.sim().flip(1024 + byte, (byte % 8) as u8);
        device.with(|mut target, _| {
            let modem = &mut device.modem.bootloader();
            let recovered = run(target.recover(modem, Start::NotTried, &device.program(), &mut [0; 512]));
            assert_eq!(recovered, Err(FullError::Damaged), "byte {byte}");
        });
        assert_eq!(device.modem.calls(), []);
        assert!(device.modem.start_normal().is_ok());
    }
}
