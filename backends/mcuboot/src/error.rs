//! Why an MCUboot slot does not take an image.

use core::fmt;

use dfu_target::ErrorKind;
use dfu_target::image::mcuboot::HeaderError;

/// Why the target refused or failed; `E` is the flash's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error<E> {
    /// The flash failed.
    Flash(E),
    /// The header is not one that MCUboot accepts. No flash was touched.
    Header(HeaderError),
    /// The image does not fit. Where the header shows it, no flash was touched.
    TooLarge {
        /// The least that the image needs, in bytes.
        size: u32,
        /// The largest image that the bootloader swaps in, in bytes.
        max: u32,
    },
    /// The file is shorter than its header says.
    Truncated {
        /// How many bytes there are.
        have: u32,
        /// The least that the image needs, in bytes.
        need: u32,
    },
    /// The TLV areas behind the payload are damaged, or something follows them.
    Tlv,
    /// The image's hash is not that of its bytes.
    Hash,
    /// The trailer is half written, and the image's end shares its sector: begin again, only the end is wanted
    /// once more.
    TornMark,
    /// The flash took the mark and reads back something else. Nothing will be swapped.
    MarkNotWritten,
    /// No image was accepted, or the proof is of another one.
    NotChecked,
    /// An earlier write failed or was dropped, or the stream has ended.
    Closed,
}

impl<E: fmt::Debug> dfu_target::Error for Error<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Flash(_) | Self::MarkNotWritten => ErrorKind::Storage,
            Self::Header(_) => ErrorKind::Refused,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Truncated { .. } | Self::Tlv | Self::Hash => ErrorKind::Corrupt,
            Self::TornMark => ErrorKind::Rewind,
            Self::NotChecked | Self::Closed => ErrorKind::Order,
        }
    }
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "flash error: {error:?}"),
            Self::Header(error) => error.fmt(f),
            Self::TooLarge { size, max } => {
                write!(f, "the image needs {size} bytes, and this slot takes images of up to {max}")
            }
            Self::Truncated { have, need } => write!(f, "the image has {have} bytes and needs {need} or more"),
            Self::Tlv => f.write_str("the TLV areas behind the image are damaged, or bytes follow them"),
            Self::Hash => f.write_str("the image's hash is not that of its bytes"),
            Self::TornMark => f.write_str("the slot's trailer is half written: begin again to send the image's end"),
            Self::MarkNotWritten => f.write_str("the flash did not keep the request to swap"),
            Self::NotChecked => f.write_str("no image was checked, or the proof is of another image"),
            Self::Closed => f.write_str("an earlier write failed or was dropped: begin again"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}
