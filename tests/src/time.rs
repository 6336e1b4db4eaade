//! [`Timeline`]: an executor whose time passes only where everybody waits; a flash and a network that take some of it.

use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use embedded_hal_async::delay::DelayNs;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use fota_download::source::{Error, Meta, Retry, Source};

use crate::flash::{Chip, SimError};

/// Virtual time. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Timeline(Rc<Times>);

#[derive(Debug, Default)]
struct Times {
    now: Cell<Duration>,
    /// What is waited for, as of the last poll.
    next: RefCell<Vec<Duration>>,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Timeline {
    /// The time that has passed.
    pub fn now(&self) -> Duration {
        self.0.now.get()
    }

    /// Waits, while others go on.
    pub async fn sleep(&self, time: Duration) {
        let until = self.now() + time;
        poll_fn(|_| {
            if self.now() >= until {
                return Poll::Ready(());
            }
            self.0.next.borrow_mut().push(until);
            Poll::Pending
        })
        .await;
    }

    /// Passes time in which nobody does anything: the processor stands still.
    pub fn stall(&self, time: Duration) {
        self.0.now.set(self.now() + time);
    }

    /// Runs a future to its end, and jumps over the time in which it only waits.
    ///
    /// Panics where it waits for something that never comes.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(flag.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            self.0.next.borrow_mut().clear();
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            if !flag.0.swap(false, Ordering::Relaxed) {
                let next = self.0.next.borrow().iter().min().copied();
                self.0.now.set(next.expect("nothing is waited for, and nothing goes on"));
            }
        }
    }
}

impl DelayNs for Timeline {
    async fn delay_ns(&mut self, ns: u32) {
        self.sleep(Duration::from_nanos(ns.into())).await;
    }
}

/// A flash that takes as long as its [`Timing`](crate::flash::Timing) says.
#[derive(Clone, Debug)]
pub struct Slow<const W: usize, const E: usize> {
    chip: Chip<W, E>,
    time: Timeline,
    stalls: bool,
}

impl<const W: usize, const E: usize> Slow<W, E> {
    /// With `stalls`, the processor stands still while it programs or erases, as with the flash that it runs from.
    pub fn new(chip: Chip<W, E>, time: Timeline, stalls: bool) -> Self {
        Self { chip, time, stalls }
    }

    async fn pass(&self, since: Duration) {
        let took = self.chip.sim().elapsed() - since;
        if self.stalls {
            self.time.stall(took);
        } else {
            self.time.sleep(took).await;
        }
    }
}

impl<const W: usize, const E: usize> ErrorType for Slow<W, E> {
    type Error = SimError;
}

impl<const W: usize, const E: usize> ReadNorFlash for Slow<W, E> {
    const READ_SIZE: usize = 1;
    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        let since = self.chip.sim().elapsed();
        self.chip.read(offset, bytes).await?;
        self.pass(since).await;
        Ok(())
    }
    fn capacity(&self) -> usize {
        self.chip.capacity()
    }
}

impl<const W: usize, const E: usize> NorFlash for Slow<W, E> {
    const WRITE_SIZE: usize = W;
    const ERASE_SIZE: usize = E;
    async fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        let since = self.chip.sim().elapsed();
        self.chip.erase(from, to).await?;
        self.pass(since).await;
        Ok(())
    }
    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        let since = self.chip.sim().elapsed();
        self.chip.write(offset, bytes).await?;
        self.pass(since).await;
        Ok(())
    }
}

/// A file at the other end of a network that carries so many bytes a second, and answers after a round trip. What
/// nobody reads waits in a receive window, and when that is full, at the other end.
#[derive(Clone, Debug)]
pub struct Wire {
    time: Timeline,
    file: Vec<u8>,
    rate: u32,
    round_trip: Duration,
    window: usize,
    /// Bytes that were read, and that came, since when.
    read: usize,
    came: f64,
    at: Duration,
}

/// What arrives at once.
const PACKET: usize = 512;

impl Wire {
    /// A network of `rate` bytes a second with a window of `window` bytes, a packet of 512 or more.
    pub fn new(time: Timeline, file: Vec<u8>, rate: u32, round_trip: Duration, window: usize) -> Self {
        let at = time.now();
        Self { time, file, rate, round_trip, window: window.max(PACKET), read: 0, came: 0.0, at }
    }

    fn arrive(&mut self) {
        let since = self.time.now().saturating_sub(self.at).as_secs_f64();
        let most = (self.read + self.window).min(self.file.len()) as f64;
        self.came = (self.came + since * f64::from(self.rate)).min(most);
        self.at = self.at.max(self.time.now());
    }
}

/// It never fails.
#[derive(Clone, Copy, Debug)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl core::error::Error for Never {}

impl Error for Never {
    fn retry(&self) -> Retry {
        match *self {}
    }
}

impl Source for Wire {
    type Error = Never;

    async fn open(&mut self, from: u32) -> Result<Meta, Never> {
        self.time.sleep(self.round_trip).await;
        (self.read, self.came, self.at) = (from as usize, f64::from(from), self.time.now());
        Ok(Meta { size: Some(self.file.len() as u32), tag: 1, start: from })
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Never> {
        let wanted = buf.len().min(PACKET).min(self.file.len() - self.read);
        loop {
            self.arrive();
            let missing = (self.read + wanted) as f64 - self.came;
            if missing <= 0.0 {
                break;
            }
            // A nanosecond more than it takes, for what rounding takes away.
            self.time.sleep(Duration::from_secs_f64(missing / f64::from(self.rate)) + Duration::from_nanos(1)).await;
        }
        let count = buf.len().min(self.came as usize - self.read);
        buf[..count].copy_from_slice(&self.file[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}
