//! The names of flags and TLVs, and what their bytes mean.

use dfu_target::image::mcuboot::Version;
use serde::Serialize;
use serde_json::{Value, json};

use super::Tlv;
use crate::notation::{hex, show_uuid};

const FLAGS: [(u32, &str); 9] = [
    (0x1, "PIC"),
    (0x4, "ENCRYPTED_AES128"),
    (0x8, "ENCRYPTED_AES256"),
    (0x10, "NON_BOOTABLE"),
    (0x20, "RAM_LOAD"),
    (0x100, "ROM_FIXED"),
    (0x200, "COMPRESSED_LZMA1"),
    (0x400, "COMPRESSED_LZMA2"),
    (0x800, "COMPRESSED_ARM_THUMB_FLT"),
];

const TLVS: [(u16, &str); 25] = [
    (0x01, "KEYHASH"),
    (0x02, "PUBKEY"),
    (0x10, "SHA256"),
    (0x11, "SHA384"),
    (0x12, "SHA512"),
    (0x20, "RSA2048_PSS"),
    (0x21, "ECDSA224"),
    (0x22, "ECDSA_SIG"),
    (0x23, "RSA3072_PSS"),
    (0x24, "ED25519"),
    (0x25, "SIG_PURE"),
    (0x30, "ENC_RSA2048"),
    (0x31, "ENC_KW"),
    (0x32, "ENC_EC256"),
    (0x33, "ENC_X25519"),
    (0x34, "ENC_X25519_SHA512"),
    (0x40, "DEPENDENCY"),
    (0x50, "SEC_CNT"),
    (0x60, "BOOT_RECORD"),
    (0x70, "DECOMP_SIZE"),
    (0x71, "DECOMP_SHA"),
    (0x72, "DECOMP_SIGNATURE"),
    (0x73, "COMP_DEC_SIZE"),
    (0x74, "UUID_VID"),
    (0x75, "UUID_CID"),
];

/// The flags that are set, by name; what has none as a number.
pub(crate) fn flag_names(flags: u32) -> Vec<String> {
    let known = FLAGS.into_iter().fold(0, |sum, (flag, _)| sum | flag);
    let set = FLAGS.into_iter().filter(|(flag, _)| flags & flag != 0);
    let mut names: Vec<String> = set.map(|(_, name)| name.into()).collect();
    if flags & !known != 0 {
        names.push(format!("{:#x}", flags & !known));
    }
    names
}

/// A TLV's name: MCUboot's, or whose it is.
pub(crate) fn tlv_name(kind: u16) -> &'static str {
    match TLVS.into_iter().find(|(known, _)| *known == kind) {
        Some((_, name)) => name,
        // Vendors have the last 96 of each 256.
        None if kind & 0xff >= 0xa0 => "VENDOR",
        None => "UNKNOWN",
    }
}

/// A value as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shown {
    /// For people.
    #[serde(skip)]
    pub(crate) text: String,
    /// For programs, where it is more than bytes.
    #[serde(flatten)]
    pub(crate) meaning: Value,
}

/// What a value means.
pub(crate) fn shown(tlv: &Tlv<'_>) -> Shown {
    let bytes = tlv.value;
    let plain = |text: String, meaning| Shown { text, meaning };
    match (tlv.kind, bytes) {
        (0x20..=0x24, _) => plain(format!("signature of {} bytes", bytes.len()), json!({})),
        (0x30..=0x34, _) => plain(format!("wrapped key of {} bytes", bytes.len()), json!({})),
        (0x02, _) => plain(format!("public key of {} bytes", bytes.len()), json!({})),
        (0x25, [one]) => plain(format!("{one}"), json!({ "pure": *one == 1 })),
        (0x40, &[image, _, _, _, major, minor, r0, r1, b0, b1, b2, b3]) => {
            let revision = u16::from_le_bytes([r0, r1]);
            let needs = Version { major, minor, revision, build: u32::from_le_bytes([b0, b1, b2, b3]) }.to_string();
            plain(format!("image {image} in version {needs} or later"), json!({ "image": image, "version": needs }))
        }
        (0x50, &[a, b, c, d]) => {
            let counter = u32::from_le_bytes([a, b, c, d]);
            plain(counter.to_string(), json!({ "counter": counter }))
        }
        (0x70 | 0x73, &[a, b, c, d]) => {
            let size = u32::from_le_bytes([a, b, c, d]);
            plain(format!("{size} bytes"), json!({ "size": size }))
        }
        (0x60, _) if minicbor::decode::Decoder::new(bytes).skip().is_ok() => {
            let diagnostic = minicbor::display(bytes).to_string();
            plain(diagnostic.clone(), json!({ "cbor": diagnostic }))
        }
        (0x74 | 0x75, _) if bytes.len() == 16 => {
            let uuid = show_uuid(bytes);
            plain(uuid.clone(), json!({ "uuid": uuid }))
        }
        _ => plain(hex(bytes), json!({})),
    }
}
