//! Events as bytes.

use crate::event::{ABOUT, ERRORS, Event, FLASH_ERRORS, Geometry, VERSION};
use crate::read::TraceError;
use crate::sink::MAX_EVENT;

pub(crate) const START: u8 = b'D';
pub(crate) const MAGIC: &[u8] = b"FUT";
/// The most bytes of [`Event::Data`], and of a host's name.
pub(crate) const DATA: usize = 64;

/// One event's bytes.
pub(crate) struct Line {
    bytes: [u8; MAX_EVENT],
    len: usize,
}

impl Line {
    pub(crate) fn of(event: &Event<'_>) -> Self {
        let mut line = Self { bytes: [0; MAX_EVENT], len: 0 };
        match *event {
            Event::Start(geometry) => {
                line.raw(&[START]).raw(MAGIC).raw(&[VERSION]).number(geometry.write).number(geometry.erase);
                line.number(geometry.read).number(geometry.capacity)
            }
            Event::Read { at, len } => line.raw(&[0x01]).number(at).number(len),
            Event::Write { at, len, sum } => line.raw(&[0x02]).number(at).number(len).sum(sum),
            Event::Erase { at, len } => line.raw(&[0x03]).number(at).number(len),
            Event::Fetched { sum } => line.raw(&[0x04]).sum(sum),
            Event::Done => line.raw(&[0x05]),
            Event::Failed(kind) => line.raw(&[0x06, place(&FLASH_ERRORS, kind)]),
            Event::Open { tls, port, host } => {
                line.raw(&[0x11, u8::from(tls)]).number(port.into());
                line.string(host)
            }
            Event::Send { len, sum } => line.raw(&[0x12]).number(len).sum(sum),
            Event::Flush => line.raw(&[0x13]),
            Event::Receive { len } => line.raw(&[0x14]).number(len),
            Event::Ready => line.raw(&[0x15]),
            Event::Sent { len } => line.raw(&[0x16]).number(len),
            Event::Received { len, sum } => line.raw(&[0x17]).number(len).sum(sum),
            Event::Broken { kind, about } => line.raw(&[0x18, place(&ERRORS, kind), place(&ABOUT, about)]),
            Event::Close => line.raw(&[0x19]),
            Event::Data(bytes) => line.raw(&[0x21]).string(bytes),
            Event::Mark(number) => line.raw(&[0x22]).number(number),
            Event::Lost(events) => line.raw(&[0x23]).number(events),
        };
        line
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        let room = self.bytes.get_mut(self.len..).unwrap_or(&mut []);
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
            self.len = self.len.saturating_add(1);
        }
        self
    }

    fn number(&mut self, mut number: u32) -> &mut Self {
        while number > 0x7f {
            self.raw(&[number as u8 | 0x80]);
            number >>= 7;
        }
        self.raw(&[number as u8])
    }

    fn sum(&mut self, sum: u32) -> &mut Self {
        self.raw(&sum.to_le_bytes())
    }

    fn string(&mut self, bytes: &[u8]) -> &mut Self {
        let bytes = bytes.get(..DATA).unwrap_or(bytes);
        self.raw(&[bytes.len() as u8]).raw(bytes)
    }
}

fn place<T: PartialEq>(list: &[T], item: T) -> u8 {
    list.iter().position(|other| *other == item).unwrap_or(0) as u8
}

/// Takes events off the front of a trace.
pub(crate) struct Cursor<'t> {
    pub(crate) bytes: &'t [u8],
    pub(crate) at: usize,
}

impl<'t> Cursor<'t> {
    pub(crate) fn event(&mut self) -> Result<Event<'t>, TraceError> {
        let from = self.at;
        let malformed = TraceError::Malformed { at: from };
        Ok(match self.byte()? {
            START => {
                if self.take(MAGIC.len())? != MAGIC {
                    return Err(malformed);
                }
                match self.byte()? {
                    VERSION => {}
                    version => return Err(TraceError::Version(version)),
                }
                let [write, erase, read, capacity] = [self.number()?, self.number()?, self.number()?, self.number()?];
                Event::Start(Geometry { write, erase, read, capacity })
            }
            0x01 => Event::Read { at: self.number()?, len: self.number()? },
            0x02 => Event::Write { at: self.number()?, len: self.number()?, sum: self.sum()? },
            0x03 => Event::Erase { at: self.number()?, len: self.number()? },
            0x04 => Event::Fetched { sum: self.sum()? },
            0x05 => Event::Done,
            0x06 => Event::Failed(self.of(&FLASH_ERRORS, malformed)?),
            0x11 => {
                let tls = self.of(&[false, true], malformed)?;
                let port = u16::try_from(self.number()?).map_err(|_| malformed)?;
                Event::Open { tls, port, host: self.string(malformed)? }
            }
            0x12 => Event::Send { len: self.number()?, sum: self.sum()? },
            0x13 => Event::Flush,
            0x14 => Event::Receive { len: self.number()? },
            0x15 => Event::Ready,
            0x16 => Event::Sent { len: self.number()? },
            0x17 => Event::Received { len: self.number()?, sum: self.sum()? },
            0x18 => Event::Broken { kind: self.of(&ERRORS, malformed)?, about: self.of(&ABOUT, malformed)? },
            0x19 => Event::Close,
            0x21 => Event::Data(self.string(malformed)?),
            0x22 => Event::Mark(self.number()?),
            0x23 => Event::Lost(self.number()?),
            _ => return Err(malformed),
        })
    }

    fn take(&mut self, count: usize) -> Result<&'t [u8], TraceError> {
        let truncated = TraceError::Truncated { at: self.bytes.len() };
        let end = self.at.checked_add(count).ok_or(truncated)?;
        let bytes = self.bytes.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, TraceError> {
        Ok(self.take(1)?.first().copied().unwrap_or(0))
    }

    fn number(&mut self) -> Result<u32, TraceError> {
        let from = self.at;
        let mut number = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).map_err(|_| TraceError::Malformed { at: from });
            }
        }
        Err(TraceError::Malformed { at: from })
    }

    fn sum(&mut self) -> Result<u32, TraceError> {
        Ok(self.take(4)?.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    fn string(&mut self, malformed: TraceError) -> Result<&'t [u8], TraceError> {
        match usize::from(self.byte()?) {
            count if count <= DATA => self.take(count),
            _ => Err(malformed),
        }
    }

    fn of<T: Copy>(&mut self, list: &[T], malformed: TraceError) -> Result<T, TraceError> {
        list.get(usize::from(self.byte()?)).copied().ok_or(malformed)
    }
}
