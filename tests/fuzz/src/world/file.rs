//! The files that come to the device.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use dfu_target::Digest;
use dfu_target_mcuboot::Mode;
use dfu_testkit::device::Board;
use dfu_testkit::modem::{DeltaFile, uuid};
use sha2::Sha256;

thread_local! {
    static MADE: RefCell<BTreeMap<(bool, usize), Rc<[File]>>> = const { RefCell::new(BTreeMap::new()) };
}

/// A file that comes to the device.
pub struct File {
    pub number: u8,
    pub bytes: Vec<u8>,
    pub digest: Digest,
}

impl File {
    /// The images that may run: the one that does at first, a small one, the largest, and the one that comes last.
    pub const GOOD: [u8; 4] = [0, 1, 2, Self::LAST];
    /// An update of the modem's first firmware, and one that was damaged.
    pub const DELTA: u8 = 3;
    pub const DAMAGED: u8 = 4;
    /// The image of the update that has to go through at the end. Those before are for any other.
    pub const LAST: u8 = 8;

    /// All of them, made once for each kind of board.
    pub(super) fn all(board: &Board, largest: usize) -> Rc<[Self]> {
        let runs_from_ram = matches!(board.mode, Mode::RamLoad | Mode::RamLoadRevert);
        let make = || (0..=Self::LAST).map(|number| Self::new(number, board, largest)).collect();
        MADE.with_borrow_mut(|made| made.entry((runs_from_ram, largest)).or_insert_with(make).clone())
    }

    fn new(number: u8, board: &Board, largest: usize) -> Self {
        let image = |version: u8| board.image().header_size(32).version(version, 0, 0, 0).seed(version.into());
        let delta = || DeltaFile::new(uuid(1), uuid(2)).payload(500).build();
        let bytes = match number {
            Self::LAST => image(9).total_size(largest - 30).build().to_vec(),
            Self::DELTA => delta(),
            Self::DAMAGED => {
                let mut bytes = delta();
                bytes[300] ^= 1;
                bytes
            }
            0 => image(1).payload(60).build().to_vec(),
            1 => image(2).payload(250).build().to_vec(),
            2 => image(3).total_size(largest).build().to_vec(),
            // Another byte in its payload; cut short; no image at all.
            5 => image(4).payload(300).build().patched(100, &[0xa5]).to_vec(),
            6 => image(5).payload(300).build().truncated(350).to_vec(),
            _ => b"<!DOCTYPE html><html><body>404 Not Found, and a long sorry</body></html>".to_vec(),
        };
        let digest = Digest(<Sha256 as sha2::Digest>::digest(&bytes).into());
        Self { number, bytes, digest }
    }
}
