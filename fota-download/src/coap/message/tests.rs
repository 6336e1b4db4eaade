use std::vec::Vec;

use coap_message::{MessageOption, MinimalWritableMessage, ReadableMessage};
use coap_message_implementations::inmemory::{self, MessageMut};

use super::*;

type Options = Vec<(u16, Vec<u8>)>;

/// In the order of their numbers, with lengths and distances around those where their form changes.
fn options(random: &mut fastrand::Rng) -> Options {
    let mut number = 0_u16;
    let mut list = Options::new();
    for _ in 0..random.usize(..8) {
        let step = *random.choice(&[0, 1, 3, 12, 13, 14, 268, 269, 270, 1_000, 40_000]).unwrap();
        let Some(next) = number.checked_add(step) else { break };
        number = next;
        let len = *random.choice(&[0, 1, 2, 5, 8, 12, 13, 14, 255, 268, 269, 270, 500]).unwrap();
        list.push((number, (0..len).map(|_| random.u8(..)).collect()));
    }
    list
}

fn ours(rest: &[u8]) -> Option<(Options, Vec<u8>)> {
    let (mut items, mut list, mut payload) = (Items::new(rest), Vec::new(), Vec::new());
    while let Some(item) = items.next()? {
        match item {
            Item::Option(number, value) => list.push((number, value.to_vec())),
            Item::Payload(bytes) => payload = bytes.to_vec(),
        }
    }
    Some((list, payload))
}

fn theirs(rest: &[u8]) -> (Options, Vec<u8>) {
    let message = inmemory::Message::new_from_slice(0, rest);
    let list = message.options().map(|option| (option.number(), option.value().to_vec())).collect();
    (list, message.payload().to_vec())
}

#[test]
fn what_is_written_is_read_by_the_known_crate() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..20_000 {
        let list = options(&mut random);
        let mut buf = [0; 6_000];
        let mut writer = Writer::new(&mut buf, 1, 0x1234, [1, 2, 3, 4]);
        list.iter().for_each(|(number, value)| writer.option(*number, value, Form::Plain));
        let len = writer.len();
        assert_eq!(buf[..8], [0x44, 1, 0x12, 0x34, 1, 2, 3, 4]);
        assert_eq!(theirs(&buf[8..len]), (list, Vec::new()));
        // What doesn't fit is counted, and nothing else.
        let room = random.usize(..len);
        let mut short = [0xee; 6_000];
        let mut writer = Writer::new(&mut short[..room], 1, 0x1234, [1, 2, 3, 4]);
        theirs(&buf[8..len]).0.iter().for_each(|(number, value)| writer.option(*number, value, Form::Plain));
        assert_eq!(writer.len(), len);
        assert!(short[room..].iter().all(|byte| *byte == 0xee));
    }
}

#[test]
fn what_the_known_crate_writes_is_read() {
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..20_000 {
        let (list, payload) = (options(&mut random), [7; 20]);
        let payload = &payload[..random.usize(..20)];
        let (mut code, mut tail) = (0, [0; 6_000]);
        let mut message = MessageMut::new_in_slice(&mut code, &mut tail);
        message.set_code(0x45);
        list.iter().for_each(|(number, value)| message.add_option(*number, value).unwrap());
        message.set_payload(payload).unwrap();
        let (len, _) = message.finish();
        assert_eq!(ours(&tail[..len]), Some((list, payload.to_vec())));
    }
}

#[test]
fn garbage_is_read_alike() {
    let mut random = fastrand::Rng::with_seed(3);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..200_000 {
        let rest: Vec<u8> = (0..random.usize(..30))
            .map(|_| if random.bool() { random.u8(..) } else { random.u8(..4) << 4 | random.u8(..4) })
            .collect();
        let _ = Message::parse(&rest);
        let _ = Answer::parse(&rest);
        match ours(&rest) {
            // The crate reads what comes before an error.
            None => bad += 1,
            Some(read) => {
                assert_eq!(theirs(&rest), read, "{rest:x?}");
                good += 1;
            }
        }
    }
    assert!(good > 10_000 && bad > 10_000, "{good} {bad}");
}

#[test]
fn messages_are_told_from_what_is_none() {
    let good = |bytes: &[u8]| {
        Message::parse(bytes).map(|message| (message.kind, message.code, message.id, message.token, message.rest))
    };
    assert_eq!(good(&[0x60, 0, 0x12, 0x34]), Some((ACK, 0, 0x1234, None, 4)));
    assert_eq!(good(&[0x44, 0x45, 1, 2, 9, 8, 7, 6, 0xff, 1]), Some((CON, 0x45, 0x102, Some(0x0908_0706), 8)));
    assert_eq!(good(&[0x41, 0x45, 1, 2, 9]), Some((CON, 0x45, 0x102, None, 5)));
    for bad in [
        &[][..],
        &[0x40, 1, 0],
        &[0x80, 1, 0, 0],
        &[0x44, 1, 0, 0, 1],
        &[0x49, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        &[0x60, 0, 0, 0, 0],
        &[0x61, 0, 0, 0, 0],
    ] {
        assert_eq!(good(bad), None, "{bad:x?}");
    }
}

#[test]
fn numbers_take_as_few_bytes_as_they_can() {
    for (value, bytes) in [(0, &[][..]), (1, &[1]), (256, &[1, 0]), (0x10000, &[1, 0, 0]), (u32::MAX, &[255; 4])] {
        let mut buf = [0; 20];
        let mut writer = Writer::new(&mut buf, 1, 0, [0; 4]);
        writer.number(12, value);
        let len = writer.len();
        assert_eq!((&buf[9..len], number(&buf[9..len])), (bytes, value));
    }
}
