//! R8: what an update writes beside the image is bounded.

use dfu_target_mcuboot::Mode;
use dfu_testkit::device::{Board, Device, FlashMap, Release, Visit};

/// Bytes of metadata that an update of `size` bytes writes, and how often it erases for them.
fn metadata(board: Board, size: usize, save_every: u32) -> [u64; 3] {
    let device = Device::<4, 4096, 4>::new(board);
    device.install(&board.image().build());
    let image = board.image().version(2, 0, 0, 0).total_size(size).build();
    let before = [device.log(), device.target()].map(|range| wear(&device, range));
    device.chip().sim().reset_counts();
    let release = Release::new(&image).save_every(save_every);
    let _ = device.update(&release, &mut Visit::default()).unwrap();
    let written = device.chip().sim().counts().bytes_written - size.next_multiple_of(4) as u64;
    let [log, target] = [device.log(), device.target()].map(|range| wear(&device, range));
    [written, log - before[0], target - before[1]]
}

fn wear(device: &Device<4, 4096, 4>, range: core::ops::Range<u32>) -> u64 {
    let units = range.start as usize / 4096..range.end as usize / 4096;
    device.chip().sim().wear()[units].iter().map(|erases| u64::from(*erases)).sum()
}

#[test]
fn r08_metadata_of_an_update_has_a_ceiling() {
    for mode in [Mode::SwapMove, Mode::SwapOffset, Mode::OverwriteOnly, Mode::DirectXipRevert] {
        let board = Board::new(mode, FlashMap::NRF9160_SLOT).map(FlashMap::NRF9160);
        for (size, save_every) in [(100_000, 4096), (256 * 1024, 4096), (256 * 1024, 16_384), (256 * 1024, u32::MAX)] {
            let [bytes, log, target] = metadata(board, size, save_every);
            // What identifies it, its states and the mark; and 20 bytes each time that progress is due.
            let ceiling = 512 + 20 * (size as u64 / u64::from(save_every));
            assert!(bytes <= ceiling, "{mode:?}: {bytes} bytes, not {ceiling}");
            assert!(log <= 1, "{mode:?}: the log was erased {log} times");
            // Each unit of the image once, and the trailer's.
            let units = (size as u64).div_ceil(4096) + u64::from(mode == Mode::SwapOffset);
            assert!(target <= units + 1, "{mode:?}: {target} erases for {units} units");
            println!(
                "R8: {mode:?}, {size} bytes, saved every {save_every}: {bytes} bytes beside the image, \
                 {log} erases of the log, {target} of the slot"
            );
        }
    }
}
