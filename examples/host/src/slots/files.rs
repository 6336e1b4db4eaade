//! A slot's file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A slot's file, and the bytes of the slot.
#[derive(Clone, Debug)]
pub(crate) struct SlotFile {
    path: PathBuf,
    /// What the file holds now; `None`: there is none.
    stored: Option<Vec<u8>>,
    /// All of the slot: behind the file's end it is erased.
    pub(crate) bytes: Vec<u8>,
}

impl SlotFile {
    pub(crate) fn read(path: &Path, size: u32, erased: u8) -> anyhow::Result<Self> {
        let stored = match std::fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let mut bytes = stored.clone().unwrap_or_default();
        if bytes.len() > size as usize {
            bail!("{}: the file has {} bytes, and the slot {size}", path.display(), bytes.len());
        }
        bytes.resize(size as usize, erased);
        Ok(Self { path: path.to_owned(), stored, bytes })
    }

    /// Writes what the slot holds now; a file that says the same already is left alone.
    pub(crate) fn keep(&self, now: &[u8]) -> anyhow::Result<()> {
        if self.stored.as_deref() == Some(now) {
            return Ok(());
        }
        std::fs::write(&self.path, now).with_context(|| format!("cannot write {}", self.path.display()))
    }
}
