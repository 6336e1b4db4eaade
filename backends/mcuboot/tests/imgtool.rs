//! A slot that was written and marked here is the file that `imgtool sign --test` or `--confirm` makes, byte for
//! byte. `swap_info` alone is MCUboot's own: imgtool leaves it out, and MCUboot's calls write it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)] // A test.

use dfu_target::blocking::block_on;
use dfu_target::digest::SoftSha256;
use dfu_target::flash::{Layout, Shared};
use dfu_target::progress::NoProgress;
use dfu_target::{Applied, Begun, Request, Update};
use dfu_target_mcuboot::{Active, Align, Config, Flag, McubootTarget, Mode, RunningState, Slots, SwapType, Upgrade};
use dfu_testkit::fixture::Fixture;
use dfu_testkit::flash::{Chip, SimFlash};

/// Stores and marks an image in a slot that is full of something else; the slot's bytes.
fn mark<const W: usize>(image: &[u8], size: u32, align: Align, mode: Mode, upgrade: Upgrade) -> Vec<u8> {
    let chip = Chip::new(SimFlash::<W, 4096, 1>::new(size as usize));
    let config = Config::new(mode).align(align).upgrade(upgrade).max_sectors(16);
    let slot = Slots::checked::<Chip<W, 4096, 1>, Chip<W, 4096, 1>>(size, size, config).unwrap();
    let free = slot.max_image();
    chip.sim().load(0, &vec![0x5a; size as usize]);
    if mode == Mode::SwapMove {
        // A move leaves one sector free, which nobody looks at in this slot.
        chip.sim().load(free, &[0xff; 4096]);
    }
    let active = Active::new(RunningState::Factory, None);
    let mut shared = Shared::new(chip.clone());
    let [region] = shared.split(&Layout::checked([(0, size)]).unwrap());
    let target = McubootTarget::<_, _, _, 256>::new(region, SoftSha256::default(), &slot, active).unwrap();
    let mut update = Update::new(target, NoProgress, Request::new(dfu_target::ImageId::named("slot")));
    let Begun::Receiving(mut session) = block_on(update.begin()).unwrap() else { panic!("nothing is stored") };
    for piece in image.chunks(777) {
        block_on(session.write(piece)).unwrap();
    }
    // So that what is left of the slot is erased, as in imgtool's file.
    while block_on(session.prepare()).unwrap() {}
    let verified = block_on(session.finish()).unwrap().verify_self().unwrap();
    assert_eq!(block_on(verified.apply()).unwrap(), Applied::AtReset);
    let (mut target, _) = update.release();
    let mark = block_on(target.mark()).unwrap();
    let swap = if upgrade == Upgrade::Test { SwapType::Test } else { SwapType::Permanent };
    assert_eq!((mark.magic, mark.copy_done, mark.swap), (Flag::Set, Flag::Unset, Some(swap)));
    let flash = chip.sim();
    flash.bytes().to_vec()
}

fn compare<const W: usize>(align: Align) {
    let name = format!("slot-a{}", align.bytes());
    let image = Fixture::named(&name);
    let size = image.number("slot");
    for (kind, upgrade) in [("test", Upgrade::Test), ("confirm", Upgrade::Permanent)] {
        let expected = Fixture::named(&format!("{name}-{kind}"));
        assert_eq!((expected.field("marked"), expected.number("align")), (kind, align.bytes()));
        for mode in [Mode::SwapMove, Mode::SwapScratch, Mode::OverwriteOnly] {
            let mut slot = mark::<W>(image.bytes(), size, align, mode, upgrade);
            assert_eq!(slot.len(), expected.bytes().len());
            let swap_info = slot.len() - magic_and_flags(align);
            assert_eq!(slot[swap_info], if upgrade == Upgrade::Test { 2 } else { 3 });
            slot[swap_info] = 0xff;
            let differ: Vec<usize> = (0..slot.len()).filter(|at| slot[*at] != expected.bytes()[*at]).collect();
            let places: Vec<_> = differ.iter().take(9).map(|at| format!("{:#x}: {:02x}", at, slot[*at])).collect();
            assert!(differ.is_empty(), "{name}-{kind}, {mode:?}, words of {W}: {} differ: {places:?}", differ.len());
        }
    }
}

/// How far before the slot's end `swap_info` lies, by MCUboot's design document: the magic in whole blocks, then
/// `image_ok`, `copy_done` and `swap_info`.
fn magic_and_flags(align: Align) -> usize {
    let align = align.bytes() as usize;
    16_usize.next_multiple_of(align) + 3 * align
}

#[test]
fn a_slot_with_an_alignment_of_8_is_imgtools_own() {
    compare::<1>(Align::A8);
    compare::<4>(Align::A8);
    compare::<8>(Align::A8);
}

#[test]
fn a_slot_with_an_alignment_of_16_is_imgtools_own() {
    compare::<4>(Align::A16);
    compare::<16>(Align::A16);
}

#[test]
fn a_slot_with_an_alignment_of_32_is_imgtools_own() {
    compare::<4>(Align::A32);
    compare::<32>(Align::A32);
}
