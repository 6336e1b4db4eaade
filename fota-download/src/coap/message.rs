//! The bytes of a message (RFC 7252, 3).
//!
//! Our own: as against `coap-message-implementations`, it has no call that can panic, and a test holds it to that
//! crate's reading.

mod answer;
mod writer;

pub(super) use answer::{Answer, UNKNOWN, WHOLE};
pub(super) use writer::{Form, Writer, digit};

/// Confirmable: answered by an acknowledgement, or sent again.
pub(super) const CON: u8 = 0;
/// An acknowledgement.
pub(super) const ACK: u8 = 2;
/// What can't be made sense of.
pub(super) const RST: u8 = 3;

/// A message as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) code: u8,
    pub(super) id: u16,
    /// Of 4 bytes, as ours are.
    pub(super) token: Option<u32>,
    /// Where its options begin.
    pub(super) rest: usize,
}

impl Message {
    /// `None`: it is none, or of another version.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [first, code, high, low, rest @ ..] = bytes else { return None };
        let (token, rest) = rest.split_at_checked(usize::from(first & 15))?;
        let fits = first >> 6 == 1 && token.len() <= 8 && (*code != 0 || bytes.len() == 4);
        let rest = bytes.len().wrapping_sub(rest.len());
        let id = u16::from_be_bytes([*high, *low]);
        let token = token.try_into().ok().map(u32::from_be_bytes);
        fits.then_some(Self { kind: first >> 4 & 3, code: *code, id, token, rest })
    }
}

/// What comes next in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'b> {
    Option(u16, &'b [u8]),
    Payload(&'b [u8]),
}

/// The options of a message in their order, then its payload if it has one.
pub(super) struct Items<'b> {
    rest: &'b [u8],
    number: u16,
}

impl<'b> Items<'b> {
    pub(super) fn new(rest: &'b [u8]) -> Self {
        Self { rest, number: 0 }
    }

    /// `Some(None)`: there are no more; `None`: it is malformed.
    pub(super) fn next(&mut self) -> Option<Option<Item<'b>>> {
        let Some((first, rest)) = self.rest.split_first() else { return Some(None) };
        self.rest = rest;
        if *first == 0xff {
            self.rest = &[];
            // A marker without a payload is an error.
            return (!rest.is_empty()).then_some(Some(Item::Payload(rest)));
        }
        let delta = self.extended(first >> 4)?;
        let len = self.extended(first & 15)?;
        self.number = self.number.checked_add(delta)?;
        let (value, rest) = self.rest.split_at_checked(usize::from(len))?;
        self.rest = rest;
        Some(Some(Item::Option(self.number, value)))
    }

    /// A difference of numbers or a length, of which the first four bits are these.
    #[inline(never)]
    fn extended(&mut self, nibble: u8) -> Option<u16> {
        let (value, base, rest) = match (nibble, self.rest) {
            (0..=12, rest) => (u16::from(nibble), 0, rest),
            (13, [byte, rest @ ..]) => (u16::from(*byte), 13, rest),
            (14, [high, low, rest @ ..]) => (u16::from_be_bytes([*high, *low]), 269, rest),
            _ => return None,
        };
        self.rest = rest;
        value.checked_add(base)
    }
}

/// The number that an option's value is, of longer ones than there should be the last 4 bytes.
#[inline(never)]
pub(super) fn number(value: &[u8]) -> u32 {
    value.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// An acknowledgement or a reset, which is all there is of it.
pub(super) fn empty(kind: u8, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [1 << 6 | kind << 4, 0, high, low]
}

#[cfg(test)]
mod tests;
