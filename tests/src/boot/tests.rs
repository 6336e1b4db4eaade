use super::*;
use crate::flash::SimFlash;
use crate::image::{ECDSA_SIG, ImageBuilder, ImageFile, SEC_CNT};

const SLOT: usize = 128 * 1024;
const MODES: [Mode; 3] = [Mode::Move, Mode::Scratch, Mode::Overwrite];
const SWAPS: [Mode; 2] = [Mode::Move, Mode::Scratch];

/// Each write size with each alignment that goes with it.
fn builds(mode: Mode) -> impl Iterator<Item = Bootloader> {
    let pairs = [(4, 8), (4, 16), (4, 32), (8, 8), (8, 16), (8, 32), (16, 16), (16, 32), (32, 32)];
    pairs.into_iter().flat_map(move |(write, align)| {
        [0xff, 0x00].map(|erased| Bootloader::new(mode, write, 4096).max_align(align).erased_value(erased))
    })
}

fn slot(mcuboot: &Bootloader, image: &[u8]) -> Vec<u8> {
    let mut slot = vec![mcuboot.erased; SLOT];
    slot[..image.len()].copy_from_slice(image);
    slot
}

fn old() -> ImageFile {
    ImageBuilder::new().payload(9000).seed(1).signature(70).build()
}

