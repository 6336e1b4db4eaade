use std::string::ToString;
use std::vec;
use std::vec::Vec;

use super::*;

/// A head, in the shortest form.
fn head(major: u8, value: u64) -> Vec<u8> {
    let major = major << 5;
    match value {
        0..24 => vec![major | value as u8],
        24..0x100 => vec![major | 24, value as u8],
        0x100..0x1_0000 => [&[major | 25][..], &(value as u16).to_be_bytes()].concat(),
        0x1_0000..0x1_0000_0000 => [&[major | 26][..], &(value as u32).to_be_bytes()].concat(),
        _ => [&[major | 27][..], &value.to_be_bytes()].concat(),
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [head(2, bytes.len() as u64), bytes.to_vec()].concat()
}

/// The parts of a wrapper, each to be spoilt: encoded, but for what is in a string.
#[derive(Clone)]
struct Parts {
    start: Vec<u8>,
    protected: Vec<u8>,
    unprotected: Vec<u8>,
    /// The manifest's head.
    manifest: Vec<u8>,
    version: Vec<u8>,
    compat: Vec<u8>,
    hash: Vec<u8>,
    /// The list's head.
    list: Vec<u8>,
    numbers: Vec<u8>,
    behind_list: Vec<u8>,
    behind_manifest: Vec<u8>,
    signature: Vec<u8>,
}

impl Parts {
    /// As published for 1.3.5, with a loader in front.
    fn new() -> Self {
        Self::of(&SEGMENTS)
    }

    fn of(segments: &[(u64, u64)]) -> Self {
        Self {
            start: [head(6, 18), head(4, 4)].concat(),
            protected: vec![0xa1, 0x01, 0x38, 0x24],
            unprotected: head(5, 0),
            manifest: head(4, 4),
            version: head(0, 1),
            compat: head(0, 2),
            hash: string(&[0x5c; 32]),
            list: head(4, (segments.len() as u64).saturating_mul(2)),
            numbers: segments.iter().flat_map(|(at, len)| [head(0, *at), head(0, *len)].concat()).collect(),
            behind_list: Vec::new(),
            behind_manifest: Vec::new(),
            signature: string(&[0x77; 256]),
        }
    }

    fn payload(&self) -> Vec<u8> {
        let list = string(&[&self.list[..], &self.numbers, &self.behind_list].concat());
        [&self.manifest[..], &self.version, &self.compat, &self.hash, &list, &self.behind_manifest].concat()
    }

    fn bytes(&self) -> Vec<u8> {
        let strings = [string(&self.protected), self.unprotected.clone(), string(&self.payload())].concat();
        [&self.start[..], &strings, &self.signature].concat()
    }
}

/// With some change.
fn with(change: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let mut parts = Parts::new();
    change(&mut parts);
    parts.bytes()
}

const SEGMENTS: [(u64, u64); 5] =
    [(0, 8192), (0x5960_2000, 2360), (0x6000, 40_960), (0x5_0000, 1_998_848), (0x27_c000, 16_384)];

#[test]
fn the_published_structure_is_read_as_it_is() {
    let parts = Parts::new();
    let bytes = parts.bytes();
    let file = [&bytes[..], b"the segments"].concat();
    let wrapper = Wrapper::parse(&file).unwrap();
    assert_eq!(wrapper.as_bytes(), bytes);
    assert_eq!(wrapper.len() as usize, bytes.len());
    assert_eq!((wrapper.version(), wrapper.compat()), (1, 2));
    assert_eq!(wrapper.blob_hash(), Digest([0x5c; 32]));
    assert_eq!((wrapper.blob_len(), wrapper.total_len()), (2_066_744, 2_066_744 + bytes.len() as u32));
    assert_eq!((wrapper.protected(), wrapper.payload()), (&parts.protected[..], &parts.payload()[..]));
    assert_eq!(wrapper.signature(), [0x77; 256]);
    let segments = wrapper.segments();
    assert_eq!(segments.len(), 5);
    let segments: Vec<_> = segments.map(|segment| (segment.address.into(), segment.len.into())).collect();
    assert_eq!(segments, SEGMENTS);
    assert_eq!(Wrapper::parse(&bytes), Ok(wrapper));
}

#[test]
fn it_is_truncated_at_each_byte_up_to_its_end() {
    let bytes = Parts::new().bytes();
    for len in 0..bytes.len() {
        assert_eq!(Wrapper::parse(&bytes[..len]), Err(WrapperError::Truncated), "{len}");
    }
}

#[test]
fn each_defect_has_a_name_of_its_own() {
    use WrapperError::*;
    let cases: [(&str, WrapperError, Vec<u8>); 53] = [
        ("an image of MCUboot", NotCose, vec![0x3d, 0xb8, 0xf3, 0x96]),
        ("no tag", NotCose, with(|parts| parts.start = head(4, 4))),
        ("another tag", NotCose, with(|parts| parts.start[0] = 0xd1)),
        ("a reserved head", NotCose, with(|parts| parts.start[0] = 0xdc)),
        ("three parts", NotCose, with(|parts| parts.start[1] = 0x83)),
        ("five parts", NotCose, with(|parts| parts.start[1] = 0x85)),
        ("parts without a number", Indefinite, with(|parts| parts.start[1] = 0x9f)),
        ("a number for the header", NotCose, [&[0xd2, 0x84, 0x00][..], &[0; 400]].concat()),
        ("a negative number for the header", NotCose, vec![0xd2, 0x84, 0x38]),
        ("a header without a length", Indefinite, [&[0xd2, 0x84, 0x5f][..], &[0; 400]].concat()),
        ("another algorithm", Algorithm, with(|parts| parts.protected[3] = 0x25)),
        ("no algorithm", Algorithm, with(|parts| parts.protected.clear())),
        ("a short header", Algorithm, with(|parts| parts.protected.truncate(3))),
        ("more in the header", Algorithm, with(|parts| parts.protected = vec![0xa2, 1, 0x38, 0x24, 4, 0x40])),
        ("a key's name", Unprotected, with(|parts| parts.unprotected = vec![0xa1, 0x04, 0x40])),
        ("an open map", Indefinite, with(|parts| parts.unprotected = vec![0xbf, 0xff])),
        ("a list for a map", NotCose, with(|parts| parts.unprotected = vec![0x80])),
        ("a text for the payload", NotCose, [&HEAD[..], &[0x78, 0x40]].concat()),
        ("a payload without a length", Indefinite, [&HEAD[..], &[0x5f]].concat()),
        ("a payload of 64 KiB", TooLong, [&HEAD[..], &[0x59, 0xff, 0xff]].concat()),
        ("a payload of 4 GiB", TooLong, [&HEAD[..], &[0x5a, 0xff, 0xff, 0xff, 0xff]].concat()),
        ("a payload of all there is", TooLong, [&HEAD[..], &[0x5b], &[0xff; 8]].concat()),
        ("a reserved length", NotCose, [&HEAD[..], &[0x5c]].concat()),
        ("no room for the signature", TooLong, [&HEAD[..], &[0x59, 2, 0xf3]].concat()),
        ("three parts in the manifest", Manifest, with(|parts| parts.manifest[0] = 0x83)),
        ("five parts in the manifest", Manifest, with(|parts| parts.manifest[0] = 0x85)),
        ("an open manifest", Indefinite, with(|parts| parts.manifest[0] = 0x9f)),
        ("a map for the manifest", Manifest, with(|parts| parts.manifest[0] = 0xa2)),
        ("a negative version", Manifest, with(|parts| parts.version = vec![0x20])),
        ("a version of 33 bits", Manifest, with(|parts| parts.version = head(0, 1 << 32))),
        ("a text for compat", Manifest, with(|parts| parts.compat = vec![0x61, b'a'])),
        ("a hash of 31 bytes", HashLength(31), with(|parts| parts.hash = string(&[0; 31]))),
        ("a hash of 64 bytes", HashLength(64), with(|parts| parts.hash = string(&[0; 64]))),
        ("a hash without a length", Indefinite, with(|parts| parts.hash[0] = 0x5f)),
        ("a hash longer than the payload", Manifest, with(|parts| parts.hash = head(2, 400))),
        ("bytes behind the manifest", ManifestTrailing, with(|parts| parts.behind_manifest = vec![0])),
        ("bytes behind the list", SegmentsTrailing, with(|parts| parts.behind_list = vec![0])),
        ("an open list", Indefinite, with(|parts| parts.list = vec![0x9f])),
        ("a map for the list", Segments, with(|parts| parts.list = vec![0xa5])),
        ("a negative address", Segments, with(|parts| parts.numbers[0] = 0x20)),
        ("an address of 33 bits", Segments, Parts::of(&[(0, 8), (1 << 32, 1)]).bytes()),
        ("a list that ends early", Segments, with(|parts| parts.list = head(4, 12))),
        ("a list that goes on", SegmentsTrailing, with(|parts| parts.list = head(4, 8))),
        ("an address of a reserved form", Segments, with(|parts| parts.numbers[0] = 0x1f)),
        ("a list longer than the payload", Manifest, {
            let mut bytes = Parts::new().bytes();
            let at = bytes.windows(3).position(|bytes| bytes == [0x5c, 0x5c, 0x58]).unwrap();
            bytes[at + 3] += 1;
            bytes
        }),
        ("nine numbers", OddSegments, with(|parts| parts.list = head(4, 9))),
        ("no segment", NoSegments, Parts::of(&[]).bytes()),
        ("the loader alone", NoSegments, Parts::of(&SEGMENTS[..1]).bytes()),
        ("129 segments", TooManySegments, with(|parts| parts.list = head(4, 258))),
        ("all segments there are", TooManySegments, with(|parts| parts.list = head(4, u64::MAX))),
        ("a short signature", Signature(255), with(|parts| parts.signature = string(&[0; 255]))),
        ("a signature of RSA-3072", Signature(384), with(|parts| parts.signature = string(&[0; 384]))),
        ("a text for the signature", NotCose, with(|parts| parts.signature[0] = 0x79)),
    ];
    for (name, error, bytes) in cases {
        // Not cured by more.
        for behind in [0, 2000] {
            let bytes = [&bytes[..], &vec![0xff; behind]].concat();
            assert_eq!(Wrapper::parse(&bytes), Err(error), "{name}");
        }
    }
}

#[test]
fn segments_are_held_to_sane_ranges() {
    use WrapperError::*;
    let top = u64::from(u32::MAX);
    type Case<'a> = (&'a [(u64, u64)], Result<u32, WrapperError>);
    let cases: [Case<'_>; 15] = [
        (&[(0, 8), (0, 8)], Ok(16)),
        (&[(top, 8), (0, 8)], Ok(16)),
        (&[(0, 8), (top - 8, 8)], Ok(16)),
        (&[(0, 8), (top - 7, 8)], Err(SegmentOverflow(1))),
        (&[(0, 8), (1, top)], Err(SegmentOverflow(1))),
        (&[(0, 0), (0, 8)], Err(SegmentEmpty(0))),
        (&[(0, 8), (0x100, 8), (0x200, 0)], Err(SegmentEmpty(2))),
        (&[(0, 8), (0x100, 8), (0x108, 8), (0xf8, 8)], Ok(32)),
        (&[(0, 8), (0x100, 8), (0x107, 8)], Err(SegmentOverlap(2))),
        (&[(0, 8), (0x100, 8), (0x200, 8), (0xf9, 8)], Err(SegmentOverlap(3))),
        (&[(0, 8), (0x100, 8), (0x200, 8), (0x80, 0x400)], Err(SegmentOverlap(3))),
        (&[(0, 8), (0x100, 8), (0x104, 1)], Err(SegmentOverlap(2))),
        (&[(0, 8), (0x100, 8), (0x100, 8)], Err(SegmentOverlap(2))),
        (&[(0, 8), (0, top)], Err(BlobOverflow)),
        // The wrapper in front of it is too much.
        (&[(0, 8), (0, top - 100)], Err(BlobOverflow)),
    ];
    for (segments, expected) in cases {
        let bytes = Parts::of(segments).bytes();
        assert_eq!(Wrapper::parse(&bytes).map(|wrapper| wrapper.blob_len()), expected, "{segments:?}");
    }
}

