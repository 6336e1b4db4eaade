//! `state`, `confirm`, `withdraw`: what the slots say, and the word that keeps an image or takes a request back.

use std::path::PathBuf;

use clap::Args;
use dfu_target::digest::SoftSha256;
use dfu_target::image::mcuboot::Header;
use dfu_target_mcuboot::{Active, HashKind, McubootTarget, Running, RunningState, Side};
use serde_json::json;

use super::choice::Choice;
use super::cut::PowerCut;
use super::device::Device;
use super::flash::Power;
use super::geometry::{Geometry, side_name};
use super::perform::{Act, Before, perform};
use super::report;
use crate::console::Console;
use crate::ending::{End, Outcome, Problem};
use crate::key::Key;

/// Shows what two slots in files say: what runs, what waits for the reset. Changes nothing.
#[derive(Args)]
#[command(after_help = "Exit codes: 0 done, 1 refused, 2 wrong usage")]
pub(crate) struct Show {
    #[command(flatten)]
    on: On,
}

/// Confirms the image that runs, so that it stays.
#[derive(Args)]
#[command(after_help = CODES)]
pub(crate) struct Confirm {
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    cut: PowerCut,
}

/// Takes back what waits for the reset. What else the slot holds stays, but for what shares a sector with the request.
///
/// Direct-XIP and RAM load without revert write nothing that tells a new image from one that runs: there the higher
/// version is taken to be what waits, unless --runs says otherwise.
#[derive(Args)]
#[command(after_help = CODES)]
pub(crate) struct Withdraw {
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    cut: PowerCut,
}

const CODES: &str = "Exit codes: 0 done, 1 refused, 2 wrong usage, 3 power was cut as asked";

#[derive(Args)]
struct On {
    /// A key of the bootloader's: an image without a signature by one does not run
    #[arg(long, value_name = "PUB.pem")]
    key: Vec<PathBuf>,
    /// Say nothing but one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    geometry: Geometry,
}

impl Show {
    pub(crate) fn json(&self) -> bool {
        self.on.json
    }

    pub(crate) fn run(&self, console: &Console) -> Outcome {
        let geometry = &self.on.geometry;
        let performed =
            perform(geometry, geometry.config()?, &Key::read_all(&self.on.key)?, &Power::steady(), &Looking)?;
        let mut facts = json!({ "result": "done" });
        report::slots(console, &mut facts, geometry, &performed.slots);
        report::state(console, &mut facts, &performed.seen);
        console.result(&facts);
        Ok(End::Done)
    }
}

impl Confirm {
    pub(crate) fn json(&self) -> bool {
        self.on.json
    }

    pub(crate) fn run(&self, console: &Console) -> Outcome {
        self.on.run(console, &self.cut, &Confirming)
    }
}

impl Withdraw {
    pub(crate) fn json(&self) -> bool {
        self.on.json
    }

    pub(crate) fn run(&self, console: &Console) -> Outcome {
        self.on.run(console, &self.cut, &Withdrawing)
    }
}

impl On {
    /// Does something to one of the slots.
    fn run<A: Act<Done = ()>>(&self, console: &Console, cut: &PowerCut, act: &A) -> Outcome {
        let (geometry, power) = (&self.geometry, cut.power());
        // The hash matters to new images alone.
        let config = geometry.config()?.hash(HashKind::Sha256);
        let performed = perform(geometry, config, &Key::read_all(&self.key)?, &power, act)?;
        let end = if power.has_failed() { Ok(End::Cut) } else { performed.result.map(|()| End::Done) };
        let result = match &end {
            Ok(End::Done) => "done",
            Ok(End::Cut) => "cut",
            Err(_) => "refused",
        };
        let slot = side_name(act.side(&performed.choice));
        let mut facts = json!({ "result": result, "slot": slot, "error": end.as_ref().err().map(Problem::reason) });
        report::slots(console, &mut facts, geometry, &performed.slots);
        match end {
            Ok(End::Cut) => console.line("cut", format_args!("power failed in write or erase {}", power.operations())),
            Ok(End::Done) if power.operations() == 0 => console.line("done", "there was nothing to change"),
            Ok(End::Done) => console.line("done", format_args!("in the {slot} slot")),
            Err(_) => {}
        }
        report::state(console, &mut facts, &performed.seen);
        report::operations(console, &mut facts, &performed.left, &power);
        console.result(&facts);
        end
    }
}

/// Nothing is done.
struct Looking;

impl Act for Looking {
    type Done = ();

    async fn act<const W: usize, const E: usize, const N: usize>(
        &self,
        _: &mut Device<W, E>,
        _: &Before<'_>,
    ) -> Outcome<()> {
        Ok(())
    }
}

struct Confirming;

impl Act for Confirming {
    type Done = ();

    fn side(&self, choice: &Choice) -> Side {
        choice.runs
    }

    async fn act<const W: usize, const E: usize, const N: usize>(
        &self,
        device: &mut Device<W, E>,
        before: &Before<'_>,
    ) -> Outcome<()> {
        let slots = device.slots;
        let running = side(device.regions(), before.choice.runs);
        Running::new(running, &slots).map_err(Problem::refused)?.confirm().await.map_err(Problem::refused)
    }
}

struct Withdrawing;

impl Act for Withdrawing {
    type Done = ();

    fn runs(&self, geometry: &Geometry, choice: &Choice) -> Side {
        // The one that would win is what was added last.
        let is_unknown = geometry.mode.mode().chooses() && !geometry.mode.mode().has_trailer();
        if is_unknown && choice.by_version { choice.other() } else { choice.runs }
    }

    async fn act<const W: usize, const E: usize, const N: usize>(
        &self,
        device: &mut Device<W, E>,
        before: &Before<'_>,
    ) -> Outcome<()> {
        let slots = device.slots;
        let [primary, secondary] = device.regions();
        let (running, other) = match before.choice.runs {
            Side::Primary => (primary, secondary),
            Side::Secondary => (secondary, primary),
        };
        let mut active =
            Running::new(running, &slots).map_err(Problem::refused)?.active().await.map_err(Problem::refused)?;
        if slots.config().mode().chooses() && active.version.is_none() {
            // Nothing runs that could be on trial.
            active = Active::new(RunningState::Confirmed, Some(Header::EMPTY.version));
        }
        let target = McubootTarget::<_, _, _, N>::new(other, SoftSha256::default(), &slots, active);
        target.map_err(Problem::refused)?.withdraw().await.map_err(Problem::refused)
    }
}

fn side<R>([primary, secondary]: [R; 2], side: Side) -> R {
    match side {
        Side::Primary => primary,
        Side::Secondary => secondary,
    }
}
