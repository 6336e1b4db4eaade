#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

mod delta;
mod direct;
mod full;
// On the host only its parts that need no modem, for their tests.
#[cfg(any(test, all(feature = "libmodem", target_arch = "arm", target_os = "none")))]
#[allow(unsafe_code, reason = "the modem library is C")]
pub mod libmodem;
mod outcome;
pub mod port;
mod wrapper;

pub use delta::{CHUNK, DeltaError, DeltaPolicy, ModemDelta, Settled};
pub use direct::{DirectError, ModemFullDirect};
pub use full::{FullError, FullPolicy, FullState, ModemFull, Phase, Program, Recovered, Start};
pub use outcome::{Outcome, Runs};
pub use wrapper::{Segment, Segments, Wrapper, WrapperError};
