//! `modem`: the firmware of the nRF91's modem, in the files that Nordic gives out.

pub(crate) mod delta;
mod digests;
pub(crate) mod full;
mod intel_hex;
mod simulate;
mod zip;

use clap::{Args, Subcommand};

use self::simulate::Simulate;
use self::zip::Zip;
use crate::console::Console;
use crate::ending::Outcome;

/// What concerns the firmware of the nRF91's modem.
#[derive(Args)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 power was cut as asked (simulate)")]
pub(crate) struct Modem {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Zip(Zip),
    Simulate(Box<Simulate>),
}

impl Modem {
    pub(crate) fn json(&self) -> bool {
        match &self.command {
            Command::Zip(command) => command.json,
            Command::Simulate(command) => command.json,
        }
    }

    pub(crate) fn run(&self, console: &Console) -> Outcome {
        match &self.command {
            Command::Zip(command) => command.run(console),
            Command::Simulate(command) => command.run(console),
        }
    }
}
