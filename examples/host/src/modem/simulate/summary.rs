//! The modem before, and all that became of it.

use console::style;
use dfu_target_nrf_modem::port::Offset;
use dfu_testkit::modem::{ModemCall, Scheduled};
use indicatif::HumanCount;
use serde_json::{Map, Value, json};

use super::bench::Bench;
use super::marker;
use super::steps::Steps;

pub(super) fn before(steps: &Steps<'_>, facts: &mut Value, bench: &Bench, is_new: bool) {
    let (running, alive) = (bench.modem.running(), bench.modem.is_alive());
    facts["before"] = json!({ "uuid": running.to_string(), "alive": alive });
    let (age, state) =
        (if is_new { "a new one" } else { "as it was left" }, if alive { "" } else { ", and does not start" });
    steps.tell("modem", format_args!("{age}, of firmware {running}{state}"));
}

pub(super) fn after(steps: &Steps<'_>, facts: &mut Value, bench: &Bench) {
    let (modem, counts) = (&bench.modem, bench.chip.sim().counts());
    let (running, alive) = (modem.running().to_string(), modem.is_alive());
    let (area, held) = area(bench);
    let marker = marker::of(bench.chip.sim().bytes());
    let waited = modem.elapsed();
    let (points, delta, bootloader) = (modem.points(), calls(bench, true), calls(bench, false));
    let before = facts["before"]["uuid"].as_str().unwrap_or_default().to_owned();
    let rows = [
        ("before", before),
        ("after", if alive { running.clone() } else { format!("{running}, which does not start") }),
        ("area", area.to_owned() + &held.map_or(String::new(), |held| format!(", {} bytes", HumanCount(held.into())))),
        ("marker", marker.to_owned()),
        ("calls", format!("delta port: {}", text(&delta))),
        ("", format!("bootloader: {}", text(&bootloader))),
        (
            "flash",
            format!(
                "{} bytes written in {} writes, {} erases, {} reads",
                HumanCount(counts.bytes_written),
                counts.writes,
                counts.erases,
                counts.reads
            ),
        ),
        ("points", format!("{points} at which power could fail")),
        ("waited", format!("{:.1} s of the modem's time", waited.as_secs_f64())),
    ];
    steps.show("");
    for (name, text) in rows {
        steps.show(format_args!("{}  {text}", style(format_args!("{name:<8}")).bold()));
    }
    facts["after"] = json!({ "uuid": running, "alive": alive });
    facts["area"] = json!({ "state": area, "bytes": held });
    facts["marker"] = marker.into();
    facts["calls"] = json!({ "delta": delta, "bootloader": bootloader });
    facts["flash"] = json!({
        "reads": counts.reads, "writes": counts.writes, "erases": counts.erases, "bytes_written": counts.bytes_written,
    });
    facts["points"] = points.into();
    facts["waited_ms"] = (waited.as_millis() as u64).into();
}

/// What the area for deltas holds, and how much of it.
fn area(bench: &Bench) -> (&'static str, Option<u32>) {
    match (bench.modem.scheduled(), bench.modem.stored()) {
        (_, Offset::Dirty) => ("to be erased", None),
        (Some(Scheduled::Update), Offset::At(held)) => ("an update for the next start", Some(held)),
        (Some(Scheduled::Rollback), Offset::At(held)) => ("a rollback for the next start", Some(held)),
        (None, Offset::At(0)) => ("erased", None),
        (None, Offset::At(held)) => ("a delta or a part of one", Some(held)),
    }
}

/// How often each call of a port was made.
fn calls(bench: &Bench, delta: bool) -> Map<String, Value> {
    let kinds = if delta { &ModemCall::DELTA[..] } else { &ModemCall::BOOTLOADER[..] };
    let made = kinds.iter().map(|call| (name(*call).to_owned(), bench.modem.count(*call)));
    made.filter(|(_, count)| *count > 0).map(|(name, count)| (name, count.into())).collect()
}

fn text(calls: &Map<String, Value>) -> String {
    let each: Vec<String> = calls.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}

/// Its name in the port.
fn name(call: ModemCall) -> &'static str {
    match call {
        ModemCall::DeltaUuid | ModemCall::BootloaderUuid => "uuid",
        ModemCall::Area => "area",
        ModemCall::Offset => "offset",
        ModemCall::WriteInit => "write_init",
        ModemCall::Write => "write",
        ModemCall::WriteDone => "write_done",
        ModemCall::Erase => "erase",
        ModemCall::DeltaUpdate | ModemCall::BootloaderUpdate => "update",
        ModemCall::Rollback => "rollback",
        ModemCall::Start => "start",
        ModemCall::Stop => "stop",
        ModemCall::BlWrite => "bl_write",
        ModemCall::FwWrite => "fw_write",
        ModemCall::Verify => "verify",
        ModemCall::Digest => "digest",
    }
}
