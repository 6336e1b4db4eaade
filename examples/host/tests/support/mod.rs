//! Runs the program.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

pub(crate) mod modem;
pub(crate) mod slots;

use std::process::{Command, Stdio};

use serde_json::Value;
use spki::der::Document;
use spki::der::pem::LineEnding;

/// What came of a run.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// The JSON object.
    pub(crate) fn facts(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dfu-host"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn host(args: &[&str]) -> Run {
    let output = command(args).output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file that is not there yet.
pub(crate) fn scratch(name: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    let _ = std::fs::remove_file(&path);
    path
}

pub(crate) const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");

/// Writes a file; its path.
pub(crate) fn file(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = scratch(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The public key of a fixture as `imgtool getpub -e pem` writes it; the path.
pub(crate) fn key(name: &str) -> String {
    let der = std::fs::read(format!("{FIXTURES}/keys/test-only-{name}.pub.der")).unwrap();
    let pem = Document::try_from(spki(name, &der)).unwrap().to_pem("PUBLIC KEY", LineEnding::LF).unwrap();
    // Tests run at the same time.
    file(&format!("{name}-{:?}.pem", std::thread::current().id()), pem)
}

/// An RSA key of `getpub -e raw` is PKCS#1, and in a PEM it is not.
fn spki(name: &str, der: &[u8]) -> Vec<u8> {
    if !name.starts_with("rsa") {
        return der.to_vec();
    }
    let length = |length: usize| (length as u16).to_be_bytes();
    let algorithm = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let bits = [&b"\x03\x82"[..], &length(der.len() + 1), b"\x00", der].concat();
    [&b"\x30\x82"[..], &length(algorithm.len() + bits.len()), algorithm, &bits].concat()
}