#[test]
fn lists_of_each_size_are_taken_up_to_the_most() {
    for count in 0..=130 {
        // The most short of 256 have a length of two bytes, and the wrapper stays short.
        let segments: Vec<_> = (0..count).map(|nth| (nth * 8, 8)).collect();
        let parsed = Wrapper::parse(&Parts::of(&segments).bytes())
            .map(|wrapper| wrapper.segments().map(|segment| (segment.address.into(), segment.len.into())).collect());
        let expected = match count {
            0..2 => Err(WrapperError::NoSegments),
            2..129 => Ok(segments),
            _ => Err(WrapperError::TooManySegments),
        };
        assert_eq!(parsed, expected, "{count}");
    }
}

#[test]
fn the_longest_wrapper_is_taken_and_one_byte_more_is_not() {
    // Small numbers in forms of up to nine bytes make any length.
    let forms =
        [vec![1], vec![0x18, 1], vec![0x19, 0, 1], vec![0x1a, 0, 0, 0, 1], [&[0x1b][..], &[0; 7], &[1]].concat()];
    let mut lens = Vec::new();
    for count in 117..121 {
        // Numbers of three bytes.
        let mut parts = Parts::of(&(0..count).map(|nth| (0x100 * (nth + 1), 0x100)).collect::<Vec<_>>());
        for version in &forms {
            for compat in &forms {
                (parts.version, parts.compat) = (version.clone(), compat.clone());
                let bytes = parts.bytes();
                let expected = if bytes.len() <= 1024 { Ok(bytes.len() as u32) } else { Err(WrapperError::TooLong) };
                assert_eq!(Wrapper::parse(&bytes).map(|wrapper| wrapper.len()), expected, "{}", bytes.len());
                lens.push(bytes.len());
            }
        }
    }
    assert!(lens.contains(&1024) && lens.contains(&1025), "{lens:?}");
}

