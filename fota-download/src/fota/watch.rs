//! [`Watch`]: what ends a wait: somebody's wish, silence, the deadline.

use core::cell::Cell;
use core::convert::Infallible;
use core::fmt;
use core::future::{Future, poll_fn};
use core::mem;
use core::pin::{Pin, pin};
use core::task::Poll;

use embedded_hal_async::delay::DelayNs;

use super::control::{Control, Wish};
use super::job::Job;
use crate::source::{Call, Error, Meta, Retry, Source};

/// How often it is looked at, in milliseconds.
const LOOK_MS: u32 = 100;

/// Looks at the clock and at the [`Control`] while an update runs.
pub(super) struct Watch<'c> {
    control: &'c Control,
    /// Milliseconds up to the deadline; `u32::MAX`: there is none.
    left: Cell<u32>,
    /// The source did not answer for so many milliseconds; and may not for so many.
    quiet: Cell<u32>,
    silence: u32,
}

impl<'c> Watch<'c> {
    pub(super) fn new(control: &'c Control, job: &Job) -> Self {
        Self { control, left: Cell::new(job.deadline), quiet: Cell::new(0), silence: job.silence }
    }

    /// Runs `work` to its end, and the watch beside it. It stays where it is: moved here it would take its size again.
    pub(super) async fn over<T>(&self, mut alarm: impl DelayNs, mut work: Pin<&mut impl Future<Output = T>>) -> T {
        let ticks = async {
            loop {
                alarm.delay_ms(LOOK_MS).await;
                self.tick();
                // A clock that does not wait must not keep the work from its turn.
                let mut rested = false;
                poll_fn(|context| {
                    context.waker().wake_by_ref();
                    if mem::replace(&mut rested, true) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        };
        let mut ticks = pin!(ticks);
        poll_fn(|context| {
            let _: Poll<Infallible> = ticks.as_mut().poll(context);
            work.as_mut().poll(context)
        })
        .await
    }

    fn tick(&self) {
        if self.left.get() != u32::MAX {
            self.left.set(self.left.get().saturating_sub(LOOK_MS));
        }
        self.quiet.set(self.quiet.get().saturating_add(LOOK_MS));
    }

    pub(super) fn is_late(&self) -> bool {
        self.left.get() == 0
    }

    pub(super) fn wish(&self) -> Wish {
        self.control.wish()
    }

    /// Whether the update is to go on now.
    pub(super) fn goes_on(&self) -> bool {
        self.wish() == Wish::Run && !self.is_late()
    }

    /// Waits as long as the update is held.
    pub(super) async fn hold(&self, clock: &mut impl DelayNs) {
        while self.wish() == Wish::Pause && !self.is_late() {
            clock.delay_ms(LOOK_MS).await;
        }
    }
}

/// A clock that ends a pause as soon as something else is wanted.
pub(super) struct Pauses<'w, D> {
    pub(super) clock: &'w mut D,
    pub(super) watch: &'w Watch<'w>,
}

impl<D: DelayNs> DelayNs for Pauses<'_, D> {
    async fn delay_ns(&mut self, ns: u32) {
        self.clock.delay_ns(ns).await;
    }

    async fn delay_ms(&mut self, ms: u32) {
        let mut left = ms;
        while left > 0 && self.watch.goes_on() {
            let slice = left.min(LOOK_MS);
            self.clock.delay_ms(slice).await;
            left = left.saturating_sub(slice);
        }
    }
}

/// A source that is not waited for any more when something else is wanted, or when it says nothing for too long.
pub(super) struct Watched<'w, S> {
    pub(super) source: S,
    pub(super) watch: &'w Watch<'w>,
}

/// Why it did not answer.
#[derive(Debug)]
pub(super) enum Unanswered<E> {
    /// Something else is wanted.
    Unwanted,
    /// It said nothing for too long.
    Silent,
    /// Its own error.
    Source(E),
}

impl<S: Source> Source for Watched<'_, S> {
    type Error = Unanswered<S::Error>;

    async fn open(&mut self, from: u32) -> Result<Meta, Self::Error> {
        let mut meta = Meta::default();
        self.call(Call::Open(from, &mut meta)).await?;
        Ok(meta)
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        let mut count = 0;
        self.call(Call::Read(buf, &mut count)).await?;
        Ok(count)
    }

    fn paid(&self) -> u32 {
        self.source.paid()
    }

    fn close(&mut self) {
        self.source.close();
    }

    async fn call(&mut self, call: Call<'_>) -> Result<(), Self::Error> {
        let watch = self.watch;
        watch.quiet.set(0);
        let mut answer = pin!(self.source.call(call));
        poll_fn(|context| match answer.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(answer.map_err(Unanswered::Source)),
            Poll::Pending if !watch.goes_on() => Poll::Ready(Err(Unanswered::Unwanted)),
            Poll::Pending if watch.quiet.get() >= watch.silence => Poll::Ready(Err(Unanswered::Silent)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

impl<E: Error> Error for Unanswered<E> {
    fn retry(&self) -> Retry {
        match self {
            Self::Unwanted => Retry::Never,
            Self::Silent => Retry::Later,
            Self::Source(error) => error.retry(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Unanswered<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwanted => f.write_str("it is not wanted any more"),
            Self::Silent => f.write_str("the source says nothing"),
            Self::Source(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for Unanswered<E> {}
