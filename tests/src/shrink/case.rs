//! [`Case`]: a device, two images, power cuts.

use alloc::vec::Vec;
use core::fmt;

use super::Simplify;
use crate::boot::Refusal;
use crate::device::{Board, Device, Release};
use crate::flash::Cut;

/// A device's life through power cuts, up to the new image: all that a test needs to know of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The slots and the bootloader.
    pub board: Board,
    /// The sizes of the image that runs and of the new one, in bytes.
    pub sizes: [usize; 2],
    /// How many bytes come at once.
    pub chunk: usize,
    /// How often progress is stored, in bytes.
    pub save_every: u32,
    /// The cuts, each counted in mutation points from the reset before.
    pub cuts: Vec<(u64, Cut)>,
}

/// The promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// What runs is neither the old image nor the new one, or nothing does.
    Damaged,
    /// An image was pending that the bootloader refuses.
    Refused(Refusal),
    /// What belongs to others was changed.
    Foreign,
    /// The new image never came to run and stay, without any more cuts.
    Stuck,
}

impl Case {
    /// Images of 1000 bytes, in pieces of 512, progress every 1024; no cuts.
    pub fn new(board: Board) -> Self {
        Self { board, sizes: [1000, 1000], chunk: 512, save_every: 1024, cuts: Vec::new() }
    }

    /// Lives through the cuts, and then on until the new image runs and is confirmed.
    ///
    /// `application` is what the device does between two resets, up to the request to run the image or the loss of
    /// power: [`Device::update`] is the library's. Confirming is done here.
    pub fn live<const W: usize, const E: usize>(
        &self,
        application: impl Fn(&Device<W, E>, &Release<'_>),
    ) -> Result<(), Broken> {
        let device = Device::new(self.board);
        let image =
            |major, size| self.board.image().version(major, 0, 0, 0).seed(major.into()).total_size(size).build();
        let images = [image(1, self.sizes[0]), image(2, self.sizes[1])];
        device.install(&images[0]);
        let release = Release::new(&images[1]).chunk(self.chunk).save_every(self.save_every);
        let foreign = || -> Vec<_> { device.foreign().into_iter().map(|range| device.read(range)).collect() };
        let before = foreign();
        let runs = |nth: usize| device.holds(device.running(), &images[nth]);
        for cut in self.cuts.iter().map(Some).chain([None; LIVES]) {
            if let Some((point, cut)) = cut {
                device.chip().sim().cut_after(*point, *cut);
            }
            if runs(1) {
                let confirmed = device.confirm().is_ok();
                if cut.is_none() {
                    return if confirmed && device.boot().running.is_ok() && runs(1) {
                        Ok(())
                    } else {
                        Err(Broken::Stuck)
                    };
                }
            } else {
                application(&device, &release);
            }
            let boot = device.boot();
            if boot.running.is_err() || !runs(0) && !runs(1) {
                return Err(Broken::Damaged);
            }
            if let Some(refusal) = boot.refused {
                return Err(Broken::Refused(refusal));
            }
            if foreign() != before {
                return Err(Broken::Foreign);
            }
        }
        Err(Broken::Stuck)
    }
}

/// How many runs without a cut are enough to be done.
const LIVES: usize = 4;

/// No image is smaller here.
const SMALLEST: usize = 600;

impl Simplify for Case {
    /// Fewer and simpler cuts first, then smaller images, then the usual pieces.
    fn simpler(&self) -> Vec<Self> {
        let mut all: Vec<Self> = self.cuts.simpler().into_iter().map(|cuts| Self { cuts, ..self.clone() }).collect();
        for nth in [1, 0] {
            let beyond = self.sizes[nth].saturating_sub(SMALLEST) as u64;
            all.extend(beyond.simpler().into_iter().map(|beyond| {
                let mut case = self.clone();
                case.sizes[nth] = SMALLEST + beyond as usize;
                case
            }));
        }
        let usual = Self::new(self.board);
        if self.chunk != usual.chunk {
            all.push(Self { chunk: usual.chunk, ..self.clone() });
        }
        if self.save_every != usual.save_every {
            all.push(Self { save_every: usual.save_every, ..self.clone() });
        }
        all
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("what runs is damaged"),
            Self::Refused(refusal) => write!(f, "an image was pending that the bootloader refuses: {refusal:?}"),
            Self::Foreign => f.write_str("what belongs to others was changed"),
            Self::Stuck => f.write_str("the new image never came to run and stay"),
        }
    }
}

impl core::error::Error for Broken {}
