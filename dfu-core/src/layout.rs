//! A device's whole flash map as a value: what lies where, checked where the program is compiled.
//!
//! ```text
//!  FlashMap ── device "internal"  │ mcuboot │ mcuboot_primary      │ progress │ … free … │
//!         │                                 │ mcuboot_pad │ app    │
//!         │                                 └ a span: one name for several areas
//!         └─── device "external"  │ mcuboot_secondary │ … free … │
//! ```
//!
//! The map is what the bootloader, the firmware and the tools agree on. A firmware takes its
//! [windows](FlashMap::windows) and its bootloader's slots from it by name, so a number stands in one place. All of
//! that happens in the compiler: what a firmware does not print costs it no flash.
//!
//! Mistakes that do not compile, each named with the areas that it is about. An overlap:
//!
//! ```compile_fail
//! use dfu_target::layout::{Area, Device, FlashMap};
//! const MAP: FlashMap = FlashMap::new(
//!     &[Device::new("internal", 0x10_0000, 4, 0x1000)],
//!     &[Area::new("app", "internal", 0x0, 0x9000), Area::new("progress", "internal", 0x8000, 0x2000)],
//! ); // `progress` overlaps `app`
//! # let _ = MAP;
//! ```
//!
//! An erase unit that belongs to two areas, or to one and to nobody:
//!
//! ```compile_fail
//! use dfu_target::layout::{Area, Device, FlashMap};
//! const MAP: FlashMap = FlashMap::new(
//!     &[Device::new("internal", 0x10_0000, 4, 0x1000)],
//!     &[Area::new("app", "internal", 0x0, 0x8800)],
//! ); // `app` is not made of whole erase units of `internal`, nor within a span that is
//! # let _ = MAP;
//! ```
//!
//! More than the device has:
//!
//! ```compile_fail
//! use dfu_target::layout::{Area, Device, FlashMap};
//! const MAP: FlashMap = FlashMap::new(
//!     &[Device::new("internal", 0x10_0000, 4, 0x1000)],
//!     &[Area::new("settings", "internal", 0xf_f000, 0x2000)],
//! ); // `settings` reaches beyond the end of `internal`
//! # let _ = MAP;
//! ```
//!
//! A name that is not in the map:
//!
//! ```compile_fail
//! use dfu_target::layout::{Area, Device, FlashMap};
//! const MAP: FlashMap = FlashMap::new(
//!     &[Device::new("internal", 0x10_0000, 4, 0x1000)],
//!     &[Area::new("progress", "internal", 0x0, 0x2000)],
//! );
//! const LOG: Area = MAP.area("progres"); // the map has nothing that is called `progres`
//! # let _ = LOG;
//! ```

mod area;
mod check;
mod error;
mod picture;

pub use area::{Area, Device};
pub use error::LayoutError;
pub use picture::{Figure, Table};

use embedded_storage_async::nor_flash::NorFlash;

use crate::flash::Layout;

/// Flash devices, and the areas that they are divided into.
///
/// ```
/// use dfu_target::layout::{Area, Device, FlashMap};
///
/// const MAP: FlashMap = FlashMap::new(
///     &[Device::new("internal", 0x10_0000, 4, 0x1000), Device::new("external", 0x80_0000, 4, 0x1000)],
///     &[
///         Area::new("mcuboot", "internal", 0x0, 0xc000),
///         Area::span("mcuboot_primary", "internal", 0xc000, 0xf_2000),
///         Area::new("mcuboot_pad", "internal", 0xc000, 0x200),
///         Area::new("app", "internal", 0xc200, 0xf_1e00),
///         Area::new("progress", "internal", 0xf_e000, 0x2000),
///         Area::new("mcuboot_secondary", "external", 0x0, 0xf_2000),
///     ],
/// );
/// assert_eq!(MAP.area("progress").offset(), 0xf_e000);
/// println!("{}\n\n{}", MAP.table(), MAP.figure());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashMap<'a> {
    devices: &'a [Device<'a>],
    areas: &'a [Area<'a>],
}

