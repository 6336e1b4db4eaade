//! Any two slots, in every mode: what `Status` says of them against what MCUboot does next.
//!
//! `Status` is asked by an application, so a boot came before: the slots are first what a boot left of them. Then the
//! application, or somebody else, may have changed the slot that does not run, and the running image may have been
//! confirmed. With that, and where nothing resumes (a swap that was begun is through before an application runs):
//!
//! * pending: the next boot runs the other image if it finds it good; and the kind is what the trailers ask for;
//! * not pending, on trial: the next boot goes back, or erases what runs;
//! * neither: the next boot runs the same image and swaps nothing.
#![no_main]

use dfu_fuzz::{Board, Bytes};
use dfu_target::flash::Shared;
use dfu_target::image::mcuboot::Version;
use dfu_target_mcuboot::{Mode, Side, State, Status, View};
use dfu_testkit::boot::{Boot, Flag, Magic, Slot, SwapType};
use dfu_testkit::image::ImageBuilder;
use dfu_testkit::poll::run;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    match bytes.byte() % 4 {
        0 => device::<1, 128, 1>(bytes),
        1 => device::<4, 256, 4>(bytes),
        2 => device::<8, 128, 8>(bytes),
        _ => device::<32, 256, 32>(bytes),
    }
});

fn device<const W: usize, const E: usize, const R: usize>(mut bytes: Bytes<'_>) {
    let board = Board::new::<W, E, R>(&mut bytes);
    let options = bytes.byte();
    let mut flash = board.flash::<W, E, R>();
    let (primary, secondary) = flash.cells.split_at_mut(board.primary);
    put(&board, primary, 0, &mut bytes);
    put(&board, secondary, board.slots.start() as usize, &mut bytes);
    let Ok(running) = board.bootloader.boot(primary, secondary).running else { return };

    let (own, other) = match running.slot {
        Slot::Primary => (&mut *primary, &mut *secondary),
        Slot::Secondary => (&mut *secondary, &mut *primary),
    };
    if options & 1 != 0 {
        let _ = board.bootloader.confirm(own);
    }
    if options & 2 != 0 {
        let start = if running.slot == Slot::Primary { board.slots.start() as usize } else { 0 };
        put(&board, other, start, &mut bytes);
    }

    let own = board.bootloader.trailer(own.len()).state(own);
    let is_spoilt = own.copy_done == Flag::Bad;
    // A swap that is under way is through before an application runs.
    if board.mode.reverts() && !board.mode.chooses() && own.copy_done == Flag::Unset && own.swap_info.is_some() {
        return;
    }
    let side = if running.slot == Slot::Primary { Side::Primary } else { Side::Secondary };
    let before = flash.cells.clone();
    let status = run(async {
        let mut shared = Shared::new(&mut flash);
        let [mut first, mut second] = shared.split(&board.layout());
        let first = View::read(&mut first, &board.slots, Side::Primary).await.unwrap();
        let second = View::read(&mut second, &board.slots, Side::Secondary).await.unwrap();
        Status::of(&board.slots, &first, &second, side)
    });
    assert_eq!(flash.cells, before, "it was to be read");

    let (primary, secondary) = flash.cells.split_at_mut(board.primary);
    let (mut first, mut second) = (primary.to_vec(), secondary.to_vec());
    if running.slot == Slot::Primary {
        first.fill(board.erased)
    } else {
        second.fill(board.erased)
    }
    // Whether the other image runs where it is alone.
    let mut is_good = || board.bootloader.boot(&mut first, &mut second).running.is_ok();
    let boot = board.bootloader.boot(primary, secondary);
    let say = || format!("{status:?}, {running:?}, {boot:?}, {board:?}");
    if board.mode.chooses() {
        chosen(&board, &status, &boot, running.slot, is_spoilt, &mut is_good, &say);
    } else {
        swapped(&board, &status, &boot, &say);
    }
}

