//! The bytes of a message (RFC 7252, 3).
//!
//! Our own: as against `coap-message-implementations`, it has no call that can panic, and a test holds it to that
//! crate's reading.

use coap_numbers::option;

use super::part;

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

/// A length that fits no buffer, and from which on can be counted.
const TOO_LONG: usize = usize::MAX / 2;

/// Writes a message. What doesn't fit the buffer is counted only.
pub(super) struct Writer<'b> {
    buf: &'b mut [u8],
    number: u16,
    len: usize,
}

impl<'b> Writer<'b> {
    pub(super) fn new(buf: &'b mut [u8], code: u8, id: u16, token: [u8; 4]) -> Self {
        let mut new = Self { buf, number: 0, len: 0 };
        let [high, low] = id.to_be_bytes();
        let [a, b, c, d] = token;
        new.put([1 << 6 | CON << 4 | 4, code, high, low, a, b, c, d].into_iter());
        new
    }

    /// An option; they are to come in the order of their numbers.
    #[inline(never)]
    pub(super) fn option(&mut self, number: u16, value: &[u8], form: Form) {
        let delta = number.wrapping_sub(core::mem::replace(&mut self.number, number));
        let value = Text(value, form);
        let len = value.clone().count();
        self.head(delta, len as u16);
        self.put(value);
        if form != Form::Plain && len > 255 {
            self.len = TOO_LONG;
        }
    }

    #[inline(never)]
    fn head(&mut self, delta: u16, len: u16) {
        let at = self.len;
        self.byte(0);
        let first = self.extended(delta) << 4 | self.extended(len);
        if let Some(place) = self.buf.get_mut(at) {
            *place = first;
        }
    }

    #[inline(never)]
    fn extended(&mut self, value: u16) -> u8 {
        let [high, low] = value.wrapping_sub(269).to_be_bytes();
        match value {
            0..=12 => value as u8,
            13..=268 => {
                self.byte(value.wrapping_sub(13) as u8);
                13
            }
            _ => {
                self.byte(high);
                self.byte(low);
                14
            }
        }
    }

    /// An option whose value is a number, in as few bytes as it takes.
    pub(super) fn number(&mut self, option: u16, value: u32) {
        let bytes = value.to_be_bytes();
        let zeros = value.leading_zeros() / 8;
        self.option(option, bytes.get(zeros as usize..).unwrap_or_default(), Form::Plain);
    }

    #[inline(never)]
    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.buf.get_mut(self.len) {
            *place = byte;
        }
        self.len = self.len.wrapping_add(1);
    }

    fn put(&mut self, bytes: impl Iterator<Item = u8>) {
        bytes.for_each(|byte| self.byte(byte));
    }

    /// The length of the message, which is longer than the buffer if it did not fit.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// How a text is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// In lower case.
    Lower,
    /// With escapes, which are good.
    Escaped,
}

/// The bytes that a text stands for.
#[derive(Clone)]
pub(super) struct Text<'t>(pub(super) &'t [u8], pub(super) Form);

impl Iterator for Text<'_> {
    type Item = u8;

    #[inline(never)]
    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = match self.0 {
            [b'%', high, low, rest @ ..] if self.1 == Form::Escaped => (digit(*high)? << 4 | digit(*low)?, rest),
            [byte, rest @ ..] => (if self.1 == Form::Lower { byte.to_ascii_lowercase() } else { *byte }, rest),
            [] => return None,
        };
        self.0 = rest;
        Some(byte)
    }
}

/// The value of a hexadecimal digit.
pub(super) fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// An acknowledgement or a reset, which is all there is of it.
pub(super) fn empty(kind: u8, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [1 << 6 | kind << 4, 0, high, low]
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Of the `ETag`; 0: there is none.
    pub(super) tag: u32,
    /// The `ETag` is too short to be anything but a counter, which another start of the server begins anew.
    pub(super) counter: bool,
    /// The value of `Block2`: number, 1 bit for whether there are more, 3 bits of which the size is made. Without one it
    /// is [`WHOLE`].
    pub(super) block: u32,
    /// `Size2`, or [`UNKNOWN`].
    pub(super) size: u32,
    /// Seconds.
    pub(super) max_age: u32,
    /// An option that must be understood is not.
    pub(super) critical: bool,
    /// Where its payload begins.
    pub(super) payload: usize,
}

/// A length that nobody named.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// All of the file in one answer.
pub(super) const WHOLE: u32 = u32::MAX;

/// What counts where a server does not say (RFC 7252, 5.10.5).
const DEFAULT_MAX_AGE: u32 = 60;

impl Answer {
    /// Reads options and payload; `None`: they are malformed.
    #[inline(never)]
    pub(super) fn parse(rest: &[u8]) -> Option<Self> {
        let mut items = Items::new(rest);
        let mut answer = Self {
            tag: 0,
            counter: false,
            block: WHOLE,
            size: UNKNOWN,
            max_age: DEFAULT_MAX_AGE,
            critical: false,
            payload: rest.len(),
        };
        while let Some(item) = items.next()? {
            let (option, value) = match item {
                Item::Payload(payload) => {
                    answer.payload = rest.len().wrapping_sub(payload.len());
                    break;
                }
                Item::Option(option, value) => (option, value),
            };
            let number = number(value);
            match option {
                option::ETAG => {
                    answer.tag = tag(value);
                    answer.counter = value.len() < 4;
                }
                option::SIZE2 => answer.size = number,
                option::MAX_AGE => answer.max_age = number,
                option::BLOCK2 if answer.block == WHOLE && number < 1 << 24 => answer.block = number,
                _ => answer.critical |= option & 1 != 0,
            }
        }
        Some(answer)
    }
}

/// The 32-bit name (FNV-1a) of an `ETag`, never 0.
fn tag(etag: &[u8]) -> u32 {
    let hash = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    etag.iter().fold(0x811c_9dc5, hash).max(1)
}

/// The parts of a text between these bytes, at least one.
pub(super) struct Parts<'t>(pub(super) Option<&'t [u8]>, pub(super) u8);

impl<'t> Iterator for Parts<'t> {
    type Item = &'t [u8];

    fn next(&mut self) -> Option<&'t [u8]> {
        let text = self.0?;
        let end = text.iter().take_while(|byte| **byte != self.1).count();
        self.0 = text.get(end.wrapping_add(1)..);
        Some(part(text, 0, end))
    }
}

#[cfg(test)]
mod tests;
