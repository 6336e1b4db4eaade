//! The bytes of files that are nobody's firmware, and what "decrypting" makes of them.

use alloc::vec::Vec;

/// The first `len` bytes of segment number `segment` that begins at `address`: the word at 4·i is
/// `((address + 4·i) ^ (segment << 28)) · 0x9e37_79b1`, lowest byte first.
pub fn fill(segment: u32, address: u32, len: usize) -> Vec<u8> {
    let word = |at: u32| (address.wrapping_add(at) ^ segment << 28).wrapping_mul(0x9e37_79b1).to_le_bytes();
    (0..len as u32).step_by(4).flat_map(word).take(len).collect()
}

/// What the modem's flash holds of bytes of a file, and the other way round. What lies at or above [`HIGH`] is as it
/// is in the file.
pub(super) fn decrypted(address: u32, bytes: &[u8]) -> Vec<u8> {
    let mask = if address < HIGH { 0x5a } else { 0 };
    bytes.iter().map(|byte| byte ^ mask).collect()
}

/// Where addresses begin that are no part of a digest.
pub(super) const HIGH: u32 = 0x0100_0000;
/// Where the header block of a firmware lies.
pub(super) const HEADER: u32 = 0x5960_2000;
