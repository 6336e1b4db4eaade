#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

// On the host only its parts that need no modem, for their tests.
#[cfg(any(test, all(feature = "libmodem", target_arch = "arm", target_os = "none")))]
#[allow(unsafe_code, reason = "the modem library is C")]
pub mod libmodem;
pub mod port;
