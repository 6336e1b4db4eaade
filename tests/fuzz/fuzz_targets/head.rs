//! Any bytes as the beginning of a file.
//!
//! What must hold: nothing panics. What begins an image is told exactly as by a plain reading of the formats' tables,
//! and so is each cut of it; a target's `probe` and two targets behind one say the same of what belongs there. An
//! MCUboot header is taken exactly if it is all there and its sizes add up, and says what the bytes say. A session
//! comes to the same in whatever pieces the bytes come, and asks a target for no image that does not belong there.
#![no_main]

use std::convert::Infallible;
use std::fmt;

use dfu_fuzz::Bytes;
use dfu_target::image::mcuboot::{Header, HeaderError, Version};
use dfu_target::image::{HEAD_LEN, modem, sniff};
use dfu_target::progress::NoProgress;
use dfu_target::session::{Failed, SessionError};
use dfu_target::target::{Assurance, Checked, Proof, Written};
use dfu_target::{
    Applied, Begun, DfuTarget, Digest, Error, ErrorKind, ErrorType, Image, ImageId, ImageKind, Probe, Request, Update,
};
use dfu_testkit::poll::run;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let [shape, takes, others, cut] = bytes.array();
    let [pieces @ .., other] = bytes.array::<5>();
    let mut file = [0; 96];
    let len = begin(&mut file, shape, bytes.0);
    let file = &file[..len];

    let kind = plain(file);
    assert_eq!(sniff(file), kind);
    assert_eq!(modem::is_delta(file), file.len() > 7 && &file[4..8] == b"meDu");
    assert_eq!(modem::is_full(file), is_full(file));
    let short = &file[..usize::from(cut) % (len + 1)];
    assert_eq!(sniff(short), plain(short));
    assert!(sniff(short).is_none() || sniff(short) == kind, "more bytes make another kind of it");

    let header = header(file);
    // What is compared with it is another version of the fuzzer's choice.
    header_is(file, header, [other & 3, other >> 2 & 3, other >> 4 & 3, other >> 6]);

    let (one, two) = (Place::new(takes), Place::new(others));
    assert_eq!(one.probe(file, 0), belongs(kind, takes));
    assert_eq!(one.or(two).probe(file, 0), belongs(kind, takes | others));
    arrives(file, pieces, Place::new(takes), kind);
});

/// The first bytes of a file: the fuzzer's, behind the magic of one of the formats or none; how many.
fn begin(file: &mut [u8; 96], shape: u8, bytes: &[u8]) -> usize {
    let front: &[u8] = match shape % 5 {
        1 => &[0x3d, 0xb8, 0xf3, 0x96],
        2 => b"\0\0\0\0meDu",
        3 => &[0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x24, 0xa0],
        4 => &[0xd2, 0x84],
        _ => &[],
    };
    let len = file.len().min(front.len() + bytes.len());
    for (to, from) in file.iter_mut().zip(front.iter().chain(bytes)) {
        *to = *from;
    }
    // One bit of it is another one.
    if shape & 0x80 != 0 && len > 0 {
        file[usize::from(shape >> 3 & 0xf) % len] ^= 1 << (shape & 7);
    }
    len
}

/// The table of the formats.
fn plain(file: &[u8]) -> Option<ImageKind> {
    let word = |at: usize| {
        Some(u32::from_le_bytes([*file.get(at)?, *file.get(at + 1)?, *file.get(at + 2)?, *file.get(at + 3)?]))
    };
    match (word(0), word(4)) {
        (Some(0x96f3_b83d), _) => Some(ImageKind::Mcuboot),
        (_, Some(0x7544_656d)) => Some(ImageKind::ModemDelta),
        _ if is_full(file) => Some(ImageKind::ModemFull),
        _ => None,
    }
}

/// A tagged COSE_Sign1 of four; the bytes of `{1: -37}`, an empty map, and a byte string whose length has one or two
/// bytes of its own.
fn is_full(file: &[u8]) -> bool {
    let [0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x24, 0xa0, payload, ..] = file else { return false };
    payload >> 5 == 2 && matches!(payload & 0x1f, 24 | 25)
}

fn belongs(kind: Option<ImageKind>, takes: u8) -> Probe {
    match kind {
        Some(kind) if takes >> kind.code() & 1 != 0 => Probe::Taken(kind),
        kind => Probe::Refused(kind),
    }
}

