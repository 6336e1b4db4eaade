//! R4: bits that are stuck, and bits that turn around between the check and the boot. Operations that fail or lie:
//! `faults`.

use dfu_target::ErrorKind;
use dfu_target_mcuboot::{Mode, Upgrade};
use dfu_testkit::boot::Refusal;
use dfu_testkit::device::{Board, Device, Release, Visit};
use dfu_testkit::image::ImageFile;

type Small = Device<4, 1024, 4>;

const BOARDS: [Board; 5] = [
    Board::new(Mode::SwapMove, 8 * 1024).sectors(8),
    Board::new(Mode::SwapOffset, 8 * 1024).sectors(8).upgrade(Upgrade::Permanent),
    Board::new(Mode::OverwriteOnly, 5 * 1024).sectors(8),
    Board::new(Mode::OverwriteOnly, 5 * 1024).sectors(8).erased(0),
    Board::new(Mode::DirectXipRevert, 5 * 1024).sectors(8),
];

/// One bit in so many is tried: an odd number, so that all eight of a byte get their turn.
const STEP: usize = if cfg!(debug_assertions) { 203 } else { 7 };

/// A device that runs version 1, has all of version 2 stored where version 3 comes, and both images.
fn device(board: Board) -> (Small, [ImageFile; 2]) {
    let device = Small::new(board);
    let image = |major: u8| board.image().version(major, 0, 0, 0).seed(major.into()).payload(2500).build();
    device.install(&image(1));
    device.fetch(&Release::new(&image(2)), u32::MAX, &mut Visit::default()).unwrap();
    device.chip().sim().checkpoint();
    (device, [image(1), image(3)])
}

#[test]
fn r04_a_stuck_bit_is_an_error_or_does_no_harm() {
    let (mut refused, mut taken) = (0, 0);
    for board in BOARDS {
        let (device, [old, new]) = device(board);
        let runs = device.runs();
        let bits =
            [device.target(), device.log()].into_iter().flatten().flat_map(|at| (0..8).map(move |bit| (at, bit)));
        for (at, bit) in bits.step_by(STEP) {
            for high in [true, false] {
                device.chip().sim().rollback();
                device.set_runs(runs);
                device.chip().sim().stick(at, bit, high);
                let result = device.update(&Release::new(&new).save_every(512), &mut Visit::default());
                let boot = device.boot();
                let what = format!("{:?}: bit {bit} at {at:#x} is {high}: {result:?}", board.mode);
                // A mark that does not read back may be right enough for MCUboot; the image is whole then.
                let runs_new = device.holds(device.running(), &new);
                assert!(runs_new || device.holds(device.running(), &old), "{what}");
                // A whole image without its mark is erased by a bootloader that chooses.
                let unmarked = board.mode.chooses() && result.is_err() && boot.refused == Some(Refusal::NoTrailer);
                assert!(boot.refused.is_none() || unmarked, "{:?} was pending, {what}", boot.refused);
                match result {
                    Ok(_) => assert!(runs_new, "{what}"),
                    Err(error) => {
                        // Where it spoils a TLV, the image is refused for what is stored of it.
                        let kinds = [ErrorKind::Corrupt, ErrorKind::Storage, ErrorKind::Refused];
                        assert!(kinds.contains(&error.kind()), "{what}");
                        refused += 1;
                    }
                }
                taken += u64::from(runs_new);
                device.chip().sim().unstick();
            }
        }
    }
    assert!(refused > 100 && taken > 100, "{refused} {taken}");
    println!("R4: stuck bits: {refused} refused, {taken} without harm");
}

#[test]
fn r04_a_bit_that_turns_after_the_check_never_makes_a_bad_image_run() {
    let mut outcomes = [0; 3];
    for board in BOARDS {
        let (device, [old, new]) = device(board);
        let runs = device.runs();
        let release = Release::new(&new);
        let _ = device.update(&release, &mut Visit::default()).unwrap();
        device.chip().sim().checkpoint();
        let bits = device.target().flat_map(|at| (0..8).map(move |bit| (at, bit)));
        for (at, bit) in bits.step_by(STEP) {
            device.chip().sim().rollback();
            device.set_runs(runs);
            device.chip().sim().flip(at, bit);
            let boot = device.boot();
            let what = format!("{:?}: bit {bit} at {at:#x}: {boot:?}", board.mode);
            // All that runs is hashed; of the TLVs behind, bits may turn unseen.
            let runs_new = device.holds(device.running(), &new[new.hashed()]);
            assert!(runs_new || device.holds(device.running(), &old), "{what}");
            assert!(boot.running.is_ok(), "{what}");
            outcomes[if runs_new { 2 } else { usize::from(boot.refused.is_some()) }] += 1;
            if !runs_new {
                // And the update is not stuck.
                if device.update(&release, &mut Visit::default()).is_err() {
                    device.withdraw().unwrap();
                    let _ = device.update(&release, &mut Visit::default()).unwrap();
                }
                assert!(device.boot().running.is_ok(), "{what}");
                assert!(device.holds(device.running(), &new), "{what}");
            }
        }
    }
    let [unmarked, refused, harmless] = outcomes;
    assert!(unmarked > 0 && refused > 100 && harmless > 10, "{outcomes:?}");
    println!("R4: bits that turned: {unmarked} took the mark away, {refused} MCUboot refused, {harmless} no harm");
}
