//! A [`Case`] as a test.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use dfu_target_mcuboot::{Align, Upgrade};

use super::case::Case;
use crate::device::Board;
use crate::flash::Cut;

impl Case {
    /// This case as a test, to be pasted where `application` is in reach.
    ///
    /// ```
    /// use dfu_target_mcuboot::Mode;
    /// use dfu_testkit::{device::Board, flash::Cut, shrink::Case};
    ///
    /// let mut case = Case::new(Board::new(Mode::SwapMove, 16 * 1024).sectors(16));
    /// case.cuts.push((41, Cut::Before));
    /// let test = case.test::<4, 1024>("my_update");
    /// assert!(test.contains("cuts: vec![(41, Cut::Before)]"));
    /// assert!(test.contains("case.live::<4, 1024>(my_update)"));
    /// ```
    pub fn test<const W: usize, const E: usize>(&self, application: &str) -> String {
        let cuts: Vec<_> = self.cuts.iter().map(|(point, cut)| format!("({point}, {})", cut_text(*cut))).collect();
        let Self { sizes, chunk, save_every, .. } = self;
        let (board, cuts) = (board_text(&self.board), cuts.join(", "));
        let torn = cuts.contains("Tear::");
        let flash = match (cuts.is_empty(), torn) {
            (true, _) => "",
            (_, false) => "    use dfu_testkit::flash::Cut;\n",
            _ => "    use dfu_testkit::flash::{Cut, Tear};\n",
        };
        let names: Vec<_> =
            ["Align", "Mode", "Upgrade"].into_iter().filter(|name| board.contains(&format!("{name}::"))).collect();
        let names = if let [name] = names[..] { name.into() } else { format!("{{{}}}", names.join(", ")) };
        let device = if self.board.map.is_some() { "{Board, FlashMap}" } else { "Board" };
        format!(
            "#[test]
fn shrunk() {{
    use dfu_target_mcuboot::{names};
    use dfu_testkit::device::{device};
{flash}    use dfu_testkit::shrink::Case;
    let board = {board};
    let case = Case {{ board, sizes: {sizes:?}, chunk: {chunk}, save_every: {save_every}, cuts: vec![{cuts}] }};
    case.live::<{W}, {E}>({application}).unwrap();
}}
"
        )
    }
}

fn cut_text(cut: Cut) -> String {
    match cut {
        Cut::Torn(tear) => format!("Cut::Torn(Tear::{tear:?})"),
        cut => format!("Cut::{cut:?}"),
    }
}

/// The board by its setters, of those that are not as usual.
fn board_text(board: &Board) -> String {
    let Board { mode, slot, more, upgrade, align, sectors, erased, recall, map } = *board;
    let usual = Board::new(mode, slot);
    let mut text = format!("Board::new(Mode::{mode:?}, {slot})");
    if more != usual.more {
        text += &format!(".more({more})");
    }
    if upgrade != Upgrade::Test {
        text += &format!(".upgrade(Upgrade::{upgrade:?})");
    }
    if align != Align::A8 {
        text += &format!(".align(Align::{align:?})");
    }
    if sectors != usual.sectors {
        text += &format!(".sectors({sectors})");
    }
    if erased != usual.erased {
        text += &format!(".erased({erased:#04x})");
    }
    if recall != usual.recall {
        text += &format!(".recall({recall})");
    }
    if let Some(map) = map {
        text += &format!(".map({map:?})");
    }
    text
}
