//! The undo journal behind `checkpoint` and `rollback`.

use super::State;
use super::defects::Wavering;
use super::meter::Counts;
use alloc::vec::Vec;

/// What was there before, of each granule touched since a checkpoint. Checkpoints nest.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    granule: usize,
    word: usize,
    levels: Vec<Level>,
    /// Which granule, and the level that had saved it before.
    saved: Vec<(u32, u32)>,
    /// What `saved` refers to, one granule after the other.
    cells: Vec<u8>,
    used: Vec<bool>,
    /// Units erased since the first checkpoint, in order.
    erased: Vec<u32>,
    /// The level that has saved each granule.
    stamps: Vec<u32>,
    next_stamp: u32,
}

#[derive(Clone, Debug)]
struct Level {
    stamp: u32,
    saved: usize,
    erased: usize,
    state: State,
    parts: Vec<Counts>,
    wavering: Wavering,
}

/// The contents that a journal looks after.
pub(super) struct Contents<'a> {
    pub(super) cells: &'a mut [u8],
    pub(super) used: &'a mut [bool],
    pub(super) wear: &'a mut [u32],
    pub(super) wavering: &'a mut Wavering,
}

impl Journal {
    pub(super) fn new(capacity: usize, unit: usize, word: usize) -> Self {
        let granule = if unit.is_multiple_of(GRANULE) && GRANULE.is_multiple_of(word) { GRANULE } else { unit };
        Self {
            granule,
            word,
            levels: Vec::new(),
            saved: Vec::new(),
            cells: Vec::new(),
            used: Vec::new(),
            erased: Vec::new(),
            stamps: vec![0; capacity.div_ceil(granule)],
            next_stamp: 1,
        }
    }

    pub(super) fn open(&mut self, state: State, parts: Vec<Counts>, wavering: Wavering) {
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        self.levels.push(Level { stamp, saved: self.saved.len(), erased: self.erased.len(), state, parts, wavering });
    }

    /// Saves what lies in `start..start + len`, which is about to change.
    #[inline]
    pub(super) fn touch(&mut self, start: usize, len: usize, cells: &[u8], used: &[bool]) {
        let Some(level) = self.levels.last() else { return };
        if len == 0 {
            return;
        }
        for granule in start / self.granule..=(start + len - 1) / self.granule {
            let before = self.stamps[granule];
            if before != level.stamp {
                self.stamps[granule] = level.stamp;
                self.saved.push((granule as u32, before));
                let from = granule * self.granule;
                self.cells.extend_from_slice(&cells[from..from + self.granule]);
                self.used.extend_from_slice(&used[from / self.word..(from + self.granule) / self.word]);
            }
        }
    }

    #[inline]
    pub(super) fn erased(&mut self, unit: usize) {
        if !self.levels.is_empty() {
            self.erased.push(unit as u32);
        }
    }

    /// Puts back what was there at the newest checkpoint, which stays open.
    pub(super) fn undo(&mut self, contents: Contents<'_>, parts: &mut [Counts]) -> State {
        let level = self.levels.last().expect("rollback needs a checkpoint");
        let words = self.granule / self.word;
        while self.saved.len() > level.saved {
            let (granule, stamp) = self.saved.pop().expect("longer than that");
            let last = self.saved.len();
            let at = granule as usize;
            let (from, to) = (at * self.granule, last * self.granule);
            contents.cells[from..from + self.granule].copy_from_slice(&self.cells[to..]);
            contents.used[at * words..(at + 1) * words].copy_from_slice(&self.used[last * words..]);
            self.cells.truncate(to);
            self.used.truncate(last * words);
            self.stamps[at] = stamp;
        }
        for unit in self.erased.drain(level.erased..) {
            contents.wear[unit as usize] -= 1;
        }
        parts.copy_from_slice(&level.parts);
        contents.wavering.clone_from(&level.wavering);
        level.state
    }

    /// Closes the newest checkpoint and leaves the contents as they are.
    pub(super) fn close(&mut self) {
        let level = self.levels.pop().expect("commit needs a checkpoint");
        if let Some(outer) = self.levels.last() {
            for (granule, _) in &self.saved[level.saved..] {
                self.stamps[*granule as usize] = outer.stamp;
            }
        } else {
            self.saved.clear();
            self.cells.clear();
            self.used.clear();
            self.erased.clear();
        }
    }
}

/// Small enough that a single word is cheap, large enough that a whole slot is.
const GRANULE: usize = 512;
