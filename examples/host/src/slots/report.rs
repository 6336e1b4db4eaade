//! What the slots are and what was done to them, for people and for programs.

use console::style;
use dfu_target::image::mcuboot::Version;
use dfu_target_mcuboot::{Side, Slots, State, Status, View};
use indicatif::HumanCount;
use serde_json::{Value, json};

use super::device::Left;
use super::flash::Power;
use super::geometry::{Geometry, side_name};
use crate::console::Console;
use crate::inspect::{mark_facts, mark_text};

/// What both slots say, and which of them runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) views: [View; 2],
    pub(crate) status: Status,
    pub(crate) runs: Side,
}

/// The geometry, as far as it follows from the options.
pub(crate) fn slots(console: &Console, facts: &mut Value, geometry: &Geometry, slots: &Slots) {
    let [primary, secondary] = geometry.sizes();
    let max = slots.max_image();
    facts["mode"] = geometry.mode.name().into();
    facts["max_image"] = max.into();
    facts["start"] = slots.start().into();
    facts["trailer"] = slots.trailer().into();
    let [first, second, most] = [primary, secondary, max].map(|size| HumanCount(size.into()));
    let sizes = if primary == secondary { format!("2 of {first}") } else { format!("{first} and {second}") };
    console.line("slots", format_args!("{}, {sizes} bytes, for images of up to {most}", geometry.mode.name()));
}

/// Both slots' state.
pub(crate) fn state(console: &Console, facts: &mut Value, seen: &Seen) {
    let Seen { views, status, runs } = seen;
    for (view, side) in views.iter().zip([Side::Primary, Side::Secondary]) {
        let mut slot = mark_facts(&view.mark);
        let version = view.header.map(|header| header.version);
        slot["version"] = version.map(|version| version.to_string()).into();
        facts[side_name(side)] = slot;
        console.line(side_name(side), format_args!("{}; {}", image(version), mark_text(&view.mark)));
    }
    facts["runs"] = side_name(*runs).into();
    facts["state"] = status.state.to_string().into();
    facts["running"] = status.running.map(|version| version.to_string()).into();
    facts["other"] = status.other.map(|version| version.to_string()).into();
    console.line("runs", format_args!("{} in the {} slot", image(status.running), side_name(*runs)));
    console.line("state", format_args!("{}: {}", style(status.state).bold(), meaning(status.state)));
}

/// What was asked of the flash.
pub(crate) fn operations(console: &Console, facts: &mut Value, left: &[Left; 2], power: &Power) {
    let [primary, secondary] = left.each_ref().map(|left| left.operations);
    facts["operations"] =
        json!({ "primary": primary, "secondary": secondary, "writes_and_erases": power.operations() });
    console.write(format_args!("\n{}", style("slot       reads  writes  erases  bytes written").bold()));
    for (name, operations) in [("primary", primary), ("secondary", secondary)] {
        let bytes = HumanCount(operations.bytes_written).to_string();
        let (reads, writes, erases) = (operations.reads, operations.writes, operations.erases);
        console.write(format_args!("{name:<9}  {reads:>5}  {writes:>6}  {erases:>6}  {bytes:>13}"));
    }
}

fn image(version: Option<Version>) -> String {
    version.map_or_else(|| "no image".into(), |version| version.to_string())
}

fn meaning(state: State) -> &'static str {
    match state {
        State::None => "nothing was updated, nothing is pending",
        State::PendingTest => "the other image runs after the next reset, on trial",
        State::PendingPermanent => "the other image runs from the next reset on",
        State::PendingRevert => "the bootloader is on its way back to the other image",
        State::Trial => "without a confirmation the next reset brings the other image back",
        State::Confirmed => "what runs stays",
        State::Reverted => "what runs came back, the other image did not confirm itself",
        State::Unknown => "the trailer is none of MCUboot's; what runs stays",
    }
}
