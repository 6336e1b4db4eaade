//! Wrong input: the reason in one line, the exit code, and nothing harmed.

mod support;

use serde_json::json;
use support::{host, scratch};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");

/// Writes an image file; its path.
fn file(name: &str, bytes: &[u8]) -> String {
    let path = scratch(name);
    assert!(std::fs::write(&path, bytes).is_ok(), "{path}");
    path
}

#[test]
fn what_cannot_be_taken_is_named_and_leaves_the_flash_as_it_was() {
    let app = std::fs::read(format!("{FIXTURES}/app-v2.bin")).unwrap();
    let mut long = app.clone();
    long[12..16].copy_from_slice(&500_000_u32.to_le_bytes());
    long.resize(501_000, 0);
    let page = file("page.html", b"<!DOCTYPE html><html><body>404 Not Found</body></html>");
    let delta = file("modem.bin", &[&b"\x01\x02\x03\x04meDu"[..], &[0; 5000]].concat());
    let encrypted = std::fs::read(format!("{FIXTURES}/flag-encrypted.bin")).unwrap();
    let cases = [
        (file("enc.bin", &encrypted), "enc.bin: the bootloader was not built for such an image: encrypted (AES-128)"),
        (page, "page.html: not a firmware image of any known kind"),
        (delta, "modem.bin: a modem delta update, and no target here takes one"),
        (file("empty.bin", b""), "empty.bin: the file is empty"),
        (file("short.bin", &app[..1000]), "short.bin: the image has 1000 bytes and needs"),
        (file("long.bin", &long), "long.bin: the image needs 501000 bytes, and this slot takes images of up to 421888"),
    ];
    for (path, reason) in cases {
        let run = host(&["--image", &path, "--json"]);
        assert_eq!(run.code, 1, "{path}");
        let lines: Vec<_> = run.err.lines().collect();
        assert_eq!(lines.len(), 1, "{}", run.err);
        assert!(lines[0].starts_with(&format!("error: {reason}")), "{}", run.err);
        assert!(lines[0].ends_with("; nothing on the flash was changed"), "{}", run.err);
        let facts = run.facts();
        assert_eq!((&facts["result"], &facts["device"]["version"]), (&json!("failed"), &json!("1.0.0")));
        for region in facts["regions"].as_array().unwrap() {
            assert_eq!((&region["erases"], &region["writes"]), (&json!(0), &json!(0)), "{region}");
        }
    }
}

#[test]
fn a_damaged_image_is_never_asked_to_run() {
    let mut app = std::fs::read(format!("{FIXTURES}/app-v2.bin")).unwrap();
    app[100_000] ^= 1;
    let run = host(&["--image", &file("damaged.bin", &app)]);
    assert_eq!(run.code, 1);
    assert_eq!(run.err, "error: damaged.bin: the image's hash is not that of its bytes\n");
    assert!(!run.out.contains("swap"), "{}", run.out);
}

#[test]
fn files_and_servers_that_are_not_there_are_named() {
    let wrong_size = file("wrong-size.flash", &[0xff; 100]);
    let cases: [(&[&str], &str); 4] = [
        (&["--image", "/nonexistent"], "error: cannot read /nonexistent: "),
        (&["--flash", "/nonexistent/flash"], "error: cannot use /nonexistent/flash as the flash: "),
        (&["--flash", &wrong_size], "wrong-size.flash as the flash: the file holds 100 bytes and the flash 1048576"),
        (&["--url", "http://127.0.0.1:1/x"], "error: http://127.0.0.1:1/x: "),
    ];
    for (args, reason) in cases {
        let run = host(args);
        assert_eq!(run.code, 1, "{args:?}");
        assert!(run.err.contains(reason) && run.err.lines().count() == 1, "{args:?}: {}", run.err);
    }
    assert_eq!(std::fs::read(wrong_size).unwrap(), [0xff; 100], "it is left as it is");
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_a_failure_and_a_closed_pipe_is_none() {
    use std::process::Stdio;
    use support::command;

    let image = format!("{FIXTURES}/app-v2.bin");
    let flash = scratch("full.flash");
    let cases: [&[&str]; 7] = [
        &["--json"],
        &["--cut-at", "never"],
        &["--flash", &flash, "--cut-at", "10"],
        &["inspect", &image],
        &["inspect", &image, "--json"],
        &["--help"],
        &["stage", "--help"],
    ];
    for args in cases {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command(args).stdout(full).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {err}");
        assert!(err.starts_with("error: cannot write the output: ") && err.lines().count() == 1, "{args:?}: {err}");
    }
    for args in [&["inspect", &image][..], &["--help"]] {
        let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]), "{args:?}");
    }
}

#[test]
fn each_help_ends_with_the_exit_codes() {
    let commands: [&[&str]; 11] = [
        &[],
        &["inspect"],
        &["stage"],
        &["state"],
        &["confirm"],
        &["withdraw"],
        &["layout"],
        &["modem"],
        &["modem", "zip"],
        &["modem", "simulate"],
        &["trace"],
    ];
    for command in commands {
        let run = host(&[command, &["--help"]].concat());
        assert!(run.code == 0 && run.out.contains("\nExit codes: 0 "), "{command:?}: {}", run.out);
    }
    let help = host(&["--help"]).out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("by http, https, coap, coap+tcp or coaps+tcp"), "{help}");
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    let cases: [(&[&str], &str); 16] = [
        (&["--cut-at", "200"], "not a percentage from 0 to 100, nor `never`"),
        (&["--cut-at", "-1"], "'-1'"),
        (&["--url", "ftp://a.example/x"], "the URL begins with none of http, https, coap, coap+tcp, coaps+tcp\n"),
        (&["--url", "https://a.example/x"], "needs --ca"),
        (&["--url", "coaps://a.example/x"], "needs DTLS"),
        (&["--url", "coap://a.example/x#y"], "the URL has a fragment"),
        (&["--probe"], "--url"),
        (&["--url", "coap://a.example/x", "--window", "9"], "1..=8"),
        (&["--url", "http://a.example/x", "--digest", "12ab"], "64 hexadecimal digits"),
        (&["--digest", &"00".repeat(32)], "--url"),
        (&["--ca", "x.pem"], "--url"),
        (&["--url", "https://a.example/x", "--tls-record", "2303"], "--ca"),
        (&["--url", "app.bin"], "the URL begins with none of http, https, coap"),
        (&["--url", "http://a.example/x", "--image", "x"], "cannot be used with"),
        (&["--seed", "many"], "invalid value"),
        (&["app.bin"], "unrecognized subcommand"),
    ];
    for (args, reason) in cases {
        let run = host(args);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{args:?}");
        assert!(run.err.contains(reason), "{args:?}: {}", run.err);
    }
}
