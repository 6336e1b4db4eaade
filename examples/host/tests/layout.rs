//! `layout`: flash maps, sound ones and others.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

mod support;

use serde_json::json;
use support::{Run, file, host};

const SOUND: &str = r#"
[flash.internal]
size = 0x100000
write = 4
erase = 4096

[[region]]
name = "bootloader"
flash = "internal"
offset = 0
size = 0xc000

[[region]]
name = "mcuboot_primary"
flash = "internal"
offset = 0xc000
size = 0x69000

[[region]]
name = "mcuboot_secondary"
flash = "internal"
offset = 0x75000
size = 0x69000
"#;

/// As the partition manager writes it.
const PARTITIONS: &str = "
EMPTY_0:
  address: 0xe4000
  end_address: 0xf0000
  placement:
    after:
    - app
  region: flash_primary
  size: 0xc000
app:
  address: 0x10200
  end_address: 0xe4000
  region: flash_primary
  size: 0xd3e00
mcuboot:
  address: 0x0
  end_address: 0x10000
  placement:
    before:
    - mcuboot_primary
  region: flash_primary
  size: 0x10000
mcuboot_pad:
  address: 0x10000
  end_address: 0x10200
  region: flash_primary
  size: 0x200
mcuboot_primary:
  address: 0x10000
  end_address: 0xf0000
  orig_span: &id001
  - mcuboot_pad
  - app
  region: flash_primary
  size: 0xe0000
  span: *id001
mcuboot_primary_app:
  address: 0x10200
  end_address: 0xf0000
  orig_span: &id002
  - app
  region: flash_primary
  size: 0xdfe00
  span: *id002
mcuboot_secondary:
  address: 0x0
  device: MX25R64
  end_address: 0xe0000
  region: external_flash
  size: 0xe0000
nrf_modem_lib_ctrl:
  address: 0x20000000
  end_address: 0x200004e8
  inside:
  - sram_nonsecure
  region: sram_primary
  size: 0x4e8
settings_storage:
  address: 0xf0000
  end_address: 0x100000
  region: flash_primary
  size: 0x10000
";

fn layout(name: &str, text: &str, more: &[&str]) -> Run {
    let path = file(name, text);
    host(&[&["layout", &path, "--json"], more].concat())
}

#[test]
fn each_mode_has_its_largest_image() {
    let run = layout("sound.toml", SOUND, &[]);
    let facts = run.facts();
    assert_eq!((run.code, run.err.as_str(), &facts["problems"]), (0, "", &json!([])), "{facts}");
    let modes = &facts["pairs"][0]["modes"];
    for (mode, max) in
        [("scratch", 428_496), ("move", 421_888), ("offset", 421_888), ("overwrite", 430_040), ("xip", 430_040)]
    {
        assert_eq!(modes[mode]["max_image"], max, "{mode}");
    }
    assert_eq!(modes["offset"]["start"], 4096);
    // By the options, too.
    let run =
        layout("sound.toml", SOUND, &["--mode", "move", "--write-size", "32", "--align", "32", "--sector", "8192"]);
    assert_eq!(run.code, 1, "0xc000 is half a sector of 8192: {}", run.out);
    let run = layout("sound.toml", SOUND, &["--mode", "move", "--write-size", "16", "--align", "16"]);
    assert_eq!(
        run.facts()["pairs"][0]["modes"],
        json!({ "move": { "max_image": 417_792, "start": 0, "trailer": 6224 } })
    );
}

#[test]
fn the_partition_managers_files_are_read() {
    for name in ["pm_static.yml", "partitions.yaml"] {
        let run = layout(name, PARTITIONS, &["--max-sectors", "256"]);
        let facts = run.facts();
        assert_eq!((run.code, run.err.as_str(), &facts["problems"]), (0, "", &json!([])), "{facts}");
        assert_eq!(facts["pairs"][0]["modes"]["move"]["max_image"], 0xde000);
        let app = facts["regions"].as_array().unwrap().iter().find(|region| region["name"] == "app").unwrap();
        assert_eq!((&app["offset"], &app["depth"]), (&json!(0x10200), &json!(2)));
    }
    let run = layout("sectors.yml", PARTITIONS, &["--mode", "move"]);
    let reason = "a slot has more sectors than the bootloader's BOOT_MAX_IMG_SECTORS\n";
    assert!(run.code == 1 && run.err.ends_with(reason), "{}", run.err);
    assert_eq!(layout("sectors.yml", PARTITIONS, &[]).code, 0, "nobody asked for that mode");
}

