//! Why an MCUboot slot does not take an image.

use core::fmt;

use dfu_target::ErrorKind;

use crate::{Refusal, SwapType};

/// Why the target refused or failed; `E` is the flash's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error<E> {
    /// The flash failed.
    Flash(E),
    /// The image is refused. Where its first bytes show why, no flash was changed.
    Refused(Refusal),
    /// The running image is on trial, and the slot holds the way back; or it comes from a programmer, unconfirmed, and
    /// would be erased on the way back. Nothing was changed: confirm it first, and say so with
    /// [`set_active`](crate::McubootTarget::set_active), or reset without.
    Trial,
    /// An image in the slot waits for the reset. Nothing was changed: reset, or withdraw it first.
    Pending(SwapType),
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
            Self::Refused(refusal) => refusal.kind(),
            Self::Trial | Self::Pending(_) => ErrorKind::Pending,
            Self::TornMark => ErrorKind::Rewind,
            Self::NotChecked | Self::Closed => ErrorKind::Order,
        }
    }
}

impl<E> From<Refusal> for Error<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "flash error: {error:?}"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Trial => f.write_str("the running image is not confirmed: confirm it before the next update"),
            Self::Pending(SwapType::Revert) => f.write_str("a swap back to the image in the slot is pending"),
            Self::Pending(_) => f.write_str("an image in the slot waits for the reset: reset, or withdraw it first"),
            Self::TornMark => f.write_str("the slot's trailer is half written: begin again to send the image's end"),
            Self::MarkNotWritten => f.write_str("the flash did not keep the request"),
            Self::NotChecked => f.write_str("no image was checked, or the proof is of another image"),
            Self::Closed => f.write_str("an earlier write failed or was dropped: begin again"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}
