//! [`Recorder`]: writes events down.

use core::cell::RefCell;

use crate::event::{Event, Geometry};
use crate::sink::Sink;
use crate::wire::{DATA, Line};

/// Writes events into a sink. A [`Traced`](crate::Traced) flash and connector share one, on one thread.
#[derive(Debug)]
pub struct Recorder<S> {
    state: RefCell<State<S>>,
    pub(crate) flash_bytes: bool,
    #[cfg(feature = "connect")]
    pub(crate) sent_bytes: bool,
    #[cfg(feature = "connect")]
    pub(crate) received_bytes: bool,
}

#[derive(Debug)]
struct State<S> {
    sink: S,
    lost: u32,
    /// Of these, so many are not written down yet.
    untold: u32,
}

impl<S: Sink> Recorder<S> {
    /// Begins a trace of a flash of this geometry; after a reset into the same sink, the next part of it.
    pub fn new(sink: S, geometry: Geometry) -> Self {
        let state = RefCell::new(State { sink, lost: 0, untold: 0 });
        let recorder = Self {
            state,
            flash_bytes: false,
            #[cfg(feature = "connect")]
            sent_bytes: false,
            #[cfg(feature = "connect")]
            received_bytes: false,
        };
        recorder.put(Event::Start(geometry));
        recorder
    }

    /// Keeps the bytes that are programmed. Where they came over the connection, once is enough.
    #[must_use]
    pub fn flash_bytes(self, keep: bool) -> Self {
        Self { flash_bytes: keep, ..self }
    }

    /// Keeps the bytes that are sent, with the tokens and passwords in them.
    #[cfg(feature = "connect")]
    #[must_use]
    pub fn sent_bytes(self, keep: bool) -> Self {
        Self { sent_bytes: keep, ..self }
    }

    /// Keeps the bytes that are received: what a replay of the connection takes.
    #[cfg(feature = "connect")]
    #[must_use]
    pub fn received_bytes(self, keep: bool) -> Self {
        Self { received_bytes: keep, ..self }
    }

    /// Writes a number of the program's own down: a time, a state, what comes next.
    pub fn mark(&self, number: u32) {
        self.put(Event::Mark(number));
    }

    /// How many events the sink did not take.
    pub fn lost(&self) -> u32 {
        self.state.try_borrow().map_or(0, |state| state.lost)
    }

    /// The sink, and with it the trace.
    pub fn into_sink(self) -> S {
        self.state.into_inner().sink
    }

    pub(crate) fn put(&self, event: Event<'_>) {
        // A sink that records itself: nothing of that is written down.
        let Ok(mut state) = self.state.try_borrow_mut() else { return };
        let state = &mut *state;
        if state.untold > 0 && state.sink.put(Line::of(&Event::Lost(state.untold)).bytes()) {
            state.untold = 0;
        }
        if state.untold > 0 || !state.sink.put(Line::of(&event).bytes()) {
            state.lost = state.lost.saturating_add(1);
            state.untold = state.untold.saturating_add(1);
        }
    }

    /// The bytes of the event before.
    pub(crate) fn data(&self, keep: bool, bytes: &[u8]) {
        if keep {
            bytes.chunks(DATA).for_each(|part| self.put(Event::Data(part)));
        }
    }
}

/// The CRC-32 of bytes as traces have it.
pub fn sum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Events};
    use std::vec::Vec;

    /// Has no room for some.
    struct Full {
        bytes: Vec<u8>,
        refuses: core::ops::Range<usize>,
        asked: usize,
    }

    impl Sink for Full {
        fn put(&mut self, event: &[u8]) -> bool {
            self.asked = self.asked.saturating_add(1);
            let takes = !self.refuses.contains(&self.asked);
            if takes {
                self.bytes.extend(event);
            }
            takes
        }
    }

    #[test]
    fn what_was_lost_is_told_where_it_was() {
        let geometry = Geometry { write: 4, erase: 4096, read: 1, capacity: 8192 };
        let recorder = Recorder::new(Full { bytes: Vec::new(), refuses: 3..6, asked: 0 }, geometry);
        (0..6).for_each(|number| recorder.mark(number));
        assert_eq!(recorder.lost(), 3);
        let sink = recorder.into_sink();
        let events: Vec<_> = Events::new(&sink.bytes).unwrap().map(Result::unwrap).collect();
        assert_eq!(events[1..], [Event::Mark(0), Event::Lost(3), Event::Mark(4), Event::Mark(5)]);
    }

    #[test]
    fn the_sum_is_the_standard_one() {
        assert_eq!(sum(b"123456789"), 0xcbf4_3926);
    }
}