#[test]
fn what_is_wrong_with_a_map_is_listed() {
    let with = |from: &str, to: &str| SOUND.replace(from, to);
    let cases = [
        ("overlap.toml", with("offset = 0x75000", "offset = 0x74000"), "mcuboot_primary and mcuboot_secondary overlap"),
        ("part.toml", with("size = 0xc000", "size = 0xb800"), "bootloader does not begin and end at a sector of 4096"),
        (
            "beyond.toml",
            with("size = 0x100000", "size = 0x80000"),
            "mcuboot_secondary ends at 0xde000, and internal at",
        ),
        ("empty.toml", with("size = 0xc000", "size = 0"), "bootloader is empty"),
        ("alone.toml", with("mcuboot_secondary", "other"), "mcuboot_primary has no mcuboot_secondary"),
        (
            "unknown.toml",
            with("flash = \"internal\"", "flash = \"other\""),
            "region bootloader: there is no flash other",
        ),
        ("twice.toml", with("mcuboot_secondary", "bootloader"), "region bootloader is there twice"),
        ("field.toml", with("erase = 4096", "erased = 4096"), "line 5: unknown field `erased`"),
        ("syntax.toml", "[flash".into(), "line 1: "),
        ("four.toml", with("offset = 0x75000", "offset = 0xfffff000"), "region mcuboot_secondary ends beyond 4 GiB"),
        ("nothing.yml", String::new(), "no partitions in it"),
        ("list.yml", "- a\n- b\n".into(), "no partitions in it"),
        ("syntax.yml", "a: [".into(), "while parsing"),
        (
            "overlap.yml",
            PARTITIONS.replace("settings_storage:\n  address: 0xf0000", "settings_storage:\n  address: 0xe0000"),
            "settings_storage: it ends at 0xf0000",
        ),
        (
            "in.yml",
            format!("{PARTITIONS}extra:\n  address: 0x20000\n  size: 0x1000\n"),
            "mcuboot_primary and extra overlap; and 2 more",
        ),
        (
            "size.yml",
            format!("{PARTITIONS}extra:\n  size: 0x1000\n"),
            "extra: neither address and size nor end_address",
        ),
        (
            "number.yml",
            format!("{PARTITIONS}extra:\n  address: here\n  size: 1\n"),
            "extra: address is no number of 32 bits",
        ),
        (
            "knot.yml",
            "a: {address: 0, size: 0x1000, span: [b]}\nb: {address: 0, size: 0x1000, span: [a]}\n".into(),
            "a and b overlap",
        ),
    ];
    for (name, text, reason) in cases {
        let run = layout(name, &text, &[]);
        assert_eq!((run.code, run.err.lines().count()), (1, 1), "{name}: {}{}", run.out, run.err);
        assert!(run.err.contains(&format!("{name}: ")) && run.err.contains(reason), "{name}: {}", run.err);
    }
}

#[test]
fn pairs_on_two_flashes_have_words_and_sectors_of_each() {
    let external = SOUND
        .replace("[flash.internal]", "[flash.external]\nsize = 0x800000\nwrite = 1\nerase = 65536\n\n[flash.internal]");
    let moved = "flash = \"external\"\noffset = 0x0\nsize = 0x70000";
    let external = external.replace("flash = \"internal\"\noffset = 0x75000\nsize = 0x69000", moved);
    let external = external.replace("offset = 0xc000\nsize = 0x69000", "offset = 0x10000\nsize = 0x70000");
    let facts = layout("external.toml", &external, &[]).facts();
    let modes = &facts["pairs"][0]["modes"];
    assert!(modes["overwrite"]["max_image"].as_u64().unwrap() > 450_000, "{facts}");
    assert!(modes["move"]["error"].as_str().unwrap().starts_with("the sectors of the two slots"), "{facts}");
    let run = layout("external.toml", &external, &["--mode", "move"]);
    assert!(run.code == 1 && run.err.contains("the sectors of the two slots do not go together"), "{}", run.err);
}

#[test]
fn it_is_drawn() {
    let run = host(&["layout", &file("drawn.toml", SOUND)]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    for part in [
        "mcuboot_primary           internal            0xc000     0x75000      430,080      105",
        "   0xc000 ├──",
        "│ (free)                             139,264 │",
        "image 0: mcuboot_primary and mcuboot_secondary",
        "        offset      421,888 bytes, from 0x1000 on; trailer 1,080",
    ] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    assert!(run.out.lines().all(|line| line.chars().count() <= 100), "{}", run.out);
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    let path = file("map.txt", SOUND);
    let run = host(&["layout", &path]);
    assert!(run.code == 2 && run.err.contains("a map is a .toml, .yml or .yaml file"), "{}", run.err);
    assert_eq!(host(&["layout"]).code, 2);
    assert_eq!(host(&["layout", &path, "--sector", "100"]).code, 2);
    let run = host(&["layout", "/nonexistent.toml"]);
    assert!(run.code == 1 && run.err.starts_with("error: cannot read /nonexistent.toml: "), "{}", run.err);
}
