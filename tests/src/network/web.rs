//! Answers of a web server.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What a server sends, and what its connection does then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What comes behind them.
    pub then: Then,
}

/// What becomes of a connection behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It stays open.
    Keep,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

impl Answer {
    /// Behind these bytes the connection stays open.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), then: Then::Keep }
    }

    /// What becomes of the connection.
    #[must_use]
    pub fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }
}

/// A file on a server that knows ranges and `If-Range`.
pub fn file(bytes: &[u8], etag: &str) -> impl FnMut(&[u8]) -> Option<Answer> + use<> {
    let (bytes, etag) = (bytes.to_vec(), etag.as_bytes().to_vec());
    move |request| request.ends_with(b"\r\n\r\n").then(|| range(request, &bytes, &etag))
}

/// What such a server answers to a request.
pub fn range(request: &[u8], file: &[u8], etag: &[u8]) -> Answer {
    let request = core::str::from_utf8(request).unwrap_or("");
    let field = |name: &str| request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let known = field("If-Range").is_none_or(|known| known.as_bytes() == etag);
    let wanted = field("Range").filter(|_| known).and_then(|range| {
        let (from, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse::<usize>().ok()?, last.parse().unwrap_or(usize::MAX)))
    });
    let len = file.len();
    let (status, range, body) = match wanted {
        None => ("200 OK", String::new(), file),
        Some((from, last)) if from < len => {
            let last = last.min(len - 1).max(from);
            ("206 Partial Content", format!("Content-Range: bytes {from}-{last}/{len}\r\n"), &file[from..=last])
        }
        Some(_) => ("416 Range Not Satisfiable", format!("Content-Range: bytes */{len}\r\n"), &[][..]),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{range}ETag: ", body.len());
    Answer::new([head.as_bytes(), etag, b"\r\n\r\n", body].concat())
}
