//! [`Events`]: what is in a trace, from its bytes.

use core::fmt;

use crate::event::{Event, VERSION};
use crate::wire::{Cursor, MAGIC, START};

/// The events of a trace, one after the other. The first is [`Event::Start`]; behind an error there is none.
#[derive(Debug)]
pub struct Events<'t> {
    bytes: &'t [u8],
    at: usize,
    ended: bool,
}

impl<'t> Events<'t> {
    /// Reads a trace, if it is one by its first bytes.
    pub fn new(trace: &'t [u8]) -> Result<Self, TraceError> {
        if trace.is_empty() {
            return Err(TraceError::Empty);
        }
        let begins = trace.iter().zip(core::iter::once(&START).chain(MAGIC)).all(|(byte, magic)| byte == magic);
        if !begins {
            return Err(TraceError::Foreign);
        }
        Cursor { bytes: trace, at: 0 }.event()?;
        Ok(Self { bytes: trace, at: 0, ended: false })
    }

    /// Where the next event begins, in bytes.
    pub fn offset(&self) -> usize {
        self.at
    }
}

impl<'t> Iterator for Events<'t> {
    type Item = Result<Event<'t>, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.at >= self.bytes.len() {
            return None;
        }
        let mut cursor = Cursor { bytes: self.bytes, at: self.at };
        let event = cursor.event();
        self.at = cursor.at;
        self.ended = event.is_err();
        Some(event)
    }
}

/// Why bytes are no trace, or no whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceError {
    /// There is nothing.
    Empty,
    /// It does not begin as a trace does.
    Foreign,
    /// It is of a version of the format that is not known here.
    Version(u8),
    /// It ends amid an event. What comes before it is good.
    Truncated {
        /// How many bytes there are.
        at: usize,
    },
    /// There is no such event.
    Malformed {
        /// Where, in bytes.
        at: usize,
    },
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty file, no trace"),
            Self::Foreign => f.write_str("no trace: it does not begin with `DFUT`"),
            Self::Version(version) => write!(f, "a trace of version {version}; {VERSION} is known here"),
            Self::Truncated { at } => write!(f, "the trace ends amid an event, after {at} bytes"),
            Self::Malformed { at } => write!(f, "no event at byte {at} of the trace"),
        }
    }
}

impl core::error::Error for TraceError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{About, Geometry};
    use crate::wire::Line;
    use embedded_io_async::ErrorKind;
    use embedded_storage::nor_flash::NorFlashErrorKind;
    use std::vec::Vec;

    const START: Event<'_> = Event::Start(Geometry { write: 4, erase: 4096, read: 1, capacity: u32::MAX });
    const ALL: [Event<'_>; 19] = [
        START,
        Event::Read { at: 0, len: 127 },
        Event::Write { at: 128, len: 16_384, sum: 0x1234_5678 },
        Event::Erase { at: u32::MAX, len: 1 },
        Event::Fetched { sum: 0 },
        Event::Done,
        Event::Failed(NorFlashErrorKind::OutOfBounds),
        Event::Open { tls: true, port: 65_535, host: b"example.com" },
        Event::Send { len: 300, sum: 1 },
        Event::Flush,
        Event::Receive { len: 512 },
        Event::Ready,
        Event::Sent { len: 299 },
        Event::Received { len: 0, sum: u32::MAX },
        Event::Broken { kind: ErrorKind::TimedOut, about: About::TooBig },
        Event::Close,
        Event::Data(&[7; 64]),
        Event::Mark(9),
        Event::Lost(70_000),
    ];

    fn written() -> Vec<u8> {
        ALL.iter().flat_map(|event| Line::of(event).bytes().to_vec()).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = written();
        let read: Result<Vec<_>, _> = Events::new(&bytes).unwrap().collect();
        assert_eq!(read.unwrap(), ALL);
    }

    #[test]
    fn a_trace_that_ends_early_says_so_and_gives_what_is_whole() {
        let bytes = written();
        for end in Line::of(&START).bytes().len()..bytes.len() {
            let events: Vec<_> = Events::new(&bytes[..end]).unwrap().collect();
            let whole = events.iter().take_while(|event| event.is_ok()).count();
            assert!(events.iter().zip(ALL).take(whole).all(|(event, was)| *event == Ok(was)), "{end}");
            assert!(events[whole..].iter().all(|event| *event == Err(TraceError::Truncated { at: end })));
            assert!(whole < ALL.len() && events.len() - whole <= 1);
        }
    }

    #[test]
    fn what_is_no_trace_is_named() {
        let error = |bytes: &[u8]| match Events::new(bytes) {
            Ok(mut events) => events.find_map(Result::err).unwrap(),
            Err(error) => error,
        };
        assert_eq!(error(b""), TraceError::Empty);
        assert_eq!(error(b"PK\x03\x04"), TraceError::Foreign);
        assert_eq!(error(b"DFU"), TraceError::Truncated { at: 3 });
        assert_eq!(error(b"DFUT\x02"), TraceError::Version(2));
        let then = |bytes: &[u8]| error(&[Line::of(&START).bytes(), bytes].concat());
        let at = Line::of(&START).bytes().len();
        assert_eq!(then(&[0x77]), TraceError::Malformed { at });
        assert_eq!(then(b"DFUX"), TraceError::Malformed { at });
        assert_eq!(then(&[0x06, 3]), TraceError::Malformed { at });
        assert_eq!(then(&[0x21, 65]), TraceError::Malformed { at });
        assert_eq!(then(&[0x22, 0xff, 0xff, 0xff, 0xff, 0x10]), TraceError::Malformed { at: at + 1 });
        assert_eq!(then(&[0x22, 0x80, 0x80, 0x80, 0x80, 0x80]), TraceError::Malformed { at: at + 1 });
    }
}
