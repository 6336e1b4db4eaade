//! Where the trailer lies, and what is left for images.

use super::*;

#[test]
fn trailer_fields_lie_where_the_table_says() {
    let table = [
        // align: magic block, image_ok, copy_done, swap_info, swap_size, all from the slot's end
        (8, [16, 24, 32, 40, 48]),
        (16, [16, 32, 48, 64, 80]),
        (32, [32, 64, 96, 128, 160]),
    ];
    for (align, expected) in table {
        let trailer = Bootloader::new(Mode::Move, 4, 4096).max_align(align).trailer(SLOT);
        assert_eq!(trailer.magic, SLOT - 16);
        let fields = [trailer.magic_block(), trailer.image_ok, trailer.copy_done, trailer.swap_info, trailer.swap_size];
        assert_eq!(fields, expected.map(|from_end| SLOT - from_end), "{align}");
    }
}

#[test]
fn swap_using_offset_notes_the_lengths_of_tlvs_too() {
    for (align, tlv_sizes, swap_size) in [(8, 48, 56), (16, 80, 96), (32, 160, 192)] {
        let by_move = Bootloader::new(Mode::Move, 4, 4096).max_align(align).trailer(SLOT);
        let by_offset = Bootloader::new(Mode::Offset, 4, 4096).max_align(align).trailer(SLOT);
        assert_eq!((by_move.tlv_sizes, by_offset.tlv_sizes), (None, Some(SLOT - tlv_sizes)));
        assert_eq!(by_offset.swap_size, SLOT - swap_size);
        // What an application writes lies at the same place.
        assert_eq!(by_move.swap_info, by_offset.swap_info);
    }
}

#[test]
fn trailers_are_as_long_as_the_table_says() {
    for (write, align, size) in [(8, 8, 3120), (1, 8, 432), (16, 16, 6224), (32, 32, 12448)] {
        for mode in [Mode::Move, Mode::Scratch, Mode::Overwrite].into_iter().chain(SELECTS) {
            assert_eq!(Bootloader::new(mode, write, 4096).max_align(align).trailer_size(), size);
        }
    }
    for (write, align, size) in [(8, 8, 2104), (1, 8, 312), (32, 32, 8384)] {
        assert_eq!(Bootloader::new(Mode::Offset, write, 4096).max_align(align).trailer_size(), size);
    }
}

#[test]
fn keys_make_a_trailer_longer_and_images_shorter() {
    for mode in MODES.into_iter().chain(SELECTS) {
        let plain = Bootloader::new(mode, 8, 4096).sectors(32);
        let with_keys = plain.clone().key_space(16);
        assert_eq!(with_keys.trailer_size(), plain.trailer_size() + 32);
        let (plain, with_keys) = (plain.max_image_size(SLOT, SLOT), with_keys.max_image_size(SLOT, SLOT));
        // Where whole sectors count, or the fields alone, it makes no difference.
        assert_eq!(plain - with_keys, if mode == Mode::Scratch { 32 } else { 0 }, "{mode:?}");
    }
    let mcuboot = Bootloader::new(Mode::Move, 8, 4096).sectors(168);
    assert_eq!(mcuboot.max_image_size(SLOT, SLOT), 122_880);
    assert_eq!(mcuboot.key_space(16).max_image_size(SLOT, SLOT), 118_784);
}

#[test]
fn magics_are_the_alignments_own() {
    let table: [(usize, &[u8]); 3] = [
        (8, b"\x77\xc2\x95\xf3\x60\xd2\xef\x7f\x35\x52\x50\x0f\x2c\xb6\x79\x80"),
        (16, b"\x10\x00\x2d\xe1\x5d\x29\x41\x0b\x8d\x77\x67\x9c\x11\x0f\x1f\x8a"),
        (32, b"\x20\x00\x2d\xe1\x5d\x29\x41\x0b\x8d\x77\x67\x9c\x11\x0f\x1f\x8a"),
    ];
    for (align, magic) in table {
        let mut bytes = vec![0xff; 4096];
        bytes[4080..].copy_from_slice(magic);
        for (read_as, _) in table {
            let trailer = Bootloader::new(Mode::Move, 4, 4096).max_align(read_as).trailer(4096);
            let expected = if read_as == align { Magic::Good } else { Magic::Bad };
            assert_eq!(trailer.state(&bytes).magic, expected, "{align} read as {read_as}");
        }
    }
}

