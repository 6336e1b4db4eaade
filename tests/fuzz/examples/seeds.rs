//! Writes the first inputs of each target into `corpus/`: imgtool's small images, images of every kind that rules
//! ask for, trailers and states of each mode, heads, records, traces, and what a device can go through.

use std::fs;
use std::path::Path;

use dfu_testkit::fixture::Fixture;
use dfu_testkit::flash::{Chip, Fault, SimFlash};
use dfu_testkit::image::{ImageBuilder, ImageFile, SEC_CNT, SHA256, Version};
use dfu_testkit::poll::run;
use dfu_testkit::record::Record;
use dfu_testkit::trace::{Geometry, Ram, Recorder, Traced};
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
use sha2::{Digest, Sha512};

fn main() {
    heads();
    records();
    courses();
    images();
    trailers();
    states();
    signatures();
    wrappers();
    answers();
    datagrams();
    streams();
    traces();
}

/// Which magic is put in front, what the two targets take, where it is cut; sizes of pieces, another version.
fn heads() {
    let image = ImageBuilder::new().header_size(32).payload(40).version(1, 2, 3, 4).build();
    let wrapper = include_bytes!("../../fixtures/modem-full.wrapper");
    let delta = *b"\x01\0\0\0meDu and what is encrypted";
    let page = b"<!DOCTYPE html><html><body>404</body></html>";
    let front = [0, 0x0e, 2, 20, 9, 30, 0, 70, 0x55];
    let files: [(&str, &[u8]); 5] =
        [("image", &image), ("wrapper", &wrapper[..90]), ("delta", &delta), ("page", page), ("short", &image[..31])];
    for (name, bytes) in files {
        save("head", name, &[&front, bytes].concat());
    }
    for magic in 1..5 {
        let front = [magic, 1 << magic, 0, 20, 9, 30, 0, 70, 0xaa];
        save("head", &format!("magic-{magic}"), &[&front[..], &[0x59; 40]].concat());
    }
    // Each size as large as it can be, and the sum one too many.
    for (name, size) in [("longest", u32::MAX - 64), ("overflow", u32::MAX - 63)] {
        let sizes =
            [&[0; 4][..], &32_u16.to_le_bytes(), &32_u16.to_le_bytes(), &size.to_le_bytes(), &[0xff; 48]].concat();
        save("head", name, &[&[1, 2, 0, 20, 9, 30, 0, 70, 0xaa], &sizes[..]].concat());
    }
}

/// Geometry, or a record alone; how the units are filled, calls; then the bytes or the shapes of records.
fn records() {
    let progress = Record { offset: 4096, size: Some(9000), head: vec![7; 64], ..Record::default() }.progress();
    save("record", "form", &[&[0x80], &progress.as_bytes()[..]].concat());
    let calls = [0, 0x0a, 0x12, 0, 0x16, 0];
    for geometry in 0..6 {
        save("record", &format!("blank-{geometry}"), &[&[geometry, 0], &calls[..]].concat());
        let chain = [0, 0x11, 0, 0, 1, 0x22, 0, 0, 1, 0x33, 0, 0, 1, 0x44, 0, 0];
        let other = [9, 0, 0x55, 0, 0, 1, 0x66, 0, 0, 0x61, 0x77, 9, 1];
        save("record", &format!("chains-{geometry}"), &[&[geometry, 0x36], &calls[..], &[3], &chain, &other].concat());
        save("record", &format!("older-{geometry}"), &[&[geometry, 0x36], &calls[..], &[90], &chain, &other].concat());
        save("record", &format!("high-{geometry}"), &[&[geometry, 0x7e], &calls[..], &[9], &chain, &other].concat());
        // The second unit begins with a short record of the first one's, which is full.
        let (unit, step) = [(256, 1), (256, 4), (512, 1), (512, 16), (256, 32), (1024, 512)][usize::from(geometry)];
        let shorts = (unit - 164_usize.next_multiple_of(step)).div_ceil(16_usize.next_multiple_of(step));
        let full = [&chain[..4], &[1, 0, 0, 0].repeat(shorts)].concat();
        let orphan = [&[geometry, 0x36], &calls[..], &[3], &full, &[90], &[1; 40]].concat();
        save("record", &format!("orphan-{geometry}"), &orphan);
        save("record", &format!("raw-{geometry}"), &[&[geometry, 0x24], &calls[..], &[0x5a; 70]].concat());
    }
}

