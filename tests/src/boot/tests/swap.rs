//! What upgrades leave behind.

use super::*;

#[test]
fn a_test_swap_reverts_unless_it_is_confirmed() {
    for mcuboot in SWAPS.into_iter().flat_map(builds) {
        let (old, new) = (old(), new());
        let (mut primary, mut secondary) = (slot(&mcuboot, &old), upload(&mcuboot, &new));
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
        let tlvs = [&old, &new].map(|image| (image.len() - image.hashed().end) as u8);
        if let Some(at) = trailer.tlv_sizes {
            expected[at..at + 4].copy_from_slice(&[tlvs[0], 0, tlvs[1], 0]);
        }
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
        assert_eq!(secondary[start(&mcuboot)..][..new.len()], new[..]);
        expected[trailer.swap_info] = 4;
        if let Some(at) = trailer.tlv_sizes {
            expected[at..at + 4].copy_from_slice(&[tlvs[1], 0, tlvs[0], 0]);
        }
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
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &new()));
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
            let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &new()));
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
    let (primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &new()));
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
