//! What is offered to the modem.

use anyhow::bail;
use dfu_target::Digest;
use dfu_target::digest::{Sha256, SoftSha256};
use dfu_target::image::{ImageKind, sniff};
use dfu_target_nrf_modem::port::Uuid;
use dfu_target_nrf_modem::{Wrapper, WrapperError};
use dfu_testkit::modem::DeltaHeader;

use crate::notation::show_uuid;

/// An update, by its first bytes. The rest is for the library and the modem to judge.
pub(super) struct UpdateFile {
    pub(super) bytes: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) digest: Digest,
}

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Delta,
    Full,
}

impl UpdateFile {
    pub(super) fn read(bytes: Vec<u8>) -> anyhow::Result<Self> {
        let kind = match sniff(&bytes) {
            Some(ImageKind::ModemDelta) => Kind::Delta,
            Some(ImageKind::ModemFull) => Kind::Full,
            Some(ImageKind::Mcuboot) => bail!("an application image, not for the modem"),
            _ if bytes.is_empty() => bail!("the file is empty"),
            _ if bytes.trim_ascii_start().starts_with(b"<") => {
                bail!("a page of HTML or XML: a server may have sent it in the place of the update")
            }
            _ if bytes.starts_with(b"PK\x03\x04") => bail!("a zip: the update is one of the files in it"),
            _ => bail!("neither a delta nor a full update for the modem"),
        };
        let mut engine = SoftSha256::default();
        engine.start();
        engine.update(&bytes);
        Ok(Self { digest: engine.finish(), bytes, kind })
    }

    /// What a new modem runs: what was asked for, what a delta of the test kit's is for, or something older.
    pub(super) fn base(&self, asked: Option<[u8; 16]>) -> String {
        let named = || self.header().map(|header| header.from.to_string());
        asked.map(|uuid| show_uuid(&uuid)).or_else(named).unwrap_or_else(|| OLDER.to_owned())
    }

    /// The firmware that it makes, where the test kit made it.
    pub(super) fn makes(&self) -> Option<Uuid> {
        match self.kind {
            Kind::Delta => self.header().map(|header| header.to),
            Kind::Full => {
                let wrapper = Wrapper::parse(&self.bytes).ok()?;
                let before = wrapper.segments().take_while(|segment| segment.address != HEADER_BLOCK);
                let at = wrapper.len() as usize + before.map(|segment| segment.len as usize).sum::<usize>();
                let name = Uuid(*self.bytes.get(at..)?.first_chunk()?);
                name.0.iter().all(u8::is_ascii_graphic).then_some(name)
            }
        }
    }

    /// A better reason than the library or the modem can give, who do not see where a file ends.
    pub(super) fn flaw(&self) -> Option<String> {
        let len = self.bytes.len();
        match (self.kind, self.header()) {
            (Kind::Full, _) if Wrapper::parse(&self.bytes) == Err(WrapperError::Truncated) => {
                Some("the file ends amid its wrapper".to_owned())
            }
            (Kind::Delta, None) if len < DeltaHeader::LEN => Some("the file ends amid its header".to_owned()),
            (Kind::Delta, Some(header)) if header.len as usize != len => {
                Some(format!("the file has {len} bytes, and its header tells of {}", header.len))
            }
            _ => None,
        }
    }

    /// What there is to add where the modem refuses it: the fake one knows nobody's keys but the test kit's.
    pub(super) fn hint(&self) -> &'static str {
        match self.kind {
            Kind::Delta if self.header().is_none() => "; the fake modem reads deltas of the test kit alone",
            Kind::Full if self.makes().is_none() => "; the fake modem runs firmware of the test kit alone",
            _ => "",
        }
    }

    fn header(&self) -> Option<DeltaHeader> {
        DeltaHeader::of(&self.bytes).filter(|_| self.kind == Kind::Delta)
    }
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Full => "full",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Delta => "delta update",
            Self::Full => "full update",
        }
    }
}

/// The firmware in front of that which `tests/fixtures/modem.py` makes a full update of.
const OLDER: &str = "00000000-1111-2222-3333-444444444444";
/// Where the header block of a firmware lies.
const HEADER_BLOCK: u32 = 0x5960_2000;
