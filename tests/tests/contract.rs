//! The contract suite, one line for each target.

use dfu_target::DfuTarget;
use dfu_target::digest::SoftSha256;
use dfu_target::flash::Region;
use dfu_target::image::mcuboot::Version;
use dfu_target::target::DynDfuTarget;
use dfu_target_mcuboot::{Active, Align, Config, McubootTarget, Mode, RunningState, Slots, Upgrade};
use dfu_testkit::contract::{FlashRig, contract};
use dfu_testkit::device::{Board, Device};
use dfu_testkit::flash::Chip;

type Target<const W: usize, const E: usize, const R: usize> =
    McubootTarget<'static, Chip<W, E, R>, SoftSha256, &'static Slots, 256>;

/// The image that runs was confirmed long ago.
const ACTIVE: Active =
    Active::new(RunningState::Confirmed, Some(Version { major: 1, minor: 0, revision: 0, build: 0 }));

fn target<const W: usize, const E: usize, const R: usize>(
    region: Region<'static, Chip<W, E, R>>,
    device: &'static Device<W, E, R>,
) -> Target<W, E, R> {
    McubootTarget::new(region, SoftSha256::default(), device.slots(), ACTIVE).unwrap()
}

const MOVE: Board = Board::new(Mode::SwapMove, 10 * 1024).sectors(10);

#[test]
fn r05_an_mcuboot_target_keeps_the_contract_in_each_geometry() {
    contract(&FlashRig::new(MOVE, target::<4, 1024, 4>));
    contract(&FlashRig::new(MOVE.sectors(20).upgrade(Upgrade::Permanent), target::<1, 512, 1>));
    contract(&FlashRig::new(MOVE.align(Align::A16), target::<16, 1024, 1>));
    contract(&FlashRig::new(MOVE.align(Align::A32).erased(0), target::<32, 1024, 32>));
    contract(&FlashRig::new(Board::new(Mode::SwapMove, 8 * 4096), target::<8, 4096, 8>));
    contract(&FlashRig::new(MOVE, target::<4, 1024, 64>));
    contract(&FlashRig::new(MOVE.sectors(20), target::<1, 512, 128>));
}

#[test]
fn r18_an_mcuboot_target_keeps_the_contract_in_each_mode() {
    let scratch = Board::new(Mode::SwapScratch, 6 * 1024).sectors(8);
    contract(&FlashRig::new(scratch, target::<4, 1024, 4>));
    contract(&FlashRig::new(scratch.upgrade(Upgrade::Permanent).align(Align::A32), target::<8, 1024, 1>));
    let overwrite = Board::new(Mode::OverwriteOnly, 5 * 1024).sectors(8);
    contract(&FlashRig::new(overwrite, target::<4, 1024, 4>));
    contract(&FlashRig::new(overwrite.upgrade(Upgrade::Permanent).align(Align::A16), target::<2, 1024, 2>));
}

#[test]
fn an_mcuboot_target_keeps_the_contract_where_the_image_begins_in_the_second_sector() {
    let offset = Board::new(Mode::SwapOffset, 8 * 1024).sectors(10);
    contract(&FlashRig::new(offset, target::<4, 1024, 4>));
    contract(&FlashRig::new(offset.more(1024).upgrade(Upgrade::Permanent).align(Align::A32), target::<32, 1024, 1>));
}

#[test]
fn an_mcuboot_target_keeps_the_contract_where_the_bootloader_chooses() {
    for mode in [Mode::DirectXip, Mode::DirectXipRevert, Mode::RamLoad, Mode::RamLoadRevert] {
        let board = Board::new(mode, 6 * 1024).sectors(8);
        contract(&FlashRig::new(board, target::<4, 1024, 4>));
        contract(&FlashRig::new(board.upgrade(Upgrade::Permanent), target::<8, 1024, 1>));
        contract(&FlashRig::new(board.align(Align::A32).erased(0), target::<32, 1024, 32>));
    }
}

#[test]
fn a_borrowed_target_keeps_the_contract() {
    contract(&FlashRig::new(MOVE, |region, device| Box::leak(Box::new(target::<4, 1024, 4>(region, device)))));
}

#[test]
fn a_boxed_target_keeps_the_contract() {
    contract(&FlashRig::new(MOVE, |region, device| -> Box<dyn DynDfuTarget> {
        Box::new(target::<4, 1024, 4>(region, device))
    }));
}

/// A slot for another image, a network core's.
const OTHER: Slots = Slots::new::<Chip<4, 1024, 4>>(10 * 1024, Config::new(Mode::SwapMove).max_sectors(10).index(1));

fn other() -> Target<4, 1024, 4> {
    let device: &'static Device<4, 1024, 4> = Box::leak(Box::new(Device::new(MOVE)));
    let shared = Box::leak(Box::new(device.share()));
    let layout = dfu_target::flash::Layout::checked([(device.secondary().start, 10 * 1024)]).unwrap();
    let [region] = shared.split(&layout);
    McubootTarget::new(region, SoftSha256::default(), &OTHER, ACTIVE).unwrap()
}

#[test]
fn the_first_of_two_targets_keeps_the_contract() {
    contract(&FlashRig::new(MOVE, |region, device| target::<4, 1024, 4>(region, device).or(other())));
}

#[test]
fn the_second_of_two_targets_keeps_the_contract() {
    contract(&FlashRig::new(MOVE, |region, device| other().or(target::<4, 1024, 4>(region, device))));
}
