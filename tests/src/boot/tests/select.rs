//! Modes that run the highest version from either slot.

use super::*;

/// An image that may run in every mode.
fn image(version: [u8; 3], build: u32) -> ImageBuilder {
    ImageBuilder::new().flags(0x20).load_addr(0x2000_0000).version(version[0], version[1], version[2].into(), build)
}

fn stored(mcuboot: &Bootloader, image: &[u8]) -> Vec<u8> {
    let mut slot = slot(mcuboot, image);
    mcuboot.mark_pending(&mut slot, true).unwrap();
    slot
}

fn is_erased(slot: &[u8]) -> bool {
    slot.iter().all(|byte| *byte == 0xff)
}

#[test]
fn the_highest_version_runs_and_of_equals_the_primary() {
    for mode in SELECTS {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        for (one, other, by_build, slot) in [
            ([1, 0, 0], ([2, 0, 0], 0), false, Slot::Secondary),
            ([2, 0, 0], ([1, 9, 9], 9), false, Slot::Primary),
            ([1, 1, 0], ([1, 2, 0], 0), false, Slot::Secondary),
            ([1, 1, 1], ([1, 1, 2], 0), false, Slot::Secondary),
            ([1, 0, 0], ([1, 0, 0], 0), false, Slot::Primary),
            ([1, 0, 0], ([1, 0, 0], 1), false, Slot::Primary),
            ([1, 0, 0], ([1, 0, 0], 1), true, Slot::Secondary),
        ] {
            let mcuboot = mcuboot.clone().compares_build(by_build);
            let mut primary = stored(&mcuboot, &image(one, 0).build());
            let mut secondary = stored(&mcuboot, &image(other.0, other.1).build());
            let before = (primary.clone(), secondary.clone());
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!((boot.asked, boot.swapped, boot.refused), (None, None, None));
            assert_eq!(boot.running.unwrap().slot, slot, "{mode:?} {one:?} {other:?}");
            assert_eq!((primary, secondary), before);
        }
    }
}

#[test]
fn a_spoilt_image_is_erased_and_a_spoilt_header_is_left() {
    for mode in SELECTS {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let (old, new) = (image([1, 0, 0], 0).build(), image([2, 0, 0], 0));
        for (refused, erases, spoilt) in [
            (Some(Refusal::Hash), true, new.build().flipped(0x300, 0)),
            (Some(Refusal::NoHash), true, new.clone().without_hash().build()),
            (Some(Refusal::Tlvs), true, new.build().flipped(new.build().hashed().end, 0)),
            (Some(Refusal::NotBootable), false, new.clone().flags(0x30).build()),
            // These count as no image at all.
            (None, false, new.build().flipped(0, 0)),
            (None, false, new.clone().flags(0x24).build()),
            (None, false, new.clone().flags(0x220).build()),
            (None, false, new.build().patched(0, &[0xff; 4])),
        ] {
            let (mut primary, mut secondary) = (stored(&mcuboot, &old), stored(&mcuboot, &spoilt));
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!((boot.refused, is_erased(&secondary)), (refused, erases), "{mode:?}");
            assert_eq!(boot.running.unwrap().slot, Slot::Primary);
            // Neither slot is better than the other.
            let (mut primary, mut secondary) = (stored(&mcuboot, &spoilt), stored(&mcuboot, &old));
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!((boot.refused, is_erased(&primary)), (refused, erases), "{mode:?}");
            assert_eq!(boot.running.unwrap().slot, Slot::Secondary);
        }
    }
}

#[test]
fn an_image_for_another_address_is_skipped_and_kept() {
    let (here, there) = (0x1_0000, 0x8_0000);
    for mode in [Mode::DirectXip, Mode::DirectXipRevert] {
        let mcuboot = Bootloader::new(mode, 4, 4096).slots_at(here, there);
        for (address, runs) in [(here, Slot::Primary), (there, Slot::Secondary)] {
            let mut primary = stored(&mcuboot, &image([1, 0, 0], 0).build());
            let mut secondary = stored(&mcuboot, &image([2, 0, 0], 0).flags(0x100).load_addr(address).build());
            let before = secondary.clone();
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!((boot.running.unwrap().slot, &secondary), (runs, &before));
            assert_eq!(boot.refused, (runs == Slot::Primary).then_some(Refusal::Address));
        }
    }
}

#[test]
fn a_slots_address_is_its_place_in_the_flash() {
    let mcuboot = Bootloader::new(Mode::DirectXip, 4, 4096);
    let size = SLOT as u32;
    let mut flash = SimFlash::<4, 4096>::new(3 * SLOT);
    flash.load(size, &image([1, 0, 0], 0).build());
    flash.load(2 * size, &image([2, 0, 0], 0).flags(0x100).load_addr(2 * size).build());
    let boot = mcuboot.boot_in(&mut flash, size..2 * size, 2 * size..3 * size);
    assert_eq!(boot.running.unwrap().slot, Slot::Secondary);
}

