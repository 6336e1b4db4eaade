//! The stored form of progress, little-endian.
//!
//! ```text
//!       0        4        8        40     44    48     50      51      52         56   88     152        153        156
//!       │ "DFU2" │ offset │ digest │ size │ tag │ kind │ state │ index │ identity │ id │ head │ head len │ attempts │
//! full  crc │ seq │ all of that
//! short crc │ seq │ "dfu2" │ offset │ four bytes of the digest
//! ```
//!
//! [`ProgressLog`](super::ProgressLog) puts a sequence number before it and a CRC-32 over bytes 20 to the end of the
//! full record, then 4 to 20. A short record stands for the full one before it with other bytes up to 20, and its CRC
//! begins with those of that one. A form with other kinds or states has another magic.

use core::fmt;

use super::{ImageId, State};
use crate::digest::Digest;
use crate::image::{HEAD_LEN, ImageKind};

/// How far an update is, and of which image: all of it must match before anything is resumed.
///
/// It is kept in the form in which it is stored: a store of your own writes [`as_bytes`](Self::as_bytes), and reads
/// with [`from_bytes`](Self::from_bytes). Whether the bytes are whole is the store's business.
#[derive(Clone, PartialEq, Eq)]
#[repr(align(4))]
pub struct Progress([u8; Progress::LEN]);

const MAGIC: u32 = u32::from_le_bytes(*b"DFU2");
/// Begins a short record.
const SHORT_MAGIC: u32 = u32::from_le_bytes(*b"dfu2");

const OFFSET: usize = 4;
const DIGEST: usize = 8;
const SIZE: usize = 40;
const TAG: usize = 44;
const KIND: usize = 48;
const STATE: usize = 50;
const INDEX: usize = 51;
const IDENTITY: usize = 52;
const ID: usize = 56;
const HEAD: usize = 88;
const TAKEN: usize = HEAD + HEAD_LEN;
const ATTEMPTS: usize = TAKEN + 1;

/// A size that is not known.
const UNKNOWN: u32 = u32::MAX;

impl Progress {
    /// Length of the stored form.
    pub const LEN: usize = TAKEN + 4;

