fn shrunk() {
    use dfu_target_mcuboot::Mode;
    use dfu_testkit::device::Board;
    use dfu_testkit::flash::Cut;
    use dfu_testkit::shrink::Case;
    let board = Board::new(Mode::SwapMove, 16384).sectors(16);
    let case = Case { board, sizes: [600, 600], chunk: 512, save_every: 1024, cuts: vec![(1, Cut::After)] };
    case.live::<4, 1024>(careless).unwrap();
}
