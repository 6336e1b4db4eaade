//! A file that outlives the process, or nothing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file, and what it held when this began.
pub(super) struct Kept {
    path: Option<PathBuf>,
    stored: Option<Vec<u8>>,
}

impl Kept {
    /// Without a path nothing is kept.
    pub(super) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let stored = match path.map(std::fs::read) {
            None => None,
            Some(Ok(bytes)) => Some(bytes),
            Some(Err(error)) if error.kind() == ErrorKind::NotFound => None,
            Some(Err(error)) => return Err(error).with_context(|| format!("cannot read {}", name(path))),
        };
        Ok(Self { path: path.map(Path::to_owned), stored })
    }

    /// `None`: there is no such file yet.
    pub(super) fn stored(&self) -> Option<&[u8]> {
        self.stored.as_deref()
    }

    pub(super) fn name(&self) -> String {
        name(self.path.as_deref())
    }

    /// Writes what is to be kept; a file that says the same already is left alone.
    pub(super) fn keep(&self, now: &[u8]) -> anyhow::Result<()> {
        match &self.path {
            Some(path) if self.stored.as_deref() != Some(now) => {
                std::fs::write(path, now).with_context(|| format!("cannot write {}", self.name()))
            }
            _ => Ok(()),
        }
    }
}

fn name(path: Option<&Path>) -> String {
    path.unwrap_or(Path::new("")).display().to_string()
}
