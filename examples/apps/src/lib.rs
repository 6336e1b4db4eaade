#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

mod apart;
pub mod delta;
pub mod full;
pub mod mcuboot;
pub mod nor;
pub mod order;
mod update;

pub use update::{Event, Means, update};

use core::fmt;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "it may be the reset"]
pub enum Next {
    /// The reset: then the new image runs, or is programmed.
    Reset,
    /// Nothing: what runs is what is wanted.
    Nothing,
}

/// Why an app did not come to its end. What is stored stays; the next start goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error<B, U> {
    /// At boot, before there was an update.
    Boot(B),
    /// In the update.
    Update(U),
}

impl<B: fmt::Display, U: fmt::Display> fmt::Display for Error<B, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(error) => error.fmt(f),
            Self::Update(error) => error.fmt(f),
        }
    }
}

impl<B: core::error::Error + 'static, U: core::error::Error + 'static> core::error::Error for Error<B, U> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Boot(error) => error.source(),
            Self::Update(error) => error.source(),
        }
    }
}
