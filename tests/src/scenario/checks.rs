//! What must hold at each resume, at each reset, and at the end.

use alloc::vec::Vec;

use dfu_target_mcuboot::{Mode, RunningState, Upgrade};

use super::World;
use super::world::Life;
use crate::boot::{Refusal, SwapType};
use crate::device::{GoesOn, Phase, Visit};

impl<const W: usize, const E: usize, const R: usize> World<W, E, R> {
    /// From where a resume may ask for bytes at the earliest: the beginning of the erase unit of what was stored.
    pub(super) fn safe(&self, visit: &Visit) -> u32 {
        let saved = visit.durable.saturating_sub(self.scenario.save_every - 1);
        saved / E as u32 * E as u32
    }

    pub(super) fn check_resume(&self, life: &Life, visit: &Visit) {
        // Where a torn mark shares a sector with the image's end, that end is wanted again; where the mark is the
        // image's first word, all of it is. And a bootloader that goes back may erase what it goes back from.
        let chooses = self.scenario.board.mode.chooses();
        let lost = chooses && visit.from == Some(0) && (life.last == Phase::Apply || life.went_back);
        if lost {
            return;
        }
        let shared = self.device.slots().sizes()[1] - E as u32;
        if life.complete && visit.phase != Phase::Begin && !visit.staged {
            assert_eq!(visit.from, Some(shared), "all of it was stored: {visit:?}");
            assert!(self.new.len() as u32 > shared && life.last == Phase::Apply, "no reason to fetch: {visit:?}");
        }
        if let Some(from) = visit.from {
            assert!(from >= life.floor.min(shared), "asks for {from:#x} while {:#x} is safe: {visit:?}", life.floor);
            let again = visit.fetched.saturating_sub(self.new.len() as u32 - from);
            assert!(again <= E as u32, "{again} bytes came twice without a reset: {visit:?}");
        }
    }

    /// A call was dropped: the same session goes back to the beginning of an erase unit, and not beyond what it had
    /// called durable.
    pub(super) fn check_going_on(&self, before: &Visit, visit: &Visit, goes_on: GoesOn) {
        if let (GoesOn::Same, Phase::Write, Some(from)) = (goes_on, before.phase, visit.from) {
            let durable = before.durable / E as u32 * E as u32;
            assert!(from >= durable, "asks for {from:#x} again while {durable:#x} is durable: {before:?} {visit:?}");
        }
    }

    pub(super) fn reset(&self, life: &mut Life) {
        let (device, mode) = (&self.device, self.scenario.board.mode);
        let (ran, ran_old) = (device.runs(), device.holds(device.running(), &self.old));
        let boot = device.boot();
        let runs_new = device.holds(device.running(), &self.new);
        assert!(runs_new || device.holds(device.running(), &self.old), "what runs is damaged");
        let hash = boot.running.expect("an image runs").hash;
        let image = if runs_new { &self.new } else { &self.old };
        assert_eq!(hash[..], <sha2::Sha256 as sha2::Digest>::digest(&image[image.hashed()])[..]);
        let moved = boot.swapped.is_some() || device.runs() != ran;
        // Cut before the confirmation was there.
        let back = moved && !runs_new;
        // A word longer than the header's magic can be cut so that the magic alone is there: MCUboot looks at that
        // image, and throws it away.
        let torn_first = mode.chooses() && W > 4 && life.last == Phase::Apply && !moved;
        let expected = (back && mode.chooses()).then_some(Refusal::Unconfirmed);
        assert!(boot.refused == expected || torn_first, "a bad image was pending: {:?}", boot.refused);
        if !moved {
            assert_eq!(runs_new, !ran_old);
        } else if back {
            life.went_back = true;
            assert!(!ran_old && mode.reverts() && self.scenario.board.upgrade == Upgrade::Test);
        } else {
            if let Some(swap) = boot.swapped {
                let test = self.scenario.board.upgrade == Upgrade::Test;
                assert_eq!(swap, if test { SwapType::Test } else { SwapType::Perm });
            }
            assert!(ran_old, "the new image ran already");
            assert!(matches!(life.last, Phase::Apply | Phase::Applied), "nobody asked for a swap: {:?}", life.last);
            life.complete = true;
        }
    }

    pub(super) fn finished(&self) {
        let device = &self.device;
        let foreign: Vec<u8> = device.foreign().into_iter().flat_map(|range| device.read(range)).collect();
        assert!(foreign == self.foreign, "what belongs to others is as it was");
        if device.chip().sim().is_unstable(device.running()) {
            // A confirmation that was cut reads as it likes: the device stays or goes back, and runs either whole.
            let boot = device.boot();
            assert!(boot.running.is_ok(), "{boot:?}");
            let runs = |image| device.holds(device.running(), image);
            assert!(runs(&self.new) || runs(&self.old), "what runs is damaged");
            return;
        }
        assert_eq!(device.state(), RunningState::Confirmed);
        let boot = device.boot();
        assert_eq!((boot.asked, boot.swapped), (None, None));
        assert!(device.holds(device.running(), &self.new), "the new image stays, bit for bit");
        assert!(self.scenario.board.mode == Mode::OverwriteOnly || device.stores(&self.old));
    }
}
