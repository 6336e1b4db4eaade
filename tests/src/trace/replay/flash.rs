//! The flash of a replay.

use alloc::string::ToString;

use dfu_trace::{Event, sum};
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use super::{Channel, Operation, Replay};
use crate::flash::{Chip, Cut, Fault, SimError};

/// A flash that compares what is done to it with what was done to the device's, and fails where that did.
#[derive(Clone, Debug)]
pub struct ReplayFlash<'t, const W: usize, const E: usize, const R: usize = 1> {
    pub(super) replay: Replay<'t>,
    pub(super) chip: Chip<W, E, R>,
}

/// What goes wrong with an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// It fails, and later ones do not.
    Fault,
    /// It is the last of its run, but for others that fail.
    PowerCut,
}

impl<'t, const W: usize, const E: usize, const R: usize> ReplayFlash<'t, W, E, R> {
    fn begin(&self, asked: Event<'_>) -> (Option<Operation<'t>>, Trouble) {
        let operation = self.replay.take(Channel::Flash);
        self.replay.compare(operation.as_ref(), asked);
        let trouble = match &operation {
            Some(operation) if !operation.is_done() => self.trouble(operation),
            _ => Trouble::None,
        };
        if trouble == Trouble::Fault && operation.as_ref().is_some_and(|operation| operation.came.is_some()) {
            self.chip.sim().fault_after(0, Fault::Failed);
        }
        let cut = self.replay.0.borrow().cut.filter(|_| trouble == Trouble::PowerCut && self.chip.sim().is_powered());
        if let Some(points) = cut {
            self.chip.sim().cut_after(points, Cut::Before);
        }
        (operation, trouble)
    }

    fn trouble(&self, operation: &Operation<'_>) -> Trouble {
        let course = self.replay.0.borrow();
        let later = &course.operations[Channel::Flash as usize][course.next[Channel::Flash as usize]..];
        let mut later = later.iter().take_while(|other| other.start == operation.start);
        if later.any(|other| other.is_done()) { Trouble::Fault } else { Trouble::PowerCut }
    }

    async fn end(
        &self,
        (operation, trouble): (Option<Operation<'t>>, Trouble),
        mut result: Result<(), SimError>,
        fetched: Option<u32>,
    ) -> Result<(), SimError> {
        if trouble == Trouble::PowerCut && result.is_ok() {
            let mut sim = self.chip.sim();
            sim.cut_after(0, Cut::Before);
            let _ = sim.foreign_point();
            result = Err(SimError::PowerCut);
        }
        match operation.as_ref().and_then(|operation| operation.came) {
            Some(Event::Fetched { sum }) if result.is_ok() && fetched != Some(sum) => {
                let here = fetched.map(|sum| Event::Fetched { sum }.to_string());
                self.replay.diverge(operation.as_ref(), Some(Event::Fetched { sum }.to_string()), here);
            }
            Some(came @ (Event::Fetched { .. } | Event::Done)) if result.is_err() => {
                self.replay.diverge(operation.as_ref(), Some(came.to_string()), Some("failed".to_string()));
            }
            _ => {}
        }
        // Where the trace just ends, the caller is told of the power cut at once.
        if trouble != Trouble::PowerCut {
            self.replay.turn(Channel::Flash, operation.as_ref()).await;
        } else if operation.as_ref().is_some_and(|operation| operation.came.is_some()) {
            self.replay.0.borrow_mut().ended[Channel::Flash as usize] += 1;
        }
        result
    }
}

impl<const W: usize, const E: usize, const R: usize> ErrorType for ReplayFlash<'_, W, E, R> {
    type Error = SimError;
}

impl<const W: usize, const E: usize, const R: usize> ReadNorFlash for ReplayFlash<'_, W, E, R> {
    const READ_SIZE: usize = R;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        let begun = self.begin(Event::Read { at: offset, len: bytes.len() as u32 });
        let result = self.chip.read(offset, bytes).await;
        self.end(begun, result, Some(sum(bytes))).await
    }

    fn capacity(&self) -> usize {
        self.chip.capacity()
    }
}

impl<const W: usize, const E: usize, const R: usize> NorFlash for ReplayFlash<'_, W, E, R> {
    const WRITE_SIZE: usize = W;
    const ERASE_SIZE: usize = E;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        let begun = self.begin(Event::Erase { at: from, len: to - from });
        let result = self.chip.erase(from, to).await;
        self.end(begun, result, None).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        let begun = self.begin(Event::Write { at: offset, len: bytes.len() as u32, sum: sum(bytes) });
        let result = self.chip.write(offset, bytes).await;
        self.end(begun, result, None).await
    }
}
