//! [`ModemCall`]: the calls by name, those that were made, and those that are to fail.

use alloc::vec::Vec;
use dfu_target_nrf_modem::port::Fault;

use super::{FakeModem, Inner};
use crate::flash::{Cut, Tear};

/// A call of a port, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModemCall {
    /// `Delta::uuid`.
    DeltaUuid,
    /// `Delta::area`.
    Area,
    /// `Delta::offset`.
    Offset,
    /// `Delta::write_init`.
    WriteInit,
    /// `Delta::write`.
    Write,
    /// `Delta::write_done`.
    WriteDone,
    /// `Delta::erase`.
    Erase,
    /// `Delta::update`.
    DeltaUpdate,
    /// `Delta::rollback`.
    Rollback,
    /// `Bootloader::start`.
    Start,
    /// `Bootloader::stop`.
    Stop,
    /// `Bootloader::bl_write`.
    BlWrite,
    /// `Bootloader::fw_write`.
    FwWrite,
    /// `Bootloader::update`.
    BootloaderUpdate,
    /// `Bootloader::verify`.
    Verify,
    /// `Bootloader::digest`.
    Digest,
    /// `Bootloader::uuid`.
    BootloaderUuid,
}

impl ModemCall {
    /// Those of `Delta`.
    pub const DELTA: [Self; 9] = [
        Self::DeltaUuid,
        Self::Area,
        Self::Offset,
        Self::WriteInit,
        Self::Write,
        Self::WriteDone,
        Self::Erase,
        Self::DeltaUpdate,
        Self::Rollback,
    ];
    /// Those of `Bootloader`.
    pub const BOOTLOADER: [Self; 8] = [
        Self::Start,
        Self::Stop,
        Self::BlWrite,
        Self::FwWrite,
        Self::BootloaderUpdate,
        Self::Verify,
        Self::Digest,
        Self::BootloaderUuid,
    ];
}

/// What was called, and what is to fail.
#[derive(Debug, Default)]
pub(super) struct Script {
    log: Vec<ModemCall>,
    planned: Vec<Planned>,
}

#[derive(Clone, Copy, Debug)]
struct Planned {
    call: ModemCall,
    spared: u32,
    failure: Failure,
}

/// A failure that was scripted, and how much happens in spite of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    cut: Cut,
}

/// How far a change gets, and what the caller is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) done: Done,
    pub(super) told: Result<(), Fault>,
}

/// How far a change gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Nothing,
    Part(Tear),
    All,
}

impl FakeModem {
    /// Has a call fail and do nothing: the next one, or the one after `nth` more of its kind. Comes before every rule
    /// of the modem's; [`power_on`](Self::power_on) forgets it.
    pub fn fail(&self, call: ModemCall, nth: u32, fault: Fault) {
        self.fail_amid(call, nth, fault, Cut::Before);
    }

    /// Has a call fail that does nothing, a part of its work, or all of it. A part of a write leaves the area dirty.
    pub fn fail_amid(&self, call: ModemCall, nth: u32, fault: Fault, cut: Cut) {
        self.inner().script.planned.push(Planned { call, spared: nth, failure: Failure { fault, cut } });
    }

    /// How many failures are still to come.
    pub fn failures_due(&self) -> usize {
        self.inner().script.planned.len()
    }

    /// The calls so far, those that failed as well; none while there was no power.
    pub fn calls(&self) -> Vec<ModemCall> {
        self.inner().script.log.clone()
    }

    /// How many of these were made.
    pub fn count(&self, call: ModemCall) -> usize {
        self.inner().script.log.iter().filter(|made| **made == call).count()
    }

    /// Starts the log of calls anew.
    pub fn forget_calls(&self) {
        self.inner().script.log.clear();
    }
}

impl Script {
    pub(super) fn forget_failures(&mut self) {
        self.planned.clear();
    }

    fn strike(&mut self, call: ModemCall) -> Option<Failure> {
        let due = self.planned.iter().position(|planned| planned.call == call && planned.spared == 0);
        for planned in self.planned.iter_mut().filter(|planned| planned.call == call) {
            planned.spared = planned.spared.saturating_sub(1);
        }
        due.map(|at| self.planned.remove(at).failure)
    }
}

impl Inner {
    /// A call comes in: the failure that waits for it, if some of its work is to be done.
    pub(super) fn enter(&mut self, call: ModemCall) -> Result<Option<Failure>, Fault> {
        if !self.supply.is_on() {
            return Err(FakeModem::POWER_CUT);
        }
        self.script.log.push(call);
        match self.script.strike(call) {
            Some(Failure { fault, cut: Cut::Before }) => Err(fault),
            failure => Ok(failure),
        }
    }

    /// A call changes something: a point.
    pub(super) fn step(&self, failure: Option<Failure>) -> Step {
        match (self.supply.point(), failure) {
            (Some(cut), _) => Step { done: cut.into(), told: Err(FakeModem::POWER_CUT) },
            (None, Some(Failure { fault, cut })) => Step { done: cut.into(), told: Err(fault) },
            (None, None) => Step { done: Done::All, told: Ok(()) },
        }
    }
}

impl Failure {
    /// What a call that changes nothing tells.
    pub(super) fn told(failure: Option<Self>) -> Result<(), Fault> {
        failure.map_or(Ok(()), |failure| Err(failure.fault))
    }
}

impl From<Cut> for Done {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Before => Self::Nothing,
            Cut::Torn(tear) => Self::Part(tear),
            Cut::After => Self::All,
        }
    }
}
