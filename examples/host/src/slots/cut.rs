//! When power fails, and how, as options.

use std::rc::Rc;

use clap::Args;

use super::flash::{Power, Torn};
use crate::notation::count;

/// When power fails, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "A power cut")]
pub(crate) struct PowerCut {
    /// Let power fail in the K-th write or erase
    #[arg(long, value_name = "K", value_parser = count)]
    cut_op: Option<u32>,
    /// What becomes of that one
    #[arg(long, default_value = "none", requires = "cut_op")]
    torn: Torn,
}

impl PowerCut {
    pub(crate) fn power(&self) -> Rc<Power> {
        self.cut_op.map_or_else(Power::steady, |operation| Power::failing(operation.into(), self.torn))
    }
}
