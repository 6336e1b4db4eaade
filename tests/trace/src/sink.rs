//! [`Sink`]: where events go.

/// The most bytes of one event.
pub const MAX_EVENT: usize = 72;

/// Where events go.
pub trait Sink {
    /// Takes one event, wholly, or says that it can't: it is lost then, and counted. Not the place to wait.
    fn put(&mut self, event: &[u8]) -> bool;
}

impl<S: Sink> Sink for &mut S {
    fn put(&mut self, event: &[u8]) -> bool {
        S::put(self, event)
    }
}

/// Memory for the first events, as many as fit.
#[derive(Debug)]
pub struct Ram<'b> {
    memory: &'b mut [u8],
    len: usize,
}

impl<'b> Ram<'b> {
    /// Records into `memory`.
    pub fn new(memory: &'b mut [u8]) -> Self {
        Self { memory, len: 0 }
    }

    /// The trace.
    pub fn bytes(&self) -> &[u8] {
        self.memory.get(..self.len).unwrap_or(&[])
    }
}

impl Sink for Ram<'_> {
    fn put(&mut self, event: &[u8]) -> bool {
        append(self.memory, &mut self.len, event)
    }
}

/// Memory for the newest events: at least those that fill half of it. For what went wrong after days.
#[derive(Debug)]
pub struct Latest<'b> {
    /// The start, and then an event that tells how many were forgotten.
    head: [u8; MAX_EVENT],
    start: usize,
    halves: [Half<'b>; 2],
    forgotten: u32,
    lost: [u8; 6],
}

#[derive(Debug)]
struct Half<'b> {
    memory: &'b mut [u8],
    len: usize,
    events: u32,
}

impl<'b> Latest<'b> {
    /// Records into `memory`, of twice 72 bytes or more.
    pub fn new(memory: &'b mut [u8]) -> Self {
        let (a, b) = memory.split_at_mut(memory.len() / 2);
        let halves = [a, b].map(|memory| Half { memory, len: 0, events: 0 });
        Self { head: [0; MAX_EVENT], start: 0, halves, forgotten: 0, lost: [0; 6] }
    }

    /// The trace: what is in these four, one behind the other.
    pub fn parts(&mut self) -> [&[u8]; 4] {
        let mut len = 0;
        if self.forgotten > 0 {
            let line = crate::wire::Line::of(&crate::Event::Lost(self.forgotten));
            append(&mut self.lost, &mut len, line.bytes());
        }
        let [newer, older] = &self.halves;
        [part(&self.head, self.start), part(&self.lost, len), older.bytes(), newer.bytes()]
    }
}

impl Sink for Latest<'_> {
    fn put(&mut self, event: &[u8]) -> bool {
        if self.start == 0 {
            return append(&mut self.head, &mut self.start, event);
        }
        if !self.halves[0].put(event) {
            self.halves.swap(0, 1);
            self.forgotten = self.forgotten.saturating_add(self.halves[0].events);
            (self.halves[0].len, self.halves[0].events) = (0, 0);
            return self.halves[0].put(event);
        }
        true
    }
}

impl Half<'_> {
    fn put(&mut self, event: &[u8]) -> bool {
        let taken = append(self.memory, &mut self.len, event);
        self.events = self.events.saturating_add(u32::from(taken));
        taken
    }

    fn bytes(&self) -> &[u8] {
        part(self.memory, self.len)
    }
}

fn part(memory: &[u8], len: usize) -> &[u8] {
    memory.get(..len).unwrap_or(&[])
}

/// Appends all of `bytes`, or nothing where they do not fit.
fn append(memory: &mut [u8], len: &mut usize, bytes: &[u8]) -> bool {
    let end = len.saturating_add(bytes.len());
    match memory.get_mut(*len..end) {
        Some(room) => {
            room.copy_from_slice(bytes);
            *len = end;
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Events, Geometry, Recorder};
    use std::vec::Vec;

    const GEOMETRY: Geometry = Geometry { write: 4, erase: 4096, read: 1, capacity: 65_536 };

    fn marks(trace: &[u8]) -> Vec<Event<'_>> {
        Events::new(trace).unwrap().skip(1).map(Result::unwrap).collect()
    }

    #[test]
    fn memory_that_is_full_keeps_what_it_has_and_loses_whole_events() {
        let mut memory = [0; 20];
        let recorder = Recorder::new(Ram::new(&mut memory), GEOMETRY);
        (0..10).for_each(|number| recorder.mark(number));
        assert!(recorder.lost() > 0);
        let ram = recorder.into_sink();
        let marks = marks(ram.bytes());
        assert!(!marks.is_empty());
        assert!(marks.iter().zip(0..).all(|(mark, number)| *mark == Event::Mark(number)), "{marks:?}");
    }

    #[test]
    fn the_newest_events_are_kept_and_the_others_counted() {
        for count in [0, 1, 71, 72, 73, 144, 145, 1000] {
            let mut memory = [0; 2 * MAX_EVENT];
            let recorder = Recorder::new(Latest::new(&mut memory), GEOMETRY);
            (0..count).for_each(|number| recorder.mark(number % 100));
            assert_eq!(recorder.lost(), 0);
            let mut latest = recorder.into_sink();
            let trace = latest.parts().concat();
            let marks = marks(&trace);
            let (lost, kept) = match marks.split_first() {
                Some((Event::Lost(lost), kept)) => (*lost, kept),
                _ => (0, &marks[..]),
            };
            assert_eq!(lost + kept.len() as u32, count);
            assert!(kept.iter().zip(lost..).all(|(mark, number)| *mark == Event::Mark(number % 100)), "{kept:?}");
            assert!(lost == 0 || kept.len() >= MAX_EVENT / 2, "{count}: {}", kept.len());
        }
    }
}
