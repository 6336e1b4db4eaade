//! What follows an image in its file: `imgtool sign --pad`, or the whole slot read back.

use std::fmt;

use dfu_target_mcuboot::{Align, Config, Flag, Mark, Mode, Slots, SwapType};
use dfu_testkit::flash::SimFlash;
use indicatif::HumanCount;
use serde_json::{Value, json};

/// What follows an image in its file.
#[derive(Debug)]
pub(crate) struct Padding {
    /// Of the file and of what follows the image, in bytes.
    file: usize,
    len: usize,
    /// The trailer at its end, and the alignment that it was written for.
    trailer: Option<(Align, Mark)>,
    /// What it is filled with, if that is erased flash.
    erased: Option<u8>,
}

/// No slot is that small; only the trailer's end counts here.
const SLOTS: [(Align, u8); 6] =
    [(Align::A8, 0xff), (Align::A16, 0xff), (Align::A32, 0xff), (Align::A8, 0), (Align::A16, 0), (Align::A32, 0)];

impl Padding {
    pub(crate) fn of(file: usize, rest: &[u8]) -> Self {
        // A trailer's last field alone is 16 bytes of no erased value.
        let (body, _) = rest.split_at(rest.len().saturating_sub(128));
        let erased = [0xff, 0].into_iter().find(|value| {
            let filled = if rest.len() > 128 { body } else { rest };
            filled.iter().all(|byte| byte == value)
        });
        let trailer = SLOTS.into_iter().find_map(|(align, value)| {
            let mark = slots(align, value)?.read(rest);
            (mark.magic == Flag::Set && erased.is_none_or(|erased| erased == value)).then_some((align, mark))
        });
        Self { file, len: rest.len(), trailer, erased }
    }

    pub(crate) fn facts(&self) -> Value {
        let trailer = self.trailer.map(|(align, mark)| {
            let mut trailer = mark_facts(&mark);
            trailer["align"] = align.bytes().into();
            trailer
        });
        json!({ "length": self.len, "erased": self.erased, "trailer": trailer })
    }
}

impl fmt::Display for Padding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", HumanCount(self.len as u64))?;
        match (&self.trailer, self.erased) {
            (Some((align, mark)), _) => {
                let file = HumanCount(self.file as u64);
                write!(f, ", padded to a slot of {file}, trailer for align {}: {}", align.bytes(), mark_text(mark))
            }
            (None, Some(erased)) => write!(f, " of {erased:#04x}, without a trailer"),
            (None, None) => f.write_str(", not a trailer of MCUboot's"),
        }
    }
}

/// A mark's fields, as they are shown everywhere.
pub(crate) fn mark_text(mark: &Mark) -> String {
    let [magic, copy_done, image_ok] = [mark.magic, mark.copy_done, mark.image_ok].map(flag_name);
    format!("magic {magic}, copy_done {copy_done}, image_ok {image_ok}, swap {}", swap_name(mark.swap))
}

/// The same for programs.
pub(crate) fn mark_facts(mark: &Mark) -> Value {
    let [magic, copy_done, image_ok] = [mark.magic, mark.copy_done, mark.image_ok].map(flag_name);
    json!({ "magic": magic, "copy_done": copy_done, "image_ok": image_ok, "swap": swap_name(mark.swap) })
}

fn flag_name(flag: Flag) -> &'static str {
    match flag {
        Flag::Set => "set",
        Flag::Unset => "unset",
        Flag::Bad => "bad",
    }
}

fn swap_name(swap: Option<SwapType>) -> &'static str {
    match swap {
        None => "none",
        Some(SwapType::Test) => "test",
        Some(SwapType::Permanent) => "permanent",
        Some(SwapType::Revert) => "revert",
    }
}

fn slots(align: Align, erased: u8) -> Option<Slots> {
    let config = Config::new(Mode::SwapMove).align(align).erased(erased);
    Slots::checked::<SimFlash<1, 4096>, SimFlash<1, 4096>>(0x10000, 0x10000, config).ok()
}