fn new() -> ImageFile {
    ImageBuilder::new().payload(20_000).seed(2).version(2, 1, 0, 7).protected(SEC_CNT, &[1, 0, 0, 0]).build()
}

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
fn trailers_are_as_long_as_the_table_says() {
    for (write, align, size) in [(8, 8, 3120), (1, 8, 432), (16, 16, 6224), (32, 32, 12448)] {
        for mode in MODES {
            assert_eq!(Bootloader::new(mode, write, 4096).max_align(align).trailer_size(), size);
        }
    }
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
fn the_swap_type_follows_the_table_in_every_combination() {
    use Flag::{Bad as FlagBad, Set, Unset};
    use Magic::{Bad, Good};
    let magics = [Magic::Good, Magic::Unset, Magic::Bad];
    let flags = [Set, Unset, FlagBad];
    let state = |magic, image_ok, copy_done| State { magic, image_ok, copy_done, swap_info: None };
    let mut rows = [0; 4];
    for primary_magic in magics {
        for secondary_magic in magics {
            for [a, b, c, d] in (0..81).map(|n| [n / 27, n / 9 % 3, n / 3 % 3, n % 3].map(|n: usize| flags[n])) {
                let got = trailer::swap_type(&state(primary_magic, a, b), &state(secondary_magic, c, d), false);
                // Primary magic, secondary magic, primary image_ok, secondary image_ok, primary copy_done.
                let (row, expected) = match (primary_magic, secondary_magic, a, c, b) {
                    (_, Good, _, Unset, _) => (0, Some(SwapType::Test)),
                    (_, Good, _, Set, _) => (1, Some(SwapType::Perm)),
                    (Good, _, Unset, _, Set) => (2, Some(SwapType::Revert)),
                    _ => (3, None),
                };
                assert_eq!(got, expected);
                rows[row] += 1;
            }
        }
    }
    assert_eq!(rows.iter().sum::<u32>(), 9 * 81);
    assert!(rows.iter().all(|hits| *hits > 0));
    // A good magic with a spoilt flag counts as none, and the primary may still want to go back.
    let spoilt = state(Good, FlagBad, Unset);
    assert_eq!(trailer::swap_type(&state(Bad, Unset, Set), &spoilt, false), None);
    assert_eq!(trailer::swap_type(&state(Good, Unset, Set), &spoilt, false), Some(SwapType::Revert));
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
    ] {
        let mcuboot = Bootloader::new(mode, write, 4096).max_align(align);
        assert_eq!(mcuboot.max_image_size(SLOT, SLOT), max, "{mcuboot:?}");
        for (size, fits) in [(max, true), (max + 1, false)] {
            let image = ImageBuilder::new().total_size(size).version(2, 0, 0, 0).build();
            let (mut primary, mut secondary) = (slot(&mcuboot, &old()), vec![0xff; SLOT]);
            secondary[..size].copy_from_slice(&image);
            // Behind the image; overlapping only in this test's image that is one byte too long.
            mcuboot.trailer(SLOT).put_magic(&mut secondary);
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!(boot.swapped.is_some(), fits, "{mcuboot:?} {boot:?}");
            assert_eq!(boot.refused, (!fits).then_some(Refusal::TooLarge));
            assert_eq!(boot.running.unwrap().version.major, 1 + u8::from(fits));
        }
    }
    let mcuboot = Bootloader::new(Mode::Move, 8, 4096);
    assert_eq!(mcuboot.max_image_size(SLOT, SLOT - 4096), 122_880);
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

#[test]
fn a_test_swap_reverts_unless_it_is_confirmed() {
    for mcuboot in SWAPS.into_iter().flat_map(builds) {
        let (old, new) = (old(), new());
        let (mut primary, mut secondary) = (slot(&mcuboot, &old), slot(&mcuboot, &new));
        assert_eq!(mcuboot.boot(&mut primary, &mut secondary).asked, None);
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!((boot.asked, boot.swapped, boot.refused), (Some(SwapType::Test), Some(SwapType::Test), None));
        assert_eq!(boot.running.unwrap().size, new.len());
        assert_eq!(primary[..new.len()], new[..]);
        assert_eq!(secondary[..old.len()], old[..]);

        // The trailers, byte for byte.
        let trailer = mcuboot.trailer(SLOT);
        let area = SLOT - mcuboot.trailer_size();
        let mut expected = vec![mcuboot.erased; SLOT];
        expected[trailer.magic..].copy_from_slice(&trailer.magic_bytes());
        expected[trailer.copy_done] = 1;
        expected[trailer.swap_info] = 2;
        expected[trailer.swap_size..trailer.swap_size + 4].copy_from_slice(&(new.len() as u32).to_le_bytes());
        assert_eq!(primary[area..], expected[area..]);
        assert!(secondary[area..].iter().all(|byte| *byte == mcuboot.erased));

        let (mut confirmed, mut backup) = (primary.clone(), secondary.clone());
        mcuboot.confirm(&mut confirmed).unwrap();
        expected[trailer.image_ok] = 1;
        assert_eq!(confirmed[area..], expected[area..]);
        for _ in 0..2 {
            let boot = mcuboot.boot(&mut confirmed, &mut backup);
            assert_eq!((boot.asked, boot.running.unwrap().version.major), (None, 2));
        }

        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!((boot.swapped, boot.running.unwrap().version.major), (Some(SwapType::Revert), 1));
        assert_eq!(primary[..old.len()], old[..]);
        assert_eq!(secondary[..new.len()], new[..]);
        expected[trailer.swap_info] = 4;
        assert_eq!(primary[area..], expected[area..]);
        assert!(secondary[area..].iter().all(|byte| *byte == mcuboot.erased));
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!((boot.asked, boot.running.unwrap().version.major), (None, 1));

        // The image that came back can be asked for again.
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        assert_eq!(mcuboot.boot(&mut primary, &mut secondary).swapped, Some(SwapType::Test));
    }
}

#[test]
fn a_permanent_swap_stays() {
    for mcuboot in SWAPS.into_iter().flat_map(builds) {
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), slot(&mcuboot, &new()));
        mcuboot.mark_pending(&mut secondary, true).unwrap();
        assert_eq!(mcuboot.boot(&mut primary, &mut secondary).swapped, Some(SwapType::Perm));
        let state = mcuboot.trailer(SLOT).state(&primary);
        assert_eq!((state.magic, state.image_ok, state.copy_done), (Magic::Good, Flag::Set, Flag::Set));
        assert_eq!(state.swap_info, Some((SwapType::Perm, 0)));
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!((boot.asked, boot.running.unwrap().version.major), (None, 2));
    }
}

#[test]
fn overwriting_leaves_no_way_back() {
    for mcuboot in builds(Mode::Overwrite) {
        for permanent in [false, true] {
            let (mut primary, mut secondary) = (slot(&mcuboot, &old()), slot(&mcuboot, &new()));
            mcuboot.mark_pending(&mut secondary, permanent).unwrap();
            let trailer = mcuboot.trailer(SLOT);
            let stale = SLOT - mcuboot.trailer_size();
            primary[stale..].fill(0x5a);
            assert!(mcuboot.boot(&mut primary, &mut secondary).swapped.is_some());
            assert_eq!(primary[..new().len()], new()[..]);
            let state = trailer.state(&primary);
            assert_eq!((state.magic, state.copy_done, state.image_ok), (Magic::Good, Flag::Unset, Flag::Unset));
            assert!(primary[stale..trailer.magic].iter().all(|byte| *byte == mcuboot.erased));
            for erased in [&secondary[..4096], &secondary[SLOT - 4096..]] {
                assert!(erased.iter().all(|byte| *byte == mcuboot.erased));
            }
            assert_eq!(secondary[4096..new().len()], new()[4096..]);
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!((boot.asked, boot.running.unwrap().version.major), (None, 2));
        }
    }
}

