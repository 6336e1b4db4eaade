//! Any bytes as a progress record, and as the two units of a progress log, in flashes with words of 1 to 512 bytes.
//!
//! What must hold: nothing panics, nothing is an error, and words are written where the flash is erased. What is
//! loaded is what a plain reader of the stored form finds. After any contents, what is saved is what is loaded, at
//! once and after a reset; what is cleared is gone; and each call takes a bounded number of operations.
#![no_main]

use dfu_fuzz::{Bytes, Ram};
use dfu_target::flash::{Layout, Shared};
use dfu_target::progress::State;
use dfu_target::{Digest, ImageId, Progress, ProgressLog, ProgressStore};
use dfu_testkit::poll::run;
use dfu_testkit::record::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let shape = bytes.byte();
    if shape & 0x80 != 0 {
        return form(bytes);
    }
    match shape % 6 {
        0 => log::<1, 256, 1, 192>(bytes),
        1 => log::<4, 256, 4, 192>(bytes),
        2 => log::<4, 512, 1, 164>(bytes),
        3 => log::<8, 512, 16, 192>(bytes),
        4 => log::<32, 256, 1, 192>(bytes),
        _ => log::<512, 1024, 4, 512>(bytes),
    }
});

/// A record alone, as a store of somebody's own has it.
fn form(bytes: Bytes<'_>) {
    let bytes = bytes.0;
    let progress = Progress::from_bytes(bytes);
    assert_eq!(progress.is_some(), Plain::of(bytes).is_some());
    let (Some(progress), Some(plain)) = (progress, Plain::of(bytes)) else { return };
    assert_eq!(progress.as_bytes()[..], bytes[..Progress::LEN]);
    let said = Plain {
        offset: progress.offset(),
        size: progress.size(),
        tag: progress.tag(),
        kind: progress.kind().code(),
        state: progress.state(),
        index: progress.index(),
        identity: progress.identity(),
        id: progress.id(),
        kept: progress.kept(),
        head: progress.head(),
        attempts: progress.attempts(),
    };
    assert_eq!(said, plain);
    assert_eq!(progress.digest(), (plain.state != State::Receiving).then_some(Digest(*plain.kept)));
}

fn log<const W: usize, const E: usize, const R: usize, const N: usize>(mut bytes: Bytes<'_>) {
    let step = W.max(R);
    let [options, script @ ..] = bytes.array::<7>();
    let erased = if options & 1 == 0 { 0xff } else { 0 };
    let mut flash = Ram::<W, E, R> { cells: vec![erased; 2 * E], erased, lenient: false, operations: 0 };
    let (first, second) = flash.cells.split_at_mut(E);
    let mut full = None;
    fill(first, step, options >> 1 & 7, &mut full, &mut bytes);
    fill(second, step, options >> 4 & 7, &mut full, &mut bytes);

    let mut expected = newest(&flash.cells, E, step);
    let mut cuts = script.into_iter();
    let layout = Layout::checked([(0, 2 * E as u32)]).expect("two erase units");
    for _ in 0..2 {
        let mut operations = 0;
        let mut shared = Shared::new(&mut flash);
        let [region] = shared.split(&layout);
        // As after a reset.
        let mut store = ProgressLog::<_, N>::new(region);
        for call in cuts.by_ref().take(3) {
            operations += 3;
            match call % 4 {
                0 => assert_eq!(run(store.load()).map(|progress| *progress.as_bytes()), expected),
                1 => {
                    assert_eq!(run(store.clear()), Ok(()));
                    expected = None;
                }
                _ => {
                    // Of the same image as before, with another offset, or of another one.
                    let before = expected.and_then(|bytes| Progress::from_bytes(&bytes)).filter(|_| call & 4 == 0);
                    let mut progress = before.unwrap_or_else(|| some(call));
                    progress.set_offset(u32::from(call >> 3) << 8);
                    assert_eq!(run(store.save(&progress)), Ok(()));
                    expected = Some(*progress.as_bytes());
                }
            }
        }
        drop(store);
        // A call reads each record once or, of a full one, twice; it erases and writes once or, to clear, erases twice.
        let most = operations * (2 * E / step.max(SHORT) + 8);
        assert!(flash.operations <= most, "{} operations, {most} at the most", flash.operations);
        flash.operations = 0;
    }
    assert_eq!(newest(&flash.cells, E, step), expected);
}

/// Something to save.
fn some(choice: u8) -> Progress {
    let complete = (choice & 16 != 0).then_some(Digest([choice; 32]));
    let id = ImageId([choice; 32]);
    Record { id, complete, applied: choice & 32 != 0, head: vec![choice; 64], ..Record::default() }.progress()
}