/// Geometry, mode, options; for each life which file, how it is asked for, what comes before; then calls of three bytes.
fn courses() {
    const END: [u8; 3] = [0; 3];
    const BEGIN: [u8; 3] = [1, 0, 0];
    const ALL: [u8; 3] = [8, 20, 1];
    const SOME: [u8; 3] = [5, 200, 0];
    const FINISH: [u8; 3] = [15, 0, 0];
    const GO_ON: [u8; 3] = [5, 0, 0];
    let whole = [BEGIN, ALL, FINISH, GO_ON, GO_ON, END];
    for mode in 0..8 {
        let update = |wanted: u8, actions: u8| [&[wanted, 0, actions][..], whole.as_flattened()].concat();
        let front = [mode % 4, mode, mode * 5];
        save("session", &format!("two-{mode}"), &[&front[..], &update(1, 0), &update(2, 1), &update(3, 1)].concat());
        save("session", &format!("back-{mode}"), &[&front[..], &update(2, 4), &update(2, 4), &update(1, 1)].concat());
        for (name, kind, after) in [("cut", 3, 30), ("failed", 7, 12), ("silent", 11, 20), ("flipped", 14, 15)] {
            let calls = [[3, kind, after], BEGIN, ALL, FINISH, GO_ON, GO_ON, END];
            let again = [BEGIN, SOME, [11, 0, 0], SOME, [4, 5, 0], ALL, [11, 0, 0], ALL, FINISH, GO_ON, GO_ON, END];
            let lives = [&[2, 0, 0][..], calls.as_flattened(), &[2, 0, 1], again.as_flattened()].concat();
            save("session", &format!("{name}-{mode}"), &[&front[..], &lives].concat());
        }
        let calls =
            [BEGIN, SOME, [12, 0, 0], SOME, [7, 30, 9], [10, 0, 0], [13, 0, 0], ALL, [14, 0, 0], [14, 1, 0], END];
        let wrong: Vec<u8> = (3..8).flat_map(|wanted| [&[wanted, 1, 0][..], calls.as_flattened()].concat()).collect();
        save("session", &format!("wrong-{mode}"), &[&front[..], &wrong].concat());
        let named = [&[1, 9, 0][..], &[BEGIN, SOME, END].as_flattened(), &[2, 9, 0], whole.as_flattened()].concat();
        save("session", &format!("named-{mode}"), &[&front[..], &named].concat());
    }
    // The store fails amid a look at it, behind an older record.
    let again = [[3, 7, 35], BEGIN, BEGIN, END];
    let lives = [&[2, 0, 4][..], whole.as_flattened(), &[5, 0, 0], &[BEGIN, END].as_flattened(), &[2, 0, 1]].concat();
    save("session", "half-read", &[&[3, 3, 15][..], &lives, again.as_flattened()].concat());
}

