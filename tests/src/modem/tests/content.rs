use super::*;
use crate::modem::{Content, DeltaHeader, FlashSegment, Manifest, ModemState, Scheduled, fill};
use sha2::{Digest, Sha256};

#[test]
fn a_fill_is_as_others_make_it() {
    // ((0x6000 + 4·i) ^ 2 << 28) · 0x9e3779b1, by another calculator.
    assert_eq!(fill(2, 0x6000, 10), *include_bytes!("fill.bin"));
    assert_eq!(fill(0, 0, 5), [0, 0, 0, 0, 0xc4]);
}

#[test]
fn a_delta_has_its_parts_where_the_format_says() {
    let file = DeltaFile::new(uuid(1), uuid(2)).payload(10).seed(3).build();
    assert_eq!(file[..8], *b"\x01\0\0\0meDu");
    assert_eq!((&file[8..44], &file[44..80]), (&uuid(1).0[..], &uuid(2).0[..]));
    assert_eq!((file.len(), &file[80..84]), (126, &[126, 0, 0, 0][..]));
    assert_eq!(Sha256::digest([&file[8..84], &file[116..]].concat())[..], file[84..116]);
    let header = DeltaHeader::of(&file).unwrap();
    assert_eq!((header.from, header.to, header.len), (uuid(1), uuid(2), 126));
    assert!(header.matches(&file));
    for at in (8..84).chain(116..126) {
        let mut spoilt = file.clone();
        spoilt[at] ^= 1;
        assert!(!DeltaHeader::of(&spoilt).is_some_and(|header| header.matches(&spoilt)), "{at}");
    }
    assert_ne!(file, DeltaFile::new(uuid(1), uuid(2)).payload(10).seed(4).build());
}

#[test]
fn a_full_update_has_its_parts_where_the_format_says() {
    let file = FullFile::small(uuid(7)).version(3, 4);
    let (bytes, wrapper, blob) = (file.build(), file.wrapper(), file.blob());
    assert_eq!(bytes, [&wrapper[..], &blob].concat());
    assert_eq!(wrapper[..9], [0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x24, 0xa0, 0x58]);
    let payload = &wrapper[10..wrapper.len() - 259];
    assert_eq!(usize::from(wrapper[9]), payload.len());
    assert_eq!(payload[..5], [0x84, 3, 4, 0x58, 32]);
    assert_eq!(payload[5..37], Sha256::digest(&blob)[..]);
    assert_eq!(payload[38..42], [26, 0x88, 0, 0x19]);
    assert_eq!(Manifest::decode(payload), Some(file.manifest()));
    assert_eq!(file.manifest().segments, [(0, 256), (0x5960_2000, 128), (0x6000, 600), (0x5_0000, 300)]);
    assert_eq!(blob[..256], fill(0, 0, 256));
    assert_eq!(blob[256..292], uuid(7).0);
    assert_eq!(blob[292..324], Sha256::digest(&blob[384..])[..]);
    assert_eq!(blob[324..384], fill(1, 0x5960_2000, 128)[68..]);
    assert_eq!(blob[384..], [fill(2, 0x6000, 600), fill(3, 0x5_0000, 300)].concat());
    let clear: Vec<u8> = blob[384..].iter().map(|byte| byte ^ 0x5a).collect();
    assert_eq!(file.digest().0, Sha256::digest(&clear)[..]);
    assert_eq!(FullFile::new(uuid(7)).blob().len(), 8192 + 2360 + 40_960 + 1_998_848 + 16_384);
}

#[test]
fn a_modem_comes_back_from_its_state_as_it_was() {
    let modem = normal();
    apply(&modem, &delta()).unwrap();
    modem.delta().rollback().unwrap();
    let state = modem.save();
    assert_eq!((state.scheduled, state.offset, state.area), (Some(Scheduled::Rollback), 716, 8192));
    let other = FakeModem::restore(&state);
    assert_eq!(other.save(), state);
    other.start_normal().unwrap();
    assert_eq!((other.running(), modem.running()), (uuid(1), uuid(2)));

    load(&modem, &FullFile::small(uuid(7)), 100).unwrap();
    let state = modem.save();
    assert_eq!(state.flash[0], FlashSegment { address: 0x6000, content: Content::Fill { segment: 2, len: 600 } });
    let other = FakeModem::restore(&state);
    assert_eq!((other.save(), other.running(), other.is_alive()), (state.clone(), uuid(7), true));

    modem.reload(&ModemState { alive: false, ..state.clone() });
    assert_eq!(modem.start_normal().map(drop), errno(Errno::Io));
}

#[cfg(feature = "serde")]
#[test]
fn a_state_is_short_in_a_file_and_comes_back() {
    let modem = normal();
    apply(&modem, &delta()).unwrap();
    load(&modem, &FullFile::new(uuid(7)), 8192).unwrap();
    let state = modem.save();
    let text = serde_json::to_string(&state).unwrap();
    assert!(text.len() < 8000, "{}", text.len());
    assert_eq!(serde_json::from_str::<ModemState>(&text).unwrap(), state);
    assert!(serde_json::from_str::<ModemState>(&text.replace("\"Bytes\":\"01", "\"Bytes\":\"0x")).is_err());
}
