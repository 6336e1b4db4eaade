//! [`Replay`]: a device that is given what another one was given.

mod flash;
mod net;

pub use flash::ReplayFlash;
pub use net::{ReplayConn, ReplayNet, Replayed};

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::future::{pending, poll_fn};
use core::task::{Poll, Waker};

use dfu_trace::Event;

use super::operation::{Channel, Operation, Trace};
use super::rewrite::Unfit;
use crate::flash::Chip;

/// A trace that is gone through once more, by the code under test on a flash and a network of this.
///
/// What overlapped on the device overlaps here: an operation comes to its end when the operations of the other channel
/// that had ended before it have. One that had no end has none, or is a power cut if it was the last of its run.
///
/// The first operation that is another one than the device's is what [`verdict`](Self::verdict) tells. What comes then
/// is served as well as it can be.
#[derive(Clone, Debug)]
pub struct Replay<'t>(Rc<RefCell<Course<'t>>>);

#[derive(Debug)]
struct Course<'t> {
    operations: [Vec<Operation<'t>>; 2],
    /// The next operation of each channel, and how many of them came to their end.
    next: [usize; 2],
    ended: [usize; 2],
    start: usize,
    starts: usize,
    diverged: Option<Diverged>,
    waiting: Option<Waker>,
    /// After how many points of its operation the power fails.
    cut: Option<u64>,
}

/// Where the code under test went another way than the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diverged {
    /// The number of the device's event.
    pub event: Option<usize>,
    /// What the device did, or was given.
    pub traced: Option<String>,
    /// What the code under test did, or was given.
    pub replayed: Option<String>,
}

/// How many polls one channel waits for the other.
const PATIENCE: usize = 1000;

impl<'t> Replay<'t> {
    /// Goes through a trace. What was received has to be in it; of what was sent and written the sums are enough.
    pub fn new(trace: &Trace<'t>) -> Result<Self, Unfit> {
        if trace.lost > 0 {
            return Err(Unfit::Lost(trace.lost));
        }
        for operation in trace.of(Channel::Network) {
            if let Some(Event::Received { len, .. }) = operation.came
                && operation.got.len() != len as usize
            {
                return Err(Unfit::NoBytes(operation.event));
            }
        }
        let operations = [Channel::Flash, Channel::Network].map(|channel| trace.of(channel).cloned().collect());
        Ok(Self(Rc::new(RefCell::new(Course {
            operations,
            next: [0; 2],
            ended: [0; 2],
            start: 0,
            starts: trace.starts,
            diverged: None,
            waiting: None,
            cut: None,
        }))))
    }

    /// Lets the power fail behind so many points of the operation that it failed in: the words of a write, for one.
    /// Where nobody knows how many that were, the right number is the one whose [`verdict`](Self::verdict) is good.
    #[must_use]
    pub fn cut_behind(self, points: u64) -> Self {
        self.0.borrow_mut().cut = Some(points);
        self
    }

    /// The flash, on a chip that holds what the device's held at first.
    ///
    /// Where the device's power failed within an operation, so does this one's: as [`cut_behind`](Self::cut_behind)
    /// or a cut that is planned on the chip says, and without both behind the operation.
    pub fn flash<const W: usize, const E: usize, const R: usize>(
        &self,
        chip: Chip<W, E, R>,
    ) -> ReplayFlash<'t, W, E, R> {
        ReplayFlash { replay: self.clone(), chip }
    }

    /// The network.
    pub fn net(&self) -> ReplayNet<'t> {
        ReplayNet(self.clone())
    }

    /// The reset behind this run of the program; `false`: the device's trace ends here.
    pub fn reset(&self) -> bool {
        let mut course = self.0.borrow_mut();
        course.ends();
        course.start += 1;
        for channel in 0..2 {
            let operations = &course.operations[channel];
            let before = |operation: &&Operation<'_>| operation.start < course.start;
            let next = operations.iter().take_while(before).count();
            let ended = operations[..next].iter().filter(|operation| operation.came.is_some()).count();
            (course.next[channel], course.ended[channel]) = (next, ended);
        }
        course.start < course.starts
    }

    /// Whether all that was done is what the device did, up to now and, behind the last reset, to the end.
    pub fn verdict(&self) -> Result<(), Diverged> {
        let mut course = self.0.borrow_mut();
        course.ends();
        course.diverged.clone().map_or(Ok(()), Err)
    }

    /// The next operation of a channel in this run, if it is to be compared with.
    fn next(&self, channel: Channel) -> Option<Operation<'t>> {
        let course = self.0.borrow();
        let operation = course.operations[channel as usize].get(course.next[channel as usize]);
        operation.filter(|operation| operation.start == course.start).cloned()
    }

    /// The next operation, which has begun now.
    fn take(&self, channel: Channel) -> Option<Operation<'t>> {
        let operation = self.next(channel);
        self.0.borrow_mut().next[channel as usize] += usize::from(operation.is_some());
        operation
    }

    fn diverge(&self, operation: Option<&Operation<'_>>, traced: Option<String>, replayed: Option<String>) {
        let mut course = self.0.borrow_mut();
        let event = operation.map(|operation| operation.event);
        course.diverged.get_or_insert(Diverged { event, traced, replayed });
    }

    /// Notes where what is asked for is something else than what was.
    fn compare(&self, operation: Option<&Operation<'_>>, asked: Event<'_>) {
        let traced = operation.map(|operation| operation.asked);
        if traced != Some(asked) {
            self.diverge(operation, traced.map(|event| event.to_string()), Some(asked.to_string()));
        }
    }

    /// Waits until this operation's end has its turn.
    async fn turn(&self, channel: Channel, operation: Option<&Operation<'_>>) {
        let Some(operation) = operation else { return };
        if operation.came.is_none() {
            return pending().await;
        }
        let mut polls = 0;
        poll_fn(|context| {
            let mut course = self.0.borrow_mut();
            let waits = course.ended[1 - channel as usize] < operation.after;
            if !waits || course.diverged.is_some() {
                course.ended[channel as usize] += 1;
                if let Some(waker) = course.waiting.take() {
                    waker.wake();
                }
                return Poll::Ready(());
            }
            polls += 1;
            if polls > PATIENCE {
                let (event, traced) = (Some(operation.event), Some(operation.asked.to_string()));
                let replayed = Some("what came to its end before that did not begin".to_string());
                course.diverged = Some(Diverged { event, traced, replayed });
            }
            course.waiting = Some(context.waker().clone());
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl Course<'_> {
    /// Notes what the device did in this run beyond what was done here.
    fn ends(&mut self) {
        let left = [0, 1].into_iter().filter_map(|channel: usize| {
            let operation = self.operations[channel].get(self.next[channel])?;
            (operation.start == self.start).then(|| (operation.event, operation.asked.to_string()))
        });
        if let (None, Some((event, asked))) = (&self.diverged, left.min()) {
            self.diverged = Some(Diverged { event: Some(event), traced: Some(asked), replayed: None });
        }
    }
}

impl fmt::Display for Diverged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(event) = self.event {
            write!(f, "event {event}: ")?;
        }
        let [traced, replayed] = [&self.traced, &self.replayed].map(|event| event.as_deref().unwrap_or("nothing"));
        write!(f, "`{traced}` on the device, `{replayed}` here")
    }
}

impl core::error::Error for Diverged {}
