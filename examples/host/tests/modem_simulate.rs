//! `modem simulate`: updates of a fake modem to the end, from any cut, and what is refused on the way.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

mod support;

use std::fs;

use dfu_testkit::image::ImageBuilder;
use dfu_testkit::modem::{DeltaFile, FakeModem, FullFile, ModemState, Scheduled, uuid};
use serde_json::{Value, json};
use support::{Run, file, host, scratch};

/// A staging flash and a modem in files, and an update.
struct Desk {
    update: String,
    staging: String,
    modem: String,
}

impl Desk {
    /// Nothing is there yet but the update; `name` tells tests apart.
    fn new(name: &str, update: &[u8]) -> Self {
        let [staging, modem] = ["staging.bin", "modem.json"].map(|file| scratch(&format!("simulate-{name}-{file}")));
        Self { update: file(&format!("simulate-{name}-update"), update), staging, modem }
    }

    /// One boot of the device; a flash of ten units.
    fn run(&self, more: &[&str]) -> Run {
        let kept = ["--staging", &self.staging, "--staging-size", "40960", "--modem", &self.modem, "--json"];
        host(&[&["modem", "simulate", &self.update][..], &kept, more].concat())
    }

    fn forget(&self) {
        let _ = (fs::remove_file(&self.staging), fs::remove_file(&self.modem));
    }

    fn state(&self) -> ModemState {
        serde_json::from_slice(&fs::read(&self.modem).unwrap()).unwrap()
    }

    fn put(&self, state: &ModemState) {
        fs::write(&self.modem, serde_json::to_vec(state).unwrap()).unwrap();
    }

    /// The staging flash without the progress log.
    fn staged(&self) -> Vec<u8> {
        let mut bytes = fs::read(&self.staging).unwrap();
        bytes.truncate(bytes.len() - 2 * 4096);
        bytes
    }

    /// What the files say when all is done, whatever came in between.
    fn is_updated(&self, run: &Run, what: &str) {
        let facts = run.facts();
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{what}: {facts}");
        let state = self.state();
        let expected = (uuid(2).to_string(), true, 0, false, None, None);
        let found = (state.uuid, state.alive, state.offset, state.dirty, state.scheduled, state.previous);
        assert_eq!(found, expected, "{what}: {facts}");
        assert_eq!(facts["after"], json!({ "uuid": uuid(2).to_string(), "alive": true }), "{what}");
        assert_eq!(facts["area"], json!({ "state": "erased", "bytes": null }), "{what}");
    }

    /// How many points an update has that nothing cuts.
    fn points(&self) -> u64 {
        let run = self.run(&[]);
        self.is_updated(&run, "without a cut");
        self.forget();
        run.facts()["points"].as_u64().unwrap()
    }
}

fn delta(payload: usize) -> Vec<u8> {
    DeltaFile::new(FakeModem::FIRST, uuid(2)).payload(payload).build()
}

fn full() -> FullFile {
    FullFile::small(uuid(2))
}

