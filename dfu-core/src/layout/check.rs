//! What can be wrong with a map: looked for by the compiler up to the first fault, and by tools up to the last.

use super::{Area, Device, FlashMap, LayoutError, same};

impl<'a> FlashMap<'a> {
    /// All that is wrong with a map, for tools that read one from a file: first the devices, then each area, then
    /// each two of them.
    pub fn faults(devices: &'a [Device<'a>], areas: &'a [Area<'a>]) -> impl Iterator<Item = LayoutError<'a>> {
        let map = Self { devices, areas };
        let of_devices = with_rest(devices).filter_map(|(device, others)| fault_of_device(device, others));
        let of_areas = areas.iter().filter_map(move |area| map.fault_of_area(area));
        let of_pairs = with_rest(areas)
            .flat_map(move |(one, others)| others.iter().filter_map(move |other| map.fault_of_pair(one, other)));
        of_devices.chain(of_areas).chain(of_pairs)
    }

    /// The first of [`faults`](Self::faults), which the compiler could not go through.
    pub(super) const fn first_fault(&self) -> Option<LayoutError<'a>> {
        let mut rest = self.devices;
        while let Some((device, others)) = rest.split_first() {
            if let Some(fault) = fault_of_device(device, others) {
                return Some(fault);
            }
            rest = others;
        }
        let mut rest = self.areas;
        while let Some((area, others)) = rest.split_first() {
            if let Some(fault) = self.fault_of_area(area) {
                return Some(fault);
            }
            rest = others;
        }
        let mut rest = self.areas;
        while let Some((area, others)) = rest.split_first() {
            let mut beside = others;
            while let Some((other, more)) = beside.split_first() {
                if let Some(fault) = self.fault_of_pair(area, other) {
                    return Some(fault);
                }
                beside = more;
            }
            rest = others;
        }
        None
    }

    const fn fault_of_area(&self, area: &Area<'a>) -> Option<LayoutError<'a>> {
        let Ok(device) = self.device(area.device) else {
            return Some(LayoutError::NoDevice { area: area.name, device: area.device });
        };
        if area.size == 0 {
            return Some(LayoutError::Empty(area.name));
        }
        if area.size > device.size.saturating_sub(area.offset) {
            return Some(LayoutError::BeyondEnd { area: area.name, device: device.name });
        }
        if self.is_whole(area) {
            return None;
        }
        let mut rest = self.areas;
        while let Some((other, others)) = rest.split_first() {
            if other.span && other.contains(area) && self.is_whole(other) {
                return None;
            }
            rest = others;
        }
        Some(LayoutError::Misaligned { area: area.name, device: device.name })
    }

    const fn fault_of_pair(&self, one: &Area<'a>, other: &Area<'a>) -> Option<LayoutError<'a>> {
        if same(one.name, other.name) {
            return Some(LayoutError::SameName(one.name));
        }
        if !one.overlaps(other) {
            return None;
        }
        match (one.span, other.span) {
            (true, false) if !one.contains(other) => Some(LayoutError::Straddles { area: other.name, span: one.name }),
            (false, true) if !other.contains(one) => Some(LayoutError::Straddles { area: one.name, span: other.name }),
            (true, true) if !one.contains(other) && !other.contains(one) && !self.share_areas(one, other) => {
                Some(LayoutError::Overlap(one.name, other.name))
            }
            (false, false) => Some(LayoutError::Overlap(one.name, other.name)),
            _ => None,
        }
    }

    /// Whether all that belongs to two spans is made of areas that belong to both.
    const fn share_areas(&self, one: &Area<'a>, other: &Area<'a>) -> bool {
        let (later, earlier) = if one.offset > other.offset { (one, other) } else { (other, one) };
        let mut free = earlier.end().saturating_sub(later.offset);
        let mut rest = self.areas;
        while let Some((area, others)) = rest.split_first() {
            if !area.span && one.contains(area) && other.contains(area) {
                free = free.saturating_sub(area.size);
            }
            rest = others;
        }
        free == 0
    }
}

const fn fault_of_device<'a>(device: &Device<'a>, others: &[Device<'a>]) -> Option<LayoutError<'a>> {
    if !device.is_possible() {
        return Some(LayoutError::Device(device.name));
    }
    let mut rest = others;
    while let Some((other, more)) = rest.split_first() {
        if same(device.name, other.name) {
            return Some(LayoutError::SameName(device.name));
        }
        rest = more;
    }
    None
}

/// Each with those behind it.
fn with_rest<T>(all: &[T]) -> impl Iterator<Item = (&T, &[T])> {
    let mut rest = all;
    core::iter::from_fn(move || {
        let (first, others) = rest.split_first()?;
        rest = others;
        Some((first, others))
    })
}
