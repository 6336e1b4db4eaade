//! Power fails at every flash operation of an update, in nine ways; the device never gets worse, and each update
//! is finished with no more bytes fetched again than were in doubt.

use std::sync::Mutex;
use std::time::Instant;

use dfu_target_mcuboot::{Align, Mode, Upgrade};
use dfu_testkit::device::{Board, FlashMap, MODES};
use dfu_testkit::flash::Cut;
use dfu_testkit::scenario::Scenario;
use dfu_testkit::search::{Search, Tally};

/// Cuts at every point of an update, in every way; says how many that were.
fn sweep<const W: usize, const E: usize, const R: usize>(name: &str, scenario: Scenario) {
    let tally = Search::new(scenario).singles::<W, E, R>();
    assert!(tally.lives > 2000, "an update has more points: {tally:?}");
    assert_eq!(tally.finished, tally.lives);
    report(tally, name);
}

fn report(tally: Tally, name: &str) {
    static ALL: Mutex<[u64; 2]> = Mutex::new([0; 2]);
    let mut all = ALL.lock().unwrap();
    let [points, drops] = &mut *all;
    *points += tally.points;
    *drops += tally.drops;
    let lives = format!("{} lives, {} to their end", tally.lives, tally.finished);
    println!("{tally} ({name}; {lives}); {points} and {drops} in all");
}

#[test]
fn r01_an_update_survives_a_cut_anywhere_on_an_nrf9160() {
    let scenario = Scenario::new(Board::new(Mode::SwapMove, 8 * 4096)).sizes(7003, 9001);
    sweep::<4, 4096, 4>("words of 4, swap by move, test", scenario);
}

#[test]
fn r01_a_permanent_update_survives_a_cut_anywhere() {
    let board = Board::new(Mode::SwapMove, 8 * 4096).upgrade(Upgrade::Permanent);
    let scenario = Scenario::new(board).sizes(9001, 6100).fetching(1000, 4096).preparing();
    sweep::<4, 4096, 4>("words of 4, swap by move, permanent, erased ahead", scenario);
}

#[test]
fn r01_an_update_that_begins_in_the_second_sector_survives() {
    for (upgrade, more) in [(Upgrade::Test, 0), (Upgrade::Permanent, 2048)] {
        let board = Board::new(Mode::SwapOffset, 8 * 2048).more(more).sectors(12).upgrade(upgrade);
        let scenario = Scenario::new(board).maximal(3001).fetching(777, 1024);
        sweep::<4, 2048, 4>(&format!("words of 4, swap by offset, {upgrade:?}, {more} bytes more"), scenario);
    }
}

#[test]
fn r01_an_update_that_the_bootloader_chooses_by_its_version_survives() {
    for (mode, upgrade) in [
        (Mode::DirectXip, Upgrade::Permanent),
        (Mode::DirectXipRevert, Upgrade::Test),
        (Mode::DirectXipRevert, Upgrade::Permanent),
        (Mode::RamLoad, Upgrade::Permanent),
        (Mode::RamLoadRevert, Upgrade::Test),
    ] {
        let board = Board::new(mode, 6 * 2048).sectors(12).upgrade(upgrade);
        let scenario = Scenario::new(board).sizes(3001, 5002).fetching(600, 1024);
        sweep::<4, 2048, 4>(&format!("words of 4, {mode:?}, {upgrade:?}"), scenario);
        let board = Board::new(mode, 5 * 1024).align(Align::A16).sectors(8).upgrade(upgrade);
        let scenario = Scenario::new(board).maximal(2002).fetching(333, 512);
        sweep::<16, 1024, 1>(&format!("words of 16, {mode:?}, {upgrade:?}, largest image"), scenario);
    }
}

#[test]
fn r01_an_image_of_maximal_size_that_shares_the_trailers_sector_survives() {
    for upgrade in [Upgrade::Test, Upgrade::Permanent] {
        let board = Board::new(Mode::SwapScratch, 3 * 4096).sectors(8).upgrade(upgrade);
        let scenario = Scenario::new(board).maximal(5000).fetching(700, 700);
        sweep::<8, 4096, 1>(&format!("words of 8, swap by scratch, {upgrade:?}, largest image"), scenario);
    }
}

#[test]
fn r01_an_image_of_maximal_size_in_front_of_a_trailer_of_32_survives() {
    for upgrade in [Upgrade::Test, Upgrade::Permanent] {
        let board = Board::new(Mode::SwapScratch, 4 * 2048).align(Align::A32).sectors(8).upgrade(upgrade);
        let scenario = Scenario::new(board).maximal(3000).fetching(333, 1024);
        sweep::<4, 2048, 4>(
            &format!("words of 4 in a trailer of 32, swap by scratch, {upgrade:?}, largest image"),
            scenario,
        );
    }
}

