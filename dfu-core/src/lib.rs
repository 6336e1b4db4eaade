#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod fmt;
mod then;

pub mod blocking;
pub mod digest;
pub mod flash;
pub mod image;
pub mod layout;
pub mod progress;
pub mod session;
pub mod target;

pub use digest::{Digest, Sha256};
pub use image::{Image, ImageKind, Probe};
pub use progress::{ImageId, Progress, ProgressLog, ProgressStore};
pub use session::{Begun, Request, Session, Staged, Update, Verified};
pub use target::{Applied, DfuTarget, Error, ErrorKind, ErrorType, Written};
