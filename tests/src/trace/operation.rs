//! [`Trace`]: events put together to operations.

use alloc::vec::Vec;

use dfu_trace::{Event, Events, Geometry, TraceError};

/// A trace, operation by operation.
#[derive(Clone, Debug)]
pub struct Trace<'t> {
    /// The sizes of its flash.
    pub geometry: Geometry,
    /// All operations, by when they began.
    pub operations: Vec<Operation<'t>>,
    /// How often the program started.
    pub starts: usize,
    /// How many events the sink did not take.
    pub lost: u32,
}

/// One thing that was asked for, and what came of it.
#[derive(Clone, Debug)]
pub struct Operation<'t> {
    /// The number of its first event, counted from 0.
    pub event: usize,
    /// During which run of the program, counted from 0.
    pub start: usize,
    /// Of what.
    pub channel: Channel,
    /// What was asked for.
    pub asked: Event<'t>,
    /// The bytes to be written or sent, where they were kept.
    pub given: Vec<u8>,
    /// What came of it; `None`: it was dropped, or the power failed.
    pub came: Option<Event<'t>>,
    /// The bytes received, where they were kept.
    pub got: Vec<u8>,
    /// How many operations of the other channel had come to their end before this one did.
    pub(super) after: usize,
}

/// What an operation is of. Those of one channel follow each other, and overlap those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The flash.
    Flash,
    /// The connection.
    Network,
}

impl<'t> Trace<'t> {
    /// Reads a trace; all of it has to be good.
    pub fn parse(bytes: &'t [u8]) -> Result<Self, TraceError> {
        match Self::whole_of(bytes)? {
            (trace, None) => Ok(trace),
            (_, Some(error)) => Err(error),
        }
    }

    /// Reads what is good of a trace, and says why the rest is not: one that ends in a power cut may end amid an event.
    pub fn whole_of(bytes: &'t [u8]) -> Result<(Self, Option<TraceError>), TraceError> {
        let mut events = Events::new(bytes)?.enumerate();
        let Some((_, Ok(Event::Start(geometry)))) = events.next() else { return Err(TraceError::Foreign) };
        let mut trace = Self { geometry, operations: Vec::new(), starts: 1, lost: 0 };
        let mut open = Open::default();
        for (nth, event) in events {
            match event {
                Ok(event) => trace.take(nth, event, &mut open),
                Err(error) => return Ok((trace, Some(error))),
            }
        }
        Ok((trace, None))
    }

    /// The operations of one channel.
    pub fn of(&self, channel: Channel) -> impl DoubleEndedIterator<Item = &Operation<'t>> {
        self.operations.iter().filter(move |operation| operation.channel == channel)
    }

    fn take(&mut self, nth: usize, event: Event<'t>, open: &mut Open) {
        match event {
            Event::Start(_) => {
                self.starts += 1;
                (open.at, open.last) = ([None; 2], None);
            }
            Event::Lost(events) => {
                self.lost = self.lost.saturating_add(events);
                (open.at, open.last) = ([None; 2], None);
            }
            Event::Data(bytes) => {
                if let Some(operation) = open.last.map(|at| &mut self.operations[at]) {
                    let kept = if operation.came.is_none() { &mut operation.given } else { &mut operation.got };
                    kept.extend(bytes);
                }
            }
            Event::Read { .. } | Event::Write { .. } | Event::Erase { .. } => {
                self.begin(nth, Channel::Flash, event, open);
            }
            Event::Open { .. } | Event::Send { .. } | Event::Flush | Event::Receive { .. } => {
                self.begin(nth, Channel::Network, event, open);
            }
            Event::Fetched { .. } | Event::Done | Event::Failed(_) => self.end(Channel::Flash, event, open),
            Event::Ready | Event::Sent { .. } | Event::Received { .. } | Event::Broken { .. } => {
                self.end(Channel::Network, event, open);
            }
            _ => open.last = None,
        }
    }

    fn begin(&mut self, event: usize, channel: Channel, asked: Event<'t>, open: &mut Open) {
        open.last = Some(self.operations.len());
        open.at[channel as usize] = open.last;
        let start = self.starts - 1;
        let (given, got) = (Vec::new(), Vec::new());
        self.operations.push(Operation { event, start, channel, asked, given, came: None, got, after: 0 });
    }

    fn end(&mut self, channel: Channel, came: Event<'t>, open: &mut Open) {
        open.last = open.at[channel as usize].take();
        let Some(at) = open.last else { return };
        let other = 1 - channel as usize;
        (self.operations[at].came, self.operations[at].after) = (Some(came), open.ended[other]);
        open.ended[channel as usize] += 1;
    }
}

/// What is under way.
#[derive(Default)]
struct Open {
    /// The operation of each channel that has no outcome yet.
    at: [Option<usize>; 2],
    /// The one whose bytes may come now.
    last: Option<usize>,
    ended: [usize; 2],
}

impl Operation<'_> {
    /// It was done.
    pub fn is_done(&self) -> bool {
        self.came.is_some_and(|came| !matches!(came, Event::Failed(_) | Event::Broken { .. }))
    }
}
