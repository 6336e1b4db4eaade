#![no_std]
#![cfg_attr(feature = "tokio", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "tokio"), doc = "Connections and sockets of common network stacks, for `fota-download`.")]

#[cfg(feature = "tokio")]
extern crate std;

#[cfg(feature = "embedded-nal")]
pub mod embedded_nal;
#[cfg(feature = "embedded-nal")]
mod timely;
#[cfg(feature = "tokio")]
pub mod tokio;
