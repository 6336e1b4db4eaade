//! In whatever pieces an image comes, it is stored bit for bit.

use dfu_target::{Begun, Update};
use dfu_target_mcuboot::{Align, Mode};
use dfu_testkit::device::{Board, Device, Release, Visit};
use dfu_testkit::flash::Cut;
use dfu_testkit::image::{ImageBuilder, ImageFile};
use dfu_testkit::poll::run;

fn image<const W: usize, const E: usize, const R: usize>(device: &Device<W, E, R>) -> ImageFile {
    // The largest one that is no whole number of words.
    let size = device.slots().max_image() as usize - 3;
    ImageBuilder::new().version(2, 0, 0, 0).total_size(size).signature(70).build()
}

/// Pieces of these sizes, again and again.
fn feed<const W: usize, const E: usize, const R: usize>(board: Board, sizes: impl IntoIterator<Item = usize>) {
    let device = Device::<W, E, R>::new(board);
    let new = image(&device);
    device.install(&ImageBuilder::new().build());
    device.chip().sim().checkpoint();
    for size in sizes {
        device.chip().sim().rollback();
        let mut visit = Visit::default();
        let _ = device.update(&Release::new(&new).chunk(size), &mut visit).unwrap();
        assert_eq!(visit.fetched as usize, new.len());
        assert!(device.holds(device.secondary(), &new), "pieces of {size}");
        assert_eq!(device.boot().refused, None);
        assert!(device.holds(device.primary(), &new), "pieces of {size}");
    }
}

fn sizes() -> impl Iterator<Item = usize> {
    (1..=70).chain([71, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1000, 1023, 1024, 1025, 3001, 4096, 4099, 100_000])
}

#[test]
fn r12_pieces_of_any_size_arrive_bit_for_bit() {
    feed::<4, 1024, 4>(Board::new(Mode::SwapMove, 10 * 1024).sectors(10), sizes());
    feed::<4, 1024, 4>(Board::new(Mode::SwapScratch, 6 * 1024).sectors(10), sizes());
}

#[test]
fn r12_pieces_of_any_size_arrive_in_words_of_any_size() {
    fn feed_all<const W: usize>(align: Align) {
        feed::<W, 1024, 1>(Board::new(Mode::SwapScratch, 5 * 1024).align(align).sectors(6), sizes().step_by(3));
    }
    feed_all::<1>(Align::A8);
    feed_all::<2>(Align::A8);
    feed_all::<8>(Align::A8);
    feed_all::<16>(Align::A16);
    feed_all::<32>(Align::A32);
    feed::<16, 1024, 16>(
        Board::new(Mode::OverwriteOnly, 5 * 1024).align(Align::A16).sectors(6).erased(0),
        sizes().step_by(3),
    );
}

#[test]
fn r12_progress_may_be_stored_as_often_as_one_likes() {
    let device = Device::<4, 1024, 4>::new(Board::new(Mode::SwapMove, 10 * 1024).sectors(10));
    let new = image(&device);
    device.install(&ImageBuilder::new().build());
    device.chip().sim().checkpoint();
    for save_every in [0, 1, 3, 1024, u32::MAX] {
        device.chip().sim().rollback();
        let _ = device.update(&Release::new(&new).save_every(save_every), &mut Visit::default()).unwrap();
        assert_eq!(device.boot().refused, None);
        assert!(device.holds(device.primary(), &new), "saved every {save_every}");
    }
}

#[test]
fn r12_random_splits_with_restarts_and_resets_arrive_bit_for_bit() {
    let device = Device::<4, 1024, 4>::new(Board::new(Mode::SwapMove, 10 * 1024).sectors(10));
    let new = image(&device);
    device.install(&ImageBuilder::new().build());
    device.chip().sim().checkpoint();
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        device.chip().sim().rollback();
        let mut interruptions = rng.u8(0..6);
        let release = Release::new(&new).save_every(rng.u32(1..3000));
        'reset: loop {
            device.boot();
            let mut shared = device.share();
            let (_, target, log) = device.open(&mut shared);
            let mut update = Update::new(target, log, release.request());
            let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("not all of it came") };
            while (session.offset() as usize) < new.len() {
                if interruptions > 0 && rng.u8(0..20) == 0 {
                    interruptions -= 1;
                    match rng.u8(0..5) {
                        0 => session.restart(),
                        1 => assert!(run(session.resume()).unwrap() <= session.offset()),
                        2 => run(session.abort()).unwrap(),
                        3 => continue 'reset,
                        _ => device.chip().sim().cut_after(rng.u64(0..200), Cut::Before),
                    }
                    continue;
                }
                let at = session.offset() as usize;
                let len = if rng.bool() { rng.usize(0..80) } else { rng.usize(0..2500) };
                if run(session.write(&new[at..new.len().min(at + len)])).is_err() {
                    assert!(!device.chip().sim().is_powered());
                    continue 'reset;
                }
            }
            let staged = match run(session.finish()) {
                Ok(staged) => staged,
                Err(failed) => {
                    assert!(!device.chip().sim().is_powered(), "seed {seed}: {failed}");
                    continue;
                }
            };
            if let Ok(verified) = staged.verify(release.digest())
                && run(verified.apply()).is_ok()
            {
                break;
            }
            // Staged already: the loop above would not see its end.
            device.chip().sim().power_on();
            drop(update);
            let mut visit = Visit::default();
            let _ = device.update(&release, &mut visit).unwrap();
            break;
        }
        assert_eq!(device.boot().refused, None, "seed {seed}");
        assert!(device.holds(device.primary(), &new), "seed {seed}");
    }
}
