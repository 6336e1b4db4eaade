//! Where to send a request, and what it says.

use super::{Exchange, Next};
use crate::http::text::{decimal, part, until};
use crate::http::url::{self, UrlError};
use crate::http::{Fault, MAX_VALIDATOR};

impl Exchange<'_> {
    /// Goes to the caller's URL.
    pub(super) fn go_to_start(&mut self) -> Result<(), UrlError> {
        self.work = MAX_VALIDATOR;
        self.end = MAX_VALIDATOR;
        self.put(self.url.as_bytes());
        if self.end > self.buf.len() {
            return Err(UrlError::TooLong);
        }
        self.go(MAX_VALIDATOR, self.end)
    }

    /// Goes to the address that this part of the buffer names.
    #[inline(never)]
    pub(super) fn go(&mut self, from: usize, end: usize) -> Result<(), UrlError> {
        let url = part(self.buf, from, end);
        let url = part(url, 0, until(url, b'#', b'#'));
        let (kept, left_out) = url::reference(url, self.address())?;
        let end = from.wrapping_add(url.len());
        self.end = MAX_VALIDATOR.wrapping_add(kept);
        self.copy(from.wrapping_add(left_out), end);
        self.work = self.end;
        self.host.clear();
        self.port = url::server(part(self.buf, MAX_VALIDATOR, self.work), &mut self.host)?;
        Ok(())
    }

    /// Host and port to connect to.
    pub(in crate::http) fn server(&self) -> (&str, u16) {
        (&self.host, self.port)
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
        if self.from != 0 {
            self.put(b"\r\nRange: bytes=");
            self.put(decimal(self.from, &mut [0; 10]));
            self.put(b"-");
            if self.validator != 0 {
                self.put(b"\r\nIf-Range: ");
                self.copy(0, self.validator);
            }
        }
        self.put(b"\r\n\r\n");
        if self.end > self.buf.len() { self.fail(Fault::RequestTooLong) } else { Some(Next::Send) }
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
