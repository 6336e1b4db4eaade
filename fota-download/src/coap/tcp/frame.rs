//! The frame of a message (RFC 8323, 3.2), and what signaling messages say (5).

use coap_numbers::signaling_option::{BLOCK_WISE_TRANSFER, HOLD_OFF, MAX_MESSAGE_SIZE};

use crate::coap::message::{Item, Items, number};

/// What comes before the options.
///
/// ```text
///   0       4       8
///   │ Len   │ TKL   │ 0, 1, 2 or 4 bytes │ Code │ Token │ Options │ 0xff │ Payload │
///     │                 more of it                      └──────── Len bytes ───────┘
///     └ 13, 14, 15: is 13, 269, 65805 and what these bytes say
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) code: u8,
    /// Where its token begins, and how long that is: more than 8 bytes is an error.
    pub(super) token: usize,
    pub(super) tkl: usize,
    /// The length of what follows the token. One that doesn't fit is the largest.
    pub(super) len: u32,
}

impl Frame {
    /// `None`: more must come.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first()?;
        let (extended, base) = match first >> 4 {
            13 => (1, 13),
            14 => (2, 269),
            15 => (4, 65_805),
            small => (0, u32::from(small)),
        };
        let (more, rest) = rest.split_at_checked(extended)?;
        let (code, rest) = rest.split_first()?;
        let tkl = usize::from(first & 15);
        if tkl <= 8 && rest.len() < tkl {
            return None;
        }
        let len = number(more).saturating_add(base);
        Some(Self { code: *code, token: bytes.len().wrapping_sub(rest.len()), tkl, len })
    }

    /// Where its options begin.
    pub(super) fn rest(&self) -> usize {
        self.token.wrapping_add(self.tkl)
    }
}

/// What a CSM or a Release says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signal {
    /// Of a CSM: the longest message that the server takes.
    pub(super) message: Option<u32>,
    /// Of a CSM: it knows blocks. Of a Release: for how many seconds it wants to be left alone.
    pub(super) other: Option<u32>,
    /// An option that must be understood is not.
    pub(super) critical: bool,
    /// Where its payload begins.
    pub(super) payload: usize,
}

impl Signal {
    /// Reads options; `None`: they are malformed.
    #[inline(never)]
    pub(super) fn parse(rest: &[u8]) -> Option<Self> {
        let mut items = Items::new(rest);
        let mut signal = Self { message: None, other: None, critical: false, payload: rest.len() };
        while let Some(item) = items.next()? {
            match item {
                Item::Payload(payload) => {
                    signal.payload = rest.len().wrapping_sub(payload.len());
                    break;
                }
                Item::Option(MAX_MESSAGE_SIZE, value) => signal.message = Some(number(value)),
                // The same as `HOLD_OFF`.
                Item::Option(BLOCK_WISE_TRANSFER, value) => signal.other = Some(number(value)),
                Item::Option(option, _) => signal.critical |= option & 1 != 0,
            }
        }
        Some(signal)
    }
}

const _: () = assert!(BLOCK_WISE_TRANSFER == HOLD_OFF);

#[cfg(test)]
mod tests;
