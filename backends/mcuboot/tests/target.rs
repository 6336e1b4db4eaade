//! What the calls of a target cost the flash: erases ahead, pieces in RAM, marks that are torn, lost or withdrawn.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, RegionError, Shared};
use dfu_target::image::mcuboot::Version;
use dfu_target::image::{HEAD_LEN, Image, ImageKind};
use dfu_target::target::{Applied, Proof, Written};
use dfu_target::{DfuTarget, blocking::block_on};
use dfu_target_mcuboot::{
    Active, Align, Config, ConfigError, Error, McubootTarget, Mode, Refusal, RunningState, Slots, SwapType,
};
use dfu_testkit::flash::{Chip, Cut, Fault, SimError, SimFlash};
use dfu_testkit::image::ImageBuilder;

const SECTOR: u32 = 4096;
const SLOT: u32 = 8 * SECTOR;
const KIND: ImageKind = ImageKind::Mcuboot;
const VERSION: Version = Version { major: 1, minor: 0, revision: 0, build: 0 };
const ACTIVE: Active = Active::new(RunningState::Confirmed, Some(VERSION));

type Flash<const W: usize> = Chip<W, { SECTOR as usize }, 4>;
type Target<'a, const W: usize> = McubootTarget<'a, Flash<W>, SoftSha256, &'a Slots, 256>;
type Fails = Error<RegionError<SimError>>;

