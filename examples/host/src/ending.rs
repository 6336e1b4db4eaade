//! How a command ends: what the exit codes say.

use std::fmt::Display;
use std::process::ExitCode;

/// How a command ended that did not err.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All is done.
    Done,
    /// Power was cut, as asked.
    Cut,
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The options do not go together.
    Usage(String),
    /// The file, the image or the slots are not fit for it.
    Refused(anyhow::Error),
}

/// What a command came to.
pub(crate) type Outcome<T = End> = Result<T, Problem>;

impl Problem {
    /// Options that do not go together.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// A reason in the words of whoever refused.
    pub(crate) fn refused(reason: impl Display) -> Self {
        Self::Refused(anyhow::anyhow!("{reason}"))
    }

    /// The same, with the name of what was refused before it.
    pub(crate) fn of(self, what: String) -> Self {
        match self {
            Self::Refused(error) => Self::Refused(error.context(what)),
            usage @ Self::Usage(_) => usage,
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Refused(_) => ExitCode::FAILURE,
        }
    }

    /// The reason in one line.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Usage(text) => text.clone(),
            Self::Refused(error) => format!("{error:#}"),
        }
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self::Refused(error)
    }
}

impl End {
    /// The exit code.
    pub(crate) fn code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Cut => ExitCode::from(3),
        }
    }
}
