//! What a DFU target is tested with: a flash that forgives nothing and loses power where it is told to, MCUboot
//! images right and wrong, what MCUboot makes of them at the next reset, and a progress store in RAM.

pub mod boot;
pub mod flash;
pub mod image;
pub mod poll;
pub mod store;
