//! `stage`: slots in files, by the library's own code, and what MCUboot makes of them.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

mod support;

use std::collections::BTreeMap;
use std::fs;

use dfu_testkit::boot::{Bootloader, Mode, SwapType};
use dfu_testkit::image::ImageBuilder;
use serde_json::json;
use support::slots::{SIZE, Slots};
use support::{FIXTURES, Run, file, host, key, scratch};

const MODES: [&str; 8] = ["scratch", "move", "offset", "overwrite", "xip", "xip-revert", "ramload", "ramload-revert"];
/// What the test kit's boot model calls them.
const MODELS: [(&str, Mode); 8] = [
    ("scratch", Mode::Scratch),
    ("move", Mode::Move),
    ("offset", Mode::Offset),
    ("overwrite", Mode::Overwrite),
    ("xip", Mode::DirectXip),
    ("xip-revert", Mode::DirectXipRevert),
    ("ramload", Mode::RamLoad),
    ("ramload-revert", Mode::RamLoadRevert),
];

fn image(major: u8, mode: &str) -> ImageBuilder {
    let image = ImageBuilder::new().version(major, 0, 0, 0).payload(2000 + 100 * usize::from(major));
    if mode.starts_with("ramload") { image.flags(0x20).load_addr(0x2000_0000) } else { image }
}

/// Version 1 as it runs in the mode.
fn installed(name: &str, mode: &str) -> Slots {
    let slots = Slots::new(name, mode);
    slots.install(&image(1, mode).build());
    if mode.ends_with("revert") {
        // A factory image needs a trailer there.
        assert_eq!(slots.run("confirm", &[]).code, 0);
    }
    slots
}

/// Where version 2 lies in its slot.
fn start(mode: &str) -> usize {
    if mode == "offset" { 1024 } else { 0 }
}

#[test]
fn in_every_mode_the_image_lies_where_the_bootloader_looks_for_it() {
    for mode in MODES {
        for permanent in [false, true] {
            let slots = installed("every", mode);
            let new = image(2, mode).build();
            let more: &[&str] = if permanent { &["--json", "--permanent"] } else { &["--json"] };
            let run = slots.stage(&new, more);
            let facts = run.facts();
            assert_eq!((run.code, run.err.as_str(), &facts["result"]), (0, "", &json!("staged")), "{mode}: {facts}");
            let [primary, secondary] = slots.bytes();
            assert_eq!(secondary[start(mode)..][..new.len()], new[..], "{mode}");
            assert!(primary.starts_with(&image(1, mode).build()), "{mode}");
            assert_eq!(facts["operations"]["primary"]["writes"], 0, "{mode}");
            assert!(facts["operations"]["secondary"]["erases"].as_u64().unwrap() >= 3, "{mode}: {facts}");

            // Once more: it is there.
            let before = slots.bytes();
            let run = slots.stage(&new, more);
            assert_eq!((run.code, &run.facts()["result"]), (0, &json!("pending")), "{mode}: {}", run.out);
            assert_eq!(run.facts()["operations"]["writes_and_erases"], 0, "{mode}");
            assert_eq!(slots.bytes(), before, "{mode}");
        }
    }
}

#[test]
fn mcuboot_runs_what_was_staged() {
    for (mode, model) in MODELS {
        for (write, align, erased) in
            [(1, 8, 0xff), (4, 8, 0xff), (8, 8, 0), (16, 16, 0xff), (32, 32, 0xff), (8, 32, 0xff)]
        {
            let (write_size, align_text, erased_text) = (write.to_string(), align.to_string(), erased.to_string());
            let options =
                ["--sector", "1024", "--write-size", &write_size, "--align", &align_text, "--erased", &erased_text];
            let slots = Slots::with("model", mode, &[&options[..], &["--max-sectors", "32"]].concat());
            slots.install(&image(1, mode).build());
            assert_eq!(slots.run("confirm", &[]).code, 0);
            let run = slots.stage(&image(2, mode).build(), &[]);
            assert_eq!((run.code, run.err.as_str()), (0, ""), "{mode} {write} {align}");
            let mcuboot = Bootloader::new(model, write, 1024).max_align(align).sectors(32).erased_value(erased as u8);
            let [mut primary, mut secondary] = [&slots.primary, &slots.secondary].map(|path| fs::read(path).unwrap());
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            let swapped = (!model.selects()).then_some(SwapType::Test);
            assert_eq!(boot.swapped, swapped, "{mode} {write} {align}: {boot:?}");
            assert_eq!(boot.running.unwrap().version.major, 2);
        }
    }
}

