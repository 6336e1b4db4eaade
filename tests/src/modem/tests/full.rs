use dfu_target_nrf_modem::port::Range;

use super::*;
use crate::modem::{Manifest, Mode, signed_wrapper};

const STATE: Result<(), Fault> = errno(Errno::OpNotSupported);

/// A modem whose loader runs.
fn loaded(file: &FullFile) -> FakeModem {
    let modem = FakeModem::default();
    let mut port = modem.bootloader();
    port.start().unwrap();
    port.bl_write(&file.blob()[..256]).unwrap();
    port.update().unwrap();
    modem
}

#[test]
fn a_full_update_brings_any_modem_to_life_whatever_the_chunks() {
    for chunk in [16, 100, 128, 600, 9000] {
        let (modem, file) = (FakeModem::default(), FullFile::small(uuid(7)));
        modem.kill();
        load(&modem, &file, chunk).unwrap();
        let mut port = modem.bootloader();
        assert_eq!(port.digest(&file.digest_ranges()), Ok(file.digest()));
        assert_eq!(port.uuid(), Ok(uuid(7)));
        port.stop().unwrap();
        assert_eq!((modem.start_normal(), modem.running()), (Ok(None), uuid(7)));
        assert_eq!(modem.delta().uuid(), Ok(uuid(7)));
    }
}

#[test]
fn outside_of_bootloader_mode_every_call_but_start_is_refused() {
    let modem = FakeModem::default();
    for starts in [false, true] {
        if starts {
            modem.start_normal().unwrap();
        }
        let mut port = modem.bootloader();
        assert_eq!((port.stop(), port.update(), port.bl_write(&[1])), (STATE, STATE, STATE));
        assert_eq!((port.verify(&[1]), port.fw_write(0x6000, &[1])), (STATE, STATE));
        assert_eq!((port.digest(&[]).map(drop), port.uuid().map(drop)), (STATE, STATE));
    }
    assert_eq!((modem.bootloader().start(), modem.mode()), (Ok(()), Mode::Bootloader));
}

#[test]
fn steps_out_of_order_are_refused() {
    let (modem, file) = (FakeModem::default(), FullFile::small(uuid(7)));
    let (mut port, blob) = (modem.bootloader(), file.blob());
    port.start().unwrap();
    assert_eq!((port.update(), port.verify(&file.wrapper()), port.fw_write(0x6000, &[1])), (STATE, STATE, STATE));
    assert_eq!((port.digest(&file.digest_ranges()).map(drop), port.uuid().map(drop)), (STATE, STATE));
    port.bl_write(&blob[..256]).unwrap();
    port.update().unwrap();
    assert_eq!(port.bl_write(&blob[..256]), STATE);
    assert_eq!(port.uuid(), Ok(FakeModem::FIRST));
    port.fw_write(0x6000, &[1]).unwrap();
    assert_eq!((port.digest(&file.digest_ranges()).map(drop), port.uuid().map(drop)), (STATE, STATE));
    assert_eq!(port.verify(&file.wrapper()), STATE);
    port.update().unwrap();
    assert_eq!(port.verify(&file.wrapper()), STATE);
    assert_eq!(port.digest(&file.digest_ranges()).map(drop), Ok(()));
}

#[test]
fn a_loader_is_whole_and_not_too_long() {
    let modem = FakeModem::new(Settings::new().loader(300));
    let mut port = modem.bootloader();
    port.start().unwrap();
    assert_eq!(port.bl_write(&[]), errno(Errno::Inval));
    port.bl_write(&[0; 300]).unwrap();
    assert_eq!(port.bl_write(&[0]), errno(Errno::Inval));
    assert_eq!(port.update(), errno(Errno::Io));
    assert_eq!((port.update(), port.bl_write(&[0])), (STATE, STATE), "only a new start helps");

    let (modem, file) = (FakeModem::default(), FullFile::small(uuid(7)));
    assert_eq!(load(&modem, &file.clone().flaw(9), 100), errno(Errno::Io));
    assert_eq!(load(&modem, &file, 100), Ok(()));

    let modem = FakeModem::default();
    let mut port = modem.bootloader();
    port.start().unwrap();
    port.bl_write(&file.blob()[..128]).unwrap();
    port.update().unwrap();
    assert_eq!(port.verify(&file.wrapper()), errno(Errno::Perm), "it is not as long as the manifest says");
}

