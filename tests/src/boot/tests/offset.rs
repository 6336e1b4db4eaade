//! Swap using offset: the new image lies one sector into the secondary slot.

use super::*;

const SECTOR: usize = 4096;

#[test]
fn after_a_swap_the_old_image_lies_at_the_start() {
    for mcuboot in builds(Mode::Offset) {
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &new()));
        mcuboot.mark_pending(&mut secondary, true).unwrap();
        assert_eq!(mcuboot.boot(&mut primary, &mut secondary).swapped, Some(SwapType::Perm));
        assert!(primary.starts_with(&new()) && secondary.starts_with(&old()));
    }
}

#[test]
fn after_a_revert_the_new_image_lies_one_sector_in_and_can_be_asked_for_again() {
    for mcuboot in builds(Mode::Offset) {
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &new()));
        for _ in 0..2 {
            mcuboot.mark_pending(&mut secondary, false).unwrap();
            assert_eq!(mcuboot.boot(&mut primary, &mut secondary).swapped, Some(SwapType::Test));
            assert_eq!(mcuboot.boot(&mut primary, &mut secondary).swapped, Some(SwapType::Revert));
            assert!(primary.starts_with(&old()) && secondary[SECTOR..].starts_with(&new()));
            assert!(secondary[..SECTOR].iter().all(|byte| *byte == mcuboot.erased));
        }
    }
}

#[test]
fn a_slot_one_sector_longer_takes_an_image_one_sector_longer() {
    let mcuboot = Bootloader::new(Mode::Offset, 8, SECTOR);
    let long = ImageBuilder::new().version(2, 0, 0, 0).total_size(124_000).build();
    for (secondary, fits) in [(SLOT, false), (SLOT + SECTOR, true)] {
        let mut primary = slot(&mcuboot, &old());
        let mut secondary = vec![0xff; secondary];
        secondary[SECTOR..SECTOR + long.len()].copy_from_slice(&long);
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!(boot.refused, (!fits).then_some(Refusal::TooLarge));
        assert_eq!(boot.swapped, fits.then_some(SwapType::Test));
    }
}

#[test]
fn a_header_where_none_is_expected_decides_whether_the_slot_is_erased() {
    let mcuboot = Bootloader::new(Mode::Offset, 4, SECTOR);
    let garbage = [0x45; 64];
    for (at_start, one_in, refusal, is_erased) in [
        (None, None, Refusal::NoImage, false),
        // Without an image one sector in, the header at the start counts, even one that is none.
        (None, Some(garbage), Refusal::NoImage, false),
        (Some(garbage), None, Refusal::Magic, true),
    ] {
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), slot(&mcuboot, &[]));
        for (at, bytes) in [(0, at_start), (SECTOR, one_in)] {
            if let Some(bytes) = bytes {
                secondary[at..at + bytes.len()].copy_from_slice(&bytes);
            }
        }
        secondary[3 * SECTOR] = 0;
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!((boot.refused, boot.running.unwrap().version.major), (Some(refusal), 1));
        assert_eq!(secondary[3 * SECTOR] == 0xff, is_erased);
        assert_eq!(mcuboot.trailer(SLOT).state(&secondary).magic, Magic::Unset);
    }
}