#[test]
fn numbers_may_be_longer_than_they_need_to_be() {
    let bytes = with(|parts| {
        parts.start = vec![0xd8, 18, 0x98, 4];
        parts.unprotected = vec![0xb8, 0];
        parts.version = vec![0x1b, 0, 0, 0, 0, 0, 0, 0, 1];
        parts.hash = [&[0x59, 0, 32][..], &[0x5c; 32]].concat();
        parts.list = vec![0x99, 0, 10];
        parts.signature = [&[0x59, 1, 0][..], &[0x77; 256]].concat();
    });
    let (long, short) = (Wrapper::parse(&bytes).unwrap(), Parts::new().bytes());
    assert!(long.segments().eq(Wrapper::parse(&short).unwrap().segments()));
    for len in 0..bytes.len() {
        assert_eq!(Wrapper::parse(&bytes[..len]), Err(WrapperError::Truncated), "{len}");
    }
}

#[test]
fn any_byte_changed_is_refused_or_read_as_something_sound() {
    let bytes = Parts::new().bytes();
    for at in 0..bytes.len() {
        for value in 0..=255 {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            let Ok(wrapper) = Wrapper::parse(&bytes) else { continue };
            let sum: u64 = wrapper.segments().map(|segment| u64::from(segment.len)).sum();
            assert_eq!((sum, wrapper.segments().count()), (wrapper.blob_len().into(), wrapper.segments().len()));
        }
    }
}