#[test]
fn a_wrapper_is_read_strictly_and_its_signature_checked() {
    let file = FullFile::small(uuid(7));
    let wrapper = file.wrapper();
    let modem = loaded(&file);
    let mut port = modem.bootloader();
    for len in 0..wrapper.len() {
        assert_eq!(port.verify(&wrapper[..len]), errno(Errno::Inval), "{len}");
    }
    assert_eq!(port.verify(&[&wrapper[..], &[0]].concat()), errno(Errno::Inval));
    for at in 0..wrapper.len() {
        for bit in 0..8 {
            let mut spoilt = wrapper.clone();
            spoilt[at] ^= 1 << bit;
            let refused = port.verify(&spoilt).unwrap_err();
            let wanted = [Errno::Perm, Errno::Inval].map(Fault::Errno);
            assert!(wanted.contains(&refused), "{at} {bit}: {refused:?}");
            if at >= wrapper.len() - 256 {
                assert_eq!(refused, Fault::Errno(Errno::Perm));
            }
        }
    }
    assert_eq!(port.verify(&signed_wrapper(b"no manifest")), errno(Errno::Inval));
    assert_eq!(port.verify(&wrapper), Ok(()));
}

#[test]
fn the_first_page_that_is_programmed_ends_the_old_firmware() {
    let file = FullFile::small(uuid(7));
    let modem = loaded(&file);
    let mut port = modem.bootloader();
    port.fw_write(0x6000, &[1; 8191]).unwrap();
    assert!(modem.is_alive(), "nothing is programmed yet");
    port.fw_write(0x6000 + 8191, &[1]).unwrap();
    assert!(!modem.is_alive(), "the page is full");

    let modem = loaded(&file);
    let mut port = modem.bootloader();
    port.fw_write(0x6000, &[1; 8]).unwrap();
    port.fw_write(0x6008, &[1; 8]).unwrap();
    assert!(modem.is_alive());
    port.fw_write(0x6018, &[1; 8]).unwrap();
    assert!(!modem.is_alive(), "it does not go on there");
    port.stop().unwrap();
    assert_eq!(modem.start_normal().map(drop), errno(Errno::Io));

    let modem = loaded(&file);
    let mut port = modem.bootloader();
    port.fw_write(0x6000, &[1; 8]).unwrap();
    port.stop().unwrap();
    assert_eq!(modem.start_normal(), Ok(None), "what was buffered is lost");
}

#[test]
fn what_is_left_out_or_flawed_never_starts() {
    let file = FullFile::small(uuid(7));
    let blob = file.blob();
    for segment in 1..4 {
        let (modem, mut at) = (loaded(&file), 256);
        let mut port = modem.bootloader();
        for (n, (address, len)) in (1..).zip(&file.segments()[1..]) {
            if n != segment {
                port.fw_write(*address, &blob[at..at + *len as usize]).unwrap();
            }
            at += *len as usize;
        }
        port.update().unwrap();
        assert!(!modem.is_alive(), "without segment {segment}");
    }
    // Behind the header block's digest.
    for at in [256 + 128, blob.len() - 1] {
        let modem = FakeModem::default();
        load(&modem, &file.clone().flaw(at), 100).unwrap();
        assert!(!modem.is_alive(), "{at}");
    }
    // The rest of the header block: only the manifest knows of it.
    let (modem, mut spoilt) = (loaded(&file), blob.clone());
    spoilt[256 + 100] ^= 1;
    let mut port = modem.bootloader();
    port.verify(&file.wrapper()).unwrap();
    for (address, bytes) in [(0x5960_2000, 256..384), (0x6000, 384..984), (0x5_0000, 984..1284)] {
        port.fw_write(address, &spoilt[bytes]).unwrap();
    }
    port.update().unwrap();
    assert!(!modem.is_alive());
    // And again, the right way: each loader begins anew.
    assert_eq!(port.stop(), Ok(()));
    load(&modem, &file, 100).unwrap();
    assert!(modem.is_alive());
}