/// Fills a unit: with what is erased, with the fuzzer's bytes, or with records one behind the other, of which some are
/// not as they should be. `full` is the last full record.
fn fill(unit: &mut [u8], step: usize, shape: u8, full: &mut Option<[u8; FULL]>, bytes: &mut Bytes<'_>) {
    let raw = match shape {
        0 => return,
        1 => unit.len(),
        2 => unit.len() / 8,
        _ => 0,
    };
    for cell in &mut unit[..raw] {
        *cell = bytes.byte();
    }
    if raw > 0 {
        return;
    }
    // KNOWN: behind the 4,294,967,294th record the order is lost; no flash is erased so often.
    let mut sequence = u32::from_le_bytes([bytes.byte(), 0, 0, if shape & 4 == 0 { 0 } else { 0x7f }]);
    let mut at = 0;
    while at < unit.len() {
        let [kind, change, place, noise] = bytes.array();
        let before: Option<[u8; FULL]> = full.filter(|_| kind & 1 != 0);
        let mut record = before.unwrap_or_else(|| {
            let mut record = [0; FULL];
            record[8..].copy_from_slice(some(change).as_bytes());
            record
        });
        let len = if before.is_some() { SHORT } else { FULL };
        sequence = sequence.wrapping_add(if kind & 6 == 6 { (kind >> 3).into() } else { 1 });
        record[4..8].copy_from_slice(&sequence.to_le_bytes());
        record[12..16].copy_from_slice(&u32::from(change).to_le_bytes());
        record[16] = change;
        if len == SHORT {
            record[8..12].copy_from_slice(b"dfu2");
        }
        let (place, noise) = (usize::from(place) % len, if kind & 0x60 == 0x60 { noise } else { 0 });
        if kind & 0x80 == 0 {
            record[place] ^= noise;
        }
        let crc = seal(&record, if len == SHORT { full.as_ref().unwrap_or(&record) } else { &record });
        record[..4].copy_from_slice(&crc.to_le_bytes());
        if kind & 0x80 != 0 {
            record[place] ^= noise;
        }
        if len == FULL {
            *full = Some(record);
        }
        let end = unit.len().min(at + len);
        unit[at..end].copy_from_slice(&record[..end - at]);
        at += len.next_multiple_of(step);
        if bytes.0.is_empty() {
            break;
        }
    }
}

const FULL: usize = 8 + Progress::LEN;
const SHORT: usize = 20;

/// The CRC of a record's first bytes, behind those of the full record that it stands for.
fn seal(record: &[u8; FULL], full: &[u8; FULL]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&full[20..]);
    crc.update(&record[4..20]);
    crc.finalize()
}

/// What a log holds, by its stored form: in each unit records one behind the other whose numbers rise by one, the first
/// of them full; the second unit counts where its first number is higher than all of the first unit's. A record whose
/// CRC is right is what somebody stored, whatever it says.
fn newest(cells: &[u8], unit: usize, step: usize) -> Option<[u8; Progress::LEN]> {
    let (first, second) = cells.split_at(unit);
    let (first, second) = (chain(first, step), chain(second, step));
    let chain = match (first, second) {
        (Some(first), Some(second)) => Some(if second.numbers.start >= first.numbers.end { second } else { first }),
        (first, second) => first.or(second),
    };
    let Chain { mut full, changes, .. } = chain?;
    full[12..20].copy_from_slice(&changes);
    full.last_chunk().copied()
}

/// A unit's records.
struct Chain {
    numbers: std::ops::Range<u64>,
    full: [u8; FULL],
    /// The offset, and four of the bytes that are kept.
    changes: [u8; 8],
}

fn chain(unit: &[u8], step: usize) -> Option<Chain> {
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let mut chain: Option<Chain> = None;
    let mut at = 0;
    loop {
        let rest = unit.get(at..).unwrap_or(&[]);
        let mut record = [0; FULL];
        let len = match rest.get(8..12) {
            Some(b"DFU2") => FULL,
            Some(b"dfu2") => SHORT,
            _ => return chain,
        };
        // What is read at once ends within the unit, too.
        if rest.len() < len {
            return chain;
        }
        record[..len].copy_from_slice(&rest[..len]);
        let number = u64::from(word(&record, 4));
        let follows = chain.as_ref().map_or(len == FULL && number > 0, |chain| chain.numbers.end == number);
        let full = if len == FULL { record } else { chain.as_ref()?.full };
        if !follows || seal(&record, &full) != word(&record, 0) {
            return chain;
        }
        let start = chain.as_ref().map_or(number, |chain| chain.numbers.start);
        let changes = *record[12..].first_chunk().unwrap();
        chain = Some(Chain { numbers: start..number + 1, full, changes });
        at += len.next_multiple_of(step);
    }
}

/// What a record says.
#[derive(Debug, PartialEq)]
struct Plain<'a> {
    offset: u32,
    size: Option<u32>,
    tag: u32,
    kind: u16,
    state: State,
    index: u8,
    identity: u32,
    id: ImageId,
    kept: &'a [u8; 32],
    head: &'a [u8],
    attempts: u8,
}

impl<'a> Plain<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_at_checked(4)?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (kept, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (tag, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let (&[state, index], rest) = rest.split_first_chunk()?;
        let (identity, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (head, rest) = rest.split_first_chunk::<64>()?;
        let (&[taken, attempts, ..], _) = rest.split_first_chunk::<4>()?;
        let kind = u16::from_le_bytes(*kind);
        let known = matches!(kind, 1..=3) || kind & 0xff == 4;
        let state = match state {
            0 => State::Receiving,
            1 => State::Complete,
            2 => State::Applied,
            _ => return None,
        };
        let sane = magic == b"DFU2" && known;
        sane.then_some(Self {
            offset: u32::from_le_bytes(*offset),
            size: Some(u32::from_le_bytes(*size)).filter(|size| *size < u32::MAX),
            tag: u32::from_le_bytes(*tag),
            kind,
            state,
            index,
            identity: u32::from_le_bytes(*identity),
            id: ImageId(*id),
            kept,
            head: head.get(..usize::from(taken))?,
            attempts,
        })
    }
}
