//! Servers of other people's, by other schemes: a probe, a digest, CoAP.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect stops there"
)]

mod support;

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use dfu_testkit::port;
use serde_json::{Value, json};
use support::{FIXTURES, Run, file, host, scratch};

const SHA256: &str = "121bf78df48c95c12ff0e9823226043d9581a7acff6c748f6a22bafbda39fce1";

/// libcoap's server with one file.
struct Coap {
    child: Child,
    port: u16,
}

impl Coap {
    /// `None`, with the reason printed, where it is not installed.
    fn start(path: &str) -> Option<Self> {
        let server = Self::start_any(path)?;
        assert_eq!(host(&["--probe", "--url", &server.url("coap", "app.bin")]).code, 0);
        Some(server)
    }

    /// The same, with a file that no device takes.
    fn start_any(path: &str) -> Option<Self> {
        if Command::new("coap-client-notls").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            assert!(std::env::var("DFU_PEERS").as_deref() != Ok("required"), "libcoap is not installed");
            println!("left out: libcoap is not installed");
            return None;
        }
        // Where it does not get the port for TCP it goes on without.
        let serve = || Self::serve(path).filter(|server| TcpStream::connect(("127.0.0.1", server.port)).is_ok());
        Some((0..5).find_map(|_| serve()).expect("libcoap's server listens by UDP and TCP"))
    }

    /// A server that has the file, as far as UDP goes.
    fn serve(path: &str) -> Option<Self> {
        let port = port::free();
        let child = Command::new("coap-server-notls")
            .args(["-A", "127.0.0.1", "-d", "9", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port };
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            let mut put = Command::new("coap-client-notls");
            put.args(["-m", "put", "-b", "1024", "-B", "5", "-f", path, &server.url("coap", "app.bin")]);
            let said = put.output().unwrap();
            // The client exits with 0 in any case.
            if !host(&["--probe", "--url", &server.url("coap", "app.bin")]).err.contains(" 4.04")
                && !said.stderr.starts_with(b"4.")
            {
                return Some(server);
            }
            sleep(Duration::from_millis(50));
        }
        None
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for Coap {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn app() -> String {
    format!("{FIXTURES}/app-v2.bin")
}

#[test]
fn an_update_comes_by_coap_through_a_power_cut() {
    let Some(server) = Coap::start(&app()) else { return };
    for (scheme, window) in [("coap", "1"), ("coap", "8"), ("coap+tcp", "1"), ("coap+tcp", "4")] {
        let url = server.url(scheme, "app.bin");
        let run = host(&["--json", "--url", &url, "--window", window, "--digest", SHA256]);
        let facts = run.facts();
        assert_eq!(
            (run.code, &facts["result"], &facts["cut"]["happened"]),
            (0, &json!("done"), &json!(true)),
            "{facts}"
        );
        assert!(facts["resumed_at"].as_u64().is_some_and(|at| at > 170_000), "{facts}");
        let (fetched, paid) = (facts["fetched"].as_u64().unwrap(), facts["paid"].as_u64().unwrap());
        assert!((307_861..=307_861 + 4096 + 2048).contains(&fetched), "{facts}");
        assert!(paid > fetched && paid < fetched * 11 / 10, "{facts}");
    }
}

#[test]
fn the_second_run_goes_on_and_the_third_has_nothing_to_do() {
    let Some(server) = Coap::start(&app()) else { return };
    let (url, flash) = (server.url("coap", "app.bin"), scratch("remote.flash"));
    let run = |more: &[&str]| {
        let mut args = vec!["--json", "--url", &url, "--digest", SHA256, "--flash", &flash];
        args.extend(more);
        host(&args)
    };
    assert_eq!(run(&["--cut-at", "50"]).code, 3);
    let second = run(&[]);
    assert_eq!(second.code, 0, "{}{}", second.out, second.err);
    assert!(second.facts()["resumed_at"].as_u64().is_some_and(|at| at > 140_000), "{}", second.out);
    let third = run(&[]);
    assert_eq!((third.code, &third.facts()["result"], &third.facts()["paid"]), (0, &json!("current"), &json!(0)));
}

#[test]
fn a_probe_costs_its_first_block_and_touches_nothing() {
    let Some(server) = Coap::start(&app()) else { return };
    let url = server.url("coap", "app.bin");
    let run = host(&["--probe", "--json", "--url", &url]);
    let facts = run.facts();
    assert_eq!((run.code, &facts["result"], &facts["size"]), (0, &json!("offered"), &json!(307_861)), "{facts}");
    assert_eq!((&facts["kind"], &facts["device"]["version"]), (&json!("MCUboot image"), &json!("1.0.0")));
    assert!(facts["paid"].as_u64().is_some_and(|paid| paid < 1200), "{facts}");
    let Run { code, out, .. } = host(&["--probe", "--url", &url]);
    assert!(code == 0 && out.contains("MCUboot image: the device would take it, for 307,861 bytes"), "{out}");

    let page = file("remote.html", "<!DOCTYPE html><html>404</html>");
    let Some(other) = Coap::start_any(&page) else { return };
    let run = host(&["--probe", "--json", "--url", &other.url("coap", "app.bin")]);
    assert_eq!((run.code, &run.facts()["result"]), (1, &json!("failed")));
    assert!(run.err.contains("not a firmware image of any known kind"), "{}", run.err);
    for region in run.facts()["regions"].as_array().unwrap_or(&Vec::new()) {
        assert_eq!(region["writes"], json!(0), "{region}");
    }
}

#[test]
fn another_file_than_the_wanted_one_never_runs() {
    let Some(server) = Coap::start(&app()) else { return };
    let wrong = SHA256.replace('1', "2");
    let run = host(&["--json", "--cut-at", "never", "--url", &server.url("coap", "app.bin"), "--digest", &wrong]);
    let facts: Value = run.facts();
    assert_eq!(
        (run.code, &facts["result"], &facts["device"]["version"]),
        (1, &json!("failed"), &json!("1.0.0")),
        "{facts}"
    );
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
}

#[test]
fn what_coap_servers_refuse_is_named() {
    let Some(server) = Coap::start(&app()) else { return };
    let nobody = port::free();
    for (url, reason) in [
        (server.url("coap", "other.bin"), "the server answers with 4.04"),
        (server.url("coap+tcp", "other.bin"), "the server answers with 4.04"),
        ("coap+tcp://127.0.0.1:1/x".to_owned(), "no connection to 127.0.0.1:1"),
        (format!("coap://127.0.0.1:{nobody}/x"), "refused"),
        ("coap://no-such-host.invalid/x".to_owned(), "the server's name has no address"),
    ] {
        let Run { code, err, .. } = host(&["--url", &url]);
        assert_eq!((code, err.lines().count()), (1, 1), "{err}");
        assert!(err.contains(reason) && err.contains("nothing on the flash was changed"), "{url}: {err}");
    }
}
