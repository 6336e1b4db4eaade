//! Bytes on their way into the modem, and the erase before them.

use core::ops::ControlFlow;

use dfu_target::Sha256;
use embedded_hal_async::delay::DelayNs;

use super::{Area, CHUNK, DeltaError, DeltaPolicy, LEAST_CHUNK, MOST_RESTARTS, ModemDelta, POLL_MS, Stage};
use crate::port::{self, Code, Errno, Fault, Offset};

impl<P: port::Delta, D: DelayNs, H: Sha256, V: DeltaPolicy> ModemDelta<P, D, H, V> {
    /// Begins an erase, or looks whether it is done; `true`: it is not.
    pub(super) fn erase_step(&mut self) -> Result<bool, DeltaError> {
        if self.area == Area::Ready {
            return Ok(false);
        }
        if self.area == Area::Unclean {
            match self.modem.released(P::erase) {
                Ok(()) | Err(Fault::Code(Code::ErasePending)) => {}
                Err(fault) => return Err(fault.into()),
            }
            self.area = Area::Erasing;
            self.waited_ms = 0;
        }
        match self.modem.port().offset() {
            Ok(Offset::At(0)) => {
                self.area = Area::Ready;
                self.is_soiled = false;
                self.waited_ms = 0;
                return Ok(false);
            }
            // What was stored may still be told for a while.
            Ok(_) | Err(Fault::Code(Code::ErasePending)) => {}
            Err(fault) if is_spoiled(fault) => {}
            Err(fault) => return Err(fault.into()),
        }
        self.erasing().map(|()| true)
    }

    /// It is erasing: asks the caller whether to wait for it still.
    #[inline(never)] // Three places ask.
    pub(super) fn erasing(&mut self) -> Result<(), DeltaError> {
        if self.policy.erasing(self.waited_ms) == ControlFlow::Break(()) {
            return Err(DeltaError::Cancelled);
        }
        if self.waited_ms >= self.limit_ms {
            return Err(DeltaError::EraseTimeout { waited_ms: self.waited_ms });
        }
        self.waited_ms = self.waited_ms.saturating_add(POLL_MS);
        Ok(())
    }

    /// Takes the next bytes of an open stream, as many as one call of the modem may have. `None`: it wants the image
    /// from the start.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Option<u32>, DeltaError> {
        let ahead = self.held.saturating_sub(self.received);
        let most = if ahead > 0 { ahead.min(CHUNK) } else { self.chunk } as usize;
        let piece = bytes.get(..most).unwrap_or(bytes);
        let len = piece.len() as u32;
        if ahead == 0 && len > 0 {
            match self.modem.write(piece) {
                Ok(()) => self.held = self.held.wrapping_add(len),
                Err(Fault::Code(Code::BlockTooLarge | Code::OutOfMemory) | Fault::Errno(Errno::NoMem))
                    if self.chunk > LEAST_CHUNK && self.modem.port().offset() == Ok(Offset::At(self.held)) =>
                {
                    self.chunk /= 2;
                    return Ok(Some(0));
                }
                // Where the modem is where it should be, it wants no bytes behind these.
                Err(fault @ Fault::Code(Code::InvalidFileOffset))
                    if self.modem.port().offset() == Ok(Offset::At(self.held)) =>
                {
                    return Err(fault.into());
                }
                Err(fault) if is_spoiled(fault) => {
                    self.is_soiled = true;
                    if self.restarts >= MOST_RESTARTS {
                        self.restarts = 0;
                        return Err(fault.into());
                    }
                    self.restarts = self.restarts.wrapping_add(1);
                    return Ok(None);
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        // Up to the last block that is whole, and that is not the end of all: there the digest itself is kept.
        let end = self.received.wrapping_add(len);
        let whole = end.min(self.size.saturating_sub(1)) & !63;
        let (blocks, rest) = piece.split_at_checked(whole.wrapping_sub(self.received) as usize).unwrap_or((&[], piece));
        self.engine.update(blocks);
        if !blocks.is_empty()
            && let Some(midstate) = self.engine.midstate()
        {
            self.kept = midstate;
            self.kept_at = whole;
        }
        self.engine.update(rest);
        self.received = end;
        Ok(Some(len))
    }

    /// From the start, once more, after an erase.
    pub(super) fn restart(&mut self) {
        self.modem.done();
        self.begin_at(0, 0, &[0; 32]);
        self.engine.start();
        self.area = Area::Unclean;
        self.stage = Stage::Open;
    }

    pub(super) fn close(&mut self) {
        self.modem.done();
        self.stage = Stage::Closed;
    }
}

/// Whether the modem says that what it holds cannot be gone on with.
#[inline(never)]
pub(super) const fn is_spoiled(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Code(
            Code::AreaNotBlank
                | Code::InvalidFileOffset
                | Code::ProgressLogInvalid
                | Code::InvalidResume
                | Code::InterruptedWrite
        )
    )
}
