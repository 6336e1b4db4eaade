//! The network of a replay.

use alloc::vec::Vec;
use core::fmt;

use dfu_trace::{About, Event, sum};
use embedded_io_async::{Error, ErrorKind, ErrorType, Read, Write};
use fota_download::connect::{Connect, Failure, Server};

use super::{Channel, Operation, Replay};

/// A connector whose connections give what the device's gave, in the same pieces, and fail where those did.
#[derive(Clone, Debug)]
pub struct ReplayNet<'t>(pub(super) Replay<'t>);

/// A connection of [`ReplayNet`].
#[derive(Debug)]
pub struct ReplayConn<'t> {
    replay: Replay<'t>,
    /// What came and had no room.
    rest: Vec<u8>,
}

/// The error that the device met, or that the trace has no such operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    kind: ErrorKind,
    about: About,
}

/// The trace has no such operation.
const BEYOND: Replayed = Replayed { kind: ErrorKind::ConnectionAborted, about: About::Network };

impl<'t> Connect for ReplayNet<'t> {
    type Error = Replayed;
    type Conn<'c>
        = ReplayConn<'t>
    where
        Self: 'c;
    const TLS: bool = true;

    async fn connect<'c>(&'c self, server: Server<'_>) -> Result<ReplayConn<'t>, Replayed> {
        let host = server.host.as_bytes();
        let asked = Event::Open { tls: server.tls, port: server.port, host: host.get(..64).unwrap_or(host) };
        let operation = find(&self.0, asked, |next| matches!(next, Event::Open { .. }));
        let came = operation.as_ref().map(|operation| operation.came);
        self.0.turn(Channel::Network, operation.as_ref()).await;
        match came.flatten() {
            Some(Event::Ready) => Ok(ReplayConn { replay: self.0.clone(), rest: Vec::new() }),
            came => Err(error(came)),
        }
    }

    fn failure(error: &Replayed) -> Failure {
        match error.about {
            About::Network => Failure::Network,
            About::Tls => Failure::Tls,
            About::TooBig => Failure::TooBig,
        }
    }
}

impl ErrorType for ReplayConn<'_> {
    type Error = Replayed;
}

impl Read for ReplayConn<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Replayed> {
        if self.rest.is_empty() {
            let asked = Event::Receive { len: buf.len() as u32 };
            let operation = find(&self.replay, asked, |next| matches!(next, Event::Receive { .. }));
            self.replay.turn(Channel::Network, operation.as_ref()).await;
            match operation {
                Some(Operation { came: Some(Event::Received { .. }), got, .. }) => self.rest = got,
                operation => return Err(error(operation.and_then(|operation| operation.came))),
            }
        }
        let count = buf.len().min(self.rest.len());
        buf[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

impl Write for ReplayConn<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Replayed> {
        let asked = Event::Send { len: bytes.len() as u32, sum: sum(bytes) };
        let operation = find(&self.replay, asked, |next| matches!(next, Event::Send { .. }));
        self.replay.turn(Channel::Network, operation.as_ref()).await;
        match operation.and_then(|operation| operation.came) {
            Some(Event::Sent { len }) => Ok(bytes.len().min(len as usize)),
            came => Err(error(came)),
        }
    }

    async fn flush(&mut self) -> Result<(), Replayed> {
        let operation = find(&self.replay, Event::Flush, |next| *next == Event::Flush);
        self.replay.turn(Channel::Network, operation.as_ref()).await;
        match operation.and_then(|operation| operation.came) {
            Some(Event::Ready) => Ok(()),
            came => Err(error(came)),
        }
    }
}

/// The device's next operation of this sort, on the same connection. One of another sort is a divergence, and passed by.
fn find<'t>(replay: &Replay<'t>, asked: Event<'_>, is: impl Fn(&Event<'_>) -> bool) -> Option<Operation<'t>> {
    replay.compare(replay.next(Channel::Network).as_ref(), asked);
    let opens = matches!(asked, Event::Open { .. });
    while let Some(next) = replay.next(Channel::Network) {
        if is(&next.asked) {
            return replay.take(Channel::Network);
        }
        if matches!(next.asked, Event::Open { .. }) && !opens {
            return None;
        }
        let _ = replay.take(Channel::Network);
    }
    None
}

fn error(came: Option<Event<'_>>) -> Replayed {
    match came {
        Some(Event::Broken { kind, about }) => Replayed { kind, about },
        _ => BEYOND,
    }
}

impl Error for Replayed {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "as it was on the device: {}", Event::Broken { kind: self.kind, about: self.about })
    }
}

impl core::error::Error for Replayed {}