#[test]
fn r01_overwriting_survives_a_cut_anywhere() {
    let board = Board::new(Mode::OverwriteOnly, 3 * 4096).sectors(8);
    sweep::<4, 4096, 1>("words of 4, overwrite, largest image", Scenario::new(board).maximal(9000).fetching(200, 2048));
    let board = Board::new(Mode::OverwriteOnly, 8 * 1024).sectors(8).align(Align::A16);
    sweep::<16, 1024, 2>("words of 16, overwrite, largest image", Scenario::new(board).maximal(3000).preparing());
}

#[test]
fn r05_words_of_32_survive_a_cut_anywhere() {
    let board = Board::new(Mode::SwapMove, 10 * 4096).align(Align::A32).sectors(16);
    sweep::<32, 4096, 4>(
        "words of 32, swap by move, test",
        Scenario::new(board).sizes(20_011, 18_000).fetching(1500, 2048),
    );
}

#[test]
fn r05_words_of_one_byte_survive_a_cut_anywhere() {
    let board = Board::new(Mode::SwapMove, 12 * 512).sectors(12);
    sweep::<1, 512, 1>("words of 1, swap by move, test", Scenario::new(board).sizes(1500, 2000).fetching(300, 100));
}

#[test]
fn r01_pieces_that_are_no_words_survive_a_cut_anywhere() {
    // Where progress is stored, bytes of the unit before are in the writer's buffer yet.
    for (chunk, save_every) in [(3, 257), (33, 1050), (7, 513)] {
        let board = Board::new(Mode::SwapMove, 8 * 1024).sectors(8);
        let scenario = Scenario::new(board).sizes(1500, 3500).fetching(chunk, save_every);
        sweep::<4, 1024, 4>(&format!("words of 4, pieces of {chunk}, saved every {save_every}"), scenario);
    }
}

#[test]
fn r05_flash_that_is_erased_to_zeros_survives_a_cut_anywhere() {
    for upgrade in [Upgrade::Test, Upgrade::Permanent] {
        let board = Board::new(Mode::SwapMove, 10 * 1024).sectors(10).erased(0).upgrade(upgrade);
        let scenario = Scenario::new(board).sizes(4000, 5003).fetching(257, 1024);
        sweep::<4, 1024, 1>(&format!("words of 4, erased to zeros, {upgrade:?}"), scenario);
    }
}

#[test]
fn r01_a_pending_image_is_withdrawn_before_its_first_byte_changes() {
    fn withdraw(scenario: Scenario) {
        let world = scenario.build::<8, 1024, 4>();
        let mut outcomes = [0; 2];
        for cut in Cut::ALL {
            outcomes.iter_mut().zip(world.replace_pending(cut)).for_each(|(sum, count)| *sum += count);
        }
        assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
    }
    withdraw(Scenario::new(Board::new(Mode::SwapMove, 8 * 1024).sectors(8)).maximal(2000));
    withdraw(Scenario::new(Board::new(Mode::SwapScratch, 5 * 1024).sectors(8)).maximal(2000));
    withdraw(Scenario::new(Board::new(Mode::OverwriteOnly, 5 * 1024).sectors(8).align(Align::A32)).maximal(2000));
    withdraw(Scenario::new(Board::new(Mode::SwapOffset, 8 * 1024).sectors(8)).maximal(2000));
    for mode in [Mode::DirectXip, Mode::DirectXipRevert, Mode::RamLoad, Mode::RamLoadRevert] {
        withdraw(Scenario::new(Board::new(mode, 5 * 1024).sectors(8)).maximal(2000));
    }
}

#[test]
fn r01_giving_an_update_up_survives_a_cut_anywhere() {
    fn abort<const W: usize>(scenario: Scenario) -> u64 {
        let world = scenario.build::<W, 1024, 4>();
        Cut::ALL.into_iter().map(|cut| world.abort(cut)).sum()
    }
    let began = Instant::now();
    let mut points = abort::<4>(Scenario::new(Board::new(Mode::SwapMove, 8 * 1024).sectors(8)).sizes(2000, 3000))
        + abort::<8>(Scenario::new(Board::new(Mode::SwapScratch, 5 * 1024).sectors(8)).maximal(2000))
        + abort::<4>(
            Scenario::new(Board::new(Mode::OverwriteOnly, 5 * 1024).sectors(8).align(Align::A32)).maximal(2000),
        );
    points += abort::<4>(Scenario::new(Board::new(Mode::SwapOffset, 8 * 1024).sectors(8)).maximal(2000));
    for mode in [Mode::DirectXip, Mode::DirectXipRevert, Mode::RamLoad, Mode::RamLoadRevert] {
        points += abort::<4>(Scenario::new(Board::new(mode, 5 * 1024).sectors(8)).sizes(2000, 3000));
    }
    assert!(points > 100, "{points}");
    let tally = Tally { points, lives: points, finished: points, took: began.elapsed(), ..Tally::default() };
    report(tally, "giving up");
}

