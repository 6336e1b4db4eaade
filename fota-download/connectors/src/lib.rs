#![no_std]
#![cfg_attr(feature = "tokio", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "tokio"), doc = "Connections and sockets of common network stacks, for `fota-download`.")]

#[cfg(feature = "tokio")]
extern crate std;

#[cfg(feature = "embassy-net")]
pub mod embassy_net;
#[cfg(feature = "embedded-nal")]
pub mod embedded_nal;
#[cfg(feature = "embedded-tls")]
pub mod embedded_tls;
#[cfg(all(feature = "nrf-modem", target_arch = "arm", target_os = "none"))]
pub mod nrf_modem;
#[cfg(any(feature = "embedded-nal", all(feature = "nrf-modem", target_arch = "arm", target_os = "none")))]
mod timely;
#[cfg(feature = "tokio")]
pub mod tokio;
