//! Addresses (RFC 7252, 6.4).

use core::fmt;

use coap_numbers::option::{URI_HOST, URI_PATH, URI_QUERY};

use super::message::{Form, Writer, digit};
use super::part;

/// Why a URL can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UrlError {
    /// It begins neither with `coap://` nor with `coaps://`, or for TCP neither with `coap+tcp://` nor with
    /// `coaps+tcp://`; or it is `coaps://` and the proxy is not.
    Scheme,
    /// It begins with `coaps+tcp://`, and the connector has no TLS.
    Tls,
    /// It has no host, a user name, an escape in the host, or a port that is no number.
    Host,
    /// A space, a control character, one outside ASCII, a `%` without two digits, a fragment, or a `.` or `..` as a part of
    /// the path is in it.
    Character,
    /// A part of it is longer than 255 bytes, or it doesn't fit the buffer, or the buffer no block.
    TooLong,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the URL's scheme is not one of this source, or its proxy is less safe than it",
            Self::Tls => "the URL needs TLS",
            Self::Host => "the URL's host or port can't be used",
            Self::Character => "the URL has a fragment, dots for a folder or a character that must be escaped",
            Self::TooLong => "the URL is too long, or the buffer too small",
        })
    }
}

impl core::error::Error for UrlError {}

/// Whether datagrams are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Security {
    /// `coap://`: plain UDP.
    None,
    /// `coaps://`: DTLS, and nothing less.
    Dtls,
}

/// A URL, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Url<'u> {
    pub(super) text: &'u str,
    /// Over TCP, [`Security::Dtls`] is TLS.
    pub(super) security: Security,
    /// An IPv6 address without its brackets.
    pub(super) host: &'u str,
    pub(super) port: u16,
    /// The host is an address: a server needs no name.
    literal: bool,
    path: &'u [u8],
    query: Option<&'u [u8]>,
}

impl<'u> Url<'u> {
    #[inline(never)]
    pub(super) fn parse(url: &'u str) -> Result<Self, UrlError> {
        Self::parse_over(url, b"")
    }

    /// One with this after `coap` or `coaps`, in lower case.
    pub(super) fn parse_over(url: &'u str, transport: &[u8]) -> Result<Self, UrlError> {
        checked(url)?;
        let (scheme, rest) = url.as_bytes().split_at_checked(4).ok_or(UrlError::Scheme)?;
        let (security, standard, rest) = match rest {
            [b's' | b'S', rest @ ..] => (Security::Dtls, 5684, rest),
            _ => (Security::None, 5683, rest),
        };
        let (over, rest) = rest.split_at_checked(transport.len()).ok_or(UrlError::Scheme)?;
        if !over.eq_ignore_ascii_case(transport) {
            return Err(UrlError::Scheme);
        }
        let [b':', b'/', b'/', rest @ ..] = rest else { return Err(UrlError::Scheme) };
        if !scheme.eq_ignore_ascii_case(b"coap") {
            return Err(UrlError::Scheme);
        }
        let (authority, rest) = before(rest, b'/', b'?');
        let (path, rest) = before(rest, b'?', b'?');
        let path = path.get(1..).unwrap_or_default();
        let query = rest.get(1..);
        let (v6, address) = match authority {
            [b'[', address @ ..] => (true, address),
            _ => (false, authority),
        };
        let (host, mut port) = before(address, if v6 { b']' } else { b':' }, b'@');
        if v6 {
            let [b']', after @ ..] = port else { return Err(UrlError::Host) };
            port = after;
        }
        let port = match port {
            // None is named behind it: the usual one (RFC 7252, 6.1).
            [] | [b':'] => standard,
            [b':', digits @ ..] => decimal(digits).ok_or(UrlError::Host)?,
            _ => return Err(UrlError::Host),
        };
        if host.is_empty() || port == 0 || host.iter().any(|byte| matches!(byte, b'%' | b'[' | b']')) {
            return Err(UrlError::Host);
        }
        let literal = v6 || host.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        let from = host.as_ptr().addr().wrapping_sub(url.as_ptr().addr());
        let host = url.get(from..from.wrapping_add(host.len())).unwrap_or_default();
        if Parts(Some(path), b'/').any(is_dots) {
            return Err(UrlError::Character);
        }
        Ok(Self { text: url, security, host, port, literal, path, query })
    }

    fn segments(&self) -> Parts<'u> {
        Parts((!self.path.is_empty()).then_some(self.path), b'/')
    }

    fn arguments(&self) -> Parts<'u> {
        Parts(self.query, b'&')
    }

    /// Names the file. `Uri-Host` only where the server may need it: an address it knows itself.
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        if !self.literal {
            writer.option(URI_HOST, self.host.as_bytes(), Form::Lower);
        }
        self.segments().for_each(|segment| writer.option(URI_PATH, segment, Form::Escaped));
        self.arguments().for_each(|argument| writer.option(URI_QUERY, argument, Form::Escaped));
    }
}

