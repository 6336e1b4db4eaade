//! Runs the program.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

use std::process::{Command, Stdio};

use serde_json::Value;

/// What came of a run.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// The JSON object.
    pub(crate) fn facts(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dfu-host"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn host(args: &[&str]) -> Run {
    let output = command(args).output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file that is not there yet.
pub(crate) fn scratch(name: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    let _ = std::fs::remove_file(&path);
    path
}
