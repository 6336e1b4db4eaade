//! At boot: programs the modem from what is staged, as often as it takes.

use dfu_target::flash::{RegionError, yield_now};
use dfu_target::{Digest, Sha256};
use embedded_storage_async::nor_flash::NorFlash;

use super::marker::{Marker, Stage as Marked};
use super::{FullError, FullPolicy, ModemFull, Phase, Stage};
use crate::Segment;
use crate::port::{Bootloader, Errno, Fault, Range};

/// What is known of the modem when [`recover`](ModemFull::recover) is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Start {
    /// Its normal start was not tried yet: the call first thing at boot.
    NotTried,
    /// It started.
    Worked,
    /// It did not start.
    Failed,
}

/// What [`recover`](ModemFull::recover) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "after `Programmed` the chip has to be reset"]
pub enum Recovered {
    /// Nothing is to be done.
    Nothing,
    /// The modem was programmed. Reset the chip: its shared memory and the modem begin anew.
    Programmed,
    /// The modem does not start, and nothing is staged that could help. The application goes on without it, and may
    /// get a file over another link.
    NoRemedy,
    /// What is staged was programmed three times, and the modem does not start or does not read as expected. Stage
    /// another file.
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
    /// content, so nothing in the file itself can stand for them.
    pub const fn expect(self, ranges: &'p [Range], digest: Digest) -> Self {
        Self { expected: Some((ranges, digest)), ..self }
    }
}

impl Default for Program<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// How often a file is programmed to the end before it is given up.
const MOST_ROUNDS: u32 = 3;

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
    /// again; after it, the next call programs all of it again. The modem is back in its normal mode, or was shut down,
    /// when this returns.
    pub async fn recover<B: Bootloader>(
        &mut self,
        modem: &mut B,
        start: Start,
        program: &Program<'_>,
        buffer: &mut [u8],
    ) -> Result<Recovered, FullError<RegionError<F::Error>>> {
        self.stage = Stage::Closed;
        let marker = self.staging.marker().await?;
        self.found = marker;
        let again = marker.rounds < MOST_ROUNDS;
        match marker.stage {
            Marked::Verified | Marked::Programming => {}
            Marked::Mismatch if again => {}
            Marked::Done if start != Start::Failed => return Ok(Recovered::Nothing),
            Marked::Done if again => {}
            Marked::None | Marked::Refused if start == Start::Failed => return Ok(Recovered::NoRemedy),
            Marked::None | Marked::Refused => return Ok(Recovered::Nothing),
            Marked::Done | Marked::Mismatch if start == Start::Worked => return Ok(Recovered::Nothing),
            Marked::Done | Marked::Mismatch => return Ok(Recovered::GaveUp),
        }
        if buffer.len() < LEAST_BUFFER.max(F::READ_SIZE.saturating_mul(2)) {
            return Err(FullError::Buffer);
        }
        if self.staging.hash(&mut self.engine, &mut self.policy, 0, marker.size).await? != marker.digest {
            return Err(FullError::Damaged);
        }
        let result = self.program(modem, marker, program, buffer).await;
        let _ = modem.stop();
        result
    }

    async fn program<B: Bootloader>(
        &mut self,
        modem: &mut B,
        marker: Marker,
        program: &Program<'_>,
        buffer: &mut [u8],
    ) -> Result<Recovered, FullError<RegionError<F::Error>>> {
        let (mut job, loader) = match self.staging.wrapper().await? {
            Ok(wrapper) => {
                let loader = wrapper.segments().next().unwrap_or(Segment { address: 0, len: 0 });
                (Job { at: wrapper.len(), done: 0, total: loader.len, phase: Phase::Loader }, loader)
            }
            Err(error) => return Err(FullError::Wrapper(error)),
        };
        modem.start()?;
        self.give(modem, &mut job, loader, buffer).await?;
        modem.update()?;
        if program.verify {
            self.policy.progress(Phase::Verifying, 0, 1);
            let verdict = match self.staging.wrapper().await? {
                Ok(wrapper) => modem.verify(wrapper.as_bytes()),
                Err(error) => return Err(FullError::Wrapper(error)),
            };
            self.policy.progress(Phase::Verifying, 1, 1);
            match verdict {
                Ok(()) => {}
                // Nothing was programmed since the modem last was whole.
                Err(fault @ Fault::Errno(Errno::Perm | Errno::NoExec))
                    if matches!(marker.stage, Marked::Verified | Marked::Done) =>
                {
                    self.staging.mark(&marker.then(Marked::Refused)).await?;
                    return Err(FullError::Refused(fault));
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        self.staging.mark(&marker.then(Marked::Programming)).await?;
        job = Job { done: 0, total: marker.size.saturating_sub(job.at), phase: Phase::Programming, ..job };
        let mut nth = 1;
        while let Some(segment) = self.segment(nth).await? {
            self.give(modem, &mut job, segment, buffer).await?;
            nth = nth.saturating_add(1);
        }
        modem.update()?;
        if let Some((ranges, expected)) = program.expected {
            let found = modem.digest(ranges)?;
            if found != expected {
                self.staging.mark(&marker.then(Marked::Mismatch)).await?;
                return Err(FullError::Mismatch { found });
            }
        }
        self.staging.mark(&marker.then(Marked::Done)).await?;
        Ok(Recovered::Programmed)
    }

    /// A segment of the staged file.
    async fn segment(&mut self, nth: usize) -> Result<Option<Segment>, FullError<RegionError<F::Error>>> {
        match self.staging.wrapper().await? {
            Ok(wrapper) => Ok(wrapper.segments().nth(nth)),
            Err(error) => Err(FullError::Wrapper(error)),
        }
    }

    /// Gives a segment to the modem, piece by piece.
    async fn give<B: Bootloader>(
        &mut self,
        modem: &mut B,
        job: &mut Job,
        segment: Segment,
        buffer: &mut [u8],
    ) -> Result<(), FullError<RegionError<F::Error>>> {
        let end = job.at.saturating_add(segment.len);
        let mut address = segment.address;
        while job.at < end {
            let piece = self.staging.read(job.at, end, buffer).await?;
            match job.phase {
                Phase::Loader => modem.bl_write(piece)?,
                _ => modem.fw_write(address, piece)?,
            }
            let len = piece.len() as u32;
            job.at = job.at.saturating_add(len.max(1));
            job.done = job.done.saturating_add(len);
            address = address.wrapping_add(len);
            self.policy.progress(job.phase, job.done, job.total);
            yield_now().await;
        }
        Ok(())
    }
}

/// Less than this is no piece for a modem.
const LEAST_BUFFER: usize = 64;

/// Where programming stands.
struct Job {
    /// In the staged file.
    at: u32,
    done: u32,
    total: u32,
    phase: Phase,
}
