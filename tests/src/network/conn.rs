//! A connection: packets on their way.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

use super::web::Then;
use super::{Network, Record};

/// A connection of a [`Network`].
pub struct Conn<'n> {
    network: &'n Network,
    opened: Duration,
    /// What the server has got since its last answer, and has yet to send.
    request: Vec<u8>,
    answer: VecDeque<u8>,
    then: Then,
    packets: VecDeque<Packet>,
    /// When the last packet on its way is there.
    busy: Duration,
    /// How many bytes come before the reset.
    left: usize,
}

struct Packet {
    due: Duration,
    bytes: VecDeque<u8>,
}

/// What comes at once.
const PACKET: usize = 512;

impl<'n> Conn<'n> {
    pub(super) fn new(network: &'n Network, left: usize) -> Self {
        Self {
            network,
            opened: network.time.now(),
            request: Vec::new(),
            answer: VecDeque::new(),
            then: Then::Keep,
            packets: VecDeque::new(),
            busy: Duration::ZERO,
            left,
        }
    }

    fn record(&self) -> core::cell::RefMut<'n, Record> {
        self.network.record.borrow_mut()
    }

    /// The server sends what there is room for.
    fn fill(&mut self) {
        let link = &self.network.link;
        let earliest = self.network.time.now() + link.round_trip;
        loop {
            let unread: usize = self.packets.iter().map(|packet| packet.bytes.len()).sum();
            let count = self.answer.len().min(PACKET).min(self.left);
            if count == 0 || !self.packets.is_empty() && unread + count > link.window {
                return;
            }
            self.left -= count;
            self.busy = self.busy.max(earliest) + link.time_of(count);
            if self.network.random.borrow_mut().u32(0..1000) < link.lost {
                self.busy += link.retransmission;
                self.record().lost += 1;
            }
            let bytes = self.answer.drain(..count).collect();
            self.packets.push_back(Packet { due: self.busy, bytes });
        }
    }

    /// Waits for a time, or for what comes before it: the reset of all connections.
    async fn until(&self, due: Duration) -> Result<(), ErrorKind> {
        let time = &self.network.time;
        let outage = self.network.outage(self.opened, due.max(time.now()));
        time.sleep(outage.unwrap_or(due).saturating_sub(time.now())).await;
        if outage.is_some() { Err(self.network.failed(ErrorKind::ConnectionReset)) } else { Ok(()) }
    }

    /// What comes behind the last byte.
    async fn end(&self) -> Result<usize, ErrorKind> {
        let (network, now) = (self.network, self.network.time.now());
        let then = if self.left == 0 { Then::Reset } else { self.then };
        match then {
            Then::Keep => {
                self.until(now + network.link.timeout).await?;
                Err(network.failed(ErrorKind::TimedOut))
            }
            Then::Close => Ok(0),
            Then::Reset => Err(network.failed(ErrorKind::ConnectionReset)),
        }
    }
}

impl ErrorType for Conn<'_> {
    type Error = ErrorKind;
}

impl Read for Conn<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        let Some(packet) = self.packets.front() else { return self.end().await };
        self.until(packet.due).await?;
        let mut count = 0;
        let now = self.network.time.now();
        let most = buf.len().min(self.network.link.piece);
        while let Some(packet) = self.packets.front_mut().filter(|packet| packet.due <= now && count < most) {
            let part = packet.bytes.len().min(most - count);
            for (to, from) in buf[count..].iter_mut().zip(packet.bytes.drain(..part)) {
                *to = from;
            }
            count += part;
            if packet.bytes.is_empty() {
                self.packets.pop_front();
            }
        }
        {
            let mut record = self.record();
            record.given += count;
            record.reads += 1;
        }
        self.fill();
        Ok(count)
    }
}

impl Write for Conn<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.until(self.network.time.now()).await?;
        let bytes = &bytes[..bytes.len().min(self.network.link.piece)];
        self.record().taken += bytes.len();
        self.request.extend(bytes);
        let answer = (self.network.serve.borrow_mut())(&self.request);
        if let Some(answer) = answer {
            self.request.clear();
            if self.then == Then::Keep {
                self.answer.extend(answer.bytes);
                self.then = answer.then;
            }
            self.fill();
        }
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl fmt::Debug for Conn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("opened", &self.opened).finish_non_exhaustive()
    }
}
