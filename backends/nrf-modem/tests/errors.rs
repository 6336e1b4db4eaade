//! What a user reads of an error or an outcome, and what generic code makes of it: text, kind and cause.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use dfu_target::progress::StoreError;
use dfu_target::{Error, ErrorKind};
use dfu_target_nrf_modem::port::{Code, Errno, Fault, Offset, Uuid};
use dfu_target_nrf_modem::{DeltaError, DirectError, FullError, Outcome, WrapperError};
use dfu_testkit::flash::SimError;

const LOST_LINK: Fault = Fault::Errno(Errno::TimedOut);
const LOST_LINK_TEXT: &str = "ETIMEDOUT, the modem did not answer (error 116)";
const LOW_VOLTAGE: Fault = Fault::Errno(Errno::Again);
const LOW_VOLTAGE_TEXT: &str = "EAGAIN, not done because of low voltage: try again later (error 11)";

/// Each error has this text, this kind, and its cause's text if it has a cause.
fn read<E: Error>(table: &[(E, &str, ErrorKind, Option<&str>)]) {
    for (error, text, kind, cause) in table {
        assert_eq!(error.to_string(), *text);
        assert_eq!(error.kind(), *kind, "{text}");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), *cause, "{text}");
    }
}

#[test]
fn an_error_of_a_delta_says_what_is_wrong_and_what_helps() {
    use DeltaError::*;
    read(&[
        (Modem(LOST_LINK), LOST_LINK_TEXT, ErrorKind::Storage, Some(LOST_LINK_TEXT)),
        (Modem(LOW_VOLTAGE), LOW_VOLTAGE_TEXT, ErrorKind::Busy, Some(LOW_VOLTAGE_TEXT)),
        (NotDelta, "this is no delta update for the modem", ErrorKind::Refused, None),
        (TooLarge { size: 9, area: 8 }, "9 bytes, and there is room for 8", ErrorKind::TooLarge, None),
        (Policy, "the caller does not want this update for the firmware that runs", ErrorKind::Refused, None),
        (Pending, "an update waits for the modem's restart: restart it, or abort first", ErrorKind::Pending, None),
        (
            EraseTimeout { waited_ms: 60_000 },
            "the modem has not erased its area in 60000 ms: go offline and try again",
            ErrorKind::Busy,
            None,
        ),
        (Cancelled, "waiting for the modem's erase was given up", ErrorKind::Busy, None),
        (Truncated { have: 7, need: 9 }, "7 bytes of 9 came", ErrorKind::Corrupt, None),
        (Lost { offset: Offset::At(5), have: 9 }, "the modem was given 9 bytes and holds 5", ErrorKind::Corrupt, None),
        (
            Lost { offset: Offset::Dirty, have: 9 },
            "the modem was given 9 bytes and holds none that count",
            ErrorKind::Corrupt,
            None,
        ),
        (Store(StoreError::Other), "the progress store failed", ErrorKind::Storage, Some("the progress store failed")),
        (NotChecked, "no image was checked, or the proof is of another image", ErrorKind::Order, None),
        (Closed, "an earlier write failed or was dropped: begin again", ErrorKind::Order, None),
    ]);
}

#[test]
fn an_error_of_a_full_update_says_what_is_wrong_and_what_helps() {
    use FullError::*;
    let signature = WrapperError::Signature(128);
    let signature_text = "the wrapper's signature has 128 bytes instead of 256";
    let truncated_text = "the wrapper is not all there";
    read::<FullError<SimError>>(&[
        (Flash(SimError::Failed), "flash error: Failed", ErrorKind::Storage, None),
        (NotFull, "this is no full update for the modem", ErrorKind::Refused, None),
        (Wrapper(signature), signature_text, ErrorKind::Refused, Some(signature_text)),
        // More bytes may help.
        (Wrapper(WrapperError::Truncated), truncated_text, ErrorKind::Corrupt, Some(truncated_text)),
        (WrongSize { told: 9, offered: 8 }, "the wrapper tells of 9 bytes, and there are 8", ErrorKind::Refused, None),
        (TooLarge { size: 9, max: 8 }, "9 bytes, and there is room for 8", ErrorKind::TooLarge, None),
        (Policy, "the caller does not want this update", ErrorKind::Refused, None),
        (Pending, "a full update waits to be programmed: reset, or abort it first", ErrorKind::Pending, None),
        (
            Incomplete,
            "the modem's firmware is incomplete, and what is staged is its remedy: recover first",
            ErrorKind::Pending,
            None,
        ),
        (Truncated { have: 7, need: 9 }, "7 bytes of 9 came", ErrorKind::Corrupt, None),
        (BlobHash, "the segments are not those that the wrapper tells of", ErrorKind::Corrupt, None),
        (Damaged, "what is staged is not what was verified", ErrorKind::Corrupt, None),
        (MarkNotWritten, "the flash did not keep the marker", ErrorKind::Storage, None),
        (Modem(LOST_LINK), LOST_LINK_TEXT, ErrorKind::Storage, Some(LOST_LINK_TEXT)),
        (Modem(LOW_VOLTAGE), LOW_VOLTAGE_TEXT, ErrorKind::Busy, Some(LOW_VOLTAGE_TEXT)),
        (
            Refused(Fault::Errno(Errno::Perm)),
            "the modem refused the update's signature: EPERM, not initialized or not accepted (error 1)",
            ErrorKind::Refused,
            Some("EPERM, not initialized or not accepted (error 1)"),
        ),
        (Mismatch, "the modem's flash does not hold what was expected", ErrorKind::Corrupt, None),
        (Buffer, "the buffer for programming is too small", ErrorKind::Order, None),
        (NotChecked, "no file was checked, or the proof is of another one", ErrorKind::Order, None),
        (Closed, "an earlier operation failed or was dropped: begin again", ErrorKind::Order, None),
    ]);
}

