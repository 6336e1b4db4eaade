//! One call, piece by piece: plain code between two waits.

use core::mem;

use dfu_target::target::{Applied, Assurance, Call, Checked, Written};
use dfu_target::{Digest, Sha256};
use embedded_hal_async::delay::DelayNs;

use super::{Area, DeltaError, DeltaPolicy, ModemDelta, POLL_MS, Stage};
use crate::port::{self, Code, Delta, Fault, Offset};

impl<P: port::Delta, D: DelayNs, H: Sha256, V: DeltaPolicy> ModemDelta<P, D, H, V> {
    /// Does the next piece of a call's work: how many milliseconds to wait before the one after it, if there is one.
    pub(super) fn step<'c>(
        &mut self,
        call: &mut Call<'c>,
        rest: &mut &'c [u8],
        is_first: bool,
    ) -> Result<Option<u32>, DeltaError> {
        match call {
            Call::Init(image, offset) => {
                if is_first {
                    self.waited_ms = 0;
                }
                match self.look(image, **offset) {
                    Ok(wanted) => **offset = wanted,
                    // While it erases it may say nothing else.
                    Err(DeltaError::Modem(Fault::Code(Code::ErasePending))) => {
                        return self.erasing().map(|()| Some(POLL_MS));
                    }
                    Err(error) => return Err(error),
                }
            }
            Call::Write(bytes, written) => {
                if is_first {
                    let size = self.received.saturating_add(bytes.len() as u32);
                    if mem::replace(&mut self.stage, Stage::Closed) != Stage::Open {
                        return Err(DeltaError::Closed);
                    }
                    if size > self.size {
                        return Err(DeltaError::TooLarge { size, area: self.size });
                    }
                    *rest = bytes;
                }
                if self.erase_step()? {
                    return Ok(Some(POLL_MS));
                }
                **written = match self.feed(rest)? {
                    Some(taken) => {
                        *rest = rest.get(taken as usize..).unwrap_or(&[]);
                        if !rest.is_empty() {
                            return Ok(Some(0));
                        }
                        self.stage = Stage::Open;
                        Written::Committed(self.kept_at)
                    }
                    None => {
                        self.restart();
                        Written::Rewind(0)
                    }
                };
            }
            Call::Prepare(more) if is_first => {
                **more = self.stage == Stage::Open && self.erase_step()?;
                return Ok(more.then_some(POLL_MS));
            }
            Call::Prepare(_) => {}
            Call::Digest(checked) => {
                self.whole()?;
                **checked = Checked { digest: Digest(self.kept), assurance: Assurance::Deferred };
            }
            Call::Apply(proof, applied) => {
                if self.stage != Stage::Complete || proof.digest().0 != self.kept {
                    return Err(DeltaError::NotChecked);
                }
                if !self.modem.port().is_scheduled() {
                    self.modem.released(P::update)?;
                }
                **applied = Applied::AtReset;
            }
            Call::Abort => {
                if is_first {
                    self.close();
                    self.restarts = 0;
                    let port = self.modem.port();
                    let is_blank = port.offset() == Ok(Offset::At(0)) && !port.is_scheduled() && !self.is_soiled;
                    self.area = if is_blank { Area::Ready } else { Area::Unclean };
                }
                return Ok(self.erase_step()?.then_some(POLL_MS));
            }
        }
        Ok(None)
    }

    /// Sees to it that the modem has all, and the digest is known.
    fn whole(&mut self) -> Result<(), DeltaError> {
        if !matches!(self.stage, Stage::Whole | Stage::Complete) {
            let (have, need) = (self.received, if self.is_size_known { self.size } else { self.received.max(1) });
            if have < need {
                return Err(DeltaError::Truncated { have, need });
            }
            if mem::replace(&mut self.stage, Stage::Closed) != Stage::Open {
                return Err(DeltaError::Closed);
            }
            self.modem.finish()?;
            let offset = self.modem.port().offset()?;
            if offset != Offset::At(have) {
                self.is_soiled = true;
                return Err(DeltaError::Lost { offset, have });
            }
            self.kept = self.engine.finish().0;
            self.restarts = 0;
        }
        self.stage = Stage::Complete;
        Ok(())
    }
}
