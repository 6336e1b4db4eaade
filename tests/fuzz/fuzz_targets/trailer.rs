//! Any bytes at the end of both slots.
//!
//! What must hold: nothing panics; the mark is read as MCUboot reads it; `init` changes no byte; what asks for
//! something is withdrawn by `withdraw`; and a slot in any state can be taken by `abort`, then `init`, or by `init`
//! alone where nothing is pending: then the image goes the whole way. A confirmation that worked keeps the image through the next boot.
#![no_main]

use dfu_fuzz::{Board, Bytes, Ram};
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Region, Shared};
use dfu_target::image::mcuboot::Version;
use dfu_target::target::{DfuTarget, Written};
use dfu_target::{Image, ImageKind};
use dfu_target_mcuboot::{Active, Error, Flag, Mark, McubootTarget, Mode, Running, RunningState, Slots, SwapType};
use dfu_testkit::boot::{self, Magic, Slot, State};
use dfu_testkit::poll::run;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    match bytes.byte() % 4 {
        0 => device::<1, 128, 1, 128>(bytes),
        1 => device::<4, 256, 4, 256>(bytes),
        2 => device::<8, 128, 8, 128>(bytes),
        _ => device::<32, 256, 32, 128>(bytes),
    }
});

const RUNNING: Version = Version { major: 2, minor: 0, revision: 0, build: 0 };

fn device<const W: usize, const E: usize, const R: usize, const N: usize>(mut bytes: Bytes<'_>) {
    let board = Board::new::<W, E, R>(&mut bytes);
    let [options, stored, resume, shapes] = bytes.array();
    let mut flash = board.flash::<W, E, R>();
    let (primary, secondary) = flash.cells.split_at_mut(board.primary);
    board.install(primary, &board.image(2, 40));
    match stored % 4 {
        0 => {}
        // One that was stored before; the rest reaches for the trailer.
        version => {
            let old = board.image(version, stored.into());
            let start = if options & 1 == 0 { board.slots.start() as usize } else { 0 };
            secondary[start..start + old.len()].copy_from_slice(&old);
        }
    }
    put(&board, primary, shapes & 7, &mut bytes);
    put(&board, secondary, shapes >> 3 & 7, &mut bytes);
    for slot in [&*primary, &*secondary] {
        read(&board, slot);
    }

    // The application's side: what runs.
    let before = flash.clone();
    let active = run(async {
        let mut shared = Shared::new(&mut flash);
        let [region, _] = shared.split(&board.layout());
        let mut running = Running::new(region, &board.slots).unwrap();
        let active = running.active().await.unwrap();
        assert_eq!(active.state, running.state().await.unwrap());
        assert_eq!(active.version, Some(RUNNING));
        active
    });
    assert_eq!(flash.cells, before.cells);
    if options & 2 != 0 {
        confirm(&board, active.state, before.clone());
    }

    // The new image's side. In whatever state the running one is, it is confirmed from here on.
    board.install(&mut flash.cells[..board.primary], &board.image(2, 40));
    let new = board.image(3, 1 + usize::from(resume));
    let offer = Image { size: Some(new.len() as u32), head: &new[..64], ..Image::new(ImageKind::Mcuboot) };
    let asked_before = asked(&board, &flash.cells);
    let resume = u32::from(resume).min(new.len() as u32);
    let mut seen = flash.clone();
    let first = run(async {
        let mut shared = Shared::new(&mut seen);
        let [_, region] = shared.split(&board.layout());
        target::<W, E, R, N>(&board, region).init(&offer, resume).await
    });
    assert_eq!(seen.cells, flash.cells, "it was to be read");
    match first {
        Ok(wanted) => assert!(wanted <= resume, "{wanted} is wanted after {resume}"),
        Err(Error::Pending(_)) => assert!(asked_before.is_some() || board.mode.chooses(), "{first:?} {board:?}"),
        Err(error) => panic!("{error}"),
    }
    // What waits for the reset is not written over.
    let has_image = flash.cells[board.primary + board.slots.start() as usize..].starts_with(&MAGIC);
    let is_complete = resume == new.len() as u32;
    if matches!(asked_before, Some(boot::SwapType::Test | boot::SwapType::Perm)) && has_image && !is_complete {
        assert!(first.is_err(), "{asked_before:?} {first:?} {board:?}");
    }
    if options & 4 != 0 {
        run(async {
            let mut shared = Shared::new(&mut flash);
            let [_, region] = shared.split(&board.layout());
            target::<W, E, R, N>(&board, region).withdraw().await.unwrap();
        });
        assert_eq!(asked(&board, &flash.cells), None, "{board:?}");
        let mut after = flash.clone();
        let (primary, secondary) = after.cells.split_at_mut(board.primary);
        let boot = board.bootloader.boot(primary, secondary);
        assert_eq!((boot.swapped, boot.running.unwrap().slot), (None, Slot::Primary), "{board:?}");
    }
    run(async {
        let mut shared = Shared::new(&mut flash);
        let [_, region] = shared.split(&board.layout());
        let mut target = target::<W, E, R, N>(&board, region);
        if options & 8 != 0 {
            // As if this image had been stored up to there. What lies there is another one, or the same.
            if let (Ok(wanted), true) = (target.init(&offer, resume).await, options & 16 != 0) {
                target.write(&new[wanted as usize..]).await.or_else(closed).unwrap();
                if let Ok(checked) = target.digest().await {
                    let applied = target.apply(checked.assured().unwrap()).await;
                    assert!(applied.is_ok() || matches!(applied, Err(Error::TornMark)), "{applied:?} {board:?}");
                    if applied.is_ok() {
                        return;
                    }
                }
            }
        }
        if options & 32 == 0 || first.is_err() {
            target.abort().await.unwrap();
            // A mark without an image asks for nothing, and stays until the next image comes.
            if !board.mode.chooses() {
                assert_eq!(target.mark().await.unwrap().magic, Flag::Unset);
            }
        }
        assert_eq!(target.init(&offer, 0).await, Ok(0), "{board:?}");
        target.write(&new).await.unwrap();
        let checked = target.digest().await.unwrap();
        let _ = target.apply(checked.assured().unwrap()).await.unwrap();
    });
    let (primary, secondary) = flash.cells.split_at_mut(board.primary);
    let boot = board.bootloader.boot(primary, secondary);
    assert_eq!((boot.refused, boot.running.unwrap().version.major), (None, 3), "{board:?}");
}

