#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

pub mod port;
mod wrapper;

pub use wrapper::{Segment, Segments, Wrapper, WrapperError};