/// A small device.
fn small(mode: Mode, erased: u8) -> Scenario {
    let board = Board::new(mode, 8 * 256).align(Align::A16).sectors(8).erased(erased);
    Scenario::new(board).sizes(700, 900).fetching(300, 256)
}

/// The modes that swap or copy.
const MOVING: [Mode; 4] = [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset, Mode::OverwriteOnly];

#[test]
fn r03_two_cuts_are_survived_wherever_they_come() {
    for (mode, erased) in MOVING.into_iter().flat_map(|mode| [(mode, 0xff), (mode, 0)]) {
        let tally = Search::new(small(mode, erased)).ways(&Cut::FEW).pairs::<16, 256, 4>();
        assert!(tally.points > 100_000, "{mode:?}: {tally:?}");
        report(tally, &format!("pairs, words of 16, {mode:?}, erased to {erased:#04x}"));
    }
}

#[test]
fn r03_cut_after_cut_after_cut_is_survived() {
    for (mode, erased) in MOVING.into_iter().zip([0xff, 0, 0xff, 0]) {
        let tally = Search::new(small(mode, erased)).chains::<16, 256, 4>(40);
        report(tally, &format!("chains, words of 16, {mode:?}, erased to {erased:#04x}"));
    }
}

#[test]
fn r09_a_future_dropped_anywhere_costs_an_erase_unit_at_the_most() {
    for (mode, erased) in MODES.into_iter().flat_map(|mode| [(mode, 0xff), (mode, 0)]) {
        let tally = Search::new(small(mode, erased).preparing()).dropping().singles::<16, 256, 4>();
        assert!(tally.drops > 100 && tally.finished == tally.drops, "{mode:?}: {tally:?}");
        report(tally, &format!("words of 16, {mode:?}, erased to {erased:#04x}, a future dropped"));
    }
}

#[test]
fn r09_a_dropped_future_and_a_cut_behind_it_are_survived_wherever_they_come() {
    for (nth, mode) in MODES.into_iter().enumerate() {
        let tally = Search::new(small(mode, [0xff, 0][nth % 2])).dropping().ways(&Cut::FEW).pairs::<16, 256, 4>();
        assert!(tally.drops > 100 && tally.points > 100 * tally.drops, "{mode:?}: {tally:?}");
        report(tally, &format!("words of 16, {mode:?}, a future dropped and a cut behind it"));
    }
}

/// The size of the image for a real layout: a small part of it for a debug build.
const SIZE: usize = if cfg!(debug_assertions) { 24 * 1024 } else { 256 * 1024 };

/// 1 MiB, pages of 4 KiB, words of 4 bytes, the partitions of the nRF Connect SDK.
const NRF9160: Scenario = {
    let board = Board::new(Mode::SwapMove, FlashMap::NRF9160_SLOT).map(FlashMap::NRF9160);
    Scenario::new(board).sizes(16 * 1024, SIZE).fetching(1024, 4096)
};

#[test]
fn r01_a_cut_anywhere_on_a_real_layout_is_survived() {
    let tally = Search::new(NRF9160).finishing_one_in(128).singles::<4, 4096, 4>();
    assert!(tally.points > SIZE as u64, "{tally}");
    report(tally, "nRF9160, 1 MiB");
}

#[test]
fn r03_chains_of_cuts_on_a_real_layout_are_survived() {
    let tally = Search::new(NRF9160).finishing_one_in(256).chains::<4, 4096, 4>(2);
    assert!(tally.lives > SIZE as u64 * 2 / 5, "{tally:?}");
    report(tally, "nRF9160, 1 MiB, chains");
}

const DROPPING: Search = Search::new(NRF9160).finishing_one_in(64).dropping();

#[test]
fn r09_a_future_dropped_anywhere_on_a_real_layout_costs_an_erase_unit_at_the_most() {
    let tally = DROPPING.singles::<4, 4096, 4>();
    assert!(tally.drops > 500, "{tally:?}");
    report(tally, "nRF9160, 1 MiB, a future dropped");
}

#[test]
fn r09_a_dropped_future_and_cuts_behind_it_are_survived_on_a_real_layout() {
    let tally = DROPPING.chains::<4, 4096, 4>(3);
    assert!(tally.drops > 500 && tally.points > 3 * tally.drops, "{tally:?}");
    report(tally, "nRF9160, 1 MiB, a future dropped and chains of cuts behind it");
}
