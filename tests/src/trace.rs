//! What a device wrote down of an update, and the same update here.
//!
//! [`dfu_trace`], which a firmware can use by itself, records: it has no allocator, and a trace is one event of a few
//! bytes behind the other; its README has the format. Its types are here too. What needs a PC is this:
//!
//! - [`Trace`]: the events put together to operations;
//! - [`Trace::violations`]: what was done to the flash that no flash allows;
//! - [`Trace::rewrite`]: what the flash holds then, where the bytes were kept;
//! - [`Replay`]: a flash and a network for the code under test. They give it what the device was given, in the same
//!   order, and name the first operation that is another one than the device's.

mod operation;
mod replay;
mod rewrite;
mod rules;

pub use dfu_trace::{
    About, Event, Events, Geometry, Latest, Ram, Recorder, Sink, TraceError, Traced, TracedConn, VERSION, sum,
};
pub use operation::{Channel, Operation, Trace};
pub use replay::{Diverged, Replay, ReplayConn, ReplayFlash, ReplayNet, Replayed};
pub use rewrite::{Rewritten, Unfit};
pub use rules::Violation;
