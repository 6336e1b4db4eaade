//! Where to send a request, and what it says.

use super::{Exchange, Next};
use crate::connect::Server;
use crate::http::text::{decimal, part, until};
use crate::http::url::{self, UrlError};
use crate::http::{Fault, MAX_VALIDATOR};

impl Exchange<'_> {
    /// Goes to the caller's URL.
    pub(super) fn go_to_start(&mut self) -> Option<Next> {
        let led = self.lead_to_start();
        self.went(led)
    }

    /// Goes to the address that this part of the buffer names.
    pub(super) fn go(&mut self, from: usize, end: usize) -> Option<Next> {
        let led = self.lead(from, end);
        self.went(led)
    }

    fn went(&mut self, led: Result<(), UrlError>) -> Option<Next> {
        match led {
            Ok(()) => Some(Next::Connect),
            Err(error) => self.fail(Fault::Redirect(error)),
        }
    }

    #[inline(never)]
    pub(super) fn lead_to_start(&mut self) -> Result<(), UrlError> {
        self.tls = false;
        self.work = MAX_VALIDATOR;
        self.end = MAX_VALIDATOR;
        self.put(self.url.as_bytes());
        if self.end > self.buf.len() {
            return Err(UrlError::TooLong);
        }
        self.lead(MAX_VALIDATOR, self.end)
    }

    #[inline(never)]
    fn lead(&mut self, from: usize, end: usize) -> Result<(), UrlError> {
        let url = part(self.buf, from, end);
        let url = part(url, 0, until(url, b'#', b'#'));
        let mut tls = self.tls;
        let (kept, left_out) = url::reference(url, self.address(), &mut tls)?;
        if tls && !self.has_tls {
            return Err(UrlError::Https);
        }
        let end = from.wrapping_add(url.len());
        let mut at = from.wrapping_add(left_out);
        self.end = MAX_VALIDATOR.wrapping_add(kept);
        if kept == 0 {
            let path = at.wrapping_add(url::authority(part(self.buf, at, end)));
            self.copy(at, path);
            at = path;
        }
        let query = at.wrapping_add(until(part(self.buf, at, end), b'?', b'?'));
        while at < query {
            let path = part(self.buf, at, query);
            let next = at.wrapping_add(until(path, b'/', b'/')).wrapping_add(1).min(query);
            match part(self.buf, at, next) {
                b"." | b"./" => {}
                b".." | b"../" => self.go_up(),
                _ => self.copy(at, next),
            }
            at = next;
        }
        self.copy(query, end);
        self.work = self.end;
        self.tls = tls;
        self.host.clear();
        self.port = url::server(part(self.buf, MAX_VALIDATOR, self.work), tls, &mut self.host)?;
        Ok(())
    }

    /// Takes the last folder off the address that is being written.
    fn go_up(&mut self) {
        let root = MAX_VALIDATOR.wrapping_add(url::authority(part(self.buf, MAX_VALIDATOR, self.end)));
        self.end = self.end.wrapping_sub(1);
        while self.end > root && self.buf.get(self.end.wrapping_sub(1)) != Some(&b'/') {
            self.end = self.end.wrapping_sub(1);
        }
        self.end = self.end.max(root.wrapping_add(1));
    }

    /// The server to connect to.
    pub(in crate::http) fn server(&self) -> Server<'_> {
        Server { host: &self.host, port: self.port, tls: self.tls }
    }

    /// `host:port/path?query`.
    fn address(&self) -> &[u8] {
        part(self.buf, MAX_VALIDATOR, self.work)
    }

    /// What is to be sent.
    pub(in crate::http) fn request(&self) -> &[u8] {
        part(self.buf, self.at, self.end)
    }

    /// Writes the request.
    #[inline(never)]
    pub(super) fn ask(&mut self) -> Option<Next> {
        let host = MAX_VALIDATOR.wrapping_add(url::authority(self.address()));
        let path = host.wrapping_add(usize::from(self.buf.get(host) == Some(&b'/')));
        self.at = self.work;
        self.end = self.work;
        self.put(b"GET /");
        self.copy(path, self.work);
        self.put(b" HTTP/1.1\r\nAccept-Encoding: identity\r\nHost: ");
        self.copy(MAX_VALIDATOR, host);
        let piece = self.piece();
        if self.from != 0 || piece != 0 {
            self.put(b"\r\nRange: bytes=");
            self.put(decimal(self.from, &mut [0; 10]));
            self.put(b"-");
            if piece != 0 {
                // Without `If-Range`: all of another version would be too long.
                self.put(decimal(self.from.saturating_add(piece).wrapping_sub(1), &mut [0; 10]));
            } else if self.validator != 0 {
                self.put(b"\r\nIf-Range: ");
                self.copy(0, self.validator);
            }
        }
        if self.is_at_first_server() {
            for (name, value) in self.fields {
                let name_is_good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
                if !name_is_good || value.bytes().any(|byte| byte.is_ascii_control()) {
                    return self.fail(Fault::Field);
                }
                for text in ["\r\n", name, ": ", value] {
                    self.put(text.as_bytes());
                }
            }
        }
        self.put(b"\r\n\r\n");
        if self.end > self.buf.len() { self.fail(Fault::RequestTooLong) } else { Some(Next::Send) }
    }

    /// Whether the address has the host and port of the caller's URL.
    fn is_at_first_server(&self) -> bool {
        let (url, host) = (self.url.as_bytes(), self.host.as_bytes());
        let mut start = until(url, b'/', b'/').wrapping_add(2);
        let literal = url.get(start) == Some(&b'[');
        start = start.wrapping_add(usize::from(literal));
        let end = start.wrapping_add(host.len());
        let ends = match url.get(end) {
            Some(b']') => literal,
            None | Some(b':' | b'/' | b'?' | b'#') => !literal,
            _ => false,
        };
        ends && self.port == self.first_port && part(url, start, end).eq_ignore_ascii_case(host)
    }

    /// Writes to `end`, which is behind the buffer if it does not fit.
    #[inline(never)]
    fn put(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(place) = self.buf.get_mut(self.end) {
                *place = *byte;
            }
            self.end = self.end.wrapping_add(1);
        }
    }

    /// Writes a part of the buffer to `end`, which lies before it or apart from it.
    #[inline(never)]
    pub(super) fn copy(&mut self, from: usize, end: usize) {
        for at in from..end {
            let byte = self.buf.get(at).copied().unwrap_or_default();
            self.put(&[byte]);
        }
    }
}