#[test]
fn an_error_without_staging_says_where_the_whole_update_is_needed_again() {
    use DirectError::*;
    let long_text = "the wrapper is longer than 1024 bytes";
    read(&[
        (NotFull, "this is no full update for the modem", ErrorKind::Refused, None),
        (Wrapper(WrapperError::TooLong), long_text, ErrorKind::Refused, Some(long_text)),
        (WrongSize { told: 9, offered: 8 }, "the wrapper tells of 9 bytes, and there are 8", ErrorKind::Refused, None),
        (Policy, "the caller does not want this update", ErrorKind::Refused, None),
        (
            Refused(Fault::Errno(Errno::NoExec)),
            "the modem refused the update's signature: ENOEXEC, programming or a command failed (error 8)",
            ErrorKind::Refused,
            Some("ENOEXEC, programming or a command failed (error 8)"),
        ),
        (
            Modem(LOST_LINK),
            "ETIMEDOUT, the modem did not answer (error 116); the modem needs the whole update again",
            ErrorKind::Storage,
            Some(LOST_LINK_TEXT),
        ),
        (
            Modem(LOW_VOLTAGE),
            "EAGAIN, not done because of low voltage: try again later (error 11); the modem needs the whole update again",
            ErrorKind::Busy,
            Some(LOW_VOLTAGE_TEXT),
        ),
        (TooLong { size: 9 }, "more bytes than the 9 of the update", ErrorKind::TooLarge, None),
        (Truncated { have: 7, need: 9 }, "7 bytes of 9 came", ErrorKind::Corrupt, None),
        (
            BlobHash,
            "the segments are not those that the wrapper tells of, and are programmed",
            ErrorKind::Corrupt,
            None,
        ),
        (NotChecked, "no update was checked, or the proof is of another one", ErrorKind::Order, None),
        (Closed, "an earlier write failed or was dropped: begin again", ErrorKind::Order, None),
    ]);
}

#[test]
fn each_code_of_the_modem_has_the_kind_by_which_an_application_acts() {
    use Code::*;
    for code in Code::ALL.iter().chain(&[Other(99)]) {
        let wanted = match code {
            InvalidUuid | InvalidHeader => ErrorKind::Refused,
            InvalidPatch | InvalidAddress | InvalidFileOffset | IncompleteData => ErrorKind::Corrupt,
            ErasePending | OutOfMemory | LowVoltage => ErrorKind::Busy,
            _ => ErrorKind::Storage,
        };
        assert_eq!(DeltaError::Modem(Fault::Code(*code)).kind(), wanted, "{code}");
    }
    for errno in Errno::ALL.iter().chain(&[Errno::Other(99)]).filter(|errno| **errno != Errno::Again) {
        assert_eq!(DeltaError::Modem(Fault::Errno(*errno)).kind(), ErrorKind::Storage, "{errno}");
    }
}

#[test]
fn an_error_number_of_the_library_reads_with_its_name() {
    let names = [
        "EPERM",
        "EIO",
        "ENOEXEC",
        "EAGAIN",
        "ENOMEM",
        "EACCES",
        "EFAULT",
        "EBUSY",
        "EINVAL",
        "ENOLCK",
        "ENOSYS",
        "EOPNOTSUPP",
        "ESHUTDOWN",
        "ETIMEDOUT",
        "EALREADY",
        "ENOTSUP",
    ];
    assert_eq!(names.len(), Errno::ALL.len());
    for (errno, name) in Errno::ALL.iter().zip(names) {
        let (text, number) = (errno.to_string(), errno.to_raw());
        assert!(text.starts_with(&format!("{name}, ")) && text.ends_with(&format!("(error {number})")), "{text}");
    }
    assert_eq!(Errno::Other(7).to_string(), "not known (error 7)");
    assert_eq!(Code::Other(24).to_string(), "not known (code 24)");
    assert_eq!(Code::AreaNotBlank.to_string(), "the modem's area is not blank (code 11)");
}

#[test]
fn an_outcome_says_what_runs_and_what_helps() {
    for (raw, text) in [
        (0x0550_0001, "the modem was updated"),
        (0x0440_0001, "the update failed inside the modem: it needs a full update"),
        (0x0440_0002, "the modem's hardware failed: it needs a full update"),
        (0x0440_0003, "the modem refused the delta's signature, and runs what it ran"),
        (0x0440_0004, "the delta is for another firmware, and the modem runs what it ran"),
        (0x0440_0005, "the supply voltage was too low: the modem tries again at its next start"),
        (0x0440_0006, "the modem told 0x04400006 of the update, which is not known"),
        (7, "the modem told 0x00000007 of the update, which is not known"),
    ] {
        assert_eq!(Outcome::from_raw(raw).to_string(), text);
    }
}

#[test]
fn a_firmwares_name_reads_as_text_whatever_is_in_it() {
    let name = "00000001-0000-4000-8000-000000000000";
    let mut uuid = Uuid(*b"00000001-0000-4000-8000-000000000000");
    assert_eq!((uuid.as_str(), format!("{uuid} {uuid:?}")), (Some(name), format!("{name} {name}")));
    uuid.0[..4].copy_from_slice(b"\0\x1b\x7f~");
    assert_eq!(uuid.to_string(), format!("???~{}", &name[4..]));
    uuid.0[4] = 0xff;
    assert_eq!((uuid.as_str(), uuid.to_string()), (None, format!("???~?{}", &name[5..])));
}
