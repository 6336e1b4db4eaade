//! Every state that the marks of two slots can be in, against MCUboot's table of swaps as its design document has it.

use dfu_target::image::mcuboot::{Header, Version};
use dfu_target_mcuboot::{Align, Config, Mark, Mode, RunningState, Side, Slots, State, Status, SwapType, View};
use dfu_testkit::boot::{self, Bootloader};
use dfu_testkit::flash::SimFlash;
use dfu_testkit::image::ImageBuilder;

use Field::{Bad, Set, Unset};

/// A field of a mark: the magic or a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Set,
    Unset,
    Bad,
}

/// The magic, `image_ok`, `copy_done`.
type Fields = [Field; 3];

/// "Image trailer" of MCUboot's design document: the first row that holds. The first of all is there for swap using
/// offset only.
fn table(offset: bool, primary: Fields, secondary: Fields) -> Option<boot::SwapType> {
    match (primary, secondary) {
        (_, [Set, Unset, Set]) if offset => Some(boot::SwapType::Revert),
        (_, [Set, Unset, _]) => Some(boot::SwapType::Test),
        (_, [Set, Set, _]) => Some(boot::SwapType::Perm),
        ([Set, Unset, Set], _) => Some(boot::SwapType::Revert),
        _ => None,
    }
}

/// A slot with this mark, and otherwise empty.
fn slot(bootloader: &Bootloader, [magic, image_ok, copy_done]: Fields) -> Vec<u8> {
    let erased = bootloader.erased();
    let mut slot = vec![erased; SLOT as usize];
    let trailer = bootloader.trailer(slot.len());
    match magic {
        Set => slot[trailer.magic..].copy_from_slice(&trailer.magic_bytes()),
        Unset => {}
        Bad => slot[trailer.magic + 7] = 0x5a,
    }
    for (at, field) in [(trailer.image_ok, image_ok), (trailer.copy_done, copy_done)] {
        slot[at] = match field {
            Set => 0x01,
            Unset => erased,
            Bad => 0x7f,
        };
    }
    slot
}

fn all() -> impl Iterator<Item = Fields> {
    let fields = [Set, Unset, Bad];
    (0..27).map(move |nth| [fields[nth / 9], fields[nth / 3 % 3], fields[nth % 3]])
}

/// Each bootloader of a mode, for the library and as the model.
fn builds(mode: Mode, model: boot::Mode) -> impl Iterator<Item = (Slots, Bootloader)> {
    let aligns = [(8, Align::A8), (16, Align::A16), (32, Align::A32)];
    aligns.into_iter().flat_map(move |(bytes, align)| {
        [0xff, 0x00].map(|erased| {
            let slots = Slots::new::<Flash>(SLOT, Config::new(mode).max_sectors(8).align(align).erased(erased));
            (slots, Bootloader::new(model, 4, 4096).max_align(bytes).sectors(8).erased_value(erased))
        })
    })
}

fn view(slots: &Slots, slot: &[u8]) -> View {
    View { mark: slots.read(&slot[slot.len() - 128..]), header: Some(Header { version: VERSION, ..Header::EMPTY }) }
}

type Flash = SimFlash<4, 4096, 4>;

const SLOT: u32 = 8 * 4096;
const VERSION: Version = Version { major: 1, minor: 0, revision: 0, build: 0 };
const SWAPS: [(Mode, boot::Mode); 3] = [
    (Mode::SwapMove, boot::Mode::Move),
    (Mode::SwapScratch, boot::Mode::Scratch),
    (Mode::SwapOffset, boot::Mode::Offset),
];

