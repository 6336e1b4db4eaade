//! A modem that is lent is the same modem: each call comes to it, once.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use dfu_target_nrf_modem::port::{Bootloader, Delta, Offset, Range};
use dfu_testkit::modem::{DeltaFile, FakeModem, FullFile, ModemCall, uuid};

/// Each call of a delta's, in an order that the modem takes; back and forth.
fn install(mut port: impl Delta, file: &[u8]) {
    assert_eq!(port.uuid(), Ok(FakeModem::FIRST));
    assert!(port.area().unwrap() > file.len() as u32);
    assert_eq!(port.offset(), Ok(Offset::At(0)));
    port.write_init().unwrap();
    port.write(file).unwrap();
    port.write_done().unwrap();
    assert!(!port.is_scheduled());
    port.update().unwrap();
    assert!(port.is_scheduled());
    port.erase().unwrap();
    assert!(port.rollback().is_err(), "nothing is there to go back to");
}

#[test]
fn each_call_of_a_delta_reaches_the_modem_that_was_lent() {
    let file = DeltaFile::new(FakeModem::FIRST, uuid(2)).build();
    let mut modem = FakeModem::default();
    modem.start_normal().unwrap();
    install(&mut modem, &file);
    use ModemCall::*;
    assert_eq!(modem.calls(), [DeltaUuid, Area, Offset, WriteInit, Write, WriteDone, DeltaUpdate, Erase, Rollback]);
    assert_eq!(modem.scheduled(), None);
}

/// Each call of a full update's, in an order that the modem takes.
fn program(mut port: impl Bootloader, file: &FullFile) {
    let (wrapper, blob) = (file.wrapper(), file.blob());
    let (loader, mut rest) = blob.split_at(file.segments()[0].1 as usize);
    port.start().unwrap();
    port.bl_write(loader).unwrap();
    port.update().unwrap();
    port.verify(&wrapper).unwrap();
    for (address, len) in &file.segments()[1..] {
        let (segment, behind) = rest.split_at(*len as usize);
        port.fw_write(*address, segment).unwrap();
        rest = behind;
    }
    port.update().unwrap();
    assert_eq!(port.digest(&file.digest_ranges()), Ok(file.digest()));
    assert!(port.digest(&[Range { start: 9, end: 8 }]).is_err());
    assert_eq!(port.uuid(), Ok(uuid(2)));
    port.stop().unwrap();
}

#[test]
fn each_call_of_a_full_update_reaches_the_modem_that_was_lent() {
    let (file, mut modem) = (FullFile::small(uuid(2)), FakeModem::default());
    program(&mut modem, &file);
    assert_eq!((modem.running(), modem.is_alive()), (uuid(2), true));
    for call in ModemCall::BOOTLOADER {
        assert!(modem.count(call) > 0, "{call:?}");
    }
}

#[test]
fn an_offset_of_the_library_counts_unless_it_says_dirty() {
    for raw in [0, 1, 0x27_ffff, 0x28_0001, u32::MAX] {
        assert_eq!(Offset::from_raw(raw), Offset::At(raw));
    }
    assert_eq!(Offset::from_raw(0x28_0000), Offset::Dirty);
}
