//! [`Scenario`]: a device that was updated before, a new release for it, and its life from there on through cuts.

mod checks;
#[cfg(feature = "std")]
mod course;
mod given_up;
#[cfg(feature = "std")]
mod walk;
mod world;

#[cfg(feature = "std")]
pub(crate) use walk::{Count, Plan, Then};
pub use world::World;

use alloc::vec::Vec;

use crate::device::{Board, Device, Release, Visit};
use crate::flash::Cut;

/// What is searched for the cut that does harm: a device, what it runs, what it is to run, and how that is fetched.
///
/// ```
/// use dfu_target_mcuboot::Mode;
/// use dfu_testkit::device::Board;
/// use dfu_testkit::flash::Cut;
/// use dfu_testkit::scenario::{Cutting, Scenario};
///
/// let world = Scenario::new(Board::new(Mode::SwapMove, 8 * 1024).sectors(8)).build::<4, 1024, 4>();
/// assert_eq!(world.live(&[Cutting { point: 100, cut: Cut::Before }, Cutting { point: 7, cut: Cut::ALL[4] }]), 2);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    board: Board,
    old: usize,
    /// `None`: as large as the slot takes.
    new: Option<usize>,
    chunk: usize,
    save_every: u32,
    prepares: bool,
}

/// A cut to come, counted in mutation points from the reset before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutting {
    /// How many points precede the one that it hits.
    pub point: u64,
    /// How it hits.
    pub cut: Cut,
}

impl Scenario {
    /// Images of 1000 bytes, the new one in pieces of 512; progress is stored every 1024.
    pub const fn new(board: Board) -> Self {
        Self { board, old: 1000, new: Some(1000), chunk: 512, save_every: 1024, prepares: false }
    }

    /// The sizes in bytes of the image that runs and of the new one.
    #[must_use]
    pub const fn sizes(mut self, old: usize, new: usize) -> Self {
        (self.old, self.new) = (old, Some(new));
        self
    }

    /// The size of the image that runs, and the largest new one that the slot takes.
    #[must_use]
    pub const fn maximal(mut self, old: usize) -> Self {
        (self.old, self.new) = (old, None);
        self
    }

    /// How many bytes come at once, and how often progress is stored.
    #[must_use]
    pub const fn fetching(mut self, chunk: usize, save_every: u32) -> Self {
        (self.chunk, self.save_every) = (chunk, save_every);
        self
    }

    /// Has the application erase ahead before each piece.
    #[must_use]
    pub const fn preparing(mut self) -> Self {
        self.prepares = true;
        self
    }

    /// A device of this flash geometry on which one update went well before: both slots and the log have a past.
    pub fn build<const W: usize, const E: usize, const R: usize>(self) -> World<W, E, R> {
        let device = Device::<W, E, R>::new(self.board);
        let max = device.slots().max_image() as usize;
        let image =
            |major, size| self.board.image().version(major, 0, 0, 0).seed(major.into()).total_size(size).build();
        let (older, old, new) = (image(1, 900), image(2, self.old), image(3, self.new.unwrap_or(max)));
        device.install(&older);
        let _ = device.update(&Release::new(&old), &mut Visit::default()).unwrap();
        assert!(device.boot().running.is_ok());
        device.confirm().unwrap();
        assert!(device.holds(device.running(), &old));
        let foreign: Vec<u8> = device.foreign().into_iter().flat_map(|range| device.read(range)).collect();
        device.chip().sim().checkpoint();
        World::new(device, self, [old, new], foreign)
    }
}