#[test]
fn what_is_wrong_is_said_in_a_sentence() {
    use WrapperError::*;
    for (error, text) in [
        (Truncated, "the wrapper is not all there"),
        (TooLong, "the wrapper is longer than 1024 bytes"),
        (NotCose, "the wrapper is no COSE_Sign1"),
        (Indefinite, "the wrapper leaves a length open"),
        (Algorithm, "the wrapper is not signed with PS256"),
        (Unprotected, "the wrapper's unprotected header is not empty"),
        (Signature(384), "the wrapper's signature has 384 bytes instead of 256"),
        (Manifest, "the wrapper's manifest is damaged"),
        (ManifestTrailing, "bytes follow the wrapper's manifest"),
        (HashLength(20), "the hash of the segments has 20 bytes instead of 32"),
        (Segments, "the list of the segments is damaged"),
        (SegmentsTrailing, "bytes follow the list of the segments"),
        (OddSegments, "the last segment has no length"),
        (NoSegments, "there are not a loader and a segment of firmware"),
        (TooManySegments, "there are more than 128 segments"),
        (SegmentEmpty(1), "segment 1 is empty"),
        (SegmentOverflow(2), "segment 2 ends behind the last address"),
        (SegmentOverlap(3), "segment 3 overlaps one before it"),
        (BlobOverflow, "the segments take more than 32 bits"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

/// What is in front of the payload.
const HEAD: [u8; 8] = [0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x24, 0xa0];
