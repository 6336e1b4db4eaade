//! Would this file be taken, and what does it cost? Asked with its first bytes alone.

use core::fmt;

use dfu_target::image::{HEAD_LEN, Image, ImageKind, Probe};
use dfu_target::{DfuTarget, ErrorKind};

use crate::source::{Error, Meta, Retry, Source};

/// A file that its target would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Offer {
    /// What it is.
    pub kind: ImageKind,
    /// Its length in bytes, if the source knows: what a download from the start costs, and the answers' heads on top.
    pub size: Option<u32>,
    /// What the source says of its version of the file; 0: nothing.
    pub tag: u32,
}

/// Fetches the first bytes of a file and asks `target` whether it would take it as image `index`. Nothing that is
/// stored is changed, and the target is closed for bytes afterwards, as after any `init`: an update that is under way
/// there has to begin again, from where it was.
///
/// What only the rest of the file shows, its hash for one, is not known yet. Tries nothing twice. Closes the source: all of
/// the file may be on its way.
///
/// # Cancellation
///
/// Drop the future at any time.
pub async fn preflight<S: Source, T: DfuTarget>(
    source: &mut S,
    target: &mut T,
    index: u8,
) -> Result<Offer, PreflightError<S::Error, T::Error>> {
    let Meta { size, tag, start } = source.open(0).await.map_err(PreflightError::Source)?;
    let mut head = [0; HEAD_LEN];
    let mut filled = 0;
    while let Some(space) = head.get_mut(filled..).filter(|space| start == 0 && !space.is_empty()) {
        match source.read(space).await.map_err(PreflightError::Source)? {
            0 => break,
            count => filled = filled.saturating_add(count),
        }
    }
    source.close();
    let head = head.get(..filled).unwrap_or(&head);
    let kind = match target.probe(head, index) {
        Probe::Taken(kind) => kind,
        Probe::Refused(found) => return Err(PreflightError::NotTaken(found)),
    };
    let image = Image { size, index, head, ..Image::new(kind) };
    target.init(&image, 0).await.map_err(PreflightError::Target)?;
    Ok(Offer { kind, size, tag })
}

/// Why a file would not be taken, or is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PreflightError<S, T> {
    /// The source failed.
    Source(S),
    /// It is of this kind, or of none that is known, and does not belong here.
    NotTaken(Option<ImageKind>),
    /// The target refuses it, or cannot take anything now.
    Target(T),
}

impl<S: Error, T: dfu_target::Error> PreflightError<S, T> {
    /// Whether asking again helps: no, where the file is refused.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Source(error) => error.retry(),
            Self::NotTaken(_) => Retry::Never,
            Self::Target(error) => match error.kind() {
                ErrorKind::Refused | ErrorKind::TooLarge | ErrorKind::Corrupt => Retry::Never,
                _ => Retry::Later,
            },
        }
    }
}

impl<S: fmt::Display, T: fmt::Display> fmt::Display for PreflightError<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::NotTaken(Some(kind)) => write!(f, "a {kind}, and no target here takes one"),
            Self::NotTaken(None) => f.write_str("not a firmware image of any known kind"),
            Self::Target(error) => error.fmt(f),
        }
    }
}

impl<S: core::error::Error + 'static, T: core::error::Error + 'static> core::error::Error for PreflightError<S, T> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Source(error) => error.source(),
            Self::Target(error) => error.source(),
            Self::NotTaken(_) => None,
        }
    }
}
