//! Writes a request.

use super::CON;

/// A length that fits no buffer, and from which on can be counted.
const TOO_LONG: usize = usize::MAX / 2;

/// Writes a message. What doesn't fit the buffer is counted only.
pub(in crate::coap) struct Writer<'b> {
    buf: &'b mut [u8],
    number: u16,
    len: usize,
}

impl<'b> Writer<'b> {
    pub(in crate::coap) fn new(buf: &'b mut [u8], code: u8, id: u16, token: [u8; 4]) -> Self {
        let mut new = Self { buf, number: 0, len: 0 };
        let [high, low] = id.to_be_bytes();
        let [a, b, c, d] = token;
        new.put([1 << 6 | CON << 4 | 4, code, high, low, a, b, c, d].into_iter());
        new
    }

    #[cfg(feature = "coap-tcp")]
    pub(in crate::coap) fn over_tcp(buf: &'b mut [u8]) -> Self {
        Self { buf, number: 0, len: 0 }
    }

    /// Begins a message over TCP, which has options of this length.
    #[cfg(feature = "coap-tcp")]
    #[inline(never)]
    pub(in crate::coap) fn frame(&mut self, options: usize, code: u8, token: &[u8]) {
        self.head(options as u16, token.len() as u16);
        self.byte(code);
        self.put(token.iter().copied());
        self.number = 0;
    }

    /// An option; they are to come in the order of their numbers.
    #[inline(never)]
    pub(in crate::coap) fn option(&mut self, number: u16, value: &[u8], form: Form) {
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
    pub(in crate::coap) fn number(&mut self, option: u16, value: u32) {
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
    pub(in crate::coap) fn len(&self) -> usize {
        self.len
    }
}

/// How a text is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::coap) enum Form {
    /// As it is.
    Plain,
    /// In lower case.
    Lower,
    /// With escapes, which are good.
    Escaped,
}

/// The bytes that a text stands for.
#[derive(Clone)]
pub(in crate::coap) struct Text<'t>(pub(in crate::coap) &'t [u8], pub(in crate::coap) Form);

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
pub(in crate::coap) fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
