#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

mod check;
mod config;
mod error;
mod mark;
mod running;
pub mod signature;
mod slot;
mod target;

pub use config::{Align, Config, Mode, Upgrade};
pub use error::Error;
pub use running::{ConfirmError, Running, RunningState};
pub use slot::{ConfigError, Flag, Mark, Slot, SwapType};
pub use target::McubootTarget;
