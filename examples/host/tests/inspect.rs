//! `inspect`: imgtool's images, and files that are none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets what it does not expect stops there")]

mod support;

use dfu_testkit::fixture::Fixture;
use dfu_testkit::image::ImageBuilder;
use serde_json::{Value, json};
use support::modem::full;
use support::{FIXTURES, Run, file, host, key};

fn inspect(path: &str, more: &[&str]) -> Run {
    let mut args = vec!["inspect", path, "--json"];
    args.extend(more);
    host(&args)
}

fn fixture(name: &str) -> String {
    format!("{FIXTURES}/{name}.bin")
}

fn tlv<'v>(facts: &'v Value, name: &str) -> &'v Value {
    let tlvs = facts["tlvs"].as_array().unwrap();
    tlvs.iter().find(|tlv| tlv["name"] == name).unwrap_or_else(|| panic!("no {name}: {facts}"))
}

#[test]
fn all_of_imgtools_images_are_read_as_their_manifest_has_them() {
    for fixture in Fixture::all() {
        let name = fixture.name();
        let run = inspect(&self::fixture(name), &[]);
        let facts = run.facts();
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{name}: {facts}");
        assert_eq!(facts["version"], fixture.field("version"), "{name}");
        for (ours, theirs) in [
            ("header_size", "header_size"),
            ("payload_size", "payload_size"),
            ("protected_size", "protected_size"),
            ("flags_raw", "flags"),
        ] {
            assert_eq!(facts[ours], fixture.number(theirs), "{name}: {ours}");
        }
        let hash = tlv(&facts, fixture.field("hash"));
        assert_eq!(hash["value"], fixture.field("digest"), "{name}");
        let verdict = if name == "flag-encrypted" { "encrypted" } else { "right" };
        assert_eq!(facts["hash"]["verdict"], verdict, "{name}");
        match fixture.field("signature") {
            "-" => {}
            signature => {
                let found = facts["tlvs"].as_array().unwrap().iter().map(|tlv| tlv["name"].as_str().unwrap());
                let names: Vec<String> = found.map(|name| name.replace('_', "")).collect();
                assert!(
                    names.iter().any(|name| name.starts_with(&signature.replace('_', ""))),
                    "{signature} {names:?}"
                );
            }
        }
    }
}

#[test]
fn a_signature_is_checked_by_its_key_and_by_no_other() {
    let signed = [
        ("sig-ed25519", "ed25519"),
        ("sig-ed25519-sha512", "ed25519"),
        ("sig-ed25519-pure", "ed25519"),
        ("sig-ed25519-pubkey", "ed25519"),
        ("sig-ecdsa-p256", "ecdsa-p256"),
        ("sig-rsa-2048", "rsa-2048"),
        ("sig-rsa-3072", "rsa-3072"),
    ];
    for (image, name) in signed {
        let pem = key(name);
        let run = inspect(&fixture(image), &["--key", &pem]);
        assert_eq!((run.code, &run.facts()["signatures"]), (0, &json!(["right"])), "{image}: {}", run.err);
        let der = format!("{FIXTURES}/keys/test-only-{name}.pub.der");
        assert_eq!(inspect(&fixture(image), &["--key", &der]).code, 0, "{image} by DER");

        let other = key(if name == "ed25519" { "ecdsa-p256" } else { "ed25519" });
        let run = inspect(&fixture(image), &["--key", &other]);
        assert_eq!((run.code, &run.facts()["signatures"]), (1, &json!(["other-key"])), "{image}");
        assert_eq!(run.err, format!("error: {image}.bin: no signature by this key\n"));

        // The payload's last byte: neither hash nor signature are right.
        let mut bytes = std::fs::read(fixture(image)).unwrap();
        bytes[512 + 8194] ^= 1;
        let run = inspect(&file(&format!("damaged-{image}.bin"), &bytes), &["--key", &pem]);
        assert_eq!((run.code, &run.facts()["signatures"]), (1, &json!(["wrong"])), "{image}");
    }
    let run = inspect(&fixture("sig-none"), &["--key", &key("ed25519")]);
    assert_eq!((run.code, run.err.as_str()), (1, "error: sig-none.bin: no signature by this key\n"));
}

