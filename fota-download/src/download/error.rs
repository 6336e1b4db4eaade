//! Why a download ended.

use core::fmt;

use dfu_target::session::SessionError;

/// Why a download ended. What is stored stays: a later one goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DownloadError<S, T> {
    /// The source has failed for good, or too often in a row.
    Source(S),
    /// The session or its target refuses the image, or has failed too often in a row.
    Session(SessionError<T>),
    /// The file is empty.
    Empty,
    /// Nobody knows how long the file is, so its end can't be told from a lost connection. Name the size in the
    /// session's request, or have the server name it.
    NoLength,
    /// The source's bytes ended too early, too often in a row.
    Ended {
        /// The offset up to which they came.
        have: u32,
    },
    /// The file changes again and again, or the target wants the same bytes again and again.
    Unsettled,
    /// The observer ended it.
    Cancelled,
}

impl<S: fmt::Display, T: fmt::Display> fmt::Display for DownloadError<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::Session(error) => error.fmt(f),
            Self::Empty => f.write_str("the file is empty"),
            Self::NoLength => f.write_str("neither the source nor the request names the file's length"),
            Self::Ended { have } => write!(f, "the source ends after {have} bytes"),
            Self::Unsettled => f.write_str("the file changes again and again, or the target goes back again and again"),
            Self::Cancelled => f.write_str("the download was cancelled"),
        }
    }
}

impl<S, T> core::error::Error for DownloadError<S, T>
where
    S: core::error::Error + 'static,
    T: core::error::Error + 'static,
{
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Source(error) => Some(error),
            Self::Session(error) => Some(error),
            _ => None,
        }
    }
}
