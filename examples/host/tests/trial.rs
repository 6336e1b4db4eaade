//! `state`, `confirm`, `withdraw`: the life of an update between two resets.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

mod support;

use dfu_testkit::boot::{Bootloader, Mode};
use dfu_testkit::image::{ImageBuilder, ImageFile};
use serde_json::json;
use support::host;
use support::slots::{SIZE, Slots};

fn image(major: u8) -> ImageFile {
    ImageBuilder::new().version(major, 0, 0, 0).build()
}

/// One boot, by the test kit's model.
fn boot(slots: &Slots, mode: Mode) {
    let [mut primary, mut secondary] = slots.bytes();
    assert!(Bootloader::new(mode, 8, 1024).boot(&mut primary, &mut secondary).running.is_ok());
    slots.put(&[primary, secondary]);
}

fn state(slots: &Slots) -> (String, String) {
    let facts = slots.state();
    (facts["state"].as_str().unwrap().into(), facts["running"].as_str().unwrap_or("-").into())
}

fn says(state: &str, running: &str) -> (String, String) {
    (state.into(), running.into())
}

#[test]
fn an_update_is_tried_and_confirmed_or_goes_back() {
    for (name, mode) in [("move", Mode::Move), ("scratch", Mode::Scratch)] {
        let slots = Slots::new("life", name);
        slots.install(&image(1));
        assert_eq!(state(&slots), says("none", "1.0.0+0"));
        assert_eq!(slots.stage(&image(2), &[]).code, 0);
        assert_eq!(state(&slots), says("pending-test", "1.0.0+0"));
        boot(&slots, mode);
        assert_eq!(state(&slots), says("trial", "2.0.0+0"));
        let run = slots.stage(&image(3), &[]);
        let reason = "the running image is not confirmed: confirm it before the next update";
        assert_eq!((run.code, run.err), (1, slots.refused(reason)));
        boot(&slots, mode);
        assert_eq!(state(&slots), says("reverted", "1.0.0+0"));

        assert_eq!(slots.stage(&image(2), &[]).code, 0);
        boot(&slots, mode);
        let run = slots.run("confirm", &["--json"]);
        let facts = run.facts();
        assert_eq!((run.code, &facts["slot"], &facts["state"]), (0, &json!("primary"), &json!("confirmed")), "{name}");
        assert_eq!(facts["operations"]["writes_and_erases"], 1, "a word");
        let run = slots.run("confirm", &[]);
        assert!(run.code == 0 && run.out.contains("there was nothing to change"), "{}", run.out);
        boot(&slots, mode);
        assert_eq!(state(&slots), says("confirmed", "2.0.0+0"));
    }
}

#[test]
fn what_is_withdrawn_never_runs() {
    for (name, mode) in [("move", Mode::Move), ("overwrite", Mode::Overwrite)] {
        let slots = Slots::new("withdrawn", name);
        slots.install(&image(1));
        assert_eq!(slots.stage(&image(2), &["--permanent"]).code, 0);
        assert_eq!(state(&slots), says("pending-permanent", "1.0.0+0"));
        let run = slots.run("withdraw", &["--json"]);
        assert_eq!((run.code, &run.facts()["slot"]), (0, &json!("secondary")), "{name}: {}", run.err);
        assert_eq!(state(&slots), says("none", "1.0.0+0"));
        boot(&slots, mode);
        assert_eq!(state(&slots), says("none", "1.0.0+0"));
    }
}

#[test]
fn where_the_version_decides_the_new_image_is_withdrawn_and_not_the_old_one() {
    for mode in ["xip", "xip-revert"] {
        let slots = Slots::new("choice", mode);
        slots.install(&image(1));
        if mode == "xip-revert" {
            assert_eq!(slots.run("confirm", &[]).code, 0);
            assert_eq!(state(&slots), says("confirmed", "1.0.0+0"));
        }
        assert_eq!(slots.stage(&image(2), &[]).code, 0);
        let facts = slots.run("state", &["--json", "--runs", "primary"]).facts();
        let pending = if mode == "xip" { "pending-permanent" } else { "pending-test" };
        assert_eq!((&facts["state"], &facts["other"]), (&json!(pending), &json!("2.0.0+0")), "{mode}");
        let run = slots.run("withdraw", &["--json"]);
        assert_eq!((run.code, &run.facts()["slot"]), (0, &json!("secondary")), "{mode}: {}", run.err);
        let facts = slots.state();
        assert_eq!(
            (&facts["runs"], &facts["running"], &facts["other"]),
            (&json!("primary"), &json!("1.0.0+0"), &json!(null))
        );
        assert!(slots.bytes()[0].starts_with(&image(1)), "{mode}");
    }
}

#[test]
fn a_cut_leaves_an_image_on_trial_or_confirmed() {
    let slots = Slots::new("word", "move");
    slots.install(&image(1));
    assert_eq!(slots.stage(&image(2), &[]).code, 0);
    boot(&slots, Mode::Move);
    let before = slots.bytes();
    for torn in ["none", "half"] {
        slots.put(&before);
        let run = slots.run("confirm", &["--cut-op", "1", "--torn", torn]);
        assert_eq!(run.code, 3, "{}", run.err);
        assert!(["trial", "confirmed"].contains(&state(&slots).0.as_str()), "{torn}");
        assert_eq!(slots.run("confirm", &[]).code, 0, "{torn}");
        assert_eq!(state(&slots), says("confirmed", "2.0.0+0"));
    }
}

#[test]
fn to_look_changes_no_file_and_makes_none() {
    let slots = Slots::new("look", "move");
    assert_eq!(state(&slots), says("none", "-"));
    assert!(!std::path::Path::new(&slots.primary).exists());
    slots.install(&image(1));
    slots.state();
    assert_eq!(std::fs::read(&slots.primary).unwrap(), image(1)[..]);
    assert_eq!(slots.run("confirm", &[]).code, 0);
    assert_eq!(std::fs::read(&slots.primary).unwrap(), image(1)[..], "a factory image needs none");
}

#[test]
fn an_odd_trailer_is_named() {
    let slots = Slots::new("odd", "move");
    slots.install(&image(1));
    let mut bytes = slots.bytes();
    bytes[0][SIZE - 16..].fill(0x55);
    slots.put(&bytes);
    assert_eq!(state(&slots), says("unknown", "1.0.0+0"));
    let run = slots.run("confirm", &[]);
    assert_eq!((run.code, run.err.as_str()), (1, "error: the running slot's trailer is not one that MCUboot writes\n"));
    assert_eq!(slots.bytes(), bytes);
}

#[test]
fn wrong_usage_is_told_apart() {
    for command in ["state", "confirm", "withdraw"] {
        let run = host(&[command]);
        assert!(run.code == 2 && run.err.contains("--primary <FILE>"), "{}", run.err);
        assert_eq!(host(&[command, "--help"]).code, 0);
    }
    let run = Slots::new("single", "single").run("state", &[]);
    assert_eq!((run.code, run.err.as_str()), (1, "error: with a single slot there is no place for a new image\n"));
}

#[test]
fn a_word_that_is_programmed_is_not_programmed_again() {
    let slots = Slots::new("twice", "xip-revert");
    slots.install(&image(1));
    assert_eq!(slots.run("confirm", &[]).code, 0);
    let mut bytes = slots.bytes();
    bytes[0][SIZE - 24] = 0x55;
    slots.put(&bytes);
    // Whatever the library makes of half a word in place of `image_ok`.
    let run = slots.run("confirm", &[]);
    assert!(run.code <= 1 && run.err.lines().count() == run.code as usize, "{}", run.err);
}
