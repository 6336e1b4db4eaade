//! The port for full updates.

use dfu_target::Digest;
use dfu_target_nrf_modem::port::{Bootloader, Errno, Fault, Range, Uuid};

use super::call::{Done, Failure};
use super::fill::{decrypted, fill};
use super::flash::ModemFlash;
use super::loader::Stage;
use super::wrapper::{Manifest, Refused};
use super::{FakeModem, Inner, Mode, ModemCall};
use crate::flash::tear_word;

impl Bootloader for FakeModem {
    fn start(&mut self) -> Result<(), Fault> {
        let mut inner = self.inner();
        let failure = inner.enter(ModemCall::Start)?;
        let step = inner.step(failure);
        if step.done == Done::All {
            inner.forget_ram();
            inner.mode = Mode::Bootloader;
        }
        step.told
    }

    /// What is buffered and was not programmed by `update` is lost.
    fn stop(&mut self) -> Result<(), Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_bootloader(ModemCall::Stop)?;
        let step = inner.step(failure);
        if step.done == Done::All {
            inner.forget_ram();
        }
        step.told
    }

    fn bl_write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_bootloader(ModemCall::BlWrite)?;
        inner.is_in(Stage::Waits)?;
        if bytes.is_empty() || inner.loader.code.len() + bytes.len() > inner.settings.loader {
            return Err(INVAL);
        }
        let step = inner.step(failure);
        let len = match step.done {
            Done::Nothing => 0,
            Done::Part(_) => bytes.len() / 2,
            Done::All => bytes.len(),
        };
        inner.loader.code.extend(&bytes[..len]);
        step.told
    }

    fn fw_write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Fault> {
        let mut inner = self.inner();
        let mut failure = inner.enter_bootloader(ModemCall::FwWrite)?;
        inner.is_in(Stage::Runs)?;
        if bytes.is_empty() {
            return Err(INVAL);
        }
        if !ModemFlash::has(address, bytes.len()) {
            return Err(Fault::Errno(Errno::Perm));
        }
        let (mut at, mut rest) = (address, bytes);
        while !rest.is_empty() {
            if !inner.loader.page.goes_on_at(at) {
                inner.program(failure.take())?;
            }
            let len = inner.loader.page.take_in(at, rest);
            (at, rest) = (at + len as u32, &rest[len..]);
            if inner.loader.page.is_full() {
                inner.program(failure.take())?;
            }
        }
        Failure::told(failure)
    }

    fn update(&mut self) -> Result<(), Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_bootloader(ModemCall::BootloaderUpdate)?;
        match inner.loader.stage {
            Stage::Runs if inner.loader.page.is_empty() => Failure::told(failure),
            Stage::Runs => inner.program(failure),
            Stage::Waits if !inner.loader.code.is_empty() => inner.run_loader(failure),
            _ => Err(STATE),
        }
    }

    fn verify(&mut self, wrapper: &[u8]) -> Result<(), Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_bootloader(ModemCall::Verify)?;
        inner.is_in(Stage::Runs)?;
        if inner.loader.has_programmed || !inner.loader.page.is_empty() {
            return Err(STATE);
        }
        let manifest = Manifest::verified(wrapper, inner.settings.key).map_err(|refused| match refused {
            Refused::Malformed => INVAL,
            Refused::Untrusted => Fault::Errno(Errno::Perm),
        })?;
        let loader = manifest.segments.first().map(|(_, len)| *len as usize);
        if loader != Some(inner.loader.code.len()) {
            return Err(Fault::Errno(Errno::Perm));
        }
        Failure::told(failure)?;
        inner.loader.manifest = Some(manifest);
        Ok(())
    }

    /// The ranges ascend and do not overlap; those at 0x0100_0000 and above are left out.
    fn digest(&mut self, ranges: &[Range]) -> Result<Digest, Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_bootloader(ModemCall::Digest)?;
        inner.is_flushed()?;
        let ascend = ranges.windows(2).all(|pair| pair[0].end < pair[1].start);
        let is_flash = |range: &Range| {
            range.start <= range.end && ModemFlash::has(range.start, (range.end - range.start) as usize + 1)
        };
        if ranges.is_empty() || !ascend || !ranges.iter().all(is_flash) {
            return Err(INVAL);
        }
        Failure::told(failure)?;
        Ok(Digest(inner.flash.digest(ranges)))
    }

    fn uuid(&mut self) -> Result<Uuid, Fault> {
        let mut inner = self.inner();
        let failure = inner.enter_bootloader(ModemCall::BootloaderUuid)?;
        inner.is_flushed()?;
        Failure::told(failure)?;
        inner.settle();
        if inner.alive { Ok(inner.firmware) } else { inner.flash.uuid().ok_or(Fault::Errno(Errno::Io)) }
    }
}

impl Inner {
    fn enter_bootloader(&mut self, call: ModemCall) -> Result<Option<Failure>, Fault> {
        let failure = self.enter(call)?;
        if self.mode == Mode::Bootloader { Ok(failure) } else { Err(STATE) }
    }

    fn is_in(&self, stage: Stage) -> Result<(), Fault> {
        if self.loader.stage == stage { Ok(()) } else { Err(STATE) }
    }

    /// A loader runs, and nothing waits to be programmed.
    fn is_flushed(&self) -> Result<(), Fault> {
        self.is_in(Stage::Runs)?;
        if self.loader.page.is_empty() { Ok(()) } else { Err(STATE) }
    }

    fn run_loader(&mut self, failure: Option<Failure>) -> Result<(), Fault> {
        let step = self.step(failure);
        if step.done != Done::All {
            return step.told;
        }
        let runs = self.loader.code == fill(0, 0, self.loader.code.len());
        self.loader.stage = if runs { Stage::Runs } else { Stage::Broken };
        step.told.and(if runs { Ok(()) } else { Err(Fault::Errno(Errno::Io)) })
    }

    /// Programs what is buffered. The first page of each loader's takes the firmware of before away, all of it.
    fn program(&mut self, failure: Option<Failure>) -> Result<(), Fault> {
        let Some((address, bytes)) = self.loader.page.take_out() else { return Failure::told(failure) };
        let step = self.step(failure);
        if step.done == Done::Nothing {
            return step.told;
        }
        if !self.loader.has_programmed {
            self.loader.has_programmed = true;
            self.flash.runs.clear();
            (self.area.previous, self.area.scheduled) = (None, None);
        }
        self.alive = false;
        let wanted = decrypted(address, &bytes);
        let mut cells = wanted.clone();
        if let Done::Part(tear) = step.done {
            cells.fill(0xff);
            let mut rng = fastrand::Rng::with_seed(self.supply.points());
            tear_word(&mut cells, |at| wanted[at], tear, &mut rng);
        }
        self.flash.program(address, &cells);
        step.told
    }

    /// Whether what was programmed makes a firmware: complete by the header block's digest, and, where the wrapper was
    /// verified, all that the manifest names.
    pub(super) fn settle(&mut self) {
        if !core::mem::take(&mut self.flash.changed) {
            return;
        }
        let promised = self.loader.manifest.as_ref();
        if promised.is_some_and(|manifest| !self.flash.is_of(manifest, &self.loader.code)) {
            return;
        }
        if let Some(uuid) = self.flash.whole() {
            (self.firmware, self.alive) = (uuid, true);
        }
    }
}

const STATE: Fault = Fault::Errno(Errno::OpNotSupported);
const INVAL: Fault = Fault::Errno(Errno::Inval);
