//! Deltas: cuts everywhere.

use std::time::Instant;

use dfu_testkit::flash::Cut;
use dfu_testkit::search::{chains, pairs, singles};

use crate::stored::Device;
use crate::{SOME, report};

#[test]
fn r01_a_delta_survives_a_cut_anywhere() {
    // The second file is a whole number of blocks; its progress is stored where no block ends, or at its end as well.
    for (nth, payload, save_every) in [(0, 1700, 512), (1, 1676, 500), (2, 1676, 256), (3, 1700, 512)] {
        let began = Instant::now();
        let (tells, in_flash) = (nth % 2 == 0, nth < 2);
        let device = Device::new(payload, tells, in_flash).save_every(save_every);
        let points = singles(&Cut::ALL, |cuts| device.live(cuts));
        assert!(points > 9 * if in_flash { 100 } else { 14 }, "{points}");
        report(points, began, &format!("delta, the modem tells: {tells}, progress in flash: {in_flash}"));
    }
}

#[test]
fn r03_a_delta_survives_two_cuts_anywhere() {
    for tells in [true, false] {
        let began = Instant::now();
        let device = Device::new(1700, tells, false);
        let points = pairs(SOME, |cuts| device.live(cuts));
        report(points, began, "delta, pairs");
    }
    let began = Instant::now();
    let device = Device::new(700, false, true);
    let points = pairs(SOME, |cuts| device.live(cuts));
    report(points, began, "delta, pairs, progress in flash");
}

#[test]
fn r03_a_delta_survives_cut_after_cut_after_cut() {
    let began = Instant::now();
    let count = if cfg!(debug_assertions) { 3_000 } else { 50_000 };
    let points = [(false, 14), (true, 200)].map(|(in_flash, reach)| {
        let device = Device::new(1676, false, in_flash).save_every(500);
        chains::<5>(count, reach, &Cut::ALL, |cuts| device.live(cuts))
    });
    report(points.into_iter().sum(), began, "delta, up to five in a row, at random");
}
