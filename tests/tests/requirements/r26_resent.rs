//! R26: a peer that is not answered sends its block again. While the slot is erased that is no new update.

use dfu_target::{Begun, ImageId, Request, Update};
use dfu_target_mcuboot::Mode;
use dfu_testkit::device::{Board, Release};
use dfu_testkit::flash::Timing;
use dfu_testkit::poll::run;
use std::time::Duration;

use crate::call::Small;

const BLOCK: usize = 512;

#[test]
fn r26_block_0_resent_during_an_erase_of_20_s_is_not_a_new_update() {
    let board = Board::new(Mode::SwapMove, 10 * 1024).sectors(10);
    let device = Small::new(board);
    device.install(&board.image().build());
    let new = board.image().version(2, 0, 0, 0).payload(5000).build();
    // The trailer's unit and the first one: 20 s of erasing before the first block is stored.
    device.chip().sim().set_timing(Timing { erase_ns: 10_000_000_000, ..Timing::default() });
    let mut shared = device.share();
    let (_, target, log) = device.open(&mut shared);
    let mut update = Update::new(target, log, Request::new(ImageId::named("pushed")).save_every(512));
    let Begun::Receiving(mut session) = run(update.begin()).unwrap() else { panic!("nothing is stored yet") };
    let block = |n: usize| &new[n * BLOCK..new.len().min((n + 1) * BLOCK)];
    let units = new.len().div_ceil(1024) as u64 + 1;
    let last = new.len().div_ceil(BLOCK) - 1;
    for n in 0..=last {
        let before = device.chip().sim().elapsed();
        run(session.write_at((n * BLOCK) as u32, block(n))).unwrap();
        let took = device.chip().sim().elapsed() - before;
        assert!(n != 0 || took >= Duration::from_secs(20), "{took:?}");
        // The peer waits 2 s, then 4, 8 and 16: so often the block, and the first one, lie in the queue by then.
        let durable = session.durable();
        for again in [n, 0, n, 0] {
            run(session.write_at((again * BLOCK) as u32, block(again))).unwrap();
            assert_eq!(session.offset() as usize, new.len().min((n + 1) * BLOCK), "block {again} again, at block {n}");
            assert!(session.durable() >= durable);
        }
    }
    let erased = device.chip().sim().wear()[device.target().start as usize / 1024..device.target().end as usize / 1024]
        .iter()
        .map(|erases| u64::from(*erases))
        .sum::<u64>();
    assert!(erased <= units, "{erased} units were erased, not {units}");
    let staged = run(session.finish()).unwrap();
    let _ = run(staged.verify(Release::new(&new).digest()).unwrap().apply()).unwrap();
    drop(update);
    assert!(device.boot().swapped.is_some());
    assert!(device.holds(device.primary(), &new));
}
