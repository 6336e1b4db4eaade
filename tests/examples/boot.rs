//! One boot of two slots in files, by the model of MCUboot: `boot PRIMARY SECONDARY`. Slots for swap using move, of
//! 4-byte words and 4 KiB sectors. Says what was swapped and what runs.

use std::error::Error;
use std::{env, fs};

use dfu_testkit::boot::{Bootloader, Mode};

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = env::args().skip(1).collect();
    let [primary, secondary] = &paths[..] else { return Err("boot PRIMARY SECONDARY".into()) };
    let (mut first, mut second) = (fs::read(primary)?, fs::read(secondary)?);
    let boot = Bootloader::new(Mode::Move, 4, 4096).boot(&mut first, &mut second);
    let version = boot.running.map_err(|refusal| format!("nothing runs: {refusal:?}"))?.version;
    match boot.swapped {
        Some(kind) => print!("swapped, {kind:?}; "),
        None => print!("as it was; "),
    }
    println!("{}.{}.{} runs", version.major, version.minor, version.revision);
    if let Some(refusal) = boot.refused {
        println!("refused: {refusal:?}");
    }
    fs::write(primary, first)?;
    fs::write(secondary, second)?;
    Ok(())
}
