//! What a map is made of.

use embedded_storage_async::nor_flash::NorFlash;

use super::same;

/// A flash device: its name, its size, its word and what it erases at once, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Device<'a> {
    pub(super) name: &'a str,
    pub(super) size: u32,
    pub(super) write: u32,
    pub(super) erase: u32,
}

impl<'a> Device<'a> {
    /// A device of `size` bytes that writes words of `write` bytes and erases units of `erase` bytes.
    pub const fn new(name: &'a str, size: u32, write: u32, erase: u32) -> Self {
        Self { name, size, write, erase }
    }

    /// What the areas call it.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// Its size in bytes.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// The word that it writes, in bytes.
    pub const fn write_size(&self) -> u32 {
        self.write
    }

    /// What it erases at once, in bytes.
    pub const fn erase_size(&self) -> u32 {
        self.erase
    }

    /// Whether a driver's type says the same of it.
    pub const fn is_like<F: NorFlash>(&self) -> bool {
        self.write as usize == F::WRITE_SIZE && self.erase as usize == F::ERASE_SIZE
    }

    pub(super) const fn is_possible(&self) -> bool {
        // Of zero, only zero is a multiple.
        self.size > 0 && self.size.is_multiple_of(self.erase) && self.erase.is_multiple_of(self.write)
    }
}

/// A part of a device, by name; offset and size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Area<'a> {
    pub(super) name: &'a str,
    pub(super) device: &'a str,
    pub(super) offset: u32,
    pub(super) size: u32,
    pub(super) span: bool,
}

impl<'a> Area<'a> {
    /// An area that nothing else may reach into.
    pub const fn new(name: &'a str, device: &'a str, offset: u32, size: u32) -> Self {
        Self { name, device, offset, size, span: false }
    }

    /// One name for several areas that lie side by side, as the partition manager's `span` is: `mcuboot_primary`
    /// for `mcuboot_pad` and `app`. Spans may lie within each other or share areas.
    pub const fn span(name: &'a str, device: &'a str, offset: u32, size: u32) -> Self {
        Self { name, device, offset, size, span: true }
    }

    /// Its name.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The name of the device that it lies on.
    pub const fn device(&self) -> &'a str {
        self.device
    }

    /// Where on the device it begins, in bytes.
    pub const fn offset(&self) -> u32 {
        self.offset
    }

    /// Its size in bytes.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Where on the device it ends: the offset of the first byte behind it.
    pub const fn end(&self) -> u32 {
        self.offset.saturating_add(self.size)
    }

    /// Whether it is one name for several areas.
    pub const fn is_span(&self) -> bool {
        self.span
    }

    /// Whether a byte belongs to both.
    pub const fn overlaps(&self, other: &Area<'_>) -> bool {
        same(self.device, other.device) && self.offset < other.end() && other.offset < self.end()
    }

    /// Whether all of another one's bytes belong to it.
    pub const fn contains(&self, other: &Area<'_>) -> bool {
        same(self.device, other.device) && self.offset <= other.offset && other.end() <= self.end()
    }
}
