//! What is read of the slot that runs, by reads of every size, and what confirming it writes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::image::mcuboot::Version;
use dfu_target::{Digest, Sha256, blocking::block_on};
use dfu_target_mcuboot::{
    Align, Config, ConfigError, ConfirmError, Flag, Mark, Mode, Running, RunningState, Side, Slots, SwapType, View,
};
use dfu_testkit::flash::{Chip, Fault, SimFlash};
use dfu_testkit::image::ImageBuilder;

const SLOT: u32 = 0x10000;

/// Version, security counter and digest of what lies in a slot that is read in units of `R` bytes.
fn read<const R: usize>(slot: &[u8]) -> (Option<Version>, Option<u32>, Option<Digest>) {
    let chip = Chip::<4, 4096, R>::new(SimFlash::new(SLOT as usize));
    let slots = Slots::new::<Chip<4, 4096, R>>(SLOT, Config::new(Mode::SwapMove));
    chip.sim().load(0, slot);
    let mut shared = Shared::new(chip);
    let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
    let mut running = Running::new(region, &slots).unwrap();
    block_on(async {
        let version = running.active().await.unwrap().version;
        let counter = running.security_counter().await.unwrap();
        (version, counter, running.digest(&mut SoftSha256::default()).await.unwrap())
    })
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut engine = SoftSha256::default();
    engine.update(bytes);
    engine.finish()
}

#[test]
fn the_same_is_read_whatever_is_read_at_once() {
    for payload in (1000..1140).step_by(7) {
        let image = ImageBuilder::new().version(1, 2, 3, 4).payload(payload);
        let image = image.protected(0xa0, &[1; 90]).protected(0x50, &[4, 3, 2, 1]).build();
        let version = Version { major: 1, minor: 2, revision: 3, build: 4 };
        let wanted = (Some(version), Some(0x0102_0304), Some(sha256(&image)));
        let all = [
            read::<1>(&image),
            read::<2>(&image),
            read::<4>(&image),
            read::<16>(&image),
            read::<64>(&image),
            read::<128>(&image),
        ];
        assert_eq!(all, [wanted; 6], "{payload}");
    }
}

#[test]
fn a_mark_is_read_by_reads_that_are_longer_and_no_power_of_two() {
    type Odd = Chip<8, 3072, 96>;
    let size = 8 * 3072;
    let chip = Odd::new(SimFlash::new(size as usize));
    let mark = trailer(1, 1);
    chip.sim().load(size - mark.len() as u32, &mark);
    let slots = Slots::new::<Odd>(size, Config::new(Mode::SwapMove).max_sectors(8));
    let mut shared = Shared::new(chip);
    let [region] = shared.split(&Layout::checked([(0, size)]).unwrap());
    let mark = block_on(Running::new(region, &slots).unwrap().mark()).unwrap();
    assert_eq!([mark.magic, mark.image_ok, mark.copy_done], [Flag::Set; 3]);
}

#[test]
fn an_image_may_reach_to_the_end_of_its_slot_and_its_tlvs_no_further() {
    let image = |payload| ImageBuilder::new().header_size(32).payload(payload).build();
    let overhead = image(1000).len() - 1000;
    let whole = image(SLOT as usize - overhead);
    assert_eq!((whole.len(), read::<4>(&whole).2), (SLOT as usize, Some(sha256(&whole))));

    // The hashed TLVs would go on behind the slot's end.
    let mut header = image(1000).to_vec();
    header[10..12].copy_from_slice(&0x4000_u16.to_le_bytes());
    header[12..16].copy_from_slice(&(SLOT - 32 - 64).to_le_bytes());
    let mut slot = vec![0; SLOT as usize];
    slot[..32].copy_from_slice(&header[..32]);
    slot[SLOT as usize - 64..][..8].copy_from_slice(&[0x08, 0x69, 0x00, 0x40, 0xa0, 0x00, 0x00, 0x30]);
    let (version, counter, digest) = read::<4>(&slot);
    assert_eq!((version.is_some(), counter, digest), (true, None, None));
}

#[test]
fn a_file_may_end_with_an_empty_area_of_tlvs() {
    let mut file = ImageBuilder::new().header_size(32).payload(1000).build().to_vec();
    file.truncate(1032);
    file.extend([0x07, 0x69, 4, 0]);
    assert_eq!(read::<4>(&file).2, Some(sha256(&file)));
}

