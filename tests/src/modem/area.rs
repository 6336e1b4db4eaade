//! The area where the modem keeps a delta update.

use alloc::vec::Vec;
use dfu_target_nrf_modem::port::{Code, Fault, Offset, Uuid};

use super::Scheduled;
use super::call::Done;
use super::delta_file::DeltaHeader;
use super::settings::Wait;

#[derive(Debug)]
pub(super) struct Area {
    pub(super) cells: Vec<u8>,
    pub(super) written: usize,
    pub(super) dirty: bool,
    /// What ran before the update that the area holds was installed: the way back.
    pub(super) previous: Option<Uuid>,
    pub(super) scheduled: Option<Scheduled>,
    /// Whether an update or rollback was asked for, as the port remembers until a reset of the chip.
    pub(super) asked: bool,
    /// Whether the memory for writing is reserved. Like an erase, it ends with the mode.
    pub(super) held: bool,
    erasing: Option<Erasing>,
}

#[derive(Clone, Copy, Debug)]
struct Erasing {
    polls: u32,
    since_ns: u64,
}

impl Area {
    pub(super) fn new(size: usize) -> Self {
        Self {
            cells: vec![0xff; size],
            written: 0,
            dirty: false,
            previous: None,
            scheduled: None,
            asked: false,
            held: false,
            erasing: None,
        }
    }

    /// An erase that was under way stays where it was: the area is dirty.
    pub(super) fn forget_ram(&mut self) {
        (self.held, self.erasing) = (false, None);
    }

    pub(super) fn offset(&self) -> Offset {
        if self.dirty { Offset::Dirty } else { Offset::At(self.written as u32) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.cells[..self.written]
    }

    /// The header of a delta that is there in full.
    pub(super) fn whole(&self) -> Option<DeltaHeader> {
        DeltaHeader::of(self.bytes()).filter(|header| !self.dirty && header.len as usize == self.written)
    }

    /// Whether the modem would take these bytes behind what it holds. They are judged as soon as they are there: the
    /// magic, the base, then the length.
    pub(super) fn accepts(&self, bytes: &[u8], running: Uuid) -> Result<(), Fault> {
        if self.dirty {
            return Err(Fault::Code(Code::InterruptedWrite));
        }
        let end = self.written + bytes.len();
        if DeltaHeader::of(self.bytes()).is_some_and(|header| end > header.len as usize) {
            return Err(Fault::Code(Code::InvalidFileOffset));
        }
        let place = self.cells.get(self.written..end).ok_or(Fault::Code(Code::InvalidAddress))?;
        if place.iter().any(|cell| *cell != 0xff) {
            return Err(Fault::Code(Code::AreaNotBlank));
        }
        let passes = |at: usize| (self.written..end).contains(&(at - 1));
        let front = |bytes: &[u8]| bytes[..bytes.len().min(DeltaHeader::LEN)].to_vec();
        let front = [front(self.bytes()), front(bytes)].concat();
        if passes(8) && !front.starts_with(&DeltaHeader::MAGIC) {
            return Err(Fault::Code(Code::InvalidHeader));
        }
        if passes(44) && front[8..44] != running.0 {
            return Err(Fault::Code(Code::InvalidUuid));
        }
        if passes(DeltaHeader::LEN) {
            let header = DeltaHeader::of(&front).ok_or(Fault::Code(Code::InvalidHeader))?;
            if header.len as usize > self.cells.len() {
                return Err(Fault::Code(Code::InvalidHeader));
            }
            if end > header.len as usize {
                return Err(Fault::Code(Code::InvalidFileOffset));
            }
        }
        Ok(())
    }

    /// What is done in part leaves the area dirty.
    pub(super) fn append(&mut self, bytes: &[u8], done: Done) {
        let len = match done {
            Done::Nothing => return,
            Done::Part(_) => bytes.len() / 2,
            Done::All => bytes.len(),
        };
        self.cells[self.written..self.written + len].copy_from_slice(&bytes[..len]);
        match done {
            Done::All => self.written += len,
            _ => self.dirty = true,
        }
    }

    /// Once begun, there is no way back, and nothing that could be installed.
    pub(super) fn erase(&mut self, done: Done, now_ns: u64) {
        if done == Done::Nothing {
            return;
        }
        let half = self.cells.len() / 2;
        self.cells[..half].fill(0xff);
        (self.dirty, self.previous, self.scheduled, self.asked) = (true, None, None, false);
        if done == Done::All {
            self.erasing = Some(Erasing { polls: 0, since_ns: now_ns });
        }
    }

    /// [`Code::ErasePending`] while it is erased. A call of `offset` is a `poll`.
    pub(super) fn is_free(&mut self, wait: Wait, now_ns: u64, poll: bool) -> Result<(), Fault> {
        let Some(erasing) = &mut self.erasing else { return Ok(()) };
        erasing.polls = erasing.polls.saturating_add(poll.into());
        if !wait.is_over(erasing.polls, now_ns - erasing.since_ns) {
            return Err(Fault::Code(Code::ErasePending));
        }
        self.cells.fill(0xff);
        (self.written, self.dirty, self.erasing) = (0, false, None);
        Ok(())
    }
}
