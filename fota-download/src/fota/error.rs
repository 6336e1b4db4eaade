//! Why an update did not come to its end.

use core::fmt;

use dfu_target::session::SessionError;

use super::watch::Unanswered;
use crate::download::DownloadError;

/// Why [`fota`](super::fota) did not come to its end. What is stored stays: the same job goes on with it, unless it was
/// read back and is not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FotaError<S, T> {
    /// The download ended.
    Download(DownloadError<S, T>),
    /// What is stored could not be looked at, is not what it should be, or could not be applied.
    Session(SessionError<T>),
    /// The file is longer than the job allows. No byte of it was stored.
    TooLarge {
        /// Its length in bytes.
        size: u32,
    },
    /// This very image was applied before and is not what runs: it came back. It is not applied again unless the job
    /// says so.
    Attempted,
    /// The source said nothing for longer than the job bears, and too often in a row.
    Silent,
    /// The job's deadline is over.
    Deadline,
    /// [`Control::cancel`](super::Control::cancel) ended it.
    Cancelled,
}

impl<S, T> From<DownloadError<Unanswered<S>, T>> for FotaError<S, T> {
    fn from(error: DownloadError<Unanswered<S>, T>) -> Self {
        Self::Download(match error {
            DownloadError::Source(Unanswered::Source(error)) => DownloadError::Source(error),
            DownloadError::Source(Unanswered::Silent) => return Self::Silent,
            DownloadError::Source(Unanswered::Unwanted) | DownloadError::Cancelled => return Self::Cancelled,
            DownloadError::Session(error) => DownloadError::Session(error),
            DownloadError::Empty => DownloadError::Empty,
            DownloadError::NoLength => DownloadError::NoLength,
            DownloadError::Ended { have } => DownloadError::Ended { have },
            DownloadError::Unsettled => DownloadError::Unsettled,
        })
    }
}

impl<S: fmt::Display, T: fmt::Display> fmt::Display for FotaError<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Download(error) => error.fmt(f),
            Self::Session(error) => error.fmt(f),
            Self::TooLarge { size } => write!(f, "the file has {size} bytes, more than are allowed"),
            Self::Attempted => f.write_str("this image was applied before and came back: it is not applied again"),
            Self::Silent => f.write_str("the server says nothing, however often it is asked"),
            Self::Deadline => f.write_str("the update was not there by its deadline"),
            Self::Cancelled => f.write_str("the update was cancelled"),
        }
    }
}

impl<S: core::error::Error + 'static, T: core::error::Error + 'static> core::error::Error for FotaError<S, T> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Download(error) => error.source(),
            Self::Session(error) => error.source(),
            _ => None,
        }
    }
}
