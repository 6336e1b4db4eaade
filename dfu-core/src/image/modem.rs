//! The heads of nRF91 modem updates.

/// Whether this begins a delta update: `meDu` behind four bytes that say nothing public.
pub fn is_delta(head: &[u8]) -> bool {
    head.get(4..8) == Some(b"meDu")
}

/// Whether this begins a full update: a tagged COSE_Sign1 (RFC 9052 section 4.2) whose protected header is
/// `{1: -37}` (PS256, RFC 8230) and whose unprotected header is empty, then a payload of 24 bytes or more.
///
/// Nordic's own check looks at the first two bytes alone, which any COSE_Sign1 passes.
pub fn is_full(head: &[u8]) -> bool {
    const COSE_SIGN1_PS256: [u8; 8] = [0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x24, 0xa0];
    head.starts_with(&COSE_SIGN1_PS256) && matches!(head.get(8), Some(0x58 | 0x59))
}
