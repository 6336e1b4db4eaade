//! Modes that run the highest version from the slot it is stored in.

use super::boots::Pair;
use super::header::{Header, NON_BOOTABLE, RAM_LOAD, ROM_FIXED};
use super::tlv::Tlvs;
use super::validate::{self, Found};
use super::{Boot, Bootloader, Flag, Magic, Refusal, Running, Slot};
use alloc::vec::Vec;

/// What is known of one image while the slots are tried.
#[derive(Clone, Copy, Debug)]
struct Choice {
    headers: [Header; 2],
    is_left: [bool; 2],
    active: Option<Active>,
    first_refused: Option<Refusal>,
    last_refused: Refusal,
}

/// The image that is to run.
#[derive(Clone, Copy, Debug)]
struct Active {
    slot: Slot,
    found: Found,
    stays: bool,
}

/// Why an image does not run, and what becomes of its slot.
enum Fault {
    Skip(Refusal),
    Erase(Refusal),
}

impl Bootloader {
    pub(super) fn select(&self, pairs: &mut [Pair<'_>]) -> Vec<Boot> {
        let mut choices: Vec<Choice> = pairs.iter().map(|pair| self.choice(pair)).collect();
        let runs = loop {
            // The first image that cannot run ends it.
            let all = (0..pairs.len()).all(|index| self.load(index, pairs, &mut choices));
            if !all || pairs.len() == 1 || self.drop_the_first_that_lacks(pairs, &mut choices) {
                break all;
            }
        };
        pairs.iter().zip(&choices).map(|(pair, choice)| self.outcome(pair, choice, runs)).collect()
    }

    fn choice(&self, pair: &Pair<'_>) -> Choice {
        let slots = [&*pair.primary, &*pair.secondary];
        let headers = slots.map(|slot| self.header(slot));
        let checks = [0, 1].map(|slot| validate::header(&headers[slot], slots[slot].len()));
        Choice {
            headers,
            is_left: checks.map(|check| check.is_ok()),
            active: None,
            first_refused: None,
            last_refused: checks.into_iter().find_map(Result::err).unwrap_or(Refusal::NoImage),
        }
    }

    /// Tries the slots of one image, until one is good or none is left.
    fn load(&self, index: usize, pairs: &mut [Pair<'_>], choices: &mut [Choice]) -> bool {
        while choices[index].active.is_none() {
            let Some(slot) = self.highest(&choices[index]) else { return false };
            match self.attempt(slot, index, pairs, choices) {
                Ok(active) => choices[index].active = Some(active),
                Err(fault) => {
                    let (Fault::Skip(refusal) | Fault::Erase(refusal)) = fault;
                    if matches!(fault, Fault::Erase(_)) {
                        pairs[index].slot_mut(slot).fill(self.erased);
                    }
                    choices[index].refuse(slot, refusal);
                }
            }
        }
        true
    }

    fn highest(&self, choice: &Choice) -> Option<Slot> {
        let [primary, secondary] = choice.headers;
        match choice.is_left {
            [true, true] if self.exceeds(secondary.version, primary.version) => Some(Slot::Secondary),
            [true, _] => Some(Slot::Primary),
            [false, true] => Some(Slot::Secondary),
            [false, false] => None,
        }
    }

    fn attempt(&self, slot: Slot, index: usize, pairs: &mut [Pair<'_>], choices: &[Choice]) -> Result<Active, Fault> {
        let header = choices[index].headers[slot as usize];
        let is_misplaced = header.is(ROM_FIXED) && header.load_addr != pairs[index].at[slot as usize];
        if is_misplaced && !self.mode.runs_from_ram() {
            return Err(Fault::Skip(Refusal::Address));
        }
        let bytes = pairs[index].slot_mut(slot);
        let trailer = self.trailer(bytes.len());
        let state = trailer.state(bytes);
        if self.mode.erases_unconfirmed() {
            if state.magic != Magic::Good {
                return Err(Fault::Erase(Refusal::NoTrailer));
            }
            if state.copy_done == Flag::Set && state.image_ok != Flag::Set {
                return Err(Fault::Erase(Refusal::Unconfirmed));
            }
            if state.copy_done != Flag::Set {
                trailer.set(bytes, trailer.copy_done);
            }
        }
        if self.mode.runs_from_ram() {
            self.check_ram(slot, index, pairs, choices).map_err(Fault::Erase)?;
        }
        if header.is(NON_BOOTABLE) {
            return Err(Fault::Skip(Refusal::NotBootable));
        }
        let pair = &pairs[index];
        let max = self.limit(slot, pair.primary.len(), pair.secondary.len());
        let found = self.check(pair.slot(slot), &header, max).map_err(Fault::Erase)?;
        Ok(Active { slot, found, stays: state.image_ok == Flag::Set })
    }

    /// Whether an image may be loaded to the address that it names.
    fn check_ram(&self, slot: Slot, index: usize, pairs: &[Pair<'_>], choices: &[Choice]) -> Result<(), Refusal> {
        let header = &choices[index].headers[slot as usize];
        if !header.is(RAM_LOAD) {
            return Err(Refusal::NotForRam);
        }
        let size = Tlvs::of(pairs[index].slot(slot), header).map_err(|_| Refusal::Tlvs)?.end();
        let (start, end) = (header.load_addr, u64::from(header.load_addr) + size as u64);
        if start < self.executable_ram.start || end > self.executable_ram.end.into() {
            return Err(Refusal::Address);
        }
        let overlaps = choices.iter().enumerate().filter(|(other, _)| *other != index).any(|(_, other)| {
            other.active.is_some_and(|active| {
                let from = other.headers[active.slot as usize].load_addr;
                // The byte behind an image counts as its own.
                u64::from(from) <= end && u64::from(from) + active.found.size as u64 > start.into()
            })
        });
        if overlaps { Err(Refusal::Address) } else { Ok(()) }
    }

    /// Drops the first image that lacks what it needs; whether there was none.
    fn drop_the_first_that_lacks(&self, pairs: &[Pair<'_>], choices: &mut [Choice]) -> bool {
        let slots = choices.iter().map(|choice| choice.active.map_or(Slot::Primary, |active| active.slot));
        let slots: Vec<Slot> = slots.collect();
        let images: Vec<&[u8]> = pairs.iter().zip(&slots).map(|(pair, slot)| pair.slot(*slot)).collect();
        let lacking = images.iter().position(|image| !self.needs_hold(image, &images));
        if let Some(index) = lacking {
            choices[index].active = None;
            choices[index].refuse(slots[index], Refusal::Dependency);
        }
        lacking.is_none()
    }

    fn outcome(&self, pair: &Pair<'_>, choice: &Choice, all_run: bool) -> Boot {
        let mut boot = Boot {
            asked: None,
            swapped: None,
            refused: choice.first_refused,
            running: Err(choice.last_refused),
            counter: self.counter,
        };
        let Some(Active { slot, found, stays }) = choice.active else { return boot };
        let version = choice.headers[slot as usize].version;
        boot.running = Ok(Running { slot, version, size: found.size, hash: found.hash });
        // Of the modes that wait for a confirmation, one counts before it.
        if all_run && (stays || self.mode != super::Mode::DirectXipRevert) {
            match self.raised(pair.slot(slot)) {
                Ok(counter) => boot.counter = counter,
                Err(refusal) => boot.running = Err(refusal),
            }
        }
        boot
    }
}

impl Choice {
    fn refuse(&mut self, slot: Slot, refusal: Refusal) {
        self.is_left[slot as usize] = false;
        self.first_refused.get_or_insert(refusal);
        self.last_refused = refusal;
    }
}

impl Pair<'_> {
    fn slot(&self, slot: Slot) -> &[u8] {
        match slot {
            Slot::Primary => self.primary,
            Slot::Secondary => self.secondary,
        }
    }

    fn slot_mut(&mut self, slot: Slot) -> &mut [u8] {
        match slot {
            Slot::Primary => self.primary,
            Slot::Secondary => self.secondary,
        }
    }
}
