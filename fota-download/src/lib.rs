#![no_std]
#![cfg_attr(feature = "http", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "http"), doc = "The download loop without the HTTP source.")]

#[cfg(test)]
extern crate std;

#[cfg(feature = "coap")]
pub mod coap;
#[cfg(any(feature = "http", feature = "coap-tcp"))]
pub mod connect;
mod download;
mod fmt;
mod fota;
#[cfg(feature = "http")]
pub mod http;
pub mod pair;
mod preflight;
#[cfg(feature = "remote")]
pub mod remote;
pub mod source;

#[cfg(feature = "coap")]
pub use coap::Coap;
#[cfg(feature = "coap-tcp")]
pub use coap::tcp::CoapTcp;
#[cfg(any(feature = "http", feature = "coap-tcp"))]
pub use connect::Connect;
pub use download::{Backoff, DownloadError, Report, Step, download, download_overlapped};
pub use fota::{Control, Event, Finished, FotaError, Job, fota};
#[cfg(feature = "http")]
pub use http::Http;
pub use preflight::{Offer, PreflightError, preflight};
#[cfg(feature = "remote")]
pub use remote::Remote;
pub use source::{Meta, Source};
