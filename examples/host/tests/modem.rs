//! `modem zip`: what Nordic gives out, sound and not.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

mod support;

use serde_json::{Value, json};
use support::modem::{full, intel_hex, zip};
use support::{Run, file, host};

/// The files of a zip, to be spoilt.
struct Mfw {
    files: Vec<(String, Vec<u8>)>,
}

impl Mfw {
    fn new() -> Self {
        let text = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        let delta = [&b"\x01\x02\x03\x04meDu"[..], &[0; 500]].concat();
        let files = vec![
            text("firmware.update.image.segments.0.hex", &intel_hex(&[(0x5960_2000, &[2; 2360])])),
            text("firmware.update.image.segments.1.hex", &intel_hex(&[(0x6000, &[3; 4096]), (0x5_0000, &[4; 999])])),
            text(DIGESTS, &digests(0x6fff)),
            text("0123abc.ipc_dfu.signed_1.1.1.ihex", &intel_hex(&[(0x2000_0000, &[9; 300])])),
            text("89abcde.ipc_dfu.signed_1.1.2.ihex", &intel_hex(&[(0x2000_0000, &[1; 300])])),
            (CBOR.to_owned(), full(&SEGMENTS)),
            ("mfw_nrf9160_update_from_1.3.4_to_1.3.5.bin".to_owned(), delta),
            text("README.txt", "read me"),
        ];
        Self { files }
    }

    fn without(mut self, name: &str) -> Self {
        self.files.retain(|(file, _)| file != name);
        self
    }

    /// With another file in the place of one.
    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let mut changed = self.without(name);
        changed.files.push((name.to_owned(), bytes.as_ref().to_vec()));
        changed
    }

    fn run(&self, name: &str, more: &[&str]) -> Run {
        let files: Vec<_> = self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let path = file(name, zip(&files));
        host(&[&["modem", "zip", &path], more].concat())
    }
}

fn digests(end: u32) -> String {
    let digest = |digit: &str| digit.repeat(64);
    format!(
        "SHA256 of all ranges in ascending address order: {}\r\n\
         Range: 0x00006000--0x{end:08X} SHA256: {}\r\nRange: 0x00050000--0x000503E6 SHA256: {}\r\n",
        digest("A"),
        digest("b"),
        digest("0"),
    )
}

const SEGMENTS: [(u32, &[u8]); 4] =
    [(0, &[1; 300]), (0x5960_2000, &[2; 2360]), (0x6000, &[3; 4096]), (0x5_0000, &[4; 999])];
const CBOR: &str = "firmware.update.image.cbor";
const DIGESTS: &str = "firmware.update.image.digest.txt";

