//! What can be told of an image before its first byte is stored.

use core::mem;

use dfu_target::image::modem::is_delta;
use dfu_target::{Image, Sha256};
use embedded_hal_async::delay::DelayNs;

use super::stream::is_spoiled;
use super::{Area, DeltaError, DeltaPolicy, ModemDelta, Stage, hash};
use crate::port::{self, Code, Delta, Fault, Offset};

impl<P: port::Delta, D: DelayNs, H: Sha256, V: DeltaPolicy> ModemDelta<P, D, H, V> {
    /// What can be told of an image without changing anything, and where to go on.
    pub(super) fn look(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, DeltaError> {
        self.close();
        if !is_delta(image.head) {
            return Err(DeltaError::NotDelta);
        }
        let area = self.modem.port().area()?;
        let size = image.size.unwrap_or(area);
        if size > area {
            return Err(DeltaError::TooLarge { size, area });
        }
        let base = self.modem.port().uuid()?;
        // The identity that was told is not of this firmware: none, or one of before the modem was restarted. What
        // would be recorded under it could be taken for an update that went well.
        match mem::replace(&mut self.base, Ok(hash(&base))) {
            told if told == self.base => {}
            // It erased then.
            Ok(_) | Err(Fault::Code(Code::ErasePending)) => return Err(DeltaError::Closed),
            Err(fault) => return Err(fault.into()),
        }
        if !self.policy.accepts(&base, image) {
            return Err(DeltaError::Policy);
        }
        let is_complete = image.size == Some(resume);
        if self.modem.port().is_scheduled() && !is_complete {
            return Err(DeltaError::Pending);
        }
        let offset = match self.modem.port().offset() {
            Ok(offset) => Some(offset),
            Err(Fault::Code(Code::ErasePending)) => None,
            Err(fault) if is_spoiled(fault) => Some(Offset::Dirty),
            Err(fault) => return Err(fault.into()),
        };
        self.size = size;
        self.is_size_known = image.size.is_some();
        self.begin_at(0, 0, &[0; 32]);
        self.stage = Stage::Open;
        self.area = match offset {
            Some(_) if self.is_soiled => Area::Unclean,
            Some(Offset::At(0)) => Area::Ready,
            Some(Offset::At(held)) if resume > 0 && (resume..=size).contains(&held) && *image.kept != [0; 32] => {
                if is_complete && held == size {
                    self.begin_at(size, held, image.kept);
                    self.stage = Stage::Whole;
                    Area::Ready
                } else if !is_complete && self.engine.resume(image.kept, resume) {
                    self.begin_at(resume, held, image.kept);
                    Area::Ready
                } else {
                    Area::Unclean
                }
            }
            Some(_) => Area::Unclean,
            None => Area::Erasing,
        };
        if self.received == 0 {
            self.engine.start();
        }
        Ok(self.received)
    }

    pub(super) fn begin_at(&mut self, received: u32, held: u32, kept: &[u8; 32]) {
        self.received = received;
        self.held = held;
        // Not as one: that would be a copy whose ends may overlap.
        self.kept.iter_mut().zip(kept).for_each(|(to, from)| *to = *from);
        self.kept_at = received;
    }
}