/// The parts of a text between these bytes, at least one.
struct Parts<'t>(Option<&'t [u8]>, u8);

impl<'t> Iterator for Parts<'t> {
    type Item = &'t [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'t [u8]> {
        let text = self.0?;
        let end = text.iter().take_while(|byte| **byte != self.1).count();
        self.0 = text.get(end.wrapping_add(1)..);
        Some(part(text, 0, end))
    }
}

/// What comes before the first of these bytes, and the rest.
#[inline(never)]
fn before(text: &[u8], one: u8, other: u8) -> (&[u8], &[u8]) {
    let end = text.iter().take_while(|byte| **byte != one && **byte != other).count();
    text.split_at_checked(end).unwrap_or_default()
}

/// `.` or `..`, which no server must be sent (RFC 7252, 5.10.1), escaped or not.
fn is_dots(mut segment: &[u8]) -> bool {
    let mut dots = 0_usize;
    while let [b'.', rest @ ..] | [b'%', b'2', b'E' | b'e', rest @ ..] = segment {
        segment = rest;
        dots = dots.wrapping_add(1);
    }
    segment.is_empty() && matches!(dots, 1 | 2)
}

/// A number of digits and nothing else.
fn decimal(digits: &[u8]) -> Option<u16> {
    let add = |number: u16, byte: &u8| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u16::from(digit))
    };
    digits.iter().try_fold(0, add)
}

/// Refuses what no URL may have, and what must not be sent to a server.
fn checked(url: &str) -> Result<(), UrlError> {
    let mut bytes = url.as_bytes();
    while let [byte, rest @ ..] = bytes {
        let escape = || matches!(part(rest, 0, 2), [high, low] if digit(*high).and(digit(*low)).is_some());
        if !byte.is_ascii_graphic() || *byte == b'#' || *byte == b'%' && !escape() {
            return Err(UrlError::Character);
        }
        bytes = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, security, host, port, path, query) in [
            ("coap://a.example/x/y?z=1&w", Security::None, "a.example", 5683, "x/y", Some("z=1&w")),
            ("COAP://a.example", Security::None, "a.example", 5683, "", None),
            ("coaps://a.example:99?q", Security::Dtls, "a.example", 99, "", Some("q")),
            ("coaps://10.0.0.1/", Security::Dtls, "10.0.0.1", 5684, "", None),
            ("coap://[2001:db8::1]:61616/a", Security::None, "2001:db8::1", 61616, "a", None),
            ("coap://[::1]", Security::None, "::1", 5683, "", None),
            ("coap://a/b@c:d", Security::None, "a", 5683, "b@c:d", None),
            ("coaps://a:/b", Security::Dtls, "a", 5684, "b", None),
            ("coap://a/.b/.../c..?..", Security::None, "a", 5683, ".b/.../c..", Some("..")),
        ] {
            let got = Url::parse(url).unwrap();
            assert_eq!(
                (got.security, got.host, got.port, got.path, got.query),
                (security, host, port, path.as_bytes(), query.map(str::as_bytes)),
                "{url}"
            );
            assert_eq!(got.literal, host.starts_with("10.") || host.contains("::"), "{url}");
        }
        for (url, error) in [
            ("http://a/x", UrlError::Scheme),
            ("coap+tcp://a/x", UrlError::Scheme),
            ("/x", UrlError::Scheme),
            ("", UrlError::Scheme),
            ("coap:///x", UrlError::Host),
            ("coap://:1", UrlError::Host),
            ("coap://a::", UrlError::Host),
            ("coap://a:0", UrlError::Host),
            ("coap://a:+1", UrlError::Host),
            ("coap://a:65536", UrlError::Host),
            ("coap://me@a/x", UrlError::Host),
            ("coap://a%41/x", UrlError::Host),
            ("coap://[::1/x", UrlError::Host),
            ("coap://[::1]x/x", UrlError::Host),
            ("coap://[fe80::1%25e]/x", UrlError::Host),
            ("coap://a/x#y", UrlError::Character),
            ("coap://a/x/../y", UrlError::Character),
            ("coap://a/.", UrlError::Character),
            ("coap://a/%2e%2E/y", UrlError::Character),
            ("coap://a/x/.%2e?z", UrlError::Character),
            ("coap://a/x y", UrlError::Character),
            ("coap://a/%4", UrlError::Character),
            ("coap://a/%zz", UrlError::Character),
            ("coap://a/\u{e4}", UrlError::Character),
        ] {
            assert_eq!(Url::parse(url), Err(error), "{url}");
        }
    }
}
