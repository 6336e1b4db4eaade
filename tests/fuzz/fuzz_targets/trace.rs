//! Any bytes as a trace that a device recorded.
//!
//! What must hold: nothing panics, and each event is one line. A trace is read exactly as a plain reading of its
//! format's table reads it, whole or cut anywhere, and ends for the same reason. Operations are those events put
//! together. What they do to a flash, and where they misuse it, is what they do to an array of bytes.
#![no_main]

use dfu_fuzz::Bytes;
use dfu_testkit::flash::SimFlash;
use dfu_testkit::trace::{
    About, Channel, Event, Events, Geometry, Operation, Replay, Trace, TraceError, Unfit, Violation, sum,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let [shape, cut, more_cut] = bytes.array();
    // Most of what is no trace is so by its first bytes.
    let front: &[u8] = if shape & 1 == 0 { b"DFUT\x01\x04\x40\x01\x80\x04" } else { b"" };
    let file = [front, bytes.0].concat();
    let cut = usize::from(u16::from_le_bytes([cut, more_cut])) % (file.len() + 1);
    check(&file);
    check(&file[..cut]);
});

/// What the front above says.
type Flash = SimFlash<4, 64>;
const CAPACITY: usize = 512;
const GEOMETRY: Geometry = Geometry { write: 4, erase: 64, read: 1, capacity: CAPACITY as u32 };

fn check(file: &[u8]) {
    let (events, stop) = read(file);
    let (lines, plain_stop) = plain(file);
    assert_eq!(stop, plain_stop, "{events:?}");
    assert_eq!(events.iter().map(Line::of).collect::<Vec<_>>(), lines);
    for event in &events {
        let text = event.to_string();
        assert!(!text.contains(char::is_control), "{text:?} is not one line");
    }
    match Trace::whole_of(file) {
        Ok((trace, error)) => {
            assert_eq!(error, stop);
            put_together(&trace, &events);
            done_to_a_flash(&trace);
            let _ = Replay::new(&trace);
            assert_eq!(Trace::parse(file).err(), stop);
        }
        Err(error) => assert!(events.is_empty() && stop == Some(error)),
    }
}

