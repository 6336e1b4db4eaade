//! Both slots' flash, with words of `W` bytes and erase units of `E`.

use std::rc::Rc;

use dfu_target::flash::{Layout, Region, Shared};
use dfu_target_mcuboot::{Config, Side, Slots, View};

use super::flash::{Operations, Power, SlotFlash};
use super::geometry::Geometry;
use crate::ending::{Outcome, Problem};

/// Both slots' flash.
pub(crate) struct Device<const W: usize, const E: usize> {
    pub(crate) slots: Slots,
    flash: [Shared<SlotFlash<W, E>>; 2],
    layouts: [Layout<SlotFlash<W, E>, 1>; 2],
}

/// A slot on it.
pub(crate) type SlotRegion<'d, const W: usize, const E: usize> = Region<'d, SlotFlash<W, E>>;

/// What is left when the work is done.
pub(crate) struct Left {
    pub(crate) bytes: Vec<u8>,
    pub(crate) operations: Operations,
}

impl<const W: usize, const E: usize> Device<W, E> {
    pub(crate) fn new(geometry: &Geometry, config: Config, bytes: [&[u8]; 2], power: &Rc<Power>) -> Outcome<Self> {
        let ([primary, secondary], [first, second]) = (geometry.sizes(), geometry.addresses());
        let slots = Slots::checked::<SlotFlash<W, E>, SlotFlash<W, E>>(primary, secondary, config);
        let slots = slots.map_err(Problem::refused)?;
        let layout = |place| Layout::checked([place]).map_err(Problem::refused);
        let layouts = [layout((first, primary))?, layout((second, secondary))?];
        let erased = geometry.bootloader.erased();
        let flash = |bytes, address| Shared::new(SlotFlash::new(bytes, erased, address, power));
        let [one, two] = bytes;
        Ok(Self { slots, flash: [flash(one, first), flash(two, second)], layouts })
    }

    /// The primary and the secondary slot.
    pub(crate) fn regions(&mut self) -> [SlotRegion<'_, W, E>; 2] {
        let ([one, two], [first, second]) = (&mut self.flash, &self.layouts);
        let ([one], [two]) = (one.split(first), two.split(second));
        [one, two]
    }

    pub(crate) fn left(self) -> [Left; 2] {
        self.flash.map(|flash| {
            let flash = flash.into_inner();
            Left { bytes: flash.bytes().to_vec(), operations: flash.operations() }
        })
    }
}

/// What both slots say now.
pub(crate) async fn look<const W: usize, const E: usize>(
    regions: &mut [SlotRegion<'_, W, E>; 2],
    slots: &Slots,
) -> Outcome<[View; 2]> {
    let [primary, secondary] = regions;
    let primary = View::read(primary, slots, Side::Primary).await;
    let secondary = View::read(secondary, slots, Side::Secondary).await;
    match (primary, secondary) {
        (Ok(primary), Ok(secondary)) => Ok([primary, secondary]),
        _ => Err(Problem::refused("the power is off")),
    }
}