impl<'a> FlashMap<'a> {
    /// A map of devices and areas, in any order. For constants: what is wrong with it stops the compiler.
    ///
    /// # Panics
    ///
    /// Outside of constants, where [`checked`](Self::checked) errs.
    pub const fn new(devices: &'a [Device<'a>], areas: &'a [Area<'a>]) -> Self {
        match Self::checked(devices, areas) {
            Ok(map) => map,
            Err(error) => error.stop(),
        }
    }

    /// A map of devices and areas, in any order, or the first thing that is wrong with it: for maps that are read
    /// from a file. [`faults`](Self::faults) has all that is wrong.
    ///
    /// No name is there twice. Each area lies on a device of the map. No byte belongs to two areas, but those of a
    /// [span](Area::span). Each area is made of whole erase units or lies within a span that is.
    pub const fn checked(devices: &'a [Device<'a>], areas: &'a [Area<'a>]) -> Result<Self, LayoutError<'a>> {
        let map = Self { devices, areas };
        match map.first_fault() {
            None => Ok(map),
            Some(fault) => Err(fault),
        }
    }

    /// An area by its name. For constants: a name that the map does not have stops the compiler.
    ///
    /// # Panics
    ///
    /// Outside of constants, where [`find`](Self::find) errs.
    pub const fn area(&self, name: &'a str) -> Area<'a> {
        match self.find(name) {
            Ok(area) => area,
            Err(error) => error.stop(),
        }
    }

    /// An area by its name, or [`LayoutError::Unknown`].
    pub const fn find(&self, name: &'a str) -> Result<Area<'a>, LayoutError<'a>> {
        let mut rest = self.areas;
        while let Some((area, others)) = rest.split_first() {
            if same(area.name, name) {
                return Ok(*area);
            }
            rest = others;
        }
        Err(LayoutError::Unknown(name))
    }

    /// A device by its name, or [`LayoutError::Unknown`].
    pub const fn device(&self, name: &'a str) -> Result<Device<'a>, LayoutError<'a>> {
        let mut rest = self.devices;
        while let Some((device, others)) = rest.split_first() {
            if same(device.name, name) {
                return Ok(*device);
            }
            rest = others;
        }
        Err(LayoutError::Unknown(name))
    }

    /// Areas that can be written and erased each by itself: made of whole erase units, and no two of them share a
    /// byte, as two spans may.
    #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Both indices stay below N.
    pub const fn pick<const N: usize>(&self, names: [&'a str; N]) -> Result<[Area<'a>; N], LayoutError<'a>> {
        let mut areas = [Area::new("", "", 0, 0); N];
        let mut i = 0;
        while i < N {
            let area = match self.find(names[i]) {
                Ok(area) => area,
                Err(error) => return Err(error),
            };
            if !self.is_whole(&area) {
                return Err(LayoutError::Misaligned { area: area.name, device: area.device });
            }
            let mut before = 0;
            while before < i {
                if area.overlaps(&areas[before]) {
                    return Err(LayoutError::Overlap(areas[before].name, area.name));
                }
                before += 1;
            }
            areas[i] = area;
            i += 1;
        }
        Ok(areas)
    }

    /// Windows over a flash of type `F`, for [`Shared::split`](crate::flash::Shared::split). For constants: what is
    /// wrong with them stops the compiler.
    ///
    /// # Panics
    ///
    /// Outside of constants, where [`checked_windows`](Self::checked_windows) errs.
    pub const fn windows<F: NorFlash, const N: usize>(&self, names: [&'a str; N]) -> Layout<F, N> {
        match self.checked_windows(names) {
            Ok(layout) => layout,
            Err(error) => error.stop(),
        }
    }

    /// Windows over a flash of type `F`, or what is wrong with them.
    ///
    /// They lie on one device, whose word and erase unit are those of `F`; and they are areas as
    /// [`pick`](Self::pick) wants them.
    #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // The index stays below N.
    pub const fn checked_windows<F: NorFlash, const N: usize>(
        &self,
        names: [&'a str; N],
    ) -> Result<Layout<F, N>, LayoutError<'a>> {
        let areas = match self.pick(names) {
            Ok(areas) => areas,
            Err(error) => return Err(error),
        };
        let mut windows = [(0, 0); N];
        let mut i = 0;
        while i < N {
            let area = &areas[i];
            if !same(area.device, areas[0].device) {
                return Err(LayoutError::TwoDevices(areas[0].name, area.name));
            }
            match self.device(area.device) {
                Ok(device) if device.is_like::<F>() => windows[i] = (area.offset, area.size),
                _ => return Err(LayoutError::OtherFlash(area.device)),
            }
            i += 1;
        }
        Ok(Layout::of_map(windows))
    }

    /// Its devices.
    pub const fn devices(&self) -> &'a [Device<'a>] {
        self.devices
    }

    /// Its areas, in the order that they were given in.
    pub const fn areas(&self) -> &'a [Area<'a>] {
        self.areas
    }

    /// The map as a table, device by device, with what is free.
    pub const fn table(&self) -> Table<'a> {
        Table(*self)
    }

    /// The map as a figure of each device, to scale.
    pub const fn figure(&self) -> Figure<'a> {
        Figure(*self)
    }

    /// Whether an area begins and ends at an erase unit.
    const fn is_whole(&self, area: &Area<'a>) -> bool {
        match self.device(area.device) {
            Ok(device) => area.offset.is_multiple_of(device.erase) && area.size.is_multiple_of(device.erase),
            Err(_) => false,
        }
    }
}

/// Whether two texts are the same, also for the compiler.
const fn same(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    while let (Some((a, more)), Some((b, others))) = (one.split_first(), other.split_first()) {
        if *a != *b {
            return false;
        }
        (one, other) = (more, others);
    }
    one.is_empty() && other.is_empty()
}

#[cfg(test)]
mod tests;
