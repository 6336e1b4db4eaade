//! The flash map: who owns what, and a drawing of it.

use core::fmt::Write;
use core::ops::Range;

/// The flash's size in bytes.
pub(crate) const FLASH: u32 = 0x10_0000;
/// The unit of an erase.
pub(crate) const PAGE: u32 = 0x1000;

/// The slot that runs; offset and size.
pub(crate) const PRIMARY: (u32, u32) = (0xc000, SLOT);
/// The slot that takes the new image.
pub(crate) const SECONDARY: (u32, u32) = (PRIMARY.0 + SLOT, SLOT);
/// The progress of an update.
pub(crate) const LOG: (u32, u32) = (SECONDARY.0 + SLOT, 2 * PAGE);
/// What an update must leave alone.
const BOOTLOADER: (u32, u32) = (0, PRIMARY.0);
const UNUSED: (u32, u32) = (LOG.0 + LOG.1, SETTINGS.0 - LOG.0 - LOG.1);
const SETTINGS: (u32, u32) = (0xf_e000, 2 * PAGE);
/// The slots that the fixtures were signed for.
const SLOT: u32 = 0x6_9000;

/// All of the flash, in order.
pub(crate) const REGIONS: [(&str, (u32, u32)); 6] = [
    ("bootloader", BOOTLOADER),
    ("primary", PRIMARY),
    ("secondary", SECONDARY),
    ("progress", LOG),
    ("unused", UNUSED),
    ("settings", SETTINGS),
];

/// The regions of others.
pub(crate) const FOREIGN: [(u32, u32); 3] = [BOOTLOADER, UNUSED, SETTINGS];

/// From where to where a region reaches.
pub(crate) const fn range((start, size): (u32, u32)) -> Range<u32> {
    start..start + size
}

/// A region's bytes.
pub(crate) fn bytes(flash: &[u8], (start, size): (u32, u32)) -> &[u8] {
    &flash[start as usize..(start + size) as usize]
}

/// Draws the map, one mark per page.
pub(crate) fn draw(flash: &[u8]) -> String {
    let mut text = String::new();
    for (name, region) in REGIONS {
        let marks: Vec<char> = bytes(flash, region).chunks(PAGE as usize).map(mark).collect();
        for (row, marks) in marks.chunks(ROW).enumerate() {
            let start = region.0 + (row * ROW) as u32 * PAGE;
            let name = if row == 0 { name } else { "" };
            let marks = marks.iter().collect::<String>();
            let _ = writeln!(text, "{name:<10}  {start:#07x}  {marks}");
        }
    }
    text
}

/// What the marks mean.
pub(crate) const LEGEND: &str = "a mark is 4 KiB: █ programmed, ▒ in part, · erased";

fn mark(page: &[u8]) -> char {
    match page.chunks(4).filter(|word| **word != [0xff; 4]).count() {
        0 => '·',
        words if words * 4 == page.len() => '█',
        _ => '▒',
    }
}

/// Two rows for a slot.
const ROW: usize = 53;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_regions_cover_the_flash_without_a_gap() {
        let mut end = 0;
        for (name, region) in REGIONS {
            assert_eq!(region.0, end, "{name}");
            assert_eq!(region.0 % PAGE, 0, "{name}");
            end += region.1;
        }
        assert_eq!(end, FLASH);
    }

    #[test]
    fn each_page_has_its_mark() {
        let mut flash = vec![0xff; FLASH as usize];
        flash[..0x1000].fill(0x12);
        flash[0x1000] = 0;
        let drawing = draw(&flash);
        assert!(drawing.starts_with("bootloader  0x00000  █▒··········\n"), "{drawing}");
        assert_eq!(drawing.chars().filter(|c| "█▒·".contains(*c)).count() as u32, FLASH / PAGE);
    }
}
