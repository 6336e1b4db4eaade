//! `trace`: what a device recorded, and files that are no trace or no whole one.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

mod support;

use std::time::Duration;

use dfu_testkit::flash::{Cut, SimFlash};
use dfu_testkit::network::{Link, Network, file};
use dfu_testkit::time::Timeline;
use dfu_testkit::trace::{Geometry, Ram, Recorder, Traced};
use embedded_io_async::{Read, Write};
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
use fota_download::Connect;
use fota_download::connect::Server;
use serde_json::{Value, json};
use support::{Run, host};

/// A unit is erased, bytes come and are written, and the power fails.
fn recorded() -> Vec<u8> {
    let time = Timeline::default();
    let mut sim = SimFlash::<4, 4096>::new(64 * 1024);
    sim.cut_after(40, Cut::Before);
    let mut memory = [0; 1000];
    let recorder = Recorder::new(Ram::new(&mut memory), Geometry::of(&sim)).received_bytes(true);
    let mut flash = Traced::new(sim, &recorder);
    let link = Link::new(30_000, Duration::from_millis(10)).piece(256);
    let net = Traced::new(Network::new(&time, link, file(&[7; 300], "\"1\"")), &recorder);
    time.run(async {
        recorder.mark(7);
        flash.read(0, &mut [0; 8]).await.unwrap();
        flash.erase(0, 4096).await.unwrap();
        let server = Server { host: "updates.example", port: 80, tls: false };
        let mut conn = net.connect(server).await.unwrap();
        conn.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut buf = [0; 256];
        let count = conn.read(&mut buf).await.unwrap();
        flash.write(0, &buf[..count / 2]).await.unwrap();
        flash.write(128, &buf[count / 2..count]).await.unwrap_err();
    });
    drop(flash);
    drop(net);
    recorder.into_sink().bytes().to_vec()
}

fn run(name: &str, bytes: impl AsRef<[u8]>, more: &[&str]) -> Run {
    let path = support::file(name, bytes);
    let mut args = vec!["trace", &path];
    args.extend(more);
    host(&args)
}

#[test]
fn each_operation_is_a_line_with_what_came_of_it() {
    let run = run("whole.trace", recorded(), &[]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{}", run.out);
    for line in [
        "       0  start; a flash of 0x10000 bytes, erased by 0x1000, written by 4, read by 1",
        "       1  mark 7",
        "       2  read 0x000000, 8 bytes · read, sum 2144df1c",
        "       4  erase 0x000000, 0x1000 bytes · done",
        "       6  connect updates.example:80 · ready",
        "       8  send 18 bytes",
        " · failed: Other",
        "  close",
        "   flash  0x10000 bytes; 1 reads of 8 bytes, 2 writes of 256, 1 erases of 4,096; 1 without success",
        " network  1 connections; 18 bytes sent, 256 received; 0 failures",
    ] {
        assert!(run.out.contains(line), "{line}\n{}", run.out);
    }
}

#[test]
fn the_object_has_the_same_in_it() {
    let run = run("object.trace", recorded(), &["--json"]);
    let facts = run.facts();
    assert_eq!((run.code, &facts["result"], &facts["error"]), (0, &json!("right"), &Value::Null), "{facts}");
    assert_eq!(facts["flash"]["writes"], json!({ "count": 2, "bytes": 256 }));
    assert_eq!(facts["network"], json!({ "connections": 1, "sent": 18, "received": 256, "failed": 0 }));
    let events = facts["events"].as_array().unwrap();
    assert_eq!(events[3], json!({ "event": 4, "asked": "erase 0x000000, 0x1000 bytes", "came": "done" }));
    assert_eq!(run.out.lines().count(), 1);
    let summary = self::run("summary.trace", recorded(), &["--json", "--summary"]).facts();
    assert_eq!((&summary["events"], &summary["flash"]), (&Value::Null, &facts["flash"]));
}

#[test]
fn a_file_that_is_no_trace_is_refused_in_one_line() {
    for (name, bytes, why) in [
        ("empty", &b""[..], "an empty file, no trace"),
        ("foreign", b"\x7fELF\x01\x01\x01\x00", "no trace: it does not begin with `DFUT`"),
        ("newer", b"DFUT\x02\x04\x80\x20", "a trace of version 2; 1 is known here"),
        ("short", b"DFUT\x01\x04", "the trace ends amid an event, after 6 bytes"),
    ] {
        let run = run(&format!("{name}.trace"), bytes, &[]);
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{name}");
        assert!(run.err.ends_with(&format!("{why}\n")) && run.err.lines().count() == 1, "{name}: {}", run.err);
    }
    let run = host(&["trace", "/nowhere/at/all.trace"]);
    assert!(run.code == 1 && run.err.contains("cannot read /nowhere/at/all.trace"), "{}", run.err);
    assert_eq!(host(&["trace"]).code, 2);
}

#[test]
fn what_is_whole_is_shown_where_a_trace_ends_early_or_is_damaged() {
    let bytes = recorded();
    let run = run("cut.trace", &bytes[..bytes.len() - 1], &[]);
    assert!(run.out.contains("connect updates.example:80 · ready"), "{}", run.out);
    assert_eq!(run.code, 0, "the last event is one byte: {}", run.err);
    let run = self::run("cut.trace", &bytes[..60], &[]);
    assert!(run.code == 1 && run.err.contains("ends amid an event, after 60 bytes"), "{}", run.err);
    assert!(run.out.contains("erase 0x000000, 0x1000 bytes · done"), "{}", run.out);
    let run = self::run("damaged.trace", [&bytes[..], b"\x77"].concat(), &["--json"]);
    let facts = run.facts();
    assert_eq!((run.code, &facts["result"]), (1, &json!("refused")));
    assert!(facts["error"].as_str().unwrap().ends_with(&format!("no event at byte {} of the trace", bytes.len())));
}

#[test]
fn a_flash_that_was_misused_is_told() {
    // A driver that knows no rules.
    let sim = SimFlash::<4, 4096>::new(8192).overwrites(true);
    let mut memory = [0; 200];
    let recorder = Recorder::new(Ram::new(&mut memory), Geometry::of(&sim));
    let mut flash = Traced::new(sim, &recorder);
    dfu_testkit::poll::run(async {
        flash.write(16, &[0x0f; 8]).await.unwrap();
        flash.write(20, &[0xf0; 4]).await.unwrap();
    });
    let run = run("misuse.trace", recorder.into_sink().bytes(), &["--summary"]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("misuse  event 3: what is at 0x14 was programmed since its last erase"), "{}", run.out);
    assert!(run.err.contains("the flash was misused, first by event 3"), "{}", run.err);
}