#[test]
fn the_first_counter_counts_whatever_comes_behind_it() {
    let image = ImageBuilder::new().protected(0x50, &[8, 0, 0, 0]).protected(0xa0, &[1; 12]).build().to_vec();
    assert_eq!(read::<4>(&image).1, Some(8));
    let tlvs = image.windows(4).position(|bytes| bytes == [0x08, 0x69, 28, 0]).unwrap();
    let mut damaged = image.clone();
    damaged[tlvs + 14] = 0xff; // The length of what follows the counter.
    assert_eq!(read::<4>(&damaged).1, Some(8));
    damaged[tlvs + 6] = 5; // The counter's own.
    assert_eq!(read::<4>(&damaged).1, None);
}

#[test]
fn the_counter_is_looked_for_among_the_hashed_tlvs_and_no_further() {
    let image = ImageBuilder::new().protected(0xa0, &[1; 12]).unprotected(0x20, &[2; 3000]).build();
    let chip = Chip::<4, 4096, 4>::new(SimFlash::new(SLOT as usize));
    let slots = Slots::new::<Chip<4, 4096, 4>>(SLOT, Config::new(Mode::SwapMove));
    chip.sim().load(0, &image);
    let mut shared = Shared::new(chip.clone());
    let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
    assert_eq!(block_on(Running::new(region, &slots).unwrap().security_counter()), Ok(None));
    let read = chip.sim().counts().bytes_read;
    assert!(read < 500, "{read} bytes");
}

#[test]
fn what_the_bootloader_did_last_is_told_by_the_whole_mark() {
    use Flag::{Bad, Set, Unset};
    use RunningState::{Confirmed, Factory, Reverted, Unknown};
    let state =
        |magic, image_ok, copy_done, swap, mode| RunningState::of(&Mark { magic, image_ok, copy_done, swap }, mode);
    for (swap, wanted) in [
        (Some(SwapType::Revert), Reverted),
        (Some(SwapType::Test), Confirmed),
        (Some(SwapType::Permanent), Confirmed),
        (None, Confirmed),
    ] {
        assert_eq!(state(Set, Set, Set, swap, Mode::SwapMove), wanted, "{swap:?}");
    }
    assert_eq!(state(Set, Unset, Unset, None, Mode::SwapMove), Factory);
    assert_eq!(state(Set, Unset, Bad, None, Mode::SwapMove), Unknown);
    // Where no trailer is read, what lies there says nothing.
    for mode in [Mode::DirectXip, Mode::RamLoad] {
        for magic in [Set, Unset, Bad] {
            assert_eq!(state(magic, Unset, Set, None, mode), Confirmed, "{mode:?} {magic:?}");
        }
    }
}

/// Confirms an image whose slot ends with a trailer of these bytes; what it says, and how often it wrote.
fn confirm(mode: Mode, trailer: &[u8], fault: Option<Fault>) -> (Result<(), ConfirmError<()>>, u64) {
    confirm_by(Config::new(mode), trailer, fault)
}

