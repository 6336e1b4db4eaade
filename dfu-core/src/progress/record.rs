//! The stored form of progress: little-endian, each record with its sequence number and a CRC-32 over all that
//! follows the CRC.
//!
//! ```text
//!      0      4      8        12      16    18     19     20    24        28   32  64      96        100
//! full │ crc │ seq │ "DFU1" │ offset │ kind │ index │ state │ size │ identity │ tag │ id │ digest │ head len │ head │ 164
//! short│ crc │ seq │ "dfu1" │ offset │ 16
//! ```

use super::{ImageId, Progress, State};
use crate::digest::Digest;
use crate::image::{HEAD_LEN, Head, ImageKind};

/// Length of a record that says everything.
pub(super) const FULL: usize = 100 + HEAD_LEN;
/// Length of a record that says how far it is by now.
pub(super) const SHORT: usize = 16;

const FULL_TAG: u32 = u32::from_le_bytes(*b"DFU1");
const SHORT_TAG: u32 = u32::from_le_bytes(*b"dfu1");

/// What a record's first [`SHORT`] bytes say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Full,
    Short,
}

impl Form {
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match word(bytes, 8)? {
            FULL_TAG => Some(Self::Full),
            SHORT_TAG => Some(Self::Short),
            _ => None,
        }
    }

    pub(super) const fn len(self) -> usize {
        match self {
            Self::Full => FULL,
            Self::Short => SHORT,
        }
    }
}

/// Writes a record's bytes; what follows them in `into` becomes zero. `into` holds [`FULL`] bytes or more.
pub(super) fn emit(form: Form, sequence: u32, progress: &Progress, into: &mut [u8]) {
    into.fill(0);
    set_word(into, 4, sequence);
    set_word(into, 12, progress.offset);
    match form {
        Form::Short => set_word(into, 8, SHORT_TAG),
        Form::Full => {
            let (state, digest) = match &progress.state {
                State::Receiving => (0, [0; 32]),
                State::Complete(digest) => (1, digest.0),
                State::Applied(digest) => (2, digest.0),
            };
            // The highest bit says that the size is known.
            let state = state | if progress.size.is_some() { 0x80 } else { 0 };
            let [low, high] = progress.kind.code().to_le_bytes();
            set_word(into, 8, FULL_TAG);
            set(into, 16, &[low, high, progress.index, state]);
            set_word(into, 20, progress.size.unwrap_or(0));
            set_word(into, 24, progress.identity);
            set_word(into, 28, progress.tag);
            set(into, 32, &progress.id.0);
            set(into, 64, &digest);
            set_word(into, 96, progress.head.len() as u32);
            set(into, 100, &progress.head);
        }
    }
    let crc = crc32(into.get(4..form.len()).unwrap_or(&[]));
    set_word(into, 0, crc);
}

/// A number that changes with everything a short record leaves out.
pub(super) fn fixed_part(full: &[u8]) -> u32 {
    crc32(full.get(16..FULL).unwrap_or(&[]))
}

/// The sequence number of a record that is whole.
pub(super) fn sequence(form: Form, bytes: &[u8]) -> Option<u32> {
    let crc = crc32(bytes.get(4..form.len())?);
    (word(bytes, 0)? == crc).then_some(word(bytes, 4)?)
}

/// The offset in a record.
pub(super) fn offset(bytes: &[u8]) -> Option<u32> {
    word(bytes, 12)
}

/// What a full record says, its CRC being right.
pub(super) fn parse(bytes: &[u8]) -> Option<Progress> {
    let &[low, high, index, state] = bytes.get(16..)?.first_chunk()?;
    let digest = Digest(*bytes.get(64..)?.first_chunk()?);
    let head = bytes.get(100..)?.get(..word(bytes, 96)? as usize)?;
    Some(Progress {
        id: ImageId(*bytes.get(32..)?.first_chunk()?),
        kind: ImageKind::from_code(u16::from_le_bytes([low, high]))?,
        index,
        size: if state & 0x80 != 0 { Some(word(bytes, 20)?) } else { None },
        identity: word(bytes, 24)?,
        tag: word(bytes, 28)?,
        offset: offset(bytes)?,
        head: Head::of(head),
        state: match state & 0x7f {
            0 => State::Receiving,
            1 => State::Complete(digest),
            2 => State::Applied(digest),
            _ => return None,
        },
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn set_word(into: &mut [u8], at: usize, value: u32) {
    set(into, at, &value.to_le_bytes());
}

fn set(into: &mut [u8], at: usize, bytes: &[u8]) {
    into.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

/// CRC-32 as in IEEE 802.3, without a table: it runs over 160 bytes once per 4 KiB.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::progress) fn progress() -> Progress {
        Progress {
            id: ImageId::named("an image"),
            kind: ImageKind::Custom(7),
            index: 3,
            size: Some(0x0102_0304),
            identity: 0x1122_3344,
            tag: 0xa1a2_a3a4,
            offset: 0x2000,
            head: Head::of(&[0x3d, 0xb8, 0xf3, 0x96, 9]),
            state: State::Complete(Digest([0x5a; 32])),
        }
    }

    #[test]
    fn the_crc_is_the_standard_one() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_full_record_comes_back_as_it_went_and_no_bit_may_change() {
        let whole = Progress { head: Head::of(&[1; HEAD_LEN]), size: None, state: State::Receiving, ..progress() };
        let empty = Progress { head: Head::of(&[]), state: State::Applied(Digest([1; 32])), ..progress() };
        for progress in [progress(), whole, empty] {
            let mut bytes = [0xee; FULL + 4];
            emit(Form::Full, 77, &progress, &mut bytes);
            assert_eq!(Form::of(&bytes), Some(Form::Full));
            assert_eq!(sequence(Form::Full, &bytes), Some(77));
            assert_eq!(parse(&bytes), Some(progress));
            for bit in 0..FULL * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(sequence(Form::Full, &bytes), None, "bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_fault() {
        for len in 0..FULL {
            let bytes = &[0xff; FULL][..len];
            assert_eq!((Form::of(bytes), parse(bytes)), (None, None));
        }
        assert_eq!(parse(&[0xff; FULL]), None);
    }
}