#[test]
fn the_largest_image_is_taken_and_one_byte_more_is_not() {
    for mode in MODES {
        let slots = installed("largest", mode);
        let max = slots.state()["max_image"].as_u64().unwrap() as usize;
        let before = slots.bytes();
        let run = slots.stage(&image(2, mode).total_size(max + 1).build(), &[]);
        let reason = format!("the image needs {} bytes, and this slot takes images of up to {max}", max + 1);
        assert_eq!((run.code, run.err), (1, slots.refused(&reason)), "{mode}");
        assert_eq!(slots.bytes(), before, "{mode}");
        assert!(fs::metadata(&slots.secondary).is_err() || mode.ends_with("revert"), "{mode}: a file was made");
        let run = slots.stage(&image(2, mode).total_size(max).build(), &[]);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{mode}");
    }
}

#[test]
fn a_cut_anywhere_leaves_what_runs_and_the_next_call_finishes() {
    for mode in MODES {
        let slots = installed("cut", mode);
        let new = image(2, mode).build();
        let before = slots.bytes();
        let whole = slots.stage(&new, &["--json"]).facts();
        let operations = whole["operations"]["writes_and_erases"].as_u64().unwrap();
        let staged = slots.bytes();
        for torn in ["none", "half", "garbage"] {
            for operation in (1..=operations).filter(|at| at % 3 == 1 || at + 3 >= operations) {
                slots.put(&before);
                let at = operation.to_string();
                let run = slots.stage(&new, &["--json", "--cut-op", &at, "--torn", torn]);
                assert_eq!((run.code, &run.facts()["result"]), (3, &json!("cut")), "{mode} {torn} {at}: {}", run.err);
                assert_eq!(slots.bytes()[0], before[0], "{mode} {torn} {at}");
                if let Some((_, model)) = MODELS.into_iter().find(|(name, _)| *name == mode) {
                    let [mut primary, mut secondary] = slots.bytes();
                    let boot = Bootloader::new(model, 8, 1024).boot(&mut primary, &mut secondary);
                    let major = boot.running.as_ref().unwrap().version.major;
                    assert!(major == 1 || operation == operations, "{mode} {torn} {at}: {boot:?}");
                }
                let run = slots.stage(&new, &["--json"]);
                assert_eq!(run.code, 0, "{mode} {torn} {at}: {}", run.err);
                assert_eq!(slots.bytes(), staged, "{mode} {torn} {at}");
            }
        }
        slots.put(&before);
        let run = slots.stage(&new, &["--json", "--cut-op", "100000"]);
        assert_eq!((run.code, &run.facts()["result"]), (0, &json!("staged")), "the power lasts");
    }
}

#[test]
fn the_slot_that_does_not_run_takes_the_image() {
    for mode in ["xip", "xip-revert", "ramload", "ramload-revert"] {
        let slots = installed("alternate", mode);
        for (major, slot) in [(2, "secondary"), (3, "primary"), (4, "secondary")] {
            let run = slots.stage(&image(major, mode).build(), &["--json"]);
            assert_eq!((run.code, &run.facts()["slot"]), (0, &json!(slot)), "{mode} {major}: {}", run.err);
            if mode.ends_with("revert") {
                // As the bootloader and the application do: copy_done, image_ok.
                let mut bytes = slots.bytes();
                let side = usize::from(slot == "secondary");
                bytes[side][SIZE - 32] = 1;
                slots.put(&bytes);
                let run = slots.stage(&image(major + 1, mode).build(), &[]);
                assert_eq!(run.code, 1, "{mode}: on trial");
                assert!(run.err.contains("not confirmed: confirm it"), "{}", run.err);
                assert_eq!(slots.run("confirm", &[]).code, 0);
            }
            let state = slots.state();
            assert_eq!((&state["runs"], &state["running"]), (&json!(slot), &json!(format!("{major}.0.0+0"))), "{mode}");
        }
        // A lower version would never run.
        let run = slots.stage(&image(3, mode).build(), &[]);
        assert_eq!(run.code, 1, "{mode}");
        assert!(run.err.contains("3.0.0+0 is not higher than 4.0.0+0, which runs"), "{}", run.err);
    }
}

