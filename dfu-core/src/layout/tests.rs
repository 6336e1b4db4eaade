use std::format;
use std::string::ToString;
use std::vec::Vec;

use super::*;
use crate::flash::Shared;
use crate::flash::ram::Ram;

const INTERNAL: Device = Device::new("internal", 0x10_0000, 4, 0x1000);
const EXTERNAL: Device = Device::new("external", 0x80_0000, 1, 0x1_0000);

/// The demonstration's device.
const PLAIN: FlashMap = FlashMap::new(
    &[INTERNAL],
    &[
        Area::new("mcuboot", "internal", 0x0, 0xc000),
        Area::new("mcuboot_primary", "internal", 0xc000, 0x6_9000),
        Area::new("mcuboot_secondary", "internal", 0x7_5000, 0x6_9000),
        Area::new("progress", "internal", 0xd_e000, 0x2000),
        Area::new("settings", "internal", 0xf_e000, 0x2000),
    ],
);

/// As the partition manager has it for TF-M: spans in spans, spans that share an area, areas of half a unit; in the
/// order of the alphabet.
const SPANS: FlashMap = FlashMap::new(
    &[INTERNAL, EXTERNAL],
    &[
        Area::new("app", "internal", 0x1_8000, 0x6_8000),
        Area::new("mcuboot", "internal", 0x0, 0x1_0000),
        Area::new("mcuboot_pad", "internal", 0x1_0000, 0x200),
        Area::span("mcuboot_primary", "internal", 0x1_0000, 0x7_0000),
        Area::span("mcuboot_primary_app", "internal", 0x1_0200, 0x6_fe00),
        Area::new("mcuboot_secondary", "external", 0x0, 0x7_0000),
        Area::new("tfm", "internal", 0x1_0200, 0x7e00),
        Area::span("tfm_secure", "internal", 0x1_0000, 0x8000),
    ],
);

type Internal = Ram<4, 0x1000>;