    /// Nothing yet of the image of this name.
    pub const fn new(id: ImageId) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes.split_at_mut(OFFSET).0.copy_from_slice(&MAGIC.to_le_bytes());
        bytes.split_at_mut(ID).1.split_at_mut(id.0.len()).0.copy_from_slice(&id.0);
        Self(bytes).sized(UNKNOWN)
    }

    pub(crate) const fn sized(mut self, size: u32) -> Self {
        self.0.split_at_mut(SIZE).1.split_at_mut(4).0.copy_from_slice(&size.to_le_bytes());
        self
    }

    pub(crate) const fn indexed(mut self, index: u8) -> Self {
        self.0[INDEX] = index;
        self
    }

    /// The stored form.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// What was stored, if it is that.
    #[inline(never)]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let progress = Self(*bytes.first_chunk()?);
        let valid = word(&progress.0, 0) == MAGIC
            && ImageKind::from_code(progress.code()).is_some()
            && progress.0[STATE] <= State::Applied as u8
            && progress.0[TAKEN] as usize <= HEAD_LEN;
        valid.then_some(progress)
    }

    /// What a full record says whose CRC is right: a log wrote it.
    pub(crate) fn of(record: &[u8; FULL]) -> Self {
        Self(array(record, 8))
    }

    /// The caller's name for the image.
    pub fn id(&self) -> ImageId {
        ImageId(array(&self.0, ID))
    }

    /// What the image's first bytes said.
    pub fn kind(&self) -> ImageKind {
        ImageKind::from_code(self.code()).unwrap_or(ImageKind::Custom(0))
    }

    /// Which of several images of that kind.
    pub fn index(&self) -> u8 {
        self.0[INDEX]
    }

    /// The image's length, if known.
    pub fn size(&self) -> Option<u32> {
        Some(self.end()).filter(|size| *size != UNKNOWN)
    }

    /// No offset is beyond this.
    pub(crate) fn end(&self) -> u32 {
        word(&self.0, SIZE)
    }

    /// The target's [`identity`](crate::DfuTarget::identity).
    pub fn identity(&self) -> u32 {
        word(&self.0, IDENTITY)
    }

    /// A tag of what the source says about its version of the file; 0 where it says nothing.
    pub fn tag(&self) -> u32 {
        word(&self.0, TAG)
    }

    /// All bytes before this are stored and survive a power cut.
    pub fn offset(&self) -> u32 {
        word(&self.0, OFFSET)
    }

    /// The image's first bytes.
    pub fn head(&self) -> &[u8] {
        self.0[HEAD..TAKEN].get(..self.head_len() as usize).unwrap_or(&[])
    }

    /// How far the update is.
    pub fn state(&self) -> State {
        match self.0[STATE] {
            0 => State::Receiving,
            1 => State::Complete,
            _ => State::Applied,
        }
    }

    /// How often the image was fetched in vain: it was refused once all of it was there, or applied and came back.
    /// Counted up to 254: no count reaches the limit that is none.
    pub fn attempts(&self) -> u8 {
        self.0[ATTEMPTS]
    }

    /// The image's digest, once all bytes are there.
    pub fn digest(&self) -> Option<Digest> {
        (self.state() != State::Receiving).then(|| Digest(array(&self.0, DIGEST)))
    }

    /// What the target wanted kept with the offset; once all bytes are there, the digest.
    pub fn kept(&self) -> &[u8; 32] {
        self.0[DIGEST..SIZE].first_chunk().unwrap_or(&[0; 32])
    }

    /// Whether the name, the index and the target's identity are the same.
    pub(crate) fn is_of_same(&self, other: &Self) -> bool {
        self.0[INDEX..HEAD] == other.0[INDEX..HEAD]
    }

    /// Whether this is the digest of the image, all of which is there.
    pub(crate) fn has_digest(&self, digest: &Digest) -> bool {
        self.0[DIGEST..SIZE] == digest.0
    }

    pub(crate) fn set_kind(&mut self, kind: ImageKind) {
        let [low, high] = kind.code().to_le_bytes();
        self.0[KIND] = low;
        self.0[KIND + 1] = high;
    }

    pub(crate) fn set_size(&mut self, size: Option<u32>) {
        self.set_end(size.unwrap_or(UNKNOWN));
    }

    /// Of a size that is not known: the largest number.
    pub(crate) fn set_end(&mut self, end: u32) {
        set_word(&mut self.0, SIZE, end);
    }

    pub(crate) fn set_identity(&mut self, identity: u32) {
        set_word(&mut self.0, IDENTITY, identity);
    }

    pub(crate) fn set_tag(&mut self, tag: u32) {
        set_word(&mut self.0, TAG, tag);
    }

    /// All bytes before this are stored now.
    pub fn set_offset(&mut self, offset: u32) {
        set_word(&mut self.0, OFFSET, offset);
    }

    pub(crate) fn set_state(&mut self, state: State) {
        self.0[STATE] = state as u8;
    }

    /// The image was fetched in vain once more: nothing of it is promised any longer, and the attempt is remembered.
    pub fn reject(&mut self) {
        self.count_attempt();
        self.set_state(State::Receiving);
        self.set_offset(0);
    }

    /// One more attempt was in vain.
    pub(crate) fn count_attempt(&mut self) {
        self.0[ATTEMPTS] = self.0[ATTEMPTS].saturating_add(1).min(254);
    }

    pub(crate) fn clear_attempts(&mut self) {
        self.0[ATTEMPTS] = 0;
    }

    /// Keeps up to 32 bytes; those behind stay.
    pub(crate) fn keep(&mut self, kept: &[u8]) {
        self.0[DIGEST..SIZE].iter_mut().zip(kept).for_each(|(to, from)| *to = *from);
    }

    /// Takes what a short record says.
    pub(super) fn go_on(&mut self, record: &[u8; FULL]) {
        self.0[OFFSET..SHORT - 8].copy_from_slice(&record[8 + OFFSET..SHORT]);
    }

    /// How much of the head there is.
    pub(crate) fn head_len(&self) -> u32 {
        u32::from(self.0[TAKEN])
    }

    /// Takes as much of the head as is missing, and returns the rest.
    pub(crate) fn take_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let taken = self.head_len() as usize;
        let (bytes, rest) = bytes.split_at_checked(HEAD_LEN.wrapping_sub(taken)).unwrap_or((bytes, &[]));
        let filled = taken.wrapping_add(bytes.len());
        if let Some(places) = self.0[HEAD..TAKEN].get_mut(taken..filled) {
            places.copy_from_slice(bytes);
        }
        self.0[TAKEN] = filled as u8;
        rest
    }

    pub(crate) fn clear_head(&mut self) {
        self.0[TAKEN] = 0;
    }

    fn code(&self) -> u16 {
        u16::from_le_bytes([self.0[KIND], self.0[KIND + 1]])
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("id", &self.id())
            .field("kind", &self.kind())
            .field("index", &self.index())
            .field("size", &self.size())
            .field("identity", &self.identity())
            .field("tag", &self.tag())
            .field("offset", &self.offset())
            .field("head", &self.head())
            .field("state", &self.state())
            .field("attempts", &self.attempts())
            .field("digest", &self.digest())
            .finish()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Progress {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", defmt::Debug2Format(self));
    }
}