/// A target for an empty slot, beside version 1.0.0.
fn with<const W: usize>(config: Config, test: impl FnOnce(&mut Target<'_, W>, &Flash<W>)) {
    let chip = Flash::<W>::new(SimFlash::new(SLOT as usize));
    let slots = Slots::new::<Flash<W>>(SLOT, config.max_sectors(8));
    let mut shared = Shared::new(chip.clone());
    let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
    test(&mut Target::new(region, SoftSha256::default(), &slots, ACTIVE).unwrap(), &chip);
}

fn image(len: u32) -> Vec<u8> {
    ImageBuilder::new().version(2, 0, 0, 0).total_size(len as usize).build().to_vec()
}

fn init<const W: usize>(target: &mut Target<'_, W>, image: &[u8], offset: u32) -> Result<u32, Fails> {
    let (size, head) = (Some(image.len() as u32), &image[..HEAD_LEN]);
    block_on(target.init(&Image { size, head, ..Image::new(KIND) }, offset))
}

fn check<const W: usize>(target: &mut Target<'_, W>) -> Proof {
    let checked = block_on(target.digest()).unwrap();
    checked.matches(&checked.digest).unwrap()
}

/// All of the image is in the slot, and may be applied.
fn store<const W: usize>(target: &mut Target<'_, W>, image: &[u8]) -> Proof {
    assert_eq!(init(target, image, 0), Ok(0));
    block_on(target.write(image)).unwrap();
    check(target)
}

#[test]
fn each_call_ahead_erases_one_sector_until_none_is_left() {
    // The trailer's sector, those in front of the image or with its first word, those of the image.
    for (mode, len, calls) in [
        (Mode::SwapMove, 9000, 1 + 3),
        (Mode::SwapOffset, 9000, 1 + 1 + 3),
        (Mode::DirectXip, 9000, 1 + 1 + 2),
        (Mode::DirectXip, 1000, 1 + 1),
    ] {
        with::<4>(Config::new(mode), |target, chip| {
            chip.sim().load(0, &[0x5a; SLOT as usize]);
            let image = image(len);
            assert_eq!(init(target, &image, 0), Ok(0));
            for call in 1..=calls {
                assert_eq!(block_on(target.prepare()), Ok(call < calls), "{mode:?}: call {call}");
                assert_eq!(chip.sim().counts().erases, call, "{mode:?}");
            }
            assert!(chip.sim().is_erased(SLOT - SECTOR..SLOT), "{mode:?}: the trailer");
            block_on(target.write(&image)).unwrap();
            assert_eq!(chip.sim().counts().erases, calls, "{mode:?}: nothing is left to erase");
            let proof = check(target);
            assert_eq!(block_on(target.apply(proof)), Ok(Applied::AtReset));
        });
    }
}

#[test]
fn what_is_there_is_read_before_an_image_goes_on_unless_that_is_switched_off() {
    for mode in [Mode::SwapMove, Mode::SwapOffset, Mode::OverwriteOnly, Mode::DirectXip] {
        for recall in [true, false] {
            with::<4>(Config::new(mode).recall(recall), |target, chip| {
                let image = image(9000);
                assert_eq!(init(target, &image, 0), Ok(0));
                let Ok(Written::Committed(durable)) = block_on(target.write(&image[..8700])) else {
                    panic!("{mode:?}")
                };
                let mut kept = [0; 32];
                if recall {
                    kept[..4].copy_from_slice(&target.keep().unwrap()[..4]);
                }
                assert_eq!(target.keep().is_some(), recall);
                let mut goes_on = |offset| {
                    let image = Image { kept: &kept, size: Some(9000), head: &image[..HEAD_LEN], ..Image::new(KIND) };
                    let before = chip.sim().counts().reads;
                    (block_on(target.init(&image, offset)), chip.sim().counts().reads - before)
                };
                let least = goes_on(0).1;
                // By 256 bytes; and anew where the image goes on.
                let pieces = if recall { u64::from(durable.div_ceil(256)) } else { 0 };
                assert_eq!(goes_on(durable), (Ok(2 * SECTOR), least + pieces), "{mode:?}");
                assert_eq!(goes_on(9000), (Ok(9000), least), "{mode:?}: what is all there is read for its digest");
                for at in [16, SECTOR - 1, SECTOR, 2 * SECTOR - 1, 2 * SECTOR, durable - 1] {
                    let at = at + if mode == Mode::SwapOffset { SECTOR } else { 0 };
                    chip.sim().flip(at, 5);
                    let from = if recall { 0 } else { 2 * SECTOR };
                    assert_eq!(goes_on(durable), (Ok(from), least + pieces), "{mode:?}, byte {at}");
                    chip.sim().flip(at, 5);
                }
                assert_eq!(goes_on(durable).0, Ok(2 * SECTOR), "{mode:?}: as it was it goes on");
            });
        }
    }
}

#[test]
fn what_goes_on_is_promised_with_the_sum_of_all_of_it() {
    with::<4>(Config::new(Mode::SwapMove), |target, _| {
        let image = image(20_000);
        let mut kept = [0; 32];
        let mut offset = 0;
        for to in [5000, 12_000, 19_000] {
            let head = &image[..HEAD_LEN];
            let from = Image { kept: &kept, size: Some(20_000), head, ..Image::new(KIND) };
            let from = block_on(target.init(&from, offset)).unwrap();
            assert_eq!(from, offset / SECTOR * SECTOR, "up to {to}");
            let Ok(Written::Committed(durable)) = block_on(target.write(&image[from as usize..to])) else { panic!() };
            offset = durable;
            kept[..4].copy_from_slice(target.keep().unwrap());
        }
        assert!(offset > 18_000);
    });
}

#[test]
fn a_small_piece_waits_in_ram() {
    for mode in [Mode::SwapMove, Mode::DirectXip] {
        with::<4>(Config::new(mode), |target, chip| {
            let image = image(9000);
            assert_eq!(init(target, &image, 0), Ok(0));
            assert!(!target.take(&image[..3]), "{mode:?}: what is to be erased first is not");
            block_on(target.write(&image[..3])).unwrap();
            // The first word, where it is kept back, is not among what is gathered.
            let first = target.take(&image[3..5]);
            assert_eq!(first, mode == Mode::SwapMove);
            block_on(target.write(&image[if first { 5 } else { 3 }..64])).unwrap();
            let before = chip.sim().counts();
            assert!(target.take(&image[64..67]), "{mode:?}");
            assert_eq!(chip.sim().counts(), before, "{mode:?}");
            block_on(target.write(&image[67..8999])).unwrap();
            assert!(!target.take(&[image[8999], 0]), "{mode:?}: behind the image's end");
            block_on(target.write(&image[8999..])).unwrap();
            check(target);
        });
    }
}

#[test]
fn a_proof_is_good_until_the_image_is_read_again() {
    with::<4>(Config::new(Mode::SwapMove), |target, chip| {
        let proof = store(target, &image(9000));
        chip.sim().flip(5000, 3);
        assert_eq!(block_on(target.digest()), Err(Error::Refused(Refusal::Hash)));
        assert_eq!(block_on(target.apply(proof)), Err(Error::NotChecked));
        assert!(chip.sim().is_erased(SLOT - SECTOR..SLOT));
    });
}

#[test]
fn what_comes_after_a_torn_mark_is_not_lost_by_the_next_failure() {
    let len = SLOT - SECTOR + 2000;
    with::<4>(Config::new(Mode::OverwriteOnly), |target, chip| {
        let image = image(len);
        store(target, &image);
        chip.sim().load(SLOT - 40, &mark(2, 0xff)[..32]);
        let from = SLOT - SECTOR;
        assert_eq!(init(target, &image, len), Ok(from));
        let Ok(Written::Committed(durable)) = block_on(target.write(&image[from as usize..][..1024])) else { panic!() };
        assert!(durable > from);
        let mut kept = [0; 32];
        kept[..4].copy_from_slice(&target.keep().unwrap()[..4]);
        let again = Image { kept: &kept, size: Some(len), head: &image[..HEAD_LEN], ..Image::new(KIND) };
        assert_eq!(block_on(target.init(&again, durable)), Ok(from), "only the end is wanted once more");
        block_on(target.write(&image[from as usize..])).unwrap();
        let proof = check(target);
        assert_eq!(block_on(target.apply(proof)), Ok(Applied::AtReset));
    });
}

#[test]
fn where_the_slots_words_differ_the_first_word_kept_back_is_one_of_either() {
    type Long = Chip<8, { SECTOR as usize }, 4>;
    type Short = Chip<1, { SECTOR as usize }, 4>;
    let config = Config::new(Mode::DirectXip).max_sectors(8);
    let slots = Slots::pair::<Long, Short>(SLOT, SLOT, config);
    let made = |slots: &Slots| {
        // The secondary slot runs.
        let mut shared = Shared::new(Long::new(SimFlash::new(SLOT as usize)));
        let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
        let mut target = McubootTarget::<_, _, _, 256>::new(region, SoftSha256::default(), slots, ACTIVE)?;
        let image = image(9000);
        let head = &image[..HEAD_LEN];
        let done = block_on(async {
            target.init(&Image { size: Some(9000), head, ..Image::new(KIND) }, 0).await?;
            target.write(&image).await?;
            let checked = target.digest().await?;
            target.apply(checked.matches(&checked.digest).unwrap()).await
        });
        assert_eq!(done, Ok(Applied::AtReset));
        Ok(())
    };
    assert_eq!(made(&slots), Ok(()));
    let others = Slots::pair::<Short, Short>(SLOT, SLOT, config);
    assert_eq!(made(&others), Err(ConfigError::WriteSize), "slots of another flash");
}

#[test]
fn a_cut_in_the_mark_leaves_no_word_that_is_written_twice() {
    let config = Config::new(Mode::DirectXipRevert).align(Align::A32);
    for points in 0..6 {
        with::<4>(config, |target, chip| {
            let image = image(9000);
            let proof = store(target, &image);
            chip.sim().cut_after(points, Cut::Before);
            let cut = block_on(target.apply(proof)).is_err();
            assert_eq!(cut, points < 5, "the magic and the first word");
            chip.sim().power_on();
            assert_eq!(init(target, &image, 9000), Ok(9000));
            let proof = check(target);
            assert_eq!(block_on(target.apply(proof)), Ok(Applied::AtReset), "after {points}");
        });
    }
}

#[test]
fn a_trial_is_over_when_the_target_is_told() {
    with::<4>(Config::new(Mode::SwapMove), |target, chip| {
        let image = image(9000);
        target.set_active(Active::new(RunningState::Trial, None));
        assert_eq!(init(target, &image, 0), Err(Error::Trial));
        assert_eq!(block_on(target.abort()), Err(Error::Trial));
        target.set_active(Active::new(RunningState::Confirmed, None));
        assert_eq!(init(target, &image, 0), Ok(0));
        assert_eq!(chip.sim().points(), 0);
    });
    with::<4>(Config::new(Mode::DirectXip), |target, _| {
        target.set_active(Active::new(RunningState::Confirmed, None));
        let older = ImageBuilder::new().version(0, 9, 0, 0).total_size(9000).build().to_vec();
        let refused = init(target, &older, 0);
        assert!(
            matches!(refused, Err(Error::Refused(Refusal::Outranked { .. }))),
            "the version of before: {refused:?}"
        );
    });
}

#[test]
fn withdrawing_a_request_erases_one_sector_and_giving_up_the_image_as_few() {
    for (mode, given_up) in
        [(Mode::SwapMove, 2), (Mode::SwapOffset, 3), (Mode::DirectXip, 1), (Mode::DirectXipRevert, 1)]
    {
        with::<4>(Config::new(mode), |target, chip| {
            block_on(target.withdraw()).unwrap();
            assert_eq!(chip.sim().points(), 0, "{mode:?}: nothing was pending");

            let image = image(9000);
            let proof = store(target, &image);
            assert_eq!(block_on(target.apply(proof)), Ok(Applied::AtReset));
            let mut wanted = chip.sim().bytes().to_vec();
            let before = chip.sim().counts().erases;
            block_on(target.withdraw()).unwrap();
            // That of the mark, or where the first word is kept back, that of the image's header.
            let at = if mode.chooses() { 0 } else { SLOT - SECTOR } as usize;
            wanted[at..at + SECTOR as usize].fill(0xff);
            assert!(chip.sim().bytes() == wanted, "{mode:?}: the rest stays");
            assert_eq!(chip.sim().counts().erases, before + 1, "{mode:?}");

            let proof = store(target, &image);
            assert_eq!(block_on(target.apply(proof)), Ok(Applied::AtReset));
            let before = chip.sim().counts().erases;
            block_on(target.abort()).unwrap();
            assert_eq!(chip.sim().counts().erases, before + given_up, "{mode:?}");
        });
    }
}

/// A mark for `BOOT_MAX_ALIGN` 8: swap_info, copy_done, image_ok, the magic.
fn mark(swap_info: u8, image_ok: u8) -> [u8; 40] {
    let mut mark = [0xff; 40];
    (mark[0], mark[16]) = (swap_info, image_ok);
    let magic = [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
    mark[24..].copy_from_slice(&magic);
    mark
}

#[test]
fn a_mark_that_is_not_the_wanted_one_is_erased_where_the_whole_image_is_applied() {
    let (torn, permanent) = (&mark(2, 0xff)[..32], &mark(3, 1)[..]);
    for (mode, len, found) in [
        (Mode::SwapMove, 9000, torn),
        (Mode::SwapMove, 9000, permanent),
        (Mode::OverwriteOnly, SLOT - SECTOR, torn),
        (Mode::DirectXipRevert, 9000, torn),
    ] {
        with::<4>(Config::new(mode), |target, chip| {
            let image = image(len);
            store(target, &image);
            chip.sim().load(SLOT - 40, found);
            let before = chip.sim().counts().erases;
            assert_eq!(init(target, &image, len), Ok(len), "{mode:?}");
            assert_eq!(block_on(target.prepare()), Ok(false), "{mode:?}: no bytes are to come");
            let proof = check(target);
            assert_eq!(chip.sim().counts().erases, before);
            assert_eq!(block_on(target.apply(proof)), Ok(Applied::AtReset), "{mode:?}");
            assert_eq!(chip.sim().counts().erases, before + 1);
            assert_eq!(block_on(target.mark()).unwrap().swap.is_some(), !mode.chooses());
        });
    }
}

#[test]
fn of_a_mark_that_was_not_kept_the_error_tells_whether_bytes_have_to_come_again() {
    let shared = SLOT - SECTOR + 4;
    for (len, error) in [(shared - 4, Error::MarkNotWritten), (shared, Error::TornMark)] {
        with::<4>(Config::new(Mode::OverwriteOnly), |target, chip| {
            let image = image(len);
            let proof = store(target, &image);
            chip.sim().fault_after(0, Fault::SilentWrite);
            assert_eq!(block_on(target.apply(proof)), Err(error), "{len}");
            assert_eq!(init(target, &image, len), Ok(SLOT - SECTOR), "{len}");
        });
    }
}

#[test]
fn another_image_that_the_bootloader_would_choose_is_not_written_over() {
    fn refused<const W: usize>(align: Align) {
        with::<W>(Config::new(Mode::DirectXip).align(align), |target, chip| {
            chip.sim().load(0, &ImageBuilder::new().version(3, 0, 0, 0).build());
            assert_eq!(init(target, &image(9000), 0), Err(Error::Pending(SwapType::Test)), "words of {W}");
            assert_eq!(chip.sim().points(), 0);
        });
    }
    refused::<4>(Align::A8);
    refused::<32>(Align::A32);
    with::<4>(Config::new(Mode::DirectXip), |target, chip| {
        let elsewhere = ImageBuilder::new().version(3, 0, 0, 0).flags(0x100).load_addr(0x0800_0000);
        chip.sim().load(0, &elsewhere.build());
        assert_eq!(init(target, &image(9000), 0), Ok(0), "from this slot it never runs");
    });
}
