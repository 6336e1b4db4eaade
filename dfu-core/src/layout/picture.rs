//! The map for people: a table and a figure.

use core::fmt::{self, Display, Formatter};

use super::{Area, Device, FlashMap};

/// A [`FlashMap`] as a table, one line for each area and each gap; the areas of a span are indented.
///
/// No line break at the end.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a>(pub(super) FlashMap<'a>);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let map = &self.0;
        let names =
            width(map.devices.iter().flat_map(|device| Rows::of(map, device)).map(|row| (row.name, row.indent())));
        let devices = width(map.devices.iter().map(|device| (device.name, 0)));
        write!(f, "{:names$}  {:devices$}  offset      end                size  sectors", "name", "device")?;
        for device in map.devices {
            for row in Rows::of(map, device) {
                let (Row { name, from, to, .. }, indent) = (row, row.indent());
                let rest = names.saturating_sub(indent);
                write!(f, "\n{:indent$}{name:rest$}  {:devices$}  {from:#010x}  {to:#010x}  ", "", device.name)?;
                write!(f, "{}  ", Size(row.size()))?;
                match row.size().checked_div(device.erase) {
                    Some(sectors) if row.is_whole(device) => write!(f, "{sectors:>7}")?,
                    _ => write!(f, "{:>7}", "-")?,
                }
            }
        }
        Ok(())
    }
}

/// A [`FlashMap`] as a figure: each device from its first byte down, to scale but for what would be too small to see,
/// with what is free. The areas of a span are drawn as one.
///
/// No line break at the end.
#[derive(Clone, Copy, Debug)]
pub struct Figure<'a>(pub(super) FlashMap<'a>);

impl Display for Figure<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let map = &self.0;
        let names = width(map.areas.iter().map(|area| (area.name, 0)));
        let mut between = "";
        for device in map.devices {
            write!(f, "{between}{}", device.name)?;
            between = "\n\n";
            let mut corners = ('┌', '┐');
            for row in Rows::of(map, device).filter(|row| row.depth == 0) {
                border(f, row.from, corners, names)?;
                corners = ('├', '┤');
                write!(f, "\n           │ {:names$} {} │", row.name, Size(row.size()))?;
                for _ in 2..lines(row.size(), device.size) {
                    write!(f, "\n           │ {:names$} {:SIZE$} │", "", "")?;
                }
            }
            border(f, device.size, ('└', '┘'), names)?;
        }
        Ok(())
    }
}

fn border(f: &mut Formatter<'_>, at: u32, (left, right): (char, char), names: usize) -> fmt::Result {
    write!(f, "\n{at:#010x} {left}")?;
    for _ in 0..names.saturating_add(SIZE).saturating_add(3) {
        f.write_str("─")?;
    }
    write!(f, "{right}")
}

/// The lines of a figure that an area of this size takes, with one border.
fn lines(size: u32, all: u32) -> u64 {
    let (size, all) = (u64::from(size), u64::from(all));
    let double = size.saturating_mul(LINES.saturating_mul(2)).saturating_add(all);
    double.checked_div(all.saturating_mul(2)).unwrap_or(0).max(2)
}

/// The lines of a device, about.
const LINES: u64 = 32;

/// The width of the longest name with its indent, within reason.
fn width<'a>(names: impl Iterator<Item = (&'a str, usize)>) -> usize {
    names.map(|(name, indent)| name.chars().count().saturating_add(indent)).max().unwrap_or(0).clamp(FREE.len(), 60)
}

/// What a gap is called.
const FREE: &str = "(free)";

/// A number of bytes, in KiB where that is a whole number.
struct Size(u32);

/// The width of a [`Size`].
const SIZE: usize = 11;

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.checked_div(1024) {
            Some(kib) if self.0.is_multiple_of(1024) => write!(f, "{kib:>7} KiB"),
            _ => write!(f, "{:>9} B", self.0),
        }
    }
}

/// An area or a gap.
#[derive(Clone, Copy)]
struct Row<'a> {
    name: &'a str,
    from: u32,
    to: u32,
    /// In how many spans it lies that came before it.
    depth: usize,
}

impl Row<'_> {
    const fn size(&self) -> u32 {
        self.to.saturating_sub(self.from)
    }

    fn indent(&self) -> usize {
        self.depth.min(8).saturating_mul(2)
    }

    const fn is_whole(&self, device: &Device<'_>) -> bool {
        self.from.is_multiple_of(device.erase) && self.size().is_multiple_of(device.erase)
    }
}

/// The areas and gaps of a device in order, a span before what lies in it. Sorted by looking for the next one each
/// time, as there is no place for a sorted list.
struct Rows<'m, 'a> {
    map: &'m FlashMap<'a>,
    device: &'m Device<'a>,
    /// The last one, and the end of all so far.
    last: Option<Key>,
    reached: u32,
}

/// What areas are sorted by: offset, then the larger first, then a span first, then as given.
type Key = (u32, u32, bool, usize);

impl<'m, 'a> Rows<'m, 'a> {
    const fn of(map: &'m FlashMap<'a>, device: &'m Device<'a>) -> Self {
        Self { map, device, last: None, reached: 0 }
    }

    fn sorted(&self) -> impl Iterator<Item = (Key, &'a Area<'a>)> {
        let here = self.map.areas.iter().enumerate().filter(|(_, area)| area.device == self.device.name);
        here.map(|(index, area)| ((area.offset, !area.size, !area.span, index), area))
    }
}

impl<'a> Iterator for Rows<'_, 'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        let next =
            self.sorted().filter(|(key, _)| self.last.is_none_or(|last| *key > last)).min_by_key(|(key, _)| *key);
        let until = next.map_or(self.device.size, |(_, area)| area.offset);
        if until > self.reached {
            let from = core::mem::replace(&mut self.reached, until);
            return Some(Row { name: FREE, from, to: until, depth: 0 });
        }
        let (key, area) = next?;
        let depth = self.sorted().filter(|(other, span)| *other < key && span.span && span.contains(area)).count();
        self.last = Some(key);
        self.reached = self.reached.max(area.end());
        Some(Row { name: area.name, from: area.offset, to: area.end(), depth })
    }
}