#[test]
fn nothing_of_an_earlier_firmware_is_in_the_way() {
    let modem = FakeModem::default();
    let other = FullFile::small(uuid(6)).ranges(&[(0x6000, 900), (0x1_0000, 300), (0x5_0000, 400)]);
    for file in [other, FullFile::small(uuid(7))] {
        load(&modem, &file, 100).unwrap();
        assert_eq!(modem.bootloader().digest(&file.digest_ranges()), Ok(file.digest()));
        assert!(modem.is_alive());
    }
}

#[test]
fn the_bootloader_names_what_runs_or_what_is_programmed_of_it() {
    let (modem, file) = (normal(), FullFile::small(uuid(7)));
    load(&modem, &file, 100).unwrap();
    modem.shutdown().unwrap();
    modem.start_normal().unwrap();
    apply(&modem, &DeltaFile::new(uuid(7), uuid(8)).build()).unwrap();
    let names = |modem: &FakeModem| {
        let mut port = modem.bootloader();
        port.start().unwrap();
        port.bl_write(&file.blob()[..256]).unwrap();
        port.update().unwrap();
        port.uuid()
    };
    assert_eq!(names(&modem), Ok(uuid(8)));
    let mut port = modem.bootloader();
    port.fw_write(0x6000, &[1]).unwrap();
    port.update().unwrap();
    assert_eq!(port.uuid().map(drop), errno(Errno::Io));
    port.fw_write(0x5960_2000, &file.blob()[256..384]).unwrap();
    port.update().unwrap();
    assert_eq!((port.uuid(), modem.is_alive()), (Ok(uuid(7)), false));
}

#[test]
fn addresses_and_ranges_are_checked() {
    let modem = loaded(&FullFile::small(uuid(7)));
    let mut port = modem.bootloader();
    assert_eq!(port.fw_write(0x6000, &[]), errno(Errno::Inval));
    for (address, len) in [(0x27_ffff, 2), (0x30_0000, 1), (0x5960_1fff, 2), (u32::MAX, 1)] {
        assert_eq!(port.fw_write(address, &vec![0; len]), errno(Errno::Perm), "{address:#x}");
    }
    let range = |start, end| Range { start, end };
    for ranges in [
        &[][..],
        &[range(9, 8)],
        &[range(8, 9), range(0, 1)],
        &[range(8, 9), range(9, 10)],
        &[range(0, 0x28_0000)],
        &[range(0, u32::MAX)],
    ] {
        assert_eq!(port.digest(ranges).map(drop), errno(Errno::Inval), "{ranges:?}");
    }
    let digest = port.digest(&[range(8, 8), range(9, 10)]).unwrap();
    assert_eq!(port.digest(&[range(8, 10), range(0x5960_2000, 0x5960_2001)]), Ok(digest), "both ends are inside");
    assert_ne!(port.digest(&[range(8, 11)]), Ok(digest));
}

#[test]
fn a_full_update_ends_what_the_area_could_be_used_for() {
    let modem = normal();
    apply(&modem, &delta()).unwrap();
    load(&modem, &FullFile::small(uuid(7)), 100).unwrap();
    modem.bootloader().stop().unwrap();
    modem.odd_reset();
    assert_eq!((modem.start_normal(), modem.running()), (Ok(None), uuid(7)));
    assert_eq!(modem.delta().rollback(), code(Code::NotAllowed));
}

#[test]
fn the_committed_wrapper_is_that_of_the_real_file() {
    let file = FullFile::real();
    let wrapper = file.wrapper();
    assert_eq!(wrapper[..8], [0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x24, 0xa0]);
    let modem = FakeModem::default();
    let mut port = modem.bootloader();
    port.start().unwrap();
    port.bl_write(&file.blob()[..8192]).unwrap();
    port.update().unwrap();
    assert_eq!(port.verify(&wrapper), Ok(()));
    let manifest = Manifest::verified(&wrapper, Settings::new().key);
    let wanted = file.manifest();
    assert!(manifest.is_ok_and(|found| (found.blob_hash, found.segments) == (wanted.blob_hash, wanted.segments)));
    let mut forged = wrapper.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(port.verify(&forged), errno(Errno::Perm));
}
