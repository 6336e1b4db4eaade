//! What the firmwares for QEMU's mps2-an505 have in common: the chip, and the flash of a simulated nRF9160.
#![no_std]

pub mod chip;
pub mod clock;
pub mod console;
pub mod ethernet;
pub mod executor;
mod fault;
pub mod flash;
pub mod stack;
pub mod watchdog;