#[test]
fn an_image_for_one_address_belongs_there() {
    let options = ["--sector", "1024", "--write-size", "4"];
    let places = ["--primary-address", "0x8000000", "--secondary-address", "0x8010000"];
    let slots = Slots::with("address", "xip", &[&options[..], &places].concat());
    slots.install(&image(1, "xip").flags(0x100).load_addr(0x0800_0000).build());
    let run = slots.stage(&image(2, "xip").flags(0x100).load_addr(0x0800_0000).build(), &[]);
    let reason = "the image runs at 0x8000000 only, and the slot is at 0x8010000";
    assert_eq!((run.code, run.err), (1, slots.refused(reason)));
    let run = slots.stage(&image(2, "xip").flags(0x100).load_addr(0x0801_0000).build(), &["--json"]);
    assert_eq!((run.code, &run.facts()["slot"]), (0, &json!("secondary")), "{}", run.err);
}

#[test]
fn without_an_image_in_the_primary_slot_it_is_staged_all_the_same() {
    for mode in MODES {
        let slots = Slots::new("none", mode);
        let run = slots.stage(&image(2, mode).build(), &["--json"]);
        assert_eq!((run.code, &run.facts()["slot"]), (0, &json!("secondary")), "{mode}: {}", run.err);
        assert_eq!(fs::read(&slots.primary).unwrap(), [0xff; SIZE], "{mode}");
    }
}

