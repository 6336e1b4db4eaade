//! What bricked or stalled devices before, by the reports of MCUboot's users: each as a test of its own.

use dfu_target::session::SessionError;
use dfu_target::{Begun, ErrorKind, Update};
use dfu_target_mcuboot::{
    Align, Config, ConfigError, ConfirmError, Error, Mode, Refusal, RunningState, Slots, SwapType, Upgrade,
};
use dfu_testkit::boot;
use dfu_testkit::device::{Board, Device, Failure, MODES, Release, Visit};
use dfu_testkit::flash::{Chip, Cut};
use dfu_testkit::image::ImageFile;
use dfu_testkit::poll::run;

const SECTOR: usize = 1024;
const SLOT: u32 = 8 * SECTOR as u32;

type Small = Device<4, SECTOR, 4>;

fn board(mode: Mode) -> Board {
    Board::new(mode, SLOT).sectors(8)
}

/// A device that runs version 1.
fn device(board: Board) -> Small {
    let device = Small::new(board);
    device.install(&image(board, 1));
    device
}

fn image(board: Board, major: u8) -> ImageFile {
    board.image().version(major, 0, 0, 0).seed(major.into()).payload(1500).build()
}

fn update(device: &Small, image: &[u8]) -> Result<(), Failure> {
    device.update(&Release::new(image), &mut Visit::default()).map(drop)
}

/// The major version that a boot starts.
fn boot(device: &Small) -> u8 {
    device.boot().running.expect("something runs").version.major
}

/// Sets bytes of the slot for new images, counted from its end.
fn scribble(device: &Small, from_end: usize, bytes: &[u8]) {
    device.chip().sim().load(device.target().end - from_end as u32, bytes);
}

