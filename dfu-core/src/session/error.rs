//! Why an update does not go on, and what is left of it.

use core::fmt;

use crate::image::ImageKind;
use crate::progress::StoreError;
use crate::target::{Error, ErrorKind};

/// Why a step of an update failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SessionError<E> {
    /// The target failed or refused.
    Target(E),
    /// Progress could not be stored where that matters: before an erase, or before the image is applied.
    Store(StoreError),
    /// The image's first bytes are of no known kind. No flash was touched.
    Unknown,
    /// The image is of this kind, and no target here takes it. No flash was touched.
    NotTaken(ImageKind),
    /// The source's file has another size than the image that is wanted. No flash was touched.
    WrongSize {
        /// The size that was asked for, in bytes.
        wanted: u32,
        /// The size that the source announces, in bytes.
        offered: u32,
    },
    /// More bytes than the image has. None of them was taken.
    TooLong {
        /// The image's size in bytes.
        size: u32,
    },
    /// The stream was ended before all of it came. Nothing was done: the rest may follow.
    Incomplete {
        /// How many bytes came.
        have: u32,
        /// The image's size in bytes.
        size: u32,
    },
    /// A numbered block came too early.
    Gap {
        /// The offset that is wanted.
        wanted: u32,
        /// The offset that was sent.
        offset: u32,
    },
    /// The stored image is not the one that is wanted: its digest is another one.
    Mismatch,
    /// The target could not check the image by itself: compare its digest with a known one.
    NotAssured,
    /// This image was fetched in vain as often as the request bears ([`Request::attempts`](crate::Request::attempts)).
    /// No byte of it was taken.
    Rejected,
    /// An earlier call failed or was dropped, or the stream has ended: resume or restart first.
    Interrupted,
}

impl<E: Error> SessionError<E> {
    /// What kind of failure this is, and so whether trying again helps.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Target(error) => error.kind(),
            Self::Store(_) => ErrorKind::Storage,
            Self::Unknown | Self::NotTaken(_) | Self::WrongSize { .. } => ErrorKind::Refused,
            Self::NotAssured | Self::Rejected => ErrorKind::Refused,
            Self::TooLong { .. } | Self::Mismatch => ErrorKind::Corrupt,
            Self::Gap { .. } | Self::Incomplete { .. } | Self::Interrupted => ErrorKind::Order,
        }
    }
}

impl<E: fmt::Display> fmt::Display for SessionError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Unknown => f.write_str("not a firmware image of any known kind"),
            Self::NotTaken(kind) => write!(f, "a {kind}, and no target here takes one"),
            Self::WrongSize { wanted, offered } => {
                write!(f, "the source's file has {offered} bytes and the wanted image {wanted}")
            }
            Self::TooLong { size } => write!(f, "more bytes came than the image's {size}"),
            Self::Incomplete { have, size } => write!(f, "the image ended after {have} of {size} bytes"),
            Self::Gap { wanted, offset } => write!(f, "bytes came for offset {offset} while {wanted} is wanted"),
            Self::Mismatch => f.write_str("the stored image is not the wanted one: its digest differs"),
            Self::NotAssured => crate::target::NotAssured.fmt(f),
            Self::Rejected => f.write_str("this image was refused or came back too often: it is not fetched again"),
            Self::Interrupted => f.write_str("an earlier call failed or was dropped: resume first"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for SessionError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Target(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

/// A step that failed, with what it would have consumed: an error never loses the target or the store.
pub struct Failed<S, E> {
    inner: S,
    error: E,
}

impl<S, E> Failed<S, E> {
    pub(super) fn new(inner: S, error: E) -> Self {
        Self { inner, error }
    }

    /// Why.
    pub fn error(&self) -> &E {
        &self.error
    }

    /// What the step was called on.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// The reason alone.
    pub fn into_error(self) -> E {
        self.error
    }

    /// Both.
    pub fn into_parts(self) -> (S, E) {
        (self.inner, self.error)
    }
}

impl<S, E: fmt::Debug> fmt::Debug for Failed<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<S, E: fmt::Display> fmt::Display for Failed<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<S, E: core::error::Error> core::error::Error for Failed<S, E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::error::Error as _;
    use std::format;
    use std::string::ToString;

    /// A target's error, with a cause.
    #[derive(Debug, PartialEq)]
    struct Own(StoreError);

    impl fmt::Display for Own {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the target's own words")
        }
    }

    impl core::error::Error for Own {
        fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    impl Error for Own {
        fn kind(&self) -> ErrorKind {
            ErrorKind::Busy
        }
    }

    const TARGET: SessionError<Own> = SessionError::Target(Own(StoreError::Other));

    #[test]
    fn an_error_says_what_happened_and_of_what_kind_that_is() {
        for (error, kind, words) in [
            (TARGET, ErrorKind::Busy, &["the target's own words"][..]),
            (SessionError::Store(StoreError::Mismatch), ErrorKind::Storage, &["record"]),
            (SessionError::Unknown, ErrorKind::Refused, &["known kind"]),
            (SessionError::NotTaken(ImageKind::Mcuboot), ErrorKind::Refused, &["MCUboot image"]),
            (SessionError::WrongSize { wanted: 901, offered: 902 }, ErrorKind::Refused, &["901", "902"]),
            (SessionError::NotAssured, ErrorKind::Refused, &["digest"]),
            (SessionError::Rejected, ErrorKind::Refused, &["not fetched again"]),
            (SessionError::TooLong { size: 903 }, ErrorKind::Corrupt, &["903"]),
            (SessionError::Incomplete { have: 904, size: 905 }, ErrorKind::Order, &["904", "905"]),
            (SessionError::Mismatch, ErrorKind::Corrupt, &["digest"]),
            (SessionError::Gap { wanted: 906, offset: 907 }, ErrorKind::Order, &["906", "907"]),
            (SessionError::Interrupted, ErrorKind::Order, &["resume"]),
        ] {
            let text = error.to_string();
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
            assert_eq!(error.kind(), kind, "{text}");
        }
    }

    #[test]
    fn an_error_below_is_the_source() {
        let text = |error: &SessionError<Own>| error.source().map(|source| source.to_string());
        assert_eq!(text(&TARGET), Some("the target's own words".into()));
        assert_eq!(text(&SessionError::Store(StoreError::Other)), Some(StoreError::Other.to_string()));
        assert_eq!(text(&SessionError::Mismatch), None);
    }

    #[test]
    fn a_failed_step_keeps_its_error_and_what_it_was_called_on() {
        let failed = || Failed::new("the session", Own(StoreError::Other));
        assert_eq!((failed().error(), failed().into_inner()), (&Own(StoreError::Other), "the session"));
        assert_eq!(failed().into_error(), Own(StoreError::Other));
        assert_eq!(failed().into_parts(), ("the session", Own(StoreError::Other)));
        assert_eq!(failed().to_string(), "the target's own words");
        assert!(format!("{:?}", failed()).contains("Own"));
        assert_eq!(failed().source().map(|source| source.to_string()), Some(StoreError::Other.to_string()));
    }
}