/// Length of a record that says everything.
pub(super) const FULL: usize = 8 + Progress::LEN;
/// Length of a record that says how far it is by now.
pub(super) const SHORT: usize = 20;

/// The length of a record, by its first [`SHORT`] bytes; 0: it is none.
pub(super) fn len(record: &[u8; FULL]) -> usize {
    match word(record, 8) {
        MAGIC => FULL,
        SHORT_MAGIC => SHORT,
        _ => 0,
    }
}

/// A number that stands for all that a short record leaves out.
pub(super) fn fixed(record: &[u8; FULL]) -> u32 {
    crc32(!0, &record[SHORT..])
}

/// Makes a record of this length valid.
pub(super) fn seal(record: &mut [u8; FULL], len: usize, fixed: u32, sequence: u32) {
    set_word(record, 4, sequence);
    if len == SHORT {
        set_word(record, 8, SHORT_MAGIC);
    }
    set_word(record, 0, !crc32(fixed, &record[4..SHORT]));
}

/// The sequence number of a record that is whole.
pub(super) fn sequence(record: &[u8; FULL], fixed: u32) -> Option<u32> {
    (word(record, 0) == !crc32(fixed, &record[4..SHORT])).then_some(word(record, 4))
}

fn array<const L: usize, const N: usize>(bytes: &[u8; L], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; N])
}

/// `at` is a constant wherever this is used, so that nothing is checked where it runs.
#[inline(always)]
fn word<const L: usize>(bytes: &[u8; L], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

#[inline(always)]
fn set_word<const L: usize>(bytes: &mut [u8; L], at: usize, value: u32) {
    if let Some(place) = bytes.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut()) {
        *place = value.to_le_bytes();
    }
}

/// CRC-32 as in IEEE 802.3, from `!0` on and inverted at its end; by four bits at a time.
#[inline(never)]
fn crc32(from: u32, bytes: &[u8]) -> u32 {
    let four = |crc: u32| (crc >> 4) ^ FOUR_BITS.get(crc as usize & 15).unwrap_or(&0);
    bytes.iter().fold(from, |crc, byte| four(four(crc ^ u32::from(*byte))))
}

