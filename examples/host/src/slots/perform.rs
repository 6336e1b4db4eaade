//! From the slots' files to a device and back.

use std::rc::Rc;

use dfu_target_mcuboot::{Config, ConfigError, Side, Slots, Status};
use dfu_testkit::poll::run;

use super::choice::Choice;
use super::device::{Device, Left, look};
use super::flash::Power;
use super::geometry::Geometry;
use super::report::Seen;
use crate::ending::{Outcome, Problem};
use crate::key::Key;

/// What a command does on a device.
pub(crate) trait Act {
    type Done;

    /// Which slot runs, where it matters to this command.
    fn runs(&self, _: &Geometry, choice: &Choice) -> Side {
        choice.runs
    }

    /// Which slot it changes.
    fn side(&self, choice: &Choice) -> Side {
        choice.other()
    }

    /// `N` is what the library's target reads back at once, an erase unit at most.
    async fn act<const W: usize, const E: usize, const N: usize>(
        &self,
        device: &mut Device<W, E>,
        before: &Before<'_>,
    ) -> Outcome<Self::Done>;
}

/// What the slots were before, looked at without a device: to look costs it no read.
pub(crate) struct Before<'f> {
    pub(crate) choice: Choice,
    pub(crate) seen: Seen,
    /// The primary slot's bytes and the secondary one's.
    pub(crate) bytes: [&'f [u8]; 2],
}

/// What came of it.
pub(crate) struct Performed<T> {
    pub(crate) slots: Slots,
    pub(crate) choice: Choice,
    /// What the slots say in the end.
    pub(crate) seen: Seen,
    pub(crate) left: [Left; 2],
    pub(crate) result: Outcome<T>,
}

/// Reads the files, makes a device of them, does the work, and writes back what the flash then holds.
pub(crate) fn perform<A: Act>(
    geometry: &Geometry,
    config: Config,
    keys: &[Key],
    power: &Rc<Power>,
    act: &A,
) -> Outcome<Performed<A::Done>> {
    let files = geometry.files()?;
    let [primary, secondary] = &files;
    let bytes = [&primary.bytes[..], &secondary.bytes[..]];
    let performed = dispatch(geometry, config, bytes, keys, power, act)?;
    // Where the flash was not changed, files are neither changed nor made.
    if power.operations() > 0 {
        for (file, left) in files.iter().zip(&performed.left) {
            file.keep(&left.bytes)?;
        }
    }
    Ok(performed)
}

/// Chooses the flash by its word and sector.
fn dispatch<A: Act>(
    geometry: &Geometry,
    config: Config,
    bytes: [&[u8]; 2],
    keys: &[Key],
    power: &Rc<Power>,
    act: &A,
) -> Outcome<Performed<A::Done>> {
    macro_rules! choose {
        ($($write:literal)*; $units:tt) => {
            match geometry.write_size {
                $($write => choose!(@unit $write $units),)*
                _ => Err(Problem::refused(ConfigError::WriteSize)),
            }
        };
        // The largest that divides the sector; the last one divides all that the library takes.
        (@unit $write:literal [$($unit:literal $buffer:literal),*]) => {
            match geometry.sector {
                $(sector if sector.is_multiple_of($unit) || $unit == 128 => {
                    on::<A, $write, $unit, $buffer>(geometry, config, bytes, keys, power, act)
                })*
                _ => Err(Problem::refused(ConfigError::SectorSize)),
            }
        };
    }
    choose!(1 2 4 8 16 32; [4096 4096, 512 512, 128 128])
}

fn on<A: Act, const W: usize, const E: usize, const N: usize>(
    geometry: &Geometry,
    config: Config,
    bytes: [&[u8]; 2],
    keys: &[Key],
    power: &Rc<Power>,
    act: &A,
) -> Outcome<Performed<A::Done>> {
    let mut device = Device::<W, E>::new(geometry, config, bytes, power)?;
    let slots = device.slots;
    let mut choice = Choice::of(geometry, &slots, bytes, keys);
    choice.runs = act.runs(geometry, &choice);
    let seen = |bytes| -> Outcome<Seen> {
        let mut device = Device::<W, E>::new(geometry, config, bytes, &Power::steady())?;
        let views = run(look(&mut device.regions(), &slots))?;
        let [primary, secondary] = &views;
        let status = Status::of(&slots, primary, secondary, choice.runs);
        Ok(Seen { views, status, runs: choice.runs })
    };
    let before = Before { choice, seen: seen(bytes)?, bytes };
    let result = run(act.act::<W, E, N>(&mut device, &before));
    let left = device.left();
    let [primary, secondary] = &left;
    let seen = seen([&primary.bytes[..], &secondary.bytes[..]])?;
    Ok(Performed { slots, choice, seen, left, result })
}