#[test]
fn a_bad_image_is_erased_and_the_old_one_runs() {
    let good = new();
    let tlvs = good.hashed().end;
    let table = [
        (Refusal::Magic, good.clone().flipped(0, 0)),
        (Refusal::Hash, good.clone().flipped(30, 0)),
        (Refusal::Hash, good.clone().flipped(good.payload().end - 1, 7)),
        (Refusal::Hash, good.clone().flipped(tlvs - 1, 7)),
        (Refusal::Hash, good.clone().flipped(tlvs + 8, 0)),
        (Refusal::Tlvs, good.clone().flipped(tlvs, 0)),
        (Refusal::Tlvs, good.clone().flipped(tlvs + 2, 0)),
        (Refusal::Tlvs, good.clone().flipped(tlvs + 6, 1)),
        (Refusal::Tlvs, good.clone().flipped(good.payload().end, 0)),
        (Refusal::Tlvs, good.clone().flipped(10, 0)),
        (Refusal::NoHash, good.clone().flipped(tlvs + 4, 0)),
        (Refusal::Size, good.clone().patched(12, &[0xff; 4])),
        (Refusal::Size, good.clone().patched(12, &(SLOT as u32 - 0x200 - 12).to_le_bytes())),
        (Refusal::Encrypted, ImageBuilder::new().flags(4).build()),
        (Refusal::Compressed, ImageBuilder::new().flags(0x400).build()),
        (Refusal::NoHash, ImageBuilder::new().without_hash().unprotected(ECDSA_SIG, &[0; 70]).build()),
        (Refusal::Hash, ImageBuilder::new().unprotected(crate::image::SHA256, &[0; 32]).build()),
        (Refusal::Hash, ImageBuilder::new().unprotected(crate::image::SHA256, &[0; 31]).build()),
    ];
    for mode in MODES {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        for (refusal, image) in &table {
            let (mut primary, mut secondary) = (slot(&mcuboot, &old()), slot(&mcuboot, image));
            mcuboot.mark_pending(&mut secondary, false).unwrap();
            let before = primary.clone();
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!((boot.swapped, boot.refused), (None, Some(*refusal)));
            assert_eq!(boot.running.unwrap().version.major, 1);
            assert_eq!(primary, before);
            assert!(secondary.iter().all(|byte| *byte == 0xff), "{refusal:?}");
        }
        let mut cut_short = slot(&mcuboot, &good.clone().truncated(5000));
        mcuboot.mark_pending(&mut cut_short, true).unwrap();
        let mut primary = slot(&mcuboot, &old());
        assert!(mcuboot.boot(&mut primary, &mut cut_short).refused.is_some());
    }
}

#[test]
fn where_there_is_no_image_only_the_trailer_goes() {
    for mode in MODES {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let not_bootable = ImageBuilder::new().flags(0x10).build();
        let erased_magic = new().patched(0, &[0xff; 4]);
        for (refusal, image) in [(Refusal::NotBootable, not_bootable), (Refusal::NoImage, erased_magic)] {
            let (mut primary, mut secondary) = (slot(&mcuboot, &old()), slot(&mcuboot, &image));
            mcuboot.mark_pending(&mut secondary, false).unwrap();
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!((boot.swapped, boot.refused), (None, Some(refusal)));
            assert_eq!(secondary[..image.len()], image[..]);
            let magic = mcuboot.trailer(SLOT).state(&secondary).magic;
            assert_eq!(magic, if mode == Mode::Overwrite { Magic::Good } else { Magic::Unset });
        }
        // A revert to nothing: the primary runs on; by move, its trailer goes too.
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), slot(&mcuboot, &[]));
        let trailer = mcuboot.trailer(SLOT);
        trailer.put_magic(&mut primary);
        primary[trailer.copy_done] = 1;
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!((boot.asked, boot.swapped), (Some(SwapType::Revert), None));
        assert_eq!(boot.running.unwrap().version.major, 1);
        let magic = trailer.state(&primary).magic;
        assert_eq!(magic, if mode == Mode::Move { Magic::Unset } else { Magic::Good });
    }
}

