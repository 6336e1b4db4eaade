//! What came of it: for people and for programs.

use console::style;
use dfu_testkit::flash::SimFlash;
use indicatif::HumanCount;
use serde::Serialize;

use crate::console::Console;
use crate::map::{self, REGIONS, range};

/// Everything worth knowing at the end, as `--json` gives it.
#[derive(Default, Serialize)]
pub(crate) struct Facts {
    /// `done`, `current`, `offered`, `cut`, `broken` or `failed`.
    pub(crate) result: &'static str,
    pub(crate) error: Option<String>,
    pub(crate) url: String,
    /// The file that was served here.
    pub(crate) image: Option<File>,
    /// The image's size in bytes, as the server says; 0 before it does.
    pub(crate) size: u32,
    /// What it is, as a probe found it.
    pub(crate) kind: Option<String>,
    /// Bytes of the image that came, all attempts together.
    pub(crate) fetched: u64,
    /// How many of them came twice, those of an earlier process included.
    pub(crate) fetched_twice: Option<u64>,
    /// All bytes that went to and came from the server, requests, heads of answers and the self-test included; what TLS
    /// adds is not.
    pub(crate) paid: u64,
    /// The time from the first request to the last byte, in microseconds.
    pub(crate) download_us: u64,
    /// The server's status codes.
    pub(crate) answers: Vec<u16>,
    pub(crate) cut: Option<Cut>,
    pub(crate) resumed_at: Option<u32>,
    pub(crate) boots: u32,
    pub(crate) device: Device,
    pub(crate) regions: Vec<Region>,
    /// What the flash operations would take, in milliseconds.
    pub(crate) flash_ms: u64,
    pub(crate) real_ms: u64,
    pub(crate) promises: Vec<Promise>,
    #[serde(skip)]
    map: String,
}

#[derive(Serialize)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) size: u32,
    pub(crate) sha256: String,
}

/// The power cut that was asked for.
#[derive(Serialize)]
pub(crate) struct Cut {
    pub(crate) happened: bool,
    /// Of the word in the flash.
    pub(crate) address: u32,
    /// Of the image.
    pub(crate) percent: f64,
    /// What became of the word.
    pub(crate) tear: String,
}

/// The state of the device.
#[derive(Default, Serialize)]
pub(crate) struct Device {
    pub(crate) version: String,
    pub(crate) state: &'static str,
}

/// What the application did to a region.
#[derive(Serialize)]
pub(crate) struct Region {
    name: &'static str,
    start: u32,
    size: u32,
    erases: u64,
    writes: u64,
    bytes_written: u64,
}

#[derive(Serialize)]
pub(crate) struct Promise {
    text: String,
    pub(crate) held: bool,
}

impl Facts {
    pub(crate) fn promise(&mut self, held: bool, text: impl Into<String>) {
        self.promises.push(Promise { text: text.into(), held });
    }

    pub(crate) fn look_at(&mut self, flash: &SimFlash<4, 4096>) {
        self.map = map::draw(flash.bytes());
        self.flash_ms = flash.elapsed().as_millis() as u64;
        self.regions = REGIONS
            .map(|(name, region)| {
                let counts = flash.counts_of(name);
                Region {
                    name,
                    start: region.0,
                    size: region.1,
                    erases: counts.erases,
                    writes: counts.writes,
                    bytes_written: counts.bytes_written,
                }
            })
            .into();
    }

    pub(crate) fn print(&self, console: &Console) {
        let head = |text: &str| style(text.to_owned()).bold();
        console.write(format_args!("\n{}", head("region      range              erases  writes  bytes written")));
        for Region { name, start, size, erases, writes, bytes_written } in &self.regions {
            let end = range((*start, *size)).end;
            let bytes = HumanCount(*bytes_written).to_string();
            let row = format!("{name:<10}  {start:#07x}–{end:#08x}  {erases:>6}  {writes:>6}  {bytes:>13}");
            console.write(if *writes + *erases == 0 { style(row).dim() } else { style(row) });
        }
        console.write(format_args!("\n{}  {}", head("flash map"), style(map::LEGEND).dim()));
        console.write(&self.map);

        let percent = self.fetched as f64 * 100.0 / f64::from(self.size.max(1));
        let (fetched, size) = (HumanCount(self.fetched), HumanCount(self.size.into()));
        let answers: Vec<_> = self.answers.iter().map(u16::to_string).collect();
        let answers = if answers.is_empty() { String::new() } else { format!(", answers {}", answers.join(" ")) };
        let text = format!("{fetched} bytes for an image of {size} ({percent:.1} %){answers}");
        console.write(format_args!("{}    {text}", head("fetched")));
        let speed = self.fetched * 1000 / self.download_us.max(1);
        let paid = HumanCount(self.paid);
        let text = format!("{paid} bytes there and back, self-test included; {} KB/s", HumanCount(speed));
        console.write(format_args!("{}       {text}", head("paid")));
        let (flash, real) = (self.flash_ms as f64 / 1000.0, self.real_ms as f64 / 1000.0);
        console.write(format_args!("{}       {flash:.1} s of flash work on the chip, {real:.2} s here", head("time")));
        let Device { version, state } = &self.device;
        console.write(format_args!("{}     {version} runs, {state}", head("device")));
        console.write("");
        for Promise { text, held } in &self.promises {
            let mark = if *held { style("✓").green() } else { style("✗ NOT SO:").red().bold() };
            console.write(format_args!("{mark} {text}"));
        }
    }
}