/// Geometry, mode, align, options, a spare one; rules, options, chunks, cut.
fn images() {
    let plain = || ImageBuilder::new().header_size(32).payload(60).version(2, 0, 0, 0);
    let keyed = |builder: ImageBuilder| builder.unprotected(0x01, &[0; 32]).unprotected(0x21, &[0; 8]);
    let ruled = plain()
        .protected(SEC_CNT, &9_u32.to_le_bytes())
        .protected(0x74, b"sixteen letters.")
        .protected(0x75, b"sixteen letters.")
        .needs(1, Version { major: 1, ..Version::default() });
    let wide = |image: &ImageFile| Sha512::digest(&image[image.hashed()]).to_vec();
    let once = plain().payload(30).build();
    let images: [(&str, u8, ImageFile); 9] = [
        ("plain", 0, plain().build()),
        ("empty", 0, plain().payload(0).build()),
        ("long", 0, plain().total_size(600).build()),
        ("ram", 0, plain().flags(0x20).build()),
        ("rules", 0x11, ruled.build()),
        ("needs", 0x21, ruled.build()),
        ("class", 0x31, ruled.build()),
        ("signed", 2, keyed(ruled.clone()).build()),
        ("wide", 7, plain().payload(30).unprotected(0x12, &wide(&once)).build()),
    ];
    for (nth, (name, rules, image)) in images.iter().enumerate() {
        let mode = if *name == "ram" { 6 } else { nth as u8 % 4 };
        save("image", name, &[&[nth as u8 % 3, mode, 0, 0, 0, *rules, 0, 70, 33, 3], &image[..]].concat());
    }
    let placed = plain().flags(0x20).load_addr(0x2000_0000).unprotected(0x22, &[0; 280]);
    save("image", "placed", &[&[0, 6, 0, 32, 0, 0, 1, 70, 33, 3], &placed.build()[..]].concat());
    let pure = keyed(plain()).unprotected(0x25, &[1]).build();
    save("image", "pure", &[&[1, 0, 0, 8, 0, 3, 0, 70, 33, 0], &pure[..]].concat());
    // What imgtool wrote behind a payload, behind a short one.
    for name in ["tlv-all", "sig-rsa-2048", "sig-ed25519-pure"] {
        let fixture = Fixture::named(name);
        let bytes = fixture.bytes();
        let number = |column| fixture.number(column) as usize;
        let (header, payload) = (number("header_size"), number("payload_size"));
        let mut short = bytes[..32].to_vec();
        short[8..10].copy_from_slice(&32_u16.to_le_bytes());
        short[12..16].copy_from_slice(&16_u32.to_le_bytes());
        short.extend(&bytes[header..header + 16]);
        short.extend(&bytes[header + payload..]);
        assert!(short.len() < 1000, "{name} has {} bytes", short.len());
        save("image", name, &[&[1, 0, 0, 8, 0, 0, 0, 70, 33, 0], &short[..]].concat());
    }
    let refused = [
        ("twice", plain().unprotected(SHA256, &[1; 32]).build()),
        ("longer", plain().build().extended(&[0xff])),
        ("shorter", plain().build().truncated(120)),
        ("none", plain().without_hash().build()),
        ("listed", plain().unprotected(0xa0, b"custom").build()),
    ];
    // Another length than in the header; the hash is mended.
    let both = plain().payload(20).protected(0xa0, &[0x07, 0x69, 44, 0]).unprotected(0x22, &[0; 4]).build();
    for (name, length) in [("area-short", 8_u8), ("area-long", 14), ("area-none", 0)] {
        save("image", name, &[&[0, 0, 0, 0, 0, 0, 0, 70, 33, 0], &both.clone().patched(54, &[length])[..]].concat());
    }
    for (name, image) in refused {
        save("image", name, &[&[0, 0, 0, 0, 0, 0, 2, 70, 33, 0], &image[..]].concat());
    }
}

/// Geometry, mode, align, options, a spare one; options, what is stored, from where on, shapes; then the flags.
fn trailers() {
    for mode in 0..8 {
        for (name, shapes, flags) in [
            ("blank", 0x00, [0xff; 6]),
            ("request", 0x08, [0xff, 0xff, 2, 0xff, 0xff, 0xff]),
            ("trial", 0x01, [0xff, 1, 2, 0xff, 0xff, 0xff]),
            ("raw", 0x24, [0x55; 6]),
        ] {
            let front = [mode % 4, mode, mode / 3, mode & 1, 0, 0x0e, 3, 40, shapes];
            save("trailer", &format!("{name}-{mode}"), &[&front[..], &flags].concat());
            let front = [mode % 4, mode, mode / 3, mode & 1, 0, 0x38, 3, 80, shapes];
            save("trailer", &format!("{name}-{mode}-again"), &[&front[..], &flags].concat());
        }
    }
}

/// Geometry, mode, align, options, a spare one; options; then slots: shape, version, magic, flags, place, noise.
fn states() {
    let (old, new) = ([2, 0x08, 2, 1, 1, 2, 0, 0], [2, 0x11, 2, 0, 0, 2, 0, 0]);
    let (trial, empty) = ([2, 0x12, 2, 0, 1, 2, 0, 0], [0; 8]);
    for mode in 0..8 {
        for (name, first, second) in
            [("pending", old, new), ("trial", trial, old), ("alone", old, empty), ("old", new, old)]
        {
            let front = [mode % 4, mode, mode / 3, 0, 0, mode & 3];
            save("state", &format!("{name}-{mode}"), &[&front[..], &first, &second, &new].concat());
        }
    }
}