/// All events, and why there are no more.
fn read(file: &[u8]) -> (Vec<Event<'_>>, Option<TraceError>) {
    let mut events = match Events::new(file) {
        Ok(events) => events,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut all = Vec::new();
    loop {
        let before = events.offset();
        match events.next() {
            Some(Ok(event)) => all.push(event),
            end => {
                assert!(events.next().is_none(), "something comes behind the end");
                return (all, end.and_then(Result::err));
            }
        }
        assert!(before < events.offset() && events.offset() <= file.len());
    }
}

/// An event as the table has it: its tag, its numbers, its bytes.
#[derive(Debug, PartialEq)]
struct Line {
    tag: u8,
    numbers: Vec<u32>,
    bytes: Vec<u8>,
}

impl Line {
    fn of(event: &Event<'_>) -> Self {
        let (tag, numbers, bytes): (u8, &[u32], &[u8]) = match event {
            Event::Start(of) => (0x44, &[of.write, of.erase, of.read, of.capacity], b""),
            Event::Read { at, len } => (0x01, &[*at, *len], b""),
            Event::Write { at, len, sum } => (0x02, &[*at, *len, *sum], b""),
            Event::Erase { at, len } => (0x03, &[*at, *len], b""),
            Event::Fetched { sum } => (0x04, &[*sum], b""),
            Event::Done => (0x05, &[], b""),
            Event::Failed(_) => (0x06, &[], b""),
            Event::Open { tls, port, host } => (0x11, &[u32::from(*tls), u32::from(*port)], host),
            Event::Send { len, sum } => (0x12, &[*len, *sum], b""),
            Event::Flush => (0x13, &[], b""),
            Event::Receive { len } => (0x14, &[*len], b""),
            Event::Ready => (0x15, &[], b""),
            Event::Sent { len } => (0x16, &[*len], b""),
            Event::Received { len, sum } => (0x17, &[*len, *sum], b""),
            Event::Broken { about, .. } => {
                let about = [About::Network, About::Tls, About::TooBig].iter().position(|one| one == about);
                (0x18, &[about.expect("one of three") as u32], b"")
            }
            Event::Close => (0x19, &[], b""),
            Event::Data(bytes) => (0x21, &[], bytes),
            Event::Mark(number) => (0x22, &[*number], b""),
            Event::Lost(events) => (0x23, &[*events], b""),
            other => panic!("not in the table: {other:?}"),
        };
        Self { tag, numbers: numbers.to_vec(), bytes: bytes.to_vec() }
    }
}

/// A field of the table, and the one that stops at a value that is not in it.
enum Field {
    Number,
    Port,
    Sum,
    /// One of so many.
    Choice(u8),
    /// The same for the kind of an error, which is not looked at here.
    Kind(u8),
    Bytes,
}

const TABLE: [(u8, &[Field]); 19] = [
    (0x44, &[Field::Number, Field::Number, Field::Number, Field::Number]),
    (0x01, &[Field::Number, Field::Number]),
    (0x02, &[Field::Number, Field::Number, Field::Sum]),
    (0x03, &[Field::Number, Field::Number]),
    (0x04, &[Field::Sum]),
    (0x05, &[]),
    (0x06, &[Field::Kind(3)]),
    (0x11, &[Field::Choice(2), Field::Port, Field::Bytes]),
    (0x12, &[Field::Number, Field::Sum]),
    (0x13, &[]),
    (0x14, &[Field::Number]),
    (0x15, &[]),
    (0x16, &[Field::Number]),
    (0x17, &[Field::Number, Field::Sum]),
    (0x18, &[Field::Kind(18), Field::Choice(3)]),
    (0x19, &[]),
    (0x21, &[Field::Bytes]),
    (0x22, &[Field::Number]),
    (0x23, &[Field::Number]),
];

/// A trace by the table alone.
fn plain(file: &[u8]) -> (Vec<Line>, Option<TraceError>) {
    if file.is_empty() {
        return (Vec::new(), Some(TraceError::Empty));
    }
    if !b"DFUT".starts_with(&file[..file.len().min(4)]) {
        return (Vec::new(), Some(TraceError::Foreign));
    }
    let (mut lines, mut rest) = (Vec::new(), file);
    while !rest.is_empty() {
        match line(&mut rest, file.len()) {
            Ok(line) => lines.push(line),
            // It lacks something that a field wants.
            Err(None) => return (lines, Some(TraceError::Truncated { at: file.len() })),
            Err(error) => return (lines, error),
        }
    }
    (lines, None)
}

/// Takes one event off the front of what is left of a file of `len` bytes. `None`: it ends too early.
fn line(rest: &mut &[u8], len: usize) -> Result<Line, Option<TraceError>> {
    let malformed = |rest: &[u8]| Some(TraceError::Malformed { at: len - rest.len() });
    let from = malformed(rest);
    let [tag] = take(rest)?;
    let (_, fields) = TABLE.iter().find(|(other, _)| *other == tag).ok_or(from)?;
    if tag == 0x44 {
        if take(rest)? != *b"FUT" {
            return Err(from);
        }
        match take(rest)? {
            [1] => {}
            [version] => return Err(Some(TraceError::Version(version))),
        }
    }
    let mut line = Line { tag, numbers: Vec::new(), bytes: Vec::new() };
    for field in *fields {
        match field {
            Field::Number | Field::Port => {
                let beyond = malformed(rest);
                let (mut number, mut shift) = (0, 0);
                loop {
                    let [byte] = take(rest)?;
                    number |= u64::from(byte & 0x7f) << shift;
                    shift += 7;
                    match byte & 0x80 {
                        0 => break,
                        _ if shift == 35 => return Err(beyond),
                        _ => {}
                    }
                }
                line.numbers.push(u32::try_from(number).map_err(|_| beyond)?);
                if matches!(field, Field::Port) && number > 0xffff {
                    return Err(from);
                }
            }
            Field::Sum => line.numbers.push(u32::from_le_bytes(take(rest)?)),
            Field::Choice(most) | Field::Kind(most) => {
                let [choice] = take(rest)?;
                if choice >= *most {
                    return Err(from);
                }
                if matches!(field, Field::Choice(_)) {
                    line.numbers.push(choice.into());
                }
            }
            Field::Bytes => {
                let [count] = take(rest)?;
                if count > 64 {
                    return Err(from);
                }
                line.bytes = rest.split_off(..usize::from(count)).ok_or(None)?.to_vec();
            }
        }
    }
    Ok(line)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Option<TraceError>> {
    let (first, behind) = rest.split_first_chunk().ok_or(None)?;
    *rest = behind;
    Ok(*first)
}

/// Each operation is one of the events, with the outcome that comes next on its channel, and the bytes behind either.
fn put_together(trace: &Trace<'_>, events: &[Event<'_>]) {
    let mut operations = trace.operations.iter();
    let (mut starts, mut lost) = (0, 0_u32);
    for (nth, event) in events.iter().enumerate() {
        match event {
            Event::Start(_) => starts += 1,
            Event::Lost(events) => lost = lost.saturating_add(*events),
            _ => {}
        }
        let Some((channel, true)) = place(event) else { continue };
        let operation = operations.next().expect("an operation for each that was asked for");
        assert_eq!((operation.event, operation.channel, operation.asked), (nth, channel, *event));
        assert_eq!((operation.start + 1, &operation.given), (starts, &kept(&events[nth + 1..])));
        let next = events[nth + 1..].iter().position(|event| {
            matches!(event, Event::Start(_) | Event::Lost(_)) || place(event).is_some_and(|(of, _)| of == channel)
        });
        let outcome = next.map(|next| nth + 1 + next).filter(|next| matches!(place(&events[*next]), Some((_, false))));
        assert_eq!(operation.came, outcome.map(|outcome| events[outcome]));
        assert_eq!(operation.got, outcome.map_or(Vec::new(), |outcome| kept(&events[outcome + 1..])));
    }
    assert!(operations.next().is_none());
    assert_eq!((trace.starts, trace.lost), (starts, lost));
}

/// Of which channel an event is, and whether it asks for something; else it is what came of it.
fn place(event: &Event<'_>) -> Option<(Channel, bool)> {
    match Line::of(event).tag {
        1..=3 => Some((Channel::Flash, true)),
        4..=6 => Some((Channel::Flash, false)),
        0x11..=0x14 => Some((Channel::Network, true)),
        0x15..=0x18 => Some((Channel::Network, false)),
        _ => None,
    }
}

fn kept(events: &[Event<'_>]) -> Vec<u8> {
    let parts = events.iter().map_while(|event| if let Event::Data(bytes) = event { Some(*bytes) } else { None });
    parts.flatten().copied().collect()
}

/// What is known of a byte of the flash.
#[derive(Clone, Copy)]
struct Cell {
    byte: u8,
    programmed: bool,
    unknown: bool,
}

/// The same once more on an array, byte by byte.
fn done_to_a_flash(trace: &Trace<'_>) {
    let mut flash = Flash::new(CAPACITY);
    let rewritten = trace.rewrite(&mut flash);
    let violations = trace.violations();
    if trace.geometry != GEOMETRY {
        assert_eq!(rewritten, Err(Unfit::Geometry(trace.geometry)));
        return;
    }
    let mut cells = [Cell { byte: 0xff, programmed: false, unknown: false }; CAPACITY];
    let (mut found, mut unlike, mut missing) = (Vec::new(), Vec::new(), None);
    for operation in trace.of(Channel::Flash) {
        let violation = match step(&mut cells, operation) {
            Ok(true) => None,
            Ok(false) => {
                unlike.push(operation.event);
                None
            }
            Err(violation) => Some(violation),
        };
        found.extend(violation.map(|violation| (operation.event, violation)));
        let is_skipped = matches!(violation, Some(Violation::Unaligned | Violation::OutOfBounds));
        if let (Event::Write { len, .. }, false) = (operation.asked, is_skipped)
            && len as usize != operation.given.len()
        {
            missing = missing.or(Some(operation.event));
        }
    }
    assert_eq!(violations, found);
    let rewritten = match (trace.lost, missing) {
        (1.., _) => return assert_eq!(rewritten, Err(Unfit::Lost(trace.lost))),
        (0, Some(event)) => return assert_eq!(rewritten, Err(Unfit::NoBytes(event))),
        (0, None) => rewritten.expect("all of it is there"),
    };
    assert_eq!((rewritten.violations, rewritten.unlike), (violations, unlike));
    for (at, cell) in cells.iter().enumerate() {
        let unknown = rewritten.unknown.iter().any(|range| range.contains(&(at as u32)));
        assert_eq!((flash.bytes()[at], unknown), (cell.byte, cell.unknown), "at {at:#x}");
    }
}

/// One operation; whether it gave what is there, as far as that is known.
fn step(cells: &mut [Cell; CAPACITY], operation: &Operation<'_>) -> Result<bool, Violation> {
    let (at, len, unit) = match operation.asked {
        Event::Read { at, len } => (at, len, GEOMETRY.read),
        Event::Write { at, len, .. } => (at, len, GEOMETRY.write),
        Event::Erase { at, len } => (at, len, GEOMETRY.erase),
        _ => return Ok(true),
    };
    if at % unit != 0 || len % unit != 0 {
        return Err(Violation::Unaligned);
    }
    let end = u64::from(at) + u64::from(len);
    let range = cells.get_mut(at as usize..end as usize).ok_or(Violation::OutOfBounds)?;
    match operation.asked {
        Event::Read { .. } => {
            let bytes: Vec<u8> = range.iter().map(|cell| cell.byte).collect();
            let unknown = range.iter().any(|cell| cell.unknown);
            return Ok(
                unknown || !matches!(operation.came, Some(Event::Fetched { sum: other }) if other != sum(&bytes))
            );
        }
        Event::Write { .. } => {
            let twice = range.iter().position(|cell| cell.programmed);
            for (cell, byte) in range.iter_mut().zip(operation.given.iter().map(Some).chain(std::iter::repeat(None))) {
                cell.programmed = true;
                match byte {
                    Some(byte) if operation.is_done() => cell.byte &= byte,
                    _ => cell.unknown = true,
                }
            }
            if let Some(twice) = twice {
                return Err(Violation::Twice { at: at + twice as u32 });
            }
        }
        _ if operation.is_done() => range.fill(Cell { byte: 0xff, programmed: false, unknown: false }),
        _ => range.iter_mut().for_each(|cell| cell.unknown = true),
    }
    Ok(true)
}
