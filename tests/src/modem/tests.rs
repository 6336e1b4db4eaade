//! Each rule of the fake modem, by itself.

mod area;
mod content;
mod full;
mod power;
mod start;

use dfu_target_nrf_modem::port::{Bootloader, Code, Delta, Errno, Fault, Offset};

use super::{DeltaFile, FakeModem, FullFile, Settings, uuid};

const fn code(code: Code) -> Result<(), Fault> {
    Err(Fault::Code(code))
}

const fn errno(errno: Errno) -> Result<(), Fault> {
    Err(Fault::Errno(errno))
}

/// A modem that runs, with a small area.
fn normal() -> FakeModem {
    let modem = FakeModem::new(Settings::new().area(8192));
    assert_eq!(modem.start_normal(), Ok(None));
    modem
}

/// A delta from the firmware that runs at first to `uuid(2)`.
fn delta() -> Vec<u8> {
    DeltaFile::new(FakeModem::FIRST, uuid(2)).payload(600).build()
}

fn store(modem: &FakeModem, file: &[u8]) -> Result<(), Fault> {
    let mut port = modem.delta();
    port.write_init()?;
    for chunk in file.chunks(100) {
        port.write(chunk)?;
    }
    port.write_done()
}

/// Stores a delta and starts the modem with it.
fn apply(modem: &FakeModem, file: &[u8]) -> Result<Option<u32>, Fault> {
    store(modem, file)?;
    modem.delta().update()?;
    modem.shutdown()?;
    modem.start_normal()
}

fn erase(modem: &FakeModem) {
    let mut port = modem.delta();
    port.erase().unwrap();
    while port.offset() != Ok(Offset::At(0)) {}
}

/// A whole full update, in chunks, except for what is left out.
fn load(modem: &FakeModem, file: &FullFile, chunk: usize) -> Result<(), Fault> {
    let (mut port, blob, segments) = (modem.bootloader(), file.blob(), file.segments());
    port.start()?;
    let (loader, mut rest) = blob.split_at(segments[0].1 as usize);
    loader.chunks(chunk).try_for_each(|chunk| port.bl_write(chunk))?;
    port.update()?;
    port.verify(&file.wrapper())?;
    for (address, len) in &segments[1..] {
        let (segment, behind) = rest.split_at(*len as usize);
        rest = behind;
        let places = (*address..).step_by(chunk);
        places.zip(segment.chunks(chunk)).try_for_each(|(at, chunk)| port.fw_write(at, chunk))?;
    }
    port.update()
}
