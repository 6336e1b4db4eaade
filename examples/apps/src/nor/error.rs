//! Why an operation on the flash failed.

use core::fmt;

use embedded_storage_async::nor_flash::{NorFlashError, NorFlashErrorKind};

/// Why an operation on a [`Nor`](super::Nor) failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum NorError<E> {
    /// The bus failed.
    Spi(E),
    /// Another chip is there, or none: the id that was read.
    OtherChip([u8; 3]),
    /// The chip is not done within a second; or it is not there, and nothing answers.
    Busy,
    /// It would reach beyond the end. Nothing was done.
    OutOfBounds,
    /// It is not made of whole words or sectors. Nothing was done.
    NotAligned,
}

impl<E: fmt::Debug> NorFlashError for NorError<E> {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::Spi(_) | Self::OtherChip(_) | Self::Busy => NorFlashErrorKind::Other,
        }
    }
}

impl<E: fmt::Debug> fmt::Display for NorError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spi(error) => write!(f, "the SPI bus failed: {error:?}"),
            Self::OtherChip([a, b, c]) => write!(f, "not the flash that was expected: id {a:02x} {b:02x} {c:02x}"),
            Self::Busy => f.write_str("the flash does not get ready"),
            Self::OutOfBounds => f.write_str("beyond the end of the flash"),
            Self::NotAligned => f.write_str("not in whole words or sectors"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for NorError<E> {}