#[test]
fn a_device_without_a_good_image_is_dead() {
    let mcuboot = Bootloader::new(Mode::Move, 4, 4096);
    let mut empty = vec![0xff; SLOT];
    assert_eq!(mcuboot.boot(&mut empty.clone(), &mut empty).running, Err(Refusal::NoImage));
    let mut spoilt = slot(&mcuboot, &old().flipped(0x300, 0));
    assert_eq!(mcuboot.boot(&mut spoilt, &mut empty).running, Err(Refusal::Hash));
    let careless = mcuboot.clone().validates_primary(false);
    assert_eq!(careless.boot(&mut spoilt, &mut empty).running.unwrap().version.major, 1);
    // Fewer sectors than the slots have.
    let narrow = mcuboot.sectors(16);
    let mut primary = slot(&narrow, &old());
    assert_eq!(narrow.boot(&mut primary, &mut empty).running, Err(Refusal::Incompatible));
}

#[test]
fn slots_that_do_not_fit_each_other_are_left_alone() {
    for (mode, primary, secondary, fits) in [
        (Mode::Move, SLOT, SLOT, true),
        (Mode::Move, SLOT, SLOT - 4096, true),
        (Mode::Move, SLOT - 4096, SLOT, false),
        (Mode::Move, SLOT, SLOT - 8192, false),
        (Mode::Scratch, SLOT, SLOT - 4096, false),
        (Mode::Overwrite, SLOT, SLOT - 4096, false),
    ] {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let (mut primary, mut secondary) = (vec![0xff; primary], vec![0xff; secondary]);
        primary[..old().len()].copy_from_slice(&old());
        secondary[..new().len()].copy_from_slice(&new());
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        let before = secondary.clone();
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!(boot.swapped.is_some(), fits, "{mode:?}");
        if !fits {
            assert_eq!((boot.refused, secondary), (Some(Refusal::Incompatible), before));
        } else {
            assert_eq!(mcuboot.boot(&mut primary, &mut secondary).swapped, Some(SwapType::Revert));
        }
    }
}

#[test]
fn a_sector_that_image_and_trailer_share_is_swapped_up_to_the_trailer() {
    let mcuboot = Bootloader::new(Mode::Scratch, 8, 4096);
    let long = ImageBuilder::new().version(2, 0, 0, 0).total_size(127_952).build();
    let (mut primary, mut secondary) = (slot(&mcuboot, &old()), slot(&mcuboot, &long));
    mcuboot.mark_pending(&mut secondary, false).unwrap();
    assert_eq!(mcuboot.boot(&mut primary, &mut secondary).swapped, Some(SwapType::Test));
    assert_eq!(primary[..long.len()], long[..]);
    assert_eq!(mcuboot.boot(&mut primary, &mut secondary).swapped, Some(SwapType::Revert));
    assert_eq!(secondary[..long.len()], long[..]);
    assert!(secondary[long.len()..].iter().all(|byte| *byte == 0xff));
}

#[test]
fn slots_in_flashes_boot_as_slots_in_memory_do() {
    let mcuboot = Bootloader::new(Mode::Move, 4, 4096);
    let size = SLOT as u32;
    let mut one = SimFlash::<4, 4096>::new(2 * SLOT);
    let (mut first, mut second) = (SimFlash::<4, 4096>::new(SLOT), SimFlash::<16, 256>::new(SLOT));
    let (primary, mut secondary) = (slot(&mcuboot, &old()), slot(&mcuboot, &new()));
    mcuboot.mark_pending(&mut secondary, false).unwrap();
    one.load(0, &primary);
    one.load(size, &secondary);
    first.load(0, &primary);
    second.load(0, &secondary);
    let (mut primary, mut secondary) = (primary, secondary);
    for _ in 0..3 {
        let expected = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!(mcuboot.boot_in(&mut one, 0..size, size..2 * size), expected);
        assert_eq!(mcuboot.boot_across((&mut first, 0..size), (&mut second, 0..size)), expected);
        assert_eq!((&one.bytes()[..SLOT], &one.bytes()[SLOT..]), (&primary[..], &secondary[..]));
        assert_eq!((first.bytes(), second.bytes()), (&primary[..], &secondary[..]));
    }
}
