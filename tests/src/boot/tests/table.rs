//! What two trailers ask for.

use super::*;

use Flag::{Bad as Spoilt, Set, Unset};
use Magic::{Bad, Good};

/// A field of a table's row: a value, or anything.
type Is<T> = Option<T>;

/// Magics of both slots, `image_ok` of both, `copy_done` of both, and what they mean.
type Row = ([Is<Magic>; 2], [Is<Flag>; 2], [Is<Flag>; 2], SwapType);

/// The table as MCUboot's source has it; the first row is there for swap using offset only.
const TABLE: [Row; 4] = [
    ([None, Some(Good)], [None, Some(Unset)], [None, Some(Set)], SwapType::Revert),
    ([None, Some(Good)], [None, Some(Unset)], [None, None], SwapType::Test),
    ([None, Some(Good)], [None, Some(Set)], [None, None], SwapType::Perm),
    ([Some(Good), None], [Some(Unset), None], [Some(Set), None], SwapType::Revert),
];

#[test]
fn the_swap_type_follows_the_table_in_every_combination() {
    for (by_offset, table) in [(false, &TABLE[1..]), (true, &TABLE[..])] {
        let mut rows = vec![0; table.len() + 1];
        for [one, other] in pairs() {
            let hit = table.iter().position(|row| matches(row, &one, &other));
            assert_eq!(trailer::swap_type(&one, &other, by_offset), hit.map(|row| table[row].3), "{one:?} {other:?}");
            rows[hit.unwrap_or(table.len())] += 1;
        }
        assert_eq!(rows.iter().sum::<u32>(), 3_u32.pow(6));
        assert!(rows.iter().all(|hits| *hits > 0), "{rows:?}");
    }
}

#[test]
fn the_bytes_of_two_slots_ask_for_what_the_table_says() {
    for mode in MODES {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let table = if mode == Mode::Offset { &TABLE[..] } else { &TABLE[1..] };
        for states in pairs() {
            let [primary, secondary] = states.map(|state| written(&mcuboot, &state));
            let hit = table.iter().find(|row| matches(row, &states[0], &states[1]));
            assert_eq!(mcuboot.asked(&primary, &secondary), hit.map(|row| row.3), "{mode:?} {states:?}");
        }
    }
}

#[test]
fn modes_that_select_ask_for_nothing() {
    for mode in SELECTS {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        for states in pairs() {
            let [primary, secondary] = states.map(|state| written(&mcuboot, &state));
            assert_eq!(mcuboot.asked(&primary, &secondary), None);
        }
    }
}

#[test]
fn a_swap_that_was_begun_goes_on_before_the_table_is_looked_at() {
    let begun = State { swap_info: Some((SwapType::Perm, 0)), ..state(Good, Unset, Unset) };
    let empty = state(Magic::Unset, Unset, Unset);
    for mode in SWAPS {
        let mcuboot = Bootloader::new(mode, 4, 4096);
        let asked = |one: &State, other: &State| mcuboot.asked(&written(&mcuboot, one), &written(&mcuboot, other));
        assert_eq!(asked(&begun, &empty), Some(SwapType::Perm));
        assert_eq!(asked(&State { copy_done: Set, ..begun }, &empty), Some(SwapType::Revert), "it is finished");
        let next = if mode == Mode::Scratch { SwapType::Perm } else { SwapType::Test };
        assert_eq!(asked(&begun, &state(Good, Unset, Unset)), Some(next), "{mode:?}");
        let torn = State { magic: Magic::Unset, ..begun };
        assert_eq!(asked(&torn, &empty), (mode == Mode::Scratch).then_some(SwapType::Perm), "{mode:?}");
    }
    let mcuboot = Bootloader::new(Mode::Overwrite, 4, 4096);
    assert_eq!(mcuboot.asked(&written(&mcuboot, &begun), &written(&mcuboot, &empty)), None);
}

fn matches((magic, image_ok, copy_done, _): &Row, one: &State, other: &State) -> bool {
    fn fits<T: PartialEq>(wanted: &[Is<T>; 2], found: [T; 2]) -> bool {
        wanted.iter().zip(found).all(|(wanted, found)| wanted.as_ref().is_none_or(|wanted| *wanted == found))
    }
    fits(magic, [one.magic, other.magic])
        && fits(image_ok, [one.image_ok, other.image_ok])
        && fits(copy_done, [one.copy_done, other.copy_done])
}

/// Every state of both trailers.
fn pairs() -> impl Iterator<Item = [State; 2]> {
    let (magics, flags) = ([Good, Magic::Unset, Bad], [Set, Unset, Spoilt]);
    let all = move |n: usize| state(magics[n / 9], flags[n / 3 % 3], flags[n % 3]);
    (0..27 * 27).map(move |n| [all(n / 27), all(n % 27)])
}

fn state(magic: Magic, image_ok: Flag, copy_done: Flag) -> State {
    State { magic, image_ok, copy_done, swap_info: None }
}

/// A slot with such a trailer.
fn written(mcuboot: &Bootloader, state: &State) -> Vec<u8> {
    let mut slot = vec![0xff; 4096];
    let trailer = mcuboot.trailer(slot.len());
    match state.magic {
        Good => trailer.put_magic(&mut slot),
        Bad => slot[trailer.magic] = 0x55,
        Magic::Unset => {}
    }
    for (at, flag) in [(trailer.image_ok, state.image_ok), (trailer.copy_done, state.copy_done)] {
        slot[at] = match flag {
            Set => 1,
            Unset => 0xff,
            Spoilt => 0x7f,
        };
    }
    if let Some((kind, image)) = state.swap_info {
        trailer.put_swap_info(&mut slot, kind, image);
    }
    assert_eq!(trailer.state(&slot), *state);
    slot
}
