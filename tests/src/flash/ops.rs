//! Reading, programming and erasing, and the traits over them.

use core::ops::Range;

use embedded_storage::nor_flash as blocking;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use super::cut::{tear_unit, tear_word};
use super::meter::Counts;
use super::{Cut, Fault, SimError, SimFlash, Tear};
use crate::poll::yield_once;

impl<const WRITE: usize, const ERASE: usize, const READ: usize> SimFlash<WRITE, ERASE, READ> {
    pub(super) fn fetch(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        self.is_on()?;
        let start = self.check("read", offset, bytes.len(), READ);
        self.count(start, Counts::read, bytes.len());
        self.spend(bytes.len() as u64 * self.rules.timing.read_ns);
        let struck = self.strike(&[Fault::Failed, Fault::FailedRead, Fault::FlippedRead]);
        if struck.is_some_and(|fault| fault != Fault::FlippedRead) {
            return Err(SimError::Failed);
        }
        self.waver(start..start + bytes.len());
        bytes.copy_from_slice(&self.cells[start..start + bytes.len()]);
        if struck.is_some() && !bytes.is_empty() {
            let bit = self.rng().usize(0..bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Ok(())
    }

    pub(super) fn program(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        self.is_on()?;
        let start = self.check("write", offset, bytes.len(), WRITE);
        self.check_guard("write", offset, bytes.len());
        if self.rules.aligned_sources && !bytes.is_empty() {
            let place = bytes.as_ptr().addr();
            assert!(place.is_multiple_of(4), "write at {offset:#x}: the source is not aligned, {place:#x}");
        }
        let (first, words) = (start / WRITE, bytes.len() / WRITE);
        if !self.rules.overwrites
            && let Some(at) = self.used[first..first + words].iter().position(|used| *used)
        {
            let word = start + at * WRITE;
            panic!(
                "write of {} bytes at {offset:#x}: the word at {word:#x} was programmed since its last erase",
                bytes.len()
            );
        }
        self.journal.touch(start, bytes.len(), &self.cells, &self.used);

        let struck = self.strike(&[Fault::Failed, Fault::FailedWrite, Fault::SilentWrite, Fault::WeakWrite]);
        if let Some(Fault::Failed | Fault::FailedWrite) = struck {
            self.soil(first, words);
            self.count(start, |overlap| Counts::write(overlap, 0, WRITE), bytes.len());
            return Err(SimError::Failed);
        }
        let (whole, cut) = self.until_cut(words);
        let done = whole * WRITE;
        if struck != Some(Fault::SilentWrite) {
            self.tape_words(start, &bytes[..done]);
            self.used[first..first + whole].fill(true);
            let fresh = self.rules.erased == 0xff;
            for (cell, byte) in self.cells[start..start + done].iter_mut().zip(bytes) {
                *cell = if fresh { *cell & byte } else { *cell | byte };
            }
        }
        if struck == Some(Fault::WeakWrite) && words > 0 {
            let erased = self.rules.erased;
            let mut rng = self.rng();
            let at = start + rng.usize(0..words) * WRITE;
            let word = &mut self.cells[at..at + WRITE];
            let wanted: [u8; WRITE] = core::array::from_fn(|n| word[n]);
            word.fill(erased);
            tear_word(word, |n| wanted[n], Tear::Late, &mut rng);
        }
        self.defects.programmed(start, &bytes[..done], self.rules.erased);
        self.count(start, |overlap| Counts::write(overlap, overlap, WRITE), done);
        self.state.counts.longest_write = self.state.counts.longest_write.max(bytes.len());
        self.spend(whole as u64 * self.rules.timing.word_ns);
        if let Some(cut) = cut {
            self.cut_word(start + done, &bytes[done..], cut);
        }
        self.defects.hold(start..start + bytes.len(), &mut self.cells);
        self.end(cut)
    }

    pub(super) fn wipe(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        self.is_on()?;
        assert!(from <= to, "erase from {from:#x} to {to:#x}: the end is before the start");
        let len = (to - from) as usize;
        let start = self.check("erase", from, len, ERASE);
        self.check_guard("erase", from, len);
        self.journal.touch(start, len, &self.cells, &self.used);
        let words = ERASE / WRITE;
        let (first, units) = (start / ERASE, len / ERASE);

        let struck = self.strike(&[Fault::Failed, Fault::FailedErase, Fault::SilentErase]);
        if let Some(Fault::Failed | Fault::FailedErase) = struck {
            self.soil(first * words, units * words);
            self.count(start, |overlap| Counts::erase(overlap, 0, ERASE), len);
            return Err(SimError::Failed);
        }
        let (whole, cut) = self.until_cut(units);
        let done = whole * ERASE;
        self.used[first * words..(first + whole) * words].fill(false);
        self.tape_units(start, whole);
        if struck != Some(Fault::SilentErase) {
            self.cells[start..start + done].fill(self.rules.erased);
            self.defects.settle(start..start + done);
        }
        for unit in first..first + whole {
            self.age(unit);
        }
        self.count(start, |overlap| Counts::erase(overlap, overlap, ERASE), done);
        self.state.counts.longest_erase = self.state.counts.longest_erase.max(len);
        self.spend(whole as u64 * self.rules.timing.erase_ns);
        if let Some(cut) = cut {
            self.cut_unit(start + done, cut);
        }
        self.defects.hold(start..start + len, &mut self.cells);
        self.end(cut)
    }

    /// The cut hits the word at `at`, which is to become `wanted` unless it was done before.
    fn cut_word(&mut self, at: usize, wanted: &[u8], cut: Cut) {
        self.state.cut_told = true;
        if cut == Cut::After {
            return;
        }
        let fresh = self.rules.erased == 0xff;
        let old: [u8; WRITE] = core::array::from_fn(|n| self.cells[at + n]);
        let word: [u8; WRITE] = core::array::from_fn(|n| if fresh { old[n] & wanted[n] } else { old[n] | wanted[n] });
        if let Cut::Torn(tear) = cut {
            let mut rng = self.rng();
            tear_word(&mut self.cells[at..at + WRITE], |n| word[n], tear, &mut rng);
            if tear == Tear::Unstable {
                self.defects.unsettle(at, (0..WRITE).map(|n| (old[n] ^ word[n]) & rng.u8(..)));
            }
            self.soil(at / WRITE, 1);
            let left = &self.cells[at..at + WRITE];
            self.state.cut_told = left != old && left != word || self.defects.waver_in(&(at..at + WRITE));
        } else {
            self.state.cut_told = old != word;
        }
    }

    /// The cut hits the erase of the unit at `at`, unless it was done before.
    fn cut_unit(&mut self, at: usize, cut: Cut) {
        self.state.cut_told = true;
        if cut == Cut::After {
            return;
        }
        let erased = self.rules.erased;
        let is_erased = |cells: &[u8]| cells.iter().all(|cell| *cell == erased);
        let unit = at..at + ERASE;
        self.state.cut_told = !is_erased(&self.cells[unit.clone()]);
        if let Cut::Torn(tear) = cut {
            let mut rng = self.rng();
            if tear == Tear::Unstable {
                let changing = self.cells[unit.clone()].iter().map(|cell| (cell ^ erased) & rng.u8(..));
                self.defects.unsettle(at, changing);
            }
            tear_unit(&mut self.cells[unit.clone()], erased, tear, &mut rng);
            self.soil(at / WRITE, ERASE / WRITE);
            self.age(at / ERASE);
            self.state.cut_told &= !is_erased(&self.cells[unit.clone()]) || self.defects.waver_in(&unit);
        }
    }

    fn is_on(&self) -> Result<(), SimError> {
        if self.is_powered() { Ok(()) } else { Err(SimError::PowerCut) }
    }

    fn check(&self, what: &str, offset: u32, len: usize, step: usize) -> usize {
        let start = offset as usize;
        assert!(
            start.is_multiple_of(step) && len.is_multiple_of(step),
            "{what} of {len} bytes at {offset:#x} is not aligned to {step}"
        );
        assert!(
            start <= self.cells.len() && len <= self.cells.len() - start,
            "{what} of {len} bytes at {offset:#x} is out of a flash of {:#x}",
            self.cells.len()
        );
        start
    }

    fn check_guard(&self, what: &str, offset: u32, len: usize) {
        let end = offset + len as u32;
        if let Some(allowed) = &self.allowed {
            let inside = allowed.iter().any(|range| range.start <= offset && end <= range.end);
            assert!(inside, "{what} of {offset:#x}..{end:#x} is outside of what is allowed: {allowed:#x?}");
        }
    }

    /// How many of `wanted` points happen wholly, and the cut that comes then.
    fn until_cut(&self, wanted: usize) -> (usize, Option<Cut>) {
        let left = self.state.cut_at.saturating_sub(self.state.counts.points);
        match usize::try_from(left) {
            Ok(left) if left < wanted && self.state.cut == Cut::After => (left + 1, Some(Cut::After)),
            Ok(left) if left < wanted => (left, Some(self.state.cut)),
            _ => (wanted, None),
        }
    }

    /// A point of something else on the same supply, and the cut that hits it.
    pub(crate) fn foreign_point(&mut self) -> Option<Cut> {
        let (done, cut) = self.until_cut(1);
        self.state.counts.points += done as u64;
        self.lose_power_by(cut);
        cut
    }

    fn end(&mut self, cut: Option<Cut>) -> Result<(), SimError> {
        self.lose_power_by(cut);
        self.is_on()
    }

    /// A cut strikes once, whoever switches the power on again.
    fn lose_power_by(&mut self, cut: Option<Cut>) {
        if cut.is_some() {
            self.state.cut_at = u64::MAX;
        }
        self.switch(cut.is_none());
    }

    /// The planned fault, if it is one of these and its time has come.
    #[inline]
    fn strike(&mut self, kinds: &[Fault]) -> Option<Fault> {
        let planned = self.state.planned.as_mut().filter(|planned| kinds.contains(&planned.fault))?;
        if planned.spared > 0 {
            planned.spared -= 1;
            return None;
        }
        self.state.planned.take().map(|planned| planned.fault)
    }

    /// Words that something went wrong with: not to be programmed before an erase.
    fn soil(&mut self, first: usize, words: usize) {
        for word in first..first + words {
            let cells = &self.cells[word * WRITE..(word + 1) * WRITE];
            let at = (word * WRITE) as u32;
            let forgiving = self.rules.forgiving_tears || self.rules.forgiving.iter().any(|range| range.contains(&at));
            let reads_erased =
                |(n, byte): (usize, &u8)| (byte ^ self.rules.erased) & !self.defects.unstable(at as usize + n) == 0;
            self.used[word] = !forgiving || !cells.iter().enumerate().all(reads_erased);
        }
    }

    /// What is unstable in a range gets the value that is read next.
    pub(super) fn waver(&mut self, range: Range<usize>) {
        if self.defects.waver_in(&range) {
            for place in self.defects.wavering_in(&range) {
                self.journal.touch(place, 1, &self.cells, &self.used);
            }
            let reads = self.state.counts.reads.wrapping_mul(0xd6e8_feb8_6659_fd93);
            let mut rng = fastrand::Rng::with_seed(self.rng().u64(..) ^ reads);
            self.defects.roll(range, &mut self.cells, &mut rng);
        }
    }

    fn age(&mut self, unit: usize) {
        self.wear[unit] += 1;
        self.journal.erased(unit);
    }

    fn count(&mut self, start: usize, counts: impl Fn(usize) -> Counts, len: usize) {
        self.state.counts += counts(len);
        for (part, sum) in self.parts.iter().zip(&mut self.part_counts) {
            let overlap = part.overlap(start, len);
            if overlap > 0 {
                *sum += counts(overlap);
            }
        }
    }

    fn spend(&mut self, ns: u64) {
        self.state.clock_ns += ns;
        self.state.longest_ns = self.state.longest_ns.max(ns);
    }

    /// Chance that depends on the seed and the point alone, so that any point can be hit again the same way.
    fn rng(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.rules.seed ^ self.state.counts.points.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// What to wait for before an operation, and after it.
    pub(super) fn pauses(
        &self,
    ) -> (impl Future<Output = ()> + use<WRITE, ERASE, READ>, impl Future<Output = ()> + use<WRITE, ERASE, READ>) {
        (pause(self.rules.yield_before), pause(self.rules.yield_after))
    }
}

async fn pause(wanted: bool) {
    if wanted {
        yield_once().await;
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> ErrorType for SimFlash<WRITE, ERASE, READ> {
    type Error = SimError;
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> ReadNorFlash for SimFlash<WRITE, ERASE, READ> {
    const READ_SIZE: usize = READ;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        let (before, after) = self.pauses();
        before.await;
        let result = self.fetch(offset, bytes);
        after.await;
        result
    }

    fn capacity(&self) -> usize {
        self.cells.len()
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> NorFlash for SimFlash<WRITE, ERASE, READ> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        let (before, after) = self.pauses();
        before.await;
        let result = self.wipe(from, to);
        after.await;
        result
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        let (before, after) = self.pauses();
        before.await;
        let result = self.program(offset, bytes);
        after.await;
        result
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> blocking::ReadNorFlash
    for SimFlash<WRITE, ERASE, READ>
{
    const READ_SIZE: usize = READ;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        self.fetch(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.cells.len()
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> blocking::NorFlash for SimFlash<WRITE, ERASE, READ> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        self.wipe(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        self.program(offset, bytes)
    }
}