/// Scheme, what is spoilt of the key, how; a hash, and a signature.
fn signatures() {
    let signed = [
        ("sig-ecdsa-p256", 0x22),
        ("sig-ed25519", 0x24),
        ("sig-ed25519-pure", 0x24),
        ("sig-rsa-2048", 0x20),
        ("sig-rsa-3072", 0x23),
    ];
    for (scheme, (name, kind)) in signed.into_iter().enumerate() {
        let fixture = Fixture::named(name);
        let tlvs = &fixture.bytes()[fixture.bytes().len() - fixture.number("tlv_size") as usize + 4..];
        let mut tlvs = tlvs.to_vec();
        loop {
            let (found, len) = (u16::from_le_bytes([tlvs[0], tlvs[1]]), u16::from_le_bytes([tlvs[2], tlvs[3]]));
            let value: Vec<u8> = tlvs.drain(..4 + usize::from(len)).skip(4).collect();
            if found == kind {
                // Over another hash.
                save("signature", name, &[&[scheme as u8, 0, 0], &[7; 32][..], &value].concat());
                save(
                    "signature",
                    &format!("{name}-key"),
                    &[&[scheme as u8, 1, 0, 9, 1], &[7; 32][..], &value].concat(),
                );
                break;
            }
        }
    }
}

/// How much is mended, where it is cut, what follows; then the bytes.
fn wrappers() {
    let wrapper = include_bytes!("../../fixtures/modem-full.wrapper");
    // In front of the payload is its head, behind it the signature.
    let payload = &wrapper[10..wrapper.len() - 259];
    // In front of the numbers are the manifest's head, two numbers, the hash, the list's own head and that of its string.
    let numbers = &payload[40..];
    save("wrapper", "whole", &[&[0, 0, 0, 0], &wrapper[..]].concat());
    save("wrapper", "whole-behind", &[&[0, 100, 0, 4], &wrapper[..]].concat());
    save("wrapper", "payload", &[&[1, 80, 0, 0], payload].concat());
    save("wrapper", "numbers", &[&[2, 60, 0, 0, 10], numbers].concat());
    let other = [0x18, 0x40, 0x10, 0x18, 0x50, 0x10, 0x18, 0x48, 8];
    save("wrapper", "three", &[&[2, 60, 0, 1, 8, 0, 16], &other[..]].concat());
    save("wrapper", "lists", &[&[3, 9, 0, 0], &[0xff; 600][..]].concat());
    save("wrapper", "none", &[0, 0, 0, 0]);
}

/// Options, pieces, steps, a number; then what each connection gives, and how it ends.
fn answers() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nETag: \"v1\"\r\n\r\n0123456789ab";
    let part =
        "HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\nContent-Range: bytes 10-11/12\r\nETag: \"v1\"\r\n\r\nab";
    let other = part.replace("v1", "v2");
    let beyond = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */10\r\n\r\n";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\na\r\n56789abcde\r\n0\r\n\r\n";
    let fields = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n012\r\n0\r\nA: b\r\n\r\n";
    let to_close = "HTTP/1.0 200 OK\r\nLast-Modified: Sat, 21 Nov 2026 17:49:08 GMT\r\n\r\n0123456789";
    let moved = "HTTP/1.1 302 Found\r\nLocation: //b.example:81/x?y\r\nContent-Length: 0\r\n\r\n";
    let secure = "HTTP/1.1 308 x\r\nLocation: https://b.example/z\r\n\r\n";
    let down = "HTTP/1.1 307 x\r\nLocation: http://a.example/z\r\n\r\n";
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\n";
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n<a>";
    let stretch = "HTTP/1.1 206 x\r\nContent-Range: bytes 0-5/12\r\nETag: \"v1\"\r\n\r\n012345HTTP/1.1 206 x\r\nContent-Range: bytes 6-11/12\r\nETag: \"v1\"\r\n\r\n6789ab";
    let (close, reset, too_big) = (0_u8, 1_u8, 2_u8);
    let cases: [(&str, u8, [u8; 6], &[(u8, &str)]); 16] = [
        ("whole", 0, [0, 5, 2, 2, 0, 1], &[(close, whole)]),
        ("part", 0, [0, 2, 12, 0x80, 2, 2], &[(reset, whole), (close, part)]),
        ("other", 0, [0, 2, 2, 0, 2, 3], &[(reset, whole), (close, &other), (reset, whole)]),
        ("beyond", 0, [2, 2, 0, 3, 4, 5], &[(close, beyond), (close, beyond), (close, whole)]),
        ("kept", 4, [0, 0, 2, 2, 0, 0], &[(close, &[whole, whole, part, whole].concat())]),
        ("chunks", 0, [0, 10, 20, 0, 5, 60], &[(close, chunks)]),
        ("fields", 12, [0, 10, 5, 0, 5, 60], &[(close, fields)]),
        ("to-close", 0, [0, 10, 1, 2, 5, 60], &[(close, to_close)]),
        ("moved", 0, [0, 2, 2, 0, 5, 60], &[(close, moved), (close, whole), (close, part)]),
        ("round", 0, [0, 2, 2, 0, 5, 60], &[(close, moved)]),
        ("secure", 1, [0, 2, 2, 0, 5, 60], &[(close, secure), (close, whole), (close, moved)]),
        ("down", 3, [0, 2, 2, 0, 5, 60], &[(close, down), (close, whole)]),
        ("down-later", 1, [0, 2, 2, 0, 5, 60], &[(close, secure), (close, down), (close, whole)]),
        ("busy", 0, [0, 2, 2, 0, 5, 60], &[(close, busy), (close, page), (close, whole)]),
        ("records", 3, [0, 5, 5, 12, 5, 5], &[(too_big, ""), (too_big, ""), (close, stretch), (too_big, stretch)]),
        ("limit", 0x4b, [0, 10, 10, 0x80, 0, 0], &[(too_big, stretch), (close, stretch)]),
    ];
    for (name, options, steps, scripts) in cases {
        let mut bytes = vec![options, 255, 100, 1, 7];
        bytes.extend(steps);
        bytes.extend(6_u32.to_le_bytes());
        let scripts: Vec<Vec<u8>> = scripts.iter().map(|(then, text)| [&[*then], text.as_bytes()].concat()).collect();
        bytes.extend(scripts.join(&0xfe));
        save("http", name, &bytes);
    }
}

