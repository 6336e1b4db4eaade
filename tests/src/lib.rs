#![doc = include_str!("../README.md")]

pub mod boot;
pub mod contract;
pub mod device;
pub mod fixture;
pub mod flash;
pub mod image;
pub mod modem;
pub mod plain;
pub mod poll;
pub mod proxy;
pub mod record;
pub mod source;
pub mod store;
pub mod time;

/// The code on the repository's front page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct FrontPage;