#[test]
fn a_sound_zip_is_taken_apart_and_the_update_planned() {
    let run = Mfw::new().run("sound.zip", &["--json"]);
    let facts = run.facts();
    assert_eq!((run.code, run.err.as_str(), &facts["result"]), (0, "", &json!("right")));
    let kinds: Vec<_> = facts["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["segments", "segments", "digests", "loader", "loader", "full", "delta", "other"]);
    assert_eq!(facts["entries"][3]["key"], "0123abc");
    assert_eq!(facts["entries"][6]["named"], json!({ "from": "1.3.4", "to": "1.3.5" }));
    assert_eq!((&facts["hex"], &facts["hash"]["verdict"]), (&json!("the same"), &json!("right")));
    assert_eq!(facts["loader"], "89abcde.ipc_dfu.signed_1.1.2.ihex");
    assert_eq!(facts["digests"]["ranges"][0]["end"], 0x6fff);
    assert_eq!(facts["expected"], "a".repeat(64));
    let call =
        |call: &Value| (call["call"].as_str().unwrap().to_owned(), call["address"].as_u64(), call["bytes"].as_u64());
    let plan: Vec<_> = facts["plan"].as_array().unwrap().iter().map(call).collect();
    let wrapper = facts["manifest"]["length"].as_u64();
    let expected = [
        ("start", None, None),
        ("bl_write", None, Some(300)),
        ("update", None, None),
        ("verify", None, wrapper),
        ("fw_write", Some(0x5960_2000), Some(2360)),
        ("fw_write", Some(0x6000), Some(4096)),
        ("fw_write", Some(0x5_0000), Some(999)),
        ("update", None, None),
        ("digest", None, None),
        ("stop", None, None),
    ];
    assert_eq!(plan, expected.map(|(name, address, bytes)| (name.to_owned(), address, bytes)));

    let text = Mfw::new().run("text.zip", &[]).out;
    for line in [
        "loader 1.1.2, for the root key 89abcde",
        "delta from 1.3.4 to 1.3.5",
        "fw_write  0x00050000        999  segment 3",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn what_need_not_be_there_is_not_asked_for() {
    let run = Mfw::new().without(DIGESTS).with("89abcde.ipc_dfu.signed_1.1.2.ihex", intel_hex(&[(0, &[8; 300])]));
    let run = run.run("without.zip", &["--json"]);
    let facts = run.facts();
    assert_eq!((run.code, &facts["loader"], &facts["expected"]), (0, &Value::Null, &Value::Null));
    assert_eq!(facts["plan"].as_array().unwrap().len(), 9);
}

#[test]
fn the_reason_of_a_refusal_is_one_sentence() {
    let hex = "firmware.update.image.segments.1.hex";
    let mut update = full(&SEGMENTS);
    *update.last_mut().unwrap() ^= 1;
    let twice = full(&[SEGMENTS[0], SEGMENTS[2], SEGMENTS[2]]);
    let damaged = intel_hex(&[(0x6000, &[3; 4096])]).replacen("030303", "030304", 1);
    let other = full(&[SEGMENTS[0], SEGMENTS[1], (0x6000, &[5; 4096]), SEGMENTS[3]]);
    let few = full(&SEGMENTS[..3]);
    let more = full(&[&SEGMENTS[..], &[(0x7000, &[0; 16])]].concat());
    let short = intel_hex(&[(0x6000, &[3; 4000]), (0x5_0000, &[4; 999])]);
    let cases = [
        ("a", Mfw::new().without(CBOR), "there is no firmware.update.image.cbor in it"),
        ("b", Mfw::new().with(CBOR, "text"), "firmware.update.image.cbor: not a full update"),
        (
            "c",
            Mfw::new().with(CBOR, update),
            "firmware.update.image.cbor: the manifest's hash is not that of the segments",
        ),
        ("d", Mfw::new().with(CBOR, twice), "firmware.update.image.cbor: segment 2 overlaps one before it"),
        ("e", Mfw::new().with(hex, damaged), "firmware.update.image.segments.1.hex: line 2: the checksum is wrong"),
        ("f", Mfw::new().with(hex, intel_hex(&[])), "firmware.update.image.segments.1.hex: no bytes are in it"),
        (
            "g",
            Mfw::new().with(CBOR, other),
            "firmware.update.image.segments.1.hex: it and the update differ at 0x00006000",
        ),
        (
            "h",
            Mfw::new().with(CBOR, few),
            "firmware.update.image.segments.1.hex: 999 bytes at 0x00050000.. are not in the update",
        ),
        ("i", Mfw::new().with(CBOR, more), "segment 4, 0x00007000..0x00007010, is in no HEX file"),
        (
            "j",
            Mfw::new().with(hex, short),
            "firmware.update.image.segments.1.hex: it holds 4000 bytes of segment 2, 0x00006000..0x00007000",
        ),
        (
            "k",
            Mfw::new().with(DIGESTS, digests(0x7000)),
            "firmware.update.image.digest.txt: its ranges are not those that the update programs",
        ),
        (
            "l",
            Mfw::new().with(DIGESTS, "Range: 0x6--0x5 SHA256: 00"),
            "firmware.update.image.digest.txt: line 1: no range and its SHA-256",
        ),
        (
            "m",
            Mfw::new().with(DIGESTS, "hello"),
            "firmware.update.image.digest.txt: line 1: neither a range nor the digest of all",
        ),
        (
            "n",
            Mfw::new().without(hex).without("firmware.update.image.segments.0.hex"),
            "there is no firmware.update.image.segments.N.hex in it",
        ),
    ];
    for (name, mfw, reason) in cases {
        let name = format!("refused-{name}.zip");
        let run = mfw.run(&name, &["--json"]);
        assert_eq!((run.code, run.err.as_str()), (1, format!("error: {name}: {reason}\n").as_str()));
        let facts = run.facts();
        assert_eq!((&facts["result"], &facts["error"]), (&json!("refused"), &json!(reason)));
    }
}

#[test]
fn what_is_no_zip_and_wrong_usage_are_told_apart() {
    for (name, bytes) in
        [("none.zip", &b"no zip"[..]), ("torn.zip", &zip(&[("a", &[0; 100])])[..80]), ("empty.zip", &[])]
    {
        let run = host(&["modem", "zip", &file(name, bytes)]);
        assert_eq!((run.code, run.err.as_str()), (1, format!("error: {name}: not a zip, or a damaged one\n").as_str()));
    }
    let missing = host(&["modem", "zip", "/nonexistent.zip"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.starts_with("error: cannot read /nonexistent.zip: "), "{}", missing.err);
    for args in [&["modem"][..], &["modem", "zip"], &["modem", "unzip", "x"]] {
        assert_eq!(host(args).code, 2, "{args:?}");
    }
}
