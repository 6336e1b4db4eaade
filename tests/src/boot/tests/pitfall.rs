//! What applications have got wrong, and what it costs.

use super::*;

/// A device that has come to its second image, confirmed, and both slots.
fn updated(mcuboot: &Bootloader) -> (Vec<u8>, Vec<u8>) {
    let (mut primary, mut secondary) = (slot(mcuboot, &old()), upload(mcuboot, &new()));
    mcuboot.mark_pending(&mut secondary, false).unwrap();
    assert!(mcuboot.boot(&mut primary, &mut secondary).swapped.is_some());
    mcuboot.confirm(&mut primary).unwrap();
    (primary, secondary)
}

#[test]
fn a_stale_trailer_makes_a_new_image_permanent_and_marking_it_does_nothing() {
    for mcuboot in SWAPS.into_iter().flat_map(builds) {
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &new()));
        let trailer = mcuboot.trailer(SLOT);
        trailer.put_magic(&mut secondary);
        trailer.set(&mut secondary, trailer.image_ok);
        let before = secondary.clone();
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        assert_eq!(secondary, before);
        assert_eq!(mcuboot.boot(&mut primary, &mut secondary).swapped, Some(SwapType::Perm));
    }
}

#[test]
fn a_stale_copy_done_bricks_a_device_that_swaps_using_offset() {
    for mcuboot in SWAPS.into_iter().flat_map(builds) {
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &new()));
        let trailer = mcuboot.trailer(SLOT);
        trailer.set(&mut secondary, trailer.copy_done);
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        if mcuboot.mode != Mode::Offset {
            assert_eq!((boot.swapped, boot.running.unwrap().version.major), (Some(SwapType::Test), 2));
            continue;
        }
        assert_eq!((boot.swapped, boot.running), (Some(SwapType::Revert), Err(Refusal::NoImage)));
        assert!(primary[4096..].starts_with(&new()[..4096]), "the new image lies where nothing looks for it");
        // For ever.
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!((boot.refused, boot.running), (Some(Refusal::NoPrimary), Err(Refusal::NoImage)));
    }
}

#[test]
fn the_old_images_header_at_the_start_makes_an_upload_one_sector_in_worthless() {
    let mcuboot = Bootloader::new(Mode::Offset, 4, 4096);
    let (mut primary, mut secondary) = updated(&mcuboot);
    let next = ImageBuilder::new().version(3, 0, 0, 0).build();
    secondary[4096..].fill(0xff);
    secondary[4096..4096 + next.len()].copy_from_slice(&next);
    for erases_start in [false, true] {
        let (mut primary, mut secondary) = (primary.clone(), secondary.clone());
        if erases_start {
            secondary[..4096].fill(0xff);
        }
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!(boot.swapped.is_some(), erases_start);
        assert_eq!(boot.refused, (!erases_start).then_some(Refusal::UploadAddress));
        assert_eq!(secondary.iter().all(|byte| *byte == 0xff), !erases_start);
    }
    // So does uploading to the start.
    let mut secondary = slot(&mcuboot, &next);
    mcuboot.mark_pending(&mut secondary, true).unwrap();
    assert_eq!(mcuboot.boot(&mut primary, &mut secondary).refused, Some(Refusal::UploadAddress));
}

#[test]
fn the_old_image_cannot_be_asked_for_after_a_swap_using_offset() {
    for mode in SWAPS {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let (mut primary, mut secondary) = updated(&mcuboot);
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        let expected = if mode == Mode::Offset { (None, 2) } else { (Some(SwapType::Test), 1) };
        assert_eq!((boot.swapped, boot.running.unwrap().version.major), expected);
    }
}

#[test]
fn a_magic_of_another_alignment_is_none() {
    for mode in MODES {
        let (app, mcuboot) = (Bootloader::new(mode, 4, 4096), Bootloader::new(mode, 4, 4096).max_align(16));
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &new()));
        app.mark_pending(&mut secondary, true).unwrap();
        assert_eq!(mcuboot.boot(&mut primary, &mut secondary).asked, None);
        assert_eq!(mcuboot.mark_pending(&mut secondary, true), Err(BadTrailer), "nor can it be marked again");
    }
}

#[test]
fn the_running_image_too_must_not_be_longer_than_the_mode_allows() {
    for mode in SWAPS {
        let mcuboot = Bootloader::new(mode, 8, 4096);
        let max = mcuboot.max_image_size(SLOT, SLOT);
        for (size, expected) in [(max, Ok(max)), (max + 1, Err(Refusal::TooLarge))] {
            let mut primary = slot(&mcuboot, &ImageBuilder::new().total_size(size).build());
            let boot = mcuboot.boot(&mut primary, &mut slot(&mcuboot, &[]));
            assert_eq!(boot.running.map(|running| running.size), expected);
        }
    }
}

#[test]
fn where_a_factory_image_has_no_trailer_both_slots_are_lost() {
    for mode in [Mode::DirectXipRevert, Mode::RamLoadRevert] {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), slot(&mcuboot, &new()));
        assert_eq!(mcuboot.boot(&mut primary, &mut secondary).running, Err(Refusal::NoTrailer));
        assert!(primary.iter().chain(&secondary).all(|byte| *byte == 0xff));
    }
}

#[test]
fn confirming_before_the_trial_is_lost_and_confirming_at_once_defeats_the_revert() {
    for mode in SWAPS {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &new()));
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        mcuboot.confirm(&mut primary).unwrap();
        assert_eq!(mcuboot.trailer(SLOT).state(&primary).image_ok, Flag::Unset);
        assert_eq!(mcuboot.boot(&mut primary, &mut secondary).swapped, Some(SwapType::Test));
        mcuboot.confirm(&mut primary).unwrap();
        assert_eq!(mcuboot.boot(&mut primary, &mut secondary).asked, None);
    }
}

#[test]
fn a_torn_copy_done_leaves_an_unconfirmed_image_for_ever() {
    for mode in SWAPS {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &new()));
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        mcuboot.boot(&mut primary, &mut secondary);
        primary[mcuboot.trailer(SLOT).copy_done] = 0x7f;
        for _ in 0..2 {
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!((boot.asked, boot.running.unwrap().version.major), (None, 2));
        }
    }
}

#[test]
fn touching_the_secondary_during_a_trial_loses_the_way_back() {
    for mode in SWAPS {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &new()));
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        mcuboot.boot(&mut primary, &mut secondary);
        secondary.fill(0xff);
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!((boot.asked, boot.refused), (Some(SwapType::Revert), Some(Refusal::NoImage)));
        assert_eq!(boot.running.unwrap().version.major, 2, "the image on trial stays");
    }
}

#[test]
fn an_upgrade_needs_an_image_to_swap_with_unless_there_is_a_scratch_area() {
    for (mode, upgrades) in [(Mode::Move, false), (Mode::Offset, false), (Mode::Scratch, true), (Mode::Overwrite, true)]
    {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let (mut primary, mut secondary) = (slot(&mcuboot, &[]), upload(&mcuboot, &new()));
        mcuboot.mark_pending(&mut secondary, true).unwrap();
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!(boot.running.is_ok(), upgrades, "{mode:?}");
        assert_eq!(boot.refused, (!upgrades).then_some(Refusal::NoPrimary));
    }
}