fn refusal<'a>(areas: &'a [Area<'a>]) -> LayoutError<'a> {
    let error = FlashMap::checked(&[INTERNAL, EXTERNAL], areas).unwrap_err();
    assert_eq!(FlashMap::faults(&[INTERNAL, EXTERNAL], areas).next(), Some(error));
    error
}

#[test]
fn the_compiler_finds_areas_and_makes_windows_of_them() {
    const LOG: Area = PLAIN.area("progress");
    const WINDOWS: Layout<Internal, 2> = PLAIN.windows(["mcuboot_secondary", "progress"]);
    assert_eq!((LOG.offset(), LOG.size(), LOG.end(), LOG.device()), (0xd_e000, 0x2000, 0xe_0000, "internal"));
    let mut shared = Shared::new(Ram::new(0));
    let [secondary, log] = shared.split(&WINDOWS);
    assert_eq!((secondary.start(), secondary.size()), (0x7_5000, 0x6_9000));
    assert_eq!((log.start(), log.size()), (0xd_e000, 0x2000));
}

#[test]
fn a_map_tells_a_tool_what_it_was_told() {
    let [internal, external] = SPANS.devices() else { panic!("two devices") };
    assert_eq!([internal.name(), external.name()], ["internal", "external"]);
    assert_eq!((external.size(), external.write_size(), external.erase_size()), (0x80_0000, 1, 0x1_0000));
    assert_eq!((internal.size(), internal.write_size(), internal.erase_size()), (0x10_0000, 4, 0x1000));
    let names = ["app", "mcuboot", "mcuboot_pad", "mcuboot_primary"];
    assert_eq!(SPANS.areas().iter().take(4).map(Area::name).collect::<Vec<_>>(), names);
    let [.., secondary, tfm, secure] = SPANS.areas() else { panic!("eight areas") };
    assert_eq!([secondary, tfm, secure].map(Area::device), ["external", "internal", "internal"]);
    assert_eq!([secondary, tfm, secure].map(Area::offset), [0, 0x1_0200, 0x1_0000]);
    assert_eq!([secondary, tfm, secure].map(Area::size), [0x7_0000, 0x7e00, 0x8000]);
    assert_eq!([secondary, tfm, secure].map(Area::is_span), [false, false, true]);
}

#[test]
fn no_name_is_there_twice() {
    let twice = [Area::new("a", "internal", 0, 0x1000), Area::new("a", "external", 0, 0x1_0000)];
    assert_eq!(refusal(&twice), LayoutError::SameName("a"));
    assert_eq!(FlashMap::checked(&[INTERNAL, INTERNAL], &[]), Err(LayoutError::SameName("internal")));
}

#[test]
fn a_device_is_made_of_units_and_these_of_words() {
    for (size, write, erase) in
        [(0, 4, 0x1000), (0x1_0000, 0, 0x1000), (0x1_0000, 4, 0), (0x1_0000, 3, 0x1000), (0x1_0800, 4, 0x1000)]
    {
        let device = [Device::new("odd", size, write, erase)];
        assert_eq!(FlashMap::checked(&device, &[]), Err(LayoutError::Device("odd")), "{device:?}");
    }
}

#[test]
fn an_area_lies_on_a_device_and_ends_there() {
    let area = |offset, size| [Area::new("a", "internal", offset, size)];
    assert_eq!(refusal(&area(0, 0)), LayoutError::Empty("a"));
    assert!(FlashMap::checked(&[INTERNAL], &area(0, 0x10_0000)).is_ok());
    for (offset, size) in [(0, 0x10_1000), (0xf_f000, 0x2000), (0x10_0000, 0x1000), (0xffff_f000, 0xffff_f000)] {
        assert_eq!(refusal(&area(offset, size)), LayoutError::BeyondEnd { area: "a", device: "internal" });
    }
    let elsewhere = [Area::new("a", "ram", 0, 0x1000)];
    assert_eq!(refusal(&elsewhere), LayoutError::NoDevice { area: "a", device: "ram" });
}

#[test]
fn no_byte_belongs_to_two_areas() {
    let two = |offset, size| [Area::new("a", "internal", 0x2000, 0x2000), Area::new("b", "internal", offset, size)];
    for (offset, size) in [(0x1000, 0x2000), (0x2000, 0x1000), (0x3000, 0x1000), (0x3000, 0x4000), (0, 0x10_0000)] {
        assert_eq!(refusal(&two(offset, size)), LayoutError::Overlap("a", "b"), "{offset:#x} {size:#x}");
    }
    for (offset, size) in [(0x1000, 0x1000), (0x4000, 0x1000)] {
        assert!(FlashMap::checked(&[INTERNAL], &two(offset, size)).is_ok());
    }
    let apart = [Area::new("a", "internal", 0, 0x1_0000), Area::new("b", "external", 0, 0x1_0000)];
    assert!(FlashMap::checked(&[INTERNAL, EXTERNAL], &apart).is_ok());
}

#[test]
fn half_a_unit_belongs_to_a_span_of_whole_ones() {
    let misaligned = LayoutError::Misaligned { area: "a", device: "internal" };
    assert_eq!(refusal(&[Area::new("a", "internal", 0x200, 0x1000)]), misaligned);
    assert_eq!(refusal(&[Area::new("a", "internal", 0, 0x1200)]), misaligned);
    let in_span = |size| {
        [
            Area::new("a", "internal", 0, 0x200),
            Area::new("b", "internal", 0x200, size),
            Area::span("both", "internal", 0, 0x200 + size),
        ]
    };
    assert_eq!(refusal(&in_span(0x1000)), misaligned);
    assert!(FlashMap::checked(&[INTERNAL], &in_span(0xe00)).is_ok());
}

#[test]
fn an_area_lies_in_a_span_or_outside() {
    let in_span = |a, b| {
        [
            Area::new("a", "internal", 0, a),
            Area::span("both", "internal", 0, 0x4000),
            Area::new("b", "internal", 0x2000, b),
        ]
    };
    assert!(FlashMap::checked(&[INTERNAL], &in_span(0x2000, 0x2000)).is_ok());
    assert!(FlashMap::checked(&[INTERNAL], &in_span(0x1000, 0x1000)).is_ok(), "a slot may have room left");
    assert_eq!(refusal(&in_span(0x2000, 0x3000)), LayoutError::Straddles { area: "b", span: "both" });
    assert_eq!(refusal(&in_span(0x3000, 0x2000)), LayoutError::Overlap("a", "b"));
    let around = [Area::new("a", "internal", 0, 0x3000), Area::span("s", "internal", 0x1000, 0x1000)];
    assert_eq!(refusal(&around), LayoutError::Straddles { area: "a", span: "s" });
}

#[test]
fn spans_that_cross_share_areas() {
    let cross = |size| {
        [
            Area::span("one", "internal", 0, 0x4000),
            Area::new("shared", "internal", 0x2000, size),
            Area::span("other", "internal", 0x2000, 0x4000),
        ]
    };
    assert!(FlashMap::checked(&[INTERNAL], &cross(0x2000)).is_ok());
    assert_eq!(refusal(&cross(0x1000)), LayoutError::Overlap("one", "other"));
    for not_shared in [
        Area::new("first", "internal", 0, 0x1000),
        Area::new("last", "internal", 0x5000, 0x1000),
        Area::new("apart", "internal", 0x8000, 0x1000),
        Area::span("inside", "internal", 0x3000, 0x1000),
    ] {
        let [one, shared, other] = cross(0x1000);
        let areas = [one, shared, other, not_shared];
        assert_eq!(refusal(&areas), LayoutError::Overlap("one", "other"), "{not_shared:?}");
    }
}

#[test]
fn a_tool_hears_of_all_faults() {
    let areas = [
        Area::new("a", "internal", 0, 0x2800),
        Area::new("b", "internal", 0x2000, 0x2000),
        Area::new("c", "ram", 0, 0x1000),
        Area::new("d", "internal", 0x3000, 0x10_0000),
        Area::new("c", "internal", 0x8_0000, 0),
    ];
    let faults: Vec<_> = FlashMap::faults(&[INTERNAL, INTERNAL], &areas).collect();
    let expected = [
        LayoutError::SameName("internal"),
        LayoutError::Misaligned { area: "a", device: "internal" },
        LayoutError::NoDevice { area: "c", device: "ram" },
        LayoutError::BeyondEnd { area: "d", device: "internal" },
        LayoutError::Empty("c"),
        LayoutError::Overlap("a", "b"),
        LayoutError::Overlap("b", "d"),
        LayoutError::SameName("c"),
        LayoutError::Overlap("d", "c"),
    ];
    assert_eq!(faults, expected);
    assert_eq!(FlashMap::faults(SPANS.devices(), SPANS.areas()).next(), None);
}

#[test]
fn what_is_picked_can_be_erased_by_itself() {
    assert_eq!(PLAIN.pick(["progress", "progres"]), Err(LayoutError::Unknown("progres")));
    assert_eq!(PLAIN.pick(["progress", "progress_2"]), Err(LayoutError::Unknown("progress_2")));
    assert_eq!(PLAIN.pick(["settings", "settings"]), Err(LayoutError::Overlap("settings", "settings")));
    let pad = LayoutError::Misaligned { area: "mcuboot_pad", device: "internal" };
    assert_eq!(SPANS.pick(["mcuboot_pad"]), Err(pad));
    assert_eq!(SPANS.pick(["mcuboot_primary", "app"]), Err(LayoutError::Overlap("mcuboot_primary", "app")));
    let slots = SPANS.pick(["mcuboot_primary", "mcuboot_secondary"]).unwrap();
    assert_eq!(slots.map(|area| (area.is_span(), area.size())), [(true, 0x7_0000), (false, 0x7_0000)]);
}

#[test]
fn windows_lie_on_one_flash_and_it_is_the_driver_s() {
    let two = SPANS.checked_windows::<Internal, 2>(["mcuboot_primary", "mcuboot_secondary"]).map(drop);
    assert_eq!(two, Err(LayoutError::TwoDevices("mcuboot_primary", "mcuboot_secondary")));
    let other = LayoutError::OtherFlash("internal");
    assert_eq!(PLAIN.checked_windows::<Ram<8, 0x1000>, 1>(["settings"]).map(drop), Err(other));
    assert_eq!(PLAIN.checked_windows::<Ram<4, 0x800>, 1>(["settings"]).map(drop), Err(other));
    assert!(SPANS.checked_windows::<Ram<1, 0x1_0000>, 1>(["mcuboot_secondary"]).is_ok());
    let unknown = SPANS.checked_windows::<Internal, 1>(["progress"]).map(drop);
    assert_eq!(unknown, Err(LayoutError::Unknown("progress")));
}

#[test]
fn a_running_program_may_ask_for_what_a_constant_may() {
    let map = FlashMap::new(PLAIN.devices(), PLAIN.areas());
    assert_eq!(map.area("progress"), PLAIN.area("progress"));
    let mut shared = Shared::new(Internal::new(0));
    let [log] = shared.split(&map.windows(["progress"]));
    assert_eq!((log.start(), log.size()), (0xd_e000, 0x2000));
}

#[test]
#[should_panic = "the map has nothing that is called `progres`"]
fn an_area_that_is_not_there_stops_it() {
    PLAIN.area("progres");
}

#[test]
#[should_panic = "the flash's word or erase unit is not that of device `internal`"]
fn windows_over_another_flash_stop_it() {
    let _ = PLAIN.windows::<Ram<8, 0x1000>, 1>(["progress"]);
}

#[test]
#[should_panic = "`progress` overlaps `app`"]
fn the_compiler_says_it_with_the_same_words() {
    let areas = [Area::new("app", "internal", 0, 0x3000), Area::new("progress", "internal", 0x2000, 0x2000)];
    let _ = FlashMap::new(&[INTERNAL], &areas);
}

#[test]
fn a_table_has_every_area_and_gap() {
    let table = "\
name               device    offset      end                size  sectors
mcuboot            internal  0x00000000  0x0000c000       48 KiB       12
mcuboot_primary    internal  0x0000c000  0x00075000      420 KiB      105
mcuboot_secondary  internal  0x00075000  0x000de000      420 KiB      105
progress           internal  0x000de000  0x000e0000        8 KiB        2
(free)             internal  0x000e0000  0x000fe000      120 KiB       30
settings           internal  0x000fe000  0x00100000        8 KiB        2";
    assert_eq!(PLAIN.table().to_string(), table);
}

#[test]
fn a_table_has_spans_before_what_lies_in_them() {
    let table = "\
name                   device    offset      end                size  sectors
mcuboot                internal  0x00000000  0x00010000       64 KiB       16
mcuboot_primary        internal  0x00010000  0x00080000      448 KiB      112
  tfm_secure           internal  0x00010000  0x00018000       32 KiB        8
    mcuboot_pad        internal  0x00010000  0x00010200        512 B        -
  mcuboot_primary_app  internal  0x00010200  0x00080000     458240 B        -
      tfm              internal  0x00010200  0x00018000      32256 B        -
    app                internal  0x00018000  0x00080000      416 KiB      104
(free)                 internal  0x00080000  0x00100000      512 KiB      128
mcuboot_secondary      external  0x00000000  0x00070000      448 KiB        7
(free)                 external  0x00070000  0x00800000     7744 KiB      121";
    assert_eq!(SPANS.table().to_string(), table);
}

#[test]
fn a_span_of_one_area_comes_before_it_in_whatever_order() {
    let (area, span) = (Area::new("app", "internal", 0, 0x10_0000), Area::span("slot", "internal", 0, 0x10_0000));
    for areas in [[area, span], [span, area]] {
        let table = FlashMap::checked(&[INTERNAL], &areas).unwrap().table().to_string();
        let names: Vec<_> = table.lines().skip(1).map(|line| &line[..6]).collect();
        assert_eq!(names, ["slot  ", "  app "]);
    }
}

#[test]
fn a_figure_is_to_scale() {
    let figure = "\
internal
0x00000000 ┌───────────────────────────────┐
           │ mcuboot                48 KiB │
0x0000c000 ├───────────────────────────────┤
           │ mcuboot_primary       420 KiB │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
0x00075000 ├───────────────────────────────┤
           │ mcuboot_secondary     420 KiB │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
           │                               │
0x000de000 ├───────────────────────────────┤
           │ progress                8 KiB │
0x000e0000 ├───────────────────────────────┤
           │ (free)                120 KiB │
           │                               │
           │                               │
0x000fe000 ├───────────────────────────────┤
           │ settings                8 KiB │
0x00100000 └───────────────────────────────┘";
    assert_eq!(PLAIN.figure().to_string(), figure);
}

#[test]
fn a_figure_has_each_device_and_a_span_as_one() {
    let more = |lines| "\n           │                                 │".repeat(lines);
    let figure = format!(
        "\
internal
0x00000000 ┌─────────────────────────────────┐
           │ mcuboot                  64 KiB │
0x00010000 ├─────────────────────────────────┤
           │ mcuboot_primary         448 KiB │{}
0x00080000 ├─────────────────────────────────┤
           │ (free)                  512 KiB │{}
0x00100000 └─────────────────────────────────┘

external
0x00000000 ┌─────────────────────────────────┐
           │ mcuboot_secondary       448 KiB │
0x00070000 ├─────────────────────────────────┤
           │ (free)                 7744 KiB │{}
0x00800000 └─────────────────────────────────┘",
        more(12),
        more(14),
        more(28)
    );
    assert_eq!(SPANS.figure().to_string(), figure);
}

#[test]
fn an_empty_map_is_all_free() {
    let map = FlashMap::checked(&[EXTERNAL], &[]).unwrap();
    let table = "\
name    device    offset      end                size  sectors
(free)  external  0x00000000  0x00800000     8192 KiB      128";
    assert_eq!(map.table().to_string(), table);
    assert_eq!(FlashMap::checked(&[], &[]).unwrap().figure().to_string(), "");
}

#[test]
fn the_largest_device_and_the_longest_names_are_drawn() {
    let names: Vec<_> = (0..100).map(|nth| "n".repeat(nth + 1)).collect();
    let spans: Vec<_> = names.iter().map(|name| Area::span(name, "d", 0, 0xffff_f000)).collect();
    let devices = [Device::new("d", 0xffff_f000, 1, 0x1000)];
    let map = FlashMap::checked(&devices, &spans).unwrap();
    assert_eq!(map.table().to_string().lines().count(), 101);
    assert_eq!(map.figure().to_string().lines().count(), 34, "one of them holds all others");
}
