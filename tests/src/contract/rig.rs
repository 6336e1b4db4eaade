//! What a target is tested on.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use dfu_target::DfuTarget;
use dfu_target::flash::{Layout, Region, Shared};

use crate::boot::Slot;
use crate::device::{Board, Device};
use crate::flash::{Chip, Cut};
use crate::image::ImageBuilder;

/// A place for an image, the target that writes there, and what the test does behind the target's back.
///
/// [`FlashRig`] is one for MCUboot images. For a target that takes anything else, a rig of one's own is 40 lines over a
/// [`SimFlash`](crate::flash::SimFlash): the [README](crate#a-target-of-ones-own) has one.
pub trait Rig {
    /// The target under test.
    type Target: DfuTarget;

    /// The target as it is after a reset. What is stored stays.
    fn target(&self) -> Self::Target;
    /// An image that it takes, of 3000 bytes or more.
    fn image(&self) -> &[u8];
    /// Which of several images that is.
    fn index(&self) -> u8 {
        0
    }
    /// Images that it must refuse by their first bytes or their size: a name, the head, the size if it is known.
    fn refused(&self) -> Vec<(String, Vec<u8>, Option<u32>)>;
    /// What is stored in the place, from the image's first byte on.
    fn stored(&self) -> Vec<u8>;
    /// Whether the image is asked to run, by the place's own rules.
    fn is_applied(&self) -> bool;
    /// How many operations have changed what is stored; reads are none. On a simulated flash its
    /// [`points`](crate::flash::SimFlash::points). The suite compares two of them: where a target is to refuse, or to
    /// find all done, they are the same.
    fn operations(&self) -> u64;
    /// As it was delivered: something old lies there. On a simulated flash, a
    /// [`rollback`](crate::flash::SimFlash::rollback) to the checkpoint behind it.
    fn restore(&self);
    /// Power fails after so many operations that change something.
    fn cut_after(&self, operations: u64, cut: Cut);
    /// The power is back.
    fn power_on(&self);
    /// Makes each operation wait once, so that a future can be dropped there.
    fn set_yields(&self, on: bool);
}

/// The rig for a target on the secondary slot of a [`Device`]: the image is one for MCUboot.
#[derive(Debug)]
pub struct FlashRig<M, const W: usize, const E: usize, const R: usize> {
    device: Device<W, E, R>,
    make: M,
    image: Vec<u8>,
    leaks: Cell<u32>,
}

impl<T, M, const W: usize, const E: usize, const R: usize> FlashRig<M, W, E, R>
where
    T: DfuTarget,
    M: Fn(Region<'static, Chip<W, E, R>>, &'static Device<W, E, R>) -> T,
{
    /// Makes targets by `make`, of the slot's region.
    pub fn new(board: Board, make: M) -> Self {
        let device = Device::new(board);
        let size = device.slots().max_image() as usize - 1;
        let image = board.image().version(2, 0, 0, 0).total_size(size).build().to_vec();
        device.install(&board.image().build());
        let slot = device.secondary();
        let old: Vec<u8> = slot.clone().map(|at| (at / 3) as u8).collect();
        device.chip().sim().load(slot.start, &old);
        device.chip().sim().checkpoint();
        Self { device, make, image, leaks: Cell::new(0) }
    }

    /// The device.
    pub fn device(&self) -> &Device<W, E, R> {
        &self.device
    }
}

impl<T, M, const W: usize, const E: usize, const R: usize> Rig for FlashRig<M, W, E, R>
where
    T: DfuTarget,
    M: Fn(Region<'static, Chip<W, E, R>>, &'static Device<W, E, R>) -> T,
{
    type Target = T;

    fn target(&self) -> T {
        // A target borrows; for a type without a lifetime, each reset leaks a few bytes.
        self.leaks.set(self.leaks.get() + 1);
        let shared = Box::leak(Box::new(Shared::new(self.device.chip().clone())));
        let slot = self.device.secondary();
        let [region] = shared.split(&Layout::checked([(slot.start, slot.end - slot.start)]).expect("one window"));
        (self.make)(region, Box::leak(Box::new(self.device.clone())))
    }

    fn image(&self) -> &[u8] {
        &self.image
    }

    fn refused(&self) -> Vec<(String, Vec<u8>, Option<u32>)> {
        let max = self.device.slots().max_image();
        let head = |image: &[u8]| image[..64].to_vec();
        let large = ImageBuilder::new().total_size(max as usize + 1).build();
        let vast = ImageBuilder::new().build().patched(12, &0xffff_fff0_u32.to_le_bytes());
        let short = ImageBuilder::new().build().patched(8, &[8, 0]);
        vec![
            ("a byte too many".into(), head(&large), Some(max + 1)),
            ("more than fits".into(), head(&ImageBuilder::new().payload(max as usize).build()), None),
            ("a size that its header does not know of".into(), head(&self.image), Some(max + 1)),
            ("4 GiB".into(), head(&vast), None),
            ("a header inside the header".into(), head(&short), Some(2000)),
            ("a file that is too short".into(), head(&self.image), Some(1000)),
            ("a header that is cut".into(), self.image[..20].to_vec(), Some(20)),
        ]
    }

    fn stored(&self) -> Vec<u8> {
        let mut slot = self.device.read(self.device.secondary()).split_off(self.device.slots().start() as usize);
        // The first word is the mark where the bootloader chooses by version.
        let first = W.max(4);
        if self.device.slots().config().mode().chooses()
            && slot[..first].iter().all(|byte| *byte == self.device.bootloader().erased())
        {
            slot[..first].copy_from_slice(&self.image[..first]);
        }
        slot
    }

    fn is_applied(&self) -> bool {
        let mut primary = self.device.read(self.device.primary());
        let mut secondary = self.device.read(self.device.secondary());
        let boot = self.device.bootloader().boot(&mut primary, &mut secondary);
        boot.swapped.is_some() || boot.running.is_ok_and(|running| running.slot == Slot::Secondary)
    }

    fn operations(&self) -> u64 {
        self.device.chip().sim().points()
    }

    fn restore(&self) {
        self.device.chip().sim().rollback();
    }

    fn cut_after(&self, operations: u64, cut: Cut) {
        self.device.chip().sim().cut_after(operations, cut);
    }

    fn power_on(&self) {
        self.device.chip().sim().power_on();
    }

    fn set_yields(&self, on: bool) {
        self.device.chip().sim().set_yields(on, false);
    }
}