type Target<'a, const W: usize, const E: usize, const R: usize, const N: usize> =
    McubootTarget<'a, &'a mut Ram<W, E, R>, SoftSha256, &'a Slots, N>;

fn target<'a, const W: usize, const E: usize, const R: usize, const N: usize>(
    board: &'a Board,
    region: Region<'a, &'a mut Ram<W, E, R>>,
) -> Target<'a, W, E, R, N> {
    let active = Active::new(RunningState::Confirmed, Some(RUNNING));
    McubootTarget::new(region, SoftSha256::default(), &board.slots, active).unwrap()
}

/// Of an image that is all there nothing more is taken.
fn closed<E>(error: Error<E>) -> Result<Written, Error<E>> {
    if matches!(error, Error::Closed) { Ok(Written::Committed(0)) } else { Err(error) }
}

/// Puts a trailer at the end of a slot: raw bytes, or the magic and flags between them.
fn put(board: &Board, slot: &mut [u8], shape: u8, bytes: &mut Bytes<'_>) {
    let trailer = board.bootloader.trailer(slot.len());
    if shape & 4 != 0 {
        let end = bytes.array::<128>();
        let at = slot.len() - end.len();
        slot[at..].copy_from_slice(&end);
    }
    if shape & 3 != 0 {
        let [image_ok, copy_done, swap_info] = bytes.array();
        (slot[trailer.image_ok], slot[trailer.copy_done]) = (image_ok, copy_done);
        slot[trailer.swap_info] = swap_info;
    }
    match shape & 3 {
        1 => slot[trailer.magic..].copy_from_slice(&trailer.magic_bytes()),
        2 => slot[trailer.magic..].fill(board.erased),
        _ => {}
    }
}

/// The library and the model read the same from a slot's end, and any part of it is read somehow.
fn read(board: &Board, slot: &[u8]) {
    let Mark { magic, image_ok, copy_done, swap } = board.slots.read(slot);
    let State { magic: good, image_ok: ok, copy_done: done, swap_info } =
        board.bootloader.trailer(slot.len()).state(slot);
    let flag = |flag| match flag {
        boot::Flag::Set => Flag::Set,
        boot::Flag::Unset => Flag::Unset,
        boot::Flag::Bad => Flag::Bad,
    };
    let magic_is = match good {
        Magic::Good => Flag::Set,
        Magic::Unset => Flag::Unset,
        Magic::Bad => Flag::Bad,
    };
    assert_eq!((magic, image_ok, copy_done), (magic_is, flag(ok), flag(done)), "{board:?}");
    let kind = swap_info.map(|(kind, _)| match kind {
        boot::SwapType::Test => SwapType::Test,
        boot::SwapType::Perm => SwapType::Permanent,
        boot::SwapType::Revert => SwapType::Revert,
    });
    assert_eq!(swap, kind, "{board:?}");
    for len in [0, 1, 15, 16, 17, 24, 31, 32, 33, 40, 64, 96, 127, 128] {
        let _ = board.slots.read(&slot[slot.len() - len..]).asks(board.mode);
    }
}

/// What the secondary slot alone asks for, beside an image that was never updated.
fn asked(board: &Board, cells: &[u8]) -> Option<boot::SwapType> {
    board.bootloader.asked(&vec![board.erased; board.primary], &cells[board.primary..])
}

/// Once it is confirmed, the image stays.
fn confirm<const W: usize, const E: usize, const R: usize>(
    board: &Board,
    state: RunningState,
    mut flash: Ram<W, E, R>,
) {
    // The loader made sure of what runs there.
    flash.lenient = true;
    let before = flash.clone();
    let confirmed = run(async {
        let mut shared = Shared::new(&mut flash);
        let [region, _] = shared.split(&board.layout());
        Running::new(region, &board.slots).unwrap().confirm().await
    });
    if confirmed.is_err() || !board.mode.has_trailer() {
        return;
    }
    if state != RunningState::Trial && !(state == RunningState::Factory && board.mode.chooses()) {
        assert_eq!(flash.cells, before.cells);
    }
    if board.mode == Mode::OverwriteOnly {
        return;
    }
    let (primary, secondary) = flash.cells.split_at_mut(board.primary);
    secondary.fill(board.erased);
    for _ in 0..2 {
        let boot = board.bootloader.boot(primary, secondary);
        assert_eq!(boot.swapped, None, "{board:?} {state:?}");
        assert_eq!(boot.running.expect("a device that boots").version.major, 2, "{board:?} {state:?}");
    }
}

const MAGIC: [u8; 4] = [0x3d, 0xb8, 0xf3, 0x96];
