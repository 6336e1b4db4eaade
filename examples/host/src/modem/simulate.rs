//! `modem simulate`: an update of a fake modem, by the library's own code, with power cuts.

mod area;
mod bench;
mod boot;
mod device;
mod file;
mod kept;
mod marker;
mod power;
mod state;
mod steps;
mod summary;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use dfu_target::Digest;
use dfu_target_nrf_modem::port::Range;
use dfu_testkit::poll::run;
use indicatif::HumanCount;
use serde_json::json;

use self::bench::Bench;
use self::device::{Device, Done};
use self::file::{Kind, UpdateFile};
use self::kept::Kept;
use self::power::PowerCut;
use self::steps::Steps;
use super::digests::Digests;
use crate::console::Console;
use crate::ending::{End, Outcome, Problem};
use crate::notation::{count, uuid};

/// Updates a fake modem as an application would: staged, checked, power cut, recovered, settled.
///
/// FILE is a delta or a full update that the test kit or tests/fixtures/modem.py made. Each run is a boot of the device:
/// it ends what waits, then brings FILE to where the modem runs it. With --staging and --modem the next run goes on.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 the modem runs what FILE makes, 1 refused or failed, 2 wrong usage, 3 power was cut as asked")]
pub(crate) struct Simulate {
    /// The update
    file: PathBuf,
    /// Keep the staging flash there: erased where there is no such file
    #[arg(long, value_name = "S.bin")]
    staging: Option<PathBuf>,
    /// Its size: whole units of 4 KiB, the last two of them for the progress log [default: the file's, or 4 MiB]
    #[arg(long, value_name = "N", value_parser = count)]
    staging_size: Option<u32>,
    /// Keep the modem there, as JSON: a new modem where there is no such file
    #[arg(long, value_name = "M.json")]
    modem: Option<PathBuf>,
    /// What a new modem runs [default: what a delta is for]
    #[arg(long, value_name = "UUID", value_parser = uuid)]
    uuid: Option<[u8; 16]>,
    /// The file's SHA-256, as whoever ordered the update would know it [default: that of FILE]
    #[arg(long, value_name = "HEX", value_parser = digest)]
    digest: Option<Digest>,
    /// Hand the file over in pieces of so many bytes
    #[arg(long, value_name = "N", default_value = "1024", value_parser = count)]
    chunk: u32,
    /// Say nothing but one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    full: FullOptions,
    #[command(flatten)]
    delta: DeltaOptions,
    #[command(flatten)]
    cut: PowerCut,
}

/// How a full update is programmed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Full updates")]
struct FullOptions {
    /// What the modem's flash has to read as afterwards, as in firmware.update.image.digest.txt
    #[arg(long, value_name = "DIGEST.txt")]
    expect: Option<PathBuf>,
    /// Leave out the modem's own check of the signature
    #[arg(long)]
    skip_prevalidation: bool,
}

/// What hinders a delta update.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Delta updates")]
struct DeltaOptions {
    /// The supply voltage is too low to write and to install
    #[arg(long)]
    low_voltage: bool,
    /// The modem is registered to a network and never gets round to erasing
    #[arg(long)]
    registered: bool,
}

impl Simulate {
    pub(crate) fn run(&self, console: &Console) -> Outcome {
        let path = self.file.display();
        let bytes = std::fs::read(&self.file).with_context(|| format!("cannot read {path}"))?;
        let steps = Steps::new(console);
        let mut facts = json!({ "file": path.to_string(), "size": bytes.len() });
        let outcome = self.simulate(bytes, &steps, &mut facts);
        let result = match &outcome {
            Ok(Ended::Cut) => "cut",
            Ok(Ended::Done(Done::Updated)) => "updated",
            Ok(Ended::Done(Done::Already)) => "current",
            Err(Problem::Refused(_)) => "refused",
            Err(Problem::Usage(_)) => "usage",
        };
        facts["result"] = result.into();
        facts["error"] = outcome.as_ref().err().map(Problem::reason).into();
        facts["steps"] = steps.into_facts();
        console.result(&facts);
        outcome.map(|ended| if matches!(ended, Ended::Cut) { End::Cut } else { End::Done })
    }

