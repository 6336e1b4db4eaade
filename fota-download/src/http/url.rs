//! Addresses: the caller's URL and where a redirect leads.

use core::fmt;

use super::text::{begins, number, part, prefix, until};

/// Why a URL can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with `http://` or `https://`, or is relative to an address that has no path.
    Scheme,
    /// It begins with `https://`, and the connector has no TLS.
    Https,
    /// It begins with `http://`, and the redirect to it came over TLS.
    Downgrade,
    /// It has no host, a host over [`MAX_HOST`] bytes, a user name, or a port that is no number.
    Host,
    /// A space, a control character or one outside ASCII is in it.
    Character,
    /// It doesn't fit the buffer.
    TooLong,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the URL does not begin with http:// or https://",
            Self::Https => "the URL needs TLS",
            Self::Downgrade => "the URL is without TLS",
            Self::Host => "the URL's host or port can't be used",
            Self::Character => "the URL has a character that must be escaped",
            Self::TooLong => "the URL is too long for the buffer",
        })
    }
}

impl core::error::Error for UrlError {}

/// The longest host name, in bytes.
pub const MAX_HOST: usize = 100;

pub(super) type Host = heapless::String<MAX_HOST>;

/// Takes a URL, or a reference that was found at `base` (`host:port/path?query`, over TLS or not), apart: how much of
/// the base stays, and how much of the front of `url` is left out after it. Changes `tls` where the URL says so.
pub(super) fn reference(url: &[u8], base: &[u8], tls: &mut bool) -> Result<(usize, usize), UrlError> {
    if !url.iter().all(u8::is_ascii_graphic) {
        return Err(UrlError::Character);
    }
    let host = authority(base);
    // A colon of the query ends no scheme.
    let start = part(url, 0, until(url, b'/', b'?'));
    let absolute = until(start, b':', b':') < start.len();
    let path = part(base, 0, until(base, b'?', b'?'));
    match url {
        _ if begins(url, const { prefix(b"https://") }) => {
            *tls = true;
            Ok((0, 8))
        }
        _ if begins(url, const { prefix(b"http://") }) => {
            if *tls {
                Err(UrlError::Downgrade)
            } else {
                Ok((0, 7))
            }
        }
        _ if absolute || host == 0 || url.is_empty() => Err(UrlError::Scheme),
        [b'/', b'/', ..] => Ok((0, 2)),
        [b'/', ..] => Ok((host, 0)),
        [b'?', ..] => Ok((path.len(), 0)),
        _ => {
            let name = path.iter().rev().take_while(|byte| **byte != b'/').count();
            match path.len().wrapping_sub(name) {
                0 => Err(UrlError::Scheme),
                kept => Ok((kept, 0)),
            }
        }
    }
}

/// The length of the part of an address that names the server, as the `Host` field wants it.
pub(super) fn authority(address: &[u8]) -> usize {
    until(address, b'/', b'?')
}