#[test]
fn ram_takes_what_is_made_for_it_and_the_rest_is_erased() {
    for mode in [Mode::RamLoad, Mode::RamLoadRevert] {
        let mcuboot = Bootloader::new(mode, 4, 4096).executable_ram(0x2000_0000..0x2000_8000);
        let size = image([2, 0, 0], 0).build().len() as u32;
        for (flags, address, refused) in [
            (0x20, 0x2000_0000, None),
            (0x20, 0x2000_8000 - size, None),
            (0x20, 0x2000_8001 - size, Some(Refusal::Address)),
            (0x20, 0x1fff_ffff, Some(Refusal::Address)),
            (0, 0x2000_0000, Some(Refusal::NotForRam)),
        ] {
            let mut primary = stored(&mcuboot, &image([1, 0, 0], 0).build());
            let mut secondary = stored(&mcuboot, &image([2, 0, 0], 0).flags(flags).load_addr(address).build());
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!((boot.refused, is_erased(&secondary)), (refused, refused.is_some()));
        }
    }
}

#[test]
fn what_was_not_confirmed_is_erased_at_the_next_boot() {
    for mode in [Mode::DirectXipRevert, Mode::RamLoadRevert] {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let mut primary = stored(&mcuboot, &image([1, 0, 0], 0).build());
        let mut secondary = slot(&mcuboot, &image([2, 0, 0], 0).build());
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        let trailer = mcuboot.trailer(SLOT);
        assert_eq!(trailer.state(&secondary).copy_done, Flag::Unset);
        assert_eq!(mcuboot.boot(&mut primary, &mut secondary).running.unwrap().slot, Slot::Secondary);
        assert_eq!(trailer.state(&secondary).copy_done, Flag::Set);

        let mut confirmed = secondary.clone();
        mcuboot.confirm(&mut confirmed).unwrap();
        for _ in 0..2 {
            assert_eq!(mcuboot.boot(&mut primary, &mut confirmed).running.unwrap().slot, Slot::Secondary);
        }
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!((boot.refused, boot.running.unwrap().slot), (Some(Refusal::Unconfirmed), Slot::Primary));
        assert!(is_erased(&secondary));
    }
}

#[test]
fn marks_of_modes_that_erase_the_unconfirmed_are_magic_and_flags() {
    let mcuboot = Bootloader::new(Mode::DirectXipRevert, 4, 4096);
    let trailer = mcuboot.trailer(4096);
    let mut slot = vec![0xff; 4096];
    mcuboot.mark_pending(&mut slot, false).unwrap();
    let state = trailer.state(&slot);
    assert_eq!((state.magic, state.copy_done, state.image_ok), (Magic::Good, Flag::Unset, Flag::Unset));
    // Unlike elsewhere, what is asked for once can be made permanent.
    mcuboot.mark_pending(&mut slot, true).unwrap();
    let state = trailer.state(&slot);
    assert_eq!((state.copy_done, state.image_ok, state.swap_info), (Flag::Set, Flag::Set, None));
    let mut factory = vec![0xff; 4096];
    mcuboot.confirm(&mut factory).unwrap();
    assert_eq!(factory, slot);
    slot[4090] = 0;
    assert_eq!((mcuboot.confirm(&mut slot), mcuboot.mark_pending(&mut slot, true)), (Err(BadTrailer), Err(BadTrailer)));
}

#[test]
fn a_counter_is_raised_by_what_runs_and_lower_ones_are_erased() {
    for (mode, confirmed, raised) in [
        (Mode::DirectXip, false, 5),
        (Mode::DirectXipRevert, false, 3),
        (Mode::DirectXipRevert, true, 5),
        (Mode::RamLoad, false, 5),
        (Mode::RamLoadRevert, false, 5),
    ] {
        let mcuboot = Bootloader::new(mode, 4, 4096).counts(3);
        let mut primary = stored(&mcuboot, &image([1, 0, 0], 0).protected(SEC_CNT, &[3, 0, 0, 0]).build());
        let mut secondary = slot(&mcuboot, &image([2, 0, 0], 0).protected(SEC_CNT, &[5, 0, 0, 0]).build());
        mcuboot.mark_pending(&mut secondary, confirmed).unwrap();
        assert_eq!(mcuboot.boot(&mut primary, &mut secondary).counter, Some(raised), "{mode:?}");
        let mut low = stored(&mcuboot, &image([3, 0, 0], 0).protected(SEC_CNT, &[2, 0, 0, 0]).build());
        assert_eq!(mcuboot.boot(&mut primary, &mut low).refused, Some(Refusal::Counter));
        assert!(is_erased(&low));
    }
}