fn confirm_by(config: Config, trailer: &[u8], fault: Option<Fault>) -> (Result<(), ConfirmError<()>>, u64) {
    let chip = Chip::<4, 4096>::new(SimFlash::new(SLOT as usize));
    let slots = Slots::new::<Chip<4, 4096>>(SLOT, config);
    chip.sim().load(SLOT - trailer.len() as u32, trailer);
    if let Some(fault) = fault {
        chip.sim().fault_after(0, fault);
    }
    let mut shared = Shared::new(chip.clone());
    let [region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
    let confirmed = block_on(Running::new(region, &slots).unwrap().confirm());
    let points = chip.sim().points();
    (
        confirmed.map_err(|error| match error {
            ConfirmError::Flash(_) => ConfirmError::Flash(()),
            ConfirmError::Trailer => ConfirmError::Trailer,
            ConfirmError::NotWritten => ConfirmError::NotWritten,
        }),
        points,
    )
}

/// copy_done, image_ok and the magic, for `BOOT_MAX_ALIGN` 8.
fn trailer(copy_done: u8, image_ok: u8) -> Vec<u8> {
    let mut trailer = vec![0xff; 16];
    (trailer[0], trailer[8]) = (copy_done, image_ok);
    let magic = [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
    trailer.extend(magic);
    trailer
}

#[test]
fn a_word_confirms_an_image_on_trial_and_no_other_costs_one() {
    let on_trial = trailer(1, 0xff);
    for mode in [Mode::SwapMove, Mode::SwapOffset, Mode::DirectXipRevert] {
        assert_eq!(confirm(mode, &on_trial, None), (Ok(()), 1), "{mode:?}");
        assert_eq!(confirm(mode, &trailer(1, 1), None), (Ok(()), 0), "{mode:?}");
    }
    assert_eq!(confirm(Mode::OverwriteOnly, &on_trial, None), (Ok(()), 0));
    assert_eq!(confirm(Mode::SwapMove, &[], None), (Ok(()), 0), "from a programmer");
    assert_eq!(confirm(Mode::DirectXipRevert, &[], None), (Ok(()), 5), "it would be erased: with the magic");
    let wide = Config::new(Mode::DirectXipRevert).align(Align::A32);
    assert_eq!(confirm_by(wide, &[], None), (Ok(()), 5), "the magic and no word before it");
}

#[test]
fn a_confirmation_that_the_flash_did_not_keep_is_an_error() {
    for mode in [Mode::SwapMove, Mode::DirectXipRevert] {
        let lost = confirm(mode, &trailer(1, 0xff), Some(Fault::SilentWrite)).0;
        assert_eq!(lost, Err(ConfirmError::NotWritten), "{mode:?}");
        let failed = confirm(mode, &trailer(1, 0xff), Some(Fault::FailedWrite)).0;
        assert_eq!(failed, Err(ConfirmError::Flash(())), "{mode:?}");
    }
}

#[test]
fn a_flag_that_is_neither_set_nor_erased_is_not_written_again() {
    assert_eq!(confirm(Mode::DirectXipRevert, &trailer(1, 0x55), None), (Err(ConfirmError::Trailer), 0));
    assert_eq!(confirm(Mode::SwapMove, &[0x55; 16], None), (Err(ConfirmError::Trailer), 0), "no magic");
    assert_eq!(confirm(Mode::SwapMove, &trailer(0x55, 0xff), None), (Err(ConfirmError::Trailer), 0));
}

#[test]
fn a_slot_of_another_size_is_not_the_one() {
    let slots = Slots::new::<Chip<4, 4096>>(SLOT, Config::new(Mode::SwapMove));
    let mut shared = Shared::new(Chip::<4, 4096>::new(SimFlash::new(2 * SLOT as usize)));
    let [half, whole] = shared.split(&Layout::checked([(0, SLOT / 2), (SLOT, SLOT)]).unwrap());
    assert_eq!(Running::new(half, &slots).err(), Some(ConfigError::Region));
    assert_eq!(Running::new(whole, &slots).unwrap().release().start(), SLOT);
}

#[test]
fn in_the_secondary_slot_the_new_image_comes_before_an_old_one() {
    let at = |mode, placed: &[(u32, u8)], side| {
        let chip = Chip::<4, 4096>::new(SimFlash::new(SLOT as usize));
        let slots = Slots::new::<Chip<4, 4096>>(SLOT, Config::new(mode));
        for (offset, major) in placed {
            chip.sim().load(*offset, &ImageBuilder::new().version(*major, 0, 0, 0).payload(100).build());
        }
        let mut shared = Shared::new(chip);
        let [mut region] = shared.split(&Layout::checked([(0, SLOT)]).unwrap());
        let view = block_on(View::read(&mut region, &slots, side)).unwrap();
        view.header.map(|header| header.version.major)
    };
    for (mode, placed, primary, secondary) in [
        (Mode::SwapOffset, &[(0, 1), (4096, 2)][..], Some(1), Some(2)),
        (Mode::SwapOffset, &[(0, 1)], Some(1), Some(1)),
        (Mode::SwapOffset, &[(4096, 2)], None, Some(2)),
        (Mode::SwapMove, &[(0, 1), (4096, 2)], Some(1), Some(1)),
        (Mode::SwapMove, &[(4096, 2)], None, None),
    ] {
        assert_eq!(at(mode, placed, Side::Primary), primary, "{mode:?} {placed:?}");
        assert_eq!(at(mode, placed, Side::Secondary), secondary, "{mode:?} {placed:?}");
    }
}
