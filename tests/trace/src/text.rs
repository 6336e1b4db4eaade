//! Events as people read them.

use core::fmt;

use crate::event::{About, Event};

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Start(of) => write!(
                f,
                "start; a flash of {:#x} bytes, erased by {:#x}, written by {}, read by {}",
                of.capacity, of.erase, of.write, of.read
            ),
            Self::Read { at, len } => write!(f, "read {at:#08x}, {len} bytes"),
            Self::Write { at, len, sum } => write!(f, "write {at:#08x}, {len} bytes, sum {sum:08x}"),
            Self::Erase { at, len } => write!(f, "erase {at:#08x}, {len:#x} bytes"),
            Self::Fetched { sum } => write!(f, "read, sum {sum:08x}"),
            Self::Done => f.write_str("done"),
            Self::Failed(kind) => write!(f, "failed: {kind:?}"),
            Self::Open { tls, port, host } => {
                write!(f, "connect {}:{port}", host.escape_ascii())?;
                f.write_str(if tls { " with TLS" } else { "" })
            }
            Self::Send { len, sum } => write!(f, "send {len} bytes, sum {sum:08x}"),
            Self::Flush => f.write_str("flush"),
            Self::Receive { len } => write!(f, "receive up to {len} bytes"),
            Self::Ready => f.write_str("ready"),
            Self::Sent { len } => write!(f, "sent {len} bytes"),
            Self::Received { len: 0, .. } => f.write_str("the peer has closed"),
            Self::Received { len, sum } => write!(f, "received {len} bytes, sum {sum:08x}"),
            Self::Broken { kind, about } => write!(
                f,
                "failed: {kind:?}{}",
                match about {
                    About::Network => "",
                    About::Tls => ", by TLS",
                    About::TooBig => ", a record too long",
                }
            ),
            Self::Close => f.write_str("close"),
            Self::Data(bytes) => write!(f, "{} bytes of that", bytes.len()),
            Self::Mark(number) => write!(f, "mark {number}"),
            Self::Lost(events) => write!(f, "{events} events were lost here"),
        }
    }
}