#[test]
fn flags_and_swap_info_are_read_by_their_bytes() {
    for erased in [0xff, 0x00] {
        let trailer = Bootloader::new(Mode::Move, 4, 4096).erased_value(erased).trailer(4096);
        let mut bytes = vec![erased; 4096];
        assert_eq!(trailer.state(&bytes).magic, Magic::Unset);
        bytes[4095] ^= 1;
        assert_eq!(trailer.state(&bytes).magic, Magic::Bad);
        for byte in 0..=255 {
            let expected = match byte {
                1 => Flag::Set,
                byte if byte == erased => Flag::Unset,
                _ => Flag::Bad,
            };
            bytes[trailer.image_ok] = byte;
            assert_eq!(trailer.state(&bytes).image_ok, expected, "{byte}");
            bytes[trailer.copy_done] = byte;
            assert_eq!(trailer.state(&bytes).copy_done, expected, "{byte}");
        }
        for (byte, expected) in [
            (erased, None),
            (0x12, Some((SwapType::Test, 1))),
            (0x03, Some((SwapType::Perm, 0))),
            (0x24, Some((SwapType::Revert, 2))),
            (0x01, None),
            (0x05, None),
        ] {
            bytes[trailer.swap_info] = byte;
            assert_eq!(trailer.state(&bytes).swap_info, expected);
        }
    }
}

#[test]
fn the_largest_image_is_the_one_of_the_table() {
    for (mode, write, align, max) in [
        (Mode::Scratch, 8, 8, 127_952),
        (Mode::Move, 8, 8, 122_880),
        (Mode::Overwrite, 8, 8, 131_032),
        (Mode::Overwrite, 8, 16, SLOT - 64),
        (Mode::Overwrite, 8, 32, SLOT - 128),
        (Mode::Move, 32, 32, 110_592),
        (Mode::Scratch, 32, 32, 118_528),
        (Mode::Move, 16, 16, 118_784),
        (Mode::Offset, 8, 8, 122_880),
        (Mode::Offset, 32, 32, 114_688),
    ] {
        let mcuboot = Bootloader::new(mode, write, 4096).max_align(align);
        assert_eq!(mcuboot.max_image_size(SLOT, SLOT), max, "{mcuboot:?}");
        for (size, fits) in [(max, true), (max + 1, false)] {
            let image = ImageBuilder::new().total_size(size).version(2, 0, 0, 0).build();
            let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &image));
            // Behind the image; overlapping only in this test's image that is one byte too long.
            mcuboot.trailer(SLOT).put_magic(&mut secondary);
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!(boot.swapped.is_some(), fits, "{mcuboot:?} {boot:?}");
            assert_eq!(boot.refused, (!fits).then_some(Refusal::TooLarge));
            assert_eq!(boot.running.unwrap().version.major, 1 + u8::from(fits));
        }
    }
    assert_eq!(Bootloader::new(Mode::Move, 8, 4096).max_image_size(SLOT, SLOT - 4096), 122_880);
    assert_eq!(Bootloader::new(Mode::Offset, 8, 4096).max_image_size(SLOT, SLOT + 4096), 126_976);
    for mode in SELECTS {
        for (align, max) in [(8, 131_032), (16, SLOT - 64), (32, SLOT - 128)] {
            let mcuboot = Bootloader::new(mode, 8, 4096).max_align(align);
            assert_eq!(mcuboot.max_image_size(SLOT, SLOT), max);
            assert_eq!(mcuboot.max_image_size(SLOT, SLOT / 2), max - SLOT / 2);
        }
    }
}

#[test]
fn marks_are_the_bytes_that_mcuboot_writes() {
    let mcuboot = Bootloader::new(Mode::Move, 8, 4096);
    let mut test = vec![0xff; 4096];
    mcuboot.mark_pending(&mut test, false).unwrap();
    let mut expected = vec![0xff; 4096];
    expected[4096 - 40] = 2;
    expected[4080..].copy_from_slice(&mcuboot.trailer(4096).magic_bytes());
    assert_eq!(test, expected);
    // A pending test is not made permanent.
    mcuboot.mark_pending(&mut test, true).unwrap();
    assert_eq!(test, expected);

    let mut permanent = vec![0xff; 4096];
    Bootloader::new(Mode::Move, 8, 4096).image(1).mark_pending(&mut permanent, true).unwrap();
    expected[4096 - 40] = 0x13;
    expected[4096 - 24] = 1;
    assert_eq!(permanent, expected);

    permanent[4090] ^= 1;
    assert_eq!(mcuboot.mark_pending(&mut permanent, false), Err(BadTrailer));
    assert_eq!(mcuboot.confirm(&mut permanent), Err(BadTrailer));
    let mut factory = vec![0xff; 4096];
    mcuboot.confirm(&mut factory).unwrap();
    assert_eq!(factory, [0xff; 4096]);
}
