//! A slot's file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use dfu_target::image::mcuboot::Header;

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
    /// Reads it. What is shorter than the slot has an image at one of `starts`, or it is some other file, which would be
    /// lost.
    pub(crate) fn read(path: &Path, size: u32, erased: u8, starts: &[u32]) -> anyhow::Result<Self> {
        let stored = match std::fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let mut bytes = stored.clone().unwrap_or_default();
        if bytes.len() > size as usize {
            bail!("{}: the file has {} bytes, and the slot {size}", path.display(), bytes.len());
        }
        let is_image = |start: &u32| bytes.get(*start as usize..).is_some_and(|bytes| Header::parse(bytes).is_ok());
        if !bytes.is_empty() && bytes.len() < size as usize && !starts.iter().any(is_image) {
            let have = bytes.len();
            bail!("{}: the file has {have} bytes, and is neither the slot's {size} nor an image", path.display());
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

/// Whether two paths lead to one file, which need not be there.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        path.canonicalize().ok().or_else(|| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(folder.canonicalize().ok()?.join(path.file_name()?))
        })
    };
    one == other || place(one).is_some_and(|one| place(other) == Some(one))
}