/// Puts the host of an address into `host`; returns the port.
pub(super) fn server(address: &[u8], tls: bool, host: &mut Host) -> Result<u16, UrlError> {
    let mut literal = false;
    let mut rest = part(address, 0, authority(address));
    let mut port = if tls { 443 } else { 80 };
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'[' if host.is_empty() => literal = true,
            b']' if literal && matches!(rest, [] | [b':', ..]) => literal = false,
            // None is named behind it: the usual one (RFC 3986, 3.2.3).
            b':' if !literal && rest.is_empty() => {}
            b':' if !literal => {
                port = number(&mut rest).unwrap_or(0);
                break;
            }
            b'@' => return Err(UrlError::Host),
            // All of it is ASCII.
            byte => host.push(char::from(byte & 0x7f)).map_err(|_| UrlError::Host)?,
        }
    }
    match u16::try_from(port) {
        Ok(port @ 1..) if !host.is_empty() && !literal && rest.is_empty() => Ok(port),
        _ => Err(UrlError::Host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn taken_apart(url: &str, base: &str) -> Result<String, UrlError> {
        reference(url.as_bytes(), base.as_bytes(), &mut false)
            .map(|(kept, left_out)| [&base[..kept], &url[left_out..]].concat())
    }

    #[test]
    fn references_replace_what_they_should() {
        let base = "a.example:81/fw/v1/app.bin?key=a/b";
        for (url, address) in [
            ("http://b.example/x", "b.example/x"),
            ("HTTP://b.example:8080", "b.example:8080"),
            ("//b.example/x", "b.example/x"),
            ("/x/y?z", "a.example:81/x/y?z"),
            ("new.bin", "a.example:81/fw/v1/new.bin"),
            ("?key=c", "a.example:81/fw/v1/app.bin?key=c"),
            ("HTTPS://b.example", "b.example"),
            ("d/new.bin?t=1:2", "a.example:81/fw/v1/d/new.bin?t=1:2"),
            ("new.bin?t=1:2", "a.example:81/fw/v1/new.bin?t=1:2"),
            ("?t=http://b", "a.example:81/fw/v1/app.bin?t=http://b"),
        ] {
            assert_eq!(taken_apart(url, base).as_deref(), Ok(address), "{url}");
        }
        for (url, error) in [
            ("https:/b.example/x", UrlError::Scheme),
            ("ftp://b.example/x", UrlError::Scheme),
            ("new:bin?x", UrlError::Scheme),
            ("", UrlError::Scheme),
            ("/a b", UrlError::Character),
            ("/a\r\nX: y", UrlError::Character),
            ("/\u{e4}", UrlError::Character),
        ] {
            assert_eq!(taken_apart(url, base), Err(error), "{url}");
        }
    }

    #[test]
    fn without_a_base_only_a_whole_url_will_do() {
        for url in ["a.example/x", "/x", "//a.example/x", "x", "http:/a"] {
            assert_eq!(taken_apart(url, ""), Err(UrlError::Scheme), "{url}");
        }
        assert_eq!(taken_apart("http://a.example/x", "").as_deref(), Ok("a.example/x"));
        assert_eq!(taken_apart("x", "a.example?y=/z"), Err(UrlError::Scheme));
    }

    #[test]
    fn tls_is_kept_and_never_left() {
        for (url, before, after) in [
            ("http://a/x", false, Ok(false)),
            ("https://a/x", false, Ok(true)),
            ("https://a/x", true, Ok(true)),
            ("http://a/x", true, Err(UrlError::Downgrade)),
            ("//b/x", true, Ok(true)),
            ("/x", true, Ok(true)),
            ("x", false, Ok(false)),
        ] {
            let mut tls = before;
            let outcome = reference(url.as_bytes(), b"a.example/x", &mut tls).map(|_| tls);
            assert_eq!(outcome, after, "{url} {before}");
        }
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        let server = |address: &str| {
            let mut host = Host::new();
            server(address.as_bytes(), false, &mut host).map(|port| (String::from(host.as_str()), port))
        };
        for (address, host, port) in [
            ("a.example/x:1", "a.example", 80),
            ("a.example:8080", "a.example", 8080),
            ("a.example:/x", "a.example", 80),
            ("[::1]:", "::1", 80),
            ("10.0.0.1:65535?q", "10.0.0.1", 65535),
            ("[2001:db8::1]/x", "2001:db8::1", 80),
            ("[::1]:8080/x", "::1", 8080),
        ] {
            assert_eq!(server(address), Ok((host.into(), port)), "{address}");
        }
        let long: Vec<u8> = std::iter::repeat_n(b'a', MAX_HOST + 1).collect();
        for address in [
            "",
            "/x",
            ":80",
            ":",
            "a::",
            "a:0",
            "a:65536",
            "a:80b",
            "a:b",
            "me@a",
            "me:pw@a",
            "[::1",
            "[::1]x",
            "[::1]x:80",
            core::str::from_utf8(&long).unwrap(),
        ] {
            assert_eq!(server(address), Err(UrlError::Host), "{address}");
        }
    }
}