fn swapped(board: &Board, status: &Status, boot: &Boot, say: &dyn Fn() -> String) {
    // What is looked at in the other slot may be no image, and then it goes; or one that was put elsewhere.
    let is_refused = boot.refused.is_some();
    match status.state {
        State::PendingTest | State::PendingPermanent | State::PendingRevert => {
            let kind = match status.state {
                State::PendingTest => SwapType::Test,
                State::PendingPermanent => SwapType::Perm,
                _ => SwapType::Revert,
            };
            assert_eq!(boot.asked, Some(kind), "{}", say());
            assert!(is_refused || boot.swapped == Some(kind), "{}", say());
        }
        State::Trial => {
            // A mark without an image comes before it, and goes with the whole slot.
            assert!(boot.asked == Some(SwapType::Revert) || status.other.is_none() && is_refused, "{}", say());
            assert!(is_refused || boot.swapped == Some(SwapType::Revert), "{}", say());
        }
        // KNOWN: an overwriting bootloader never sets the primary slot's `copy_done`; of one it would go back.
        State::Confirmed if board.mode == Mode::OverwriteOnly && boot.asked == Some(SwapType::Revert) => {}
        State::None | State::Confirmed | State::Reverted | State::Unknown => {
            // Without an image nothing waits, and the mark is erased at the boot.
            assert!(boot.swapped.is_none(), "{}", say());
            assert!(boot.asked.is_none() || status.other.is_none(), "{}", say());
        }
    }
}

fn chosen(
    board: &Board,
    status: &Status,
    boot: &Boot,
    runs: Slot,
    is_spoilt: bool,
    is_good: &mut dyn FnMut() -> bool,
    say: &dyn Fn() -> String,
) {
    let next = boot.running.map(|running| running.slot);
    let rank = |version: Version| Version { build: if board.build_number { version.build } else { 0 }, ..version };
    let is_equal = status.running.map(rank) == status.other.map(rank);
    match status.state {
        State::PendingTest | State::PendingPermanent => {
            assert!(next != Ok(runs) || !is_good(), "{}", say());
        }
        State::PendingRevert => panic!("{}", say()),
        // KNOWN: a torn `copy_done` keeps MCUboot from going back, and a confirmation does no harm.
        State::Trial if is_spoilt => {}
        // What ran is erased; the other one runs, if it can.
        State::Trial => assert!(next != Ok(runs), "{}", say()),
        // KNOWN: of equal versions the primary slot's is taken, and the application runs from the other one.
        _ if runs == Slot::Secondary && is_equal => {}
        _ => assert_eq!(next, Ok(runs), "{}", say()),
    }
}

/// Fills a slot: an image in some shape, and a trailer in another.
fn put(board: &Board, slot: &mut [u8], start: usize, bytes: &mut Bytes<'_>) {
    let [shape, version, magic, image_ok, copy_done, swap_info, place, noise] = bytes.array();
    slot.fill(board.erased);
    let mut builder = ImageBuilder::new()
        .header_size(32)
        .payload(usize::from(version & 0x78))
        .version(1 + (version & 3), 0, 0, (version & 4).into())
        .seed(version.into());
    if board.from_ram() != (shape & 0x10 != 0) {
        builder = builder.flags(0x20).load_addr(board.ram.0);
    }
    if shape & 0x20 != 0 {
        builder = builder.flags(0x10);
    }
    let image = builder.build();
    let image = match shape % 8 {
        0 => &[],
        7 => &image[..4],
        6 => &image[..usize::from(noise).min(image.len())],
        _ => &image[..],
    };
    let start = if shape % 8 == 1 { 0 } else { start };
    slot[start..start + image.len()].copy_from_slice(image);
    let trailer = board.bootloader.trailer(slot.len());
    match magic % 8 {
        0 => {}
        1 => slot[trailer.magic..].fill(noise),
        _ => slot[trailer.magic..].copy_from_slice(&trailer.magic_bytes()),
    }
    for (at, byte) in [(trailer.image_ok, image_ok), (trailer.copy_done, copy_done), (trailer.swap_info, swap_info)] {
        slot[at] = if byte == 0 { board.erased } else { byte };
    }
    if shape & 0x40 != 0 {
        let at = usize::from(place) % image.len().max(1);
        slot[start + at] ^= noise;
    }
}