/// Options, block, window, room, retransmissions, length of the `ETag`; lengths of the file, steps, seed; then what
/// becomes of each request.
fn datagrams() {
    let cases: [(&str, [u8; 6], [u8; 2], [u8; 4], &[u8]); 12] = [
        ("whole", [0, 1, 0, 9, 4, 7], [60, 61], [0, 2, 8, 30], &[]),
        ("window", [0, 0, 7, 99, 4, 7], [90, 61], [0, 2, 8, 30], &[]),
        ("lost", [0, 1, 3, 60, 4, 7], [60, 61], [0, 2, 8, 30], &[0, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 0, 1]),
        ("late", [2, 1, 3, 60, 2, 3], [60, 61], [0, 2, 8, 30], &[0, 0xf3, 0x13, 0xf2, 0x32, 0x43, 0, 0xf3]),
        ("other", [0, 1, 0, 60, 2, 7], [60, 60], [0, 2, 8, 30], &[0, 0, 0, 4, 0, 0, 0, 0, 4]),
        ("shorter", [4, 1, 7, 60, 2, 0], [60, 20], [0, 2, 40, 30], &[0, 0, 0, 4, 0, 0, 0, 0, 4]),
        ("nameless", [3, 1, 7, 60, 2, 0], [60, 20], [0, 1, 40, 43], &[0, 0, 8, 8, 0]),
        ("beyond", [10, 2, 7, 60, 2, 0], [60, 20], [127, 1, 40, 43], &[0, 8, 8, 8, 0]),
        ("separate", [0, 1, 2, 60, 2, 0], [60, 20], [0, 1, 40, 43], &[9, 0x49, 0x59, 0x69, 0xf9, 14, 0x19, 9]),
        ("smaller", [0, 3, 2, 200, 2, 0], [200, 20], [0, 2, 40, 43], &[0, 0x1c, 0, 0, 0x0c, 0, 0, 0x6c]),
        ("refused", [0, 3, 2, 200, 2, 0], [200, 20], [0, 2, 40, 43], &[0, 0x0b, 0, 0x1b, 0x2b, 10, 4, 0, 13]),
        (
            "mutated",
            [0, 3, 2, 200, 2, 7],
            [200, 20],
            [0, 2, 40, 43],
            &[6, 9, 1, 0, 6, 20, 8, 0x17, 4, 0xc1, 0, 0xff, 7, 7, 2, 0x60, 0],
        ),
    ];
    for (name, options, lens, steps, script) in cases {
        save("coap", name, &[&options[..], &lens, &steps, &[1, 2, 3, 4, 5, 6, 7, 8], script].concat());
    }
}

