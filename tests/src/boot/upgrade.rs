//! Modes that bring the image in the secondary slot to the primary.

use super::boots::Pair;
use super::header::NON_BOOTABLE;
use super::{Boot, Bootloader, Mode, Refusal, Running, Slot, SwapType, validate};
use alloc::vec::Vec;

/// What is to be done with one image.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    asked: Option<SwapType>,
    /// What is left of it.
    pub(super) kind: Option<SwapType>,
    refused: Option<Refusal>,
    /// A swap that was begun already: the primary slot's trailer stays as it is.
    pub(super) is_begun: bool,
    /// It was begun and cannot be carried out.
    has_failed: bool,
    /// Where the image lies in the secondary slot.
    pub(super) at: usize,
}

impl Bootloader {
    pub(super) fn upgrade(&self, pairs: &mut [Pair<'_>]) -> Vec<Boot> {
        let mut plans: Vec<Plan> = Vec::new();
        let mut is_upgrading = false;
        for pair in pairs.iter_mut() {
            let plan = self.plan(pair);
            is_upgrading |= plan.kind.is_some();
            let goes_forward = matches!(plan.kind, Some(SwapType::Test | SwapType::Perm));
            if goes_forward || plan.has_failed {
                plans.iter_mut().filter(|earlier| earlier.kind == Some(SwapType::Revert)).for_each(|earlier| {
                    earlier.drop(Refusal::OthersUpgrade);
                });
            }
            plans.push(plan);
        }
        if pairs.len() > 1 && is_upgrading && !self.dependencies_hold(pairs, &plans) {
            plans.iter_mut().for_each(|plan| plan.drop(Refusal::Dependency));
        }

        let mut dead = None;
        let boots = pairs.iter_mut().zip(&mut plans).map(|(pair, plan)| {
            let mut counter = self.counter;
            let mut swapped = None;
            if dead.is_none() {
                match self.perform(plan, pair) {
                    Ok(raised) => {
                        counter = raised.max(counter);
                        swapped = plan.kind;
                    }
                    Err(refusal) => dead = Some(refusal),
                }
            }
            Boot { asked: plan.asked, swapped, refused: plan.refused, running: Err(Refusal::NoImage), counter }
        });
        let mut boots: Vec<Boot> = boots.collect();
        for (boot, pair) in boots.iter_mut().zip(pairs) {
            boot.running = dead.map_or_else(|| self.running(pair.primary, pair.secondary, &mut boot.counter), Err);
        }
        boots
    }

    /// A boot that nothing is asked of, and that changes nothing.
    pub(super) fn plain_boot(&self, primary: &[u8], secondary: &[u8]) -> Boot {
        let mut counter = self.counter;
        let running = self.running(primary, secondary, &mut counter);
        Boot { asked: None, swapped: None, refused: None, running, counter }
    }

    /// What the trailers ask for, if the image in the secondary slot is good. If it is not, it goes.
    fn plan(&self, pair: &mut Pair<'_>) -> Plan {
        let begun = self.begun(pair.primary, pair.secondary);
        let tabled = self.tabled(pair.primary, pair.secondary);
        let Some(kind) = begun.or(tabled) else { return Plan::default() };
        let at = self.image_start(pair, begun, tabled);
        let mut plan = Plan { asked: Some(kind), kind: Some(kind), is_begun: begun.is_some(), at, ..Plan::default() };
        let needs_primary = matches!(self.mode, Mode::Move | Mode::Offset);
        if !self.compatible(pair.primary.len(), pair.secondary.len()) {
            plan.drop(Refusal::Incompatible);
        } else if needs_primary && !self.header(pair.primary).is_image {
            plan.drop(Refusal::NoPrimary);
        } else if let Err(refusal) = self.check_secondary(&plan, kind, pair) {
            plan.drop(refusal);
            plan.has_failed = plan.is_begun;
            self.clear(refusal, begun, pair);
        }
        plan
    }

    /// Where the image in the secondary slot begins. With swap using offset it is one sector in, unless the old one
    /// is to come back; where there is none, the other place is looked at.
    fn image_start(&self, pair: &Pair<'_>, begun: Option<SwapType>, tabled: Option<SwapType>) -> usize {
        if self.mode != Mode::Offset {
            return 0;
        }
        let [start, other] = match (begun, tabled) {
            (_, Some(SwapType::Revert)) => [0, self.sector_size],
            (Some(SwapType::Revert), _) => [0, 0],
            _ => [self.sector_size, 0],
        };
        if self.header(&pair.secondary[start..]).is_image { start } else { other }
    }

    fn check_secondary(&self, plan: &Plan, kind: SwapType, pair: &Pair<'_>) -> Result<(), Refusal> {
        let image = &pair.secondary[plan.at..];
        let header = self.header(image);
        if header.is_erased {
            return Err(Refusal::NoImage);
        }
        if header.is(NON_BOOTABLE) {
            return Err(Refusal::NotBootable);
        }
        let is_new = kind != SwapType::Revert && !plan.is_begun;
        if self.mode == Mode::Offset && is_new && self.header(pair.secondary).is_image {
            return Err(Refusal::UploadAddress);
        }
        if self.mode == Mode::Overwrite && self.is_downgrade(plan, pair) && !self.header(pair.primary).is_erased {
            return Err(Refusal::Downgrade);
        }
        validate::header(&header, pair.secondary.len())?;
        let max = self.limit(Slot::Secondary, pair.primary.len(), pair.secondary.len());
        self.check(image, &header, max).map(drop)
    }

    fn is_downgrade(&self, plan: &Plan, pair: &Pair<'_>) -> bool {
        let (old, new) = (self.header(pair.primary), self.header(&pair.secondary[plan.at..]));
        self.prevents_downgrade && self.exceeds(old.version, new.version)
    }

    /// Removes what was refused.
    fn clear(&self, refusal: Refusal, begun: Option<SwapType>, pair: &mut Pair<'_>) {
        if !matches!(refusal, Refusal::NoImage | Refusal::NotBootable) {
            pair.secondary.fill(self.erased);
        } else if self.mode.swaps() {
            self.erase_trailer(pair.secondary);
            let reverts = begun.or_else(|| self.tabled(pair.primary, pair.secondary)) == Some(SwapType::Revert);
            if self.mode == Mode::Move && reverts {
                self.erase_trailer(pair.primary);
            }
        }
    }

    /// Does what was planned; the security counter that is stored then, or why the device stops for good.
    fn perform(&self, plan: &mut Plan, pair: &mut Pair<'_>) -> Result<Option<u32>, Refusal> {
        let Some(kind) = plan.kind else {
            if plan.has_failed {
                self.set_image_ok(pair.primary);
            }
            return Ok(None);
        };
        if self.mode == Mode::Overwrite {
            return self.overwrite(pair);
        }
        if kind != SwapType::Revert && self.is_downgrade(plan, pair) {
            pair.secondary.fill(self.erased);
            plan.drop(Refusal::Downgrade);
            return Ok(None);
        }
        if !self.swap(kind, plan, pair)? {
            plan.drop(Refusal::TooLarge);
        }
        if kind == SwapType::Perm { self.raised(pair.primary) } else { Ok(None) }
    }

    fn running(&self, primary: &[u8], secondary: &[u8], counter: &mut Option<u32>) -> Result<Running, Refusal> {
        if !self.can_count(primary.len()) {
            return Err(Refusal::Incompatible);
        }
        let header = self.header(primary);
        let mut running = Running { slot: Slot::Primary, version: header.version, size: 0, hash: [0; 32] };
        if self.validates_primary {
            if header.is(NON_BOOTABLE) && !header.is_erased {
                return Err(Refusal::NotBootable);
            }
            validate::header(&header, primary.len())?;
            let max = self.limit(Slot::Primary, primary.len(), secondary.len());
            let found = self.check(primary, &header, max)?;
            (running.size, running.hash) = (found.size, found.hash);
        } else if !header.is_image {
            return Err(Refusal::Magic);
        }
        if self.trailer(primary.len()).state(primary).stays() {
            *counter = self.raised(primary)?.max(*counter);
        }
        Ok(running)
    }
}

impl Plan {
    fn drop(&mut self, refusal: Refusal) {
        self.has_failed = false;
        if self.kind.take().is_some() {
            self.refused = Some(refusal);
        }
    }
}
