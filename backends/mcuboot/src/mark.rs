//! What the mark of a slot is, compared with the request that is wanted.

use crate::Slot;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// All erased.
    Blank,
    /// The request, whole.
    Requested,
    /// Anything else: half written, or another request.
    Other,
}

impl Found {
    /// Looks at the last bytes of a slot.
    pub(crate) fn of(slot: &Slot, bytes: &[u8]) -> Self {
        // The bits in which it differs from each.
        let (mut requested, mut blank) = (0, 0);
        let pairs = bytes.iter().rev().zip(slot.request.iter().rev());
        pairs.take(slot.mark_len).for_each(|(byte, wanted)| {
            requested |= byte ^ wanted;
            blank |= byte ^ slot.config.erased;
        });
        match (requested, blank) {
            (0, _) => Self::Requested,
            (_, 0) => Self::Blank,
            _ => Self::Other,
        }
    }
}
