#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

mod delta;
mod outcome;
pub mod port;
mod wrapper;

pub use delta::{CHUNK, DeltaError, DeltaPolicy, ModemDelta, Settled};
pub use outcome::{Outcome, Runs};
pub use wrapper::{Segment, Segments, Wrapper, WrapperError};
