#![cfg_attr(not(feature = "std"), no_std)]
#![doc = include_str!("../README.md")]

#[macro_use]
extern crate alloc;

pub mod boot;
pub mod contract;
pub mod device;
#[cfg(feature = "std")]
pub mod fixture;
pub mod flash;
pub mod image;
pub mod modem;
pub mod network;
pub mod plain;
pub mod poll;
#[cfg(feature = "std")]
pub mod port;
#[cfg(feature = "std")]
pub mod proxy;
pub mod record;
pub mod scenario;
#[cfg(feature = "std")]
pub mod search;
pub mod shrink;
pub mod source;
pub mod store;
pub mod time;
pub mod trace;

/// The code on the repository's front page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct FrontPage;
