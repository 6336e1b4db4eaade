//! Regions: windows over one flash that reach nothing outside, and take turns.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use dfu_target::flash::{Layout, Region, RegionError, Shared};
use dfu_testkit::flash::{Chip, SimError, SimFlash};
use dfu_testkit::poll::run;
use embedded_storage_async::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

type Flash = Chip<4, 1024, 4>;

const MAP: Layout<Flash, 3> = Layout::new([(0x1000, 0x800), (0x2000, 0x400), (0x0, 0x400)]);

fn flash() -> Flash {
    let chip = Chip::new(SimFlash::new(0x4000));
    let pattern: Vec<u8> = (0..0x4000).map(|at| (at / 4) as u8).collect();
    chip.sim().load(0, &pattern);
    chip
}

#[test]
fn a_region_is_a_flash_of_its_own() {
    let chip = flash();
    let mut shared = Shared::new(chip.clone());
    let [mut a, mut b, c] = shared.split(&MAP);
    assert_eq!([a.start(), b.start(), c.start()], [0x1000, 0x2000, 0]);
    assert_eq!([a.capacity(), b.capacity(), c.capacity()], [0x800, 0x400, 0x400]);
    assert_eq!((Region::<Flash>::READ_SIZE, Region::<Flash>::WRITE_SIZE, Region::<Flash>::ERASE_SIZE), (4, 4, 1024));
    chip.sim().guard(&[0x1400..0x1800, 0x2000..0x2400]);
    run(a.erase(0x400, 0x800)).unwrap();
    run(a.write(0x7fc, &[1, 2, 3, 4])).unwrap();
    run(b.erase(0, 0x400)).unwrap();
    run(b.write(0, &[5, 6, 7, 8])).unwrap();
    let mut word = [0; 4];
    run(a.read(0x7fc, &mut word)).unwrap();
    assert_eq!(word, [1, 2, 3, 4]);
    assert_eq!(chip.sim().bytes()[0x17fc..0x1800], [1, 2, 3, 4]);
    assert_eq!(chip.sim().bytes()[0x2000..0x2004], [5, 6, 7, 8]);
    assert_eq!(chip.sim().counts().erases, 2);
}

#[test]
fn r06_nothing_outside_of_a_region_can_be_reached() {
    let chip = flash();
    let mut shared = Shared::new(chip.clone());
    let [mut a, ..] = shared.split(&MAP);
    let before = chip.sim().counts();
    let mut bytes = [0; 8];
    for at in [0x7fc, 0x800, 0x804, 0x3000, u32::MAX - 3, u32::MAX] {
        assert_eq!(run(a.read(at, &mut bytes)), Err(RegionError::OutOfBounds), "{at:#x}");
        assert_eq!(run(a.write(at, &bytes)), Err(RegionError::OutOfBounds), "{at:#x}");
    }
    for (from, to) in [(0, 0xc00), (0x400, 0xc00), (0x800, 0xc00), (0xffff_f000, 0), (0x400, 0), (0, u32::MAX)] {
        assert_eq!(run(a.erase(from, to)), Err(RegionError::OutOfBounds), "{from:#x}..{to:#x}");
    }
    assert_eq!(chip.sim().counts(), before, "and nothing was asked of the flash");
    assert_eq!(RegionError::<SimError>::OutOfBounds.kind(), NorFlashErrorKind::OutOfBounds);
    // What is empty, at the end.
    run(a.read(0x800, &mut [])).unwrap();
}

/// Polls both in turn; their outputs, and whether the second had to wait for the first.
fn together<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let mut context = Context::from_waker(Waker::noop());
    let (mut first, mut second) = (None, None);
    for _ in 0..1000 {
        if first.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(&mut context)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(&mut context)
        {
            second = Some(output);
        }
        if first.is_some() && second.is_some() {
            break;
        }
    }
    (first.expect("the first ends"), second.expect("the second ends"))
}

#[test]
fn a_flash_in_use_is_busy() {
    let chip = flash();
    chip.sim().set_yields(true, true);
    let mut shared = Shared::new(chip.clone());
    let [mut a, mut b, _] = shared.split(&MAP);
    let (erased, refused) = together(a.erase(0, 0x400), b.erase(0, 0x400));
    assert_eq!((erased, refused), (Ok(()), Err(RegionError::Busy)));
    assert_eq!(chip.sim().counts().erases, 1);
    assert_eq!(RegionError::<SimError>::Busy.kind(), NorFlashErrorKind::Other);
    // Later it works, also where the first one was dropped.
    run(b.erase(0, 0x400)).unwrap();
    assert!(dfu_testkit::poll::poll_limited(a.erase(0, 0x400), 1).is_none());
    run(b.write(0, &[0; 4])).unwrap();
}

#[test]
fn a_flash_in_use_is_waited_for() {
    let chip = flash();
    chip.sim().set_yields(true, true);
    let mut shared = Shared::waiting(chip.clone());
    let [mut a, mut b, mut c] = shared.split(&MAP);
    let first = async {
        a.erase(0, 0x800).await?;
        a.write(0, &[1; 256]).await
    };
    let second = async {
        b.erase(0, 0x400).await?;
        b.write(0x100, &[2; 64]).await?;
        let mut bytes = [0; 64];
        b.read(0x100, &mut bytes).await.map(|()| bytes)
    };
    let (first, second) = together(first, second);
    assert_eq!((first, second), (Ok(()), Ok([2; 64])));
    assert_eq!(chip.sim().bytes()[0x1000..0x1100], [1; 256]);
    // A dropped one lets go of it.
    assert!(dfu_testkit::poll::poll_limited(a.erase(0, 0x400), 1).is_none());
    run(c.erase(0, 0x400)).unwrap();
}

#[test]
fn r07_long_work_gives_others_a_turn() {
    let chip = flash();
    let mut shared = Shared::new(chip);
    let [mut a, ..] = shared.split(&MAP);
    let work = async {
        for _ in 0..64 {
            a.erase(0, 0x400).await?;
        }
        Ok::<_, RegionError<SimError>>(())
    };
    let (result, polls) = dfu_testkit::poll::count_polls(work);
    assert_eq!(result, Ok(()));
    assert!(polls >= 64 * 1024 / 4096, "{polls} turns in 64 KiB of erases that block");
}

#[test]
fn r06_maps_with_mistakes_are_no_maps() {
    let reason = |windows| Layout::<Flash, 2>::checked(windows).err();
    assert_eq!(reason([(0, 0x400), (0x400, 0x400)]), None);
    assert_eq!(reason([(0x400, 0x400), (0, 0x400)]), None);
    for windows in [
        [(0, 0x800), (0x400, 0x400)],
        [(0x400, 0x400), (0, 0x800)],
        [(0, 0x400), (0, 0x400)],
        [(0, 0x1000), (0x400, 0x400)],
        [(0x400, 0x400), (0, 0x1000)],
        [(0, 0), (0x400, 0x400)],
        [(0, 0x400), (0x200, 0x400)],
        [(0, 0x400), (0x400, 0x500)],
        [(0, 0x400), (0xffff_fc00, 0x400)],
        [(0xffff_fc00, 0x800), (0, 0x400)],
    ] {
        assert!(reason(windows).is_some(), "{windows:x?}");
    }
}
