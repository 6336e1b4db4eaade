//! `trace`: what a device wrote down of an update.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use dfu_testkit::trace::{Channel, Event, Events, Operation, Trace};
use indicatif::HumanCount;
use serde_json::{Value, json};

use crate::console::Console;
use crate::ending::{End, Outcome, Problem};

/// Shows what a device did to its flash and over its connection, from a trace that dfu-trace recorded.
///
/// Each operation is a line, with what came of it. What was done that no flash allows is told behind them.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 all of it was read, and no flash was misused; 1 it is no trace, ends early, or shows a misuse; \
2 wrong usage")]
pub(crate) struct Show {
    /// The file
    file: PathBuf,
    /// Leave the operations out
    #[arg(long)]
    summary: bool,
    /// Say nothing but one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl Show {
    pub(crate) fn run(&self, console: &Console) -> Outcome {
        let path = self.file.display();
        let bytes = std::fs::read(&self.file).with_context(|| format!("cannot read {path}"))?;
        let (trace, error) = Trace::whole_of(&bytes).with_context(|| path.to_string())?;
        let mut facts = json!({ "file": path.to_string(), "size": bytes.len() });
        console.line("file", format_args!("{path}, {} bytes", HumanCount(bytes.len() as u64)));
        if !self.summary {
            facts["events"] = self.events(&bytes, &trace, console);
        }
        flash(&trace, console, &mut facts);
        network(&trace, console, &mut facts);
        if trace.starts > 1 {
            console.line("starts", trace.starts);
        }
        if trace.lost > 0 {
            console.line("lost", format_args!("{} events that the sink had no room for", trace.lost));
        }
        let violations = trace.violations();
        let list = violations.iter().map(|(event, what)| json!({ "event": event, "what": what.to_string() }));
        (facts["starts"], facts["lost"]) = (trace.starts.into(), trace.lost.into());
        facts["violations"] = list.collect();
        for (event, what) in &violations {
            console.line("misuse", format_args!("event {event}: {what}"));
        }
        let verdict = match (error, &violations[..]) {
            (Some(error), _) => Err(Problem::refused(format_args!("{path}: {error}"))),
            (None, [(event, what), ..]) => {
                Err(Problem::refused(format_args!("{path}: the flash was misused, first by event {event}: {what}")))
            }
            (None, []) => Ok(End::Done),
        };
        facts["result"] = if verdict.is_ok() { "right" } else { "refused" }.into();
        facts["error"] = verdict.as_ref().err().map(Problem::reason).into();
        console.result(&facts);
        verdict
    }

    /// All events that are no outcome, in their order, each with its own.
    fn events(&self, bytes: &[u8], trace: &Trace<'_>, console: &Console) -> Value {
        let mut lines: BTreeMap<usize, (String, Option<String>)> = BTreeMap::new();
        for (nth, event) in Events::new(bytes).into_iter().flatten().map_while(Result::ok).enumerate() {
            if let Event::Start(_) | Event::Close | Event::Mark(_) | Event::Lost(_) = event {
                lines.insert(nth, (event.to_string(), None));
            }
        }
        for operation in &trace.operations {
            let came = operation.came.map_or_else(|| "no end".into(), |came| came.to_string());
            lines.insert(operation.event, (operation.asked.to_string(), Some(came)));
        }
        let mut list = Vec::new();
        for (nth, (asked, came)) in lines {
            list.push(json!({ "event": nth, "asked": asked, "came": came }));
            let came = came.map(|came| format!(" · {came}")).unwrap_or_default();
            console.line(&nth.to_string(), format_args!("{asked}{came}"));
        }
        list.into()
    }
}

/// What was done to the flash.
fn flash(trace: &Trace<'_>, console: &Console, facts: &mut Value) {
    let of = trace.geometry;
    let mut sums = [[0_u64; 2]; 3];
    let mut failed = 0;
    for operation in trace.of(Channel::Flash) {
        let (kind, len) = match operation.asked {
            Event::Read { len, .. } => (0, len),
            Event::Write { len, .. } => (1, len),
            Event::Erase { len, .. } => (2, len),
            _ => continue,
        };
        failed += u64::from(!operation.is_done());
        sums[kind][0] += 1;
        sums[kind][1] += u64::from(len);
    }
    let [reads, writes, erases] = sums.map(|[count, bytes]| (HumanCount(count), HumanCount(bytes)));
    console.line(
        "flash",
        format_args!(
            "{:#x} bytes; {} reads of {} bytes, {} writes of {}, {} erases of {}; {failed} without success",
            of.capacity, reads.0, reads.1, writes.0, writes.1, erases.0, erases.1
        ),
    );
    let sum = |[count, bytes]: [u64; 2]| json!({ "count": count, "bytes": bytes });
    facts["flash"] = json!({
        "capacity": of.capacity, "erase": of.erase, "write": of.write, "read": of.read,
        "reads": sum(sums[0]), "writes": sum(sums[1]), "erases": sum(sums[2]), "failed": failed,
    });
}

/// What went over the connection.
fn network(trace: &Trace<'_>, console: &Console, facts: &mut Value) {
    let all = || trace.of(Channel::Network);
    let opened = all().filter(|operation| matches!(operation.asked, Event::Open { .. })).count();
    let bytes = |of: fn(&Operation<'_>) -> u32| all().map(|operation| u64::from(of(operation))).sum::<u64>();
    let sent = bytes(|operation| if let Some(Event::Sent { len }) = operation.came { len } else { 0 });
    let received = bytes(|operation| if let Some(Event::Received { len, .. }) = operation.came { len } else { 0 });
    let failed = all().filter(|operation| matches!(operation.came, Some(Event::Broken { .. }))).count();
    facts["network"] = json!({ "connections": opened, "sent": sent, "received": received, "failed": failed });
    if opened > 0 {
        let (sent, received) = (HumanCount(sent), HumanCount(received));
        let text = format!("{opened} connections; {sent} bytes sent, {received} received; {failed} failures");
        console.line("network", text);
    }
}
