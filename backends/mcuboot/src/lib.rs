#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

mod active;
mod check;
mod config;
mod error;
mod images;
mod mark;
mod preflight;
mod refusal;
mod rules;
mod running;
pub mod signature;
mod slots;
mod status;
mod target;
mod verify;

pub use active::Active;
pub use config::{Align, Config, Encryption, HashKind, Mode, Upgrade};
pub use error::Error;
pub use images::marking_order;
pub use mark::{Flag, Mark, SwapType};
pub use refusal::{Refusal, TlvFault};
pub use rules::{ImageHash, Need, Rules, Unsigned, VersionRule};
#[cfg(feature = "sha2")]
pub use rules::{Sha384, Sha512};
pub use running::{ConfirmError, Running, RunningState};
pub use slots::{ConfigError, MapError, Slots};
pub use status::{Side, State, Status, View};
pub use target::McubootTarget;
pub use verify::{Entry, Verify};
