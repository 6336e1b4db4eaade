//! [`Pair`]: an update for a bootloader with two fixed slots, built once for each.
//!
//! A bootloader that runs images where they lie (nRF's immutable bootloader with MCUboot in S0 and S1, MCUboot with
//! direct-XIP) needs an image linked for the very slot it is written to: the one that does not run.
//!
//! ```
//! use fota_download::pair::{FwInfo, Pair, Slot};
//!
//! # let (s0, s1) = ([0xff; 0x224], [0xff; 0x224]);
//! let pair = Pair::parse("http://fw.example/boot_s0.bin http://fw.example/boot_s1.bin").unwrap();
//! // The caller's word where it knows, else what lies in the slots.
//! let active = Slot::active(FwInfo::find(&s0), FwInfo::find(&s1)).unwrap_or(Slot::S0);
//! assert_eq!(pair.for_other_than(active), "http://fw.example/boot_s1.bin");
//! ```

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Slot {
    /// The first one.
    S0,
    /// The second one.
    S1,
}

impl Slot {
    /// The slot that a bootloader runs by these descriptions of what lies there, which is how nRF's immutable bootloader
    /// chooses: of the valid ones the higher version, of two that are the same S0. `None`: neither is valid.
    pub fn active(s0: Option<FwInfo>, s1: Option<FwInfo>) -> Option<Self> {
        let version = |info: Option<FwInfo>| info.filter(|info| info.valid).map(|info| info.version);
        match (version(s0), version(s1)) {
            (None, None) => None,
            (s0, s1) => Some(if s0 >= s1 { Self::S0 } else { Self::S1 }),
        }
    }

    /// The other slot.
    pub const fn other(self) -> Self {
        match self {
            Self::S0 => Self::S1,
            Self::S1 => Self::S0,
        }
    }
}

/// The same firmware, linked for either slot: two names or URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pair<'n> {
    /// The file that runs in S0.
    pub s0: &'n str,
    /// The file that runs in S1.
    pub s1: &'n str,
}

impl<'n> Pair<'n> {
    /// Two names with one space between them, as update servers of the nRF Connect SDK have them. `None`: it is
    /// anything else.
    pub fn parse(text: &'n str) -> Option<Self> {
        let space = text.bytes().position(|byte| byte == b' ')?;
        let (s0, s1) = (text.get(..space)?, text.get(space.checked_add(1)?..)?);
        (!s0.is_empty() && !s1.is_empty() && !s1.bytes().any(|byte| byte == b' ')).then_some(Self { s0, s1 })
    }

    /// The file for a slot.
    pub const fn of(&self, slot: Slot) -> &'n str {
        match slot {
            Slot::S0 => self.s0,
            Slot::S1 => self.s1,
        }
    }

    /// The file to download while this slot's image runs.
    pub const fn for_other_than(&self, active: Slot) -> &'n str {
        self.of(active.other())
    }
}

/// What an image for nRF's immutable bootloader says of itself (`fw_info`, since nRF Connect SDK 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FwInfo {
    /// The image's length in bytes.
    pub size: u32,
    /// Its version: the higher one runs.
    pub version: u32,
    /// Where it begins.
    pub address: u32,
    /// It was not invalidated.
    pub valid: bool,
}

const MAGIC: [u32; 2] = [0x281e_e6de, 0x8fce_bb4c];
const VALID: u32 = 0x9102_ffff;

impl FwInfo {
    /// How many bytes of it are read.
    pub const LEN: usize = 36;

    /// Where in an image it may begin.
    pub const OFFSETS: [usize; 7] = [0, 0x200, 0x400, 0x600, 0x800, 0xe00, 0x1000];

    /// Reads it from its [`LEN`](Self::LEN) bytes; `None`: there is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.chunks_exact(4).map(|word| word.try_into().map_or(0, u32::from_le_bytes));
        let is_one = MAGIC.iter().all(|magic| words.next() == Some(*magic));
        // Which chip and format it is compatible with, and its own length, are for the bootloader.
        let mut words = words.skip(2);
        let (size, version, address, _boot) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let valid = words.next()? == VALID;
        is_one.then_some(Self { size, version, address, valid })
    }

    /// Looks for it in what lies in a slot, of which the first 0x1024 bytes are enough.
    pub fn find(slot: &[u8]) -> Option<Self> {
        Self::OFFSETS.iter().find_map(|offset| Self::parse(slot.get(*offset..offset.checked_add(Self::LEN)?)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test stops there")]

    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// As the linker lays it out: magic, own length, size, version, address, boot address, valid.
    fn info(version: u32, valid: u32) -> Vec<u8> {
        [0x281e_e6de, 0x8fce_bb4c, 0x0001_5b02, 60, 0x8000, version, 0x9000, 0x9200, valid]
            .iter()
            .flat_map(|word: &u32| word.to_le_bytes())
            .collect()
    }

    #[test]
    fn it_is_found_at_each_place_where_it_may_be_and_at_no_other() {
        for offset in 0..0x1100 {
            let mut slot = vec![0xff; 0x1200];
            slot[offset..offset + 36].copy_from_slice(&info(7, 0x9102_ffff));
            let found = FwInfo::find(&slot);
            let there = Some(FwInfo { size: 0x8000, version: 7, address: 0x9000, valid: true });
            assert_eq!(found, there.filter(|_| FwInfo::OFFSETS.contains(&offset)), "{offset}");
            // Nor in part.
            assert_eq!(FwInfo::find(&slot[..offset + 35]), None, "{offset}");
        }
    }

    #[test]
    fn a_wrong_magic_is_none_and_an_invalidated_one_is_not_valid() {
        for byte in 0..8 {
            let mut bytes = info(1, 0x9102_ffff);
            bytes[byte] ^= 1;
            assert_eq!(FwInfo::parse(&bytes), None, "{byte}");
        }
        assert_eq!(FwInfo::parse(&info(1, 0)).map(|info| info.valid), Some(false));
    }

    #[test]
    fn the_active_slot_is_the_valid_one_with_the_higher_version() {
        let of = |version, valid| FwInfo::parse(&info(version, if valid { 0x9102_ffff } else { 0 }));
        for (s0, s1, active) in [
            (None, None, None),
            (of(0, true), None, Some(Slot::S0)),
            (None, of(0, true), Some(Slot::S1)),
            (of(3, true), of(3, true), Some(Slot::S0)),
            (of(3, true), of(4, true), Some(Slot::S1)),
            (of(5, true), of(4, true), Some(Slot::S0)),
            (of(5, false), of(4, true), Some(Slot::S1)),
            (of(5, false), of(6, false), None),
        ] {
            assert_eq!(Slot::active(s0, s1), active, "{s0:?} {s1:?}");
        }
    }

    #[test]
    fn a_pair_is_two_names_with_one_space_between() {
        let pair = Pair::parse("a/s0.bin a/s1.bin").unwrap();
        assert_eq!((pair.of(Slot::S0), pair.of(Slot::S1)), ("a/s0.bin", "a/s1.bin"));
        assert_eq!((pair.for_other_than(Slot::S0), pair.for_other_than(Slot::S1)), ("a/s1.bin", "a/s0.bin"));
        for text in ["", " ", "a", "a ", " b", "a  b", "a b c", "a b "] {
            assert_eq!(Pair::parse(text), None, "{text}");
        }
    }
}