fn steps(facts: &Value) -> Vec<&str> {
    facts["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect()
}

/// Nordic's text for an update of the kit's.
fn digest_text(file: &FullFile, all: &str) -> String {
    let range = |range: &dfu_target_nrf_modem::port::Range| {
        format!("Range: 0x{:08X}--0x{:08X} SHA256: {}\n", range.start, range.end, "0".repeat(64))
    };
    let ranges: String = file.digest_ranges().iter().map(range).collect();
    format!("SHA256 of all ranges in ascending address order: {all}\n{ranges}")
}

#[test]
fn a_delta_goes_all_the_way() {
    let desk = Desk::new("delta", &delta(3000));
    let run = desk.run(&[]);
    desk.is_updated(&run, "delta");
    let facts = run.facts();
    assert_eq!(
        (&facts["result"], &facts["kind"], &facts["marker"]),
        (&json!("updated"), &json!("delta"), &json!("none"))
    );
    assert_eq!(facts["before"]["uuid"], FakeModem::FIRST.to_string());
    let way = ["file", "modem", "start", "receive", "verify", "apply", "start", "erase", "settle", "updated"];
    assert_eq!(steps(&facts), way);
    assert_eq!((&facts["calls"]["delta"]["write_done"], &facts["calls"]["bootloader"]), (&json!(1), &json!({})));
    assert!(facts["waited_ms"].as_u64().unwrap() >= 2000, "{facts}");

    let before = (fs::read(&desk.staging).unwrap(), desk.state());
    let run = desk.run(&[]);
    assert_eq!((run.code, &run.facts()["result"], &run.facts()["points"]), (0, &json!("current"), &json!(0)));
    assert_eq!((fs::read(&desk.staging).unwrap(), desk.state()), before);
}

#[test]
fn a_full_update_goes_all_the_way() {
    let file = full();
    let desk = Desk::new("full", &file.build());
    let expect = support::file("simulate-full-digest.txt", digest_text(&file, &file.digest().to_string()));
    let run = desk.run(&["--expect", &expect]);
    desk.is_updated(&run, "full");
    let facts = run.facts();
    assert_eq!(
        (&facts["result"], &facts["kind"], &facts["marker"]),
        (&json!("updated"), &json!("full"), &json!("done"))
    );
    let way = ["file", "modem", "start", "receive", "check", "verify", "apply"];
    let boot = ["check", "loader", "signature", "program", "recover", "start", "updated"];
    assert_eq!(steps(&facts), [&way[..], &boot].concat());
    let calls = json!({ "start": 1, "bl_write": 1, "update": 2, "verify": 1, "fw_write": 3, "digest": 1, "stop": 1 });
    assert_eq!(facts["calls"]["bootloader"], calls);
    assert!(desk.staged().starts_with(&file.build()));
    let run = desk.run(&[]);
    assert_eq!((run.code, &run.facts()["result"]), (0, &json!("current")));

    desk.forget();
    let run = desk.run(&["--skip-prevalidation"]);
    desk.is_updated(&run, "unchecked");
    assert_eq!(run.facts()["calls"]["bootloader"]["verify"], Value::Null);
}

#[test]
fn without_files_nothing_is_kept() {
    for update in [delta(500), full().build()] {
        let path = file("simulate-memory", update);
        let run = host(&["modem", "simulate", &path]);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{}", run.out);
        for line in ["  updated  the modem runs 00000002-", "\nbefore  ", "\ncalls     delta port: ", "\nwaited "] {
            assert!(run.out.contains(line), "{line}: {}", run.out);
        }
    }
}

/// Cuts an update at some of its points, in each way, and has the next process finish it.
fn cut_and_finish(desk: &Desk, points: impl Fn(u64) -> Vec<u64>) {
    let last = desk.points();
    for point in points(last) {
        for torn in ["none", "half", "garbage"] {
            let what = format!("{} {point} {torn}", desk.update);
            let run = desk.run(&["--cut-op", &point.to_string(), "--torn", torn]);
            assert_eq!((run.code, run.err.as_str(), &run.facts()["result"]), (3, "", &json!("cut")), "{what}");
            desk.is_updated(&desk.run(&[]), &what);
            desk.forget();
        }
    }
    // One behind the last is never reached.
    let run = desk.run(&["--cut-op", &(last + 1).to_string()]);
    desk.is_updated(&run, "behind the last");
}

#[test]
fn a_delta_cut_first_amid_or_last_is_finished_by_the_next_process() {
    let desk = Desk::new("delta-cut", &delta(20_000));
    cut_and_finish(&desk, |last| vec![1, last / 3, last / 2, last - 1, last]);
}

#[test]
fn a_full_update_cut_first_amid_or_last_is_finished_by_the_next_process() {
    let file = full().loader(3000).ranges(&[(0x6000, 9000), (0x5_0000, 5000)]);
    let desk = Desk::new("full-cut", &file.build());
    cut_and_finish(&desk, |last| vec![1, last / 3, last / 2, last - 50, last - 1, last]);
}

#[test]
fn a_small_delta_survives_a_cut_anywhere() {
    let desk = Desk::new("delta-sweep", &delta(100));
    cut_and_finish(&desk, |last| (1..=last).step_by(3).collect());
}

#[test]
fn a_small_full_update_survives_a_cut_anywhere() {
    let desk = Desk::new("full-sweep", &full().build());
    // Words of the file are all alike; what is written behind them is not.
    cut_and_finish(&desk, |last| (1..=last).step_by(11).chain(last - 80..=last).collect());
}

#[test]
fn a_second_cut_while_it_is_made_good_does_no_more_harm() {
    for (name, update) in [("delta-twice", delta(700)), ("full-twice", full().build())] {
        let desk = Desk::new(name, &update);
        let last = desk.points();
        for (first, second) in [(last / 2, 20), (last - 10, 3), (last - 5, 7), (last - 20, 12), (last - 2, 1)] {
            let cut = |point: u64| desk.run(&["--cut-op", &point.to_string(), "--torn", "garbage"]).code;
            assert_eq!(cut(first), 3, "{name} {first}");
            // The rest may be shorter than that.
            assert!([0, 3].contains(&cut(second)), "{name} {first} {second}");
            desk.is_updated(&desk.run(&[]), &format!("{name} {first} {second}"));
            desk.forget();
        }
    }
}

#[test]
fn what_goes_on_does_not_begin_again() {
    let desk = Desk::new("goes-on", &delta(20_000));
    let all = desk.run(&[]).facts()["calls"]["delta"]["write"].as_u64().unwrap();
    desk.forget();
    let last = desk.points();
    let held = |point: u64| {
        desk.forget();
        assert_eq!(desk.run(&["--cut-op", &point.to_string()]).code, 3);
        desk.state().offset
    };
    let held = (1..last).rev().step_by(5).map(held).find(|held| (8000..16_000).contains(held)).unwrap();
    let run = desk.run(&[]);
    desk.is_updated(&run, "the rest");
    let rest = run.facts()["calls"]["delta"]["write"].as_u64().unwrap();
    assert!(rest <= all - u64::from(held / 1024), "{rest} of {all} writes, {held} bytes held");
}

#[test]
fn what_is_no_update_is_told_apart_before_anything_is_made() {
    let app = ImageBuilder::new().build();
    let cases: [(&str, &[u8], &str); 6] = [
        ("app", &app, "an application image, not for the modem"),
        ("html", b"\n<!DOCTYPE html><title>404</title>", "a page of HTML or XML"),
        ("empty", b"", "the file is empty"),
        ("zip", b"PK\x03\x04....", "a zip: the update is one of the files in it"),
        ("short", b"\x01\0\0\0me", "neither a delta nor a full update for the modem"),
        ("junk", &[0x55; 500], "neither a delta nor a full update for the modem"),
    ];
    for (name, bytes, reason) in cases {
        let desk = Desk::new(name, bytes);
        let run = desk.run(&[]);
        assert!(run.err.contains(reason) && run.err.lines().count() == 1, "{name}: {}", run.err);
        assert_eq!((run.code, &run.facts()["result"]), (1, &json!("refused")), "{name}");
        assert!(fs::metadata(&desk.staging).is_err() && fs::metadata(&desk.modem).is_err(), "{name}");
    }
    let run = host(&["modem", "simulate", "/nowhere"]);
    assert!(run.code == 1 && run.err.contains("cannot read /nowhere"), "{}", run.err);
}

/// Refused with this reason: the modem is as a new one, and nothing is staged that could be programmed.
fn is_refused(name: &str, bytes: &[u8], more: &[&str], reason: &str) -> Desk {
    let desk = Desk::new(name, bytes);
    let run = desk.run(more);
    assert!(run.err.contains(reason) && run.err.lines().count() == 1, "{name}: {}", run.err);
    assert_eq!((run.code, &run.facts()["result"]), (1, &json!("refused")), "{name}: {}", run.out);
    let (state, facts) = (desk.state(), run.facts());
    assert_eq!(state.uuid, facts["before"]["uuid"].as_str().unwrap(), "{name}");
    assert!(state.alive && state.scheduled.is_none() && state.flash.is_empty(), "{name}: {state:?}");
    assert!(["none", "refused"].contains(&facts["marker"].as_str().unwrap()), "{name}: {facts}");
    desk
}

/// And the area and the staging flash are blank.
fn leaves_no_trace(desk: &Desk) {
    let state = desk.state();
    assert!(state.offset == 0 && !state.dirty, "{}: {state:?}", desk.update);
    assert!(desk.staged().iter().all(|byte| *byte == 0xff), "{}", desk.update);
}

#[test]
fn a_delta_that_is_not_right_is_refused_and_the_modem_as_it_was() {
    let right = delta(3000);
    let header = "the file ends amid its header";
    for (len, reason) in [(8, header), (63, header), (64, header), (100, header), (116, "tells of 3116")] {
        leaves_no_trace(&is_refused("delta-short", &right[..len], &[], reason));
    }
    for len in [117, 1024, 2000, right.len() - 1] {
        let reason = format!("the file has {len} bytes, and its header tells of 3116");
        leaves_no_trace(&is_refused("delta-shorter", &right[..len], &[], &reason));
    }
    is_refused(
        "delta-long",
        &[&right[..], b"x"].concat(),
        &[],
        "the file has 3117 bytes, and its header tells of 3116",
    );
    let large = delta(300_000);
    leaves_no_trace(&is_refused("delta-large", &large, &[], "300116 bytes, and there is room for 294912"));
    let other = ["--uuid", "00000009-0000-4000-8000-000000000000"];
    let reason = "this delta is not for the firmware that this modem runs (code 9)\n";
    leaves_no_trace(&is_refused("delta-base", &right, &other, reason));
    let mut flipped = right.clone();
    flipped[2000] ^= 1;
    leaves_no_trace(&is_refused("delta-flipped", &flipped, &[], "refused the delta's signature, and runs what it ran"));
    let foreign = [&b"\x07\0\0\x02meDu"[..], &[0xa5; 500]].concat();
    let reason = "the header is not that of a delta (code 3); the fake modem reads deltas of the test kit alone";
    leaves_no_trace(&is_refused("delta-foreign", &foreign, &[], reason));
}

#[test]
fn a_full_update_that_is_not_right_is_refused_and_the_modem_as_it_was() {
    let (right, wrapper) = (full().build(), full().wrapper().len());
    for len in (9..wrapper).step_by(10).chain([wrapper - 1]) {
        leaves_no_trace(&is_refused("full-short", &right[..len], &[], "the file ends amid its wrapper"));
    }
    for len in [wrapper, wrapper + 1, 1000, right.len() - 1] {
        let reason = format!("the wrapper tells of {} bytes, and there are {len}\n", right.len());
        leaves_no_trace(&is_refused("full-shorter", &right[..len], &[], &reason));
    }
    let longer = [&right[..], b"x"].concat();
    leaves_no_trace(&is_refused("full-long", &longer, &[], "bytes, and there are"));
    let large = full().ranges(&[(0x6000, 30_000)]).build();
    leaves_no_trace(&is_refused("full-large", &large, &[], "bytes, and there is room for 24576"));

    let flipped = |at: usize| {
        let mut file = right.clone();
        file[at] ^= 1;
        file
    };
    for at in [wrapper, wrapper + 300, right.len() - 1] {
        is_refused("full-flipped", &flipped(at), &[], "the segments are not those that the wrapper tells of");
    }
    // Each byte of the wrapper, by the reader, the hash or the modem.
    for at in (9..wrapper).step_by(9) {
        is_refused("full-wrapper", &flipped(at), &[], "");
    }
    let signature = "the modem refused the update's signature";
    is_refused("full-signature", &flipped(wrapper - 1), &[], signature);
    let foreign = support::modem::full(&[(0, &[1; 300]), (0x5960_2000, &[2; 100]), (0x6000, &[3; 400])]);
    let reason = "a wrong answer of the modem (error 5); the fake modem runs firmware of the test kit alone";
    let desk = is_refused("full-foreign", &foreign, &[], reason);
    fs::write(&desk.update, &right).unwrap();
    desk.is_updated(&desk.run(&[]), "another file");
    // What is in order, and no firmware: the modem takes it, and does not start. Not `is_refused`.
    let desk = Desk::new("full-no-firmware", &full().flaw(700).build());
    let run = desk.run(&[]);
    assert!(run.code == 1 && run.err.contains("programmed three times"), "{}", run.err);
    assert!(!desk.state().alive);
    fs::write(&desk.update, &right).unwrap();
    desk.is_updated(&desk.run(&[]), "the remedy");
}

#[test]
fn the_digest_that_was_ordered_counts() {
    let other = "5".repeat(64);
    for (name, update) in [("delta-digest", delta(500)), ("full-digest", full().build())] {
        let desk = is_refused(name, &update, &["--digest", &other], "not the wanted one: its digest differs");
        assert_eq!(desk.state().offset, 0, "{name}");
        desk.is_updated(&desk.run(&[]), name);
    }
}

#[test]
fn a_modem_that_reads_back_otherwise_is_programmed_three_times_and_given_up() {
    let file = full();
    let desk = Desk::new("mismatch", &file.build());
    let expect = support::file("simulate-wrong-digest.txt", digest_text(&file, &"7".repeat(64)));
    let run = desk.run(&["--expect", &expect]);
    assert!(run.code == 1 && run.err.contains("does not hold what was expected"), "{}", run.err);
    let facts = run.facts();
    assert_eq!((&facts["marker"], &facts["calls"]["bootloader"]["digest"]), (&json!("mismatch"), &json!(3)));
    let run = desk.run(&["--expect", &support::file("simulate-no-digest.txt", "nothing")]);
    assert!(run.code == 1 && run.err.contains("neither a range nor the digest"), "{}", run.err);
}

#[test]
fn a_low_voltage_puts_a_delta_off() {
    let desk = is_refused("voltage", &delta(500), &["--low-voltage"], "the supply voltage is too low: try again later");
    desk.is_updated(&desk.run(&[]), "with more of it");
    desk.forget();

    // It is scheduled, and the chip reset.
    let mut point = desk.points();
    while desk.run(&["--cut-op", &point.to_string()]).code == 3 && desk.state().scheduled != Some(Scheduled::Update) {
        desk.forget();
        point -= 1;
    }
    let run = desk.run(&["--low-voltage"]);
    assert!(run.code == 1 && run.err.contains("the modem tries again at its next start"), "{}", run.err);
    assert_eq!(desk.state().scheduled, Some(Scheduled::Update));
    desk.is_updated(&desk.run(&[]), "at the next start");
}

#[test]
fn a_modem_on_a_network_does_not_get_round_to_erasing() {
    let desk = Desk::new("registered", &delta(500));
    let run = desk.run(&["--registered"]);
    assert!(run.code == 1 && run.err.contains("has not erased its area in 60000 ms: go offline"), "{}", run.err);
    assert_eq!(run.facts()["after"]["uuid"], uuid(2).to_string());
    assert!(run.facts()["waited_ms"].as_u64().unwrap() >= 60_000);
    desk.is_updated(&desk.run(&[]), "offline");
}

#[test]
fn only_a_full_update_helps_a_dead_modem() {
    let desk = Desk::new("dead", &delta(500));
    let dead = ModemState { alive: false, ..FakeModem::default().save() };
    desk.put(&dead);
    let run = desk.run(&[]);
    assert!(run.code == 1 && run.err.contains("the modem does not start: it needs a full update"), "{}", run.err);
    assert_eq!(desk.state(), dead);
    fs::write(&desk.update, full().build()).unwrap();
    desk.is_updated(&desk.run(&[]), "a full update");
}

#[test]
fn files_that_are_none_are_refused_and_left_alone() {
    let desk = Desk::new("files", &delta(500));
    let good = FakeModem::default().save();
    let wrong = [
        ("{", "not the state of a modem".to_owned()),
        (&serde_json::to_string(&ModemState { uuid: "x".into(), ..good.clone() }).unwrap(), "36 characters".into()),
        (&serde_json::to_string(&ModemState { offset: 300_000, ..good }).unwrap(), "cannot hold 300000".into()),
    ];
    for (text, reason) in wrong {
        fs::write(&desk.modem, text).unwrap();
        let run = desk.run(&[]);
        assert!(run.code == 1 && run.err.contains(&reason), "{reason}: {}", run.err);
        assert_eq!(fs::read_to_string(&desk.modem).unwrap(), text);
    }
    desk.forget();
    fs::write(&desk.staging, [0xff; 4096]).unwrap();
    let run = desk.run(&[]);
    assert!(run.code == 1 && run.err.contains("the file has 4096 bytes, and the flash 40960"), "{}", run.err);
    assert_eq!(fs::read(&desk.staging).unwrap(), [0xff; 4096]);
    // A flash full of anything is erased where it is needed.
    fs::write(&desk.update, full().build()).unwrap();
    fs::write(&desk.staging, (0..40_960).map(|at| (at / 7) as u8).collect::<Vec<_>>()).unwrap();
    desk.is_updated(&desk.run(&[]), "over anything");
}

#[test]
fn wrong_usage_is_told_from_a_refusal() {
    let (delta, full) = (file("simulate-usage-delta", delta(10)), file("simulate-usage-full", full().build()));
    let cases: [&[&str]; 10] = [
        &[],
        &[&delta, "--cut-op", "0"],
        &[&delta, "--torn", "half"],
        &[&delta, "--uuid", "1"],
        &[&delta, "--digest", "12"],
        &[&delta, "--chunk", "0"],
        &[&delta, "--expect", &delta],
        &[&delta, "--skip-prevalidation"],
        &[&full, "--low-voltage"],
        &[&full, "--registered"],
    ];
    for case in cases {
        let run = host(&[&["modem", "simulate"], case].concat());
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{case:?}: {}", run.err);
    }
}

#[test]
fn the_help_names_every_option() {
    let run = host(&["modem", "simulate", "--help"]);
    assert_eq!(run.code, 0);
    let options = [
        "<FILE>",
        "--staging",
        "--staging-size",
        "--modem",
        "--uuid",
        "--digest",
        "--chunk",
        "--json",
        "--expect",
        "--skip-prevalidation",
        "--low-voltage",
        "--registered",
        "--cut-op",
        "--torn",
        "Exit codes",
    ];
    for option in options {
        assert!(run.out.contains(option), "{option}: {}", run.out);
    }
}
