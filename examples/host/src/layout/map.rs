//! A flash map, from whichever file.

use serde::Serialize;

/// A flash map.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlashMap {
    pub(crate) flashes: Vec<Flash>,
    /// By flash and offset; what is in a container comes behind it.
    pub(crate) areas: Vec<Area>,
    /// What is wrong with the file already.
    pub(crate) problems: Vec<String>,
}

/// A memory with regions in it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Flash {
    pub(crate) name: String,
    /// Its size in bytes, or where its last region ends if the map says no more.
    pub(crate) size: u32,
    pub(crate) size_is_known: bool,
    /// What is programmed at once, and what is erased. `None`: no flash, but RAM or so.
    pub(crate) write: Option<u32>,
    pub(crate) erase: Option<u32>,
}

/// A region.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Area {
    pub(crate) name: String,
    /// Which of the memories.
    pub(crate) flash: usize,
    pub(crate) offset: u32,
    pub(crate) size: u32,
    /// The regions that it consists of, by name.
    pub(crate) parts: Vec<String>,
    /// In how many containers it is.
    pub(crate) depth: usize,
}

impl Area {
    /// Where it ends. It ends within 32 bits, as it was read so.
    pub(crate) fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (start, other_start) = (u64::from(self.offset), u64::from(other.offset));
        self.flash == other.flash && start < other.end() && other_start < self.end()
    }

    pub(crate) fn contains(&self, other: &Self) -> bool {
        self.flash == other.flash && self.offset <= other.offset && other.end() <= self.end()
    }
}

impl FlashMap {
    /// Sorts the regions, and finds out which is in which.
    pub(crate) fn sorted(mut self) -> Self {
        let key = |area: &Area| (area.flash, area.offset, u32::MAX - area.size, area.parts.is_empty());
        self.areas.sort_by_key(key);
        let depths: Vec<usize> = (0..self.areas.len()).map(|at| self.containers(at).count()).collect();
        for (area, depth) in self.areas.iter_mut().zip(depths) {
            area.depth = depth;
        }
        self
    }

    /// What the options say, or what is usual, where the file says nothing.
    pub(crate) fn assume(&mut self, write: Option<u32>, erase: Option<u32>) {
        for flash in &mut self.flashes {
            flash.write = flash.write.map(|known| write.unwrap_or(known));
            flash.erase = flash.erase.map(|known| erase.unwrap_or(known));
        }
    }

    /// The containers of a region: those before it that hold it whole and share a leaf with it, or are where nothing is.
    fn containers(&self, at: usize) -> impl Iterator<Item = &Area> {
        let area = self.areas.get(at);
        let before = self.areas.get(..at).unwrap_or(&[]).iter();
        before.filter(move |outer| area.is_some_and(|area| outer.contains(area) && self.belong_together(outer, area)))
    }

    /// Whether one is a container of the other, or both contain the same.
    pub(crate) fn belong_together(&self, one: &Area, other: &Area) -> bool {
        let (first, second) = (self.leaves(one), self.leaves(other));
        let is_gap = |area: &Area| area.name.starts_with("EMPTY_");
        let is_container = |area: &Area| !area.parts.is_empty();
        first.iter().any(|leaf| second.contains(leaf))
            || (is_gap(one) && is_container(other))
            || (is_gap(other) && is_container(one))
    }

    /// What a region consists of in the end.
    fn leaves<'a>(&'a self, area: &'a Area) -> Vec<&'a str> {
        let mut leaves = Vec::new();
        let mut open = vec![area.name.as_str()];
        let mut seen = Vec::new();
        while let Some(name) = open.pop() {
            // A map can be a knot.
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let parts = self.areas.iter().find(|area| area.name == name).map_or(&[][..], |area| &area.parts);
            match parts {
                [] => leaves.push(name),
                parts => open.extend(parts.iter().map(String::as_str)),
            }
        }
        leaves
    }
}
