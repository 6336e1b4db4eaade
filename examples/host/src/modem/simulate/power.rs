//! When power fails, and how, as options.

use clap::Args;
use dfu_testkit::flash::{Cut, Tear};

use crate::notation::count;
use crate::slots::Torn;

/// When power fails, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "A power cut")]
pub(super) struct PowerCut {
    /// Let power fail at the K-th point: a word programmed, a unit erased or a call that changes the modem
    #[arg(long, value_name = "K", value_parser = count)]
    cut_op: Option<u32>,
    /// What becomes of that one
    #[arg(long, default_value = "none", requires = "cut_op")]
    torn: Torn,
}

impl PowerCut {
    /// How many points come before the cut, and what it leaves.
    pub(super) fn planned(&self) -> Option<(u64, Cut)> {
        let cut = match self.torn {
            Torn::None => Cut::Before,
            Torn::Half => Cut::Torn(Tear::Front),
            Torn::Garbage => Cut::Torn(Tear::Random),
        };
        self.cut_op.map(|point| (u64::from(point) - 1, cut))
    }
}
