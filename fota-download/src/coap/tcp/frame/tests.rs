use super::*;
use crate::coap::message::Writer;

#[test]
fn heads_are_read_as_the_rfc_writes_them() {
    for (bytes, code, token, tkl, len) in [
        (&[0x00, 0xe1][..], 0xe1, 2, 0, 0),
        (&[0x01, 0x43, 0x7f], 0x43, 2, 1, 0),
        (&[0xc4, 0x45, 1, 2, 3, 4], 0x45, 2, 4, 12),
        (&[0xd4, 0x00, 0x45, 1, 2, 3, 4], 0x45, 3, 4, 13),
        (&[0xd0, 0xff, 0x45], 0x45, 3, 0, 268),
        (&[0xe0, 0x00, 0x00, 0x45], 0x45, 4, 0, 269),
        (&[0xe8, 0xff, 0xff, 0x45, 1, 2, 3, 4, 5, 6, 7, 8], 0x45, 4, 8, 65_804),
        (&[0xf0, 0x00, 0x00, 0x00, 0x00, 0x45], 0x45, 6, 0, 65_805),
        (&[0xf1, 0x00, 0x04, 0x93, 0xe0, 0x45, 9], 0x45, 6, 1, 365_805),
        (&[0xf0, 0xff, 0xff, 0xff, 0xff, 0x45], 0x45, 6, 0, u32::MAX),
    ] {
        assert_eq!(Frame::parse(bytes), Some(Frame { code, token, tkl, len }), "{bytes:x?}");
        for end in 0..bytes.len() {
            assert_eq!(Frame::parse(&bytes[..end]), None, "{bytes:x?} {end}");
        }
        let longer = [bytes, &[0xff; 20]].concat();
        assert_eq!(Frame::parse(&longer), Some(Frame { code, token, tkl, len }));
    }
    // A token that is too long is said at once.
    assert_eq!(Frame::parse(&[0x09, 0x45]).map(|frame| frame.tkl), Some(9));
}

#[test]
fn frames_are_written_in_as_few_bytes_as_they_take() {
    for len in (0..300).chain([1_152, 65_000]) {
        let mut buf = [0; 20];
        let mut writer = Writer::over_tcp(&mut buf);
        writer.frame(len, 0x45, &[1, 2, 3]);
        let end = writer.len();
        let more = usize::from(len > 12) + usize::from(len > 268);
        let frame = Frame { code: 0x45, token: 2 + more, tkl: 3, len: len as u32 };
        assert_eq!(Frame::parse(&buf[..end]), Some(frame));
        assert_eq!((end, &buf[end - 3..end]), (5 + more, &[1, 2, 3][..]));
    }
}

#[test]
fn signals_say_what_they_say() {
    let none = Signal { message: None, other: None, critical: false, payload: 0 };
    for (bytes, signal) in [
        (&[][..], none),
        // Max-Message-Size 8 388 864, Block-Wise-Transfer, as libcoap sends them.
        (&[0x23, 0x80, 0x01, 0x00, 0x20], Signal { message: Some(0x80_0100), other: Some(0), payload: 5, ..none }),
        (&[0x40], Signal { other: Some(0), payload: 1, ..none }),
        (&[0x41, 30], Signal { other: Some(30), payload: 2, ..none }),
        (&[0x11, 7], Signal { critical: true, payload: 2, ..none }),
        (&[0x60, 0xff, b'x'], Signal { payload: 2, ..none }),
    ] {
        assert_eq!(Signal::parse(bytes), Some(signal), "{bytes:x?}");
    }
    for bytes in [&[0xff][..], &[0x23, 1], &[0xf0], &[0x2f]] {
        assert_eq!(Signal::parse(bytes), None, "{bytes:x?}");
    }
}