/// What becomes of each value of the lowest four bits.
const FOUR_BITS: [u32; 16] = {
    const fn bit(crc: u32) -> u32 {
        (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
    }
    const fn four(bits: u32) -> u32 {
        bit(bit(bit(bit(bits))))
    }
    [
        four(0),
        four(1),
        four(2),
        four(3),
        four(4),
        four(5),
        four(6),
        four(7),
        four(8),
        four(9),
        four(10),
        four(11),
        four(12),
        four(13),
        four(14),
        four(15),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        let mut progress = Progress::new(ImageId::named("an image")).indexed(3);
        progress.set_kind(ImageKind::Custom(7));
        progress.set_size(Some(0x0102_0304));
        progress.set_identity(0x1122_3344);
        progress.set_tag(0xa1a2_a3a4);
        progress.set_offset(0x2000);
        progress.take_head(&[0x3d, 0xb8, 0xf3, 0x96, 9]);
        progress.set_state(State::Complete);
        progress.keep(&[0x5a; 32]);
        progress.count_attempt();
        progress.count_attempt();
        progress
    }

    fn sealed(progress: &Progress) -> [u8; FULL] {
        let mut record = [0xee; FULL];
        record[8..].copy_from_slice(progress.as_bytes());
        let fixed = fixed(&record);
        seal(&mut record, FULL, fixed, 77);
        record
    }

    #[test]
    fn the_crc_is_the_standard_one() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(!crc32(!0, b"123456789"), 0xcbf4_3926);
        // And of all 256 bytes, by zlib.
        assert_eq!(!crc32(!0, &core::array::from_fn::<u8, 256, _>(|byte| byte as u8)), 0x2905_8c73);
    }

    #[test]
    fn what_was_set_is_there_and_comes_back_from_its_bytes() {
        let whole = progress();
        assert_eq!((whole.id(), whole.kind(), whole.index()), (ImageId::named("an image"), ImageKind::Custom(7), 3));
        assert_eq!((whole.size(), whole.identity(), whole.tag()), (Some(0x0102_0304), 0x1122_3344, 0xa1a2_a3a4));
        assert_eq!((whole.offset(), whole.head()), (0x2000, &[0x3d, 0xb8, 0xf3, 0x96, 9][..]));
        assert_eq!((whole.state(), whole.digest()), (State::Complete, Some(Digest([0x5a; 32]))));
        assert_eq!(whole.attempts(), 2);
        let mut empty = progress();
        empty.clear_head();
        empty.set_size(None);
        empty.set_state(State::Receiving);
        assert_eq!((empty.head(), empty.size(), empty.digest()), (&[][..], None, None));
        assert!(std::format!("{whole:?}").contains("tag: 2711790500"));
        for progress in [whole, empty] {
            assert_eq!(Progress::from_bytes(progress.as_bytes()), Some(progress));
        }
    }

    #[test]
    fn the_stored_form_is_the_one_of_the_table() {
        let progress = progress();
        let bytes = progress.as_bytes();
        for (at, field) in [
            (0, &b"DFU2"[..]),
            (4, &[0x00, 0x20, 0, 0]),
            (8, &[0x5a; 32]),
            (40, &[4, 3, 2, 1]),
            (44, &[0xa4, 0xa3, 0xa2, 0xa1]),
            (48, &[4, 7]),
            (50, &[1, 3]),
            (52, &[0x44, 0x33, 0x22, 0x11]),
            (56, b"an image\0"),
            (88, &[0x3d, 0xb8, 0xf3, 0x96, 9, 0]),
            (152, &[5]),
            (153, &[2, 0, 0]),
        ] {
            assert_eq!(bytes[at..at + field.len()], *field, "{at}");
        }
        assert_eq!(bytes.len(), 156);
    }

    #[test]
    fn a_rejected_image_leaves_nothing_but_the_memory_of_it() {
        let mut rejected = progress();
        rejected.reject();
        assert_eq!((rejected.state(), rejected.offset(), rejected.attempts()), (State::Receiving, 0, 3));
        assert!(rejected.is_of_same(&progress()));
        assert!(rejected.has_digest(&Digest([0x5a; 32])), "of which image that was is known");
        rejected.clear_attempts();
        assert_eq!(rejected.attempts(), 0);
        for _ in 0..300 {
            rejected.count_attempt();
        }
        assert_eq!((rejected.attempts(), Progress::from_bytes(rejected.as_bytes())), (254, Some(rejected)));
    }

    #[test]
    fn the_same_image_is_one_of_the_same_name_index_and_target() {
        let (one, mut later) = (progress(), progress());
        later.set_offset(0x4000);
        later.set_size(None);
        later.set_kind(ImageKind::Mcuboot);
        later.keep(&[0; 32]);
        assert!(one.is_of_same(&later));
        let mut elsewhere = progress();
        elsewhere.set_identity(0x1122_3345);
        for other in [progress().indexed(4), elsewhere, Progress::new(ImageId::named("another")).indexed(3)] {
            assert!(!one.is_of_same(&other), "{other:?}");
        }
        assert!(one.has_digest(&Digest([0x5a; 32])) && !one.has_digest(&Digest([0x5b; 32])));
    }

    #[test]
    fn the_head_takes_what_it_has_room_for() {
        let mut progress = Progress::new(ImageId([0; 32]));
        assert_eq!(progress.take_head(&[1; 60]), &[]);
        assert_eq!(progress.take_head(&[2; 6]), &[2, 2]);
        assert_eq!(progress.take_head(&[3]), &[3]);
        assert_eq!(progress.head(), [[1; 60].as_slice(), &[2; 4]].concat());
    }

    #[test]
    fn no_bit_of_a_record_may_change() {
        let mut record = sealed(&progress());
        assert_eq!((len(&record), sequence(&record, fixed(&record))), (FULL, Some(77)));
        for bit in 0..FULL * 8 {
            record[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(sequence(&record, fixed(&record)), None, "bit {bit}");
            record[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn the_crc_is_over_what_stays_and_then_what_changes() {
        let mut record = sealed(&progress());
        for len in [FULL, SHORT] {
            let fixed = fixed(&record);
            seal(&mut record, len, fixed, 79);
            let crc = !crc32(!0, &[&record[20..], &record[4..20]].concat());
            assert_eq!(record[..4], crc.to_le_bytes(), "{len}");
        }
    }

    #[test]
    fn a_short_record_has_the_offset_and_four_of_the_bytes_that_are_kept() {
        let mut later = progress();
        later.set_offset(0x3000);
        later.keep(&[1, 2, 3, 4]);
        assert_eq!(fixed(&sealed(&later)), fixed(&sealed(&progress())), "the rest is that of before");
        let mut found = progress();
        found.go_on(&sealed(&later));
        assert_eq!(found, later);
        assert_eq!(found.kept()[..5], [1, 2, 3, 4, 0x5a]);
    }

    #[test]
    fn a_short_record_goes_with_its_full_one_only() {
        let mut record = sealed(&progress());
        let (own, other) = (fixed(&record), fixed(&sealed(&progress().indexed(4))));
        seal(&mut record, SHORT, own, 78);
        assert_eq!(len(&record), SHORT);
        assert_eq!((sequence(&record, own), sequence(&record, other)), (Some(78), None));
    }

    #[test]
    fn a_record_of_a_log_that_means_nothing_does_no_harm() {
        let mut record = sealed(&progress());
        for (at, value) in [(KIND, 99), (STATE, 3), (TAKEN, 65)] {
            record[8 + at] = value;
        }
        let mut odd = Progress::of(&record);
        assert_eq!(odd.as_bytes(), &record[8..], "what was stored comes back");
        assert_eq!((odd.kind(), odd.state(), odd.head()), (ImageKind::Custom(0), State::Applied, &[][..]));
        assert_eq!(odd.take_head(&[1, 2]), &[]);
        odd.clear_head();
        assert_eq!(odd.take_head(&[7; HEAD_LEN + 1]), &[7]);
        assert_eq!(odd.head(), [7; HEAD_LEN]);
    }

    #[test]
    fn bytes_that_are_no_progress_are_refused() {
        for byte in [0, 0xff] {
            assert_eq!((len(&[byte; FULL]), Progress::from_bytes(&[byte; Progress::LEN])), (0, None));
        }
        let good = *progress().as_bytes();
        assert_eq!(Progress::from_bytes(&good[..good.len() - 1]), None);
        for (at, value) in [(0, b'd'), (KIND, 99), (STATE, 3), (TAKEN, 65)] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(Progress::from_bytes(&bad), None, "{at}");
        }
    }
}
