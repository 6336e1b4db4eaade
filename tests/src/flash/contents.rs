//! Looking at what is stored, and changing it past the rules.

use core::ops::Range;
#[cfg(feature = "std")]
use std::path::Path;

use super::SimFlash;

#[cfg(feature = "std")]
impl<const WRITE: usize, const ERASE: usize, const READ: usize> SimFlash<WRITE, ERASE, READ> {
    /// A flash with the contents of a file that [`save`](Self::save) wrote; erased if there is no such file.
    ///
    /// Words that are not erased count as programmed once.
    pub fn open(capacity: usize, path: impl AsRef<Path>) -> std::io::Result<Self> {
        let mut flash = Self::new(capacity);
        match std::fs::read(path) {
            Ok(bytes) if bytes.len() == capacity => flash.load(0, &bytes),
            Ok(bytes) => {
                let text = format!("the file holds {} bytes and the flash {capacity}", bytes.len());
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, text));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(flash)
    }

    /// Writes the contents to a file.
    pub fn save(&self, path: impl AsRef<Path>) -> std::io::Result<()> {
        std::fs::write(path, &self.cells)
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> SimFlash<WRITE, ERASE, READ> {
    /// Everything that is stored.
    pub fn bytes(&self) -> &[u8] {
        &self.cells
    }

    /// Whether all bytes of a range read as erased.
    pub fn is_erased(&self, range: Range<u32>) -> bool {
        self.cells[range.start as usize..range.end as usize].iter().all(|byte| *byte == self.rules.erased)
    }

    /// Places bytes as a programmer does: at any offset, uncounted, whatever was there. Words that are not erased
    /// count as programmed.
    pub fn load(&mut self, offset: u32, bytes: &[u8]) {
        let end = offset as usize + bytes.len();
        self.edit(offset..end as u32, |cells| cells.copy_from_slice(bytes));
    }

    /// Turns one bit around: flash that went bad.
    pub fn flip(&mut self, offset: u32, bit: u8) {
        self.edit(offset..offset + 1, |cells| cells[0] ^= 1 << (bit % 8));
    }

    /// Breaks one bit: from now on it is `high` whatever is erased or programmed there, also after a rollback.
    pub fn stick(&mut self, offset: u32, bit: u8, high: bool) {
        self.edit(offset..offset + 1, |_| {});
        self.defects.stick(offset as usize, 1 << (bit % 8), high, &mut self.cells);
    }

    /// Mends what [`stick`](Self::stick) broke. The contents stay.
    pub fn unstick(&mut self) {
        self.defects.unstick();
    }

    /// Whether any bit of a range is unstable.
    pub fn is_unstable(&self, range: Range<u32>) -> bool {
        self.defects.waver_in(&(range.start as usize..range.end as usize))
    }

    /// Gives each unstable bit the value that is read next, as time and temperature do.
    pub fn settle_anew(&mut self) {
        self.state.counts.reads += 1;
        self.waver(0..self.cells.len());
    }

    /// Lets `edit` change a range as it likes, uncounted; a bootloader's work, for example. Words that are not
    /// erased afterwards count as programmed.
    pub fn edit<R>(&mut self, range: Range<u32>, edit: impl FnOnce(&mut [u8]) -> R) -> R {
        let (start, end) = self.open_edit(&range);
        let result = edit(&mut self.cells[start..end]);
        self.close_edit(start, end);
        result
    }

    /// [`edit`](Self::edit) for two ranges that do not overlap.
    pub fn edit_two<R>(
        &mut self,
        first: Range<u32>,
        second: Range<u32>,
        edit: impl FnOnce(&mut [u8], &mut [u8]) -> R,
    ) -> R {
        let ((a, a_end), (b, b_end)) = (self.open_edit(&first), self.open_edit(&second));
        assert!(a_end <= b || b_end <= a, "{first:?} and {second:?} overlap");
        let result = if a <= b {
            let (low, high) = self.cells.split_at_mut(b);
            edit(&mut low[a..a_end], &mut high[..b_end - b])
        } else {
            let (low, high) = self.cells.split_at_mut(a);
            edit(&mut high[..a_end - a], &mut low[b..b_end])
        };
        self.close_edit(a, a_end);
        self.close_edit(b, b_end);
        result
    }

    fn open_edit(&mut self, range: &Range<u32>) -> (usize, usize) {
        let (start, end) = (range.start as usize, range.end as usize);
        assert!(start <= end && end <= self.cells.len(), "{range:x?} is outside of a flash of {:#x}", self.cells.len());
        self.journal.touch(start, end - start, &self.cells, &self.used);
        (start, end)
    }

    fn close_edit(&mut self, start: usize, end: usize) {
        let (first, last) = (start / WRITE, end.div_ceil(WRITE));
        let words = self.cells[first * WRITE..last * WRITE].chunks_exact(WRITE);
        for (used, word) in self.used[first..last].iter_mut().zip(words) {
            *used = word.iter().any(|byte| *byte != self.rules.erased);
        }
        self.defects.settle(start..end);
        self.defects.hold(start..end, &mut self.cells);
    }
}
