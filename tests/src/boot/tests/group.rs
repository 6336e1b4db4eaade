//! Several images, and what they may not fall below.

use super::*;
use crate::image::Version;

const TWO: Version = Version { major: 2, minor: 0, revision: 0, build: 9 };

fn version(major: u8) -> ImageBuilder {
    ImageBuilder::new().version(major, 0, 0, 0).flags(0x20).seed(major.into())
}

/// Two images' slots: each an old image, and a new one if any.
fn device(mcuboot: &Bootloader, new: [Option<ImageBuilder>; 2]) -> [(Vec<u8>, Vec<u8>); 2] {
    let mut address = 0;
    new.map(|new| {
        address += 0x10_0000;
        let mut primary = slot(mcuboot, &version(1).load_addr(address).build());
        let mut secondary = slot(mcuboot, &[]);
        if mcuboot.mode.selects() {
            mcuboot.mark_pending(&mut primary, true).unwrap();
        }
        if let Some(new) = new {
            secondary = upload(mcuboot, &new.load_addr(address).build());
            mcuboot.mark_pending(&mut secondary, false).unwrap();
        }
        (primary, secondary)
    })
}

fn boot(mcuboot: &Bootloader, device: &mut [(Vec<u8>, Vec<u8>); 2]) -> Vec<Boot> {
    let mut slots: Vec<(&mut [u8], &mut [u8])> =
        device.iter_mut().map(|(primary, secondary)| (&mut primary[..], &mut secondary[..])).collect();
    mcuboot.boot_group(&mut slots)
}

fn majors(boots: &[Boot]) -> Vec<u8> {
    boots.iter().map(|boot| boot.running.unwrap().version.major).collect()
}

#[test]
fn images_that_fit_each_other_are_upgraded_together() {
    for mode in MODES.into_iter().chain(SELECTS) {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let mut device = device(&mcuboot, [Some(version(2).needs(1, TWO)), Some(version(2).needs(0, TWO))]);
        assert_eq!(majors(&boot(&mcuboot, &mut device)), [2, 2], "{mode:?}");
        if mode.swaps() {
            let notes = device.each_ref().map(|(primary, _)| mcuboot.trailer(SLOT).state(primary).swap_info);
            assert_eq!(notes, [Some((SwapType::Test, 0)), Some((SwapType::Test, 1))]);
        }
    }
}

#[test]
fn one_unmet_dependency_drops_all_upgrades_and_erases_nothing() {
    for mode in MODES {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let three = Version { major: 3, ..TWO };
        for lacking in [version(2).needs(1, three), version(2).needs(2, TWO), version(2).protected(0x40, &[1; 11])] {
            let mut device = device(&mcuboot, [Some(version(2)), Some(lacking)]);
            let before = device.clone();
            for _ in 0..2 {
                let boots = boot(&mcuboot, &mut device);
                let seen = boots.iter().map(|boot| (boot.asked, boot.swapped, boot.refused)).collect::<Vec<_>>();
                assert_eq!(seen, [(Some(SwapType::Test), None, Some(Refusal::Dependency)); 2]);
                assert_eq!(majors(&boots), [1, 1]);
                assert_eq!(device, before, "{mode:?}");
            }
        }
        // A single image's dependencies are not looked at.
        let (mut primary, mut secondary) =
            (slot(&mcuboot, &old()), upload(&mcuboot, &version(2).needs(1, three).build()));
        mcuboot.mark_pending(&mut secondary, false).unwrap();
        assert!(mcuboot.boot(&mut primary, &mut secondary).swapped.is_some());
    }
}

#[test]
fn where_slots_are_selected_the_image_that_lacks_something_is_passed_over() {
    for mode in SELECTS {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let mut device = device(&mcuboot, [Some(version(2).needs(1, TWO)), None]);
        let before = device[0].1[..SLOT / 2].to_vec();
        let boots = boot(&mcuboot, &mut device);
        assert_eq!(majors(&boots), [1, 1]);
        assert_eq!(boots[0].refused, Some(Refusal::Dependency));
        assert_eq!(device[0].1[..SLOT / 2], before[..]);
    }
}

#[test]
fn images_that_overlap_in_ram_do_not_run_together() {
    let mcuboot = Bootloader::new(Mode::RamLoad, 4, 4096);
    let (size, at) = (version(1).build().len() as u32, 0x1000);
    for (other, fits) in [
        (at + size, true),
        (at + size - 1, false),
        (at, false),
        // MCUboot counts the byte behind an image as its own.
        (at - size, false),
        (at - size - 1, true),
    ] {
        let [mut one, mut two] = [at, other].map(|address| slot(&mcuboot, &version(1).load_addr(address).build()));
        let (mut empty, mut too) = (slot(&mcuboot, &[]), slot(&mcuboot, &[]));
        let boots = mcuboot.boot_group(&mut [(&mut one, &mut empty), (&mut two, &mut too)]);
        assert_eq!(boots[1].running.is_ok(), fits, "{other:#x}");
    }
}

#[test]
fn a_downgrade_is_erased_and_the_same_version_is_none() {
    for mode in MODES {
        let mcuboot = Bootloader::new(mode, 4, 4096).prevents_downgrade(true);
        for (major, refused) in [(1, Some(Refusal::Downgrade)), (2, None), (3, None)] {
            let mut primary = slot(&mcuboot, &version(2).build());
            let mut secondary = upload(&mcuboot, &version(major).build());
            mcuboot.mark_pending(&mut secondary, false).unwrap();
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!((boot.refused, boot.swapped.is_none()), (refused, refused.is_some()), "{mode:?}");
            if mode.swaps() && major == 3 {
                // A revert is none either.
                assert_eq!(mcuboot.boot(&mut primary, &mut secondary).swapped, Some(SwapType::Revert));
            }
        }
    }
}

#[test]
fn a_counter_is_raised_once_the_image_is_there_to_stay() {
    for mode in SWAPS {
        let mcuboot = Bootloader::new(mode, 4, 4096).counts(3);
        let counted = |major, counter: u32| version(major).protected(SEC_CNT, &counter.to_le_bytes()).build();
        for (permanent, raised) in [(false, 3), (true, 7)] {
            let (mut primary, mut secondary) = (slot(&mcuboot, &counted(1, 3)), upload(&mcuboot, &counted(2, 7)));
            mcuboot.mark_pending(&mut secondary, permanent).unwrap();
            assert_eq!(mcuboot.boot(&mut primary, &mut secondary).counter, Some(raised));
            mcuboot.confirm(&mut primary).unwrap();
            assert_eq!(mcuboot.boot(&mut primary, &mut secondary).counter, Some(7));
        }
        for refused in [counted(2, 2), version(2).build()] {
            let (mut primary, mut secondary) = (slot(&mcuboot, &counted(1, 3)), upload(&mcuboot, &refused));
            mcuboot.mark_pending(&mut secondary, false).unwrap();
            assert_eq!(mcuboot.boot(&mut primary, &mut secondary).refused, Some(Refusal::Counter));
            assert!(secondary.iter().all(|byte| *byte == 0xff));
        }
    }
}