/// Length of the file, what more there is to it, `ETag`, blocks, BERT, window, piece, block, message; a third for what is
/// done, the rest for what becomes of each request.
fn streams() {
    let cases: [(&str, [u8; 10], &[u8], &[u8]); 8] = [
        ("whole", [0x10, 0x0e, 0, 0, 7, 3, 1, 99, 6, 130], &[0, 0, 100, 0, 1, 0, 9, 1], &[0; 16]),
        ("ahead", [0x10, 0x0e, 0, 0, 7, 1, 4, 99, 6, 130], &[0, 0, 100, 0, 1, 0, 9, 1], &[0; 16]),
        ("small", [0x10, 0x0e, 0, 0, 4, 1, 8, 9, 4, 20], &[0, 0, 30, 1, 2, 0, 9, 1], &[0; 16]),
        (
            "other",
            [0x10, 0x0e, 9, 0, 7, 1, 3, 60, 6, 130],
            &[0, 0, 100, 0, 1, 0, 9, 1],
            &[0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        (
            "cut",
            [0x10, 0x0e, 0, 0, 7, 2, 2, 60, 6, 130],
            &[0, 0, 100, 0, 1, 0, 9, 1],
            &[0, 4, 90, 0, 3, 8, 0, 9, 0, 4, 7, 0, 24, 0, 0, 0],
        ),
        (
            "odd",
            [0x10, 0x0e, 64, 2, 7, 2, 2, 60, 6, 130],
            &[0, 0, 100, 0, 1, 0, 9, 1],
            &[1, 2, 5, 12, 0, 12, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0],
        ),
        (
            "refused",
            [0x10, 0x0e, 128, 4, 6, 2, 2, 60, 6, 130],
            &[0, 0, 100, 0, 1, 0, 9, 1],
            &[10, 0, 10, 1, 10, 2, 0, 10, 3, 10, 4, 0, 0, 0, 0, 0],
        ),
        (
            "mutated",
            [0x10, 0x0e, 0, 0, 7, 2, 2, 60, 6, 130],
            &[0, 0, 100, 0, 1, 0, 9, 1],
            &[6, 0, 9, 1, 0, 13, 0, 0, 9, 14, 9, 6, 0, 3, 0xff, 5],
        ),
    ];
    for (name, options, calls, script) in cases {
        save("coap_tcp", name, &[&options[..], calls, script].concat());
    }
}

/// Whether the target's own start comes in front, where it is cut; then a trace.
fn traces() {
    for (name, fault) in [("flash", None), ("failed", Some(Fault::FailedWrite))] {
        let mut memory = [0; 400];
        let chip = Chip::new(SimFlash::<4, 64>::new(512));
        let recorder = Recorder::new(Ram::new(&mut memory), Geometry::of(&chip)).flash_bytes(true);
        let mut flash = Traced::new(chip.clone(), &recorder);
        fault.into_iter().for_each(|fault| chip.sim().fault_after(1, fault));
        for at in [64, 128] {
            let _ = run(flash.erase(at, at + 64));
            let _ = run(flash.write(at, &[0x5a; 8]));
            let _ = run(flash.write(at + 8, &[0xa5; 4]));
            let _ = run(flash.read(at, &mut [0; 16]));
            recorder.mark(at);
        }
        save("trace", name, &[&[1, 90, 0], recorder.into_sink().bytes()].concat());
    }
    let network: [&[u8]; 9] = [
        b"\x11\x01\xbb\x03\x04host\x15",
        b"\x12\x05\x01\x02\x03\x04\x21\x05GET /\x16\x05\x13\x15",
        b"\x14\x80\x04\x17\x02\x05\x06\x07\x08\x21\x01a\x21\x01b",
        b"\x14\x08\x18\x0d\x01\x19",
        // The flash meanwhile, a reset, and events that were lost.
        b"\x14\x08\x01\x00\x04\x17\x00\x00\x00\x00\x00\x04\x9c\xe3\xc4\x05",
        b"\x02\x40\x04\x0d\xf0\xad\xba\x21\x04\x0d\xf0\xad\xba\x06\x02",
        b"DFUT\x01\x04\x40\x01\x80\x04\x03\x40\x40\x05\x03\x41\x40\x05\x03\x80\x04\x40\x05",
        b"\x22\xff\xff\xff\xff\x0f\x23\x07",
        b"\x22\xff\xff\xff\xff\x1f",
    ];
    save("trace", "all", &[&[0, 70, 0], &network.concat()[..]].concat());
    save("trace", "foreign", b"\x01\x09\x00DFUX\x01\x04\x40\x01\x80\x04");
    save("trace", "version", b"\x01\x05\x00DFUT\x02\x04\x40\x01\x80\x04");
}

fn save(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder for the corpus");
    fs::write(folder.join(name), bytes).expect("a file of the corpus");
}
