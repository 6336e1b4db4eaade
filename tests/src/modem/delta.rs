//! The port for delta updates.

use dfu_target_nrf_modem::port::{Code, Delta, Errno, Fault, Offset, Uuid};

use super::call::{Done, Failure};
use super::{FakeModem, Inner, Mode, ModemCall, Scheduled};

impl Delta for FakeModem {
    fn uuid(&mut self) -> Result<Uuid, Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_normal(ModemCall::DeltaUuid)?;
        Failure::told(failure)?;
        Ok(inner.firmware)
    }

    fn area(&mut self) -> Result<u32, Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_normal(ModemCall::Area)?;
        Failure::told(failure)?;
        Ok(inner.area.cells.len() as u32)
    }

    fn offset(&mut self) -> Result<Offset, Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_normal(ModemCall::Offset)?;
        inner.erased(true)?;
        Failure::told(failure)?;
        Ok(inner.area.offset())
    }

    fn write_init(&mut self) -> Result<(), Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_normal(ModemCall::WriteInit)?;
        if inner.area.held {
            return Err(Fault::Errno(Errno::Already));
        }
        let step = inner.step(failure);
        inner.area.held = step.done == Done::All;
        step.told
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_normal(ModemCall::Write)?;
        inner.erased(false)?;
        if !inner.area.held {
            return Err(Fault::Code(Code::InvalidOperation));
        }
        if bytes.is_empty() {
            return Err(Fault::Errno(Errno::Inval));
        }
        if bytes.len() > inner.settings.block {
            return Err(Fault::Code(Code::BlockTooLarge));
        }
        inner.has_memory(bytes.len())?;
        inner.has_voltage()?;
        inner.area.accepts(bytes, inner.firmware)?;
        let step = inner.step(failure);
        inner.area.append(bytes, step.done);
        step.told
    }

    fn write_done(&mut self) -> Result<(), Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_normal(ModemCall::WriteDone)?;
        if !inner.area.held {
            return Err(Fault::Code(Code::InvalidOperation));
        }
        let step = inner.step(failure);
        inner.area.held = step.done != Done::All;
        step.told
    }

    fn erase(&mut self) -> Result<(), Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_normal(ModemCall::Erase)?;
        inner.erased(false)?;
        inner.is_released()?;
        inner.has_voltage()?;
        let (step, now) = (inner.step(failure), inner.clock_ns);
        inner.area.erase(step.done, now);
        step.told
    }

    fn update(&mut self) -> Result<(), Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_normal(ModemCall::DeltaUpdate)?;
        inner.erased(false)?;
        inner.is_released()?;
        inner.has_voltage()?;
        if inner.area.whole().is_none() {
            return Err(Fault::Code(Code::IncompleteData));
        }
        inner.schedule(Scheduled::Update, failure)
    }

    fn rollback(&mut self) -> Result<(), Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_normal(ModemCall::Rollback)?;
        inner.erased(false)?;
        inner.is_released()?;
        inner.has_voltage()?;
        if inner.area.previous.is_none() {
            return Err(Fault::Code(Code::NotAllowed));
        }
        inner.schedule(Scheduled::Rollback, failure)
    }

    fn is_scheduled(&self) -> bool {
        self.0.borrow().area.asked
    }
}

impl Inner {
    fn enter_normal(&mut self, call: ModemCall) -> Result<Option<Failure>, Fault> {
        let failure = self.enter(call)?;
        if self.mode != Mode::Normal {
            return Err(Fault::Errno(Errno::Perm));
        }
        self.has_memory(REQUEST)?;
        Ok(failure)
    }

    fn erased(&mut self, poll: bool) -> Result<(), Fault> {
        let wait = if self.registered { self.settings.erase_registered } else { self.settings.erase };
        self.area.is_free(wait, self.clock_ns, poll)
    }

    fn has_memory(&self, bytes: usize) -> Result<(), Fault> {
        let free = self.settings.memory.saturating_sub(self.memory_taken);
        if bytes <= free { Ok(()) } else { Err(Fault::Errno(Errno::NoMem)) }
    }

    fn has_voltage(&self) -> Result<(), Fault> {
        if self.low_voltage { Err(Fault::Code(Code::LowVoltage)) } else { Ok(()) }
    }

    /// Between `write_init` and `write_done` the modem only writes.
    fn is_released(&self) -> Result<(), Fault> {
        if self.area.held { Err(Fault::Code(Code::InvalidOperation)) } else { Ok(()) }
    }

    fn schedule(&mut self, scheduled: Scheduled, failure: Option<Failure>) -> Result<(), Fault> {
        let step = self.step(failure);
        if step.done == Done::All {
            self.area.scheduled = Some(scheduled);
        }
        self.area.asked |= step.told.is_ok();
        step.told
    }
}

/// How many bytes of shared memory any call needs.
const REQUEST: usize = 32;
