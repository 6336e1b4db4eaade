//! R7: nothing that the library asks of a flash takes long, so a watchdog that is fed between holds.

use core::time::Duration;

use dfu_target_mcuboot::{Mode, Upgrade};
use dfu_testkit::device::{Board, Device, FlashMap, Release, Visit};
use dfu_testkit::flash::{Counts, Timing};

/// A serial NOR flash: 0.7 ms a page of 256 bytes, 400 ms a sector of 4 KiB at the worst, reads at 8 MHz.
const SPI_NOR: Timing = Timing { word_ns: 2_734, erase_ns: 400_000_000, read_ns: 1000 };

/// An update that is cut and resumed, and confirmed; all that was asked of the flash, and its longest operation.
fn update<const E: usize>(
    board: Board,
    timing: Timing,
    size: usize,
    chunk: usize,
    prepares: bool,
) -> (Counts, Duration) {
    let device = Device::<1, E>::new(board);
    device.chip().sim().set_timing(timing);
    device.install(&board.image().build());
    let image = board.image().version(2, 0, 0, 0).total_size(size).build();
    // Where progress falls due amid a piece the session divides it.
    let save_every = chunk.max(4096) as u32;
    let release = Release::new(&image).chunk(chunk).save_every(save_every).prepares(prepares);
    device.chip().sim().reset_counts();
    device.fetch(&release, size as u32 / 2, &mut Visit::default()).unwrap();
    let _ = device.update(&release, &mut Visit::default()).unwrap();
    assert!(device.boot().swapped.is_some());
    device.confirm().unwrap();
    let flash = device.chip().sim();
    (flash.counts(), flash.longest())
}

fn no_call_is_long<const E: usize>(board: Board) {
    for (chunk, prepares) in [(512, false), (512, true), (300_000, false)] {
        let (counts, longest) = update::<E>(board, SPI_NOR, 300_000, chunk, prepares);
        let mode = board.mode;
        assert_eq!(counts.longest_erase, E, "{mode:?}");
        assert!(counts.longest_write <= 4096, "{mode:?}: a write of {} bytes", counts.longest_write);
        assert!(counts.longest_read <= 4096, "{mode:?}: a read of {} bytes", counts.longest_read);
        assert!(longest < Duration::from_secs(2), "{mode:?}: {longest:?}");
        println!(
            "R7: {mode:?}, pieces of {chunk}: the longest read, write, erase: {}, {}, {} bytes; {longest:?}",
            counts.longest_read, counts.longest_write, counts.longest_erase
        );
    }
}

#[test]
fn r07_no_call_is_longer_than_an_erase_unit_and_a_watchdog_of_2_s_holds_on_1_mib_of_spi_nor() {
    for mode in [Mode::SwapMove, Mode::SwapOffset, Mode::OverwriteOnly] {
        let board = Board::new(mode, FlashMap::NRF9160_SLOT).map(FlashMap::NRF9160).upgrade(Upgrade::Test);
        no_call_is_long::<4096>(board);
        // A unit is erased at once; what is read and written at once does not grow with it.
        no_call_is_long::<16_384>(Board::new(mode, 30 * 16_384).upgrade(Upgrade::Test));
    }
}