    fn simulate(&self, bytes: Vec<u8>, steps: &Steps<'_>, facts: &mut serde_json::Value) -> Outcome<Ended> {
        let size = bytes.len() as u64;
        let file = UpdateFile::read(bytes).context(self.name())?;
        self.go_together(file.kind)?;
        facts["kind"] = file.kind.name().into();
        facts["digest"] = file.digest.to_string().into();
        steps
            .tell("file", format_args!("{}, {} bytes: a {}", self.file.display(), HumanCount(size), file.kind.title()));
        let expected = self.full.expected()?;

        let staging = Kept::read(self.staging.as_deref())?;
        let modem = Kept::read(self.modem.as_deref())?;
        let flash = area::of(&staging, self.staging_size)?;
        let state = match modem.stored() {
            Some(stored) => state::parse(stored).with_context(|| modem.name())?,
            None => state::new(file.base(self.uuid)),
        };
        let bench = Bench::new(&flash, &state, self.delta.registered, self.delta.low_voltage, &self.cut);
        summary::before(steps, facts, &bench, modem.stored().is_none());

        let expected = expected.as_ref().map(|(ranges, digest)| (&ranges[..], *digest));
        let device = Device {
            bench: &bench,
            file: &file,
            wanted: self.digest.unwrap_or(file.digest),
            chunk: self.chunk as usize,
            program: self.full.program(expected),
            steps,
        };
        let outcome = run(device.update());
        let cut = !bench.modem.is_powered();
        match &outcome {
            _ if cut => steps.tell("cut", format_args!("power failed at point {}", bench.modem.points() + 1)),
            Ok(Done::Updated) => steps.tell("updated", format_args!("the modem runs {}", bench.modem.running())),
            Ok(Done::Already) => steps.tell("current", "the modem runs this firmware already: nothing was changed"),
            Err(_) => steps.tell("refused", "the update did not get to where the modem runs it"),
        }
        staging.keep(bench.chip.sim().bytes())?;
        modem.keep(&state::emit(&bench.modem.save())?)?;
        summary::after(steps, facts, &bench);
        if cut { Ok(Ended::Cut) } else { outcome.map(Ended::Done) }
    }

    fn name(&self) -> String {
        self.file
            .file_name()
            .map_or_else(|| self.file.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    /// Options that do not concern this kind of update are a mistake.
    fn go_together(&self, kind: Kind) -> Outcome<()> {
        let (full, delta) = (&self.full, &self.delta);
        let misplaced = match kind {
            Kind::Delta => [("--expect", full.expect.is_some()), ("--skip-prevalidation", full.skip_prevalidation)],
            Kind::Full => [("--low-voltage", delta.low_voltage), ("--registered", delta.registered)],
        };
        match misplaced.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(Problem::usage(format!("{option} is not for a {}", kind.title()))),
            None => Ok(()),
        }
    }
}

impl FullOptions {
    /// The ranges and the digest over all of them.
    fn expected(&self) -> anyhow::Result<Option<(Vec<Range>, Digest)>> {
        let Some(path) = &self.expect else { return Ok(None) };
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let digests = Digests::read(&text).with_context(|| path.display().to_string())?;
        let mut ranges: Vec<Range> = digests.ranges.iter().map(|(range, _)| *range).collect();
        ranges.retain(|range| range.start < 0x0100_0000);
        ranges.sort_by_key(|range| range.start);
        ensure!(!ranges.is_empty(), "{}: no range of it is part of a digest", path.display());
        Ok(Some((ranges, digests.all)))
    }

    fn program<'p>(&self, expected: Option<(&'p [Range], Digest)>) -> dfu_target_nrf_modem::Program<'p> {
        let program = dfu_target_nrf_modem::Program::new();
        let program = if self.skip_prevalidation { program.skip_prevalidation() } else { program };
        expected.map_or(program, |(ranges, digest)| program.expect(ranges, digest))
    }
}

/// How the simulation ended that did not err.
#[derive(Clone, Copy)]
enum Ended {
    Done(Done),
    Cut,
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::from_hex(text).ok_or_else(|| "not a SHA-256 of 64 hexadecimal digits".into())
}
