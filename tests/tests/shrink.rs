//! A failing case comes down to what it takes, as a test that is pasted as it is printed.

#[path = "../examples/shrink.rs"]
#[allow(dead_code, reason = "its `main` is of the example alone")]
mod example;

use dfu_target_mcuboot::{Align, Mode, Upgrade};
use dfu_testkit::device::{Board, Visit};
use dfu_testkit::flash::{Cut, Tear};
use dfu_testkit::shrink::{Case, Simplify, shrink};
use example::{careless, search};

// What the example prints, but for the line `#[test]`: it fails, and is to.
include!("shrink/pasted.rs");

#[test]
fn eight_cuts_come_down_to_one_and_the_test_is_printed() {
    let (found, shrunk) = search();
    assert_eq!(found.cuts.len(), 8);
    let case = &shrunk.case;
    assert_eq!((case.cuts.len(), case.sizes), (1, [600, 600]), "{case:?}");
    println!("8 cuts down to {:?} by {} tries", case.cuts, shrunk.tried);
    assert!(case.live(careless).is_err());
    assert!(case.simpler().iter().all(|simpler| simpler.live(careless).is_ok()));
    let test = case.test::<4, 1024>("careless");
    assert_eq!(test, format!("#[test]\n{}", include_str!("shrink/pasted.rs")));
    assert!(test.lines().count() <= 11);
}

#[test]
#[should_panic(expected = "Refused(NoImage)")]
fn the_test_that_was_printed_fails_in_the_same_way() {
    shrunk();
}

#[test]
fn the_library_lives_through_what_the_careless_update_does_not() {
    let (found, shrunk) = search();
    for case in [&found, &shrunk.case] {
        let done = case.live::<4, 1024>(|device, release| {
            let _ = device.update(release, &mut Visit::default());
        });
        assert_eq!(done, Ok(()));
    }
}

#[test]
fn a_test_names_all_that_is_not_as_usual() {
    let board = Board::new(Mode::OverwriteOnly, 32_768).more(-4096).upgrade(Upgrade::Permanent).align(Align::A16);
    let mut case = Case::new(board.sectors(64).erased(0));
    case.cuts = vec![(3, Cut::Torn(Tear::Late)), (0, Cut::After)];
    let test = case.test::<8, 4096>("update");
    for part in [
        "use dfu_target_mcuboot::{Align, Mode, Upgrade};",
        "use dfu_testkit::flash::{Cut, Tear};",
        "Board::new(Mode::OverwriteOnly, 32768).more(-4096).upgrade(Upgrade::Permanent)",
        ".align(Align::A16).sectors(64).erased(0x00);",
        "sizes: [1000, 1000], chunk: 512, save_every: 1024",
        "cuts: vec![(3, Cut::Torn(Tear::Late)), (0, Cut::After)] };",
        "case.live::<8, 4096>(update).unwrap();",
    ] {
        assert!(test.contains(part), "{part}\n{test}");
    }
}

#[test]
fn what_fails_always_comes_down_to_nothing() {
    let (found, _) = search();
    let shrunk = shrink(found, |_| true).case;
    assert_eq!((shrunk.cuts, shrunk.sizes, shrunk.chunk, shrunk.save_every), (vec![], [600, 600], 512, 1024));
}
