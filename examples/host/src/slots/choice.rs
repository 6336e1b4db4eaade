//! Which slot runs, as far as its bytes show that.

use dfu_target::image::mcuboot::{Header, flags};
use dfu_target_mcuboot::{Flag, HashKind, Mark, Side, Slots};

use super::geometry::Geometry;
use crate::image::{HashVerdict, Image, SignatureVerdict};
use crate::key::Key;

/// Which slot runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) runs: Side,
    /// There is an image in it that MCUboot would run.
    pub(crate) has_image: bool,
    /// It runs because of its version: MCUboot would run the other slot's image, too.
    pub(crate) by_version: bool,
}

/// A slot as MCUboot looks at it when it chooses.
struct Candidate {
    header: Header,
    mark: Mark,
}

impl Choice {
    /// Chooses as MCUboot does: the highest version that is whole and, where it is asked for, signed; the primary slot
    /// if they are equal.
    ///
    /// With revert, the images of which the trailer says that they were chosen before go first, then those that
    /// need no trial, then those that wait for theirs; last those without a trailer, which MCUboot would erase.
    pub(crate) fn of(geometry: &Geometry, slots: &Slots, [primary, secondary]: [&[u8]; 2], keys: &[Key]) -> Self {
        let mode = slots.config().mode();
        if !mode.chooses() {
            return Self { runs: Side::Primary, has_image: Header::parse(primary).is_ok(), by_version: false };
        }
        let [first, second] = geometry.addresses();
        let primary = Candidate::of(geometry, slots, primary, first, keys);
        let secondary = Candidate::of(geometry, slots, secondary, second, keys);
        if let Some(side) = geometry.runs.map(|side| side.side()) {
            let has_image = if side == Side::Primary { primary.is_some() } else { secondary.is_some() };
            return Self { runs: side, has_image, by_version: false };
        }
        let (runs, by_version) = match (&primary, &secondary) {
            (None, Some(_)) => (Side::Secondary, false),
            (_, None) => (Side::Primary, false),
            (Some(one), Some(other)) => {
                let with_build = geometry.bootloader.compares_build_number();
                let beats =
                    |one: &Candidate, other: &Candidate| one.header.version.beats(&other.header.version, with_build);
                let standing = |slot: &Candidate| if mode.has_trailer() { slot.standing() } else { 0 };
                let (first, second) = (standing(one), standing(other));
                let is_first = first > second || (first == second && !beats(other, one));
                let by_version = first == second && (beats(one, other) || beats(other, one));
                (if is_first { Side::Primary } else { Side::Secondary }, by_version)
            }
        };
        Self { runs, has_image: primary.is_some() || secondary.is_some(), by_version }
    }

    /// The other slot.
    pub(crate) fn other(&self) -> Side {
        match self.runs {
            Side::Primary => Side::Secondary,
            Side::Secondary => Side::Primary,
        }
    }
}

impl Candidate {
    fn of(geometry: &Geometry, slots: &Slots, slot: &[u8], address: u32, keys: &[Key]) -> Option<Self> {
        let image = Image::parse(slot).ok()?;
        let header = image.header;
        let (encrypted, compressed) = geometry.bootloader.takes();
        let is_fit = header.flags & flags::NON_BOOTABLE == 0
            && (encrypted || !header.is_encrypted())
            && (compressed || header.flags & flags::COMPRESSED == 0)
            && (header.flags & flags::ROM_FIXED == 0 || header.load_addr == address || !runs_in_place(geometry))
            && (header.flags & flags::RAM_LOAD != 0 || runs_in_place(geometry))
            && image.bytes.len() <= slots.max_image() as usize;
        let is_whole = match geometry.bootloader.hash() {
            HashKind::Pure => true,
            kind => {
                image.of_kind(kind.tlv()).next().is_some()
                    && matches!(image.hash().1, HashVerdict::Right | HashVerdict::Encrypted)
            }
        };
        let right = [SignatureVerdict::Right, SignatureVerdict::Encrypted];
        let is_signed = keys.is_empty()
            || keys.iter().any(|key| image.signatures(key).iter().any(|verdict| right.contains(verdict)));
        (is_fit && is_whole && is_signed).then(|| Self { header, mark: slots.read(slot) })
    }

    fn standing(&self) -> u8 {
        match (self.mark.magic, self.mark.copy_done, self.mark.image_ok) {
            (Flag::Set, Flag::Set, _) => 3,
            (Flag::Set, _, Flag::Set) => 2,
            (Flag::Set, ..) => 1,
            _ => 0,
        }
    }
}

fn runs_in_place(geometry: &Geometry) -> bool {
    matches!(geometry.mode, super::ModeName::Xip | super::ModeName::XipRevert)
}
