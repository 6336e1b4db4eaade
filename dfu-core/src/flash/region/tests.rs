use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::string::ToString;

use super::*;
use crate::blocking::{block_on, block_on_with};
use crate::flash::ram::{Done, Ram};

type Flash = Ram<4, 1024, 2>;

const MAP: Layout<Flash, 2> = Layout::new([(1024, 2048), (4096, 1024)]);

#[test]
fn a_region_is_a_flash_of_its_own_that_reaches_nothing_outside() {
    let mut shared = Shared::new(Flash::new(8));
    let [mut one, other] = shared.split(&MAP);
    assert_eq!([(one.start(), one.size()), (other.start(), other.size())], [(1024, 2048), (4096, 1024)]);
    assert_eq!((one.capacity(), other.capacity()), (2048, 1024));
    assert_eq!((Region::<Flash>::READ_SIZE, Region::<Flash>::WRITE_SIZE, Region::<Flash>::ERASE_SIZE), (2, 4, 1024));
    let mut bytes = [0; 4];
    block_on(async {
        one.erase(1024, 2048).await.unwrap();
        one.write(2044, &[1, 2, 3, 4]).await.unwrap();
        one.read(2044, &mut bytes).await.unwrap();
        assert_eq!(bytes, [1, 2, 3, 4]);
        for at in [2046, 2048, u32::MAX - 1] {
            assert_eq!(one.read(at, &mut bytes).await, Err(RegionError::OutOfBounds));
            assert_eq!(one.write(at, &bytes).await, Err(RegionError::OutOfBounds));
        }
        for (from, to) in [(1024, 3072), (3072, 4096), (1024, 0)] {
            assert_eq!(one.erase(from, to).await, Err(RegionError::OutOfBounds), "{from}..{to}");
        }
        one.read(2048, &mut []).await.unwrap();
    });
    let mut flash = shared.into_inner();
    assert_eq!(flash.done(), [Done::Erase(2048..3072), Done::Write(3068..3072)]);
    assert_eq!(flash.bytes[3068..3072], [1, 2, 3, 4]);
}

#[test]
fn what_fails_below_is_told() {
    let mut shared = Shared::new(Flash::new(8));
    let [mut region] = shared.split(&Layout::new([(0, 1024)]));
    region.shared.flash.borrow_mut().fails_after = Some(1);
    assert_eq!(block_on(region.erase(0, 1024)), Ok(()));
    assert_eq!(block_on(region.write(0, &[0; 4])), Err(RegionError::Flash(NorFlashErrorKind::Other)));
}

#[test]
fn each_4096_bytes_others_get_a_turn() {
    let mut shared = Shared::new(Flash::new(8));
    let [mut region] = shared.split(&Layout::new([(0, 8192)]));
    let mut read = |len: usize| {
        let mut turns = 0;
        block_on_with(region.read(0, &mut std::vec![0; len]), || turns += 1).unwrap();
        turns
    };
    assert_eq!([read(4094), read(2), read(2), read(2)], [0, 0, 1, 0], "before what comes behind 4096 bytes");
    assert_eq!([read(8192), read(2), read(2)], [0, 1, 0]);
}

#[test]
fn after_each_erase_others_get_a_turn_however_small_the_unit() {
    let mut shared = Shared::new(Flash::new(8));
    let [mut region] = shared.split(&Layout::new([(0, 8192)]));
    let mut turns = 0;
    for from in [0, 1024, 2048] {
        block_on_with(region.erase(from, from + 1024), || turns += 1).unwrap();
        block_on_with(region.write(from, &[0; 4]), || turns += 1).unwrap();
        block_on_with(region.write(from + 4, &[0; 4]), || turns += 1).unwrap();
    }
    assert_eq!(turns, 3);
}

/// Polls both in turn, the first one first.
fn together<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let mut context = Context::from_waker(Waker::noop());
    let (mut first, mut second) = (None, None);
    for _ in 0..100 {
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
    (first.unwrap(), second.unwrap())
}

/// A flash whose erase takes two turns.
#[derive(Debug)]
struct Slow(Flash);

impl ErrorType for Slow {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Slow {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.read(at, bytes).await
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl NorFlash for Slow {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        yield_now().await;
        yield_now().await;
        self.0.erase(from, to).await
    }

    async fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.write(at, bytes).await
    }
}

#[test]
fn a_flash_in_use_is_busy_or_is_waited_for() {
    for waits in [false, true] {
        let flash = Slow(Flash::new(8));
        let mut shared = if waits { Shared::waiting(flash) } else { Shared::new(flash) };
        let [mut one, mut other] = shared.split(&Layout::new([(0, 1024), (1024, 1024)]));
        let mut bytes = [0; 2];
        let results = together(one.erase(0, 1024), other.read(0, &mut bytes));
        assert_eq!(results, (Ok(()), if waits { Ok(()) } else { Err(RegionError::Busy) }));
        assert_eq!(bytes, if waits { [0x11; 2] } else { [0; 2] });
        assert_eq!(block_on(other.read(0, &mut bytes)), Ok(()), "it is free again");
    }
}

#[test]
fn a_region_s_error_says_what_happened() {
    for (error, kind, word) in [
        (RegionError::Flash(NorFlashErrorKind::NotAligned), NorFlashErrorKind::NotAligned, "NotAligned"),
        (RegionError::OutOfBounds, NorFlashErrorKind::OutOfBounds, "outside"),
        (RegionError::Busy, NorFlashErrorKind::Other, "in use"),
    ] {
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(word), "{error}");
    }
}
