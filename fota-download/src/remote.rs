//! [`Remote`]: a file by its URL, over what the URL's scheme names.
//!
//! ```text
//!   http,     https     ──► Http      over your Connect
//!   coap+tcp, coaps+tcp ──► CoapTcp   over your Connect
//!   coap,     coaps     ──► Coap      over your Datagrams
//! ```
//!
//! ```
//! # use fota_download::coap::{Datagrams, Settings};
//! # use fota_download::remote::{Remote, UrlError};
//! # use fota_download::{Connect, Source};
//! # async fn length<C: Connect, D: Datagrams>(tcp: &C, udp: &D) -> Result<(), Box<dyn std::error::Error>> {
//! let random = 0x0123_4567_89ab_cdef; // of the hardware, another one each time
//! let mut buf = [0; 2048];
//! let mut file = Remote::new(tcp, udp, "coap://fw.example/app.bin", Settings::new(random).window(4), &mut buf)?;
//! println!("{:?} bytes", file.open(0).await?.size);
//! # Ok(())
//! # }
//! ```

use core::fmt;

use crate::coap::tcp::{self, CoapTcp};
use crate::coap::{self, Coap, Datagrams, Settings};
use crate::connect::Connect;
use crate::http::{self, Http};
use crate::source::{Call, Meta, Retry, Source};

/// A file by its URL. What only one of them has is set before, by making it a `Remote` afterwards: [`Http::fields`] for
/// instance.
///
/// # Cancellation
///
/// After a dropped `open` or `read`, `read` is an error and `open` works, on a new connection or socket.
#[allow(clippy::large_enum_variant)] // There is no allocator to box with.
pub enum Remote<'c, 'b, C: Connect + 'c, D: Datagrams + 'c> {
    /// `http://` or `https://`.
    Http(Http<'c, 'b, C>),
    /// `coap://` or `coaps://`.
    Coap(Coap<'c, 'b, D>),
    /// `coap+tcp://` or `coaps+tcp://`.
    CoapTcp(CoapTcp<'c, 'b, C>),
}

impl<'c, 'b, C: Connect, D: Datagrams> Remote<'c, 'b, C, D> {
    /// A file, by its URL. One type may be both connectors.
    ///
    /// `settings` are for CoAP. `buf` is as long as [`Http::new`] asks for and [`coap::space`] says.
    pub fn new(
        connections: &'c C,
        datagrams: &'c D,
        url: &'b str,
        settings: Settings,
        buf: &'b mut [u8],
    ) -> Result<Self, UrlError> {
        // What follows the scheme is for the source to look at.
        let end = url.bytes().take_while(|byte| *byte != b':').count();
        let scheme = url.get(..end).unwrap_or_default();
        let is = |names: [&str; 2]| names.iter().any(|name| scheme.eq_ignore_ascii_case(name));
        if is(["http", "https"]) {
            Http::new(connections, url, buf).map(Self::Http).map_err(UrlError::Http)
        } else if is(["coap", "coaps"]) {
            Coap::new(datagrams, url, settings, buf).map(Self::Coap).map_err(UrlError::Coap)
        } else if is(["coap+tcp", "coaps+tcp"]) {
            let settings = tcp::Settings::of(settings);
            CoapTcp::new(connections, url, settings, buf).map(Self::CoapTcp).map_err(UrlError::Coap)
        } else {
            Err(UrlError::Scheme)
        }
    }
}

impl<C: Connect, D: Datagrams> Source for Remote<'_, '_, C, D> {
    type Error = Error<C::Error, D::Error>;

    async fn open(&mut self, from: u32) -> Result<Meta, Self::Error> {
        let mut meta = Meta::default();
        self.call(Call::Open(from, &mut meta)).await?;
        Ok(meta)
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        let mut count = 0;
        self.call(Call::Read(buf, &mut count)).await?;
        Ok(count)
    }

    fn paid(&self) -> u32 {
        match self {
            Self::Http(file) => file.paid(),
            Self::Coap(file) => file.paid(),
            Self::CoapTcp(file) => file.paid(),
        }
    }

    fn close(&mut self) {
        match self {
            Self::Http(file) => file.close(),
            Self::Coap(file) => file.close(),
            Self::CoapTcp(file) => file.close(),
        }
    }

    async fn call(&mut self, call: Call<'_>) -> Result<(), Self::Error> {
        match self {
            Self::Http(file) => file.call(call).await.map_err(Error::Http),
            Self::Coap(file) => file.call(call).await.map_err(Error::Coap),
            Self::CoapTcp(file) => file.call(call).await.map_err(Error::CoapTcp),
        }
    }
}

/// Why the file could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error<C, D> {
    /// Over HTTP.
    Http(http::Error<C>),
    /// Over CoAP and UDP.
    Coap(coap::Error<D>),
    /// Over CoAP and TCP.
    CoapTcp(coap::Error<C>),
}

impl<C: core::error::Error + 'static, D: core::error::Error + 'static> crate::source::Error for Error<C, D> {
    fn retry(&self) -> Retry {
        match self {
            Self::Http(error) => error.retry(),
            Self::Coap(error) => error.retry(),
            Self::CoapTcp(error) => error.retry(),
        }
    }
}

impl<C: fmt::Display, D: fmt::Display> fmt::Display for Error<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::Coap(error) => error.fmt(f),
            Self::CoapTcp(error) => error.fmt(f),
        }
    }
}

impl<C: core::error::Error + 'static, D: core::error::Error + 'static> core::error::Error for Error<C, D> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Http(error) => error.source(),
            Self::Coap(error) => error.source(),
            Self::CoapTcp(error) => error.source(),
        }
    }
}

/// Why a URL can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UrlError {
    /// It has none of the schemes that are known.
    Scheme,
    /// HTTP can't use it.
    Http(http::UrlError),
    /// CoAP can't use it.
    Coap(coap::UrlError),
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("the URL begins with none of http, https, coap, coaps, coap+tcp, coaps+tcp"),
            Self::Http(error) => error.fmt(f),
            Self::Coap(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for UrlError {}
