#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

#[cfg(feature = "connect")]
mod connect;
mod event;
mod flash;
mod read;
mod recorder;
mod sink;
mod text;
mod wire;

#[cfg(feature = "connect")]
pub use connect::TracedConn;
pub use event::{About, Event, Geometry, VERSION};
pub use flash::Traced;
pub use read::{Events, TraceError};
pub use recorder::{Recorder, sum};
pub use sink::{Latest, MAX_EVENT, Ram, Sink};
