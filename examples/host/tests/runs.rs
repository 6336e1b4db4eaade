//! The program as it is: what it says, what it leaves, how it exits.

mod support;

use serde_json::{Value, json};
use support::{Run, host, scratch};

/// What may be lost: what a block has, what is being written, what was received ahead.
const BLOCK_AND_CHUNK: u64 = 4096 + 2 * 1024;

#[test]
fn without_options_it_updates_the_device_and_shows_how() {
    let Run { code, out, err, .. } = host(&[]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let told = [
        "1.0.0 runs, as it left the factory",
        "power cut",
        "resume",
        "verify",
        "swap",
        "2.0.0 runs, on trial",
        "confirm",
        "2.0.0 runs, confirmed",
        "flash map",
        "✓ what runs is the image, byte for byte",
    ];
    let mut rest = out.as_str();
    for part in told {
        let at = rest.find(part).unwrap_or_else(|| panic!("`{part}` is missing, or too early:\n{out}"));
        rest = &rest[at + part.len()..];
    }
    assert!(!out.contains('\u{1b}'), "colours in a pipe");
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
}

#[test]
fn json_is_one_object_and_nothing_else() {
    let Run { code, out, err, .. } = host(&["--json"]);
    assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 1));
    let facts: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(facts["result"], "done");
    assert_eq!(facts["image"]["sha256"], "121bf78df48c95c12ff0e9823226043d9581a7acff6c748f6a22bafbda39fce1");
    assert_eq!(facts["size"], 307_861);
    assert_eq!(facts["answers"], json!([200, 206, 200]), "the file, its rest, the self-test");
    assert_eq!(facts["device"], json!({"version": "2.0.0", "state": "confirmed"}));
    assert_eq!(facts["boots"], 4);
    assert!(facts["promises"].as_array().unwrap().iter().all(|promise| promise["held"] == true));
    for region in facts["regions"].as_array().unwrap() {
        let foreign = ["bootloader", "unused", "settings"].iter().any(|name| region["name"] == *name);
        let changed = region["erases"].as_u64().unwrap() + region["writes"].as_u64().unwrap() > 0;
        assert_ne!(foreign, changed, "{region}");
    }
}

#[test]
fn a_cut_anywhere_costs_a_block_and_two_chunks_at_most() {
    for percent in [0, 5, 33, 60, 95, 100] {
        for seed in 1..=4 {
            let run = host(&["--json", "--cut-at", &percent.to_string(), "--seed", &seed.to_string()]);
            let facts = run.facts();
            assert_eq!((run.code, &facts["cut"]["happened"]), (0, &json!(true)), "{percent} {seed}: {facts}");
            let place = facts["cut"]["percent"].as_f64().unwrap();
            assert!((place - f64::from(percent)).abs() <= 1.0, "{percent} {seed}: cut at {place}");
            let fetched = facts["fetched"].as_u64().unwrap();
            assert!((307_861..=307_861 + BLOCK_AND_CHUNK).contains(&fetched), "{percent} {seed}: {fetched}");
            // Below one block there is nothing to resume.
            assert_eq!(facts["resumed_at"].is_null(), percent == 0, "{percent} {seed}");
        }
    }
}

#[test]
fn without_a_cut_every_byte_is_fetched_once() {
    let run = host(&["--json", "--cut-at", "never"]);
    let facts = run.facts();
    assert_eq!(run.code, 0, "{facts}");
    assert_eq!((&facts["fetched"], &facts["answers"]), (&json!(307_861), &json!([200, 200])));
    assert_eq!((&facts["cut"], &facts["resumed_at"]), (&Value::Null, &Value::Null));
}

#[test]
fn the_second_process_gets_the_flash_alone_and_finishes() {
    let flash = scratch("two.flash");
    let cut = host(&["--flash", &flash, "--cut-at", "60", "--json"]);
    assert_eq!(cut.code, 3, "{}", cut.out);
    assert_eq!((&cut.facts()["result"], &cut.facts()["device"]["version"]), (&json!("cut"), &json!("1.0.0")));

    let done = host(&["--flash", &flash, "--json"]);
    let facts = done.facts();
    assert_eq!(done.code, 0, "{facts}");
    assert_ne!(facts["url"], cut.facts()["url"], "another server");
    assert_eq!(facts["answers"], json!([206, 200]));
    assert!(facts["resumed_at"].as_u64().unwrap() >= 307_861 * 59 / 100 - BLOCK_AND_CHUNK);
    let both = cut.facts()["fetched"].as_u64().unwrap() + facts["fetched"].as_u64().unwrap();
    assert!((307_861..=307_861 + BLOCK_AND_CHUNK).contains(&both), "{both}");
    assert_eq!(facts["device"], json!({"version": "2.0.0", "state": "confirmed"}));

    let again = host(&["--flash", &flash, "--json"]);
    assert_eq!((again.code, &again.facts()["result"], &again.facts()["fetched"]), (0, &json!("current"), &json!(0)));
}

#[test]
fn cut_again_and_again_it_still_arrives() {
    let flash = scratch("again.flash");
    for percent in ["20", "40", "60", "80"] {
        let run = host(&["--flash", &flash, "--cut-at", percent]);
        assert_eq!(run.code, 3, "{percent}: {}", run.out);
        assert!(run.out.contains("goes on from here"), "{}", run.out);
    }
    let run = host(&["--flash", &flash]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
}

#[test]
fn another_image_starts_from_zero() {
    let flash = scratch("other.flash");
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/header-400.bin");
    assert_eq!(host(&["--flash", &flash, "--cut-at", "50"]).code, 3);
    let run = host(&["--flash", &flash, "--image", fixture, "--json"]);
    assert_eq!((run.code, &run.facts()["resumed_at"]), (0, &Value::Null), "{}", run.out);
    assert_eq!(run.facts()["answers"], json!([200, 200]));
}
