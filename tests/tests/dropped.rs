//! Each future is dropped at each of its awaits, and the update goes on in the same process.

use dfu_target::session::SessionError;
use dfu_target::{Begun, Update};
use dfu_target_mcuboot::{Align, Mode, Upgrade};
use dfu_testkit::device::{Board, Device, Release};
use dfu_testkit::image::{ImageBuilder, ImageFile};
use dfu_testkit::poll::Patience;

/// Brings the image in; how many futures were dropped.
fn drive<const W: usize, const E: usize, const R: usize>(
    device: &Device<W, E, R>,
    release: &Release<'_>,
    mut patience: Patience,
    resumes: bool,
) -> usize {
    let size = release.file().len() as u32;
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, release.request());
    let nothing_bad_is_pending = || {
        let (old, new) = (device.read(device.primary()), device.read(device.secondary()));
        assert!(device.bootloader().asked(&old, &new).is_none() || new.starts_with(release.file()));
    };
    let mut calls = 0;
    'begin: loop {
        let Some(begun) = patience.wait(update.begin()) else {
            nothing_bad_is_pending();
            continue;
        };
        let staged = match begun.unwrap() {
            Begun::Staged(staged) => staged,
            Begun::Receiving(mut session) => {
                session.agree(Some(size), 0).unwrap();
                while session.offset() < size {
                    calls += 1;
                    assert!(calls < 10_000, "it comes to no end");
                    let _ = patience.wait(session.prepare());
                    nothing_bad_is_pending();
                    let durable = session.durable();
                    match patience.wait(session.write(release.piece(session.offset()))) {
                        // The one before was dropped, or its resume was.
                        Some(Err(SessionError::Interrupted)) => {}
                        Some(result) => {
                            result.unwrap();
                            continue;
                        }
                        None => {
                            nothing_bad_is_pending();
                            if !resumes {
                                continue;
                            }
                        }
                    }
                    if let Some(offset) = patience.wait(session.resume()) {
                        let offset = offset.unwrap();
                        assert_eq!(offset, session.offset());
                        assert!(offset >= durable / E as u32 * E as u32, "back to {offset} from {durable}");
                    }
                }
                match patience.wait(session.finish()) {
                    Some(staged) => staged.unwrap(),
                    None => {
                        nothing_bad_is_pending();
                        continue 'begin;
                    }
                }
            }
        };
        let verified = staged.verify(release.digest()).unwrap();
        match patience.wait(verified.apply()) {
            Some(applied) => {
                let _ = applied.unwrap();
                return patience.drops();
            }
            None => nothing_bad_is_pending(),
        }
    }
}

fn sweep<const W: usize, const E: usize, const R: usize>(board: Board, chunk: usize) {
    let device = Device::<W, E, R>::new(board);
    let old: ImageFile = ImageBuilder::new().build();
    let new = ImageBuilder::new().version(2, 0, 0, 0).total_size(device.slots().max_image() as usize).build();
    let release = Release::new(&new).chunk(chunk);
    device.install(&old);
    device.chip().sim().checkpoint();
    let check = |patience: Patience, resumes| {
        device.chip().sim().rollback();
        let drops = drive(&device, &release, patience.clone(), resumes);
        assert!(device.boot().swapped.is_some(), "{patience:?}");
        assert!(device.holds(device.primary(), &new), "{patience:?}");
        drops
    };
    for (before, after) in [(true, false), (false, true)] {
        device.chip().sim().set_yields(before, after);
        for resumes in [true, false] {
            let awaits = (1..).take_while(|nth| check(Patience::until(*nth), resumes) > 0).count();
            assert!(awaits > 30, "{awaits} in all of an update");
            let often = (1..8).flat_map(|nth| (0..12).map(move |seed| Patience::often(12, nth, seed)));
            let dropped: usize = often.map(|patience| check(patience, resumes)).sum();
            assert!(dropped > 50, "{dropped}");
        }
    }
}

#[test]
fn r09_a_future_dropped_anywhere_costs_a_sector_at_the_most() {
    sweep::<4, 1024, 4>(Board::new(Mode::SwapMove, 8 * 1024).sectors(8), 500);
    sweep::<1, 512, 1>(Board::new(Mode::SwapMove, 8 * 512).sectors(8).upgrade(Upgrade::Permanent), 300);
}

#[test]
fn r09_a_future_dropped_anywhere_does_no_harm_where_the_trailer_shares_the_last_sector() {
    for upgrade in [Upgrade::Test, Upgrade::Permanent] {
        let board = Board::new(Mode::SwapScratch, 4 * 2048).sectors(8).align(Align::A16).upgrade(upgrade);
        sweep::<8, 2048, 1>(board, 700);
        sweep::<16, 2048, 4>(Board::new(Mode::OverwriteOnly, 4 * 2048).sectors(8).align(Align::A32).erased(0), 123);
    }
}
