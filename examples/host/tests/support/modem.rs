//! Updates of a modem, small ones.

use std::io::{Cursor, Write};

use minicbor::Encoder;
use minicbor::data::Tag;
use sha2::{Digest, Sha256};
use zip::write::{SimpleFileOptions, ZipWriter};

/// A full update of these segments.
pub(crate) fn full(segments: &[(u32, &[u8])]) -> Vec<u8> {
    let blob: Vec<u8> = segments.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
    let mut list = Encoder::new(Vec::new());
    list.array(2 * segments.len() as u64).unwrap();
    for (address, bytes) in segments {
        list.u32(*address).unwrap().u32(bytes.len() as u32).unwrap();
    }
    let mut manifest = Encoder::new(Vec::new());
    let hash = Sha256::digest(&blob);
    manifest.array(4).unwrap().u32(1).unwrap().u32(2).unwrap().bytes(&hash).unwrap();
    manifest.bytes(&list.into_writer()).unwrap();
    let mut wrapper = Encoder::new(Vec::new());
    wrapper.tag(Tag::new(18)).unwrap().array(4).unwrap().bytes(&[0xa1, 1, 0x38, 0x24]).unwrap().map(0).unwrap();
    wrapper.bytes(&manifest.into_writer()).unwrap().bytes(&[7; 256]).unwrap();
    [wrapper.into_writer(), blob].concat()
}

/// Ranges as Intel HEX, of which none passes 64 KiB.
pub(crate) fn intel_hex(ranges: &[(u32, &[u8])]) -> String {
    let line = |offset: u16, kind: u8, data: &[u8]| {
        let front = [&[data.len() as u8][..], &offset.to_be_bytes(), &[kind], data].concat();
        let sum = front.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
        let digits: String = front.iter().chain([&sum]).map(|byte| format!("{byte:02X}")).collect();
        format!(":{digits}\r\n")
    };
    let mut text = String::new();
    for (address, bytes) in ranges {
        text += &line(0, 4, &((address >> 16) as u16).to_be_bytes());
        for (nth, part) in bytes.chunks(32).enumerate() {
            text += &line((*address as u16) + 32 * nth as u16, 0, part);
        }
    }
    text + &line(0, 1, &[])
}

/// A zip of these files.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
