//! The eye on the device: what it says, and the moment its power is to fail.

use std::time::Instant;

use dfu_target_mcuboot::RunningState;
use dfu_testkit::boot::{Boot, Running, SwapType};
use dfu_testkit::flash::Tear;
use fota_download::{Event as Going, Report, Step};
use indicatif::HumanCount;

use crate::board::Board;
use crate::console::Console;
use crate::map::SECONDARY;
use crate::net::Traffic;
use crate::summary::{Cut, Facts};
use crate::{CutAt, Options};
use dfu_apps::Event;

/// One life of the device, watched.
pub(crate) struct Watch<'a> {
    pub(crate) options: &'a Options,
    pub(crate) console: &'a Console,
    pub(crate) board: &'a Board,
    pub(crate) boot: &'a Boot,
    pub(crate) facts: &'a mut Facts,
    pub(crate) traffic: &'a Traffic,
    /// The digest is known beforehand.
    pub(crate) knows: bool,
    /// When the download began.
    pub(crate) began: Option<Instant>,
}

impl Watch<'_> {
    /// Shows what the device says, and plans the cut once the image's size is known.
    pub(crate) fn hear(&mut self, event: Event) {
        match event {
            Event::Runs(state) => {
                self.facts.device.state = says(state);
                let swap = match self.boot.swapped {
                    None => "",
                    Some(SwapType::Revert) => "MCUboot swaps the slots back: ",
                    Some(_) => "MCUboot swaps the slots: ",
                };
                self.console.line("boot", format_args!("{swap}{} runs, {}", self.facts.device.version, says(state)));
            }
            Event::Goes(Going::Verifying) => {
                self.pause();
                self.console.progress(self.facts.size, self.facts.size);
            }
            Event::Goes(Going::Verified(digest)) => {
                let known = if self.knows { "its SHA-256 is the wanted one" } else { "its own hash is right" };
                let digest = digest.to_string();
                self.console.line("verify", format_args!("read back from flash, {known}: {}…", &digest[..16]));
            }
            Event::Goes(Going::Opening(report) | Going::Receiving(report) | Going::Waiting(report)) => {
                self.moves(report);
            }
            Event::Goes(_) | Event::Settled(_) | Event::Recovered(_) => {}
        }
    }

    /// The download ended, or the device's life.
    pub(crate) fn pause(&mut self) {
        self.facts.download_us += self.began.take().map_or(0, |began| began.elapsed().as_micros() as u64);
    }

    fn moves(&mut self, report: Report) {
        if self.began.is_none() {
            self.began = Some(Instant::now());
            if report.offset > 0 {
                self.facts.resumed_at = Some(report.offset);
                let offset = HumanCount(report.offset.into());
                self.console.line("resume", format_args!("from byte {offset}; what comes before is on the flash"));
            }
        }
        if let Step::Wait { attempt, ms } = report.step {
            let reason = self.traffic.failure.take().map(|reason| format!(": {reason}")).unwrap_or_default();
            self.console.line("retry", format_args!("attempt {attempt} failed{reason}; the next one is in {ms} ms"));
        }
        let Some(size) = report.size else { return };
        if report.step == Step::Receive {
            self.console.progress(report.offset, size);
        }
        self.facts.size = size;
        let default = if self.options.flash.is_some() { CutAt::Never } else { CutAt::Percent(60) };
        if let CutAt::Percent(percent) = self.options.cut_at.unwrap_or(default)
            && self.facts.cut.is_none()
        {
            let (cut, tear) = choose_cut(percent, size, self.options.seed);
            self.board.plan_cut(cut.address, tear);
            self.facts.cut = Some(cut);
        }
    }
}

/// A word near that percentage, and what becomes of it.
fn choose_cut(percent: u8, size: u32, seed: u64) -> (Cut, Tear) {
    let mut random = fastrand::Rng::with_seed(seed);
    let tears = [Tear::Front, Tear::Back, Tear::Prefix, Tear::Random, Tear::Late];
    let tear = tears[random.usize(..tears.len())];
    let exact = i64::from(size) * i64::from(percent) / 100;
    let spread = i64::from(size / 200);
    let last = i64::from(size.saturating_sub(1));
    let offset = (exact + random.i64(-spread..=spread)).clamp(0, last) as u32 & !3;
    let percent = f64::from(offset) * 100.0 / f64::from(size.max(1));
    let percent = (percent * 10.0).round() / 10.0;
    (Cut { address: SECONDARY.0 + offset, percent, tear: format!("{tear:?}"), happened: false }, tear)
}

/// The state in words.
pub(crate) fn says(state: RunningState) -> &'static str {
    match state {
        RunningState::Factory => "as it left the factory",
        RunningState::Trial => "on trial",
        RunningState::Confirmed => "confirmed",
        RunningState::Reverted => "back again",
        RunningState::Unknown => "with an odd trailer",
    }
}

/// The version in figures, without the build number where it is 0.
pub(crate) fn version(running: &Running) -> String {
    let version = running.version;
    let text = format!("{}.{}.{}", version.major, version.minor, version.revision);
    if version.build == 0 { text } else { format!("{text}+{}", version.build) }
}