#[test]
fn what_the_rules_ask_for_is_asked() {
    let plain = image(2, "move");
    let counter = plain.clone().protected(0x50, &[7, 0, 0, 0]);
    let needs = plain.clone().protected(0x40, &[1, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
    let vendor = plain.clone().protected(0x74, &[0xab; 16]);
    let encrypted = plain.clone().flags(0x4);
    let uuid = "ab".repeat(16);
    let cases: [(&ImageBuilder, &[&str], Result<(), &str>); 17] = [
        (&plain, &["--version-rule", "newer"], Ok(())),
        (&image(1, "move"), &["--version-rule", "newer"], Err("version 1.0.0+0 is not wanted where 1.0.0+0 runs")),
        (&image(1, "move"), &["--version-rule", "newer-or-equal"], Ok(())),
        (&image(0, "move"), &["--version-rule", "newer-or-equal"], Err("version 0.0.0+0 is not wanted")),
        (&counter, &["--counter", "7"], Ok(())),
        (&counter, &["--counter", "8"], Err("the security counter is 7, and 8 is the least")),
        (&plain, &["--counter", "0"], Err("the image has no security counter")),
        (&needs, &["--dependency-image", "1=2.1.0"], Ok(())),
        (
            &needs,
            &["--dependency-image", "1=2.0.9"],
            Err("it needs image 1 in version 2.1.0+0, and that will be 2.0.9"),
        ),
        (&needs, &["--dependency-image", "2=9.0.0"], Err("it needs image 1 in version 2.1.0+0, and there is none")),
        (&vendor, &["--vendor", &uuid], Ok(())),
        (&plain, &["--vendor", &uuid], Err("the image is not for this vendor's devices")),
        (&plain, &["--class", &uuid], Err("the image is not for this class of device")),
        (&encrypted, &[], Err("the bootloader was not built for such an image: encrypted (AES-128)")),
        (&encrypted, &["--encrypted", "aes128"], Ok(())),
        (&encrypted, &["--encrypted", "aes256"], Err("the bootloader was not built for such an image")),
        (&plain, &["--hash", "sha512"], Err("the image has no hash of the kind that the bootloader checks")),
    ];
    for (image, options, expected) in cases {
        let slots = installed("rules", "move");
        let run = slots.stage(&image.build(), options);
        match expected {
            Ok(()) => assert_eq!((run.code, run.err.as_str()), (0, ""), "{options:?}"),
            Err(reason) => {
                assert_eq!((run.code, run.err.lines().count()), (1, 1), "{options:?}: {}", run.err);
                assert!(run.err.starts_with(slots.refused(reason).trim_end()), "{options:?}: {}", run.err);
                assert_ne!(slots.state()["state"], "pending-test", "{options:?}");
            }
        }
    }
}

#[test]
fn signatures_of_every_kind_are_asked_for() {
    let signed = [
        ("sig-ed25519", "ed25519", "sha256"),
        ("sig-ed25519-sha512", "ed25519", "sha512"),
        ("sig-ed25519-pure", "ed25519", "pure"),
        ("sig-ecdsa-p256", "ecdsa-p256", "sha256"),
        ("sig-rsa-2048", "rsa-2048", "sha256"),
        ("sig-rsa-3072", "rsa-3072", "sha256"),
    ];
    for (name, kind, hash) in signed {
        let bytes = fs::read(format!("{FIXTURES}/{name}.bin")).unwrap();
        let slots = installed("signed", "move");
        let key = key(kind);
        let run = slots.stage(&bytes, &["--key", &key, "--hash", hash]);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{name}");

        let mut forged = bytes.clone();
        *forged.last_mut().unwrap() ^= 1;
        let slots = installed("forged", "move");
        let run = slots.stage(&forged, &["--key", &key, "--hash", hash]);
        assert_eq!((run.code, run.err), (1, slots.refused("the signature is not that of the image")), "{name}");
        assert_eq!(slots.state()["state"], "none");
    }
    let unsigned = fs::read(format!("{FIXTURES}/sig-none.bin")).unwrap();
    let slots = installed("unsigned", "move");
    let run = slots.stage(&unsigned, &["--key", &key("ed25519")]);
    assert_eq!((run.code, run.err), (1, slots.refused("no signature by a key that the bootloader has")));
    let slots = installed("keyless", "move");
    let run = slots.stage(&unsigned, &["--hash", "pure"]);
    let reason = "the bootloader's hash is not SHA-256, and the target was given no engine for it";
    assert_eq!((run.code, run.err), (1, slots.refused(reason)));
}

#[test]
fn another_request_has_to_be_withdrawn_first() {
    let slots = installed("other", "move");
    assert_eq!(slots.stage(&image(2, "move").build(), &[]).code, 0);
    let before = slots.bytes();
    for (image, more) in [(image(3, "move").build(), &[][..]), (image(2, "move").build(), &["--permanent"])] {
        let run = slots.stage(&image, more);
        let reason = "an image in the slot waits for the reset: reset, or withdraw it first";
        assert_eq!((run.code, run.err), (1, slots.refused(reason)));
        assert_eq!(slots.bytes(), before);
    }
    assert_eq!(slots.run("withdraw", &[]).code, 0);
    assert_eq!(slots.stage(&image(3, "move").build(), &["--permanent"]).code, 0);
    assert_eq!(slots.state()["state"], "pending-permanent");
}

/// A command line of options that go together, but for those that are given.
fn stage_with(name: &str, given: &[(&str, &str)]) -> Run {
    let path = |slot: &str| scratch(&format!("{name}-{slot}.bin"));
    let new = file(&format!("{name}-image.bin"), &image(2, "move").build()[..]);
    let mut options = BTreeMap::from([
        ("--image", new),
        ("--primary", path("primary")),
        ("--secondary", path("secondary")),
        ("--mode", "move".into()),
        ("--slot-size", "0x8000".into()),
        ("--sector", "1024".into()),
        ("--write-size", "8".into()),
    ]);
    options.extend(given.iter().map(|(option, value)| (*option, (*value).to_owned())));
    let args: Vec<&str> = options.iter().flat_map(|(option, value)| [*option, value]).collect();
    host(&[&["stage"], &args[..]].concat())
}

#[test]
fn slots_that_the_library_refuses_are_refused_in_its_words() {
    let refused: [(&[(&str, &str)], &str); 9] = [
        (&[("--mode", "single")], "with a single slot there is no place for a new image"),
        (&[("--slot-size", "0x8100")], "a slot is not made of whole sectors"),
        (&[("--secondary-size", "0x9000")], "the sizes of the two slots do not go together"),
        (&[("--max-sectors", "16")], "a slot has more sectors than the bootloader's BOOT_MAX_IMG_SECTORS"),
        (&[("--write-size", "16")], "the flash's word is no power of two or larger than"),
        (&[("--write-size", "64"), ("--align", "32")], "the flash's word is no power of two or larger than"),
        (&[("--sector", "64")], "the sector is no multiple of what the flash erases at once"),
        (&[("--mode", "xip"), ("--encrypted", "aes128")], "MCUboot does not run encrypted images in this mode"),
        (&[("--image", "/nonexistent")], "cannot read /nonexistent: "),
    ];
    for (given, reason) in refused {
        let run = stage_with("refused", given);
        assert_eq!((run.code, run.err.lines().count()), (1, 1), "{given:?}: {}", run.err);
        assert!(run.err.starts_with(&format!("error: {reason}")), "{given:?}: {}", run.err);
    }
}

#[test]
fn options_that_cannot_be_have_a_code_of_their_own() {
    let wrong: [(&[(&str, &str)], &str); 16] = [
        (&[("--sector", "3000")], "no power of two"),
        (&[("--write-size", "3")], "no power of two"),
        (&[("--write-size", "0")], "no power of two"),
        (&[("--slot-size", "many")], "not a number of 32 bits"),
        (&[("--slot-size", "0x20000000")], "the primary slot has more than 268435456 bytes"),
        (&[("--align", "4")], "invalid value '4'"),
        (&[("--erased", "0x55")], "erased flash reads as 0xff or 0x00"),
        (&[("--chunk", "0")], "0 is too few"),
        (&[("--cut-op", "0")], "0 is too few"),
        (&[("--torn", "half")], "--cut-op"),
        (&[("--index", "16")], "16 is not in 0..=15"),
        (&[("--dependency-image", "2.0.0")], "like 1=2.0.0"),
        (&[("--ram", "0x20000000")], "like 0x20000000+0x10000"),
        (&[("--primary-address", "0x100")], "a slot's address, 0x100, is no multiple of the sector"),
        (&[("--secondary-address", "0xfffff000")], "the secondary slot ends beyond 4 GiB"),
        (&[("--runs", "primary")], "--runs: in this mode it is the primary slot that runs"),
    ];
    for (given, reason) in wrong {
        let run = stage_with("usage", given);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{given:?}: {}", run.err);
        assert!(run.err.contains(reason), "{given:?}: {}", run.err);
    }
    let (p256, rsa) = (key("ecdsa-p256"), key("rsa-2048"));
    let run = stage_with("usage", &[("--key", &p256), ("--hash", "sha512")]);
    assert_eq!(
        (run.code, run.err.as_str()),
        (2, "error: --hash: the library has no ECDSA P-256 signatures over such a hash\n")
    );
    let run = installed("two-keys", "move").stage(&image(2, "move").build(), &["--key", &p256, "--key", &rsa]);
    assert_eq!(run.code, 2, "{}", run.err);
    let private = format!("{FIXTURES}/keys/test-only-rsa-2048.pem");
    assert_eq!(stage_with("usage", &[("--key", &private)]).code, 1);
}

#[test]
fn files_are_filled_up_to_the_slot_and_never_cut() {
    let slots = installed("files", "move");
    fs::write(&slots.secondary, vec![0xff; SIZE + 1]).unwrap();
    let run = slots.stage(&image(2, "move").build(), &[]);
    assert_eq!(run.code, 1);
    assert!(run.err.ends_with("secondary.bin: the file has 32769 bytes, and the slot 32768\n"), "{}", run.err);
    fs::write(&slots.secondary, &image(0, "move").build()[..]).unwrap();
    assert_eq!(slots.stage(&image(2, "move").build(), &[]).code, 0);
    let lengths = [&slots.primary, &slots.secondary].map(|path| fs::metadata(path).unwrap().len());
    assert_eq!(lengths, [SIZE as u64; 2]);
    let readable = slots.run("stage", &["--image", "/nonexistent"]);
    assert_eq!(readable.code, 1);
}

#[test]
fn pieces_of_any_size_make_the_same_slot() {
    let mut slots_of = ["1", "7", "1000", "100000"].map(|chunk| {
        let slots = installed(&format!("chunk-{chunk}"), "offset");
        assert_eq!(slots.stage(&image(2, "offset").build(), &["--chunk", chunk]).code, 0);
        slots.bytes()
    });
    slots_of[1..].iter_mut().for_each(|other| assert_eq!(other[1].len(), SIZE));
    assert!(slots_of.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn the_scratch_area_counts_by_its_size_and_is_left_alone() {
    let slots = installed("area", "scratch");
    let area = scratch("area.bin");
    let run = slots.stage(&image(2, "scratch").build(), &["--scratch", &area]);
    assert_eq!((run.code, fs::read(&area).unwrap()), (0, vec![0xff; 1024]), "{}", run.err);
    fs::write(&area, [0; 1500]).unwrap();
    let run = slots.run("withdraw", &["--scratch", &area]);
    assert_eq!((run.code, run.err.as_str()), (1, "error: the scratch area does not hold a sector of each slot\n"));
}

#[test]
fn what_is_told_is_short_and_readable() {
    let slots = installed("text", "move");
    let run = slots.stage(&image(2, "move").build(), &[]);
    for part in ["2.0.0+0", "into the secondary slot, to run on trial", "pending-test", "secondary", "bytes written"] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    assert!(run.out.lines().all(|line| line.chars().count() <= 120), "{}", run.out);
    let help = host(&["stage", "--help"]);
    assert!(help.code == 0 && help.out.contains("Exit codes: 0 the image waits for the reset"), "{}", help.out);
}

#[test]
fn a_padded_file_is_not_written_over_the_trailer() {
    let padded = fs::read(format!("{FIXTURES}/slot-a8-test.bin")).unwrap();
    let slots = installed("padded", "move");
    let run = slots.stage(&padded, &[]);
    let reason = "the image needs 32768 bytes, and this slot takes images of up to 27648: \
                  it was signed with --pad, sign it without";
    assert_eq!((run.code, run.err), (1, slots.refused(reason)));
}

#[test]
fn one_file_is_never_two_areas() {
    let mut slots = installed("same", "scratch");
    let before = fs::read(&slots.primary).unwrap();
    let secondary = slots.secondary.clone();
    let (folder, name) = slots.primary.rsplit_once('/').unwrap();
    let detour = format!("{folder}/./{name}");
    for path in [slots.primary.clone(), detour] {
        slots.secondary = path;
        for command in ["state", "confirm", "withdraw"] {
            assert_eq!(slots.run(command, &[]).code, 2, "{command}");
        }
        let run = slots.stage(&image(2, "scratch").build(), &[]);
        assert_eq!((run.code, run.out.as_str()), (2, ""));
        assert!(run.err.ends_with("one file cannot be two of the areas\n"), "{}", run.err);
    }
    // Also before it is there.
    slots.secondary = secondary;
    let run = slots.stage(&image(2, "scratch").build(), &["--scratch", &slots.secondary]);
    assert_eq!(run.code, 2, "{}", run.err);
    assert!(fs::metadata(&slots.secondary).is_err());
    assert_eq!(fs::read(&slots.primary).unwrap(), before);
}

#[test]
fn a_file_that_is_neither_a_slot_nor_an_image_is_left_alone() {
    for mode in ["move", "offset", "xip"] {
        let slots = installed("notes", mode);
        let new = image(2, mode).build();
        for text in [&b"my notes\n"[..], &[0xff; SIZE - 1]] {
            fs::write(&slots.secondary, text).unwrap();
            let run = slots.stage(&new, &[]);
            let reason = format!("the file has {} bytes, and is neither the slot's 32768 nor an image\n", text.len());
            assert!(run.code == 1 && run.err.contains(&slots.secondary), "{mode}: {}", run.err);
            assert!(run.err.ends_with(&reason), "{mode}: {}", run.err);
            assert_eq!(fs::read(&slots.secondary).unwrap(), text, "{mode}");
        }
        // An image is one where the bootloader looks for it, and an empty file is an erased slot.
        let erased = vec![0xff; start(mode)];
        for content in [vec![], [&erased[..], &image(1, mode).build()[..]].concat(), vec![0xff; SIZE]] {
            fs::write(&slots.secondary, content).unwrap();
            assert_eq!(slots.stage(&new, &[]).code, 0, "{mode}");
            fs::remove_file(&slots.secondary).unwrap();
        }
    }
}
