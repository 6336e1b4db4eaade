mod group;
mod layout;
mod offset;
mod pitfall;
mod refusal;
mod select;
mod swap;
mod table;

use super::*;
use crate::flash::SimFlash;
use crate::image::{ECDSA_SIG, ImageBuilder, ImageFile, SEC_CNT};

const SLOT: usize = 128 * 1024;
const MODES: [Mode; 4] = [Mode::Move, Mode::Scratch, Mode::Offset, Mode::Overwrite];
const SWAPS: [Mode; 3] = [Mode::Move, Mode::Scratch, Mode::Offset];
const SELECTS: [Mode; 4] = [Mode::DirectXip, Mode::DirectXipRevert, Mode::RamLoad, Mode::RamLoadRevert];

/// Each write size with each alignment that goes with it.
fn builds(mode: Mode) -> impl Iterator<Item = Bootloader> {
    let pairs = [(4, 8), (4, 16), (4, 32), (8, 8), (8, 16), (8, 32), (16, 16), (16, 32), (32, 32)];
    pairs.into_iter().flat_map(move |(write, align)| {
        [0xff, 0x00].map(|erased| Bootloader::new(mode, write, 4096).max_align(align).erased_value(erased))
    })
}

fn slot(mcuboot: &Bootloader, image: &[u8]) -> Vec<u8> {
    let mut slot = vec![mcuboot.erased; SLOT];
    slot[..image.len()].copy_from_slice(image);
    slot
}

/// A secondary slot with an image where the mode expects a new one.
fn upload(mcuboot: &Bootloader, image: &[u8]) -> Vec<u8> {
    let mut slot = vec![mcuboot.erased; SLOT];
    let start = start(mcuboot);
    slot[start..start + image.len()].copy_from_slice(image);
    slot
}

/// Where a new image begins.
fn start(mcuboot: &Bootloader) -> usize {
    if mcuboot.mode == Mode::Offset { mcuboot.sector_size } else { 0 }
}

fn old() -> ImageFile {
    ImageBuilder::new().payload(9000).seed(1).signature(70).build()
}

fn new() -> ImageFile {
    ImageBuilder::new().payload(20_000).seed(2).version(2, 1, 0, 7).protected(SEC_CNT, &[1, 0, 0, 0]).build()
}
