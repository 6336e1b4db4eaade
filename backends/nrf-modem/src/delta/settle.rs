//! After the modem's restart: what became of the update, and the end of it.

use dfu_target::progress::{ProgressStore, State};
use dfu_target::{DfuTarget, ImageKind, Sha256};
use embedded_hal_async::delay::DelayNs;

use super::{DeltaError, DeltaPolicy, ModemDelta, POLL_MS, hash};
use crate::outcome::{Outcome, Runs};
use crate::port::{self, Code, Fault};

/// What became of the last delta update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "it says whether the modem runs the new firmware"]
pub enum Settled {
    /// None was asked for.
    Nothing,
    /// The new firmware runs, and the modem's area is erased: it will not go back by itself.
    Updated,
    /// The modem refused it and runs the firmware of before; its area is erased. It will refuse the same delta again,
    /// unless its flash had spoiled it, which
    /// [`Request::attempts`](dfu_target::Request::attempts) leaves room for.
    Refused(Outcome),
    /// It was put off, or the modem was not restarted yet. Restart the modem, with the supply in order.
    Waiting,
    /// The modem was restarted and runs the firmware of before; why was not told. Restart it once more, with the supply
    /// in order, or give the update up: begin it, and `abort` the session that
    /// [`Staged::into_session`](dfu_target::session::Staged::into_session) gives.
    NotUpdated,
    /// The modem went back and runs the firmware of before, as [`rollback`](ModemDelta::rollback) asks for; its area is
    /// erased.
    RolledBack,
    /// The modem will not start any more: it needs a full update.
    Dead(Outcome),
}

impl<P: port::Delta, D: DelayNs, H: Sha256, V: DeltaPolicy> ModemDelta<P, D, H, V> {
    /// Tells what became of the last delta update, and ends it: the record only remembers that it was tried, as after
    /// [`Session::reject`](dfu_target::Session::reject). Call it when the modem has started, before another
    /// update is begun, with the store that the update had.
    ///
    /// `outcome` is what the modem told when it started, where that is known. Without it, the firmware that runs is
    /// compared with the one that ran when the update was recorded as applied.
    ///
    /// Waits for an erase as [`write`](DfuTarget::write) does. A cut, a dropped future or an error leaves the record:
    /// call it again.
    pub async fn settle<S: ProgressStore>(
        &mut self,
        store: &mut S,
        outcome: Option<Outcome>,
    ) -> Result<Settled, DeltaError> {
        self.waited_ms = 0;
        self.base = loop {
            match self.modem.port().uuid() {
                // While it erases it may say nothing else.
                Err(Fault::Code(Code::ErasePending)) => {
                    self.erasing()?;
                    self.delay.delay_ms(POLL_MS).await;
                }
                told => break told.map(|uuid| hash(&uuid)),
            }
        };
        let mut record = store
            .load()
            .await
            .filter(|progress| progress.kind() == ImageKind::ModemDelta && progress.state() == State::Applied);
        let identity = self.identity(ImageKind::ModemDelta, 0);
        let changed = record.as_ref().is_some_and(|record| record.identity() != identity);
        let same = record.is_some() && self.base.is_ok() && !changed;
        let settled = match (outcome, outcome.map_or(Runs::Unknown, Outcome::runs)) {
            // Of an update before this one, which has yet to come.
            (_, Runs::New) if same && self.modem.port().is_scheduled() => Settled::Waiting,
            // A rollback is an update, too.
            (_, Runs::New) if same => Settled::RolledBack,
            (_, Runs::New) => Settled::Updated,
            (Some(outcome), Runs::Nothing) => Settled::Dead(outcome),
            (Some(Outcome::VoltageLow), _) => Settled::Waiting,
            (Some(outcome), Runs::Old) => Settled::Refused(outcome),
            _ if record.is_none() => Settled::Nothing,
            // A modem that does not answer tells nothing.
            _ if self.base.is_err() => Settled::Waiting,
            _ if changed => Settled::Updated,
            _ if self.modem.port().is_scheduled() => Settled::Waiting,
            _ => Settled::NotUpdated,
        };
        let ends = matches!(settled, Settled::Updated | Settled::RolledBack | Settled::Refused(_));
        if ends {
            self.abort().await?;
        }
        if let Some(record) = &mut record
            && (ends || matches!(settled, Settled::Dead(_)))
        {
            record.reject();
            store.save(record).await.map_err(DeltaError::Store)?;
        }
        Ok(settled)
    }
}
