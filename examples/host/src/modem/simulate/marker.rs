//! What is to become of a staged full update, as its two markers say. For show: the library reads them by itself.

use super::area::UNIT;

/// What the newer of the two markers says.
pub(super) fn of(flash: &[u8]) -> &'static str {
    let end = flash.len() - 2 * UNIT as usize;
    let copies = flash.get(end - 2 * UNIT as usize..end).unwrap_or_default().chunks(UNIT as usize);
    copies.filter_map(read).max_by_key(|(count, _)| *count).map_or("none", |(_, stage)| stage)
}

/// Its count and its stage, where it is whole.
fn read(unit: &[u8]) -> Option<(u32, &'static str)> {
    let (record, rest) = unit.split_at_checked(48)?;
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let number = word(record, 0)?;
    let (_, stage) = STAGES.into_iter().find(|(known, _)| *known == number)?;
    (crc32(record) == word(rest, 0)?).then_some((word(record, 4)?, stage))
}

/// CRC-32 as in IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

const STAGES: [(u32, &str); 5] = [
    (0x0ff0_3cc3, "verified"),
    (0xf00f_3cc3, "programming"),
    (0x0ff0_c33c, "done"),
    (0xf00f_c33c, "refused"),
    (0xa55a_9669, "mismatch"),
];
