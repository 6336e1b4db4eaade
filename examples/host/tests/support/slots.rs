//! Two slots in files, and the commands on them.

use std::fs;

use serde_json::Value;

use super::{Run, host, scratch};

/// Two slots of 32 KiB in files, with sectors of 1 KiB and words of 8 bytes, unless told otherwise.
pub(crate) struct Slots {
    pub(crate) primary: String,
    pub(crate) secondary: String,
    image: String,
    options: Vec<String>,
}

pub(crate) const SIZE: usize = 0x8000;

impl Slots {
    /// New ones, without files; `name` tells tests apart.
    pub(crate) fn new(name: &str, mode: &str) -> Self {
        Self::with(name, mode, &["--sector", "1024", "--write-size", "8"])
    }

    pub(crate) fn with(name: &str, mode: &str, options: &[&str]) -> Self {
        let file = |slot: &str| scratch(&format!("{name}-{mode}-{slot}.bin"));
        let slots = ["--mode", mode, "--slot-size", "0x8000"];
        Self {
            primary: file("primary"),
            secondary: file("secondary"),
            image: file("image"),
            options: slots.iter().chain(options).map(|text| (*text).to_owned()).collect(),
        }
    }

    /// A command with more options.
    pub(crate) fn run(&self, command: &str, more: &[&str]) -> Run {
        let mut args = vec![command, "--primary", &self.primary, "--secondary", &self.secondary];
        args.extend(self.options.iter().map(String::as_str));
        args.extend(more);
        host(&args)
    }

    /// Stages an image.
    pub(crate) fn stage(&self, image: &[u8], more: &[&str]) -> Run {
        fs::write(&self.image, image).unwrap();
        let mut args = vec!["--image", &self.image];
        args.extend(more);
        self.run("stage", &args)
    }

    /// What `stage` says of an image that it refuses.
    pub(crate) fn refused(&self, reason: &str) -> String {
        let name = self.image.rsplit('/').next().unwrap();
        format!("error: {name}: {reason}\n")
    }

    /// What `state --json` says.
    pub(crate) fn state(&self) -> Value {
        let run = self.run("state", &["--json"]);
        assert_eq!((run.code, run.err.as_str()), (0, ""));
        run.facts()
    }

    /// Puts an image at the start of the primary slot.
    pub(crate) fn install(&self, image: &[u8]) {
        fs::write(&self.primary, image).unwrap();
    }

    /// Both slots' bytes, whole; a slot without a file is erased.
    pub(crate) fn bytes(&self) -> [Vec<u8>; 2] {
        [&self.primary, &self.secondary].map(|path| {
            let mut bytes = fs::read(path).unwrap_or_default();
            bytes.resize(SIZE, 0xff);
            bytes
        })
    }

    pub(crate) fn put(&self, [primary, secondary]: &[Vec<u8>; 2]) {
        fs::write(&self.primary, primary).unwrap();
        fs::write(&self.secondary, secondary).unwrap();
    }
}
