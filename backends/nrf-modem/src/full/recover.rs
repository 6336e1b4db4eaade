//! At boot: programs the modem from what is staged, as often as it takes.

use dfu_target::flash::RegionError;
use dfu_target::{Digest, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use super::marker::{FullState as Marked, MOST_ROUNDS, Marker};
use super::plan::{Goal, Step};
use super::{FullError, FullPolicy, ModemFull, Phase};
use crate::port::{Bootloader, Errno, Fault, Range};

/// What is known of the modem when [`recover`](ModemFull::recover) is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Start {
    /// Its normal start was not tried yet: the call first thing at boot.
    NotTried,
    /// It started.
    Worked,
    /// It did not start, though the voltage was not too low: then nothing is wrong with it, and nothing to be done.
    Failed,
}

/// What [`recover`](ModemFull::recover) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "after `Programmed` the chip has to be reset"]
pub enum Recovered {
    /// Nothing is to be done: start the modem, if it was not tried yet.
    Nothing,
    /// The modem was programmed. Reset the chip: its shared memory and the modem begin anew.
    Programmed,
    /// The modem does not start, and nothing is staged that could help. The application goes on without it, and may
    /// get a file over another link.
    NoRemedy,
    /// The modem does not start, and what is staged was programmed three times. Stage another file.
    GaveUp,
}

/// How the modem is programmed.
#[derive(Clone, Copy, Debug)]
pub struct Program<'p> {
    verify: bool,
    expected: Option<(&'p [Range], Digest)>,
}

impl<'p> Program<'p> {
    /// With the modem's own check of the signature, before its flash is touched.
    pub const fn new() -> Self {
        Self { verify: true, expected: None }
    }

    /// Without that check: for loaders of modem firmware before 1.3.0, which cannot do it, or where its minutes cannot
    /// be afforded. A file with a wrong signature then leaves a modem that does not start.
    pub const fn skip_prevalidation(self) -> Self {
        Self { verify: false, ..self }
    }

    /// Compares what the modem's flash holds afterwards: the ranges and the digest "of all ranges in ascending order"
    /// of `firmware.update.image.digest.txt`, without the ranges at 0x0100_0000 and above. They are over the decrypted
    /// content, so nothing in the file itself can stand for them. No ranges: nothing is compared; more than
    /// [`MOST_RANGES`](crate::port::MOST_RANGES): [`FullError::Ranges`].
    pub const fn expect(self, ranges: &'p [Range], digest: Digest) -> Self {
        Self { expected: Some((ranges, digest)), ..self }
    }
}

impl Default for Program<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: NorFlash, H: Sha256, const N: usize, V: FullPolicy> ModemFull<'_, F, H, N, V> {
    /// Programs the modem from what is staged, if that is to be done: after an [`apply`](dfu_target::DfuTarget::apply),
    /// after a cut amid programming, or when the modem did not start and the file of the last update still lies here.
    ///
    /// Call it first thing at boot with [`Start::NotTried`], before the modem is initialized; and once more with
    /// [`Start::Failed`] where that fails. `buffer` is what goes to the modem at once: 4,096 bytes are good, 64 the
    /// least.
    ///
    /// ```text
    ///  staged file read back ─► loader ─► signature ─► "programming" ─► segments ─► digest ─► "done" ─► reset
    ///       │ damaged: nothing is touched     │ refused: the modem is as it was
    /// ```
    ///
    /// A cut, a dropped future or an error before "programming" leaves the modem as it was and the update to be tried
    /// again: start the modem all the same. The third such error, too low a voltage and those of the flash not counted,
    /// makes the file [`FullState::Refused`](super::FullState::Refused), so that it keeps no modem off for ever. After
    /// "programming" the next call programs all of it again; an error that comes back at each boot is for the
    /// application to end then, by [`discard`](Self::discard). A digest that the modem does not tell counts as a wrong
    /// one. The modem is back in its normal mode, or was shut down, when this returns.
    pub async fn recover<B: Bootloader>(
        &mut self,
        modem: &mut B,
        start: Start,
        program: &Program<'_>,
        buffer: &mut [u8],
    ) -> Result<Recovered, FullError<RegionError<F::Error>>> {
        let job = Job {
            modem,
            program,
            pieces: buffer,
            start,
            nth: 0,
            address: 0,
            refusal: None,
            begun: false,
            is_marked: false,
        };
        self.core.outcome = Recovered::Nothing;
        self.run(Goal::Recover(job), Step::Look).await.map(|()| self.core.outcome)
    }
}

