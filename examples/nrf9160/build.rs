//! Of `layout.toml`: the map that the firmware has, and the linker's. Of the environment: what a firmware is told.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic, reason = "a build stops there")]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, error, fs};

use toml::{Table, Value};

/// Of MCUboot's image, before the vector table.
const HEADER: i64 = 0x200;
/// Its TLVs: a hash, a key's hash and a signature, with room to spare.
const TLVS: i64 = 0x200;
/// The 256 KiB of RAM; the first 24 of them are shared with the modem.
const RAM: (i64, i64) = (0x2000_0000, 0x4_0000);
const SHARED: i64 = 0x6000;

/// What `src/config.rs` takes from the environment, where that has nothing.
const DEFAULTS: [(&str, &str); 3] =
    [("FOTA_NAME", "0.0.0"), ("FOTA_URL", "https://firmware.example/app.bin"), ("FOTA_TAG", "42")];

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=layout.toml");
    let layout: Table = fs::read_to_string("layout.toml")?.parse()?;
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("map.rs"), map(&layout)?)?;
    fs::write(Path::new(&out).join("memory.x"), memory(&layout)?)?;
    fs::write(Path::new(&out).join("shared.rs"), format!("({}, {SHARED})", RAM.0))?;
    println!("cargo::rustc-link-search={out}");
    println!("cargo::rerun-if-env-changed=FOTA_BASE");
    for (name, default) in DEFAULTS {
        println!("cargo::rerun-if-env-changed={name}");
        println!("cargo::rustc-env={name}={}", env::var(name).unwrap_or_else(|_| default.into()));
    }
    println!("cargo::rerun-if-env-changed=FOTA_CA");
    let ca = match env::var("FOTA_CA") {
        Ok(path) => {
            println!("cargo::rerun-if-changed={path}");
            fs::read(path)?
        }
        Err(_) => Vec::new(),
    };
    fs::write(Path::new(&out).join("ca.pem"), ca)?;
    // `libmodem::start` stands before the start of the modem.
    println!("cargo::rustc-link-arg-bins=--wrap=nrf_modem_init");
    Ok(())
}

/// The two lists of a `FlashMap`.
fn map(layout: &Table) -> Result<String, Box<dyn error::Error>> {
    let mut code = String::from("&[");
    for (name, flash) in layout["flash"].as_table().into_iter().flatten() {
        let [size, write, erase] = ["size", "write", "erase"].map(|key| number(flash, key));
        write!(code, "Device::new({name:?}, {size}, {write}, {erase}),")?;
    }
    code += "], &[";
    for region in layout["region"].as_array().into_iter().flatten() {
        let [offset, size] = ["offset", "size"].map(|key| number(region, key));
        let [name, flash] = ["name", "flash"].map(|key| region[key].as_str().unwrap_or_default());
        write!(code, "Area::new({name:?}, {flash:?}, {offset}, {size}),")?;
    }
    Ok(format!("FlashMap::new({code}])"))
}

/// Behind the header, up to the largest image that is swapped: of the slot, MCUboot takes an erase unit for its trailer
/// and another one to move in.
fn memory(layout: &Table) -> Result<String, Box<dyn error::Error>> {
    let mut regions = layout["region"].as_array().into_iter().flatten();
    let slot = regions.find(|region| region["name"].as_str() == Some("mcuboot_primary")).ok_or("no primary slot")?;
    let (offset, size) = (number(slot, "offset"), number(slot, "size"));
    let sector = number(&layout["flash"]["internal"], "erase");
    let mut memory = String::from("MEMORY\n{\n");
    let mut line = |name, origin, length| writeln!(memory, "  {name} : ORIGIN = {origin:#x}, LENGTH = {length:#x}");
    line("FLASH", offset + HEADER, size - 2 * sector - HEADER - TLVS)?;
    line("RAM", RAM.0 + SHARED, RAM.1 - SHARED)?;
    Ok(memory + "}\n")
}

fn number(of: &Value, key: &str) -> i64 {
    of[key].as_integer().unwrap_or_else(|| panic!("layout.toml: {key} is not a number"))
}
