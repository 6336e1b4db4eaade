//! What is said to people, and of what kind each error is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test.

use std::collections::HashSet;
use std::fmt::Display;

use dfu_target::image::mcuboot::{HeaderError, Version, flags};
use dfu_target::layout::LayoutError;
use dfu_target::{Error as _, ErrorKind};
use dfu_target_mcuboot::signature::BadSignature;
use dfu_target_mcuboot::{ConfigError, ConfirmError, Error, MapError, Refusal, State, SwapType, TlvFault};

const OLD: Version = Version { major: 1, minor: 2, revision: 3, build: 4 };
const NEW: Version = Version { major: 5, minor: 6, revision: 7, build: 8 };

/// Every refusal, with what its words are to name.
const REFUSALS: [(Refusal, &[&str]); 22] = [
    (Refusal::Header(HeaderError::Magic), &["MCUboot magic"]),
    (Refusal::TooLarge { size: 901, max: 902 }, &["901", "902"]),
    (Refusal::Truncated { have: 903, need: 904 }, &["903", "904"]),
    (Refusal::Flags(flags::NON_BOOTABLE), &["not bootable"]),
    (Refusal::NotForRam, &["RAM"]),
    (Refusal::Ram { image: 0x906, size: 907 }, &["0x906", "907"]),
    (Refusal::Address { image: 0x908, slot: 0x909 }, &["0x908", "0x909"]),
    (Refusal::Outranked { running: OLD, offered: NEW }, &["1.2.3+4", "5.6.7+8"]),
    (Refusal::Version { running: OLD, offered: NEW }, &["1.2.3+4", "5.6.7+8"]),
    (Refusal::Tlv { fault: TlvFault::Damaged, offset: 0x905, tlv: 0x50 }, &["0x905"]),
    (Refusal::Tlv { fault: TlvFault::Twice, offset: 0x910, tlv: 0x51 }, &["0x51", "0x910"]),
    (Refusal::Tlv { fault: TlvFault::Unprotected, offset: 0x911, tlv: 0x52 }, &["0x52", "0x911"]),
    (Refusal::NoHash, &["no hash"]),
    (Refusal::Hash, &["hash"]),
    (Refusal::Counter { least: 912, offered: 913 }, &["912", "913"]),
    (Refusal::NoCounter, &["counter"]),
    (Refusal::Dependency { image: 14, needs: NEW, has: Some(OLD) }, &["14", "5.6.7+8", "1.2.3+4"]),
    (Refusal::Dependency { image: 14, needs: NEW, has: None }, &["14", "5.6.7+8"]),
    (Refusal::Vendor, &["vendor"]),
    (Refusal::Class, &["class"]),
    (Refusal::Unsigned, &["signature"]),
    (Refusal::Signature, &["signature"]),
];

/// Each says something, and no two the same.
fn differ(texts: impl IntoIterator<Item: Display>) {
    let mut all = HashSet::new();
    for text in texts {
        let text = text.to_string();
        assert!(text.len() >= 4, "{text}");
        assert!(all.insert(text.clone()), "{text}");
    }
}

#[test]
fn each_error_has_words_of_its_own() {
    differ(REFUSALS.map(|(refusal, _)| refusal));
    differ([Error::Flash("gone"), Error::Trial, Error::TornMark, Error::MarkNotWritten, Error::NotChecked]);
    differ([Error::Pending(SwapType::Test), Error::Pending(SwapType::Revert), Error::<()>::Closed]);
    differ([ConfirmError::Flash("gone"), ConfirmError::Trailer, ConfirmError::NotWritten]);
    differ([
        ConfigError::Size,
        ConfigError::Pair,
        ConfigError::Sectors,
        ConfigError::TooManySectors,
        ConfigError::SectorSize,
        ConfigError::Scratch,
        ConfigError::WriteSize,
        ConfigError::SingleSlot,
        ConfigError::Index,
        ConfigError::Encryption,
        ConfigError::Region,
        ConfigError::Hash,
        ConfigError::Version,
    ]);
    differ([
        State::None,
        State::PendingTest,
        State::PendingPermanent,
        State::PendingRevert,
        State::Trial,
        State::Confirmed,
        State::Reverted,
        State::Unknown,
    ]);
    differ([BadSignature]);
}

#[test]
fn an_error_names_what_it_is_about() {
    for (refusal, words) in REFUSALS {
        let text = refusal.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    assert!(Error::Flash("gone").to_string().contains("gone"));
    assert!(ConfirmError::Flash("gone").to_string().contains("gone"));
    assert_eq!(Error::<()>::from(Refusal::Hash).to_string(), Refusal::Hash.to_string());
    let unknown = LayoutError::Unknown("slot1");
    assert_eq!(MapError::Layout(unknown).to_string(), unknown.to_string());
}

#[test]
fn of_the_refused_flags_those_that_are_set_are_named() {
    let names = |flags| Refusal::Flags(flags).to_string();
    let none = names(0);
    for (flag, name) in [
        (flags::ENCRYPTED_AES128, "encrypted (AES-128)"),
        (flags::ENCRYPTED_AES256, "encrypted (AES-256)"),
        (flags::NON_BOOTABLE, "not bootable"),
        (flags::RAM_LOAD, "loaded to RAM"),
        (flags::COMPRESSED, "compressed"),
        (0x200, "compressed"),
    ] {
        assert_eq!(names(flag), format!("{none} {name}"));
    }
    let both = names(flags::ENCRYPTED_AES256 | flags::NON_BOOTABLE);
    assert_eq!(both, format!("{none} encrypted (AES-256) not bootable"));
}

#[test]
fn an_error_s_kind_tells_whether_another_try_helps() {
    let [header, too_large, truncated, .., unsigned, signature] = REFUSALS.map(|(refusal, _)| refusal);
    let damaged = Refusal::Tlv { fault: TlvFault::Damaged, offset: 0, tlv: 0 };
    for (refusals, kind) in [
        (&[too_large][..], ErrorKind::TooLarge),
        (&[damaged, Refusal::Hash], ErrorKind::Corrupt),
        (&[header, truncated, Refusal::Vendor, Refusal::NoCounter, unsigned, signature], ErrorKind::Refused),
    ] {
        for refusal in refusals {
            assert_eq!(Error::<()>::Refused(*refusal).kind(), kind, "{refusal}");
        }
    }
    for (error, kind) in [
        (Error::Flash(()), ErrorKind::Storage),
        (Error::MarkNotWritten, ErrorKind::Storage),
        (Error::Trial, ErrorKind::Pending),
        (Error::Pending(SwapType::Test), ErrorKind::Pending),
        (Error::TornMark, ErrorKind::Rewind),
        (Error::NotChecked, ErrorKind::Order),
        (Error::Closed, ErrorKind::Order),
    ] {
        assert_eq!(error.kind(), kind, "{error}");
    }
}