#[test]
fn two_marks_say_what_the_table_and_the_model_say() {
    let mut seen = 0;
    for (mode, model) in SWAPS {
        for (slots, bootloader) in builds(mode, model) {
            for (first, second) in all().flat_map(|first| all().map(move |second| (first, second))) {
                let [primary, secondary] = [first, second].map(|fields| slot(&bootloader, fields));
                let expected = table(mode == Mode::SwapOffset, first, second);
                assert_eq!(bootloader.asked(&primary, &secondary), expected, "the model: {first:?} {second:?}");
                let (one, other) = (view(&slots, &primary), view(&slots, &secondary));
                let status = Status::of(&slots, &one, &other, Side::Primary);
                let by_second = matches!(second, [Set, Set | Unset, _]);
                let state = match expected {
                    // Elsewhere MCUboot never leaves this; something waits, one way or the other.
                    Some(_) if second == [Set, Unset, Set] && mode != Mode::SwapOffset => {
                        assert!(matches!(status.state, State::PendingTest | State::PendingRevert), "{status:?}");
                        status.state
                    }
                    Some(boot::SwapType::Test) => State::PendingTest,
                    Some(boot::SwapType::Perm) => State::PendingPermanent,
                    Some(boot::SwapType::Revert) if by_second => State::PendingRevert,
                    Some(boot::SwapType::Revert) => State::Trial,
                    None => match first {
                        // A swap sets `copy_done`; without it a programmer put the mark there.
                        [Unset, ..] | [Set, Unset, Unset] => State::None,
                        [Set, Set | Bad, _] => State::Confirmed,
                        _ => State::Unknown,
                    },
                };
                assert_eq!(status.state, state, "{mode:?} {first:?} {second:?}");
                assert_eq!((status.running, status.other), (Some(VERSION), Some(VERSION)));
                // Without an image nothing waits.
                let empty = View { header: None, ..other };
                let status = Status::of(&slots, &one, &empty, Side::Primary);
                assert!(!is_pending(status.state), "{mode:?} {first:?} {second:?}");
                assert_eq!(status.state == State::Trial, first == [Set, Unset, Set], "{mode:?} {first:?}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 3 * 3 * 2 * 27 * 27);
}

fn is_pending(state: State) -> bool {
    matches!(state, State::PendingTest | State::PendingPermanent | State::PendingRevert)
}

#[test]
fn a_mark_asks_for_what_the_table_says_of_it_alone() {
    let modes = SWAPS.into_iter().chain([(Mode::OverwriteOnly, boot::Mode::Overwrite)]);
    for (mode, model) in modes {
        for (slots, bootloader) in builds(mode, model) {
            for fields in all() {
                let other = slot(&bootloader, fields);
                let asks = slots.read(&other).asks(mode);
                assert_eq!(slots.read(&other[other.len() - 128..]).asks(mode), asks, "the end is enough");
                let asked = bootloader.asked(&slot(&bootloader, [Unset; 3]), &other);
                let expected = match asked {
                    Some(boot::SwapType::Test) => Some(SwapType::Test),
                    Some(boot::SwapType::Perm) => Some(SwapType::Permanent),
                    Some(boot::SwapType::Revert) => Some(SwapType::Revert),
                    None => None,
                };
                assert_eq!(asks, expected, "{mode:?} {fields:?}");
            }
        }
    }
}

#[test]
fn a_mark_asks_a_bootloader_that_chooses_for_what_the_model_does() {
    let image = |major| ImageBuilder::new().version(major, 0, 0, 0).flags(0x20).load_addr(0x2000_0000).build();
    let chosen =
        [(Mode::DirectXipRevert, boot::Mode::DirectXipRevert), (Mode::RamLoadRevert, boot::Mode::RamLoadRevert)];
    for (mode, model) in chosen {
        for (slots, bootloader) in builds(mode, model) {
            for fields in all() {
                let [mut old, mut new] = [(1, [Set, Set, Unset]), (2, fields)].map(|(major, fields)| {
                    let mut slot = slot(&bootloader, fields);
                    let image = image(major);
                    slot[..image.len()].copy_from_slice(&image);
                    slot
                });
                let asks = slots.read(&new).asks(mode);
                let runs = [(); 2].map(|()| bootloader.boot(&mut old, &mut new).running.unwrap().version.major);
                let expected = match runs {
                    [2, 2] => Some(SwapType::Permanent),
                    [2, 1] => Some(SwapType::Test),
                    _ => None,
                };
                assert_eq!(asks.is_some(), expected.is_some(), "{mode:?} {fields:?}");
                // What is neither set nor erased is never set: such an image stays, on trial for ever.
                if fields[2] != Bad {
                    assert_eq!(asks, expected, "{mode:?} {fields:?}");
                }
            }
        }
    }
}

#[test]
fn r22_an_image_on_trial_is_one_that_the_next_boot_takes_back() {
    for (mode, model) in SWAPS {
        for (slots, bootloader) in builds(mode, model) {
            for fields in all() {
                let primary = slot(&bootloader, fields);
                let goes_back = bootloader.asked(&primary, &slot(&bootloader, [Unset; 3])).is_some();
                let state = RunningState::of(&slots.read(&primary), mode);
                assert_eq!(state == RunningState::Trial, goes_back, "{mode:?} {fields:?}");
            }
        }
    }
}

#[test]
fn r02_every_byte_of_a_flag_and_of_the_magic_counts_as_the_model_has_it() {
    for (slots, bootloader) in builds(Mode::SwapMove, boot::Mode::Move) {
        let good = slot(&bootloader, [Set, Unset, Unset]);
        let trailer = bootloader.trailer(good.len());
        for at in [trailer.swap_info, trailer.copy_done, trailer.image_ok].into_iter().chain(trailer.magic..good.len())
        {
            for byte in 0..=255 {
                let mut slot = good.clone();
                slot[at] = byte;
                let read = slots.read(&slot);
                let model = trailer.state(&slot);
                let names = |debug: String| debug.replace("Good", "Set").replace("Perm,", "Permanent,");
                let swap = model.swap_info.map(|(kind, _)| match kind {
                    boot::SwapType::Test => SwapType::Test,
                    boot::SwapType::Perm => SwapType::Permanent,
                    boot::SwapType::Revert => SwapType::Revert,
                });
                let Mark { magic, image_ok, copy_done, .. } = read;
                let ours = format!("{magic:?}, {image_ok:?}, {copy_done:?}");
                let theirs = format!("{:?}, {:?}, {:?}", model.magic, model.image_ok, model.copy_done);
                assert_eq!((ours, read.swap), (names(theirs), swap), "{byte:#x} at {at:#x}");
            }
        }
    }
}
