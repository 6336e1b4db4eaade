//! What is not brought to run.

use super::*;

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
            if mode == Mode::Offset && *refusal == Refusal::Magic {
                continue; // Then the header at the start counts.
            }
            let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, image));
            mcuboot.mark_pending(&mut secondary, false).unwrap();
            let before = primary.clone();
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!((boot.swapped, boot.refused), (None, Some(*refusal)));
            assert_eq!(boot.running.unwrap().version.major, 1);
            assert_eq!(primary, before);
            assert!(secondary.iter().all(|byte| *byte == 0xff), "{refusal:?}");
        }
        let mut cut_short = upload(&mcuboot, &good.clone().truncated(5000));
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
            let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &image));
            mcuboot.mark_pending(&mut secondary, false).unwrap();
            let boot = mcuboot.boot(&mut primary, &mut secondary);
            assert_eq!((boot.swapped, boot.refused), (None, Some(refusal)));
            assert_eq!(secondary[start(&mcuboot)..][..image.len()], image[..]);
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
        (Mode::Offset, SLOT, SLOT, true),
        (Mode::Offset, SLOT, SLOT + 4096, true),
        (Mode::Offset, SLOT, SLOT - 4096, false),
        (Mode::Offset, SLOT, SLOT + 8192, false),
        (Mode::Overwrite, SLOT, SLOT - 4096, false),
    ] {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let (mut primary, mut secondary) = (vec![0xff; primary], vec![0xff; secondary]);
        primary[..old().len()].copy_from_slice(&old());
        secondary[start(&mcuboot)..][..new().len()].copy_from_slice(&new());
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
fn a_swap_that_was_begun_and_cannot_go_on_leaves_the_old_image_confirmed() {
    for mode in SWAPS {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let spoilt = new().flipped(0x300, 0);
        let (mut primary, mut secondary) = (slot(&mcuboot, &old()), upload(&mcuboot, &spoilt));
        let trailer = mcuboot.trailer(SLOT);
        trailer.put_swap_info(&mut primary, SwapType::Test, 0);
        trailer.put_magic(&mut primary);
        let boot = mcuboot.boot(&mut primary, &mut secondary);
        assert_eq!((boot.asked, boot.refused), (Some(SwapType::Test), Some(Refusal::Hash)), "{mode:?}");
        assert_eq!((boot.swapped, boot.running.unwrap().version.major), (None, 1));
        assert_eq!(trailer.state(&primary).image_ok, Flag::Set);
        assert!(secondary.iter().all(|byte| *byte == 0xff));
    }
}
