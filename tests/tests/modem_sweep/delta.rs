//! Deltas: cuts everywhere.

use std::time::Instant;

use dfu_testkit::flash::Cut;

use crate::stored::Device;
use crate::{Cutting, report, sweep, sweep_pairs};

#[test]
fn a_delta_survives_a_cut_anywhere() {
    for (tells, in_flash) in [(true, true), (false, true), (true, false), (false, false)] {
        let began = Instant::now();
        let device = Device::new(1700, tells, in_flash);
        let points = sweep(&Cut::ALL, |cuts| device.live(cuts));
        assert!(points > 7 * if in_flash { 100 } else { 14 }, "{points}");
        report(points, began, &format!("delta, the modem tells: {tells}, progress in flash: {in_flash}"));
    }
}

#[test]
fn a_delta_survives_two_cuts_anywhere() {
    for tells in [true, false] {
        let began = Instant::now();
        let device = Device::new(1700, tells, false);
        let points = sweep_pairs(&Cut::ALL, |cuts| device.live(cuts));
        report(points, began, "delta, pairs");
        let began = Instant::now();
        let device = Device::new(700, tells, true);
        let points = sweep_pairs(crate::SOME, |cuts| device.live(cuts));
        report(points, began, "delta, pairs, progress in flash");
    }
}

#[test]
fn a_delta_survives_cut_after_cut_after_cut() {
    let began = Instant::now();
    let mut rng = fastrand::Rng::with_seed(12);
    let chains = if cfg!(debug_assertions) { 3_000 } else { 50_000 };
    let points = [(false, 14), (true, 200)].into_iter().flat_map(|(in_flash, most)| {
        let device = Device::new(1700, false, in_flash);
        let rng = &mut rng;
        let cuts = |rng: &mut fastrand::Rng| {
            [(); 5].map(|()| Cutting { point: rng.u64(0..most), cut: rng.choice(Cut::ALL).unwrap() })
        };
        (0..chains).map(|_| device.live(&cuts(rng))).collect::<Vec<_>>()
    });
    report(points.sum(), began, "delta, up to five in a row, at random");
}
