//! A map as a picture: each memory from its first byte down, regions as high as they are large.

use std::fmt::Write;

use indicatif::HumanCount;

use super::map::{Area, FlashMap};

/// The lines of a memory, about, and the characters of a line.
const LINES: u64 = 20;
const WIDTH: usize = 44;

/// Draws all memories that are flash.
pub(crate) fn draw(map: &FlashMap) -> String {
    let mut text = String::new();
    for (at, flash) in map.flashes.iter().enumerate().filter(|(_, flash)| flash.erase.is_some()) {
        let areas: Vec<&Area> = map.areas.iter().filter(|area| area.flash == at && area.depth == 0).collect();
        let known = if flash.size_is_known { "" } else { ", as far as the map goes" };
        let _ = writeln!(text, "\n{}, {} bytes{known}", flash.name, HumanCount(flash.size.into()));
        let mut from = 0;
        let mut edge = '┌';
        for area in areas {
            if u64::from(area.offset) > from {
                block(&mut text, &mut edge, from, area.offset.into(), "(free)", flash.size);
            }
            block(&mut text, &mut edge, area.offset.into(), area.end(), &area.name, flash.size);
            from = from.max(area.end());
        }
        if u64::from(flash.size) > from {
            block(&mut text, &mut edge, from, flash.size.into(), "(free)", flash.size);
        }
        line(&mut text, from.max(flash.size.into()), '└', '┘');
    }
    text
}

fn block(text: &mut String, edge: &mut char, from: u64, to: u64, name: &str, whole: u32) {
    line(text, from, *edge, if *edge == '┌' { '┐' } else { '┤' });
    *edge = '├';
    let lines = ((to - from) * LINES / u64::from(whole.max(1))).max(1);
    let bytes = HumanCount(to - from).to_string();
    let room = WIDTH.saturating_sub(bytes.len() + 3);
    let short: String = name.chars().take(room).collect();
    for nth in 0..lines {
        let content = if nth == 0 { format!(" {short:<room$} {bytes} ") } else { " ".repeat(WIDTH) };
        let _ = writeln!(text, "{:>10} │{content}│", "");
    }
}

fn line(text: &mut String, at: u64, left: char, right: char) {
    let at = format!("{at:#x}");
    let _ = writeln!(text, "{at:>10} {left}{}{right}", "─".repeat(WIDTH));
}