/// The header as MCUboot's table of its fields has it, or what is wrong with it.
fn header(file: &[u8]) -> Result<Header, HeaderError> {
    let parsed = Header::parse(file);
    let number =
        |range: std::ops::Range<usize>| file[range].iter().rev().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    if file.len() < 32 {
        assert_eq!(parsed, Err(HeaderError::TooShort));
    } else if number(0..4) != 0x96f3_b83d {
        assert_eq!(parsed, Err(HeaderError::Magic));
    } else if number(8..10) < 32 {
        assert_eq!(parsed, Err(HeaderError::HeaderSize(number(8..10) as u16)));
    } else if number(8..10) + number(10..12) + number(12..16) > u64::from(u32::MAX) {
        assert_eq!(parsed, Err(HeaderError::Overflow));
    } else {
        let header = parsed.expect("a header that is right");
        let Header { load_addr, header_size, protected_size, image_size, flags, version } = header;
        let Version { major, minor, revision, build } = version;
        let said: [u64; 5] =
            [load_addr.into(), header_size.into(), protected_size.into(), image_size.into(), flags.into()];
        assert_eq!(said, [number(4..8), number(8..10), number(10..12), number(12..16), number(16..20)]);
        let said: [u64; 4] = [major.into(), minor.into(), revision.into(), build.into()];
        assert_eq!(said, [number(20..21), number(21..22), number(22..24), number(24..28)]);
        let end = number(8..10) + number(12..16);
        assert_eq!((u64::from(header.tlv_offset()), u64::from(header.hashed_len())), (end, end + number(10..12)));
        assert_eq!(header.is_encrypted(), number(16..20) & 0xc != 0);
    }
    parsed
}

/// Versions compare number by number, the build number where it counts.
fn header_is(file: &[u8], header: Result<Header, HeaderError>, [major, minor, revision, build]: [u8; 4]) {
    let Ok(Header { version, .. }) = header else { return };
    let near = |byte: u8, from: u8| from.wrapping_add(byte).wrapping_sub(1);
    let other = Version {
        major: near(major, file[20]),
        minor: near(minor, file[21]),
        revision: u16::from_le_bytes([near(revision, file[22]), file[23]]),
        build: u32::from_le_bytes([near(build, file[24]), file[25], file[26], file[27]]),
    };
    let whole = |version: &Version| (version.major, version.minor, version.revision, version.build);
    let short = |version: &Version| (version.major, version.minor, version.revision);
    for (one, two) in [(&version, &other), (&other, &version), (&version, &version)] {
        assert_eq!(one.beats(two, true), whole(one) > whole(two), "{one} {two}");
        assert_eq!(one.beats(two, false), short(one) > short(two), "{one} {two}");
    }
}

/// The file goes through a session, in pieces.
fn arrives(file: &[u8], pieces: [u8; 4], place: Place, kind: Option<ImageKind>) {
    // What belongs to the head, and the file where that is shorter.
    let seen = plain(&file[..file.len().min(HEAD_LEN)]);
    assert_eq!(seen, kind, "it is told by its first bytes");
    let expected = belongs(kind, place.takes);
    let mut update = Update::new(place, NoProgress, Request::new(ImageId([0; 32])).save_every(16));
    let Ok(Begun::Receiving(mut session)) = run(update.begin()) else { panic!("nothing is stored") };
    let (mut at, mut result) = (0, Ok(()));
    for piece in pieces.iter().cycle() {
        if at == file.len() {
            break;
        }
        assert_eq!((session.offset(), session.durable()), (at as u32, if at < HEAD_LEN { 0 } else { at as u32 }));
        let end = file.len().min(at + 1 + usize::from(*piece) % 80);
        if let Err(error) = run(session.write(&file[at..end])) {
            result = Err(error);
            break;
        }
        at = end;
        assert_eq!(session.kind().is_some(), at >= HEAD_LEN);
    }
    let result = result.and_then(|()| run(session.finish()).map(drop).map_err(Failed::into_error));
    let (place, _) = update.release();
    match expected {
        Probe::Taken(kind) => {
            assert_eq!(result, Ok(()));
            assert_eq!((place.asked, place.came), (Some(kind), file.len()));
        }
        Probe::Refused(kind) => {
            assert_eq!(result, Err(kind.map_or(SessionError::Unknown, SessionError::NotTaken)));
            assert_eq!((place.asked, place.came), (None, 0));
        }
    }
}

/// A target that takes images of some kinds, and counts their bytes.
#[derive(Debug)]
struct Place {
    /// A bit for each kind, by its code.
    takes: u8,
    asked: Option<ImageKind>,
    came: usize,
}

impl Place {
    fn new(takes: u8) -> Self {
        Self { takes, asked: None, came: 0 }
    }
}

#[derive(Debug, PartialEq)]
struct Never(Infallible);

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl std::error::Error for Never {}

impl Error for Never {
    fn kind(&self) -> ErrorKind {
        match self.0 {}
    }
}

impl ErrorType for Place {
    type Error = Never;
}

impl DfuTarget for Place {
    fn identity(&self, _: ImageKind, _: u8) -> u32 {
        0
    }

    fn accepts(&self, kind: ImageKind, index: u8) -> bool {
        index == 0 && self.takes >> kind.code() & 1 != 0
    }

    async fn init(&mut self, image: &Image<'_>, resume: u32) -> Result<u32, Never> {
        assert_eq!(resume, 0);
        self.asked = Some(image.kind);
        Ok(0)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<Written, Never> {
        self.came += bytes.len();
        Ok(Written::Committed(self.came as u32))
    }

    async fn digest(&mut self) -> Result<Checked, Never> {
        Ok(Checked { digest: Digest([0; 32]), assurance: Assurance::Hash })
    }

    async fn apply(&mut self, _: Proof) -> Result<Applied, Never> {
        Ok(Applied::AtReset)
    }

    async fn abort(&mut self) -> Result<(), Never> {
        Ok(())
    }
}
