//! Any bytes as the wrapper of a full modem update.
//!
//! What must hold: nothing panics. A wrapper is taken exactly if it is well formed by a plain reading with minicbor,
//! and what it is said to be is what that reading finds. Bytes behind it change nothing, and each cut of it is
//! truncated; a cut of what is refused is truncated, or refused for the same reason.
#![no_main]

use dfu_fuzz::Bytes;
use dfu_target::Digest;
use dfu_target_nrf_modem::{Segment, Wrapper, WrapperError};
use libfuzzer_sys::fuzz_target;
use minicbor::Decoder;
use minicbor::data::Tag;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let [shape, cut, more_cut, behind] = bytes.array();
    let mut file = match shape % 4 {
        0 => bytes.0.to_vec(),
        1 => wrapped(bytes.0),
        2 => wrapped(&manifest(bytes.byte().into(), bytes.0)),
        _ => wrapped(&manifest(0, &small(bytes))),
    };
    let len = file.len();
    file.resize(len + usize::from(behind) * 8, behind);
    let cut = usize::from(u16::from_le_bytes([cut, more_cut])) % (len + 1);

    let parsed = Wrapper::parse(&file);
    let plain = plain(&file);
    match &parsed {
        Ok(wrapper) => same(wrapper, &plain.expect("nothing else finds a wrapper in this"), &file),
        Err(error) => assert_eq!(plain, None, "{error}"),
    }
    if parsed == Err(WrapperError::Truncated) {
        assert!(file.len() < Wrapper::MAX_LEN);
    }

    let short = Wrapper::parse(&file[..cut]);
    let wrapper_len = parsed.map_or(usize::MAX, |wrapper| wrapper.len() as usize);
    if cut >= wrapper_len {
        assert_eq!(short, parsed);
    } else {
        assert!(short == Err(WrapperError::Truncated) || short == parsed, "{short:?} and then {parsed:?}");
        assert!(short.is_err());
    }
    if let Ok(wrapper) = parsed {
        let alone = wrapper.as_bytes();
        assert_eq!(Wrapper::parse(alone), parsed);
        assert_eq!(Wrapper::parse(&alone[..alone.len() - 1]), Err(WrapperError::Truncated));
        let total = u64::from(wrapper.len()) + u64::from(wrapper.blob_len());
        assert_eq!(u64::from(wrapper.total_len()), total);
    }
});

/// A file with this payload.
fn wrapped(payload: &[u8]) -> Vec<u8> {
    let head = [0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x24, 0xa0, 0x59];
    let len = (payload.len() as u16).to_be_bytes();
    [&head[..], &len, payload, &[0x59, 0x01, 0x00], &[0x5a; 256]].concat()
}

/// A payload with a list of so many numbers.
fn manifest(count: u16, numbers: &[u8]) -> Vec<u8> {
    let len = (numbers.len() as u16 + 3).to_be_bytes();
    let [high, low] = count.to_be_bytes();
    let (front, hash) = ([0x84, 0x01, 0x01, 0x58, 0x20], [0xc3; 32]);
    let mut payload = [&front[..], &hash, &[0x59], &len, &[0x99, high, low], numbers].concat();
    if count == 0 {
        // `small` says itself how many there are.
        let at = payload.len() - numbers.len();
        payload.drain(at - 3..at);
        payload[38..40].copy_from_slice(&(numbers.len() as u16).to_be_bytes());
    }
    payload
}

/// A list of short segments, of which few overlap.
fn small(mut bytes: Bytes<'_>) -> Vec<u8> {
    let mut numbers = Vec::new();
    let mut count = 0_u16;
    while !bytes.0.is_empty() && count < 270 {
        let [place, len] = bytes.array();
        numbers.extend([0x19, place, 0, len % 24]);
        count += 2;
    }
    let [high, low] = count.to_be_bytes();
    [&[0x99, high, low][..], &numbers].concat()
}

/// What a wrapper says.
#[derive(Debug, PartialEq)]
struct Plain<'a> {
    len: usize,
    protected: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
    version: u32,
    compat: u32,
    hash: [u8; 32],
    segments: Vec<Segment>,
}

/// A wrapper that is all there and well formed.
fn plain(file: &[u8]) -> Option<Plain<'_>> {
    let mut outer = Decoder::new(&file[..file.len().min(1024)]);
    if outer.tag().ok()? != Tag::new(18) || outer.array().ok()? != Some(4) {
        return None;
    }
    let protected = outer.bytes().ok()?;
    if outer.map().ok()? != Some(0) {
        return None;
    }
    let (payload, signature) = (outer.bytes().ok()?, outer.bytes().ok()?);
    let mut manifest = Decoder::new(payload);
    if manifest.array().ok()? != Some(4) {
        return None;
    }
    let (version, compat) = (manifest.u32().ok()?, manifest.u32().ok()?);
    let (hash, list) = (manifest.bytes().ok()?.try_into().ok()?, manifest.bytes().ok()?);
    let mut numbers = Decoder::new(list);
    let count = numbers.array().ok()??;
    let mut segments = Vec::new();
    for _ in 0..count.min(1000) / 2 {
        segments.push(Segment { address: numbers.u32().ok()?, len: numbers.u32().ok()? });
    }
    let ended = manifest.position() == payload.len() && numbers.position() == list.len();
    let right = protected == [0xa1, 1, 0x38, 0x24] && signature.len() == 256;
    let counted = count % 2 == 0 && (4..=256).contains(&count);
    let range = |segment: &Segment| u64::from(segment.address)..u64::from(segment.address) + u64::from(segment.len);
    let mut ranges: Vec<_> = segments.iter().skip(1).map(range).collect();
    ranges.sort_by_key(|range| range.start);
    let apart = ranges.windows(2).all(|pair| pair[0].end <= pair[1].start);
    let reachable = ranges.iter().all(|range| range.end <= u32::MAX.into());
    let filled = segments.iter().all(|segment| segment.len > 0);
    let len = outer.position();
    let total: u64 = len as u64 + segments.iter().map(|segment| u64::from(segment.len)).sum::<u64>();
    let sane = ended && right && counted && apart && reachable && filled && total <= u32::MAX.into();
    sane.then_some(Plain { len, protected, payload, signature, version, compat, hash, segments })
}

fn same(wrapper: &Wrapper<'_>, plain: &Plain<'_>, file: &[u8]) {
    assert_eq!(wrapper.as_bytes(), &file[..plain.len]);
    assert_eq!(wrapper.len() as usize, plain.len);
    assert_eq!(wrapper.protected(), plain.protected);
    assert_eq!(wrapper.payload(), plain.payload);
    assert_eq!(wrapper.signature(), plain.signature);
    assert_eq!((wrapper.version(), wrapper.compat()), (plain.version, plain.compat));
    assert_eq!(wrapper.blob_hash(), Digest(plain.hash));
    assert_eq!(wrapper.segments().len(), plain.segments.len());
    assert_eq!(wrapper.segments().collect::<Vec<_>>(), plain.segments);
    let sum: u64 = plain.segments.iter().map(|segment| u64::from(segment.len)).sum();
    assert_eq!(u64::from(wrapper.blob_len()), sum);
}
