//! Your flash map, and power that fails at each word that an update programs: `cargo run --release --example sweep`.

use dfu_target_mcuboot::{Mode, Upgrade};
use dfu_testkit::device::{Board, FlashMap};
use dfu_testkit::flash::Cut;
use dfu_testkit::scenario::Scenario;
use dfu_testkit::search::Search;

// The partitions: two slots of 96 KiB, two pages for the progress, and what is in none of them is somebody else's.
const MAP: FlashMap = FlashMap { flash: 0x4_0000, primary: 0x8000, secondary: 0x2_0000, log: 0x3_8000 };

fn main() {
    // How MCUboot was built.
    let board = Board::new(Mode::SwapMove, 96 * 1024).map(MAP).upgrade(Upgrade::Test).sectors(24);
    // The sizes of the old image and the new one; it comes in pieces of 1 KiB, and each 4 KiB progress is stored.
    let scenario = Scenario::new(board).sizes(20_000, 30_000).fetching(1024, 4096);

    // Words of 4 bytes, pages of 4 KiB, reads of any length. Every kind of cut at every point; where one does harm, it
    // panics and says which.
    let singles = Search::new(scenario).finishing_one_in(16).singles::<4, 4096, 1>();
    println!("{singles}");
    // And up to five cuts in a row, by chance.
    let chains = Search::new(scenario).ways(&Cut::FEW).finishing_one_in(16).chains::<4, 4096, 1>(1);
    println!("{chains} in {} chains", chains.lives);
    println!("{}", Search::new(scenario).finishing_one_in(16).dropping().singles::<4, 4096, 1>()); // And cancelled.
}