/// Programming a modem: all but the flash. Dropping it ends the modem's bootloader mode.
pub(super) struct Job<'w> {
    modem: &'w mut dyn Bootloader,
    program: &'w Program<'w>,
    pub(super) pieces: &'w mut [u8],
    start: Start,
    /// Which segment, and where the next piece of it goes.
    pub(super) nth: usize,
    pub(super) address: u32,
    /// Why the modem refused.
    refusal: Option<Fault>,
    begun: bool,
    /// The marker says that the modem's flash is being programmed.
    pub(super) is_marked: bool,
}

impl Job<'_> {
    /// What becomes of it if there is nothing to program.
    pub(super) fn decide(&self, marker: &Marker) -> Option<Recovered> {
        let again = marker.rounds < MOST_ROUNDS;
        Some(match marker.stage {
            Marked::Verified | Marked::Programming => return None,
            Marked::Mismatch if again => return None,
            Marked::Done if again && self.start == Start::Failed => return None,
            Marked::None | Marked::Refused if self.start == Start::Failed => Recovered::NoRemedy,
            // Unless it was tried, it may be as good as any.
            Marked::Done | Marked::Mismatch if self.start == Start::Failed => Recovered::GaveUp,
            _ => Recovered::Nothing,
        })
    }

    pub(super) fn begin(&mut self) -> Result<(), Fault> {
        self.begun = true;
        self.modem.start()
    }

    /// Gives the modem these of the bytes that were read.
    pub(super) fn give(&mut self, bytes: core::ops::Range<usize>) -> Result<(), Fault> {
        let piece = self.pieces.get(bytes).unwrap_or_default();
        let address = self.address;
        self.address = address.wrapping_add(piece.len() as u32);
        if self.nth == 0 { self.modem.bl_write(piece) } else { self.modem.fw_write(address, piece) }
    }

    /// The loader is there. The marker that is to be written before the modem's flash is touched.
    pub(super) fn loaded(
        &mut self,
        found: Marked,
        wrapper: &[u8],
        policy: &mut dyn FullPolicy,
    ) -> Result<Marked, Fault> {
        self.modem.update()?;
        if self.program.verify {
            policy.progress(Phase::Verifying, 0, 1);
            let verdict = self.modem.verify(wrapper);
            policy.progress(Phase::Verifying, 1, 1);
            match verdict {
                Ok(()) => {}
                // Nothing was programmed since the modem last was whole.
                Err(fault @ Fault::Errno(Errno::Perm | Errno::NoExec))
                    if matches!(found, Marked::Verified | Marked::Done) =>
                {
                    self.refusal = Some(fault);
                    return Ok(Marked::Refused);
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(Marked::Programming)
    }

    /// The last segment is there. The marker that says how that went.
    pub(super) fn finished(&mut self) -> Result<Marked, Fault> {
        self.modem.update()?;
        let compared = self.program.expected.filter(|(ranges, _)| !ranges.is_empty());
        let Some((ranges, expected)) = compared else { return Ok(Marked::Done) };
        Ok(match self.modem.digest(ranges) {
            Ok(digest) if digest == expected => Marked::Done,
            Ok(_) => Marked::Mismatch,
            Err(fault) if fault.is_low_voltage() => return Err(fault),
            Err(fault) => {
                self.refusal = Some(fault);
                Marked::Mismatch
            }
        })
    }

    /// How many ranges of the modem's flash are compared afterwards.
    pub(super) fn ranges(&self) -> usize {
        self.program.expected.map_or(0, |(ranges, _)| ranges.len())
    }

    /// A marker is written: whether segments follow.
    pub(super) fn marked<E>(&mut self, marker: Marked) -> Result<bool, FullError<E>> {
        match (self.refusal, marker) {
            (Some(fault), Marked::Mismatch) => Err(FullError::Modem(fault)),
            (Some(fault), _) => Err(FullError::Refused(fault)),
            (None, Marked::Mismatch) => Err(FullError::Mismatch),
            (None, marker) => {
                self.is_marked = true;
                Ok(marker == Marked::Programming)
            }
        }
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        if self.begun {
            // Whatever it says: the chip is reset, or the next start begins anew.
            let _ = self.modem.stop();
        }
    }
}
