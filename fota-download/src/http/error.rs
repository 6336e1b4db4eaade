//! Why an HTTP download does not go on.

use core::fmt;

use super::url::UrlError;
use crate::connect::Failure;
use crate::source::{self, Retry};

/// Why the source could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error<E> {
    /// The connection could not be opened, or failed, also by a TLS record that is too long where others fit. Trying again
    /// may help.
    Connection(E),
    /// TLS could not be agreed on with the server, or is not to be had.
    Tls(E),
    /// The server's TLS records are longer than the connection can receive, however little is asked for.
    Record(E),
    /// The server answered, and this is wrong with it.
    Answer(Fault),
}

/// What is wrong with a server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Fault {
    /// The connection was closed before all announced bytes came. Trying again may help.
    Closed,
    /// The server refuses. Trying again may help for 408, 425, 429 and 5xx.
    Status {
        /// The status code.
        code: u32,
        /// The seconds after which the server wants to be asked again; 0: it does not say.
        retry_after: u32,
    },
    /// It is not HTTP/1, or contradicts itself.
    Malformed,
    /// The head of the answer is longer than the buffer, or never ends. That of an error may: it is [`Status`](Self::Status).
    HeadTooLong,
    /// The request doesn't fit the buffer.
    RequestTooLong,
    /// It is not the range that was asked for.
    Range,
    /// A web page instead of a file: an error page, or a login that is in the way.
    Html,
    /// The body is compressed, which is not understood.
    Encoded,
    /// The announced length is no number, or 4 GiB or more, or announced twice and different.
    Length,
    /// A field of the caller's has no name, or a character that can't be sent.
    Field,
    /// More than 5 redirects.
    Redirects,
    /// A redirect to an address that can't be used.
    Redirect(UrlError),
}

impl<E> Error<E> {
    pub(super) fn new(failure: Failure, error: E) -> Self {
        match failure {
            Failure::Network => Self::Connection(error),
            Failure::Tls => Self::Tls(error),
            Failure::TooBig => Self::Record(error),
        }
    }
}

impl<E: core::error::Error + 'static> source::Error for Error<E> {
    fn retry(&self) -> Retry {
        match self {
            Self::Connection(_) | Self::Answer(Fault::Closed) => Retry::Later,
            Self::Answer(Fault::Status { code: 408 | 425 | 429 | 500..=599, retry_after }) => {
                Retry::After(*retry_after)
            }
            Self::Tls(_) | Self::Record(_) | Self::Answer(_) => Retry::Never,
        }
    }
}

impl<E> From<Fault> for Error<E> {
    fn from(fault: Fault) -> Self {
        Self::Answer(fault)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::Tls(error) => write!(f, "no secure connection: {error}"),
            Self::Record(error) => write!(f, "the server's TLS records are too long: {error}"),
            Self::Answer(fault) => fault.fmt(f),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Connection(error) | Self::Tls(error) | Self::Record(error) => Some(error),
            Self::Answer(fault) => Some(fault),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the server closed the connection before the end",
            Self::Status { code, .. } => return write!(f, "the server answers with status {code}"),
            Self::Malformed => "the answer is not proper HTTP/1",
            Self::HeadTooLong => "the head of the answer is longer than the buffer",
            Self::RequestTooLong => "the request is longer than the buffer",
            Self::Range => "the server sends another range than was asked for",
            Self::Html => "the server sends a web page instead of a file",
            Self::Encoded => "the server sends the file compressed",
            Self::Length => "the announced length is not a number below 4 GiB",
            Self::Field => "a field of the request has a character that can't be sent",
            Self::Redirects => "the server redirects too often",
            Self::Redirect(error) => return write!(f, "the server redirects to an unusable address: {error}"),
        })
    }
}

impl core::error::Error for Fault {}