/// MCUboot's magic for `BOOT_MAX_ALIGN` 8.
const MAGIC: [u8; 16] =
    [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
const MAGIC_AT: usize = 16;
const IMAGE_OK_AT: usize = 24;
const COPY_DONE_AT: usize = 32;

#[test]
fn pitfall_1_a_trailer_of_before_does_not_make_a_test_permanent() {
    for mode in [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset] {
        let device = device(board(mode));
        // The flag alone: nothing is pending, and a request on top of it would be permanent.
        scribble(&device, IMAGE_OK_AT, &[1]);
        update(&device, &image(board(mode), 2)).unwrap();
        assert_eq!(boot(&device), 2);
        assert_eq!(device.state(), RunningState::Trial, "{mode:?}");
        assert_eq!(boot(&device), 1, "{mode:?}: nobody confirmed it");
    }
}

#[test]
fn pitfall_2_copy_done_in_the_secondary_slot_bricks_no_device() {
    let board = board(Mode::SwapOffset);
    let device = device(board);
    scribble(&device, COPY_DONE_AT, &[1]);
    update(&device, &image(board, 2)).unwrap();
    let slot = device.read(device.target());
    assert_eq!(slot[slot.len() - COPY_DONE_AT], 0xff, "a new request has none");
    assert_eq!(boot(&device), 2);
    device.confirm().unwrap();
    assert_eq!(boot(&device), 2);
}

#[test]
fn pitfall_3_an_old_header_in_the_first_sector_does_not_spoil_an_update() {
    let board = board(Mode::SwapOffset);
    let device = device(board);
    // After each swap the old image lies at the secondary slot's start.
    for major in 2..6 {
        update(&device, &image(board, major)).unwrap();
        let first = device.read(device.target())[..SECTOR].to_vec();
        assert!(first.iter().all(|byte| *byte == 0xff), "the first sector is blank");
        assert_eq!(boot(&device), major);
        device.confirm().unwrap();
        assert_eq!(boot(&device), major);
        assert!(device.holds(device.target(), &image(board, major - 1)));
    }
}

#[test]
fn pitfall_4_a_padded_file_is_refused_whatever_the_slots_are() {
    for (mode, more) in [
        (Mode::SwapOffset, 0),
        (Mode::SwapOffset, SECTOR as i32),
        (Mode::SwapMove, 0),
        (Mode::SwapMove, -(SECTOR as i32)),
    ] {
        let board = board(mode).more(more).sectors(9);
        let device = device(board);
        let slots = device.slots();
        let room = (slots.sizes()[1] - slots.start()) as usize;
        let mut padded = image(board, 2).to_vec();
        padded.resize(room - MAGIC.len(), 0xff);
        padded.extend(MAGIC);
        let points = device.chip().sim().points();
        let error = update(&device, &padded).unwrap_err();
        let refusal = Refusal::TooLarge { size: room as u32, max: slots.max_image() };
        assert_eq!(error, SessionError::Target(Error::Refused(refusal)));
        assert_eq!(device.chip().sim().points(), points);
        assert_eq!(boot(&device), 1);
    }
}

#[test]
fn pitfall_5_odd_lengths_are_padded_with_erased_bytes_and_the_mark_is_whole_blocks() {
    fn check<const W: usize>(align: Align, erased: u8) {
        let board = Board::new(Mode::SwapMove, SLOT).sectors(8).align(align).erased(erased);
        for payload in 1500..1500 + 2 * W {
            let device = Device::<W, SECTOR, 1>::new(board);
            device.install(&board.image().build());
            let image = board.image().version(2, 0, 0, 0).payload(payload).build();
            let _ = device.update(&Release::new(&image).chunk(7), &mut Visit::default()).unwrap();
            let slot = device.read(device.target());
            let end = image.len().next_multiple_of(W);
            assert!(slot[image.len()..end].iter().all(|byte| *byte == erased), "words of {W}, {payload}");
            assert_eq!(device.boot().running.unwrap().version.major, 2);
        }
    }
    check::<1>(Align::A8, 0xff);
    check::<4>(Align::A16, 0);
    check::<8>(Align::A8, 0xff);
    check::<16>(Align::A16, 0xff);
    check::<32>(Align::A32, 0xff);
    check::<32>(Align::A32, 0);
}

#[test]
fn r16_pitfall_6_the_largest_image_is_taken_and_one_byte_more_is_not() {
    for mode in MODES {
        for align in [Align::A8, Align::A16, Align::A32] {
            let board = board(mode).align(align);
            let device = device(board);
            let max = device.slots().max_image() as usize;
            assert_eq!(max, {
                let [primary, secondary] = device.slots().sizes();
                device.bootloader().max_image_size(primary as usize, secondary as usize)
            });
            let large = board.image().version(2, 0, 0, 0).total_size(max + 1).build();
            let points = device.chip().sim().points();
            let refusal = Refusal::TooLarge { size: max as u32 + 1, max: max as u32 };
            assert_eq!(update(&device, &large), Err(SessionError::Target(Error::Refused(refusal))), "{mode:?}");
            assert_eq!(device.chip().sim().points(), points, "{mode:?}: it costs nothing");
            let largest = board.image().version(2, 0, 0, 0).total_size(max).build();
            update(&device, &largest).unwrap_or_else(|error| panic!("{mode:?}: {error}"));
            assert_eq!(boot(&device), 2, "{mode:?} {align:?}");
            device.confirm().unwrap();
            assert_eq!(boot(&device), 2, "{mode:?} {align:?}");
        }
    }
}

#[test]
fn r20_pitfall_7_a_bad_magic_stops_nothing() {
    for mode in MODES {
        for (bytes, place) in
            [(&[0; 16][..], MAGIC_AT), (&[0x5a; 16], MAGIC_AT), (&MAGIC[..7], MAGIC_AT), (&[0; 900], 900)]
        {
            let device = device(board(mode));
            scribble(&device, place, bytes);
            update(&device, &image(board(mode), 2)).unwrap_or_else(|error| panic!("{mode:?}: {error}"));
            assert_eq!(boot(&device), 2, "{mode:?}");
        }
        // The magic of another alignment is a bad one.
        let device = device(board(mode));
        scribble(
            &device,
            MAGIC_AT,
            &[0x10, 0, 0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a],
        );
        update(&device, &image(board(mode), 2)).unwrap();
        assert_eq!(boot(&device), 2, "{mode:?}");
    }
}

#[test]
fn r22_pitfall_8_the_way_back_is_not_erased_where_unconfirmed_images_are() {
    for mode in [Mode::DirectXipRevert, Mode::RamLoadRevert] {
        let board = board(mode);
        let device = device(board);
        update(&device, &image(board, 2)).unwrap();
        assert_eq!(boot(&device), 2);
        // On trial: were the other slot written now, both images would be lost at the next reset.
        let before = device.read(device.target());
        let error = update(&device, &image(board, 3)).unwrap_err();
        assert_eq!((&error, error.kind()), (&SessionError::Target(Error::Trial), ErrorKind::Pending));
        assert!(device.read(device.target()) == before);
        device.confirm().unwrap();
        update(&device, &image(board, 3)).unwrap();
        assert_eq!(boot(&device), 3);
        // An image from a programmer that has no trailer is erased by these bootloaders once another one is there.
        let bare = Small::new(board);
        let factory = image(board, 1);
        bare.chip().sim().load(bare.primary().start, &factory);
        assert_eq!(bare.state(), RunningState::Factory);
        assert_eq!(update(&bare, &image(board, 2)), Err(SessionError::Target(Error::Trial)));
        // Where there is to be no way back, it is not needed.
        let lasting = Small::new(board.upgrade(Upgrade::Permanent));
        lasting.chip().sim().load(lasting.primary().start, &factory);
        update(&lasting, &image(board, 2)).unwrap();
        assert_eq!((boot(&lasting), boot(&lasting)), (2, 2));
        bare.confirm().unwrap();
        assert_eq!(bare.state(), RunningState::Confirmed);
        update(&bare, &image(board, 2)).unwrap();
        assert_eq!((boot(&bare), boot(&bare)), (2, 1), "and there is a way back");
    }
}

#[test]
fn r22_pitfall_9_to_confirm_what_was_never_tested_writes_nothing() {
    for mode in [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset, Mode::OverwriteOnly, Mode::DirectXip] {
        let device = device(board(mode));
        let points = device.chip().sim().points();
        device.confirm().unwrap();
        assert_eq!(device.chip().sim().points(), points, "{mode:?}");
        // A confirmation before the reset is none of the new image.
        update(&device, &image(board(mode), 2)).unwrap();
        device.confirm().unwrap();
        assert_eq!(boot(&device), 2);
        let trial = matches!(mode, Mode::SwapMove | Mode::SwapScratch | Mode::SwapOffset);
        assert_eq!(device.state() == RunningState::Trial, trial, "{mode:?}");
    }
}

#[test]
fn r02_pitfall_10_a_torn_copy_done_is_told_from_a_trial() {
    let board = board(Mode::SwapMove);
    let device = device(board);
    update(&device, &image(board, 2)).unwrap();
    assert_eq!(boot(&device), 2);
    // The bootloader was cut while it wrote the flag: it will never go back.
    let copy_done = device.running().end - COPY_DONE_AT as u32;
    device.chip().sim().load(copy_done, &[0x21]);
    assert_eq!(device.state(), RunningState::Unknown);
    assert_eq!(boot(&device), 2);
    // So the slot is free for the next image.
    update(&device, &image(board, 3)).unwrap();
    assert_eq!(boot(&device), 3);
}

#[test]
fn r22_pitfall_11_the_other_slot_is_left_alone_on_trial_and_while_a_swap_is_pending() {
    for mode in MODES {
        for upgrade in [Upgrade::Test, Upgrade::Permanent] {
            let board = board(mode).upgrade(upgrade);
            let device = device(board);
            update(&device, &image(board, 2)).unwrap();
            let before = device.read(device.target());
            // Another image comes before the reset.
            let error = update(&device, &image(board, 3)).unwrap_err();
            let wanted = if upgrade == Upgrade::Test || mode.chooses() { SwapType::Test } else { SwapType::Permanent };
            let pending =
                matches!(error, SessionError::Target(Error::Pending(swap)) if swap == wanted || mode.chooses());
            assert!(pending, "{mode:?} {upgrade:?}: {error}");
            assert!(device.read(device.target()) == before, "{mode:?}: what waits is as it was");
            // It can be withdrawn, and then the other one is taken.
            device.withdraw().unwrap();
            device.withdraw().unwrap();
            update(&device, &image(board, 3)).unwrap();
            assert_eq!(boot(&device), 3, "{mode:?} {upgrade:?}");
            let trial = mode.reverts() && upgrade == Upgrade::Test;
            assert_eq!(device.state() == RunningState::Trial, trial, "{mode:?} {upgrade:?}");
            if trial {
                let (before, points) = (device.read(device.target()), device.chip().sim().points());
                let error = update(&device, &image(board, 4)).unwrap_err();
                assert_eq!(error, SessionError::Target(Error::Trial));
                assert!(device.read(device.target()) == before && device.chip().sim().points() == points);
                assert_eq!(boot(&device), 1, "{mode:?}: the way back was there");
            }
        }
    }
}

#[test]
fn r22_pitfall_11_what_waits_is_withdrawn_and_nothing_runs_of_it() {
    for mode in MODES {
        let device = device(board(mode));
        update(&device, &image(board(mode), 2)).unwrap();
        device.withdraw().unwrap();
        assert_eq!(boot(&device), 1, "{mode:?}");
    }
}

#[test]
fn r05_pitfall_12_slots_that_would_never_swap_are_no_slots() {
    type F = Chip<4, SECTOR, 4>;
    let made = |primary, secondary, config| Slots::checked::<F, F>(primary, secondary, config).map(|_| ());
    let config = |mode| Config::new(mode).max_sectors(8);
    assert_eq!(made(SLOT, SLOT, config(Mode::SwapMove).max_sectors(7)), Err(ConfigError::TooManySectors));
    for mode in [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset, Mode::OverwriteOnly] {
        assert_eq!(made(SLOT, SLOT, config(mode)), Ok(()), "{mode:?}");
        assert_eq!(made(SLOT, SLOT - 2 * SECTOR as u32, config(mode)), Err(ConfigError::Pair), "{mode:?}");
    }
}

#[test]
fn pitfall_13_only_fields_that_every_version_of_mcuboot_has_are_written() {
    for upgrade in [Upgrade::Test, Upgrade::Permanent] {
        let board = board(Mode::SwapOffset).upgrade(upgrade);
        let device = device(board);
        update(&device, &image(board, 2)).unwrap();
        let slot = device.read(device.target());
        let trailer = slot.len() - device.slots().trailer() as usize;
        let written: Vec<usize> =
            (trailer..slot.len()).filter(|at| slot[*at] != 0xff).map(|at| slot.len() - at).collect();
        let flags: Vec<usize> = written.into_iter().filter(|from_end| *from_end > MAGIC_AT).collect();
        // swap_info, and image_ok of a permanent one.
        let expected: &[usize] = if upgrade == Upgrade::Test { &[40] } else { &[40, IMAGE_OK_AT] };
        assert_eq!(flags, expected);
    }
}

#[test]
fn pitfall_14_images_that_end_at_or_near_a_sectors_end_are_erased_for_in_time() {
    let board = board(Mode::SwapMove);
    for sectors in 2..4 {
        for more in -5..=5_i32 {
            let device = device(board);
            // Nothing in the slot is blank.
            let target = device.target();
            device.chip().sim().load(target.start, &vec![0; target.len()]);
            let size = (sectors * SECTOR as i32 + more) as usize;
            let image = board.image().version(2, 0, 0, 0).total_size(size).build();
            update(&device, &image).unwrap();
            assert!(device.stores(&image));
            assert_eq!(boot(&device), 2, "{size}");
        }
    }
}

#[test]
fn r18_a_request_without_an_image_is_no_request() {
    // What an overwriting bootloader leaves for ever when it is cut before its last erase.
    let board = board(Mode::OverwriteOnly);
    let device = device(board);
    scribble(&device, MAGIC_AT, &MAGIC);
    assert_eq!(device.boot().asked, Some(boot::SwapType::Test), "it asks at every boot");
    update(&device, &image(board, 2)).unwrap();
    assert_eq!(boot(&device), 2);
}

#[test]
fn r20_a_slot_in_any_state_is_taken_after_it_was_given_up() {
    for mode in MODES {
        let board = board(mode);
        let mut random = fastrand::Rng::with_seed(17);
        for round in 0..60 {
            let device = device(board);
            let target = device.target();
            let mut bytes = vec![[0, 0xff, 0x5a][round % 3]; target.len()];
            if round > 2 {
                random.fill(&mut bytes);
            }
            // A good mark, in some rounds: with each flag in each state; and an image, in some.
            let end = bytes.len();
            if round % 4 > 0 {
                bytes[end - 16..].copy_from_slice(&MAGIC);
                bytes[end - IMAGE_OK_AT] = random.choice([0xff, 1, 7]).unwrap();
                bytes[end - COPY_DONE_AT] = random.choice([0xff, 1, 7]).unwrap();
            }
            if round % 5 > 1 {
                let image = image(board, 5);
                let start = device.slots().start() as usize;
                bytes[start..start + image.len()].copy_from_slice(&image);
            }
            device.chip().sim().load(target.start, &bytes);
            let release = image(board, 6);
            let release = Release::new(&release);
            // Where something is pending, it is refused until it is given up.
            let mut shared = device.share();
            let (_, mut target, log) = device.open(&mut shared);
            run(dfu_target::DfuTarget::abort(&mut target)).unwrap();
            let mut update = Update::new(target, log, release.request());
            let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing is recorded") };
            run(session.write(release.file())).unwrap_or_else(|error| panic!("{mode:?} {round}: {error}"));
            let staged = run(session.finish()).unwrap_or_else(|failed| panic!("{mode:?} {round}: {failed}"));
            let verified = staged.verify(release.digest()).unwrap_or_else(|failed| panic!("{failed}"));
            let _ = run(verified.apply()).unwrap_or_else(|failed| panic!("{mode:?} {round}: {failed}"));
            drop(update);
            assert_eq!(boot(&device), 6, "{mode:?} {round}");
        }
    }
}

#[test]
fn r02_a_first_word_that_was_cut_is_not_taken_for_an_image_that_waits() {
    fn check<const W: usize>(mode: Mode) {
        let board = Board::new(mode, SLOT).sectors(8).align(Align::A32);
        let device = Device::<W, SECTOR, 1>::new(board);
        device.install(&image(board, 1));
        let _ = device.update(&Release::new(&image(board, 2)), &mut Visit::default()).unwrap();
        // Half of it was written, and what was not reads as erased.
        let word = device.target().start;
        let half = W.max(4) / 2;
        device.chip().sim().load(word + half as u32, &vec![0xff; half]);
        for major in [2, 3] {
            let _ = device.update(&Release::new(&image(board, major)), &mut Visit::default()).unwrap_or_else(|error| {
                panic!("{mode:?}, words of {W}, version {major}: {error}");
            });
            if major == 2 {
                device.withdraw().unwrap();
            }
        }
        assert_eq!(device.boot().running.unwrap().version.major, 3);
    }
    for mode in [Mode::DirectXip, Mode::DirectXipRevert, Mode::RamLoad, Mode::RamLoadRevert] {
        check::<4>(mode);
        check::<8>(mode);
        check::<16>(mode);
        check::<32>(mode);
    }
}

#[test]
fn r02_a_torn_confirmation_is_not_written_over() {
    for mode in [Mode::DirectXipRevert, Mode::RamLoadRevert] {
        let board = board(mode);
        let device = device(board);
        update(&device, &image(board, 2)).unwrap();
        assert_eq!(boot(&device), 2);
        let image_ok = device.running().end - IMAGE_OK_AT as u32;
        device.chip().sim().load(image_ok, &[0x55]);
        let points = device.chip().sim().points();
        assert_eq!(device.confirm(), Err(ConfirmError::Trailer));
        assert_eq!(device.chip().sim().points(), points);
        assert_eq!(boot(&device), 1, "the bootloader goes back");
    }
}

#[test]
fn r22_the_way_back_is_not_given_up_during_a_trial() {
    for mode in MODES.into_iter().filter(|mode| mode.reverts()) {
        let board = board(mode);
        let device = device(board);
        let largest = board.image().version(1, 0, 0, 0).total_size(device.slots().max_image() as usize).build();
        device.install(&largest);
        update(&device, &image(board, 2)).unwrap();
        assert_eq!(boot(&device), 2);
        let points = device.chip().sim().points();
        assert_eq!(device.withdraw(), Err(Error::Trial), "{mode:?}");
        {
            let mut shared = device.share();
            let (_, mut target, _) = device.open(&mut shared);
            assert_eq!(run(dfu_target::DfuTarget::abort(&mut target)), Err(Error::Trial), "{mode:?}");
        }
        assert_eq!(device.chip().sim().points(), points);
        assert_eq!(boot(&device), 1, "{mode:?}");
        assert!(device.holds(device.running(), &largest));
    }
}

#[test]
fn what_mcuboots_own_calls_asked_for_is_pending_too() {
    for mode in MODES.into_iter().filter(|mode| mode.has_trailer()) {
        for permanent in [false, true] {
            let board = board(mode);
            let device = device(board);
            let new = image(board, 2);
            let start = device.slots().start() as usize;
            device.chip().sim().edit(device.target(), |slot| {
                slot.fill(0xff);
                slot[start..start + new.len()].copy_from_slice(&new);
                device.bootloader().mark_pending(slot, permanent).unwrap();
            });
            let error = update(&device, &image(board, 3)).unwrap_err();
            assert!(matches!(error, SessionError::Target(Error::Pending(_))), "{mode:?} {permanent}: {error}");
            device.withdraw().unwrap();
            assert_eq!(boot(&device), 1, "{mode:?} {permanent}");
        }
    }
}

#[test]
fn r22_a_confirmation_of_a_programmers_image_that_was_cut_is_finished_or_an_error() {
    // These bootloaders erase an image without a whole magic at the next boot, also if nobody tried to confirm it.
    for mode in [Mode::DirectXipRevert, Mode::RamLoadRevert] {
        let board = board(mode);
        let device = Small::new(board);
        let factory = image(board, 1);
        device.chip().sim().load(device.primary().start, &factory);
        device.chip().sim().checkpoint();
        let mut outcomes = [0; 2];
        for point in 0.. {
            device.chip().sim().rollback();
            device.chip().sim().cut_after(point, Cut::Before);
            if device.confirm().is_ok() {
                break;
            }
            device.chip().sim().power_on();
            let half = device.state() == RunningState::Unknown;
            let again = device.confirm();
            assert_eq!(again, if half { Err(ConfirmError::Trailer) } else { Ok(()) }, "{mode:?} {point}");
            assert!(device.holds(device.primary(), &factory));
            if !half {
                assert_eq!(boot(&device), 1, "{mode:?}");
            }
            outcomes[usize::from(half)] += 1;
        }
        // Before image_ok and before the magic; and within the magic's words.
        assert_eq!(outcomes, [2, 3], "{mode:?}");
    }
}
