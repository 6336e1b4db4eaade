//! The options of an answer: bytes in, the few facts that matter out.

use coap_numbers::option;

use super::{Item, Items, number};

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::coap) struct Answer {
    /// Of the `ETag`; 0: there is none.
    pub(in crate::coap) tag: u32,
    /// The `ETag` is too short to be anything but a counter, which another start of the server begins anew.
    pub(in crate::coap) counter: bool,
    /// The value of `Block2`: number, 1 bit for whether there are more, 3 bits of which the size is made. Without one it
    /// is [`WHOLE`].
    pub(in crate::coap) block: u32,
    /// `Size2`, or [`UNKNOWN`].
    pub(in crate::coap) size: u32,
    /// Seconds.
    pub(in crate::coap) max_age: u32,
    /// An option that must be understood is not.
    pub(in crate::coap) critical: bool,
    /// Where its payload begins.
    pub(in crate::coap) payload: usize,
}

/// A length that nobody named.
pub(in crate::coap) const UNKNOWN: u32 = u32::MAX;

/// All of the file in one answer.
pub(in crate::coap) const WHOLE: u32 = u32::MAX;

/// What counts where a server does not say (RFC 7252, 5.10.5).
const DEFAULT_MAX_AGE: u32 = 60;

impl Answer {
    /// Reads options and payload; `None`: they are malformed.
    #[inline(never)]
    pub(in crate::coap) fn parse(rest: &[u8]) -> Option<Self> {
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