#[test]
fn a_key_that_is_none_is_named() {
    let private = format!("{FIXTURES}/keys/test-only-ecdsa-p256.pem");
    let cases = [
        (private, "test-only-ecdsa-p256.pem: a private key, and none is needed here: `imgtool getpub -e pem` writes"),
        (key("ecdsa-p384"), "a key on the curve P-384, and the library has no signature scheme for that"),
        (file("text.pem", "hello"), "text.pem: no key: neither PEM nor DER"),
        (file("torn.pem", "-----BEGIN PUBLIC KEY-----\nMFkw"), "torn.pem: not well-formed PEM"),
        (file("odd.der", [0x30, 3, 2, 1, 1]), "odd.der: a key, and the library has no signature scheme for that"),
        ("/nonexistent.pem".into(), "cannot read /nonexistent.pem"),
    ];
    for (path, reason) in cases {
        let run = inspect(&fixture("sig-ecdsa-p256"), &["--key", &path]);
        assert_eq!((run.code, run.err.lines().count()), (1, 1), "{path}: {}", run.err);
        assert!(run.err.contains(reason), "{}", run.err);
    }
}

#[test]
fn what_tlvs_mean_is_shown() {
    let facts = inspect(&fixture("tlv-all"), &[]).facts();
    assert_eq!(tlv(&facts, "SEC_CNT")["counter"], 7);
    assert_eq!(tlv(&facts, "DEPENDENCY")["version"], "2.0.0+0");
    assert_eq!(tlv(&facts, "DEPENDENCY")["image"], 1);
    assert_eq!(tlv(&facts, "UUID_VID")["uuid"], "bcc16965-6f3a-5338-9d83-d8b565c63bc7");
    assert_eq!(tlv(&facts, "VENDOR")["value"], "01020304");
    assert_eq!(tlv(&facts, "VENDOR")["area"], "protected");
    assert!(tlv(&facts, "BOOT_RECORD")["cbor"].as_str().unwrap().starts_with(r#"{1: "APP", 4: "1.2.3""#), "{facts}");
    let flags = inspect(&fixture("flag-rom-fixed"), &[]).facts();
    assert_eq!(flags["flags"], json!(["ROM_FIXED"]));
    let text = host(&["inspect", &fixture("tlv-all")]);
    for part in ["1.2.3+4", "SEC_CNT             7", "image 1 in version 2.0.0+0 or later", "SHA-256, right"] {
        assert!(text.out.contains(part), "{part}: {}", text.out);
    }
}

#[test]
fn a_padded_file_shows_its_trailer() {
    for align in [8, 16, 32] {
        for (name, magic, image_ok) in [("", false, "unset"), ("-test", true, "unset"), ("-confirm", true, "set")] {
            let facts = inspect(&fixture(&format!("slot-a{align}{name}")), &[]).facts();
            let trailer = &facts["behind"]["trailer"];
            if magic {
                assert_eq!((&trailer["align"], &trailer["image_ok"]), (&json!(align), &json!(image_ok)), "{facts}");
            } else {
                assert_eq!(trailer, &Value::Null, "{facts}");
            }
        }
    }
    let image = ImageBuilder::new().build();
    let longer = [&image[..], &[0xff; 100]].concat();
    assert_eq!(inspect(&file("filled.bin", longer), &[]).facts()["behind"]["erased"], 0xff);
    let odd = [&image[..], b"something else"].concat();
    let facts = inspect(&file("odd-end.bin", odd), &[]).facts();
    assert_eq!(facts["behind"], json!({ "length": 14, "erased": null, "trailer": null }));
}

#[test]
fn what_is_wrong_with_a_file_is_said_in_one_line() {
    let image = ImageBuilder::new().payload(1000).build();
    let changed = |at: usize| {
        let mut bytes = image.to_vec();
        bytes[at] ^= 0x40;
        bytes
    };
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("empty.bin", Vec::new(), "not a firmware image of any known kind"),
        ("page.bin", b"<!DOCTYPE html>".to_vec(), "not a firmware image of any known kind"),
        ("head.bin", image[..20].to_vec(), "shorter than an MCUboot header"),
        ("cut.bin", image[..1000].to_vec(), "the header tells of 1512 bytes before the TLVs, and the file has 1000"),
        ("tlvs.bin", image[..1530].to_vec(), "the unprotected TLVs end at 0x610, and the file at 0x5fa"),
        ("hash.bin", changed(600), "the image's hash is not that of its bytes"),
        ("magic.bin", changed(1512), "no unprotected TLVs at 0x5e8: 0x6947 instead of 0x6907"),
    ];
    for (name, bytes, reason) in cases {
        let run = inspect(&file(name, bytes), &[]);
        assert_eq!((run.code, run.err), (1, format!("error: {name}: {reason}\n")));
        assert_eq!(
            (&run.out.lines().count(), &serde_json::from_str::<Value>(&run.out).unwrap()["error"]),
            (&1, &json!(reason))
        );
    }
    let run = inspect("/nonexistent", &[]);
    assert!(run.code == 1 && run.err.starts_with("error: cannot read /nonexistent: "), "{}", run.err);
    assert_eq!(host(&["inspect"]).code, 2);
}

#[test]
fn no_bytes_make_it_fall_over() {
    let image = ImageBuilder::new().payload(50).protected(0x50, &[1, 0, 0, 0]).signature(70).build();
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..60 {
        let mut bytes = image.to_vec();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(if round % 2 == 0 { 4..32 } else { 562..image.len() });
            bytes[at] = random.u8(..);
        }
        bytes.truncate(random.usize(4..=image.len()));
        let run = inspect(&file("random.bin", &bytes), &[]);
        assert!(run.code <= 1 && run.err.lines().count() == run.code as usize, "{}", run.err);
    }
}

