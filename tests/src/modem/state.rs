//! [`ModemState`]: what a modem holds without power, as plain data.

use alloc::string::String;
use alloc::string::ToString;
use alloc::vec::Vec;
use dfu_target_nrf_modem::port::Uuid;

use super::fill::{HIGH, decrypted, fill};
use super::settings::Settings;
use super::{FakeModem, Inner};

/// What a modem holds without power: to keep it in a file, or to begin a sweep's next turn with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ModemState {
    /// The firmware that runs, or ran last: 36 characters.
    pub uuid: String,
    /// The one before, while the modem can go back to it.
    pub previous: Option<String>,
    /// Whether the firmware starts.
    pub alive: bool,
    /// The size of the area for deltas, in bytes.
    pub area: u32,
    /// How many bytes of a delta are written.
    pub offset: u32,
    /// Whether the area has to be erased.
    pub dirty: bool,
    /// What is to happen at the next start.
    pub scheduled: Option<Scheduled>,
    /// The area's bytes from its start on; those behind are erased.
    pub content: Content,
    /// What was programmed by a full update, in clear.
    pub flash: Vec<FlashSegment>,
}

/// What is to happen at the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Scheduled {
    /// The delta in the area is installed.
    Update,
    /// The firmware before comes back.
    Rollback,
}

/// A run of programmed bytes of the modem's flash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FlashSegment {
    /// Where it begins.
    pub address: u32,
    /// What is there.
    pub content: Content,
}

/// Bytes, or a shorter word for them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Content {
    /// These. In a file, hexadecimal.
    Bytes(#[cfg_attr(feature = "serde", serde(with = "hex"))] Vec<u8>),
    /// What the modem makes of the [`fill`] of a segment.
    Fill {
        /// The segment's number.
        segment: u32,
        /// How many bytes.
        len: u32,
    },
}

impl FakeModem {
    /// What survives if the power goes now.
    pub fn save(&self) -> ModemState {
        let inner = self.settled();
        let area = &inner.area;
        let used = area.cells.iter().rposition(|cell| *cell != 0xff).map_or(0, |last| last + 1);
        ModemState {
            uuid: text(inner.firmware),
            previous: area.previous.map(text),
            alive: inner.alive,
            area: area.cells.len() as u32,
            offset: area.written as u32,
            dirty: area.dirty,
            scheduled: area.scheduled,
            content: Content::Bytes(area.cells[..used].to_vec()),
            flash: inner.flash.runs.iter().map(|(address, bytes)| FlashSegment::of(*address, bytes)).collect(),
        }
    }

    /// A modem that holds this, and is off.
    ///
    /// Panics where it cannot be: names that have no 36 characters, more bytes than the area has.
    pub fn restore(state: &ModemState) -> Self {
        let modem = Self::new(Settings::new());
        modem.reload(state);
        modem
    }

    /// Has this modem, its clones and all ports, hold this, as after a [`power_on`](Self::power_on). Settings, clock
    /// and the log of calls stay.
    pub fn reload(&self, state: &ModemState) {
        self.power_on();
        let mut inner = self.inner();
        let Inner { area, flash, .. } = &mut *inner;
        area.cells = state.content.bytes(HIGH);
        assert!(area.cells.len().max(state.offset as usize) <= state.area as usize, "the area has no room for this");
        area.cells.resize(state.area as usize, 0xff);
        (area.written, area.dirty, area.scheduled) = (state.offset as usize, state.dirty, state.scheduled);
        area.previous = state.previous.as_deref().map(name);
        flash.runs = state.flash.iter().map(|run| (run.address, run.content.bytes(run.address))).collect();
        flash.changed = false;
        (inner.firmware, inner.alive) = (name(&state.uuid), state.alive);
        (inner.odd_reset, inner.next_result, inner.last_result) = (false, None, None);
    }
}

impl FlashSegment {
    fn of(address: u32, bytes: &[u8]) -> Self {
        let made = |segment: &u32| {
            let front = bytes.len().min(16);
            let is = |len| decrypted(address, &fill(*segment, address, len)) == bytes[..len];
            is(front) && is(bytes.len())
        };
        let content = match (0..16).find(made) {
            Some(segment) => Content::Fill { segment, len: bytes.len() as u32 },
            None => Content::Bytes(bytes.to_vec()),
        };
        Self { address, content }
    }
}

impl Content {
    /// The bytes, where they are at this address.
    pub fn bytes(&self, address: u32) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Fill { segment, len } => decrypted(address, &fill(*segment, address, *len as usize)),
        }
    }
}

fn text(uuid: Uuid) -> String {
    uuid.to_string()
}

fn name(text: &str) -> Uuid {
    Uuid(text.as_bytes().try_into().unwrap_or_else(|_| panic!("{text:?} has no 36 characters")))
}

#[cfg(feature = "serde")]
mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<Vec<_>>>();
        let digits = digits.filter(|digits| digits.len().is_multiple_of(2));
        let digits = digits.ok_or_else(|| D::Error::custom("bytes are pairs of hexadecimal digits"))?;
        Ok(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
    }
}
