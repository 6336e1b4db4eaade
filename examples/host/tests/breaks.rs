//! Connections and processes that end before their time.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{command, host, scratch};

/// A server that breaks off the first answer after 150,000 bytes: it says nothing more, or closes the connection.
/// Its URL.
fn server(silent: bool) -> String {
    let file = include_bytes!("../../../tests/fixtures/app-v2.bin");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/app.bin", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let stream = stream.unwrap();
            thread::spawn(move || {
                let end = if count == 0 { 150_000 } else { file.len() };
                let _ = answer(&stream, file, end);
                if count == 0 && silent {
                    thread::sleep(Duration::from_secs(60));
                }
            });
        }
    });
    url
}

/// Answers one request with what is asked for, up to `end`.
fn answer(mut stream: &TcpStream, file: &[u8], end: usize) -> std::io::Result<()> {
    let mut from = 0;
    for line in BufReader::new(stream).lines() {
        match line? {
            line if line.is_empty() => break,
            line => {
                let range = line.strip_prefix("Range: bytes=").and_then(|range| range.strip_suffix('-'));
                from = range.map_or(from, |range| range.parse().unwrap());
            }
        }
    }
    let (len, last) = (file.len() - from, file.len() - 1);
    let (status, range) = match from {
        0 => ("200 OK", String::new()),
        _ => ("206 Partial Content", format!("Content-Range: bytes {from}-{last}/{}\r\n", file.len())),
    };
    write!(stream, "HTTP/1.1 {status}\r\nETag: \"v2\"\r\nContent-Length: {len}\r\n{range}\r\n")?;
    stream.write_all(&file[from..end])
}

#[test]
fn a_broken_connection_costs_no_byte() {
    let run = host(&["--cut-at", "never", "--url", &server(false), "--json"]);
    let facts = run.facts();
    assert_eq!((run.code, &facts["fetched"]), (0, &json!(307_861)), "{facts}");
}

#[test]
fn a_retry_says_what_failed() {
    let run = host(&["--cut-at", "never", "--url", &server(false)]);
    let retries: Vec<_> = run.out.lines().filter(|line| line.trim_start().starts_with("retry")).collect();
    let [retry] = retries[..] else { panic!("{}", run.out) };
    let (what, next) = retry.split_once("; ").unwrap();
    assert!(what.contains("attempt 1 failed: the server closed the connection before the end"), "{retry}");
    assert_eq!(next, "the next one is in 250 ms");
    let run = host(&["--url", "http://127.0.0.1:1/x"]);
    assert!(run.out.contains("attempt 2 failed: no connection to 127.0.0.1:1: "), "{}", run.out);
}

#[test]
fn a_killed_process_is_a_power_cut() {
    let (url, flash) = (server(true), scratch("killed.flash"));
    let mut child = command(&["--flash", &flash, "--url", &url]).stdout(Stdio::null()).spawn().unwrap();
    // Until the byte at 140,000 of the secondary slot is there, which begins at 0x75000.
    let began = Instant::now();
    while std::fs::read(&flash).ok().and_then(|flash| flash.get(0x75000 + 140_000).copied()).is_none_or(|b| b == 0xff) {
        assert!(began.elapsed() < Duration::from_secs(8), "it never comes that far");
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let run = host(&["--flash", &flash, "--url", &url, "--json"]);
    let facts = run.facts();
    assert_eq!((run.code, &facts["device"]), (0, &json!({"version": "2.0.0", "state": "confirmed"})), "{facts}");
    assert!(facts["resumed_at"].as_u64().unwrap() >= 135_168, "{facts}");
}