#[test]
fn of_modem_updates_all_that_is_public_is_shown() {
    let full = full(&[(0, &[1; 300]), (0x5960_2000, &[2; 2000])]);
    let run = inspect(&file("modem.cbor", &full), &[]);
    let facts = run.facts();
    assert_eq!((run.code, &facts["kind"], &facts["hash"]["verdict"]), (0, &json!("modem-full"), &json!("right")));
    assert_eq!(facts["manifest"]["segments"][1], json!({ "address": 0x5960_2000, "length": 2000 }));

    let run = inspect(&format!("{FIXTURES}/modem-full.wrapper"), &[]);
    assert_eq!(run.err, "error: modem-full.wrapper: the segments have 0 bytes, and the manifest tells of 2066744\n");
    assert_eq!(run.facts()["manifest"]["segments"][4], json!({ "address": 0x27_c000, "length": 16_384 }));

    let mut damaged = full.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let cases = [
        ("damaged.cbor", damaged, "the manifest's hash is not that of the segments"),
        ("short.cbor", full[..full.len() - 1].to_vec(), "the segments have 2299 bytes, and the manifest tells of 2300"),
        ("long.cbor", [&full[..], &[0]].concat(), "1 bytes follow the last segment"),
        ("torn.cbor", full[..100].to_vec(), "the wrapper is not all there"),
    ];
    for (name, bytes, reason) in cases {
        let run = inspect(&file(name, bytes), &[]);
        assert_eq!((run.code, run.err), (1, format!("error: {name}: {reason}\n")));
    }

    let delta = [&b"\x01\x02\x03\x04meDu"[..], &[0; 500]].concat();
    let facts = inspect(&file("mfw_nrf9160_update_from_1.3.4_to_1.3.5.bin", delta), &[]).facts();
    assert_eq!((&facts["kind"], &facts["named"]), (&json!("modem-delta"), &json!({ "from": "1.3.4", "to": "1.3.5" })));
}
