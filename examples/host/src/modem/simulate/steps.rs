//! What happens, step by step: told, and kept for the object in the end. And the library's own word on it.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::ControlFlow;

use dfu_target_nrf_modem::{DeltaPolicy, FullPolicy, Phase};
use indicatif::HumanCount;
use serde_json::{Value, json};

use crate::console::Console;

/// What happened so far.
pub(super) struct Steps<'c> {
    console: &'c Console,
    told: RefCell<Vec<Value>>,
}

impl<'c> Steps<'c> {
    pub(super) fn new(console: &'c Console) -> Self {
        Self { console, told: RefCell::default() }
    }

    pub(super) fn tell(&self, step: &str, text: impl Display) {
        self.console.line(step, &text);
        self.told.borrow_mut().push(json!({ "step": step, "text": text.to_string() }));
    }

    /// A line for people alone.
    pub(super) fn show(&self, text: impl Display) {
        self.console.write(text);
    }

    pub(super) fn into_facts(self) -> Value {
        self.told.into_inner().into()
    }
}

/// Tells what the library does when that begins.
pub(super) struct Watch<'s> {
    steps: &'s Steps<'s>,
    phase: Option<Phase>,
}

impl<'s> Watch<'s> {
    pub(super) fn new(steps: &'s Steps<'s>) -> Self {
        Self { steps, phase: None }
    }
}

impl DeltaPolicy for Watch<'_> {
    fn erasing(&mut self, waited_ms: u32) -> ControlFlow<()> {
        if waited_ms == 0 {
            self.steps.tell("erase", "the modem's area holds something, and is erased");
        }
        ControlFlow::Continue(())
    }
}

impl FullPolicy for Watch<'_> {
    fn progress(&mut self, phase: Phase, _: u32, total: u32) {
        if self.phase.replace(phase) == Some(phase) {
            return;
        }
        match phase {
            Phase::Checking => {
                self.steps
                    .tell("check", format_args!("what is staged is read back, {} bytes", HumanCount(total.into())));
            }
            Phase::Loader => self.steps.tell("loader", "is given to the modem's bootloader"),
            Phase::Verifying => self.steps.tell("signature", "the loader checks the wrapper's"),
            Phase::Programming => self.steps.tell("program", "the modem's flash, segment by segment"),
            _ => {}
        }
    }
}
