use std::format;
use std::string::ToString;

use super::*;

#[test]
fn an_error_says_who_and_why() {
    let text = |error: LayoutError<'_>| error.to_string();
    assert_eq!(text(LayoutError::Overlap("app", "progress")), "`progress` overlaps `app`");
    assert_eq!(
        text(LayoutError::Misaligned { area: "app", device: "internal" }),
        "`app` is not made of whole erase units of `internal`, nor within a span that is"
    );
    assert_eq!(
        text(LayoutError::BeyondEnd { area: "app", device: "internal" }),
        "`app` reaches beyond the end of `internal`"
    );
    assert_eq!(
        text(LayoutError::Straddles { area: "app", span: "primary" }),
        "`app` lies in part in the span `primary` and in part outside"
    );
    assert_eq!(text(LayoutError::Unknown("progres")), "the map has nothing that is called `progres`");
    assert_eq!(text(LayoutError::SameName("app")), "more than one thing in the map is called `app`");
    assert_eq!(
        text(LayoutError::Device("internal")),
        "device `internal` is not made of whole erase units of whole words"
    );
    assert_eq!(
        text(LayoutError::NoDevice { area: "app", device: "spi" }),
        "`app` lies on `spi`, which is no device of the map"
    );
    assert_eq!(text(LayoutError::Empty("app")), "`app` is empty");
    assert_eq!(text(LayoutError::TwoDevices("app", "log")), "`app` and `log` lie on different devices");
    assert_eq!(text(LayoutError::OtherFlash("spi")), "the flash's word or erase unit is not that of device `spi`");
}

#[test]
#[should_panic = "the map has nothing that is called `nnnnnnnn"]
fn the_compiler_says_no_more_than_it_has_room_for() {
    LayoutError::Unknown(&"n".repeat(300)).stop();
}

#[test]
#[should_panic = "the flash map is wrong"]
fn a_message_that_would_end_within_a_letter_is_left_out() {
    LayoutError::Unknown(&format!("n{}", "ü".repeat(300))).stop();
}
