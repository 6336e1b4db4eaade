//! Full updates, staged: cuts everywhere.

use std::time::Instant;

use dfu_target_nrf_modem::{Recovered, Start};
use dfu_testkit::flash::Cut;
use dfu_testkit::modem::{FullFile, uuid};
use dfu_testkit::poll::run;
use dfu_testkit::scenario::Cutting;
use dfu_testkit::search::{chains, pairs, singles};

use crate::staged::{Device, NEW};
use crate::{SOME, report};

pub(crate) fn small() -> FullFile {
    FullFile::small(uuid(NEW))
}

#[test]
fn r01_a_full_update_survives_a_cut_anywhere() {
    let began = Instant::now();
    let device = Device::<4, 1024>::new(&small(), 300);
    let points = singles(&Cut::ALL, |cuts| device.live(cuts));
    assert!(points > 9 * 500, "{points}");
    report(points, began, "words of 4, units of 1024, from the first byte on");

    let began = Instant::now();
    let file = small().loader(1500).header(8192).ranges(&[(0x6000, 9000), (0x5_0000, 700)]);
    let device = Device::<32, 512, 4>::new(&file, 1000);
    let points = singles(&Cut::ALL, |cuts| device.live(cuts));
    assert!(points > 9 * 400, "{points}");
    report(points, began, "words of 32, units of 512, from the first byte on");
}

#[test]
fn a_full_update_that_is_erased_ahead_survives_a_cut_anywhere() {
    let device = Device::<32, 512, 4>::new(&small(), 200).preparing();
    let points = singles(&Cut::ALL, |cuts| device.live(cuts));
    assert!(points > 9 * 100, "{points}");
}

#[test]
fn r05_a_full_update_in_flash_that_is_erased_to_zeros_survives_a_cut_anywhere() {
    let began = Instant::now();
    let device = Device::<4, 1024>::erased_to(0, &small(), 300);
    let points = singles(&Cut::ALL, |cuts| device.live(cuts));
    assert!(points > 9 * 500, "{points}");
    report(points, began, "words of 4, erased to zeros, from the first byte on");
}

#[test]
fn r03_a_full_update_survives_two_cuts_anywhere() {
    for erased in [0xff, 0] {
        let began = Instant::now();
        let mut device = Device::<32, 512, 4>::erased_to(erased, &small(), 512);
        device.record = Some(Default::default());
        let points = pairs(SOME, |cuts| device.live(cuts));
        report(points, began, &format!("pairs, words of 32, erased to {erased:#04x}, from the first byte on"));
    }
}

#[test]
fn r28_programming_survives_two_cuts_anywhere() {
    let began = Instant::now();
    let device = Device::<32, 512, 4>::erased_to(0, &small(), 512).verified();
    let points = pairs(SOME, |cuts| device.live(cuts));
    report(points, began, "pairs, words of 32, erased to zeros, from apply on");
    if cfg!(debug_assertions) {
        return;
    }
    let began = Instant::now();
    let device = Device::<4, 1024>::new(&small(), 512).verified();
    let points = pairs(SOME, |cuts| device.live(cuts));
    report(points, began, "pairs, words of 4, from apply on");
}

#[test]
fn r03_cut_after_cut_after_cut_is_survived() {
    let began = Instant::now();
    let device = Device::<4, 1024>::new(&small(), 512).verified();
    let count = if cfg!(debug_assertions) { 2_000 } else { 50_000 };
    let points = chains::<5>(count, 110, &Cut::ALL, |cuts| device.live(cuts));
    report(points, began, "up to five in a row, at random");
}

/// The modem is programmed, dies later on its own, and is programmed again from what is staged yet. The first cut comes
/// before its death, where there are two.
fn die_later<const W: usize, const E: usize, const R: usize>(device: &Device<W, E, R>, cuttings: &[Cutting]) -> u64 {
    let life = device.restore();
    let recover = |start| {
        device.with(|mut target, _| {
            run(target.recover(&mut device.bootloader(), start, &device.program(), &mut [0; 512]))
        })
    };
    let mut cuts = 0;
    let (early, late) = cuttings.split_at(cuttings.len() - 1);
    for (cutting, dies) in [(early.first(), true), (late.first(), false)] {
        cutting.into_iter().for_each(|next| device.modem.cut_after(next.point, next.cut));
        for nth in 0.. {
            assert!(nth < 6, "no end of it after {cuttings:?}");
            let mut recovered = recover(Start::NotTried);
            if recovered == Ok(Recovered::Nothing) {
                if device.modem.start_normal().is_ok() {
                    break;
                }
                recovered = recover(Start::Failed);
            }
            if !device.modem.is_powered() {
                cuts += 1;
                device.modem.power_on();
            } else {
                assert_eq!(recovered, Ok(Recovered::Programmed), "after {cuttings:?}");
                let _ = device.modem.shutdown();
            }
        }
        assert_eq!(device.modem.running(), device.new_firmware());
        device.check(&life);
        if dies && cuts < early.len() as u64 {
            return 0;
        }
        device.modem.power_on();
        if dies {
            device.modem.kill();
        }
    }
    cuts
}

#[test]
fn r28_a_modem_that_dies_later_is_programmed_again_through_cuts_anywhere() {
    let began = Instant::now();
    let device = Device::<4, 1024>::new(&small(), 512).applied();
    let points = singles(&Cut::ALL, |cuts| die_later(&device, cuts));
    report(points, began, "programmed again");
    let began = Instant::now();
    let device = Device::<32, 512, 4>::new(&small(), 512).applied();
    let points = pairs(SOME, |cuts| die_later(&device, cuts));
    report(points, began, "programmed again, pairs");
}
