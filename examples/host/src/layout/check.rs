//! What is wrong with a map.

use super::map::{Area, FlashMap};

/// What is wrong with it, one line each.
pub(crate) fn problems(map: &FlashMap) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, area) in map.areas.iter().enumerate() {
        let Some(flash) = map.flashes.get(area.flash) else { continue };
        if area.size == 0 {
            problems.push(format!("{} is empty", area.name));
        }
        if area.end() > flash.size.into() {
            problems.push(format!("{} ends at {:#x}, and {} at {:#x}", area.name, area.end(), flash.name, flash.size));
        }
        // What is in a container need not be aligned: a header, or the image behind it.
        if let Some(erase) = flash.erase.filter(|_| area.depth == 0) {
            let is_aligned = area.offset.is_multiple_of(erase) && area.size.is_multiple_of(erase);
            if !is_aligned {
                problems.push(format!("{} does not begin and end at a sector of {erase} bytes", area.name));
            }
        }
        for other in map.areas.iter().skip(at + 1).filter(|other| clash(map, area, other)) {
            problems.push(format!("{} and {} overlap", area.name, other.name));
        }
    }
    problems
}

fn clash(map: &FlashMap, one: &Area, other: &Area) -> bool {
    one.overlaps(other) && !map.belong_together(one, other)
}
